//! Measures a store: `cargo run --release -p flowgate-store --example million -- [FLOWS] [BODY_BYTES] [FOLDER] [FILTER]...`,
//! with the variable `INDEX_BODIES` set also with the full-text index.
//!
//! Writes so many flows, unless the folder holds them already, and says what writing, opening and searching take. Memory is
//! this process's peak (`VmHWM`).
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

mod random;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use flowgate_filter::{Case, Filter, NoDecoding};
use flowgate_flow::{
    Address, Body, ClientConnection, Connection, Flow, FlowId, FlowKind, Headers, HttpFlow, HttpVersion,
    Request, Response, ServerConnection, Timestamp,
};
use flowgate_store::{StoreReader, StoreWriter};
use random::Random;

/// Flows in one batch, as a busy proxy's saver has them.
const BATCH: usize = 256;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let flows: u64 = arguments.next().map_or(1_000_000, |text| text.parse().unwrap());
    let body_bytes: usize = arguments.next().map_or(1000, |text| text.parse().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let folder = arguments.next().map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    if !folder.join("flows.sqlite").exists() {
        write(&folder, flows, body_bytes);
    }
    let begun = Instant::now();
    let reader = StoreReader::open(&folder).unwrap();
    println!("open: {:?}", begun.elapsed());
    let begun = Instant::now();
    println!("count: {} in {:?}", reader.count().unwrap(), begun.elapsed());
    let given: Vec<_> = arguments.collect();
    let usual = [
        r"~d example\.com & ~c 5xx",
        r"~d host7\.test & ~c 5xx",
        "~c 404",
        "~d example",
        "~e",
        "~u item/77777",
        "~b needle-424242",
        "~b nowhere-to-be-found",
    ];
    let filters = if given.is_empty() { usual.map(str::to_owned).to_vec() } else { given };
    for text in filters {
        // The first time, and with all in the system's cache.
        for _ in 0..2 {
            search(&reader, &text);
        }
    }
    println!("peak memory: {}", peak());
}

fn search(reader: &StoreReader, text: &str) {
    let filter = Filter::parse(text, Case::Ignored).unwrap();
    let begun = Instant::now();
    let (mut count, mut first) = (0_u64, None);
    let each = |_: flowgate_store::Hit<'_>| {
        first.get_or_insert_with(|| begun.elapsed());
        count += 1;
        ControlFlow::<()>::Continue(())
    };
    reader.search(Some(&filter), 0, &NoDecoding, each).unwrap();
    println!("{text}: {count} in {:?} (the first after {first:?})", begun.elapsed());
}

fn write(folder: &Path, flows: u64, body_bytes: usize) {
    let mut writer = StoreWriter::open(folder).unwrap();
    if std::env::var_os("INDEX_BODIES").is_some() {
        writer.index_bodies(Box::new(NoDecoding));
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let begun = Instant::now();
    let mut memory_before = String::new();
    for number in 0..flows {
        writer.add(flow(number, body_bytes, &mut random)).unwrap();
        if writer.uncommitted() >= BATCH {
            writer.commit().unwrap();
        }
        if number == flows / 10 {
            memory_before = peak();
        }
    }
    writer.commit().unwrap();
    let took = begun.elapsed();
    let bytes: u64 =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    println!(
        "{flows} flows with bodies of {body_bytes} bytes: {took:?}, {:.1} us each, {} bytes each on disk; peak memory {}, {memory_before} after a tenth",
        took.as_secs_f64() * 1e6 / flows as f64,
        bytes / flows.max(1),
        peak(),
    );
}

fn flow(number: u64, body_bytes: usize, random: &mut Random) -> Flow {
    let id = FlowId::from_random(u128::from(random.next()) << 64 | u128::from(random.next()));
    let now = 1_700_000_000.0 + number as f64 / 100.0;
    let host = match random.below(10) {
        0 => "www.example.com".to_owned(),
        1 => "api.example.com".to_owned(),
        _ => format!("host{}.test", random.below(500)),
    };
    let connection = |bits: u64| {
        let mut connection = Connection::new(FlowId::from_random(u128::from(bits)));
        connection.peername = Some(([10, 0, 0, 1], 40_000).into());
        connection.tls = true;
        connection.tls_version = Some("TLSv1.3".to_owned());
        connection.sni = Some(host.clone());
        // Every server shows its chain in every flow.
        connection.certificate_list = vec![Bytes::from(host.repeat(100))];
        connection
    };
    let client = ClientConnection {
        connection: Connection { certificate_list: Vec::new(), ..connection(random.next()) },
        leaf: Some(host.repeat(50).into()),
        fingerprints: None,
        mode: "regular".to_owned(),
    };
    let server = ServerConnection {
        connection: connection(random.next()),
        address: Some(Address { host: host.clone(), port: 443 }),
        timestamp_tcp_setup: None,
        via: None,
    };
    let path = format!("/api/v1/item/{number}?session={:x}", random.next());
    let headers = |fields: &[(&str, &str)]| fields.iter().copied().collect::<Headers>();
    let request = Request {
        version: HttpVersion::Http2,
        method: "GET".into(),
        scheme: "https".into(),
        host: host.clone(),
        port: 443,
        authority: host.clone().into(),
        path: path.into(),
        pseudo: flowgate_flow::PseudoFields::default(),
        headers: headers(&[
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("cookie", "session=0123456789abcdef0123456789abcdef"),
        ]),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: Timestamp(now),
        timestamp_end: Some(Timestamp(now)),
    };
    let status = match random.below(100) {
        0 => 500,
        1 => 503,
        2..5 => 404,
        5..10 => 302,
        _ => 200,
    };
    let response = Response {
        version: HttpVersion::Http2,
        status,
        reason: Bytes::new(),
        headers: headers(&[
            ("content-type", "application/json"),
            ("server", "nginx"),
            ("cache-control", "no-cache"),
        ]),
        body: Body::Bytes(body(number, body_bytes, random)),
        trailers: None,
        timestamp_start: Timestamp(now + 0.02),
        timestamp_end: Some(Timestamp(now + 0.05)),
    };
    let http = HttpFlow { request, response: Some(response), websocket: None };
    Flow::new(id, Arc::new(client), Arc::new(server), FlowKind::Http(Box::new(http)), Timestamp(now))
}

/// JSON with names and words that come again and values that do not.
fn body(number: u64, bytes: usize, random: &mut Random) -> Bytes {
    let mut text = format!("{{\"id\":\"needle-{number}\"");
    while text.len() < bytes {
        let field = ["name", "value", "created_at", "owner", "description"][random.below(5)];
        text += &format!(",\"{field}\":\"{:x} word{}\"", random.below(1 << 32), random.below(3000));
    }
    text.truncate(bytes.saturating_sub(1));
    text.push('}');
    text.into()
}

fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap_or(" unknown").trim().to_owned()
}
