//! What a store keeps: by size, age, number and filter, also when the rules change, and that its room is given back.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::Path;

use bytes::Bytes;
use flowgate_filter::{Case, Filter, NoDecoding};
use flowgate_flow::{Body, Flow, FlowId, FlowKind, Timestamp};
use flowgate_formats::FlowReader;
use flowgate_store::{Retention, StoreError, StoreReader, StoreWriter, Tended};

/// A flow with this number as its id, of that second and status.
fn flow(number: u128, created: f64, status: u16, body: impl Into<Bytes>) -> Flow {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../session/tests/filters/flows.mitm");
    let mut samples = FlowReader::new(BufReader::new(File::open(path).unwrap())).map(Result::unwrap);
    let is_plain = |flow: &Flow| matches!(&flow.kind, FlowKind::Http(http) if http.response.is_some());
    let mut flow = samples.find(is_plain).unwrap();
    flow.id = FlowId::from_random(number);
    flow.created = Timestamp(created);
    if let FlowKind::Http(http) = &mut flow.kind {
        let response = http.response.as_mut().unwrap();
        response.status = status;
        response.body = Body::Bytes(body.into());
    }
    flow
}

/// A body that does not compress.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

fn keep(writer: &mut StoreWriter, rules: &str) {
    let retention = Retention::parse(rules, Case::Ignored).unwrap();
    writer.set_retention(retention, Box::new(NoDecoding)).unwrap();
}

/// Tends until nothing is left to do; says until when.
fn tend(writer: &mut StoreWriter, now: f64) -> Option<f64> {
    let mut steps = 0;
    loop {
        if let Tended::Until(until) = writer.tend(Timestamp(now)).unwrap() {
            return until.map(|until| until.0);
        }
        steps += 1;
        assert!(steps < 100_000, "tending has no end");
    }
}

fn add(writer: &mut StoreWriter, flows: impl IntoIterator<Item = Flow>) {
    flows.into_iter().for_each(|flow| writer.add(flow).unwrap());
    writer.commit().unwrap();
}

/// The seconds and statuses of all flows, each of which has its body.
fn kept(directory: &Path) -> Vec<(u64, u16)> {
    let mut kept = Vec::new();
    let each = |hit: flowgate_store::Hit<'_>| {
        let (created, status) = (hit.row.created.0 as u64, hit.row.status.unwrap());
        let FlowKind::Http(http) = hit.flow().unwrap().kind else { unreachable!() };
        let body = &http.response.unwrap().body;
        assert_eq!(body.len().unwrap(), body.prefix(usize::MAX).unwrap().unwrap().len() as u64);
        kept.push((created, status));
        ControlFlow::<()>::Continue(())
    };
    StoreReader::open(directory).unwrap().search(None, 0, &NoDecoding, each).unwrap();
    kept
}

fn disk_bytes(directory: &Path) -> u64 {
    fs::read_dir(directory).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

const DAY: f64 = 86_400.0;

#[test]
fn flows_go_when_their_time_is_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    keep(&mut writer, "7d; ~c 5xx: 30d; ~c 4xx: 1d");
    let statuses = [200, 404, 500];
    let flows = (1..=3).flat_map(|second| statuses.map(|status| (second, status)));
    add(
        &mut writer,
        flows.map(|(second, status)| flow(second << 16 | u128::from(status), second as f64, status, "")),
    );
    assert_eq!(tend(&mut writer, 3.0), Some(1.0 + DAY));
    assert_eq!(kept(directory.path()).len(), 9);
    // A time that has come is up.
    assert_eq!(tend(&mut writer, 1.0 + DAY), Some(2.0 + DAY));
    assert_eq!(kept(directory.path()).len(), 8);
    assert_eq!(tend(&mut writer, 1.9 + 7.0 * DAY), Some(2.0 + 7.0 * DAY));
    assert_eq!(kept(directory.path()), [(1, 500), (2, 200), (2, 500), (3, 200), (3, 500)]);
    assert_eq!(tend(&mut writer, 2.0 + 30.0 * DAY), Some(3.0 + 30.0 * DAY));
    assert_eq!(kept(directory.path()), [(3, 500)]);
    assert_eq!(tend(&mut writer, 9.0 + 30.0 * DAY), None);
    assert_eq!(kept(directory.path()), []);
}

#[test]
fn the_newest_stay_of_too_many_but_those_with_an_age_stay_longest() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    keep(&mut writer, "5; ~c 5xx: 30d");
    // They need not come in the order of their times.
    let seconds = [2, 1, 3, 4, 5, 6, 7, 8];
    let status = |second| if second <= 2 { 500 } else { 200 };
    add(&mut writer, seconds.map(|second| flow(second, second as f64, status(second), "")));
    tend(&mut writer, 9.0);
    assert_eq!(kept(directory.path()), [(2, 500), (1, 500), (6, 200), (7, 200), (8, 200)]);
    add(&mut writer, (9..=11).map(|second| flow(second, second as f64, 500, "")));
    tend(&mut writer, 11.0);
    assert_eq!(kept(directory.path()), [(2, 500), (1, 500), (9, 500), (10, 500), (11, 500)]);
    add(&mut writer, [flow(12, 12.0, 500, "")]);
    tend(&mut writer, 12.0);
    assert_eq!(
        kept(directory.path()).iter().map(|(second, _)| *second).collect::<Vec<_>>(),
        [2, 9, 10, 11, 12]
    );
}

#[test]
fn a_filter_may_have_a_number_and_a_size_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    keep(&mut writer, "~c 404: 2; ~c 5xx: 100k");
    let flows = (1..=20).flat_map(|second| [(second, 200), (second, 404), (second, 500)]);
    add(
        &mut writer,
        flows.map(|(second, status)| {
            let number = second << 16 | u128::from(status);
            flow(number, second as f64, status, noise(number as u64, 30_000))
        }),
    );
    tend(&mut writer, 20.0);
    let kept = kept(directory.path());
    let of = |status| kept.iter().filter(|flow| flow.1 == status).map(|flow| flow.0).collect::<Vec<_>>();
    assert_eq!((of(200).len(), of(404), of(500)), (20, vec![19, 20], vec![18, 19, 20]));
}

#[test]
fn a_store_keeps_within_its_size_while_it_is_written() {
    const MIB: u64 = 1 << 20;
    let directory = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    keep(&mut writer, "4m; ~c 5xx: 30d");
    for batch in 0..100_u64 {
        add(
            &mut writer,
            (0..10).map(|n| {
                let number = batch * 10 + n + 1;
                // Every twentieth stays where the others go, so that files have to be emptied.
                let status = if number.is_multiple_of(20) { 500 } else { 200 };
                flow(number.into(), number as f64, status, noise(number, 20_000))
            }),
        );
        // Not until all is done: no more than a busy writer has time for.
        writer.tend(Timestamp(0.0)).unwrap();
        writer.tend(Timestamp(0.0)).unwrap();
        let bytes = disk_bytes(directory.path());
        assert!(bytes < 6 * MIB, "{bytes} after batch {batch}");
    }
    tend(&mut writer, 0.0);
    let bytes = disk_bytes(directory.path());
    assert!((2 * MIB..=4 * MIB).contains(&bytes), "{bytes}");
    let kept = kept(directory.path());
    assert_eq!(kept.iter().filter(|flow| flow.1 == 500).count(), 50, "all that were asked for");
    assert!(kept.len() > 100 && kept.last() == Some(&(1000, 500)), "{}", kept.len());
}

#[test]
fn nearly_all_room_is_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    let flows = (1..=200).map(|number| flow(number, number as f64, 200, noise(number as u64, 40_000)));
    add(&mut writer, flows);
    writer.index_bodies(Box::new(NoDecoding));
    let long = "x".repeat(5000);
    add(
        &mut writer,
        (201..=2000).map(|number| {
            let mut flow = flow(number, number as f64, 200, format!("{number} small"));
            flow.comment.clone_from(&long);
            flow
        }),
    );
    let full = disk_bytes(directory.path());
    assert!(full > 16_000_000, "{full}");
    keep(&mut writer, "10; 1m");
    tend(&mut writer, 0.0);
    drop(writer);
    let left = disk_bytes(directory.path());
    assert!(left <= 1 << 20, "{left} of {full}");
    assert_eq!(kept(directory.path()).len(), 10);
    // The full-text index has forgotten them, too.
    let index = rusqlite::Connection::open(directory.path().join("flows.sqlite")).unwrap();
    assert_eq!(index.query_row("SELECT count(*) FROM texts", (), |row| row.get(0)), Ok(10));
}

#[test]
fn other_rules_hold_for_flows_that_are_there_already() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    let flows =
        || (1..=1000).map(|number| flow(number, number as f64, if number % 2 == 0 { 200 } else { 500 }, ""));
    // Written by somebody who knew nothing of rules.
    add(&mut writer, flows());
    drop(writer);
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    keep(&mut writer, "1d");
    assert_eq!(tend(&mut writer, 500.0 + DAY), Some(501.0 + DAY));
    assert_eq!(kept(directory.path()).len(), 500);
    // What the old rules would drop is kept by the new ones, whatever was done first; half of the flows are at a step's end.
    keep(&mut writer, "1d; ~c 5xx: 2d");
    writer.tend(Timestamp(2000.0 + DAY)).unwrap();
    drop(writer);
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    keep(&mut writer, "1d; ~c 5xx: 2d");
    assert_eq!(tend(&mut writer, 2000.0 + DAY), Some(501.0 + 2.0 * DAY));
    let kept = kept(directory.path());
    assert_eq!((kept.len(), kept.iter().all(|flow| flow.1 == 500)), (250, true));
    // No rule at all.
    keep(&mut writer, "");
    assert_eq!(tend(&mut writer, 1e9), None);
    assert_eq!(crate::kept(directory.path()).len(), 250);
}

#[test]
fn a_size_of_a_filter_counts_flows_that_were_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    add(&mut writer, (1..=200).map(|number| flow(number, number as f64, 500, "")));
    keep(&mut writer, "~c 5xx: 20");
    tend(&mut writer, 0.0);
    assert_eq!(kept(directory.path()).len(), 20);
    drop(writer);
    // And those that the store's last writer had judged.
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    keep(&mut writer, "~c 5xx: 20");
    add(&mut writer, (201..=205).map(|number| flow(number, number as f64, 500, "")));
    tend(&mut writer, 0.0);
    assert_eq!(kept(directory.path()).first(), Some(&(186, 500)));
}

#[test]
fn equal_bodies_survive_the_flow_that_brought_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    keep(&mut writer, "5; 4m");
    let body = noise(7, 100_000);
    for number in 1..=100 {
        add(&mut writer, [flow(number, number as f64, 200, body.clone())]);
        tend(&mut writer, 0.0);
        assert_eq!(kept(directory.path()).len(), usize::min(number as usize, 5));
    }
    assert!(disk_bytes(directory.path()) < 1_500_000);
}

#[test]
fn who_reads_sees_flows_that_are_moved_and_misses_those_that_went() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    keep(&mut writer, "4m");
    add(
        &mut writer,
        (1..=100).map(|number| {
            let status = if number % 10 == 0 { 500 } else { 200 };
            flow(number, number as f64, status, noise(number as u64, 20_000))
        }),
    );
    let reader = StoreReader::open(directory.path()).unwrap();
    let (mut read, mut gone) = (Vec::new(), 0);
    let each = |hit: flowgate_store::Hit<'_>| {
        if hit.row.number == 1 {
            // Whoever is in the middle of a search.
            keep(&mut writer, "~c 200: 0; 4m");
            tend(&mut writer, 0.0);
            keep(&mut writer, "~c 200: 0; 1m");
            tend(&mut writer, 0.0);
        }
        let number = hit.row.number;
        match hit.flow() {
            Ok(flow) => {
                let FlowKind::Http(http) = flow.kind else { unreachable!() };
                let body = http.response.unwrap().body.prefix(usize::MAX).unwrap().unwrap();
                assert!(body == noise(number as u64, 20_000));
                read.push(number);
            }
            Err(StoreError::NoSuchFlow) => gone += 1,
            Err(error) => unreachable!("{error:?}"),
        }
        ControlFlow::<()>::Continue(())
    };
    reader.search(None, 0, &NoDecoding, each).unwrap();
    assert_eq!(read.iter().filter(|number| *number % 10 == 0).count(), 10);
    assert!(gone > 50, "{gone}");
    // With a filter that reads flows, what went is not found, and nothing is damaged.
    let filter = Filter::parse("~b . & ~all", Case::Ignored).unwrap();
    let mut found = 0;
    let count = |_: flowgate_store::Hit<'_>| {
        found += 1;
        ControlFlow::<()>::Continue(())
    };
    let (searched, _) = reader.search(Some(&filter), 0, &NoDecoding, count).unwrap();
    assert_eq!((searched.unreadable, found), (0, 10));
}

#[test]
fn a_flow_in_place_of_another_is_counted_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    keep(&mut writer, "3");
    for _ in 0..5 {
        add(&mut writer, (1..=3).map(|number| flow(number, number as f64, 200, "")));
        tend(&mut writer, 0.0);
    }
    assert_eq!(kept(directory.path()).len(), 3);
    add(&mut writer, [flow(4, 4.0, 200, ""), flow(4, 5.0, 200, "")]);
    tend(&mut writer, 0.0);
    assert_eq!(kept(directory.path()), [(2, 200), (3, 200), (5, 200)]);
}

#[test]
fn nothing_goes_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    add(&mut writer, (1..=50).map(|number| flow(number, 0.0, 200, "")));
    assert_eq!(writer.tend(Timestamp(1e10)).unwrap(), Tended::Until(None));
    assert_eq!(kept(directory.path()).len(), 50);
}
