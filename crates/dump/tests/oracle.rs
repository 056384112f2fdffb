//! Holds what is printed against mitmdump itself: every case of the table, and many ordinary flows made at random.
//!
//! Needs a Python that can import mitmproxy 12, named by `FLOWGATE_MITMPROXY_PYTHON`; without it the test says that it did
//! nothing, except where `CI` is set: there it fails.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod flows;

use std::io::Write as _;
use std::process::{Command, Stdio};

use flowgate_dump::{Dumper, Style};
use flowgate_flow::{Body, DnsMessage, Flow, FlowKind, Headers, HttpVersion, MetadataValue, RawFlow, Replay};
use flows::{Case, Oracle};
use serde_json::{Value, json};

#[test]
fn mitmdump_prints_the_same() {
    let Some(python) = std::env::var_os("FLOWGATE_MITMPROXY_PYTHON") else {
        let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        assert!(!in_ci, "FLOWGATE_MITMPROXY_PYTHON is not set");
        // Past the test harness, which would keep it to itself.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: FLOWGATE_MITMPROXY_PYTHON names no Python with mitmproxy 12"
        );
        return;
    };
    let mut cases = flows::cases();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    cases.extend((0..RANDOM_CASES).map(|at| random_case(&mut random, at)));
    let mut inputs = Vec::new();
    let mut ours = Vec::new();
    for case in cases.iter().filter(|case| case.oracle == Oracle::Same) {
        for &detail in case.details {
            for style in [Style::Plain, Style::Ansi] {
                // From detail 3 on mitmdump colours bodies too.
                if style == Style::Plain || detail < 3 {
                    inputs.push(to_json(case, detail, style));
                    ours.push((case, detail, flows::shown(case, detail, style)));
                }
            }
        }
    }
    let theirs = ask(&python, &Value::Array(inputs));
    assert_eq!(theirs.len(), ours.len());
    let (mut differences, mut unanswered) = (0, 0);
    for ((case, detail, ours), theirs) in ours.iter().zip(&theirs) {
        let Some(theirs) = theirs else {
            unanswered += 1;
            continue;
        };
        if ours != theirs {
            differences += 1;
            eprintln!("=== {}, detail {detail}\n--- ours: {ours:?}\n--- mitmdump: {theirs:?}", case.name);
        }
    }
    assert_eq!(differences, 0, "of {} texts", ours.len());
    assert!(unanswered * 10 < ours.len(), "{unanswered} of {} texts", ours.len());
    eprintln!("{} texts are the same", ours.len());
}

fn ask(python: &std::ffi::OsStr, inputs: &Value) -> Vec<Option<String>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("FLOWGATE_MITMPROXY_PYTHON can be run");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(inputs.to_string().as_bytes()).expect("the script reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("the script ends");
    assert!(output.status.success(), "the script failed");
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

fn to_json(case: &Case, flow_detail: u8, style: Style) -> Value {
    let Flow { client, server, kind, error, replay, metadata, .. } = &case.flow;
    let Dumper { showhost, content_view_lines_cutoff, default_contentview, columns, .. } = &case.dumper;
    let (kind, content) = match kind {
        FlowKind::Http(http) => {
            let request = &http.request;
            let mut request_json =
                message(&request.version, &request.headers, &request.body, &request.trailers);
            request_json["host"] = json!(request.host);
            request_json["port"] = json!(request.port);
            request_json["method"] = latin1(&request.method);
            request_json["scheme"] = latin1(&request.scheme);
            request_json["authority"] = latin1(&request.authority);
            request_json["path"] = latin1(&request.path);
            let response_json = http.response.as_ref().map(|response| {
                let mut json =
                    message(&response.version, &response.headers, &response.body, &response.trailers);
                json["status"] = json!(response.status);
                json["reason"] = latin1(&response.reason);
                json
            });
            let websocket_json = http.websocket.as_ref().map(|websocket| {
                let messages = websocket.messages.iter();
                json!({
                    "messages": messages.map(|m| json!([m.opcode, m.from_client, latin1(&m.content)])).collect::<Vec<_>>(),
                    "closed_by_client": websocket.closed_by_client,
                    "close_code": websocket.close_code,
                    "close_reason": websocket.close_reason,
                })
            });
            ("http", json!({"request": request_json, "response": response_json, "websocket": websocket_json}))
        }
        FlowKind::Tcp(raw) => ("tcp", raw_messages(raw)),
        FlowKind::Udp(raw) => ("udp", raw_messages(raw)),
        FlowKind::Dns(dns) => (
            "dns",
            json!({"request": dns_message(&dns.request), "response": dns.response.as_ref().map(dns_message)}),
        ),
        _ => panic!("a kind without an oracle"),
    };
    let metadata = metadata.iter().map(|(name, value)| match value {
        MetadataValue::Int(number) => (name.clone(), json!(number)),
        _ => (name.clone(), json!(true)),
    });
    json!({
        "flow_detail": flow_detail,
        "showhost": showhost,
        "cutoff": content_view_lines_cutoff,
        "view": default_contentview.name(),
        "columns": columns.unwrap_or(80),
        "ansi": style == Style::Ansi,
        "peername": client.connection.peername.map(|peer| json!([peer.ip().to_string(), peer.port()])),
        "tls_version": client.connection.tls_version,
        "address": server.address.as_ref().map(|address| json!([address.host, address.port])),
        "replay": replay.map(|replay| if replay == Replay::Request { "request" } else { "response" }),
        "error": error.as_ref().map(|error| &error.message),
        "metadata": metadata.collect::<serde_json::Map<_, _>>(),
        "kind": kind,
        "content": content,
    })
}

fn message(version: &HttpVersion, headers: &Headers, body: &Body, trailers: &Option<Headers>) -> Value {
    let fields = |headers: &Headers| {
        headers.iter().map(|f| json!([latin1(f.name), latin1(f.value)])).collect::<Vec<_>>()
    };
    let body = body.prefix(usize::MAX).expect("it is in memory");
    json!({
        "version": latin1(version.as_bytes()),
        "headers": fields(headers),
        "body": body.map(|bytes| latin1(&bytes)),
        "trailers": trailers.as_ref().map(fields),
    })
}

fn raw_messages(raw: &RawFlow) -> Value {
    raw.messages.iter().map(|m| json!([m.from_client, latin1(&m.content)])).collect()
}

fn dns_message(message: &DnsMessage) -> Value {
    let answers = message.answers.iter();
    json!({
        "query": message.query,
        "op_code": message.op_code,
        "response_code": message.response_code,
        "questions": message.questions.iter().map(|q| json!([q.name, q.kind])).collect::<Vec<_>>(),
        "answers": answers.map(|record| json!([record.kind, latin1(&record.data)])).collect::<Vec<_>>(),
    })
}

fn latin1(bytes: &[u8]) -> Value {
    bytes.iter().copied().map(char::from).collect::<String>().into()
}

/// An ordinary flow: well-formed, without the control characters and number spellings that are shown differently on purpose.
fn random_case(random: &mut Random, at: usize) -> Case {
    let flow = match random.below(8) {
        0 => flows::dns(*random.of(&[1, 28, 15, 65, 999]), &[], |dns| {
            let response = dns.response.as_mut().expect("it has one");
            response.response_code = random.below(14) as u16;
            for _ in 0..random.below(3) {
                let kind = *random.of(&[1, 2, 5, 12, 28, 33, 65]);
                let data = *random.of(&[
                    &b""[..],
                    b"\x7f\0\0\x01",
                    b"\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x01",
                    b"\x03www\x07example\x03com\0",
                    b"\x03www",
                    b"\0\x01\x01t\0\0\x03\0\x02\x01\xbb",
                    b"\0\0\x01t\0\0\x03\0\x03\x01\xbb",
                ]);
                response.answers.push(flowgate_flow::DnsRecord {
                    name: "x".into(),
                    kind,
                    class: 1,
                    ttl: 1,
                    data: bytes::Bytes::from_static(data),
                });
            }
        }),
        1 => {
            let content = random.text(TEXT_ALPHABET, 300);
            let raw = flows::raw(&[(random.below(2) == 0, content.as_bytes())]);
            flows::flow(if random.below(2) == 0 { FlowKind::Tcp(raw) } else { FlowKind::Udp(raw) })
        }
        _ => random_http(random),
    };
    let flow = flows::from_client(
        flow,
        Some(*random.of(&["127.0.0.1:1", "10.20.30.40:65535", "[fe80::1:0:0:1]:443"])),
    );
    let showhost = random.below(4) == 0;
    let columns = random.of(&[None, Some(40), Some(100)]);
    Case::new(format!("random {at}"), flow)
        .at(&[1, 2, 3])
        .with(|dumper| (dumper.showhost, dumper.columns) = (showhost, *columns))
}

fn random_http(random: &mut Random) -> Flow {
    let versions = [HttpVersion::Http10, HttpVersion::Http11, HttpVersion::Http2, HttpVersion::Http3];
    let mut flow = flows::http(|request, response| {
        request.version = random.of(&versions).clone();
        response.version = random.of(&versions).clone();
        request.method = (*random.of(&["GET", "POST", "put", "DELETE", "PATCH", "M-SEARCH"])).into();
        request.scheme = (*random.of(&["http", "https"])).into();
        request.host =
            (*random.of(&["a.test", "127.0.0.1", "long-name.with.many.labels.example.com"])).into();
        request.port = *random.of(&[80, 443, 8080]);
        request.path = format!("/{}", random.text("abcxyz019/.-_~%=;:+,äß'\"", 90)).into();
        if random.below(2) == 0 {
            let fields = (0..3).map(|at| {
                format!("{}{at}={}", random.text(QUERY_ALPHABET, 3), random.text(QUERY_ALPHABET, 20))
            });
            request.path =
                [&request.path, fields.collect::<Vec<_>>().join("&").as_bytes()].join(&b"?"[..]).into();
        }
        let host = *random.of(&[
            "other.test",
            "other.test:8080",
            "x:443",
            "under_score",
            "[bad",
            "a..b",
            "1.2.3.4:80",
        ]);
        request.headers.set("Host", host);
        for headers in [&mut request.headers, &mut response.headers] {
            for _ in 0..random.below(4) {
                headers
                    .push(random.text("abcABC-1", 12) + "x", random.text("abc XYZ;=\"',ä/\x01", 40).trim());
            }
        }
        if random.below(3) == 0 {
            request.headers.push("Content-Type", "application/x-www-form-urlencoded");
            let form: Vec<_> = (0..5).map(|at| format!("{at}k={}", random.text(FORM_ALPHABET, 12))).collect();
            request.body = flows::body(form.join("&"));
        }
        response.status = 100 + random.below(500) as u16;
        response.reason = random.text("abc XYZ'", 12).into();
        let (content_type, content) = match random.below(3) {
            0 => ("application/json", random.json(4).into_bytes()),
            1 => (
                "application/octet-stream",
                (0..random.below(200)).map(|_| random.below(256) as u8).collect(),
            ),
            _ => ("text/plain", random.text(TEXT_ALPHABET, 2_000).into_bytes()),
        };
        response.headers.set("Content-Type", content_type);
        response.body = flows::body(content);
    });
    flow.replay = *random.of(&[None, None, None, Some(Replay::Request), Some(Replay::Response)]);
    if random.below(6) == 0 {
        flow = flows::failed(flow, "peer closed connection");
    }
    if random.below(8) == 0 {
        flows::http_of(&mut flow).response = None;
        flow = flows::failed(flow, "connect failed");
    }
    flow
}

/// Numbers that look random and are the same in each run (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % bound
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }

    fn text(&mut self, alphabet: &str, chars_max: u64) -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        (0..self.below(chars_max + 1)).map(|_| *self.of(&alphabet)).collect()
    }

    fn json(&mut self, depth: u64) -> String {
        let items =
            |random: &mut Self| (0..random.below(4)).map(|_| random.json(depth - 1)).collect::<Vec<_>>();
        match self.below(if depth == 0 { 4 } else { 6 }) {
            0 => (*self.of(&["true", "false", "null"])).into(),
            1 => format!("{}", self.below(100_000)),
            2 => format!("-{}.5", self.below(100)),
            3 => format!(
                "\"{}\"",
                self.text("abc äß/日😀'[]{}:,", 12)
                    + *self.of(&["", "\\n", "\\u00e9", "\\\"", "\\/", "\\u0001"])
            ),
            4 => format!("[{}]", items(self).join(" ,\n")),
            _ => {
                let members = items(self);
                let members: Vec<_> =
                    members.iter().enumerate().map(|(at, v)| format!("\"k{at}\" :{v}")).collect();
                format!("{{{}}}", members.join(", "))
            }
        }
    }
}

const RANDOM_CASES: usize = 400;
const TEXT_ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz0123456789 .,;()\n\t\r\n\x0b\x1b";
const QUERY_ALPHABET: &str = "ab01.-_~=;:+, äß'\"?#[]{}";
const FORM_ALPHABET: &str = "aetruenl0123456789-+._:#'\"[]{}?!*|>%~xob%2C%C3%A4";
