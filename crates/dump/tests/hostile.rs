//! Whatever a flow or an event holds: nothing panics, nothing but text reaches the terminal, and no body costs more than
//! what is shown of it.

mod flows;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use flowgate_contentview::View;
use flowgate_dump::{Dumper, Event, LocalTime, Style, TermLog};
use flowgate_flow::{Body, Flow, FlowKind, HttpVersion, MetadataValue, Replay, StoredBody, Timestamp};
use flowgate_options::Level;
use proptest::prelude::*;

/// Whether text holds no control character but LF, tab in the lines of bodies, and SGR sequences if styled.
fn is_harmless(text: &str, style: Style) -> Result<(), TestCaseError> {
    let mut rest = text.to_owned();
    if style == Style::Ansi {
        for number in ["0", "1", "2", "5", "25", "31", "32", "33", "34", "35", "36", "94"] {
            rest = rest.replace(&format!("\x1b[{number}m"), "");
        }
    }
    for line in rest.split('\n') {
        let bad = line.find(|c: char| c.is_control() && !(c == '\t' && line.starts_with("    ")));
        prop_assert_eq!(bad, None, "{:?}", line);
    }
    prop_assert!(text.is_empty() || text.ends_with('\n'));
    Ok(())
}

/// Bytes with more trouble in them than random ones have.
fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60).prop_map(Bytes::from),
        text().prop_map(Bytes::from),
        Just(Bytes::new()),
    ]
}

fn text() -> impl Strategy<Value = String> {
    "([a-z/?&=%:.\\[\\]'\"\\\\]|\\PC|\x1b\\[[0-9]?[mJ]|\x1b\\]0;|[\0-\x1f\x7f-\u{9f}]|[\u{2028}\u{202e}]|\r\n){0,20}"
}

fn version() -> impl Strategy<Value = HttpVersion> {
    prop_oneof![Just(HttpVersion::Http11), Just(HttpVersion::Http2), bytes().prop_map(HttpVersion::Other)]
}

fn headers() -> impl Strategy<Value = flowgate_flow::Headers> {
    let name = prop_oneof![
        bytes(),
        Just("content-type".into()),
        Just("content-encoding".into()),
        Just("host".into())
    ];
    let value = prop_oneof![
        bytes(),
        Just("application/json".into()),
        Just("gzip, br".into()),
        Just("deflate".into())
    ];
    prop::collection::vec((name, value), 0..4).prop_map(|fields| fields.into_iter().collect())
}

prop_compose! {
    fn http()(method in prop_oneof![bytes(), Just("CONNECT".into())], scheme in bytes(), host in text(), port in any::<u16>(),
              path in bytes(), authority in bytes(), versions in (version(), version()), status in any::<u16>(),
              reason in bytes(), headers in headers(), trailers in headers(), request_body in bytes(), body in bytes(),
              has_body in any::<bool>()) -> Flow {
        flows::http(|request, response| {
            (request.method, request.scheme, request.host, request.port) = (method, scheme, host, port);
            (request.path, request.authority) = (path, authority);
            (request.version, response.version) = versions;
            (response.status, response.reason) = (status, reason);
            request.headers = headers.clone();
            response.headers = headers;
            response.trailers = Some(trailers);
            request.body = Body::Bytes(request_body);
            response.body = if has_body { Body::Bytes(body) } else { Body::Missing };
        })
    }
}

prop_compose! {
    fn websocket()(flow in http(), contents in prop::collection::vec((any::<u8>(), bytes()), 0..3),
                   code in prop::option::of(999..1020_u16), reason in prop::option::of(text())) -> Flow {
        let with = flows::websocket(code, None, reason.as_deref(), true);
        flows::edit(flow, |flow| {
            let mut with = with;
            let mut websocket = flows::http_of(&mut with).websocket.take();
            if let Some(message) = websocket.as_mut().map(|websocket| &mut websocket.messages) {
                let template = message.remove(0);
                message.extend(contents.into_iter().map(|(opcode, content)| {
                    flowgate_flow::WebSocketMessage { opcode, content, ..template.clone() }
                }));
            }
            flows::http_of(flow).websocket = websocket;
        })
    }
}

prop_compose! {
    fn dns()(name in text(), numbers in any::<(u16, u8, u16)>(),
             answers in prop::collection::vec((prop::sample::select(vec![1, 2, 5, 12, 16, 28, 65, 99]), bytes()), 0..4)) -> Flow {
        flows::dns(numbers.0, &[], |dns| {
            dns.request.questions[0].name = name;
            dns.request.op_code = numbers.1;
            if let Some(response) = &mut dns.response {
                response.response_code = numbers.2;
                response.answers.extend(answers.into_iter().map(|(kind, data)| flowgate_flow::DnsRecord {
                    name: String::new(), kind, class: 1, ttl: 0, data,
                }));
            }
        })
    }
}

fn any_flow() -> impl Strategy<Value = Flow> {
    let raw = |content: Bytes| flows::raw(&[(true, &content), (false, &content)]);
    let kind = prop_oneof![
        4 => http(),
        1 => websocket(),
        1 => dns(),
        1 => bytes().prop_map(move |content| flows::flow(FlowKind::Tcp(raw(content)))),
        1 => bytes().prop_map(move |content| flows::flow(FlowKind::Udp(raw(content)))),
    ];
    let replay = prop::sample::select(vec![None, Some(Replay::Request), Some(Replay::Response)]);
    (kind, prop::option::of(text()), prop::option::of(text()), replay, any::<i64>()).prop_map(
        |(flow, server, error, replay, id)| {
            let flow = flows::to_server(flow, server.as_deref(), 1);
            let flow = flows::edit(flow, |flow| {
                flow.replay = replay;
                flow.metadata.push(("quic_stream_id_client".into(), MetadataValue::Int(id)));
            });
            match error {
                Some(error) => flows::failed(flow, &error),
                None => flow,
            }
        },
    )
}

proptest! {
    #[test]
    fn flows_print_text_only(
        flow in any_flow(), flow_detail in 0..=4_u8, showhost in any::<bool>(), columns in prop::option::of(any::<u16>()),
        cutoff in 0..5_usize, view in prop::sample::select(View::ALL.to_vec()), styled in any::<bool>(),
    ) {
        let style = if styled { Style::Ansi } else { Style::Plain };
        let dumper = Dumper {
            flow_detail, showhost, columns, style, content_view_lines_cutoff: cutoff, default_contentview: view,
        };
        let mut out = String::new();
        dumper.saved_flow(&flow, &mut out);
        is_harmless(&out, style)?;
        prop_assert!(flow_detail > 0 || out.is_empty());
        let mut again = String::from("before\n");
        dumper.flow(&flow, &mut again);
        is_harmless(&again, style)?;
        if flow_detail == 1 && matches!(flow.kind, FlowKind::Http(_)) {
            // Two lines, and one if it failed: none of them can be forged.
            let lines = again.lines().count() - 1;
            prop_assert_eq!(lines, 2 + usize::from(flow.error.is_some()), "{:?}", again);
        }
    }

    #[test]
    fn events_print_text_only(message in text(), seconds in any::<f64>(), styled in any::<bool>()) {
        let style = if styled { Style::Ansi } else { Style::Plain };
        let log = TermLog { verbosity: Level::Debug, style, local_time: LocalTime::utc() };
        let mut out = String::new();
        let timestamp = Timestamp(seconds);
        log.event(&Event { timestamp, level: Level::Warn, client: None, message: &message }, &mut out);
        is_harmless(&out, style)?;
        prop_assert!(out.lines().skip(1).all(|line| line.starts_with("    | ")));
    }
}

/// A body of a byte for ever, that counts what is read of it.
#[derive(Debug)]
struct Endless {
    byte: u8,
    read: AtomicU64,
}

impl StoredBody for Endless {
    fn len(&self) -> u64 {
        1 << 40
    }

    fn read_at(&self, _offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        buf.fill(self.byte);
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        Ok(buf.len())
    }
}

#[test]
fn a_body_costs_what_is_shown() {
    for (byte, content_type, text_bytes_max) in [
        (b'\n', "text/plain", 10_000),
        (b'x', "text/plain", 1_100_000),
        (b'[', "application/json", 1_100_000),
        (b' ', "application/json", 1_100_000),
        (b'1', "application/json", 1_100_000),
        (0, "image/png", 100_000),
        (b'&', "application/x-www-form-urlencoded", 10_000),
        (b'a', "application/x-www-form-urlencoded", 1_100_000),
    ] {
        let body = Arc::new(Endless { byte, read: AtomicU64::new(0) });
        let flow = flows::http(|_, response| {
            response.headers.set("content-type", content_type);
            response.body = Body::Stored(body.clone());
        });
        let mut out = String::new();
        Dumper { flow_detail: 3, ..Dumper::default() }.flow(&flow, &mut out);
        assert!(out.ends_with("    (cut off)\n\n"), "{content_type}");
        assert!(out.len() < text_bytes_max, "{content_type}: {}", out.len());
        assert!(body.read.load(Ordering::Relaxed) <= 4 << 20, "{content_type}");
        assert!(out.contains("200 OK 1.0t"));
    }
}

#[derive(Debug)]
struct Unreadable;

impl StoredBody for Unreadable {
    fn len(&self) -> u64 {
        9
    }

    fn read_at(&self, _offset: u64, _buf: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("disk\x1b gone"))
    }
}

#[test]
fn a_body_that_cannot_be_read_says_so() {
    let flow = flows::http(|_, response| response.body = Body::Stored(Arc::new(Unreadable)));
    let mut out = String::new();
    Dumper { flow_detail: 3, ..Dumper::default() }.flow(&flow, &mut out);
    assert!(out.ends_with("\n\n    Content cannot be read: disk. gone\n\n"), "{out}");
}
