//! From an entry to a flow.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use flowgate_flow::{
    Address, Body, ClientConnection, Flow, FlowError, FlowKind, Headers, HttpFlow, HttpVersion, PseudoFields,
    Request, Response, ServerConnection, Timestamp, WebSocketData, WebSocketMessage,
};

use super::entry::{self, Entry};
use super::lenient::{Number, Pair};
use super::url::{self, NoUrl, Url};
use super::{text, time};
use crate::ids::IdHash;

/// The flow of an entry, unless it was no HTTP exchange or has no URL.
pub(super) fn flow(entry: Entry, index: u64) -> Result<Flow, NoUrl> {
    let (Entry { request, response, .. }, times) = (&entry, Times::of(&entry));
    let url = url::parse(request.0.url.as_str())?;

    let id = |kind: &str, of: &[&[u8]]| {
        let mut hash = IdHash::of(kind);
        of.iter().for_each(|part| hash.bytes(part));
        hash.id()
    };
    let number = index.to_be_bytes();
    let started = entry.started_date_time.as_str().as_bytes();
    let mut client = ClientConnection::new(id("har client", &[&number, started]), "regular".to_owned());
    client.connection.peername = Some(([127, 0, 0, 1], 0).into());
    client.connection.sockname = client.connection.peername;
    client.connection.timestamp_start = Some(times.start);
    client.connection.timestamp_end = Some(times.end);

    let connection = entry.connection.as_str();
    let unique = if connection.is_empty() { &number[..] } else { connection.as_bytes() };
    let server_id = id("har server", &[url.authority.as_bytes(), unique]);
    let address = Address { host: url.host.clone(), port: url.port };
    let mut server = ServerConnection::new(server_id, Some(address));
    let ip = entry.server_ip_address.as_str().trim_matches(['[', ']']);
    server.connection.peername = ip.parse().ok().map(|ip: std::net::IpAddr| (ip, url.port).into());
    server.connection.tls = url.scheme == "https";
    if let Some([start, tcp, tls]) = times.connected {
        server.connection.timestamp_start = Some(start);
        server.timestamp_tcp_setup = Some(tcp);
        server.connection.timestamp_tls_setup = Some(tls).filter(|_| server.connection.tls);
    }

    let flow_id = id("har flow", &[&number, started, request.0.url.as_str().as_bytes()]);
    let (status, error) = (response.0.status.0, response.0.error.0.clone());
    let comment = entry.comment.as_str().to_owned();
    let messages = entry.web_socket_messages.0;
    let is_websocket = !messages.is_empty() || entry.resource_type.as_str() == "websocket";
    let websocket = is_websocket.then(|| WebSocketData {
        messages: messages.into_iter().map(|message| websocket_message(message.0)).collect(),
        ..WebSocketData::default()
    });
    let has_answer = status.is_some_and(|status| (100.0..1000.0).contains(&status));
    let http = HttpFlow {
        request: self::request(entry.request.0, url, &times),
        response: has_answer.then(|| self::response(entry.response.0, &times)),
        websocket,
    };
    let kind = FlowKind::Http(Box::new(http));
    let mut flow = Flow::new(flow_id, Arc::new(client), Arc::new(server), kind, times.start);
    flow.comment = comment;
    if !has_answer {
        let message = error
            .filter(|error| !error.is_empty())
            .unwrap_or_else(|| "no response in the HAR file".to_owned());
        flow.error = Some(FlowError { message, timestamp: times.end, side: None, phase: None });
    }
    Ok(flow)
}

/// When the phases of an exchange began and ended.
struct Times {
    start: Timestamp,
    /// When the connection to the server was begun and set up, without TLS and with it, if it was opened for this exchange.
    connected: Option<[Timestamp; 3]>,
    sent: Timestamp,
    answered: Timestamp,
    end: Timestamp,
}

impl Times {
    fn of(entry: &Entry) -> Self {
        let seconds = |phase: Number| phase.0.unwrap_or_default().max(0.0) / 1e3;
        let start = time::parse(entry.started_date_time.as_str()).unwrap_or(Timestamp(0.0)).0;
        let end = start + seconds(entry.time);
        let timings = &entry.timings.0;
        let before = start + seconds(timings.blocked) + seconds(timings.dns);
        // `ssl` is a part of `connect`.
        let (connect, ssl) = (seconds(timings.connect), seconds(timings.ssl));
        let connected = [before, before + (connect - ssl).max(0.0), before + connect];
        let sent = (before + connect + seconds(timings.send)).min(end);
        let answered = (sent + seconds(timings.wait)).min(end);
        Self {
            start: Timestamp(start),
            connected: (connect > 0.0).then(|| connected.map(|time| Timestamp(time.min(end)))),
            sent: Timestamp(sent),
            answered: Timestamp(answered),
            end: Timestamp(end),
        }
    }
}

fn request(from: entry::Request, url: Url, times: &Times) -> Request {
    let version = version(from.http_version.as_str());
    let method = from.method.0.filter(|method| !method.is_empty()).unwrap_or_else(|| "GET".to_owned());
    // One with a path is an extended CONNECT (RFC 8441).
    let is_connect = method.eq_ignore_ascii_case("CONNECT") && url.path == "/";
    let mut headers = headers(from.headers.0);
    let content_type = headers.get("content-type").unwrap_or_default().to_vec();
    let body = match from.post_data {
        Some(data) => posted(data.0, &content_type),
        None if from.body_size.0.is_some_and(|size| size > 0.0) => Body::Counted(size(from.body_size)),
        None => Body::EMPTY,
    };
    without_encoding(&mut headers, &body);
    let has_authority = is_connect || matches!(version, HttpVersion::Http2 | HttpVersion::Http3);
    Request {
        version,
        method: method.into_bytes().into(),
        scheme: if is_connect { Bytes::new() } else { Bytes::from_static(url.scheme.as_bytes()) },
        authority: if has_authority { url.authority.into_bytes().into() } else { Bytes::new() },
        host: url.host,
        port: url.port,
        path: if is_connect { Bytes::new() } else { url.path.into_bytes().into() },
        pseudo: PseudoFields::default(),
        headers,
        body,
        trailers: None,
        timestamp_start: times.start,
        timestamp_end: Some(times.sent),
    }
}

fn response(from: entry::Response, times: &Times) -> Response {
    let mut headers = headers(from.headers.0);
    let content_type = headers.get("content-type").unwrap_or_default().to_vec();
    let content = from.content.0;
    let body = match content.text.0 {
        Some(text) => bytes_of(text, content.encoding.as_str(), &content_type),
        None if content.size.0.is_some_and(|size| size > 0.0) => Body::Counted(size(content.size)),
        None => Body::EMPTY,
    };
    without_encoding(&mut headers, &body);
    Response {
        version: version(from.http_version.as_str()),
        status: from.status.0.unwrap_or_default() as u16,
        reason: from.status_text.0.unwrap_or_default().into_bytes().into(),
        headers,
        body,
        trailers: None,
        timestamp_start: times.answered,
        timestamp_end: Some(times.end),
    }
}

fn posted(data: entry::PostData, content_type: &[u8]) -> Body {
    if let Some(text) = data.text.0 {
        return bytes_of(text, data.encoding.as_str(), content_type);
    }
    let mut form = String::new();
    for pair in &data.params.0 {
        if !form.is_empty() {
            form.push('&');
        }
        escape(pair.name.as_str(), &mut form);
        form.push('=');
        escape(pair.value.as_str(), &mut form);
    }
    Body::Bytes(form.into_bytes().into())
}

/// As in a form (`application/x-www-form-urlencoded`).
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

fn bytes_of(text: String, encoding: &str, content_type: &[u8]) -> Body {
    if encoding.eq_ignore_ascii_case("base64") {
        // What is no base64 is kept as it stands there.
        let decoded = BASE64.decode(text.split_ascii_whitespace().collect::<String>());
        return Body::Bytes(decoded.unwrap_or_else(|_| text.into_bytes()).into());
    }
    Body::Bytes(text::encode(text, content_type).into())
}

/// Padding or none: both are written.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The body is decoded: its fields say so. What was left out keeps what was said of it.
fn without_encoding(headers: &mut Headers, body: &Body) {
    let Body::Bytes(bytes) = body else { return };
    let was_encoded = headers.remove("content-encoding") > 0;
    let length = headers.iter().find(|field| field.is("content-length"));
    let wrong = length.filter(|said| {
        (was_encoded || !bytes.is_empty()) && said.value != bytes.len().to_string().as_bytes()
    });
    if let Some(name) = wrong.map(|said| said.name.to_vec()) {
        headers.set(name, bytes.len().to_string());
    }
}

/// The fields of a message. Several of one name, `Set-Cookie` above all, are one with a line for each in files of Chromium; nothing else
/// can be meant by it.
fn headers(pairs: Vec<Pair>) -> Headers {
    let is_field = |pair: &&Pair| !pair.name.as_str().is_empty() && !pair.name.as_str().starts_with(':');
    let fields = pairs.iter().filter(is_field).flat_map(|pair| {
        let values = pair.value.as_str().split('\n');
        values.map(|value| (pair.name.as_str(), value.trim_end_matches('\r')))
    });
    fields.collect()
}

/// `HTTP/1.1`, `http/2.0`, `h2`, `HTTP/3`, `h3-29`; HTTP/1.1 for anything else (mitmproxy likewise).
fn version(text: &str) -> HttpVersion {
    let text = text.to_ascii_lowercase();
    match text.strip_prefix("http/").or_else(|| text.strip_prefix('h')).unwrap_or(&text) {
        "1.0" => HttpVersion::Http10,
        "2" | "2.0" => HttpVersion::Http2,
        number if number.starts_with('3') => HttpVersion::Http3,
        _ => HttpVersion::Http11,
    }
}

fn size(number: Number) -> u64 {
    number.0.unwrap_or_default().max(0.0) as u64
}

fn websocket_message(from: entry::Message) -> WebSocketMessage {
    let opcode = from.opcode.0.unwrap_or(1.0) as u8;
    let data = from.data.0.unwrap_or_default();
    let content = if opcode == 2 {
        BASE64.decode(&data).unwrap_or_else(|_| data.into_bytes())
    } else {
        data.into_bytes()
    };
    WebSocketMessage {
        opcode,
        from_client: from.kind.as_str() == "send",
        content: content.into(),
        timestamp: Timestamp(from.time.0.unwrap_or_default()),
        dropped: false,
        injected: false,
    }
}
