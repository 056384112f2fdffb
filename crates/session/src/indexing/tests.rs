//! The index is told of everything, in time, and by whoever has to.

use std::ops::ControlFlow;
use std::path::Path;

use flowgate_addons::Decoding;
use flowgate_flow::{Flow, FlowId};
use flowgate_store::{StoreReader, StoreWriter};

use super::*;
use crate::testing::flow;

fn numbers(directory: &Path) -> Vec<i64> {
    let mut numbers = Vec::new();
    let each = |hit: flowgate_store::Hit<'_>| {
        numbers.push(hit.row.number);
        ControlFlow::<()>::Continue(())
    };
    StoreReader::open(directory).unwrap().search(None, 0, &Decoding, each).unwrap();
    numbers
}

#[test]
fn whoever_opens_the_store_finds_what_was_saved() {
    let directory = tempfile::tempdir().unwrap();
    let (mut capture, indexer) = StoreWriter::open(directory.path()).unwrap().split();
    let mut indexing = Indexing::new(indexer);
    indexing.start().unwrap();
    for number in 1..=30 {
        let mut flow = flow();
        flow.id = FlowId::from_random(number);
        capture.add(flow).unwrap();
        capture.commit().unwrap();
        indexing.saved(1, capture.written_bytes()).unwrap();
        // The thread does its part while the reader waits.
        assert_eq!(numbers(directory.path()).len() as u128, number);
    }
    // Saved and not told: it is for the end, or for who comes later.
    let mut last = flow();
    last.id = FlowId::from_random(31);
    capture.add(last).unwrap();
    capture.commit().unwrap();
    indexing.finish();
    assert_eq!(indexing.lock().indexed_bytes(), capture.written_bytes());
    drop((capture, indexing));
    assert_eq!(numbers(directory.path()), (1..=31).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_index_that_cannot_be_written_is_told_of_and_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let (mut capture, indexer) = StoreWriter::open(directory.path()).unwrap().split();
    let mut indexing = Indexing::new(indexer);
    indexing.start().unwrap();
    assert!(indexing.check().is_ok());
    capture.add(flow()).unwrap();
    capture.commit().unwrap();
    // Another program changed what is none of its business.
    let index = rusqlite::Connection::open(directory.path().join("flows.sqlite")).unwrap();
    index.execute_batch("ALTER TABLE flows RENAME TO elsewhere").unwrap();
    indexing.saved(1, capture.written_bytes()).unwrap();
    indexing.health_changed().await;
    assert!(indexing.check().is_err());
    assert!(indexing.check().is_ok(), "it is said once");
    // Nobody waits for that.
    let reader = StoreReader::open(directory.path()).unwrap();
    let behind = reader.by_id("", 1).map(|hits| hits.len());
    assert!(matches!(behind, Err(StoreError::Behind | StoreError::Index(_))), "{behind:?}");
    drop(reader);
    index.execute_batch("ALTER TABLE elsewhere RENAME TO flows").unwrap();
    drop(index);
    while indexing.lock().indexed_bytes() < capture.written_bytes() {
        thread::yield_now();
    }
    assert_eq!(numbers(directory.path()), [1]);
}

#[test]
fn what_is_kept_is_the_threads_business() {
    let directory = tempfile::tempdir().unwrap();
    let (mut capture, indexer) = StoreWriter::open(directory.path()).unwrap().split();
    let mut indexing = Indexing::new(indexer);
    let rules = |text: &str| Retention::parse(text, flowgate_filter::Case::Ignored).unwrap();
    let control = indexing.keep(rules("100")).unwrap();
    indexing.start().unwrap();
    for number in 1..=30 {
        capture.add(Flow { id: FlowId::from_random(number), ..flow() }).unwrap();
    }
    capture.commit().unwrap();
    indexing.saved(30, capture.written_bytes()).unwrap();
    assert_eq!(numbers(directory.path()).len(), 30);
    // At once, not only after the next flow.
    control.set(rules("3"));
    while numbers(directory.path()) != [28, 29, 30] {
        thread::yield_now();
    }
    assert_eq!(control.current(), rules("3"));
}

/// Flows of the last second stayed, those of which nothing is kept among them, until the store was written to again.
#[test]
fn what_is_to_go_goes_before_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let (mut capture, indexer) = StoreWriter::open(directory.path()).unwrap().split();
    let mut indexing = Indexing::new(indexer);
    indexing.keep(Retention::parse("3", flowgate_filter::Case::Ignored).unwrap()).unwrap();
    // The thread came to none of it.
    for number in 1..=30 {
        capture.add(Flow { id: FlowId::from_random(number), ..flow() }).unwrap();
    }
    capture.commit().unwrap();
    indexing.finish();
    drop((capture, indexing));
    assert_eq!(numbers(directory.path()), [28, 29, 30]);
}

#[test]
fn the_index_waits_while_flows_come_fast_but_not_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let (_capture, indexer) = StoreWriter::open(directory.path()).unwrap().split();
    let indexing = Indexing::new(indexer);
    let shared = &indexing.shared;
    let now = Instant::now();
    assert!(!shared.may_wait(now), "nothing comes");
    shared.came.store(CALM_FLOWS_MAX + 1, Ordering::Relaxed);
    assert!(shared.may_wait(now));
    let ago = |time: Duration| now.checked_sub(time * 2).unwrap();
    assert!(shared.may_wait(ago(TEND_LATE_MAX)) && !shared.may_wait(ago(INDEX_PUT_OFF_MAX)));
    shared.written.store(INDEX_PUT_OFF_BYTES_MAX, Ordering::Relaxed);
    assert!(shared.may_wait(now));
    shared.written.store(INDEX_PUT_OFF_BYTES_MAX + 1, Ordering::Relaxed);
    assert!(!shared.may_wait(now));
    // A store that may be no larger than 8 MiB is not 1 GiB larger for want of an index.
    let limited = Retention::parse("8m", flowgate_filter::Case::Ignored).unwrap();
    shared.set_retention(&mut lock(&shared.indexer), limited).unwrap();
    shared.written.store(1024 * 1024 + 1, Ordering::Relaxed);
    assert!(!shared.may_wait(now));
    shared.written.store(1024, Ordering::Relaxed);
    // Nor does it keep for long what is to go.
    assert!(shared.may_wait(now) && !shared.may_wait(ago(TEND_LATE_MAX)));
    let _reader = {
        let path = directory.path().join("waiting.lock");
        let lock = std::fs::File::create(path).unwrap();
        lock.lock_shared().unwrap();
        lock
    };
    assert!(!shared.may_wait(now), "somebody waits");
}
