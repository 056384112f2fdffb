//! From a flow to an entry.

use std::borrow::Cow;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowgate_filter::BodyDecoder;
use flowgate_flow::{Body, Flow, Headers, HttpFlow, Request, Response, Timestamp, WebSocketMessage};
use serde::Serialize;

use super::cookies::{SetCookie, form, sent};
use super::{text, time, url};

/// Bytes of a body that are written; of a larger one the comment says how large it was.
pub(super) const BODY_BYTES_MAX: usize = 64 << 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    started_date_time: String,
    time: f64,
    request: HarRequest,
    response: HarResponse,
    cache: Empty,
    timings: Timings,
    #[serde(rename = "serverIPAddress", skip_serializing_if = "Option::is_none")]
    server_ip_address: Option<String>,
    connection: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    comment: String,
    #[serde(rename = "_resourceType", skip_serializing_if = "Option::is_none")]
    resource_type: Option<&'static str>,
    #[serde(rename = "_webSocketMessages", skip_serializing_if = "Option::is_none")]
    web_socket_messages: Option<Vec<Message>>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HarRequest {
    method: String,
    url: String,
    http_version: String,
    cookies: Vec<Pair>,
    headers: Vec<Pair>,
    query_string: Vec<Pair>,
    headers_size: i64,
    body_size: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_data: Option<PostData>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostData {
    mime_type: String,
    text: String,
    params: Vec<Pair>,
    #[serde(rename = "_encoding", skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HarResponse {
    status: u16,
    status_text: String,
    http_version: String,
    cookies: Vec<Cookie>,
    headers: Vec<Pair>,
    content: Content,
    #[serde(rename = "redirectURL")]
    redirect_url: String,
    headers_size: i64,
    body_size: i64,
    #[serde(rename = "_error", skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression: Option<i64>,
    mime_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

#[derive(Serialize)]
struct Timings {
    connect: f64,
    ssl: f64,
    send: f64,
    receive: f64,
    wait: f64,
}

#[derive(Serialize)]
struct Pair {
    name: String,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cookie {
    name: String,
    value: String,
    path: String,
    domain: String,
    http_only: bool,
    secure: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    same_site: Option<String>,
}

#[derive(Serialize)]
struct Message {
    #[serde(rename = "type")]
    kind: &'static str,
    time: f64,
    opcode: u8,
    data: String,
}

/// The entry of an HTTP flow. `is_first` says whether its server connection was opened for it.
pub(super) fn entry(
    flow: &Flow,
    http: &HttpFlow,
    is_first: bool,
    decoder: &dyn BodyDecoder,
) -> io::Result<Entry> {
    let timings = timings(flow, http, is_first);
    // `ssl` is a part of `connect`.
    let phases = [timings.connect, timings.send, timings.receive, timings.wait];
    Ok(Entry {
        started_date_time: time::format(http.request.timestamp_start),
        // Not `sum`, which makes minus zero of nothing.
        time: phases.into_iter().filter(|phase| *phase > 0.0).fold(0.0, |sum, phase| sum + phase),
        request: request(&http.request, decoder)?,
        response: match &http.response {
            Some(answer) => response(flow, answer, decoder)?,
            None => no_response(flow),
        },
        cache: Empty {},
        timings,
        server_ip_address: flow.server.connection.peername.map(|address| address.ip().to_string()),
        connection: flow.server.connection.id.to_string(),
        comment: flow.comment.clone(),
        resource_type: http.websocket.as_ref().map(|_| "websocket"),
        web_socket_messages: http
            .websocket
            .as_ref()
            .map(|websocket| websocket.messages.iter().map(message).collect()),
    })
}

/// Milliseconds of each phase, none of which is counted twice: where the request waited for its server connection that is `connect`
/// alone, and `ssl` is a part of it (HAR 1.2). Differs from mitmproxy, whose `connect` ends where `ssl` begins, and whose `wait` has
/// both in it.
fn timings(flow: &Flow, http: &HttpFlow, is_first: bool) -> Timings {
    let (asked, answered) = (&http.request, http.response.as_ref());
    let (server, setup) = (&flow.server.connection, flow.server.timestamp_tcp_setup.filter(|_| is_first));
    let connected = setup.map(|setup| server.timestamp_tls_setup.unwrap_or(setup));
    let connect = span(server.timestamp_start, connected);
    let besides = |phase: Option<Span>| {
        phase.map_or(0.0, |phase| phase.milliseconds() - connect.map_or(0.0, |connect| phase.shared(connect)))
    };
    Timings {
        connect: connect.map_or(-1.0, Span::milliseconds),
        ssl: span(setup, server.timestamp_tls_setup)
            .filter(|_| connect.is_some())
            .map_or(-1.0, Span::milliseconds),
        send: besides(span(Some(asked.timestamp_start), asked.timestamp_end)),
        wait: besides(span(asked.timestamp_end, answered.map(|answer| answer.timestamp_start))),
        receive: answered
            .and_then(|answer| span(Some(answer.timestamp_start), answer.timestamp_end))
            .map_or(0.0, Span::milliseconds),
    }
}

/// From when to when, in seconds; never backwards.
#[derive(Clone, Copy)]
struct Span(f64, f64);

impl Span {
    fn milliseconds(self) -> f64 {
        (self.1 - self.0) * 1e3
    }

    /// How many milliseconds both have.
    fn shared(self, other: Self) -> f64 {
        Self(self.0.max(other.0), self.1.min(other.1)).milliseconds().max(0.0)
    }
}

fn span(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<Span> {
    let (from, to) = (from?.0, to?.0);
    (to - from).is_finite().then(|| Span(from, to.max(from)))
}

fn request(from: &Request, decoder: &dyn BodyDecoder) -> io::Result<HarRequest> {
    let content_type = from.headers.get("content-type").unwrap_or_default();
    let has_body =
        matches!(&*from.method, b"POST" | b"PUT" | b"PATCH") || from.body.len().is_some_and(|len| len > 0);
    let post_data = if has_body && !matches!(from.body, Body::Missing | Body::Counted(_)) {
        let shown = Shown::of(&from.body, &from.headers, decoder)?;
        let is_form = content_type.to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded");
        Some(PostData {
            mime_type: lossy(content_type),
            params: if is_form { pairs(form(shown.text.as_bytes())) } else { Vec::new() },
            text: shown.text,
            encoding: shown.encoding,
        })
    } else {
        None
    };
    Ok(HarRequest {
        method: lossy(&from.method),
        url: url::write(from),
        http_version: from.version.to_string(),
        cookies: pairs(from.headers.get_all("cookie").flat_map(sent)),
        headers: fields(&from.headers),
        query_string: from.query().map(|query| pairs(form(query))).unwrap_or_default(),
        headers_size: head_bytes(&from.headers),
        body_size: body_bytes(&from.body),
        post_data,
    })
}

fn response(flow: &Flow, from: &Response, decoder: &dyn BodyDecoder) -> io::Result<HarResponse> {
    let mime_type = lossy(from.headers.get("content-type").unwrap_or_default());
    let crossed = from.body.len().unwrap_or_default();
    let content = if matches!(from.body, Body::Missing | Body::Counted(_)) {
        Content { size: crossed, compression: None, mime_type, text: None, encoding: None, comment: None }
    } else {
        let shown = Shown::of(&from.body, &from.headers, decoder)?;
        Content {
            size: shown.size,
            compression: Some(
                i64::try_from(shown.size).unwrap_or(i64::MAX) - i64::try_from(crossed).unwrap_or(i64::MAX),
            ),
            mime_type,
            text: Some(shown.text),
            encoding: shown.encoding,
            comment: shown.comment,
        }
    };
    let cookies = from.headers.get_all("set-cookie").map(|field| {
        let cookie = SetCookie::parse(field);
        Cookie {
            name: cookie.name,
            value: cookie.value,
            path: cookie.path.unwrap_or_else(|| "/".to_owned()),
            domain: cookie.domain.unwrap_or_default(),
            http_only: cookie.http_only,
            secure: cookie.secure,
            same_site: cookie.same_site,
        }
    });
    Ok(HarResponse {
        status: from.status,
        status_text: lossy(&from.reason),
        http_version: from.version.to_string(),
        cookies: cookies.collect(),
        headers: fields(&from.headers),
        content,
        redirect_url: lossy(from.headers.get("location").unwrap_or_default()),
        headers_size: head_bytes(&from.headers),
        body_size: body_bytes(&from.body),
        error: flow.error.as_ref().map(|error| error.message.clone()),
    })
}

fn no_response(flow: &Flow) -> HarResponse {
    HarResponse {
        status: 0,
        status_text: String::new(),
        http_version: String::new(),
        cookies: Vec::new(),
        headers: Vec::new(),
        content: Content {
            size: 0,
            compression: None,
            mime_type: String::new(),
            text: None,
            encoding: None,
            comment: None,
        },
        redirect_url: String::new(),
        headers_size: -1,
        body_size: -1,
        error: flow.error.as_ref().map(|error| error.message.clone()),
    }
}

/// A body as HAR has it.
struct Shown {
    text: String,
    encoding: Option<&'static str>,
    /// Of the decoded body, as far as it is written.
    size: u64,
    comment: Option<String>,
}

impl Shown {
    fn of(body: &Body, headers: &Headers, decoder: &dyn BodyDecoder) -> io::Result<Self> {
        let crossed = body.prefix(BODY_BYTES_MAX)?.unwrap_or_default();
        let was_cut = body.len().is_some_and(|len| len > crossed.len() as u64);
        let encodings = headers.get_all("content-encoding").collect::<Vec<_>>().join(&b", "[..]);
        let decoded = if encodings.is_empty() {
            Some(Cow::Borrowed(&crossed[..]))
        } else {
            decoder.decode(&encodings, &crossed)
        };
        let comment = match (was_cut, decoded.is_some()) {
            (true, _) => Some(format!("cut; {} bytes crossed", body.len().unwrap_or_default())),
            (_, false) => Some("cannot be decoded; as it crossed".to_owned()),
            (false, true) => None,
        };
        let bytes = decoded.unwrap_or(Cow::Borrowed(&crossed));
        let content_type = headers.get("content-type").unwrap_or_default();
        let (text, encoding) = match text::decode(&bytes, content_type) {
            Some(text) => (text.into_owned(), None),
            None => (STANDARD.encode(&bytes), Some("base64")),
        };
        Ok(Self { text, encoding, size: bytes.len() as u64, comment })
    }
}

fn message(from: &WebSocketMessage) -> Message {
    let text = std::str::from_utf8(&from.content).ok().filter(|_| from.opcode != 2);
    Message {
        kind: if from.from_client { "send" } else { "receive" },
        time: if from.timestamp.0.is_finite() { from.timestamp.0 } else { 0.0 },
        // What is no UTF-8 goes as what it is.
        opcode: if text.is_some() { from.opcode } else { 2 },
        data: text.map_or_else(|| STANDARD.encode(&from.content), str::to_owned),
    }
}

fn fields(headers: &Headers) -> Vec<Pair> {
    headers.iter().map(|field| Pair { name: lossy(field.name), value: lossy(field.value) }).collect()
}

fn pairs(from: impl Iterator<Item = (String, String)>) -> Vec<Pair> {
    from.map(|(name, value)| Pair { name, value }).collect()
}

/// Of the fields' lines with their ends.
fn head_bytes(headers: &Headers) -> i64 {
    headers
        .iter()
        .map(|field| i64::try_from(field.name.len() + field.value.len() + 4).unwrap_or_default())
        .sum()
}

/// As it crossed; -1 if nobody counted.
fn body_bytes(body: &Body) -> i64 {
    body.len().and_then(|len| i64::try_from(len).ok()).unwrap_or(-1)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
