//! Nanoseconds per flow, for a typical one: `cargo run --release -p flowgate-formats --example flow_cost`.
//!
//! Not a test: figures of a shared machine prove nothing. Compare two runs on the same one.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use flowgate_flow::{
    Address, Body, ClientConnection, Flow, FlowId, FlowKind, HttpFlow, HttpVersion, PseudoFields, Request,
    Response, ServerConnection, Timestamp,
};
use flowgate_formats::{FlowReader, FlowWriter};

const ROUNDS: usize = 100;
const FLOWS: u128 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let plain = flow(0, 1024)?;
    let mut with_chain = plain.clone();
    let certificate = Bytes::from(vec![0x30; 1200]);
    Arc::make_mut(&mut with_chain.client).leaf = Some(certificate.clone());
    Arc::make_mut(&mut with_chain.server).connection.certificate_list = vec![certificate; 2];
    let flows = [
        ("1 KiB body", plain),
        ("1 KiB body, leaf and chain of 2 certificates", with_chain),
        ("64 KiB body", flow(0, 64 * 1024)?),
    ];
    for (name, flow) in flows {
        let mut writer = FlowWriter::new();
        let mut out = Vec::new();
        writer.write_flow(&mut out, &flow)?;
        let write = best(|| {
            out.clear();
            writer.write_flow(&mut out, black_box(&flow))?;
            black_box(&out);
            Ok(())
        })?;
        let read = best(|| {
            for flow in FlowReader::new(black_box(&out[..])) {
                black_box(flow?);
            }
            Ok(())
        })?;
        println!("{name}: {} bytes, write {write} ns, read {read} ns", out.len());
    }
    Ok(())
}

/// Nanoseconds of one call, in the best of several rounds: the one that others disturbed least.
fn best(mut call: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<u128, Box<dyn Error>> {
    let mut best = u128::MAX;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..FLOWS {
            call()?;
        }
        best = best.min(begin.elapsed().as_nanos() / FLOWS);
    }
    Ok(best)
}

/// 13 request headers, 8 response headers, TLS on both sides.
fn flow(random: u128, body_bytes: usize) -> Result<Flow, Box<dyn Error>> {
    let mut client = ClientConnection::new(FlowId::from_random(random), "regular".to_owned());
    let mut server = ServerConnection::new(
        FlowId::from_random(random + 1),
        Some(Address { host: "www.example.com".to_owned(), port: 443 }),
    );
    for connection in [&mut client.connection, &mut server.connection] {
        connection.peername = Some("192.0.2.17:50123".parse()?);
        connection.sockname = Some("192.0.2.18:8080".parse()?);
        connection.tls = true;
        connection.alpn = Some(Bytes::from_static(b"h2"));
        connection.alpn_offers = vec![Bytes::from_static(b"h2"), Bytes::from_static(b"http/1.1")];
        connection.cipher = Some("TLS_AES_128_GCM_SHA256".to_owned());
        connection.tls_version = Some("TLSv1.3".to_owned());
        connection.sni = Some("www.example.com".to_owned());
        connection.timestamp_start = Some(Timestamp(1_767_225_600.123_456));
        connection.timestamp_tls_setup = Some(Timestamp(1_767_225_600.223_457));
        connection.timestamp_end = Some(Timestamp(1_767_225_601.323_458));
    }
    server.timestamp_tcp_setup = Some(Timestamp(1_767_225_600.156_789));
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let request = Request {
        version: HttpVersion::Http2,
        method: Bytes::from_static(b"GET"),
        scheme: Bytes::from_static(b"https"),
        host: "www.example.com".to_owned(),
        port: 443,
        authority: Bytes::from_static(b"www.example.com"),
        path: Bytes::from_static(b"/assets/application.js?v=20260101"),
        pseudo: PseudoFields::default(),
        headers: [
            ("user-agent", agent),
            ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("accept-language", "en-US,en;q=0.5"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("referer", "https://www.example.com/"),
            ("cookie", "session=0123456789abcdef0123456789abcdef; theme=dark"),
            ("upgrade-insecure-requests", "1"),
            ("sec-fetch-dest", "script"),
            ("sec-fetch-mode", "no-cors"),
            ("sec-fetch-site", "same-origin"),
            ("priority", "u=2"),
            ("if-none-match", "\"5f3c-62a1\""),
            ("te", "trailers"),
        ]
        .into_iter()
        .collect(),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: Timestamp(1_767_225_600.334_455),
        timestamp_end: Some(Timestamp(1_767_225_600.334_999)),
    };
    let response = Response {
        version: HttpVersion::Http2,
        status: 200,
        reason: Bytes::new(),
        headers: [
            ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("content-type", "application/javascript; charset=utf-8"),
            ("content-length", "1024"),
            ("cache-control", "public, max-age=31536000, immutable"),
            ("etag", "\"5f3c-62a2\""),
            ("vary", "Accept-Encoding"),
            ("server", "nginx"),
            ("strict-transport-security", "max-age=63072000"),
        ]
        .into_iter()
        .collect(),
        body: Body::Bytes(vec![b'x'; body_bytes].into()),
        trailers: None,
        timestamp_start: Timestamp(1_767_225_600.445_566),
        timestamp_end: Some(Timestamp(1_767_225_600.446_677)),
    };
    let http = HttpFlow { request, response: Some(response), websocket: None };
    Ok(Flow::new(
        FlowId::from_random(random + 2),
        Arc::new(client),
        Arc::new(server),
        FlowKind::Http(Box::new(http)),
        Timestamp(1_767_225_600.334_455),
    ))
}
