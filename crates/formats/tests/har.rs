//! HAR files: what other tools write is read, what is written is read again, and hostile files stay small.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking; helpers are not seen as tests"
)]

mod samples;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use flowgate_filter::BodyDecoder;
use flowgate_flow::*;
use flowgate_formats::har::{HarError, HarLimits, HarSummary, HarWriter, read_har};
use proptest::prelude::*;
use samples::{flow, flows, request, response};
use serde_json::{Value, json};

/// Knows one encoding: `upper`.
struct Upper;

impl BodyDecoder for Upper {
    fn decode<'b>(&self, content_encoding: &[u8], body: &'b [u8]) -> Option<Cow<'b, [u8]>> {
        (content_encoding == b"upper").then(|| Cow::Owned(body.to_ascii_lowercase()))
    }
}

fn read(bytes: &[u8]) -> (Vec<Flow>, Result<HarSummary, HarError>) {
    let mut flows = Vec::new();
    let outcome = read_har(bytes, &HarLimits::default(), |flow| flows.push(flow));
    (flows, outcome)
}

fn written(flows: &[Flow]) -> Vec<u8> {
    let mut out = HarWriter::BEGINNING.as_bytes().to_vec();
    let mut writer = HarWriter::new();
    for flow in flows {
        writer.write_flow(&mut out, flow, &Upper).unwrap();
    }
    out.extend_from_slice(HarWriter::END.as_bytes());
    out
}

fn entry(entry: &Value) -> Flow {
    let file = json!({"log": {"version": "1.2", "entries": [entry]}}).to_string();
    let (mut flows, outcome) = read(file.as_bytes());
    outcome.unwrap();
    flows.remove(0)
}

fn http(flow: &Flow) -> &HttpFlow {
    match &flow.kind {
        FlowKind::Http(http) => http,
        _ => panic!("{flow:?}"),
    }
}

fn bytes(body: &Body) -> Vec<u8> {
    body.prefix(usize::MAX).unwrap().unwrap().into()
}

fn fields(headers: &Headers) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|field| (text(field.name), text(field.value))).collect()
}

/// As Chromium's developer tools write it.
#[test]
fn an_entry_of_chromium() {
    let flow = entry(&json!({
        "_initiator": {"type": "other", "stack": {"callFrames": [{"lineNumber": 1}]}},
        "_priority": "VeryHigh", "_resourceType": "document", "cache": {}, "connection": "4711", "pageref": "page_1",
        "request": {
            "method": "POST", "url": "https://example.test:8443/a?b=%20c#fragment", "httpVersion": "http/2.0",
            "headers": [{"name": ":authority", "value": "example.test:8443"}, {"name": ":method", "value": "POST"},
                {"name": "accept-encoding", "value": "gzip, br"}, {"name": "content-type", "value": "text/plain;charset=UTF-8"}],
            "queryString": [{"name": "b", "value": "%20c"}], "cookies": [], "headersSize": -1, "bodySize": 5,
            "postData": {"mimeType": "text/plain;charset=UTF-8", "text": "\u{e9}\u{20ac}"}
        },
        "response": {
            "status": 404, "statusText": "", "httpVersion": "http/2.0",
            "headers": [{"name": "content-encoding", "value": "br"}, {"name": "content-length", "value": "3"},
                {"name": "content-type", "value": "image/png"}],
            "cookies": [], "content": {"size": 4, "mimeType": "image/png", "text": "iVBORw==", "encoding": "base64"},
            "redirectURL": "", "headersSize": -1, "bodySize": -1, "_transferSize": 253, "_error": null
        },
        "serverIPAddress": "[2001:db8::1]", "startedDateTime": "2023-03-30T00:00:54.250Z", "time": 100,
        "timings": {"blocked": 10.0, "dns": -1, "ssl": 5, "connect": 20, "send": 10, "wait": 40, "receive": 20}
    }));
    let HttpFlow { request, response, .. } = http(&flow);
    assert_eq!(
        (&*request.method, &*request.scheme, &*request.path),
        (&b"POST"[..], &b"https"[..], &b"/a?b=%20c"[..])
    );
    assert_eq!(
        (&*request.host, request.port, &*request.authority),
        ("example.test", 8443, &b"example.test:8443"[..])
    );
    assert_eq!(request.version, HttpVersion::Http2);
    assert_eq!(
        fields(&request.headers),
        [("accept-encoding", "gzip, br"), ("content-type", "text/plain;charset=UTF-8")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
    assert_eq!(bytes(&request.body), "é€".as_bytes());
    let response = response.as_ref().unwrap();
    assert_eq!((response.status, &*response.reason), (404, &b""[..]));
    assert_eq!(bytes(&response.body), b"\x89PNG");
    assert_eq!(
        fields(&response.headers),
        [("content-length", "4"), ("content-type", "image/png")].map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
    assert_eq!(flow.server.connection.peername, Some("[2001:db8::1]:8443".parse().unwrap()));
    let start = request.timestamp_start.0;
    assert_eq!(start, 1_680_134_454.25);
    for (time, after) in
        [(request.timestamp_end, 0.04), (Some(response.timestamp_start), 0.08), (response.timestamp_end, 0.1)]
    {
        assert!((time.unwrap().0 - start - after).abs() < 1e-6, "{after}");
    }
}

/// Chromium has a line for each value of a name; a field cannot have line feeds.
#[test]
fn lines_of_a_value_are_fields() {
    let flow = entry(&json!({
        "request": {"method": "GET", "url": "http://h/", "headers": []},
        "response": {"status": 200, "headers": [{"name": "set-cookie", "value": "a=1\nb=2; Path=/\r\nc=3"}, {"name": "x", "value": ""}]}
    }));
    assert_eq!(
        fields(&http(&flow).response.as_ref().unwrap().headers),
        [("set-cookie", "a=1"), ("set-cookie", "b=2; Path=/"), ("set-cookie", "c=3"), ("x", "")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
}

/// The phases of HAR 1.2: their sum, without `ssl`, is the time of the entry, and `ssl` is a part of `connect`. What was read with a
/// connection once came out with that in `send`, and what was recorded with it in `connect` and in `wait`.
#[test]
fn phases_are_counted_once() {
    let phases = json!({"connect": 20.0, "ssl": 5.0, "send": 10.0, "wait": 40.0, "receive": 30.0});
    let flow = entry(&json!({
        "startedDateTime": "2026-03-30T00:00:54.250Z", "time": 100, "timings": phases,
        "request": {"method": "GET", "url": "https://h/", "headers": []},
        "response": {"status": 200, "headers": []}
    }));
    let timings = |flow: &Flow| -> (f64, Vec<i64>) {
        let file: Value = serde_json::from_slice(&written(std::slice::from_ref(flow))).unwrap();
        let entry = &file["log"]["entries"][0];
        let phase = |name: &str| entry["timings"][name].as_f64().unwrap().round() as i64;
        (
            entry["time"].as_f64().unwrap().round(),
            ["connect", "ssl", "send", "wait", "receive"].map(phase).to_vec(),
        )
    };
    assert_eq!(timings(&flow), (100.0, vec![20, 5, 10, 40, 30]));

    // A proxy has the request first, and the connection while it waits.
    let mut recorded = flow.clone();
    let begun = http(&flow).request.timestamp_start.0;
    let at = |milliseconds: f64| Some(Timestamp(begun + milliseconds / 1e3));
    let FlowKind::Http(http) = &mut recorded.kind else { panic!() };
    http.request.timestamp_end = at(1.0);
    let server = Arc::make_mut(&mut recorded.server);
    (server.connection.timestamp_start, server.timestamp_tcp_setup) = (at(2.0), at(17.0));
    server.connection.timestamp_tls_setup = at(22.0);
    assert_eq!(timings(&recorded), (100.0, vec![20, 5, 1, 49, 30]));

    // One that was there before is told beside it.
    let server = Arc::make_mut(&mut recorded.server);
    (server.connection.timestamp_start, server.timestamp_tcp_setup) = (at(-30.0), at(-20.0));
    server.connection.timestamp_tls_setup = None;
    assert_eq!(timings(&recorded), (110.0, vec![10, -1, 1, 69, 30]));
}

/// As Firefox, Charles, Fiddler, Insomnia and Slack write what others do not.
#[test]
fn entries_of_other_tools() {
    let least = |change: &dyn Fn(&mut Value)| {
        let mut value = json!({
            "startedDateTime": "2023-03-29T16:58:59.303-07:00", "time": 23,
            "request": {"method": "GET", "url": "http://h/", "httpVersion": "HTTP/1.1", "headers": []},
            "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "headers": [], "content": {"size": 2, "text": "hi"}}
        });
        change(&mut value);
        entry(&value)
    };
    // Firefox leaves images out.
    let flow = least(&|entry| entry["response"]["content"] = json!({"mimeType": "image/png", "size": 5509}));
    assert!(matches!(http(&flow).response.as_ref().unwrap().body, Body::Counted(5509)));
    // Charles: null for what is not there, ISO time with a zone, a query of nothing.
    let flow = least(&|entry| {
        entry["request"]["url"] = json!("https://h/?=");
        entry["response"]["redirectURL"] = Value::Null;
        entry["response"]["headers"] =
            json!([{"name": "Content-Type", "value": "text/html"}, {"name": "x", "value": null}]);
    });
    assert_eq!(&*http(&flow).request.path, b"/?=");
    assert_eq!(http(&flow).response.as_ref().unwrap().headers.get("x"), Some(&b""[..]));
    // Fiddler: numbers as text, seven digits of a second.
    let flow = least(&|entry| {
        entry["startedDateTime"] = json!("2023-03-29T16:58:59.3030000-07:00");
        entry["time"] = json!("23");
        entry["response"]["status"] = json!("204");
        entry["response"]["content"] = json!({"size": -1});
    });
    assert_eq!(http(&flow).response.as_ref().unwrap().status, 204);
    assert_eq!(flow.created, Timestamp(1_680_134_339.303));
    // Slack: headers as lists.
    let flow = least(&|entry| {
        entry["request"]["headers"] = json!([["Host", "h"], ["only a name"], [], "odd", 7, null])
    });
    assert_eq!(fields(&http(&flow).request.headers)[0], ("Host".to_owned(), "h".to_owned()));
    // Forms by their parameters.
    let flow = least(&|entry| {
        entry["request"]["postData"] =
            json!({"mimeType": "x", "params": [{"name": "a b", "value": "é&"}, {"name": "c"}]});
    });
    assert_eq!(bytes(&http(&flow).request.body), b"a+b=%C3%A9%26&c=");
    // A blocked request, as Chromium has it.
    let flow =
        least(&|entry| entry["response"] = json!({"status": 0, "_error": "net::ERR_BLOCKED_BY_CLIENT"}));
    assert!(http(&flow).response.is_none());
    assert_eq!(flow.error.unwrap().message, "net::ERR_BLOCKED_BY_CLIENT");
    // Versions in all spellings.
    for (text, version) in [
        ("h2", HttpVersion::Http2),
        ("HTTP/2", HttpVersion::Http2),
        ("h3-29", HttpVersion::Http3),
        ("http/1.0", HttpVersion::Http10),
        ("unknown", HttpVersion::Http11),
    ] {
        let flow = least(&|entry| entry["request"]["httpVersion"] = json!(text));
        assert_eq!(http(&flow).request.version, version, "{text}");
    }
    // WebSocket messages of Chromium.
    let flow = least(&|entry| {
        entry["request"]["url"] = json!("wss://h/chat");
        entry["_webSocketMessages"] = json!([
            {"type": "send", "time": 1680134339.5, "opcode": 1, "data": "hi"},
            {"type": "receive", "time": 1680134339.75, "opcode": 2, "data": "AP8="}
        ]);
    });
    let messages = &http(&flow).websocket.as_ref().unwrap().messages;
    assert_eq!((&*messages[0].content, messages[0].from_client), (&b"hi"[..], true));
    assert_eq!(
        (&*messages[1].content, messages[1].from_client, messages[1].opcode),
        (&b"\0\xff"[..], false, 2)
    );
    assert_eq!(&*http(&flow).request.scheme, b"https");
}

#[test]
fn what_is_no_exchange_is_counted() {
    let file = json!({"log": {"pages": [{}], "entries": [
        {"request": {"url": "data:text/plain,x"}}, {"request": {"url": "chrome-extension://a/b"}}, {"request": {"url": "http://h"}}
    ], "comment": ""}, "more": {"a": [1, {"b": null}]}});
    let (flows, outcome) = read(format!("\u{feff}{file}\n").as_bytes());
    assert_eq!(outcome.unwrap(), HarSummary { flows: 1, skipped: 2 });
    assert_eq!(&*http(&flows[0]).request.method, b"GET");
}

/// PowerShell's `>` makes UTF-16 of what a program prints; editors put marks before UTF-8.
#[test]
fn files_of_unicode_are_read_whatever_their_encoding() {
    let file = json!({"log": {"entries": [{"request": {"url": "http://h/\u{e9}\u{1f347}"}}]}}).to_string();
    let utf16 = |text: &str, to_bytes: fn(u16) -> [u8; 2]| {
        text.encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>()
    };
    let marked = format!("\u{feff}{file}");
    let (little, big) = (utf16(&marked, u16::to_le_bytes), utf16(&marked, u16::to_be_bytes));
    for bytes in [file.as_bytes(), marked.as_bytes(), format!("\r\n {file}\n").as_bytes(), &little, &big] {
        let (flows, outcome) = read(bytes);
        assert_eq!(outcome.unwrap().flows, 1);
        assert_eq!(&*http(&flows[0]).request.path, "/\u{e9}\u{1f347}".as_bytes());
    }
    // What is wrong with such a file, and where.
    let check = |bytes: &[u8], flows: usize, message: &str| {
        let (read, outcome) = read(bytes);
        assert_eq!(read.len(), flows);
        let error = outcome.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap();
        assert_eq!(format!("{error}: {cause}"), message);
    };
    let mark = "the byte order mark of neither UTF-8 nor UTF-16";
    check(b"\xff{", 0, &format!("HAR file corrupted at byte 2 after 0 flows: {mark}"));
    check(b"\xef\xbb", 0, &format!("HAR file corrupted at byte 2 after 0 flows: {mark}"));
    for half in [&[0xdc00, 0x20][..], &[0xd800, 0x20], &[0xd800]] {
        let end = little.len() - 2 * "}".len();
        let wrong: Vec<u8> = half.iter().flat_map(|unit: &u16| unit.to_le_bytes()).collect();
        let bytes = [&little[..end], &wrong].concat();
        let at = end + if half[0] == 0xdc00 { 2 } else { wrong.len() };
        check(&bytes, 1, &format!("HAR file corrupted at byte {at} after 1 flows: not UTF-16"));
    }
    let cut = little.len() - 1;
    let end = format!("EOF while parsing an object at line 1 column {}", file.len() - 1);
    check(&little[..cut], 1, &format!("HAR file corrupted at byte {cut} after 1 flows: {end}"));
}

/// Once these were passed over without a word; mitmproxy refuses the file.
#[test]
fn entries_without_a_request_are_told_and_the_others_read() {
    for wrong in [json!({}), json!(null), json!(7), json!([]), json!({"request": {"url": "no-url"}})] {
        let url = |url: &str| json!({"request": {"url": url}});
        let file = json!({"log": {"entries": [url("http://a"), wrong, url("blob:x"), url("http://b"), url("http://[")]}});
        let (flows, outcome) = read(file.to_string().as_bytes());
        assert_eq!(flows.len(), 2, "{file}");
        assert_eq!(outcome.unwrap_err().to_string(), "HAR entry 2 has no URL of a request, nor have 1 more");
    }
}

#[test]
fn says_what_is_wrong_with_a_file() {
    let check = |text: &str, flows: usize, message: &str| {
        let (read, outcome) = read(text.as_bytes());
        assert_eq!(read.len(), flows, "{text}");
        let error = outcome.unwrap_err();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        assert_eq!(format!("{error}{cause}"), message);
    };
    let entry = r#"{"request": {"url": "http://h/"}}"#;
    check("{}", 0, "this JSON is no HAR file: it has no list `log.entries`");
    check(r#"{"log": {}}"#, 0, "this JSON is no HAR file: it has no list `log.entries`");
    check(
        r#"{"log": 1}"#,
        0,
        "HAR file corrupted at byte 10 after 0 flows: invalid type: integer `1`, expected an object with `entries` at line 1 column 10",
    );
    check(
        &format!(r#"{{"log": {{"entries": [{entry}, {entry}, {{"req"#),
        2,
        "HAR file corrupted at byte 96 after 2 flows: EOF while parsing a string at line 1 column 96",
    );
    check(
        &format!(r#"{{"log": {{"entries": [{entry}]}}}} x"#),
        1,
        "HAR file corrupted at byte 59 after 1 flows: trailing characters at line 1 column 59",
    );
    let deep = format!(r#"{{"log": {{"entries": [{{"request": {}"#, r#"{"headers":["#.repeat(200));
    let (_, outcome) = read(deep.as_bytes());
    assert!(outcome.is_err());
}

#[test]
fn hostile_files_stay_small() {
    let read = |text: &str, entry_bytes_max, entries_max| {
        let mut flows = 0;
        let outcome = read_har(text.as_bytes(), &HarLimits { entry_bytes_max, entries_max }, |_| flows += 1);
        (flows, outcome)
    };
    let entry = r#"{"request": {"url": "http://h/"}}"#;
    let file = format!(r#"{{"log": {{"entries": [{entry}, {entry}, {entry}]}}}}"#);
    assert_eq!(read(&file, 64, 3).1.unwrap().flows, 3);
    let (flows, outcome) = read(&file, 64, 2);
    assert!(matches!(outcome, Err(HarError::Entries { limit: 2 })), "{outcome:?}");
    assert_eq!(flows, 2);
    // A text that never ends, and one before the entries.
    for (file, flows) in [
        (format!(r#"{{"log": {{"entries": [{entry}, {{"comment": "{}"#, "x".repeat(1000)), 1),
        (format!(r#"{{"log": {{"comment": "{}"#, "x".repeat(1000)), 0),
    ] {
        let (read, outcome) = read(&file, 64, 10);
        assert!(
            matches!(outcome, Err(HarError::EntryBytes { limit: 64, offset: 30..=130, .. })),
            "{outcome:?}"
        );
        assert_eq!(read, flows);
    }
}

#[test]
fn what_is_written_is_read() {
    let mut flows = flows();
    flows.retain(|flow| matches!(flow.kind, FlowKind::Http(_)));
    let (back, outcome) = read(&written(&flows));
    assert_eq!(outcome.unwrap(), HarSummary { flows: flows.len() as u64, skipped: 0 });
    for (ours, back) in flows.iter().zip(&back) {
        let (ours_http, back_http) = (http(ours), http(back));
        assert_eq!(ours_http.request.url(HostFrom::Header), back_http.request.url(HostFrom::Header));
        assert_eq!(ours_http.request.method, back_http.request.method);
        assert_eq!(ours_http.response.is_some(), back_http.response.is_some());
        assert_eq!(ours.comment, back.comment);
        let messages = |http: &HttpFlow| http.websocket.as_ref().map(|websocket| websocket.messages.len());
        assert_eq!(messages(ours_http), messages(back_http));
    }
}

#[test]
fn what_an_entry_says() {
    let mut http = HttpFlow { request: request(), response: Some(response()), websocket: None };
    http.request.method = "POST".into();
    http.request.headers =
        [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", "a=1; b=2")].into_iter().collect();
    http.request.body = Body::Bytes("x=1&y=%26".into());
    let answer = http.response.as_mut().unwrap();
    answer.status = 302;
    answer.headers = [
        ("Content-Encoding", "upper"),
        ("Content-Type", "text/plain"),
        ("Location", "/there"),
        ("Set-Cookie", "id=7; Path=/p; Secure"),
    ]
    .into_iter()
    .collect();
    answer.body = Body::Bytes("HELLO".into());
    let flow = flow(FlowKind::Http(Box::new(http)));
    let file: Value = serde_json::from_slice(&written(&[flow.clone(), flow])).unwrap();
    let [first, second] = &file["log"]["entries"].as_array().unwrap()[..] else { panic!() };
    assert_eq!(file["log"]["version"], "1.2");
    assert_eq!(
        first["request"]["postData"]["params"],
        json!([{"name": "x", "value": "1"}, {"name": "y", "value": "&"}])
    );
    assert_eq!(
        first["request"]["cookies"],
        json!([{"name": "a", "value": "1"}, {"name": "b", "value": "2"}])
    );
    assert_eq!(first["request"]["queryString"], json!([{"name": "b", "value": "c"}]));
    assert_eq!(first["request"]["bodySize"], 9);
    assert_eq!(
        first["response"]["content"],
        json!({"size": 5, "compression": 0, "mimeType": "text/plain", "text": "hello"})
    );
    assert_eq!(first["response"]["redirectURL"], "/there");
    assert_eq!(first["response"]["cookies"][0]["path"], "/p");
    assert_eq!(first["serverIPAddress"], "192.0.2.2");
    assert_eq!(first["startedDateTime"], "2026-01-01T00:00:01.000000Z");
    // The connection was opened for the first.
    assert!(first["timings"]["connect"].as_f64().unwrap() > 0.0);
    assert_eq!(second["timings"]["connect"], -1.0);
}

#[test]
fn other_flows_have_no_place() {
    let mut writer = HarWriter::new();
    let mut out = Vec::new();
    for flow in &flows() {
        writer.write_flow(&mut out, flow, &Upper).unwrap();
    }
    let others = flows().iter().filter(|flow| !matches!(flow.kind, FlowKind::Http(_))).count() as u64;
    assert!(others > 0);
    assert_eq!((writer.entries(), writer.skipped()), (flows().len() as u64 - others, others));
}

prop_compose! {
    fn any_http()(
        method in "[A-Z]{1,6}",
        path in "/[a-z0-9/?&=%]{0,20}",
        names in prop::collection::vec("[A-Za-z][A-Za-z-]{0,8}", 0..4),
        value in "\\PC{0,20}",
        kind in "(text/(html|plain|xml)|application/(json|x-www-form-urlencoded)|image/png)(; charset=(utf-8|latin-1|utf-16|gbk|x))?",
        asked in prop::collection::vec(any::<u8>(), 1..60),
        answered in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "\\PC{0,100}".prop_map(String::into_bytes),
        ],
    ) -> (HttpFlow, Vec<u8>, Vec<u8>) {
        let mut headers: Headers = names.iter().filter(|name| !name.to_ascii_lowercase().starts_with("content-") && !name.eq_ignore_ascii_case("host")).map(|name| (name, &value)).collect();
        headers.push("Content-Type", &kind);
        let request = Request { method: method.into(), path: path.into(), headers: headers.clone(), body: Body::Bytes(Bytes::from(asked.clone())), ..request() };
        let response = Response { headers, body: Body::Bytes(Bytes::from(answered.clone())), ..response() };
        (HttpFlow { request, response: Some(response), websocket: None }, asked, answered)
    }
}

proptest! {
    #[test]
    fn any_exchange_comes_back((ours, asked, answered) in any_http()) {
        prop_assume!(&*ours.request.method != b"CONNECT");
        let (back, outcome) = read(&written(&[flow(FlowKind::Http(Box::new(ours.clone())))]));
        prop_assert_eq!(outcome.unwrap().flows, 1);
        let back = http(&back[0]);
        prop_assert_eq!(&back.request.method, &ours.request.method);
        prop_assert_eq!(&back.request.path, &ours.request.path);
        prop_assert_eq!(fields(&back.request.headers), fields(&ours.request.headers));
        prop_assert_eq!(bytes(&back.request.body), asked);
        prop_assert_eq!(bytes(&back.response.as_ref().unwrap().body), answered);
    }

    #[test]
    fn no_change_of_a_file_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut file = written(&flows()[..2]);
        let at = at.index(file.len());
        file[at] = byte;
        let _ = read(&file);
        let _ = read(&file[..at]);
    }
}
