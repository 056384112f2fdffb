//! HAR files as they grow, on disks that fill, and that are no files.

use std::fs;

use flowgate_flow::{Body, Flow, FlowKind};
use flowgate_formats::har::{HarLimits, read_har};

use super::*;

/// HTTP flows out of a HAR file, with these URLs and bodies.
fn flows(urls: &[(&str, usize)]) -> Vec<Flow> {
    let entries: Vec<_> = urls
        .iter()
        .map(|(url, size)| {
            let text = "x".repeat(*size);
            format!(
                r#"{{"startedDateTime": "2026-01-02T03:04:05Z", "request": {{"method": "GET", "url": "http://a.test/{url}", "headers": []}},
                "response": {{"status": 200, "headers": [], "content": {{"text": "{text}"}}}}}}"#
            )
        })
        .collect();
    let har = format!(r#"{{"log": {{"entries": [{}]}}}}"#, entries.join(","));
    let mut flows = Vec::new();
    read_har(har.as_bytes(), &HarLimits::default(), |flow| flows.push(flow)).unwrap();
    flows
}

/// The paths and the lengths of the answers that a HAR file holds.
fn held(path: &Path) -> Vec<(String, u64)> {
    let mut held = Vec::new();
    crate::read_flows(path, |flow| {
        let FlowKind::Http(http) = flow.kind else { panic!("HAR holds HTTP flows only") };
        let path = String::from_utf8(http.request.path.to_vec()).unwrap();
        held.push((path, http.response.map_or(0, |response| response.body.len().unwrap())));
    })
    .unwrap();
    held
}

#[test]
fn the_file_is_whole_after_each_flow() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["x.har", "x.zhar", "X.ZHAR"] {
        let path = folder.path().join(name);
        fs::write(&path, "old ".repeat(1_000)).unwrap();
        let mut file = HarFile::open(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap().len(), 4_000, "opening changes nothing");
        file.emptying().unwrap().empty().unwrap();
        let mut expected = Vec::new();
        for flow in flows(&[("1", 3), ("2", 100_000), ("3", 0)]) {
            let FlowKind::Http(http) = &flow.kind else { unreachable!() };
            let body: &Body = &http.response.as_ref().unwrap().body;
            expected.push((String::from_utf8(http.request.path.to_vec()).unwrap(), body.len().unwrap()));
            file.take(flow).unwrap();
            assert_eq!(held(&path), expected, "{name}");
        }
        let len = fs::metadata(&path).unwrap().len();
        assert_eq!(file.end().unwrap(), [format!("HAR file saved (3 entries, {len} bytes).")]);
        assert_eq!(held(&path), expected);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes[0], if name.ends_with("x.har") { b'{' } else { 0x78 }, "{name}");
    }
}

#[test]
fn a_file_without_flows_is_a_har_file_too() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["empty.har", "empty.zhar"] {
        let path = folder.path().join(name);
        fs::write(&path, "old").unwrap();
        let mut file = HarFile::open(&path).unwrap();
        let mut emptying = file.emptying().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old", "a start may still fail");
        emptying.empty().unwrap();
        assert_eq!(held(&path), []);
        assert_eq!(file.end().unwrap(), [""; 0]);
        assert_eq!(held(&path), []);
    }
}

#[test]
fn what_is_copied_in_the_end() {
    let (mut file, spool) = HarFile::spooled().unwrap();
    for flow in flows(&[("1", 1), ("2", 2)]) {
        file.take(flow).unwrap();
    }
    file.end().unwrap();
    let mut out = Vec::new();
    spool.copy_to(&mut out).unwrap();
    assert!(out.starts_with(HarWriter::BEGINNING.as_bytes()) && out.ends_with(HarWriter::END.as_bytes()));
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 4, "an entry is a line");
    // Devices cannot be gone back in, and take all of it at once.
    let mut null = HarFile::open(Path::new("/dev/null")).unwrap();
    null.take(flows(&[("1", 1)]).pop().unwrap()).unwrap();
    assert_eq!(null.end().unwrap().len(), 1);
    let mut full = HarFile::open(Path::new("/dev/full")).unwrap();
    full.take(flows(&[("1", 1)]).pop().unwrap()).unwrap();
    assert_eq!(full.end().unwrap_err().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn what_cannot_be_opened_is_named() {
    let error = HarFile::open(Path::new("/nonexistent/x.har")).unwrap_err();
    assert_eq!(error.to_string(), "cannot write HAR to /nonexistent/x.har");
}

#[test]
fn a_flow_that_finds_no_room_leaves_the_file_whole() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["x.har", "x.zhar"] {
        let path = folder.path().join(name);
        let mut file = HarFile::open(&path).unwrap();
        let mut flows = flows(&[("1", 10), ("2", 10), ("3", 10)]).into_iter();
        file.take(flows.next().unwrap()).unwrap();
        // A handle that cannot write fails as a full disk does, and leaves what is there.
        let writable = std::mem::replace(&mut file.file, File::open(&path).unwrap());
        assert!(file.take(flows.next().unwrap()).is_err());
        assert_eq!(held(&path), [("/1".into(), 10)], "{name}");
        file.file = writable;
        file.take(flows.next().unwrap()).unwrap();
        file.end().unwrap();
        assert_eq!(held(&path), [("/1".into(), 10), ("/3".into(), 10)], "{name}");
    }
    // Nor does the very first one.
    let path = folder.path().join("first.har");
    let mut file = HarFile::open(&path).unwrap();
    let writable = std::mem::replace(&mut file.file, File::open(&path).unwrap());
    let mut flows = flows(&[("1", 10), ("2", 10)]).into_iter();
    assert!(file.take(flows.next().unwrap()).is_err());
    file.file = writable;
    file.take(flows.next().unwrap()).unwrap();
    assert_eq!(held(&path), [("/2".into(), 10)]);
}
