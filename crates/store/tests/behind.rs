//! An index that is behind what was written: who reads sees everything all the same, and everything once.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Cursor};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use flowgate_filter::{Case, NoDecoding};
use flowgate_flow::{Flow, FlowId, FlowKind, Timestamp};
use flowgate_formats::{FlowReader, write_flow};
use flowgate_store::limits::{INDEX_FLOWS_AT_ONCE, INDEX_READ_BYTES};
use flowgate_store::{BodyRef, Capture, Indexer, Retention, StoreReader, StoreWriter, Tended, scan_segment};

/// Flows of every kind, as mitmproxy wrote them.
fn samples() -> Vec<Flow> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../session/tests/filters/flows.mitm");
    FlowReader::new(BufReader::new(File::open(path).unwrap())).map(Result::unwrap).collect()
}

/// So many flows with ids of their own, one of them larger than what is read at once.
fn flows(count: usize) -> Vec<Flow> {
    let samples = samples();
    let mut flows: Vec<Flow> = samples.iter().cycle().take(count).cloned().collect();
    for (number, flow) in (1 << 64..).zip(&mut flows) {
        flow.id = FlowId::from_random(number);
        flow.backup = None;
    }
    if let Some(flow) = flows.get_mut(3) {
        flow.comment = "long ".repeat(INDEX_READ_BYTES / 4);
    }
    flows
}

fn encoded(flow: &Flow) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_flow(&mut bytes, flow).unwrap();
    bytes
}

fn add(capture: &mut Capture, flows: &[Flow]) {
    for flow in flows {
        capture.add(flow.clone()).unwrap();
    }
    capture.commit().unwrap();
}

fn open(directory: &Path) -> (Capture, Indexer) {
    StoreWriter::open(directory).unwrap().split()
}

/// All flows, numbered from 1 on.
fn read(directory: &Path) -> Vec<Vec<u8>> {
    let mut read = Vec::new();
    let each = |hit: flowgate_store::Hit<'_>| {
        assert_eq!(hit.row.number, read.len() as i64 + 1);
        read.push(encoded(&hit.flow().unwrap()));
        ControlFlow::<()>::Continue(())
    };
    StoreReader::open(directory).unwrap().search(None, 0, &NoDecoding, each).unwrap();
    read
}

fn all(flows: &[Flow]) -> Vec<Vec<u8>> {
    flows.iter().map(encoded).collect()
}

#[test]
fn a_reader_tells_the_index_what_a_writer_left_behind() {
    let directory = tempfile::tempdir().unwrap();
    let flows = flows(3 * INDEX_FLOWS_AT_ONCE);
    let (mut capture, mut indexer) = open(directory.path());
    add(&mut capture, &flows[..100]);
    assert!(indexer.step().unwrap(), "more than one step");
    add(&mut capture, &flows[100..150]);
    assert!(indexer.indexed_bytes() < capture.written_bytes());
    drop((capture, indexer));
    assert_eq!(read(directory.path()), all(&flows[..150]));
    // The next writer goes on where that ended, and so does the index.
    let (mut capture, mut indexer) = open(directory.path());
    add(&mut capture, &flows[150..]);
    indexer.catch_up().unwrap();
    assert!(!indexer.step().unwrap());
    assert_eq!(indexer.indexed_bytes(), capture.written_bytes());
    assert_eq!(read(directory.path()), all(&flows));
}

#[test]
fn a_reader_waits_for_the_writer_that_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let flows = flows(150);
    let (mut capture, mut indexer) = open(directory.path());
    let waits = indexer.waits();
    assert!(!waits.is_anybody());
    add(&mut capture, &flows);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let read = read(directory.path());
            ended.store(true, Ordering::SeqCst);
            read
        });
        while !waits.is_anybody() {
            assert!(!ended.load(Ordering::SeqCst), "it did not wait");
            thread::yield_now();
        }
        while indexer.step().unwrap() {
            assert!(!ended.load(Ordering::SeqCst), "it did not wait long enough");
        }
        assert_eq!(reader.join().unwrap(), all(&flows));
    });
    assert!(!waits.is_anybody());
}

#[test]
fn what_is_torn_is_passed_over_and_nothing_is_told_twice() {
    let flows = flows(20);
    let whole = tempfile::tempdir().unwrap();
    let (mut capture, indexer) = open(whole.path());
    let ends: Vec<u64> = flows
        .iter()
        .map(|flow| {
            add(&mut capture, std::slice::from_ref(flow));
            capture.written_bytes()
        })
        .collect();
    drop((capture, indexer));
    for cut in [0, 5, 16, 40, ends[0], ends[0] + 30, ends[0] + 60, ends[3] - 1, ends[18] + 1, ends[19]] {
        let directory = tempfile::tempdir().unwrap();
        for name in ["bodies-000000", "flows.sqlite", "flows.sqlite-wal"] {
            if whole.path().join(name).exists() {
                fs::copy(whole.path().join(name), directory.path().join(name)).unwrap();
            }
        }
        let file = OpenOptions::new().write(true).open(directory.path().join("bodies-000000")).unwrap();
        file.set_len(cut).unwrap();
        let left = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(read(directory.path()), all(&flows[..left]), "cut at {cut}");
        let (mut capture, mut indexer) = open(directory.path());
        add(&mut capture, &flows[left..]);
        indexer.catch_up().unwrap();
        assert_eq!(read(directory.path()), all(&flows), "cut at {cut}");
    }
}

#[test]
fn a_damaged_flow_is_missing_and_those_behind_it_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let flows = flows(10);
    let (mut capture, indexer) = open(directory.path());
    add(&mut capture, &flows[..5]);
    let end = capture.written_bytes();
    add(&mut capture, &flows[5..]);
    drop((capture, indexer));
    let path = directory.path().join("bodies-000000");
    let mut bytes = fs::read(&path).unwrap();
    bytes[end as usize - 1] ^= 1;
    fs::write(&path, bytes).unwrap();
    let expected = [&flows[..4], &flows[5..]].concat();
    assert_eq!(read(directory.path()), all(&expected));
}

/// A reader does not know the rules of retention: whoever knows them judges what it told the index.
#[test]
fn flows_that_a_reader_told_of_are_judged_by_the_next_writer() {
    let rules = || Retention::parse("7d; ~c 5xx: 30d", Case::Ignored).unwrap();
    let with_status = |number: u128, created: f64, status: u16| {
        let is_plain = |flow: &Flow| matches!(&flow.kind, FlowKind::Http(http) if http.response.is_some());
        let mut flow = samples().into_iter().find(is_plain).unwrap();
        (flow.id, flow.created) = (FlowId::from_random(number), Timestamp(created));
        if let FlowKind::Http(http) = &mut flow.kind {
            http.response.as_mut().unwrap().status = status;
        }
        flow
    };
    let tend = |indexer: &mut Indexer, now| loop {
        if let Tended::Until(until) = indexer.tend(Timestamp(now)).unwrap() {
            return until.map(|until| until.0);
        }
    };
    let directory = tempfile::tempdir().unwrap();
    let (mut capture, mut indexer) = open(directory.path());
    indexer.set_retention(rules(), Box::new(NoDecoding)).unwrap();
    add(&mut capture, &[with_status(1, 1.0, 200)]);
    assert_eq!(tend(&mut indexer, 2.0), Some(1.0 + 7.0 * 86_400.0));
    add(&mut capture, &[with_status(2, 2.0, 500), with_status(3, 3.0, 200)]);
    drop((capture, indexer));
    assert_eq!(read(directory.path()).len(), 3);
    let (_capture, mut indexer) = open(directory.path());
    indexer.set_retention(rules(), Box::new(NoDecoding)).unwrap();
    assert_eq!(tend(&mut indexer, 5.0), Some(1.0 + 7.0 * 86_400.0));
    assert_eq!(tend(&mut indexer, 4.0 + 7.0 * 86_400.0), Some(2.0 + 30.0 * 86_400.0));
}

/// Flows that retention moved lie in the files a second time: a walk over them tells of none anew.
#[test]
fn flows_that_were_moved_are_not_told_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    let rules = Retention::parse("1m; ~m GET: 40", Case::Ignored).unwrap();
    writer.set_retention(rules, Box::new(NoDecoding)).unwrap();
    let samples = samples();
    for number in 1..=400_u128 {
        let mut flow = samples[number as usize % 3].clone();
        flow.id = FlowId::from_random(number);
        flow.backup = None;
        flow.comment = format!("{number} ").repeat(300);
        writer.add(flow).unwrap();
        writer.commit().unwrap();
        while writer.tend(Timestamp(1.0)).unwrap() == Tended::More {}
    }
    let mut numbers = Vec::new();
    let each = |hit: flowgate_store::Hit<'_>| {
        assert_eq!(hit.row.id, FlowId::from_random(hit.row.number as u128));
        numbers.push(hit.row.number);
        ControlFlow::<()>::Continue(())
    };
    StoreReader::open(directory.path()).unwrap().search(None, 0, &NoDecoding, each).unwrap();
    assert!((40..400).contains(&numbers.len()), "{}", numbers.len());
    let mut moved = 0;
    for entry in fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("bodies-") {
            let bytes = fs::read(path).unwrap();
            let kind_at = |at: BodyRef| bytes[at.offset as usize + 7];
            scan_segment(&mut Cursor::new(&bytes), 0, |at| moved += usize::from(kind_at(at) == 2)).unwrap();
        }
    }
    assert!(moved > 0, "nothing was moved");
}

/// What was saved in haste takes more room than it has to, until there is time.
#[test]
fn flows_that_were_saved_in_haste_are_packed_later() {
    let directory = tempfile::tempdir().unwrap();
    let (mut capture, mut indexer) = open(directory.path());
    // Files of 1 MiB.
    indexer.set_retention(Retention::parse("16m", Case::Ignored).unwrap(), Box::new(NoDecoding)).unwrap();
    capture.hurry();
    let flows: Vec<_> =
        flows(500).into_iter().map(|flow| Flow { comment: "the same again ".repeat(1500), ..flow }).collect();
    let size = || -> u64 {
        let files = fs::read_dir(directory.path()).unwrap().map(Result::unwrap);
        let bodies = files.filter(|file| file.file_name().to_str().unwrap().starts_with("bodies-"));
        bodies.map(|file| file.metadata().unwrap().len()).sum()
    };
    add(&mut capture, &flows);
    indexer.catch_up().unwrap();
    let (before, hasty) = (read(directory.path()), size());
    assert!(hasty > 5_000_000, "{hasty}");
    while indexer.pack().unwrap() {}
    // What is left is the file that is written to.
    assert!(size() < 2_500_000, "{}", size());
    assert_eq!(read(directory.path()), before);
    drop((capture, indexer));
    // Nothing is told or packed anew.
    let (_capture, mut indexer) = open(directory.path());
    assert!(!indexer.pack().unwrap());
    assert_eq!(read(directory.path()), all(&flows));
}

#[test]
fn a_store_of_version_3_is_read_and_written_on() {
    let directory = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/version-3");
    for name in ["flows.sqlite", "bodies-000000"] {
        let packed = File::open(data.join(format!("{name}.zst"))).unwrap();
        fs::write(directory.path().join(name), zstd::decode_all(packed).unwrap()).unwrap();
    }
    let mut expected = all(&samples());
    assert_eq!(read(directory.path()), expected);
    let more = flows(5);
    let (mut capture, mut indexer) = open(directory.path());
    add(&mut capture, &more);
    indexer.catch_up().unwrap();
    expected.extend(all(&more));
    assert_eq!(read(directory.path()), expected);
    assert!(directory.path().join("bodies-000001").exists(), "what tells of no flows is not written on");
}

#[test]
fn how_far_it_is_behind_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let (mut capture, indexer) = open(directory.path());
    let behind = || StoreReader::open(directory.path()).unwrap().behind().unwrap();
    assert_eq!(behind(), 0);
    let all = flows(40);
    add(&mut capture, &all[..20]);
    let first = behind();
    assert!(first > 0);
    add(&mut capture, &all[20..]);
    assert!(behind() > first);
    drop((capture, indexer));
    StoreReader::open(directory.path()).unwrap().catch_up().unwrap();
    assert_eq!((behind(), read(directory.path()).len()), (0, 40));
}
