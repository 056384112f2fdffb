//! The facts of a flow that filters look at, one function each: what a regular expression is searched in, and what numbers
//! are compared with. A store that keeps them in columns asks the same functions, so that it answers as a filter does.

use std::fmt::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;
use flowgate_flow::{
    Address, Connection, DnsMessage, Flow, FlowKind, Headers, HostFrom, HttpFlow, MetadataValue, RawMessage,
    WebSocketMessage, dns_text,
};

use crate::body::{BodyDecoder, searched};
use crate::expr::{Half, Kind};
use crate::python_text;

impl Half {
    /// Whether what one side sent belongs to it.
    pub(crate) fn has(self, side: Self) -> bool {
        self == Self::Either || self == side
    }
}

/// The metadata that says why a connection was handled as it was.
const REASON: &str = "flowgate.reason";

/// Parts of Content-Type that mark assets.
const ASSETS: [&[u8]; 7] = [
    b"text/javascript",
    b"application/x-javascript",
    b"application/javascript",
    b"text/css",
    b"image/",
    b"font/",
    b"application/font",
];

/// Whether the response is a style sheet, script, image or font (`~a`).
#[must_use]
pub fn is_asset(flow: &Flow) -> bool {
    http(flow)
        .and_then(|http| http.response.as_ref())
        .is_some_and(|response| has_asset_type(&response.headers))
}

fn has_asset_type(headers: &Headers) -> bool {
    let has = |value: &[u8], part: &[u8]| value.windows(part.len()).any(|window| window == part);
    headers.get_all("content-type").any(|value| ASSETS.iter().any(|asset| has(value, asset)))
}

/// The HTTP exchange, if it is one.
#[must_use]
pub fn http(flow: &Flow) -> Option<&HttpFlow> {
    match &flow.kind {
        FlowKind::Http(http) => Some(http),
        _ => None,
    }
}

/// Whether it is a flow of this kind.
#[must_use]
pub fn is_kind(flow: &Flow, kind: Kind) -> bool {
    match (&flow.kind, kind) {
        (FlowKind::Http(http), Kind::WebSocket) => http.websocket.is_some(),
        (FlowKind::Http(_), Kind::Http)
        | (FlowKind::Tcp(_), Kind::Tcp)
        | (FlowKind::Udp(_), Kind::Udp)
        | (FlowKind::Dns(_), Kind::Dns) => true,
        _ => false,
    }
}

/// Whether there is a response (`~s`, `~q`); `None` for flows that have no responses.
#[must_use]
pub fn has_response(flow: &Flow) -> Option<bool> {
    match &flow.kind {
        FlowKind::Http(http) => Some(http.response.is_some()),
        FlowKind::Dns(dns) => Some(dns.response.is_some()),
        _ => None,
    }
}

/// The URL (`~u`): as mitmproxy has it an authority for CONNECT, and else what the request says of itself; of DNS the first
/// question's name. `None` for what has none.
#[must_use]
pub fn url(flow: &Flow) -> Option<Vec<u8>> {
    match &flow.kind {
        FlowKind::Http(http) => Some(http.request.url(HostFrom::Header)),
        FlowKind::Dns(dns) => dns.request.questions.first().map(|asked| asked.name.clone().into_bytes()),
        _ => None,
    }
}

pub(crate) fn header_block(headers: &Headers) -> Vec<u8> {
    let mut block = Vec::new();
    for field in headers.iter() {
        block.extend_from_slice(field.name);
        block.extend_from_slice(b": ");
        block.extend_from_slice(field.value);
        block.extend_from_slice(b"\r\n");
    }
    block
}

/// The client's `address:port` (`~src`).
#[must_use]
pub fn source(flow: &Flow) -> Option<String> {
    peer(&flow.client.connection)
}

/// The server's `host:port` as it was asked for (`~dst`).
#[must_use]
pub fn destination(flow: &Flow) -> Option<String> {
    flow.server.address.as_ref().map(host_and_port)
}

/// Why the connection was decrypted or not (`~reason`); empty if nobody said.
#[must_use]
pub fn reason(flow: &Flow) -> &str {
    let reason = flow.metadata.iter().find(|(key, _)| key == REASON);
    if let Some((_, MetadataValue::Text(text))) = reason { text } else { "" }
}

/// All that `~b` searches, each piece alone, at most [`BODY_BYTES_MAX`](crate::limits::BODY_BYTES_MAX) bytes of each.
pub fn bodies(flow: &Flow, decoder: &dyn BodyDecoder, mut each: impl FnMut(&[u8])) {
    match &flow.kind {
        FlowKind::Http(http) => {
            let request = searched(&http.request.body, &http.request.headers, decoder);
            let response = http.response.as_ref().and_then(|r| searched(&r.body, &r.headers, decoder));
            request.iter().chain(&response).for_each(|body: &Bytes| each(body));
            http.websocket.iter().flat_map(|w| &w.messages).for_each(|message| each(&message.content));
        }
        FlowKind::Tcp(raw) | FlowKind::Udp(raw) => {
            raw.messages.iter().for_each(|message| each(&message.content))
        }
        FlowKind::Dns(dns) => {
            each(dns_lines(&dns.request).as_bytes());
            dns.response.iter().for_each(|response| each(dns_lines(response).as_bytes()));
        }
        _ => {}
    }
}

fn peer(connection: &Connection) -> Option<String> {
    let text = |socket: SocketAddr| format!("{}:{}", socket.ip(), socket.port());
    connection.peername.map(text).or_else(|| connection.peername_text.as_ref().map(host_and_port))
}

/// Without brackets, as in mitmproxy.
fn host_and_port(address: &Address) -> String {
    format!("{}:{}", address.host, address.port)
}

pub(crate) fn metadata(entries: &[(String, MetadataValue)]) -> String {
    let mut lines = String::new();
    for (at, (key, value)) in entries.iter().enumerate() {
        lines.push_str(if at > 0 { "\n" } else { "" });
        // Writing to a `String` cannot fail.
        let _ = write!(lines, "{key}: ");
        python_text::push_str(&mut lines, value);
    }
    lines
}

/// Questions and records, one after the other, with CR LF between them.
pub(crate) fn dns_lines(message: &DnsMessage) -> String {
    let names = message.questions.iter().map(|question| question.name.clone());
    let records = message.answers.iter().chain(&message.authorities).chain(&message.additionals);
    let lines: Vec<String> = names.chain(records.map(dns_text::record_data)).collect();
    lines.join("\r\n")
}

pub(crate) trait Message {
    fn is_from_client(&self) -> bool;
    fn len(&self) -> u64;
}

impl Message for RawMessage {
    fn is_from_client(&self) -> bool {
        self.from_client
    }

    fn len(&self) -> u64 {
        self.content.len() as u64
    }
}

impl Message for WebSocketMessage {
    fn is_from_client(&self) -> bool {
        self.from_client
    }

    fn len(&self) -> u64 {
        self.content.len() as u64
    }
}

pub(crate) fn sender(message: &impl Message) -> Half {
    if message.is_from_client() { Half::Request } else { Half::Response }
}

fn sum(messages: &[impl Message], half: Half) -> u64 {
    messages.iter().filter(|message| half.has(sender(*message))).map(Message::len).sum()
}

/// How many body and message bytes crossed (`~size`), still encoded; `None` where there is nothing that could have a size, or nobody counted.
#[must_use]
pub fn size(flow: &Flow, half: Half) -> Option<u64> {
    match &flow.kind {
        FlowKind::Http(http) => {
            let request = Some(&http.request.body).filter(|_| half.has(Half::Request));
            let response = http.response.as_ref().map(|r| &r.body).filter(|_| half.has(Half::Response));
            if request.is_none() && response.is_none() {
                return None;
            }
            let messages = http.websocket.as_ref().map_or(0, |websocket| sum(&websocket.messages, half));
            let bodies = request.into_iter().chain(response);
            bodies.map(flowgate_flow::Body::len).try_fold(messages, |sum, len| Some(sum + len?))
        }
        FlowKind::Tcp(raw) | FlowKind::Udp(raw) => Some(sum(&raw.messages, half)),
        FlowKind::Dns(dns) => {
            let len = |message: &DnsMessage| {
                let records = message.answers.iter().chain(&message.authorities).chain(&message.additionals);
                records.map(|record| record.data.len() as u64).sum::<u64>()
            };
            let request = half.has(Half::Request).then(|| len(&dns.request));
            let response = dns.response.as_ref().filter(|_| half.has(Half::Response)).map(len);
            request.into_iter().chain(response).reduce(|a, b| a + b)
        }
        _ => None,
    }
}

/// From the first byte of the request to the last of the response (`~duration`), in seconds; `None` while it goes on.
#[must_use]
pub fn duration(flow: &Flow) -> Option<f64> {
    let (start, end) = match &flow.kind {
        FlowKind::Http(http) => {
            let websocket_end = http.websocket.as_ref().and_then(|websocket| websocket.timestamp_end);
            let response_end = http.response.as_ref().and_then(|response| response.timestamp_end);
            (http.request.timestamp_start, websocket_end.or(response_end))
        }
        FlowKind::Tcp(raw) | FlowKind::Udp(raw) => {
            (raw.messages.first()?.timestamp, raw.messages.last().map(|message| message.timestamp))
        }
        FlowKind::Dns(dns) => {
            (dns.request.timestamp?, dns.response.as_ref().and_then(|response| response.timestamp))
        }
        _ => return None,
    };
    let end = end.or_else(|| flow.error.as_ref().map(|error| error.timestamp))?;
    Some(end.seconds_since(start))
}
