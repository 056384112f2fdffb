//! The flows that the tests show, and how they differ.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    reason = "test data; each test binary uses a part of it"
)]

use std::sync::Arc;

use bytes::Bytes;
use flowgate_dump::Dumper;
use flowgate_flow::{
    Address, Body, ClientConnection, DnsFlow, DnsMessage, DnsQuestion, DnsRecord, Flow, FlowError, FlowId,
    FlowKind, Headers, HttpFlow, HttpVersion, MetadataValue, PseudoFields, RawFlow, RawMessage, Replay,
    Request, Response, ServerConnection, Timestamp, WebSocketData, WebSocketMessage,
};

/// A flow, how it is dumped, and what mitmdump makes of it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) flow: Flow,
    pub(crate) dumper: Dumper,
    /// At which details it is shown.
    pub(crate) details: &'static [u8],
    pub(crate) oracle: Oracle,
}

/// What mitmdump prints of a case.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Oracle {
    Same,
    /// Something else, on purpose.
    Differs,
}

impl Case {
    pub(crate) fn new(name: impl Into<String>, flow: Flow) -> Self {
        Self { name: name.into(), flow, dumper: Dumper::default(), details: &[1, 2], oracle: Oracle::Same }
    }

    pub(crate) fn at(self, details: &'static [u8]) -> Self {
        Self { details, ..self }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Dumper)) -> Self {
        change(&mut self.dumper);
        self
    }

    pub(crate) fn differs(self) -> Self {
        Self { oracle: Oracle::Differs, ..self }
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp(1_700_000_000.0)
}

pub(crate) fn flow(kind: FlowKind) -> Flow {
    let mut client = ClientConnection::new(FlowId::Uuid(1), "regular".into());
    client.connection.peername = Some("127.0.0.1:43648".parse().unwrap());
    let address = Address { host: "example.com".into(), port: 443 };
    let server = ServerConnection::new(FlowId::Uuid(2), Some(address));
    Flow::new(FlowId::Uuid(3), Arc::new(client), Arc::new(server), kind, now())
}

pub(crate) fn request() -> Request {
    Request {
        version: HttpVersion::Http11,
        method: "GET".into(),
        scheme: "http".into(),
        host: "example.com".into(),
        port: 80,
        authority: Bytes::new(),
        path: "/path".into(),
        pseudo: PseudoFields::default(),
        headers: [("Host", "example.com"), ("accept", "*/*")].into_iter().collect(),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: now(),
        timestamp_end: Some(now()),
    }
}

pub(crate) fn response() -> Response {
    Response {
        version: HttpVersion::Http11,
        status: 200,
        reason: "OK".into(),
        headers: [("Content-Type", "text/plain")].into_iter().collect(),
        body: body("hello"),
        trailers: None,
        timestamp_start: now(),
        timestamp_end: Some(now()),
    }
}

pub(crate) fn body(bytes: impl Into<Vec<u8>>) -> Body {
    Body::Bytes(Bytes::from(bytes.into()))
}

/// An HTTP flow, changed.
pub(crate) fn http(change: impl FnOnce(&mut Request, &mut Response)) -> Flow {
    let (mut request, mut response) = (request(), response());
    change(&mut request, &mut response);
    flow(FlowKind::Http(Box::new(HttpFlow { request, response: Some(response), websocket: None })))
}

pub(crate) fn edit(mut flow: Flow, change: impl FnOnce(&mut Flow)) -> Flow {
    change(&mut flow);
    flow
}

pub(crate) fn http_of(flow: &mut Flow) -> &mut HttpFlow {
    match &mut flow.kind {
        FlowKind::Http(http) => http,
        _ => panic!("no HTTP flow"),
    }
}

pub(crate) fn failed(flow: Flow, message: &str) -> Flow {
    let error = FlowError { message: message.into(), timestamp: now(), side: None, phase: None };
    edit(flow, |flow| flow.error = Some(error))
}

/// A request that was refused, as far as it could be read.
pub(crate) fn refused(method: &'static str, path: &'static str, bytes: &'static [u8]) -> Flow {
    let request = Request {
        method: method.into(),
        path: path.into(),
        scheme: Bytes::new(),
        host: String::new(),
        port: 0,
        headers: Headers::new(),
        ..request()
    };
    let flow = flow(FlowKind::Http(Box::new(HttpFlow { request, response: None, websocket: None })));
    let raw = MetadataValue::Bytes(Bytes::from_static(bytes));
    let noted = edit(flow, |flow| flow.metadata.push((Flow::REFUSED.into(), raw)));
    failed(noted, "The request was refused: malformed header name at byte 17.")
}

pub(crate) fn from_client(flow: Flow, peername: Option<&str>) -> Flow {
    edit(flow, |flow| {
        Arc::make_mut(&mut flow.client).connection.peername = peername.map(|text| text.parse().unwrap());
    })
}

pub(crate) fn to_server(flow: Flow, host: Option<&str>, port: u16) -> Flow {
    edit(flow, |flow| {
        Arc::make_mut(&mut flow.server).address = host.map(|host| Address { host: host.into(), port });
    })
}

pub(crate) fn typed(content_type: &str, content: impl Into<Vec<u8>>) -> Flow {
    http(|_, response| {
        response.headers.set("Content-Type", content_type);
        response.body = body(content);
    })
}

pub(crate) fn raw(messages: &[(bool, &[u8])]) -> RawFlow {
    let message = |(from_client, content): &(bool, &[u8])| RawMessage {
        from_client: *from_client,
        content: Bytes::copy_from_slice(content),
        timestamp: now(),
    };
    RawFlow { messages: messages.iter().map(message).collect() }
}

pub(crate) fn websocket(
    code: Option<u16>,
    by_client: Option<bool>,
    reason: Option<&str>,
    ended: bool,
) -> Flow {
    let message = |opcode, from_client, content: &'static [u8]| WebSocketMessage {
        opcode,
        from_client,
        content: Bytes::from_static(content),
        timestamp: now(),
        dropped: false,
        injected: false,
    };
    let mut flow = http(|request, response| {
        request.path = "/ws?x=1".into();
        response.status = 101;
        response.reason = "Switching Protocols".into();
        response.body = Body::EMPTY;
    });
    http_of(&mut flow).websocket = Some(WebSocketData {
        messages: vec![message(1, true, b"hello there, \xc3\xa4"), message(2, false, b"\0\x01\x02\x03")],
        closed_by_client: by_client,
        close_code: code,
        close_reason: reason.map(Into::into),
        timestamp_end: ended.then(now),
    });
    flow
}

/// A WebSocket whose frames could not be read.
fn unread(mut flow: Flow) -> Flow {
    let fault = "client: client sent a frame without a mask, in the frame at byte 0";
    flow.metadata.push((Flow::WEBSOCKET_FAULT.into(), MetadataValue::Text(fault.into())));
    flow
}

pub(crate) fn dns_message(query: bool) -> DnsMessage {
    let question = DnsQuestion { name: "dns.google".into(), kind: 1, class: 1 };
    let asked = DnsMessage::query(7, question);
    DnsMessage { query, recursion_available: !query, timestamp: Some(now()), ..asked }
}

pub(crate) fn dns(kind: u16, answers: &[(u16, &[u8])], change: impl FnOnce(&mut DnsFlow)) -> Flow {
    let (mut request, mut response) = (dns_message(true), dns_message(false));
    request.questions[0].kind = kind;
    response.questions[0].kind = kind;
    let record = |(kind, data): &(u16, &[u8])| DnsRecord {
        name: "dns.google".into(),
        kind: *kind,
        class: 1,
        ttl: 60,
        data: Bytes::copy_from_slice(data),
    };
    response.answers = answers.iter().map(record).collect();
    let mut dns = DnsFlow { request, response: Some(response) };
    change(&mut dns);
    flow(FlowKind::Dns(Box::new(dns)))
}

const HTTPS_RECORD: &[u8] = b"\0\x01\0\0\x01\0\x06\x02h2\x02h3\0\x04\0\x04\x08\x08\x08\x08\xff\0\0\x02'\"";

/// All cases of the table.
#[allow(clippy::too_many_lines, reason = "a table")]
pub(crate) fn cases() -> Vec<Case> {
    let long_path = || http(|request, _| request.path = "/0123456789".repeat(20).into());
    let lines: String = (1..=9).map(|n| format!("line {n}\n")).collect();
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x4b\x49\x4d\xce\x4f\x49\x4d\x01\x00\xf6\x9a\xf0\x1a\x07\x00\x00\x00";
    let mut cases = vec![
        Case::new("get", http(|_, _| {})).at(&[0, 1, 2, 3, 4]),
        Case::new("https, other port", http(|request, _| {
            request.scheme = "https".into();
            request.port = 8443;
            request.path = "/a?b=c#d".into();
        })),
        Case::new("lower-case method, asterisk, no content", http(|request, response| {
            request.method = "options".into();
            request.path = "*".into();
            response.status = 204;
            response.reason = "No Content".into();
            response.body = Body::EMPTY;
        })).at(&[1, 2, 3]),
        Case::new("refused request", refused("GET", "/x", b"GET /x HTTP/1.1\r\nHost : a\r\n\x1b[2J\xff\r\n\r\n")).at(&[1, 2, 3]).differs(),
        Case::new("refused bytes that are no request", refused("", "", b"\0\0\x16\x03\n\n\n")).at(&[1, 2]).differs(),
        Case::new("unusual scheme", http(|request, _| request.scheme = "ftp".into())).at(&[1]),
        Case::new("long URL", long_path()),
        Case::new("long URL, wide", long_path()).at(&[1]).with(|dumper| dumper.columns = Some(120)),
        Case::new("long URL, narrow", long_path()).at(&[1]).with(|dumper| dumper.columns = Some(10)),
        Case::new("URL that just fits", http(|request, _| request.path = format!("/{}", "ä".repeat(36)).into())).at(&[1]),
        Case::new("URL one too long", http(|request, _| request.path = format!("/{}", "ä".repeat(37)).into())).at(&[1]),
        Case::new("HTTP/1.0 both", http(|request, response| {
            request.version = HttpVersion::Http10;
            response.version = HttpVersion::Http10;
        })).at(&[1]),
        Case::new("HTTP/1.0 and 1.1", http(|request, _| request.version = HttpVersion::Http10)),
        Case::new("HTTP/2 and 1.1", http(|request, _| request.version = HttpVersion::Http2)),
        Case::new("HTTP/2 both", http(|request, response| {
            request.version = HttpVersion::Http2;
            response.version = HttpVersion::Http2;
            response.reason = Bytes::new();
        })),
        Case::new("HTTP/3, phrase from table", http(|request, response| {
            request.version = HttpVersion::Http3;
            response.version = HttpVersion::Http3;
            response.status = 504;
            response.reason = Bytes::new();
        })),
        Case::new("HTTP/2, unknown status", http(|request, response| {
            request.version = HttpVersion::Http2;
            response.version = HttpVersion::Http2;
            response.status = 299;
        })).at(&[1]),
        Case::new("unknown version", http(|request, response| {
            request.version = HttpVersion::Other("HTTP/2".into());
            response.version = HttpVersion::Other("HTTP/2".into());
        })),
        Case::new("teapot", http(|request, response| {
            request.method = "DELETE".into();
            response.status = 418;
            response.reason = "I'm a teapot".into();
        })).at(&[1]),
        Case::new("redirect", http(|_, response| {
            response.status = 304;
            response.reason = Bytes::new();
            response.body = Body::EMPTY;
        })).at(&[1]),
        Case::new("Latin-1 reason", http(|_, response| response.reason = Bytes::from_static(b"Gr\xfc\xdfe"))).at(&[1]),
        Case::new("replayed request", edit(http(|_, _| {}), |flow| flow.replay = Some(Replay::Request))),
        Case::new("replayed response", edit(http(|_, _| {}), |flow| flow.replay = Some(Replay::Response))),
        Case::new("pushed", edit(http(|_, _| {}), |flow| {
            flow.metadata.push(("h2-pushed-stream".into(), MetadataValue::Bool(true)));
        })).at(&[1]),
        Case::new("client over IPv6", from_client(http(|_, _| {}), Some("[2001:db8::1]:5"))).at(&[1]),
        Case::new("client over mapped IPv4", from_client(http(|_, _| {}), Some("[::ffff:10.0.0.1]:5"))).at(&[1]),
        Case::new("no client", from_client(http(|_, _| {}), None)).at(&[1]),
        Case::new("showhost", http(|request, _| {
            request.host = "93.184.216.34".into();
            request.headers.set("Host", "example.com:8080");
        })).at(&[1]).with(|dumper| dumper.showhost = true),
        Case::new("showhost, default port", http(|request, _| {
            request.port = 8080;
            request.headers.set("Host", "example.com");
        })).at(&[1]).with(|dumper| dumper.showhost = true),
        Case::new("showhost, no Host", http(|request, _| {
            request.headers.remove("Host");
        })).at(&[1]).with(|dumper| dumper.showhost = true),
        Case::new("showhost, bad Host", http(|request, _| request.headers.set("Host", "a b:99999"))).at(&[1])
            .with(|dumper| dumper.showhost = true),
        Case::new("showhost, two Hosts", http(|request, _| request.headers.push("host", "b.test"))).at(&[1])
            .with(|dumper| dumper.showhost = true),
        Case::new("showhost, HTTP/2", http(|request, _| {
            request.version = HttpVersion::Http2;
            request.authority = "h2.test:81".into();
        })).at(&[1]).with(|dumper| dumper.showhost = true),
        Case::new("IPv6 URL", http(|request, _| {
            request.host = "::1".into();
            request.port = 8080;
        })).at(&[1]).differs(),
        Case::new("showhost, IPv6", http(|request, _| request.headers.set("Host", "[::1]:8080"))).at(&[1])
            .with(|dumper| dumper.showhost = true).differs(),
        Case::new("connection failed", failed(edit(http(|_, _| {}), |flow| http_of(flow).response = None),
            "[Errno 111] Connect call failed ('127.0.0.1', 1)")),
        Case::new("HTTP/1.0 failed", failed(edit(http(|request, _| request.version = HttpVersion::Http10),
            |flow| http_of(flow).response = None), "no")).at(&[1]),
        Case::new("CONNECT refused", failed(http(|request, response| {
            request.method = "CONNECT".into();
            request.scheme = Bytes::new();
            request.port = 443;
            request.authority = "example.com:443".into();
            request.path = Bytes::new();
            response.status = 502;
            response.reason = "Bad Gateway".into();
        }), "server closed connection")).at(&[1, 2, 3]),
        Case::new("CONNECT, showhost", http(|request, _| {
            request.method = "CONNECT".into();
            request.authority = "name.test:443".into();
            request.path = Bytes::new();
        })).at(&[1]).with(|dumper| dumper.showhost = true),
        Case::new("header fields", http(|request, _| {
            request.headers = [
                (&b"X-Empty"[..], &b""[..]),
                (b"x-quotes", b"'single' \"double\" back\\slash"),
                (b"X-Bytes", b"tab\there \xc3\xa4 \x1b[31m"),
                (b"x-dup", b"1"),
                (b"X-Dup", b"2"),
            ].into_iter().collect();
        })).at(&[2]),
        Case::new("trailers", http(|request, response| {
            request.trailers = Some(Headers::new());
            response.trailers = Some([("checksum", "abc")].into_iter().collect());
        })).at(&[1, 2, 3]),
        Case::new("content missing", http(|request, response| {
            request.body = Body::Missing;
            response.body = Body::Missing;
        })).at(&[1, 2, 3]),
        Case::new("query instead of a body", http(|request, _| {
            request.path = "/?q=1&b=x&q=two+words&c=%C3%A4".into();
        })).at(&[3]),
        Case::new("form", http(|request, _| {
            request.method = "POST".into();
            request.headers.push("content-type", "application/x-www-form-urlencoded; charset=UTF-8");
            request.body = body("user=me&password=s%26cret&n=1&list=a&list=b&utf=%C3%A4");
        })).at(&[3]),
        Case::new("form with an empty value first", http(|request, _| {
            request.headers.push("content-type", "application/x-www-form-urlencoded");
            request.body = body("a=&a=1");
        })).at(&[3]).differs(),
        Case::new("JSON", typed("application/json",
            r#"{"name": "Zo\u00eb", "n": [1, -2.5, true, null, {}], "deep": {"a": []}, "text": "a\n\"b\" \u001b"}"#)).at(&[3]),
        Case::new("JSON as it was sent", typed("application/json", r#"{"n": 1e5, "n": 1.10}"#)).at(&[3]).differs(),
        Case::new("not JSON", typed("application/json", "{oops}")).at(&[3]),
        Case::new("raw text", typed("text/plain", "  first\r\n\tsecond\n\n   third  \n\n")).at(&[3]),
        Case::new("blank text", typed("text/plain", " \n\n")).at(&[3]),
        Case::new("text with controls", typed("text/plain", "some text \x1b[2J and more \0 text \x7f")).at(&[3]),
        Case::new("text with C1 controls", typed("text/plain", "a\u{9b}2Jb\u{85}c")).at(&[3]).differs(),
        Case::new("binary", typed("application/octet-stream", (0..=40).chain([255]).collect::<Vec<u8>>())).at(&[3]),
        Case::new("Cyrillic", typed("text/plain", "Привет, мир")).at(&[3]).differs(),
        Case::new("gzip", http(|_, response| {
            response.headers.push("Content-Encoding", "gzip");
            response.body = body(*gzip);
        })).at(&[1, 3]),
        Case::new("truncated gzip", http(|_, response| {
            response.headers.push("Content-Encoding", "gzip");
            response.body = body(&gzip[..20]);
        })).at(&[3]).differs(),
        Case::new("not gzip", http(|_, response| {
            response.headers.push("Content-Encoding", "gzip");
            response.body = body("plain after all");
        })).at(&[3]),
        Case::new("unknown encoding", http(|_, response| {
            response.headers.push("Content-Encoding", "frob");
            response.body = body("as it is");
        })).at(&[3]),
        Case::new("as many lines as are shown", typed("text/plain", lines.as_str())).at(&[3])
            .with(|dumper| dumper.content_view_lines_cutoff = 9),
        Case::new("more lines than are shown", typed("text/plain", lines.as_str())).at(&[3])
            .with(|dumper| dumper.content_view_lines_cutoff = 3).differs(),
        Case::new("all lines", typed("text/plain", lines.as_str())).at(&[4])
            .with(|dumper| dumper.content_view_lines_cutoff = 3),
        Case::new("view of choice", typed("application/json", "{}")).at(&[3])
            .with(|dumper| dumper.default_contentview = flowgate_contentview::View::HexDump),
        Case::new("view that does not fit", typed("text/plain", "text")).at(&[3])
            .with(|dumper| dumper.default_contentview = flowgate_contentview::View::Json).differs(),
        Case::new("control characters everywhere", failed(http(|request, response| {
            request.method = "GE\x1bT".into();
            request.host = "a\nb".into();
            request.path = Bytes::from_static(b"/\r\n[00:00:00.000] forged\xff\x1b]0;t\x07");
            response.reason = Bytes::from_static(b"\x9b31m\n");
        }), "bad\n<< 200 OK")).differs(),
        Case::new("WebSocket", websocket(Some(1000), Some(true), Some("bye"), true)).at(&[1, 2, 3]),
        Case::new("WebSocket, closed by the server", websocket(Some(1001), Some(false), Some(""), true)).at(&[1]),
        Case::new("WebSocket, no reason", websocket(Some(1005), Some(false), None, true)).at(&[1]).differs(),
        Case::new("WebSocket, protocol error", websocket(Some(1002), Some(false), Some("x"), true)).at(&[1]),
        Case::new("WebSocket, own code", websocket(Some(4000), Some(true), None, true)).at(&[1]),
        Case::new("WebSocket, cut", websocket(None, None, None, true)).at(&[1]),
        Case::new("WebSocket, cut and not readable", unread(websocket(None, None, None, true))).at(&[1]).differs(),
        Case::new("WebSocket, closed and not readable", unread(websocket(Some(1000), Some(true), None, true))).at(&[1]).differs(),
        Case::new("WebSocket, still open", websocket(None, None, None, false)).at(&[1]).differs(),
        Case::new("TCP", flow(FlowKind::Tcp(raw(&[(true, b"hello\n"), (false, b"\x16\x03\x01\x02\0\0\0\0")])))).at(&[0, 1, 2, 3]),
        Case::new("TCP failed", failed(flow(FlowKind::Tcp(raw(&[]))), "connection reset")).at(&[1]),
        Case::new("UDP", to_server(flow(FlowKind::Udp(raw(&[(true, b"\0")]))), Some("::1"), 5000)).at(&[1, 3]),
        Case::new("UDP, nowhere", to_server(flow(FlowKind::Udp(raw(&[(true, b"")]))), None, 0)).at(&[1, 3]),
        Case::new("UDP failed", failed(to_server(flow(FlowKind::Udp(raw(&[]))), Some("0.0.0.0"), 9), "no")).at(&[1]),
        Case::new("DNS failed", failed(dns(28, &[], |dns| dns.response = None), "no route")).at(&[1]),
        Case::new("DNS A", dns(1, &[(1, &[8, 8, 8, 8]), (1, &[8, 8, 4, 4])], |_| {})).at(&[0, 1, 3]),
        Case::new("DNS AAAA", dns(28, &[(5, b"\x01a\x04test\0"), (28, b"\x20\x01\x48\x60\0\0\0\0\0\0\0\0\0\0\0\x88"),
            (28, b"\0\0\0\0\0\0\0\0\0\0\xff\xff\x01\x02\x03\x04")], |_| {})).at(&[1]),
        Case::new("DNS HTTPS", dns(65, &[(65, HTTPS_RECORD), (65, b"\0\x01")], |_| {})).at(&[1]),
        Case::new("DNS, others", dns(15, &[(15, b"\0\x05mail"), (1, b"\x01"), (12, b"\x05a"), (4711, b"")], |_| {})).at(&[1]),
        Case::new("DNS TXT", dns(16, &[(16, b"\x05hello\x05world")], |_| {})).at(&[1]).differs(),
        Case::new("DNS NXDOMAIN", dns(4711, &[], |dns| {
            dns.request.op_code = 9;
            dns.response.as_mut().unwrap().response_code = 3;
        })).at(&[1]),
        Case::new("DNS, no question", dns(1, &[], |dns| dns.request.questions.clear())).at(&[1]).differs(),
        Case::new("DNS replayed", edit(dns(1, &[], |dns| dns.response.as_mut().unwrap().response_code = 99),
            |flow| flow.replay = Some(Replay::Request))).at(&[1]),
    ];
    let quic = |kind| {
        edit(flow(kind), |flow| {
            Arc::make_mut(&mut flow.client).connection.tls_version = Some("QUICv1".into());
            flow.metadata = vec![
                ("quic_stream_id_client".into(), MetadataValue::Int(0)),
                ("quic_stream_id_server".into(), MetadataValue::Int(4)),
            ];
        })
    };
    cases.push(Case::new("QUIC stream", quic(FlowKind::Tcp(raw(&[(true, b"x")])))).at(&[1]));
    cases.push(Case::new("QUIC datagrams", quic(FlowKind::Udp(raw(&[(false, b"x")])))).at(&[1]));
    cases
}

/// What is printed of a case at a detail.
pub(crate) fn shown(case: &Case, flow_detail: u8, style: flowgate_dump::Style) -> String {
    let mut out = String::new();
    Dumper { flow_detail, style, ..case.dumper.clone() }.saved_flow(&case.flow, &mut out);
    out
}
