//! A writer of whole flows killed at 200 random points loses no flow that it said was committed, and the next one goes on.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use flowgate_filter::NoDecoding;
use flowgate_flow::{
    Body, ClientConnection, Connection, Flow, FlowId, FlowKind, Headers, HttpFlow, HttpVersion, PseudoFields,
    Request, ServerConnection, Timestamp,
};
use flowgate_store::{StoreReader, StoreWriter};

/// Names the directory to the process that is to be killed.
const DIRECTORY: &str = "FLOWGATE_STORE_FLOWS_KILL_TEST";

fn flow(id: &str, body: String) -> Flow {
    let client = ClientConnection {
        connection: Connection::new(FlowId::from_random(1)),
        leaf: None,
        fingerprints: None,
        mode: "regular".into(),
    };
    let server = ServerConnection {
        connection: Connection::new(FlowId::from_random(2)),
        address: None,
        timestamp_tcp_setup: None,
        via: None,
    };
    let request = Request {
        version: HttpVersion::Http11,
        method: "POST".into(),
        scheme: "http".into(),
        host: "example.com".into(),
        port: 80,
        authority: "".into(),
        path: "/".into(),
        pseudo: PseudoFields::default(),
        headers: Headers::new(),
        body: Body::Bytes(body.into()),
        trailers: None,
        timestamp_start: Timestamp(1.0),
        timestamp_end: None,
    };
    let kind = FlowKind::Http(Box::new(HttpFlow { request, response: None, websocket: None }));
    Flow::new(FlowId::Text(id.into()), Arc::new(client), Arc::new(server), kind, Timestamp(1.0))
}

fn body_of(id: &str) -> String {
    let length = id.bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("{id}-").repeat(1 + length % 900)
}

/// Tells the process to be killed to leave it to others to bring the index up to date, or to do some of it.
const STEP_EVERY: &str = "FLOWGATE_STORE_FLOWS_KILL_TEST_STEP_EVERY";

/// In the process to be killed: writes until then. As a test of its own it does nothing.
#[test]
fn writes_until_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let step_every: u64 = std::env::var(STEP_EVERY).unwrap().parse().unwrap();
    let (mut writer, mut indexer) = StoreWriter::open(Path::new(&directory)).unwrap().split();
    let mut out = std::io::stdout().lock();
    writeln!(out).unwrap();
    for batch in 0..100_000_u64 {
        let ids: Vec<_> = (0..=batch % 7).map(|n| format!("{}-{batch}-{n}", std::process::id())).collect();
        for id in &ids {
            writer.add(flow(id, body_of(id))).unwrap();
        }
        writer.commit().unwrap();
        if batch % step_every == 0 {
            indexer.step().unwrap();
        }
        writeln!(out, "committed {}", ids.join(" ")).unwrap();
    }
}

#[test]
fn two_hundred_kills_lose_no_flow() {
    let mut random = 0x9e37_79b9_u32;
    let mut checked = 0;
    for round in 0..20 {
        // The index is told of everything, of a part, or of nothing.
        let step_every = [1, 5, u64::MAX][round % 3];
        let directory = tempfile::tempdir().unwrap();
        let mut committed = HashSet::new();
        for _ in 0..10 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let lines = 1 + (random >> 16) as usize % 40;
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "writes_until_killed", "--nocapture"])
                .env(DIRECTORY, directory.path())
                .env(STEP_EVERY, step_every.to_string())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut told = 0;
            let mut remember = |line: String| {
                let ids = line.strip_prefix("committed ").map(str::to_owned);
                ids.iter().flat_map(|ids| ids.split(' ')).for_each(|id| {
                    committed.insert(id.to_owned());
                });
                ids.is_some()
            };
            while told < lines {
                told += usize::from(remember(output.next().unwrap().unwrap()));
            }
            child.kill().unwrap();
            child.wait().unwrap();
            // What it said before it died counts, too, but for an id that was cut off: `-` and digits end each.
            let rest: Vec<_> = output.map_while(Result::ok).collect();
            let whole = rest.len().saturating_sub(1);
            rest.into_iter().take(whole).for_each(|line| {
                remember(line);
            });
        }
        let reader = StoreReader::open(directory.path()).unwrap();
        let mut readable = HashSet::new();
        let each = |hit: flowgate_store::Hit<'_>| {
            let flow = hit.flow().unwrap();
            let FlowKind::Http(http) = &flow.kind else { unreachable!() };
            let body = http.request.body.prefix(usize::MAX).unwrap().unwrap();
            assert_eq!(body, body_of(&flow.id.to_string()));
            assert!(readable.insert(flow.id.to_string()), "told twice");
            ControlFlow::<()>::Continue(())
        };
        reader.search(None, 0, &NoDecoding, each).unwrap();
        let lost: Vec<_> = committed.difference(&readable).collect();
        assert!(lost.is_empty(), "{lost:?}");
        checked += committed.len();
    }
    assert!(checked >= 200);
}
