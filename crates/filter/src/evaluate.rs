//! Asking a filter of a flow.
//!
//! Cheap things stay cheap: a part of a filter whose answer does not matter is not asked, and a body is read and decoded
//! once for all that search in it, and only if something does.

use std::cell::OnceCell;
use std::fmt::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;
use flowgate_flow::{
    Address, Connection, DnsMessage, Flow, FlowKind, Headers, HostFrom, HttpFlow, MetadataValue, RawMessage,
    Request, WebSocketMessage, dns_text,
};
use flowgate_pattern::{Found, Regex};

use crate::body::{BodyDecoder, searched};
use crate::expr::{Expr, Fact, Half, Kind, Test};
use crate::python_text;

/// What a filter says of a flow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// It is meant.
    pub matched: bool,
    /// A search ended at [`SEARCH_STEPS_MAX`](crate::limits::SEARCH_STEPS_MAX) and counted as not found.
    pub gave_up: bool,
}

/// A flow that is being asked about.
pub(crate) struct Asked<'f> {
    flow: &'f Flow,
    decoder: &'f dyn BodyDecoder,
    request_body: OnceCell<Option<Bytes>>,
    response_body: OnceCell<Option<Bytes>>,
    gave_up: bool,
}

impl<'f> Asked<'f> {
    pub(crate) const fn new(flow: &'f Flow, decoder: &'f dyn BodyDecoder) -> Self {
        Self { flow, decoder, request_body: OnceCell::new(), response_body: OnceCell::new(), gave_up: false }
    }

    pub(crate) fn ask(mut self, expr: &Expr) -> Answer {
        let matched = self.holds(expr);
        Answer { matched, gave_up: self.gave_up }
    }

    /// Recursion is as deep as the filter, which is bounded.
    fn holds(&mut self, expr: &Expr) -> bool {
        match expr {
            Expr::And(all) => all.iter().all(|part| self.holds(part)),
            Expr::Or(any) => any.iter().any(|part| self.holds(part)),
            Expr::Not(inner) => !self.holds(inner),
            Expr::Test { test, .. } => self.test(test),
        }
    }

    fn test(&mut self, test: &Test) -> bool {
        let flow = self.flow;
        let http = http(flow);
        match test {
            Test::All => true,
            Test::Asset => http.and_then(|http| http.response.as_ref()).is_some_and(|r| is_asset(&r.headers)),
            Test::Failed => flow.error.is_some(),
            Test::Marked => !flow.marked.is_empty(),
            Test::Is(kind) => is_kind(flow, *kind),
            Test::Unanswered => has_response(flow) == Some(false),
            Test::Answered => has_response(flow) == Some(true),
            Test::Replayed(None) => flow.replay.is_some(),
            Test::Replayed(half) => flow.replay == *half,
            Test::Found(fact, regex) => self.found(*fact, regex),
            Test::Status(wanted) => {
                http.and_then(|http| http.response.as_ref()).is_some_and(|r| wanted.holds(r.status))
            }
            Test::Size(half, bounds) => size(flow, *half).is_some_and(|bytes| bounds.holds(&bytes)),
            Test::Duration(bounds) => duration(flow).is_some_and(|seconds| bounds.holds(&seconds)),
        }
    }

    fn found(&mut self, fact: Fact, regex: &Regex) -> bool {
        let flow = self.flow;
        match fact {
            Fact::Body(half) => self.in_bodies(half, regex),
            Fact::Headers(half) => {
                self.in_messages(half, |asked, headers| asked.search(regex, &header_block(headers)))
            }
            Fact::ContentType(half) => self.in_messages(half, |asked, headers| {
                headers.get_all("content-type").any(|value| asked.search(regex, value))
            }),
            Fact::Method => http(flow).is_some_and(|http| self.search(regex, &http.request.method)),
            Fact::Host => http(flow).is_some_and(|http| {
                let request = &http.request;
                self.search(regex, request.host.as_bytes()) || self.search(regex, &request.pretty_host())
            }),
            Fact::Url => match &flow.kind {
                FlowKind::Http(http) => self.search(regex, &url(&http.request)),
                FlowKind::Dns(dns) => dns
                    .request
                    .questions
                    .first()
                    .is_some_and(|asked| self.search(regex, asked.name.as_bytes())),
                _ => false,
            },
            Fact::Source => {
                peer(&flow.client.connection).is_some_and(|peer| self.search(regex, peer.as_bytes()))
            }
            Fact::Destination => flow
                .server
                .address
                .as_ref()
                .is_some_and(|address| self.search(regex, host_and_port(address).as_bytes())),
            Fact::Metadata => self.search(regex, metadata(&flow.metadata).as_bytes()),
            Fact::Marker => self.search(regex, flow.marked.as_bytes()),
            Fact::Comment => self.search(regex, flow.comment.as_bytes()),
            Fact::Reason => {
                let reason = flow.metadata.iter().find(|(key, _)| key == REASON);
                let text = if let Some((_, MetadataValue::Text(text))) = reason { text } else { "" };
                self.search(regex, text.as_bytes())
            }
            Fact::Sni => {
                flow.client.connection.sni.as_ref().is_some_and(|sni| self.search(regex, sni.as_bytes()))
            }
        }
    }

    fn search(&mut self, regex: &Regex, haystack: &[u8]) -> bool {
        match regex.search(haystack) {
            Found::Yes => true,
            Found::No => false,
            Found::GaveUp => {
                self.gave_up = true;
                false
            }
        }
    }

    /// Whether something holds of the headers of one message of this half.
    fn in_messages(&mut self, half: Half, mut holds: impl FnMut(&mut Self, &Headers) -> bool) -> bool {
        let Some(http) = http(self.flow) else { return false };
        half.has(Half::Request) && holds(self, &http.request.headers)
            || half.has(Half::Response)
                && http.response.as_ref().is_some_and(|response| holds(self, &response.headers))
    }

    fn in_bodies(&mut self, half: Half, regex: &Regex) -> bool {
        let flow = self.flow;
        match &flow.kind {
            FlowKind::Http(http) => {
                half.has(Half::Request) && self.in_request_body(http, regex)
                    || half.has(Half::Response) && self.in_response_body(http, regex)
                    || http.websocket.as_ref().is_some_and(|websocket| {
                        let mut messages = websocket.messages.iter();
                        messages
                            .any(|message| half.has(sender(message)) && self.search(regex, &message.content))
                    })
            }
            FlowKind::Tcp(raw) | FlowKind::Udp(raw) => raw
                .messages
                .iter()
                .any(|message| half.has(sender(message)) && self.search(regex, &message.content)),
            FlowKind::Dns(dns) => {
                half.has(Half::Request) && self.search(regex, dns_lines(&dns.request).as_bytes())
                    || half.has(Half::Response)
                        && dns
                            .response
                            .as_ref()
                            .is_some_and(|response| self.search(regex, dns_lines(response).as_bytes()))
            }
            _ => false,
        }
    }

    fn in_request_body(&mut self, http: &HttpFlow, regex: &Regex) -> bool {
        let request = &http.request;
        let body =
            self.request_body.get_or_init(|| searched(&request.body, &request.headers, self.decoder)).clone();
        body.is_some_and(|body| self.search(regex, &body))
    }

    fn in_response_body(&mut self, http: &HttpFlow, regex: &Regex) -> bool {
        let Some(response) = &http.response else { return false };
        let body = self
            .response_body
            .get_or_init(|| searched(&response.body, &response.headers, self.decoder))
            .clone();
        body.is_some_and(|body| self.search(regex, &body))
    }
}

impl Half {
    /// Whether what one side sent belongs to it.
    fn has(self, side: Self) -> bool {
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

fn is_asset(headers: &Headers) -> bool {
    let has = |value: &[u8], part: &[u8]| value.windows(part.len()).any(|window| window == part);
    headers.get_all("content-type").any(|value| ASSETS.iter().any(|asset| has(value, asset)))
}

fn http(flow: &Flow) -> Option<&HttpFlow> {
    match &flow.kind {
        FlowKind::Http(http) => Some(http),
        _ => None,
    }
}

fn is_kind(flow: &Flow, kind: Kind) -> bool {
    match (&flow.kind, kind) {
        (FlowKind::Http(http), Kind::WebSocket) => http.websocket.is_some(),
        (FlowKind::Http(_), Kind::Http)
        | (FlowKind::Tcp(_), Kind::Tcp)
        | (FlowKind::Udp(_), Kind::Udp)
        | (FlowKind::Dns(_), Kind::Dns) => true,
        _ => false,
    }
}

/// `None` for flows that have no responses.
fn has_response(flow: &Flow) -> Option<bool> {
    match &flow.kind {
        FlowKind::Http(http) => Some(http.response.is_some()),
        FlowKind::Dns(dns) => Some(dns.response.is_some()),
        _ => None,
    }
}

/// As mitmproxy has it: an authority for CONNECT, and else what the request says of itself.
fn url(request: &Request) -> Vec<u8> {
    request.url(HostFrom::Header)
}

fn header_block(headers: &Headers) -> Vec<u8> {
    let mut block = Vec::new();
    for field in headers.iter() {
        block.extend_from_slice(field.name);
        block.extend_from_slice(b": ");
        block.extend_from_slice(field.value);
        block.extend_from_slice(b"\r\n");
    }
    block
}

fn peer(connection: &Connection) -> Option<String> {
    let text = |socket: SocketAddr| format!("{}:{}", socket.ip(), socket.port());
    connection.peername.map(text).or_else(|| connection.peername_text.as_ref().map(host_and_port))
}

/// Without brackets, as in mitmproxy.
fn host_and_port(address: &Address) -> String {
    format!("{}:{}", address.host, address.port)
}

fn metadata(entries: &[(String, MetadataValue)]) -> String {
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
fn dns_lines(message: &DnsMessage) -> String {
    let names = message.questions.iter().map(|question| question.name.clone());
    let records = message.answers.iter().chain(&message.authorities).chain(&message.additionals);
    let lines: Vec<String> = names.chain(records.map(dns_text::record_data)).collect();
    lines.join("\r\n")
}

trait Message {
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

fn sender(message: &impl Message) -> Half {
    if message.is_from_client() { Half::Request } else { Half::Response }
}

fn sum(messages: &[impl Message], half: Half) -> u64 {
    messages.iter().filter(|message| half.has(sender(*message))).map(Message::len).sum()
}

/// How many bytes crossed; `None` where there is nothing that could have a size, or nobody counted.
fn size(flow: &Flow, half: Half) -> Option<u64> {
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

/// In seconds; `None` while it goes on.
fn duration(flow: &Flow) -> Option<f64> {
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
