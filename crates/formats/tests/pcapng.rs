//! Captures, as tshark reads them: HTTP, WebSocket, DNS and UDP dissected, TLS decrypted with the secrets in the file.
//!
//! Where tshark is not installed only the blocks are checked, and a line says so.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking; helpers are not seen as tests"
)]

mod samples;

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flowgate_flow::*;
use flowgate_formats::pcapng::PcapngWriter;
use flowgate_testkit::{TestCa, require};
use proptest::prelude::*;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use samples::{flow, flows, request, response};

fn capture(flows: &[Flow], secrets: &[u8]) -> Vec<u8> {
    let (mut out, mut writer) = (Vec::new(), PcapngWriter::new());
    writer.begin(&mut out, secrets).unwrap();
    for flow in flows {
        writer.write_flow(&mut out, flow).unwrap();
    }
    out
}

/// What tshark prints of these fields, a line for each packet that has any; `None` if it is not installed.
fn dissected(capture: &[u8], filter: &str, fields: &[&str]) -> Option<String> {
    let tshark = require("tshark")?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcapng");
    std::fs::write(&path, capture).unwrap();
    let mut command = Command::new(tshark);
    command.arg("-r").arg(&path).args(["-Y", filter, "-T", "fields", "-E", "separator=|"]);
    // Checksums are checked, which Wireshark does not unless told to.
    command.args([
        "-o",
        "tcp.check_checksum:TRUE",
        "-o",
        "ip.check_checksum:TRUE",
        "-o",
        "udp.check_checksum:TRUE",
    ]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

fn http(change: impl FnOnce(&mut HttpFlow)) -> Flow {
    let mut http = HttpFlow {
        request: Request {
            headers: [("Host", "example.com")].into_iter().collect(),
            authority: Bytes::new(),
            ..request()
        },
        response: Some(Response {
            headers: Headers::new(),
            trailers: None,
            body: Body::Bytes("answer".into()),
            ..response()
        }),
        websocket: None,
    };
    change(&mut http);
    let mut flow = flow(FlowKind::Http(Box::new(http)));
    Arc::make_mut(&mut flow.client).connection.transport = Transport::Tcp;
    flow
}

fn message(from_client: bool, content: &[u8]) -> RawMessage {
    RawMessage { from_client, content: Bytes::copy_from_slice(content), timestamp: Timestamp(1767225602.0) }
}

/// Every block says its length twice, and nothing is left over.
fn check_blocks(capture: &[u8]) -> usize {
    let (mut rest, mut count) = (capture, 0);
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        assert_eq!(length % 4, 0);
        let (block, after) = rest.split_at(length);
        assert_eq!(block[length - 4..], block[4..8]);
        (rest, count) = (after, count + 1);
    }
    count
}

#[test]
fn http_is_dissected() {
    let big: Bytes = (0..100_000_u32).map(|n| b'a' + (n % 26) as u8).collect();
    let chunked = http(|http| {
        http.request.method = "POST".into();
        http.request.path = "/chunked".into();
        http.request.headers.push("Transfer-Encoding", "chunked");
        http.request.body = Body::Bytes("body".into());
        http.response.as_mut().unwrap().body = Body::Bytes(big.clone());
    });
    let http2 = http(|http| {
        http.request.version = HttpVersion::Http2;
        http.request.authority = "h2.example".into();
        http.request.headers = Headers::new();
        http.request.path = "/two".into();
        http.request.method = "GET".into();
        http.request.body = Body::EMPTY;
        http.response.as_mut().unwrap().version = HttpVersion::Http2;
        http.response.as_mut().unwrap().reason = Bytes::new();
    });
    let head = http(|http| {
        http.request.method = "HEAD".into();
        http.request.body = Body::EMPTY;
        http.response.as_mut().unwrap().headers.push("Content-Length", "7");
        http.response.as_mut().unwrap().body = Body::EMPTY;
    });
    let capture = capture(&[chunked, http2, head], b"");
    assert!(check_blocks(&capture) > 20);
    let Some(text) = dissected(
        &capture,
        "http",
        &[
            "tcp.stream",
            "tcp.dstport",
            "http.request.method",
            "http.host",
            "http.request.uri",
            "http.response.code",
            "http.file_data",
        ],
    ) else {
        return;
    };
    let lines: Vec<_> = text.lines().map(|line| line.split('|').collect::<Vec<_>>()).collect();
    let shown: Vec<_> = lines.iter().map(|line| (line[0], line[2], line[3], line[4], line[5])).collect();
    assert_eq!(
        shown,
        [
            ("0", "POST", "example.com", "/chunked", ""),
            ("0", "", "", "", "200"),
            ("1", "GET", "h2.example", "/two", ""),
            ("1", "", "", "", "200"),
            ("2", "HEAD", "example.com", "/a?b=c", ""),
            ("2", "", "", "", "200"),
        ]
    );
    assert_eq!(lines[0][1], "80", "what was decrypted appears on a port of its own");
    assert_eq!(lines[0][6], "body");
    assert_eq!(lines[1][6].len(), big.len());
    let wrong = dissected(
        &capture,
        "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0 || (tcp.analysis.flags && !tcp.analysis.reused_ports)",
        &["frame.number"],
    );
    assert_eq!(wrong.unwrap(), "");
    let comments = dissected(&capture, "frame.comment", &["frame.comment"]).unwrap();
    assert_eq!(comments.lines().nth(1), Some("crossed as HTTP/2.0; decrypted; went to port 443"));
}

#[test]
fn websocket_udp_tcp_and_dns_are_dissected() {
    let websocket = http(|http| {
        http.request.method = "GET".into();
        http.request.body = Body::EMPTY;
        for (name, value) in [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
        ] {
            http.request.headers.push(name, value);
        }
        let answer = http.response.as_mut().unwrap();
        answer.status = 101;
        answer.body = Body::EMPTY;
        answer.headers = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ]
        .into_iter()
        .collect();
        let says = |from_client, content: &[u8]| WebSocketMessage {
            opcode: 1,
            from_client,
            content: Bytes::copy_from_slice(content),
            timestamp: Timestamp(1767225605.0),
            dropped: false,
            injected: false,
        };
        let messages = vec![says(true, b"ping?"), says(false, &[b'x'; 300]), says(false, &[b'y'; 70_000])];
        http.websocket = Some(WebSocketData { messages, ..WebSocketData::default() });
    });
    let all = [&flows()[..], &[websocket]].concat();
    let capture = capture(&all, b"");
    check_blocks(&capture);
    let Some(text) = dissected(&capture, "websocket", &["websocket.payload.text", "websocket.mask"]) else {
        return;
    };
    let payloads: Vec<usize> = text.lines().map(|line| line.split('|').next().unwrap().len()).collect();
    assert!(payloads.ends_with(&[5, 300, 70_000]), "{payloads:?}");
    let names =
        dissected(&capture, "dns", &["dns.qry.name", "dns.flags.response", "dns.count.answers"]).unwrap();
    assert!(names.lines().count() >= 2 && !names.contains("Malformed"), "{names}");
    let wrong = "tcp.checksum.status == 0 || ip.checksum.status == 0 || udp.checksum.status == 0 || tcp.analysis.lost_segment";
    assert_eq!(dissected(&capture, wrong, &["frame.number"]).unwrap(), "");
}

/// A connection that was recorded in TLS, as it is when nothing may be decrypted, with a key log of the client's.
#[test]
fn secrets_decrypt_what_was_recorded_in_tls() {
    let (messages, secrets) = tls_conversation();
    let mut recorded = flow(FlowKind::Tcp(RawFlow { messages }));
    Arc::make_mut(&mut recorded.server).connection.transport = Transport::Tcp;
    let fields = ["http.request.uri", "http.response.code"];
    let Some(with) = dissected(&capture(&[recorded.clone()], secrets.as_bytes()), "http", &fields) else {
        return;
    };
    assert_eq!(with, "/secret|\n|204\n");
    assert_eq!(dissected(&capture(&[recorded], b""), "http", &fields).unwrap(), "");
}

#[derive(Debug, Default)]
struct Lines(Mutex<String>);

impl rustls::KeyLog for Lines {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        self.0.lock().unwrap().push_str(&format!("{label} {} {}\n", hex(client_random), hex(secret)));
    }
}

fn tls_conversation() -> (Vec<RawMessage>, String) {
    let ca = TestCa::new();
    let server_config = ca.leaf(&["example.com"]).server_config(&[]);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca.certificate_path()).unwrap()).unwrap();
    let lines = Arc::new(Lines::default());
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.key_log = lines.clone();
    let mut client =
        rustls::ClientConnection::new(Arc::new(config), "example.com".try_into().unwrap()).unwrap();
    let mut server = rustls::ServerConnection::new(server_config).unwrap();
    client.writer().write_all(b"GET /secret HTTP/1.1\r\nHost: example.com\r\n\r\n").unwrap();
    let mut messages = Vec::new();
    let mut answered = false;
    loop {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut up).unwrap();
        }
        let mut rest = &up[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().unwrap();
        }
        let mut asked = [0; 1000];
        if !answered && server.reader().read(&mut asked).is_ok_and(|n| n > 0) {
            server.writer().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            answered = true;
        }
        while server.wants_write() {
            server.write_tls(&mut down).unwrap();
        }
        let mut rest = &down[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets().unwrap();
        }
        if up.is_empty() && down.is_empty() {
            let secrets = lines.0.lock().unwrap().clone();
            return (messages, secrets);
        }
        messages.extend(
            [message(true, &up), message(false, &down)]
                .into_iter()
                .filter(|message| !message.content.is_empty()),
        );
    }
}

#[test]
fn too_many_secrets_are_refused() {
    let mut out = Vec::new();
    assert!(PcapngWriter::new().begin(&mut out, &vec![b'x'; PcapngWriter::SECRETS_BYTES_MAX]).is_ok());
    let error =
        PcapngWriter::new().begin(&mut out, &vec![b'x'; PcapngWriter::SECRETS_BYTES_MAX + 1]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

proptest! {
    #[test]
    fn any_conversation_is_a_row_of_blocks(
        contents in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..40_000)), 0..6),
        udp in any::<bool>(),
        created in any::<f64>(),
    ) {
        let messages = contents.iter().map(|(from_client, content)| message(*from_client, content)).collect();
        let raw = RawFlow { messages };
        let mut flow = flow(if udp { FlowKind::Udp(raw) } else { FlowKind::Tcp(raw) });
        flow.created = Timestamp(created);
        check_blocks(&capture(&[flow], b"key log"));
    }
}
