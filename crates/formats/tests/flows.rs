//! Flow files: nothing is lost on the way out and back, large bodies are not copied, broken files give what can be had.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking; helpers are not seen as tests"
)]

mod samples;

use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use flowgate_flow::*;
use flowgate_formats::tnetstring::{self, Encoder, Limits, Problem, Value, WriteError};
use flowgate_formats::{FlowReader, FlowWriter, ReadError, StateError, write_flow};
use proptest::prelude::*;
use samples::{assert_same, flow, flows, request, response};

/// Written by mitmproxy 12.2.3: `tests/interop/mitmproxy_flows.py write`.
const MITMPROXY: &[u8] = include_bytes!("data/mitmproxy-12.2.3-v21.flows");
/// The same by mitmproxy 11.1.3.
const MITMPROXY_11: &[u8] = include_bytes!("data/mitmproxy-11.1.3-v21.flows");

fn written(flows: &[Flow]) -> Vec<u8> {
    let (mut out, mut writer) = (Vec::new(), FlowWriter::new());
    for flow in flows {
        writer.write_flow(&mut out, flow).unwrap();
    }
    out
}

fn read(bytes: &[u8]) -> Vec<Flow> {
    FlowReader::new(bytes).collect::<Result<_, _>>().unwrap()
}

/// The flow file's items, in a form in which equal states are equal.
fn states(mut bytes: &[u8]) -> Vec<Value<'static>> {
    let (limits, mut offset) = (Limits::default(), 0);
    let mut states = Vec::new();
    while let Some(frame) = tnetstring::read_frame(&mut bytes, &mut offset, &limits).unwrap() {
        let value = tnetstring::parse(frame.payload.leak(), frame.kind, 0, &limits).unwrap();
        states.push(normalised(value, None));
    }
    states
}

/// Maps without order, whole floats as whole numbers, IPv6 addresses without zero flow information and scope.
fn normalised<'a>(value: Value<'a>, key: Option<&str>) -> Value<'a> {
    let is_end = matches!(key, Some("peername" | "sockname"));
    match value {
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 2_f64.powi(53) => {
            Value::Int(number as i64)
        }
        Value::List(mut items) => {
            if is_end && items.get(2..) == Some(&[Value::Int(0), Value::Int(0)]) {
                items.truncate(2);
            }
            Value::List(items.into_iter().map(|item| normalised(item, None)).collect())
        }
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries
                .into_iter()
                .map(|(key, value)| match &key {
                    Value::Text(name) => (key.clone(), normalised(value, Some(name))),
                    other => panic!("key {other:?}"),
                })
                .collect();
            entries.sort_by_key(|(key, _)| format!("{key:?}"));
            Value::Map(entries)
        }
        other => other,
    }
}

/// The item of a sample flow with one entry changed.
fn with(path: &[&str], new: Option<Value<'static>>) -> Vec<u8> {
    fn change(value: &mut Value<'_>, path: &[&str], new: Option<Value<'static>>) {
        let Value::Map(entries) = value else { panic!("no map") };
        let at = entries.iter().position(|(key, _)| *key == Value::Text(path[0].into())).unwrap();
        match (new, path.len()) {
            (new, 2..) => change(&mut entries[at].1, &path[1..], new),
            (Some(new), _) => entries[at].1 = new,
            (None, _) => drop(entries.remove(at)),
        }
    }
    let mut state = states(&written(&flows()[..2])).remove(1);
    change(&mut state, path, new);
    let mut out = Vec::new();
    Encoder::new().value(&state).write_to(&mut out).unwrap();
    out
}

#[test]
fn what_is_written_is_read() {
    let flows = flows();
    let back = read(&written(&flows));
    assert_same(&back, &flows);
    assert_eq!(written(&flows), written(&back));
}

#[test]
fn what_mitmproxy_wrote_is_written_back() {
    for file in [MITMPROXY, MITMPROXY_11] {
        let flows = read(file);
        assert_eq!(flows.len(), 17);
        for (ours, theirs) in states(&written(&flows)).into_iter().zip(states(file)) {
            assert_eq!(ours, theirs);
        }
        assert_same(&read(&written(&flows)), &flows);
    }
}

#[test]
fn what_mitmproxy_wrote_is_understood() {
    let flows = read(MITMPROXY);
    let kinds: Vec<_> = flows
        .iter()
        .map(|flow| match &flow.kind {
            FlowKind::Http(http) if http.websocket.is_some() => "websocket",
            FlowKind::Http(_) => "http",
            FlowKind::Tcp(_) => "tcp",
            FlowKind::Udp(_) => "udp",
            FlowKind::Dns(_) => "dns",
            _ => "?",
        })
        .collect();
    assert_eq!(
        kinds.join(" "),
        "http http websocket tcp tcp udp udp dns dns dns http http http websocket websocket tcp dns"
    );

    let (rich, noted, bare) = (&flows[10], &flows[11], &flows[12]);
    let FlowKind::Http(http) = &rich.kind else { panic!() };
    assert_eq!(http.request.version, HttpVersion::Http2);
    assert_eq!(http.request.headers.get_all("cookie").collect::<Vec<_>>(), [b"a=1", b"b=2"]);
    assert_eq!(http.request.trailers.as_ref().unwrap().get("x-checksum"), Some(&b"1"[..]));
    assert_eq!(http.request.timestamp_start, Timestamp(1767225600.123456));
    assert_eq!(http.response.as_ref().unwrap().body.len(), Some(5120));
    assert_eq!(rich.client.leaf, Some(samples::certificate()));
    assert_eq!(rich.client.connection.peername.unwrap().to_string(), "[2001:db8::1%3]:50000");
    assert_eq!(rich.client.mode, "upstream:https://proxy.example:3128@127.0.0.1:8081");
    assert_eq!(rich.server.connection.certificate_list, [samples::certificate(), samples::certificate()]);
    assert_eq!(rich.server.via.as_ref().unwrap().address.to_string(), "proxy.example:3128");

    let FlowKind::Http(http) = &noted.kind else { panic!() };
    assert!(matches!(http.request.body, Body::Missing));
    assert_eq!(noted.replay, Some(Replay::Request));
    assert_eq!((noted.marked.as_str(), noted.intercepted), (":grapes:", true));
    let keys: Vec<_> = noted.metadata.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys.join(" "), "proxyauth n big pi tiny huge yes none bytes nested");
    let FlowKind::Http(before) = &noted.backup.as_ref().unwrap().kind else { panic!() };
    assert_eq!((&http.request.method[..], &before.request.method[..]), (&b"POST"[..], &b"GET"[..]));

    assert_eq!(bare.client.connection.peername, None);
    assert_eq!(bare.client.connection.timestamp_start, None);
    assert_eq!(bare.server.connection.sockname_text, None);
    assert_eq!(flows[0].server.connection.sockname_text, Some(Address { host: "address".into(), port: 22 }));
    assert_eq!(flows[1].error.as_ref().unwrap().message, "error");
}

#[test]
fn stored_bodies_go_straight_to_the_output() {
    /// Compares with the pattern and notes the largest write.
    #[derive(Default)]
    struct Check {
        bytes: u64,
        write_max: usize,
        body_from: Option<u64>,
    }
    impl Write for Check {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.write_max = self.write_max.max(buf.len());
            if buf.starts_with(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) && self.body_from.is_none() {
                self.body_from = Some(self.bytes);
            }
            self.bytes += buf.len() as u64;
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let len = 40_000_000;
    let body = Body::Stored(Arc::new(Pattern { len, says: len }));
    let mut check = Check::default();
    let mut writer = FlowWriter::new();
    writer.write_flow(&mut check, &http_with(body)).unwrap();
    assert!(check.body_from.is_some());
    assert!(check.write_max <= 64 * 1024, "{}", check.write_max);

    let len = 200_000;
    let stored = Body::Stored(Arc::new(Pattern { len, says: len }));
    let whole = (0..len).map(|n| n as u8).collect();
    assert_eq!(written(&[http_with(stored)]), written(&[http_with(Body::Bytes(whole))]));
    // One that has grown since gives what it first said.
    let grown = Body::Stored(Arc::new(Pattern { len: 5, says: 2 }));
    assert_eq!(written(&[http_with(grown)]), written(&[http_with(Body::Bytes(vec![0, 1].into()))]));
}

#[test]
fn large_bodies_in_memory_are_not_copied() {
    #[derive(Default)]
    struct Writes(Vec<(usize, usize)>);
    impl Write for Writes {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.push((buf.as_ptr() as usize, buf.len()));
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let body = Bytes::from(vec![7; 100_000]);
    let mut writes = Writes::default();
    write_flow(&mut writes, &http_with(Body::Bytes(body.clone()))).unwrap();
    assert_eq!(writes.0.len(), 3);
    assert_eq!(writes.0[1], (body.as_ptr() as usize, body.len()));

    let mut writes = Writes::default();
    write_flow(&mut writes, &http_with(Body::Bytes("small".into()))).unwrap();
    assert_eq!(writes.0.len(), 1);
}

#[test]
fn a_failed_flow_does_not_harm_the_next() {
    let mut writer = FlowWriter::new();
    let short = Body::Stored(Arc::new(Pattern { len: 100, says: 101 }));
    let outcome = writer.write_flow(&mut Vec::new(), &http_with(short));
    assert!(matches!(outcome, Err(WriteError::StoredBodyShort { missing: 1 })));

    // Nothing is written of what no reader would read.
    let mut out = Vec::new();
    let endless = Body::Stored(Arc::new(Pattern { len: u64::MAX, says: u64::MAX }));
    let outcome = writer.write_flow(&mut out, &http_with(endless));
    assert!(matches!(outcome, Err(WriteError::TooLong { .. })));
    let mut deep = http_with(Body::Missing);
    deep.metadata =
        vec![("deep".into(), (0..80).fold(MetadataValue::None, |v, _| MetadataValue::List(vec![v])))];
    let outcome = writer.write_flow(&mut out, &deep);
    assert!(matches!(outcome, Err(WriteError::Nesting { limit: 64 })));

    for flow in flows() {
        writer.write_flow(&mut out, &flow).unwrap();
    }
    assert_eq!(out, written(&flows()));
}

#[test]
fn writes_as_deep_as_is_read() {
    let nested = |lists| {
        let mut flow = http_with(Body::Missing);
        let value = (0..lists).fold(MetadataValue::None, |v, _| MetadataValue::List(vec![v]));
        flow.metadata = vec![("deep".into(), value)];
        let mut outer = http_with(Body::Missing);
        outer.backup = Some(Box::new(flow));
        outer
    };
    let deepest =
        (0..80).take_while(|lists| write_flow(&mut Vec::new(), &nested(*lists)).is_ok()).last().unwrap();
    assert_eq!(deepest, 64 - 3);
    assert_same(&read(&written(&[nested(deepest)])), &[nested(deepest)]);
}

#[test]
fn a_cut_file_gives_the_flows_before_the_cut() {
    let flows = [2, 7, 9].map(|at| flows().swap_remove(at));
    let mut ends = vec![0];
    let mut bytes = Vec::new();
    for flow in &flows {
        write_flow(&mut bytes, flow).unwrap();
        ends.push(bytes.len());
    }
    for cut in 0..=bytes.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        let mut reader = FlowReader::new(&bytes[..cut]);
        let before: Vec<_> = reader.by_ref().take(whole).map(Result::unwrap).collect();
        assert_eq!(written(&before), bytes[..ends[whole]]);
        if ends.contains(&cut) {
            assert!(reader.next().is_none());
        } else {
            match reader.next().unwrap().unwrap_err() {
                ReadError::Corrupted { offset, flows, problem: Problem::Truncated } => {
                    assert_eq!((offset, flows), (cut as u64, whole as u64));
                }
                other => panic!("{other:?} at {cut}"),
            }
            assert!(reader.next().is_none());
        }
    }
}

#[test]
fn pieces_make_no_difference() {
    /// Gives one byte at a time, and an interruption before each.
    struct Dribble<'a>(&'a [u8], bool);
    impl Read for Dribble<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let n = buf.len().min(1);
            self.0.read(&mut buf[..n])
        }
    }
    let reader = FlowReader::new(BufReader::with_capacity(3, Dribble(MITMPROXY, false)));
    assert_same(&reader.map(Result::unwrap).collect::<Vec<_>>(), &read(MITMPROXY));
}

#[test]
fn says_what_is_wrong_with_a_file() {
    fn check(bytes: &[u8], expected: &[&str]) {
        let lines: Vec<_> = FlowReader::new(bytes)
            .map(|flow| match flow {
                Ok(_) => "flow".to_owned(),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                    format!("{error}{}", cause.unwrap_or_default())
                }
            })
            .collect();
        assert_eq!(lines, expected, "{}", bytes.escape_ascii());
    }
    let good = written(&flows()[..1]);
    let end = good.len();

    check(b"", &[]);
    check(b"{\"log\": 1}", &["this is HAR or other JSON, not a flow file"]);
    check(b"\xef\xbb\xbf{}", &["this is HAR or other JSON, not a flow file"]);
    let no_length = "expected a length and a colon";
    // Whatever it is, it begins as text does.
    check(b"\xef\xbb\xbf0:~", &["this is HAR or other JSON, not a flow file"]);
    check(b"GET / HTTP/1.1", &[&format!("flow file corrupted at byte 0 after 0 flows: {no_length}")]);
    check(
        &[&good[..], b"{"].concat(),
        &["flow", &format!("flow file corrupted at byte {end} after 1 flows: {no_length}")],
    );
    // Past what is wrong inside only.
    check(
        &[&b"4:1:x#}"[..], &good].concat(),
        &["flow file corrupted at byte 4 after 0 flows: expected a whole number", "flow"],
    );
    check(
        &[&good[..], b"1:a,", &good].concat(),
        &[
            "flow",
            &format!(
                "flow 2 at byte {end} is not a flow of format version 21: flow: expected a map, found bytes"
            ),
            "flow",
        ],
    );
    for (version, message) in [
        (Value::Int(3), "version 3; versions before 0.11 are not read"),
        (Value::Int(22), "version 22: a newer program wrote it (this one knows up to 21)"),
        (
            Value::List(vec![Value::Int(0), Value::Int(10), Value::Int(2)]),
            "version 0.10; versions before 0.11 are not read",
        ),
    ] {
        let message = format!("flow 1 at byte 0 has flow format {message}");
        check(&[with(&["version"], Some(version)), good.clone()].concat(), &[&message, "flow"]);
    }
}

#[test]
fn says_what_is_wrong_with_a_flow() {
    let text = |text: &'static str| Some(Value::Text(text.into()));
    let int = |number| Some(Value::Int(number));
    let pair = |a, b| Value::List(vec![a, b]);
    for (path, new, message) in [
        (&["version"][..], None, "no version"),
        (&["version"], text("21"), "version: expected a whole number, found text"),
        (&["type"], None, "no type"),
        (&["type"], text("quic"), "type: unknown value \"quic\""),
        (&["id"], int(1), "id: expected text, found a whole number"),
        (&["error", "timestamp"], None, "no error.timestamp"),
        (&["is_replay"], text("both"), "is_replay: unknown value \"both\""),
        (&["metadata"], text(""), "metadata: expected a map, found text"),
        (&["backup", "version"], int(99), "backup.version: flow format version 99 is not read"),
        (&["backup", "request", "path"], None, "no backup.request.path"),
        (&["client_conn"], Some(Value::None), "client_conn: expected a map, found nothing"),
        (
            &["client_conn", "peername"],
            Some(pair(Value::Text("::1".into()), Value::Int(65536))),
            "client_conn.peername[1]: 65536 is out of range",
        ),
        (
            &["client_conn", "peername"],
            Some(Value::List(vec![])),
            "client_conn.peername: expected a host and a port, found a list",
        ),
        (
            &["client_conn", "mitmcert"],
            Some(Value::Bytes(b"-----BEGIN CERTIFICATE-----"[..].into())),
            "client_conn.mitmcert: expected a certificate as PEM",
        ),
        (
            &["client_conn", "transport_protocol"],
            text("sctp"),
            "client_conn.transport_protocol: unknown value \"sctp\"",
        ),
        (
            &["server_conn", "certificate_list"],
            Some(pair(Value::Bytes(b""[..].into()), Value::None)),
            "server_conn.certificate_list[0]: expected a certificate as PEM",
        ),
        (
            &["server_conn", "via"],
            Some(pair(Value::Text("http".into()), pair(Value::None, Value::None))),
            "server_conn.via[1][0]: expected text, found nothing",
        ),
        (&["request"], None, "no request"),
        (&["request", "port"], int(-1), "request.port: -1 is out of range"),
        (&["request", "content"], text(""), "request.content: expected bytes, found text"),
        (
            &["request", "headers"],
            Some(pair(pair(Value::None, Value::None), Value::None)),
            "request.headers[1]: expected a list, found nothing",
        ),
        (
            &["response", "headers"],
            Some(Value::List(vec![pair(Value::Bytes(b""[..].into()), Value::None)])),
            "response.headers[0]: expected bytes, found nothing",
        ),
        (&["websocket"], text(""), "websocket: expected a map, found text"),
        (&["timestamp_created"], Some(Value::None), "timestamp_created: expected a float, found nothing"),
    ] {
        let error = FlowReader::new(&*with(path, new)).next().unwrap().unwrap_err();
        let ReadError::Malformed { error, .. } = error else { panic!("{error}") };
        assert_eq!(error.to_string(), message);
    }
    let error = StateError::Missing { key: "x".into() };
    assert_eq!(error.to_string(), "no x");
}

#[test]
fn takes_what_it_does_not_know() {
    let mut state = states(&written(&flows()[..1])).remove(0);
    let Value::Map(entries) = &mut state else { panic!() };
    entries.push((Value::Text("new_in_22".into()), Value::List(vec![])));
    entries.push((Value::Int(1), Value::Int(2)));
    entries.retain(|(key, _)| *key != Value::Text("backup".into()));
    let mut out = Vec::new();
    Encoder::new().value(&state).write_to(&mut out).unwrap();
    assert_same(&read(&out), &flows()[..1]);
}

#[test]
fn json_is_left_for_its_reader() {
    for json in [&b"{}"[..], b"\xef\xbb\xbf{}", b"\n {}", b"\xff\xfe{\0}\0", b"\xfe\xff\0{\0}"] {
        let mut reader = FlowReader::new(json);
        assert!(matches!(reader.next(), Some(Err(ReadError::Json))));
        assert_eq!(reader.into_inner(), json);
    }
}

#[test]
fn our_keys_are_taken_back_out_of_the_metadata() {
    for (flow, back) in flows().iter().zip(read(&written(&flows()))) {
        assert_eq!(flow.metadata, back.metadata);
    }
    // And what others put there does no harm.
    let keys = [
        "error.side",
        "error.phase",
        "client.mode",
        "client.tls_version",
        "server.via",
        "request.body_bytes",
    ];
    let entries = keys.map(|key| (Value::Text(format!("flowgate.{key}").into()), Value::List(vec![])));
    let back = read(&with(&["metadata"], Some(Value::Map(entries.into()))));
    assert_eq!(back[0].metadata, []);
}

/// A body that lies elsewhere: `len` bytes, each the low byte of its place; says it has `says`.
#[derive(Debug)]
struct Pattern {
    len: u64,
    says: u64,
}

impl StoredBody for Pattern {
    #[expect(clippy::misnamed_getters, reason = "it lies on purpose")]
    fn len(&self) -> u64 {
        self.says
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        // Odd pieces, as a medium may give them.
        let n = (self.len.saturating_sub(offset) as usize).min(buf.len()).min(50_001);
        for (at, byte) in buf[..n].iter_mut().enumerate() {
            *byte = (offset + at as u64) as u8;
        }
        Ok(n)
    }
}

fn http_with(body: Body) -> Flow {
    let response = Some(Response { body, ..response() });
    flow(FlowKind::Http(Box::new(HttpFlow { request: request(), response, websocket: None })))
}

fn metadata_value() -> impl Strategy<Value = MetadataValue> {
    let leaf = prop_oneof![
        Just(MetadataValue::None),
        any::<bool>().prop_map(MetadataValue::Bool),
        any::<i64>().prop_map(MetadataValue::Int),
        any::<f64>().prop_map(MetadataValue::Float),
        ".{0,9}".prop_map(MetadataValue::Text),
        bytes(9).prop_map(MetadataValue::Bytes),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(MetadataValue::List),
            prop::collection::vec((".{0,5}", inner), 0..4).prop_map(MetadataValue::Map),
        ]
    })
}

fn bytes(max: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..=max).prop_map(Bytes::from)
}

prop_compose! {
    fn any_http()(
        fields in prop::collection::vec((bytes(9), bytes(20)), 0..9),
        body in prop_oneof![
            Just(Body::Missing),
            any::<u32>().prop_map(|n| Body::Counted(n.into())),
            bytes(9000).prop_map(Body::Bytes),
        ],
        method in bytes(5), host in ".{0,9}", port in any::<u16>(), path in bytes(9),
        start in any::<f64>(), end in prop::option::of(any::<f64>()),
        metadata in prop::collection::vec((".{0,5}", metadata_value()), 0..4),
        mode in "[a-z:@/.0-9]{0,20}", tls_version in prop::option::of("TLSv1.[0-9]"),
        comment in ".{0,9}", id in ".{0,9}", certificates in prop::collection::vec(bytes(100), 0..3),
    ) -> Flow {
        let headers: Headers = fields.into_iter().collect();
        let trailers = Some(headers.clone());
        let mut flow = flow(FlowKind::Http(Box::new(HttpFlow {
            request: Request {
                method, host, port, path, headers, trailers,
                timestamp_start: Timestamp(start), timestamp_end: end.map(Timestamp), ..request()
            },
            response: Some(Response { body, ..response() }),
            websocket: None,
        })));
        flow.id = FlowId::Text(id.into());
        flow.comment = comment;
        flow.metadata = metadata;
        let client = Arc::make_mut(&mut flow.client);
        client.mode = mode;
        client.connection.tls_version = tls_version;
        client.connection.certificate_list = certificates;
        flow
    }
}

proptest! {
    #[test]
    fn any_flow_comes_back(flows in prop::collection::vec(any_http(), 0..4)) {
        let back = read(&written(&flows));
        assert_same(&back, &flows);
        prop_assert_eq!(written(&back), written(&flows));
    }

    #[test]
    fn no_change_of_a_file_panics(
        changes in prop::collection::vec((0..MITMPROXY.len(), any::<u8>()), 1..20),
        cut in 0..MITMPROXY.len(),
    ) {
        let mut bytes = MITMPROXY.to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        for flow in FlowReader::new(&bytes[..]).chain(FlowReader::new(&bytes[cut..])).flatten() {
            written(&[flow]);
        }
    }

    #[test]
    fn no_change_of_a_type_panics(at in 0..MITMPROXY.len(), kind in "[,;#^!~\\]}0-9]") {
        let marks: Vec<_> = (0..MITMPROXY.len()).filter(|at| b",;#^!~]}".contains(&MITMPROXY[*at])).collect();
        let mut bytes = MITMPROXY.to_vec();
        bytes[marks[at % marks.len()]] = kind.as_bytes()[0];
        for flow in FlowReader::new(&bytes[..]).flatten() {
            written(&[flow]);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        FlowReader::new(&bytes[..]).for_each(drop);
    }
}

/// A writer remembers how connections look that several flows have. It must not show.
#[test]
fn flows_that_share_connections_are_written_as_if_they_did_not() {
    let flows = flows();
    let mut sharing: Vec<Flow> = Vec::new();
    for other in &flows {
        for one in flows.iter().take(3) {
            let (client, server) = (Arc::clone(&other.client), Arc::clone(&one.server));
            sharing.push(Flow { client, server, ..one.clone() });
        }
        // The same place in memory, or another; never the same connection.
        let mut changed = one_of(&sharing).clone();
        Arc::make_mut(&mut changed.client).connection.error = Some(sharing.len().to_string());
        Arc::make_mut(&mut changed.server).timestamp_tcp_setup = Some(Timestamp(sharing.len() as f64));
        sharing.push(changed);
    }
    // More of them than are remembered.
    sharing.extend(std::iter::repeat_with(|| one_of(&flows).clone()).take(600).flat_map(|mut flow| {
        flow.client = Arc::new((*flow.client).clone());
        [flow.clone(), flow]
    }));
    let mut writer = FlowWriter::new();
    for flow in &sharing {
        let (mut first, mut again, mut fresh) = (Vec::new(), Vec::new(), Vec::new());
        writer.write_flow(&mut first, flow).unwrap();
        writer.write_flow_but_certificates(&mut again, flow, 9).unwrap();
        FlowWriter::new().write_flow_but_certificates(&mut fresh, flow, 9).unwrap();
        assert_eq!(again, fresh);
        again.clear();
        writer.write_flow(&mut again, flow).unwrap();
        fresh.clear();
        write_flow(&mut fresh, flow).unwrap();
        assert!(first == fresh && again == fresh);
    }
}

fn one_of(flows: &[Flow]) -> &Flow {
    flows.last().unwrap()
}

/// Puts another value in the place that these keys lead to.
fn replaced<'a>(value: Value<'a>, keys: &[&str], by: &Value<'a>) -> Value<'a> {
    let (Value::Map(entries), [key, rest @ ..]) = (value, keys) else { return by.clone() };
    let each = |(name, value)| match &name {
        Value::Text(text) if text == key => (name, replaced(value, rest, by)),
        _ => (name, value),
    };
    Value::Map(entries.into_iter().map(each).collect())
}

/// A few bytes make an entry, and a file can have a million of them anywhere: they are read, or refused with their place, and
/// take no more than their limit.
#[test]
fn a_million_entries_are_read_or_refused() {
    const MILLION: usize = 1_000_000;
    let state = states(&written(&[flow(FlowKind::Http(Box::new(HttpFlow {
        request: request(),
        response: None,
        websocket: None,
    })))]))
    .remove(0);
    let field = Value::List(vec![Value::Bytes(b"a"[..].into()), Value::Bytes(b"b"[..].into())]);
    let number = |n: usize| Value::Text(n.to_string().into());
    let bombs = [
        (&["request", "headers"][..], Value::List(vec![field; MILLION])),
        (&["metadata"][..], Value::Map((0..MILLION).map(|n| (number(n), Value::None)).collect())),
        (&["client_conn", "cipher_list"][..], Value::List(vec![Value::Text("".into()); MILLION])),
    ];
    for (keys, many) in bombs {
        let bomb = replaced(state.clone(), keys, &many);
        let mut file = Vec::new();
        Encoder::new().value(&bomb).write_to(&mut file).unwrap();
        let back = read(&file).remove(0);
        let FlowKind::Http(http) = &back.kind else { unreachable!() };
        let counts = [
            http.request.headers.iter().count(),
            back.metadata.len(),
            back.client.connection.cipher_list.len(),
        ];
        assert!(counts.contains(&MILLION), "{keys:?}: {counts:?}");
    }
    // Where nobody expects them that is said.
    let many = Value::List(vec![Value::None; MILLION]);
    let mut file = Vec::new();
    let odd = replaced(state.clone(), &["request", "timestamp_start"], &many);
    Encoder::new().value(&odd).write_to(&mut file).unwrap();
    let refused = FlowReader::new(&file[..]).next().unwrap().unwrap_err();
    assert!(format!("{refused:?}").contains("timestamp_start"), "{refused:?}");
    let many = Value::List(vec![Value::None; Limits::VALUES_MAX]);
    let mut file = Vec::new();
    Encoder::new().value(&replaced(state, &["metadata"], &many)).write_to(&mut file).unwrap();
    let refused = FlowReader::new(&file[..]).next().unwrap().unwrap_err();
    let limit = Limits::VALUES_MAX;
    assert!(
        matches!(&refused, ReadError::Corrupted { problem: Problem::Values { limit: said }, .. } if *said == limit),
        "{refused:?}"
    );
}
