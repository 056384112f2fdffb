//! Bodies written, read back, torn and found again.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flowgate_store::limits::KNOWN_BODIES_MAX;
use flowgate_store::{BodyReader, BodyRef, BodyWriter, ScanEnd, SegmentError, scan_segment};
use proptest::prelude::*;

fn read(directory: &Path, at: &BodyRef) -> Vec<u8> {
    let mut all = Vec::new();
    let body = BodyReader::new(directory).open(at).unwrap();
    body.for_each_chunk(|piece| {
        all.extend_from_slice(piece);
        Ok(())
    })
    .unwrap();
    all
}

#[test]
fn gives_back_what_it_took_and_keeps_equal_bodies_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = BodyWriter::open(directory.path()).unwrap();
    let bodies: [&[u8]; 4] = [b"one", b"", &[7; 200_000], b"one"];
    let places = bodies.map(|body| writer.append(body).unwrap());
    writer.sync().unwrap();
    for (body, at) in bodies.iter().zip(&places) {
        assert_eq!(read(directory.path(), at), *body);
        BodyReader::new(directory.path()).verify(at).unwrap();
    }
    assert_eq!(places[0], places[3]);
}

#[test]
fn only_its_owner_can_read_it() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("store");
    BodyWriter::open(&directory).unwrap().append(b"secret").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join("bodies-000000")), 0o600);
    assert_eq!(mode(&directory.join("writer.lock")), 0o600);
}

#[test]
fn has_one_writer_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let writer = BodyWriter::open(directory.path()).unwrap();
    assert!(matches!(BodyWriter::open(directory.path()), Err(SegmentError::Locked)));
    drop(writer);
    BodyWriter::open(directory.path()).unwrap();
}

#[test]
fn begins_a_new_file_when_one_is_full() {
    let directory = tempfile::tempdir().unwrap();
    // The file's beginning and one record of one byte: full exactly then.
    let mut writer = BodyWriter::with_segment_bytes(directory.path(), 16 + 56 + 1).unwrap();
    let segments = [b"a", b"b", b"c"].map(|body| {
        writer.roll().unwrap();
        writer.append(body).unwrap().segment
    });
    assert_eq!(segments, [0, 1, 2]);
    let other = tempfile::tempdir().unwrap();
    let mut writer = BodyWriter::with_segment_bytes(other.path(), 16 + 56 + 2).unwrap();
    let segments = [b"a", b"b", b"c"].map(|body| {
        writer.roll().unwrap();
        writer.append(body).unwrap().segment
    });
    assert_eq!(segments, [0, 0, 1]);
}

#[test]
fn forgets_known_bodies_past_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = BodyWriter::open(directory.path()).unwrap();
    let first = writer.append(&0_u64.to_le_bytes()).unwrap();
    for n in 1..KNOWN_BODIES_MAX as u64 {
        writer.append(&n.to_le_bytes()).unwrap();
    }
    assert_eq!(writer.append(&0_u64.to_le_bytes()).unwrap(), first, "at the limit");
    writer.append(b"one more").unwrap();
    assert_ne!(writer.append(&0_u64.to_le_bytes()).unwrap(), first, "one past it");
}

#[test]
fn a_torn_end_costs_the_body_being_written_and_no_other() {
    let whole = tempfile::tempdir().unwrap();
    let mut writer = BodyWriter::open(whole.path()).unwrap();
    let bodies: [&[u8]; 3] = [b"first", b"second", b"third and last"];
    let places = bodies.map(|body| writer.append(body).unwrap());
    drop(writer);
    let bytes = fs::read(whole.path().join("bodies-000000")).unwrap();
    for cut in 0..=bytes.len() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("bodies-000000"), &bytes[..cut]).unwrap();
        let mut writer = BodyWriter::open(directory.path()).unwrap();
        let new = writer.append(b"after the crash").unwrap();
        assert_eq!(read(directory.path(), &new), b"after the crash");
        for (body, at) in bodies.iter().zip(&places) {
            if at.offset + 56 + at.len <= cut as u64 {
                assert_eq!(read(directory.path(), at), *body, "cut at {cut}");
            } else {
                assert!(BodyReader::new(directory.path()).open(at).is_err(), "cut at {cut}");
            }
        }
    }
}

#[test]
fn a_damaged_body_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let at = BodyWriter::open(directory.path()).unwrap().append(b"body").unwrap();
    let path = directory.path().join("bodies-000000");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(BodyReader::new(directory.path()).verify(&at), Err(SegmentError::Damaged(16))));
    let end = scan_segment(&mut File::open(&path).unwrap(), 0, |_| ()).unwrap();
    assert_eq!(end, ScanEnd::Torn(16));
}

#[test]
fn leaves_files_of_another_version_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("bodies-000000"), b"flowgate-bodies\x04").unwrap();
    assert!(matches!(BodyWriter::open(directory.path()), Err(SegmentError::NotASegment)));
}

#[test]
fn references_that_lead_nowhere_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let at = BodyWriter::open(directory.path()).unwrap().append(b"body").unwrap();
    for wrong in [
        BodyRef { offset: 0, ..at },
        BodyRef { offset: u64::MAX, ..at },
        BodyRef { len: u64::MAX, ..at },
        BodyRef { len: 3, ..at },
        BodyRef { hash: [0; 32], ..at },
        BodyRef { segment: 1, ..at },
    ] {
        assert!(BodyReader::new(directory.path()).open(&wrong).is_err(), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_walked_without_harm(tail in proptest::collection::vec(any::<u8>(), 0..300), version in 0..4_u8) {
        let mut bytes = if version > 1 { [&b"flowgate-bodies"[..], &[version]].concat() } else { Vec::new() };
        bytes.extend_from_slice(&tail);
        let size = bytes.len() as u64;
        let mut found = 0;
        let end = scan_segment(&mut Cursor::new(bytes), 0, |at| found += 56 + at.len);
        if let Ok(ScanEnd::Clean(end)) = end {
            prop_assert_eq!(end, size);
            prop_assert_eq!(found + 16, size);
        }
    }
}
