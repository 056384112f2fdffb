//! HTTP flows, as HTTP/1.1 on the wire, and the WebSocket that one may become.

use std::io::{self, Write};

use flowgate_flow::{Body, Flow, Headers, HttpFlow, Request, Response, Timestamp, WebSocketMessage};

use super::conversation::Conversation;

pub(super) fn write<W: Write>(flow: &Flow, http: &HttpFlow, to: &mut Conversation<'_, W>) -> io::Result<()> {
    let mut notes = Vec::new();
    if !http.request.version.is_http1() {
        notes.push(format!("crossed as {}", http.request.version));
    }
    if &*http.request.scheme == b"https" || flow.server.connection.tls {
        notes.push("decrypted".to_owned());
        // Wireshark would take what comes from there for TLS.
        if to.server_port() == TLS_PORT {
            notes.push(format!("went to port {TLS_PORT}"));
            to.set_server_port(PLAIN_PORT);
        }
    }
    if matches!(http.request.body, Body::Missing | Body::Counted(_)) {
        notes.push("the request's body was not kept".to_owned());
    }
    if http.response.as_ref().is_some_and(|answer| matches!(answer.body, Body::Missing | Body::Counted(_))) {
        notes.push("the response's body was not kept".to_owned());
    }
    if !notes.is_empty() {
        to.comment(notes.join("; "));
    }
    to.open()?;
    request(&http.request, to)?;
    if let Some(answer) = &http.response {
        response(answer, &http.request, to)?;
    }
    for message in http.websocket.iter().flat_map(|websocket| &websocket.messages) {
        to.stream(message.from_client, message.timestamp, &frame(message))?;
    }
    to.close()
}

const TLS_PORT: u16 = 443;
const PLAIN_PORT: u16 = 80;

fn request<W: Write>(request: &Request, to: &mut Conversation<'_, W>) -> io::Result<()> {
    let target = if request.is_connect() { &request.authority } else { &request.path };
    let mut head =
        [&request.method[..], b" ", target, b" ", line_version(&request.version), b"\r\n"].concat();
    if !request.headers.contains("host") {
        let host = if request.authority.is_empty() { request.host.as_bytes() } else { &request.authority };
        head.extend_from_slice(&[b"Host: ", host, b"\r\n"].concat());
    }
    let until = request.timestamp_end.unwrap_or(request.timestamp_start);
    let framing = Framing::of(&request.headers, &request.body, Framing::None);
    message(
        true,
        head,
        (&request.headers, request.trailers.as_ref()),
        &request.body,
        framing,
        [request.timestamp_start, until],
        to,
    )
}

fn response<W: Write>(response: &Response, asked: &Request, to: &mut Conversation<'_, W>) -> io::Result<()> {
    let status = format!(" {} ", response.status);
    let head = [line_version(&response.version), status.as_bytes(), &response.reason, b"\r\n"].concat();
    let until = response.timestamp_end.unwrap_or(response.timestamp_start);
    let has_none =
        asked.method.eq_ignore_ascii_case(b"HEAD") || matches!(response.status, 100..=199 | 204 | 304);
    let framing =
        if has_none { Framing::None } else { Framing::of(&response.headers, &response.body, Framing::Close) };
    message(
        false,
        head,
        (&response.headers, response.trailers.as_ref()),
        &response.body,
        framing,
        [response.timestamp_start, until],
        to,
    )
}

fn line_version(version: &flowgate_flow::HttpVersion) -> &[u8] {
    if version.is_http1() { version.as_bytes() } else { b"HTTP/1.1" }
}

/// How a reader of HTTP/1 knows where the body ends.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Framing {
    /// There is no body.
    None,
    /// A field says so, or one is added that does.
    Length { added: bool },
    /// By chunks.
    Chunks,
    /// With the connection.
    Close,
}

impl Framing {
    fn of(headers: &Headers, body: &Body, without: Self) -> Self {
        let coding = headers.get("transfer-encoding").unwrap_or_default().to_ascii_lowercase();
        if coding.ends_with(b"chunked") {
            Self::Chunks
        } else if headers.contains("content-length") {
            Self::Length { added: false }
        } else if body.len().is_some() {
            // Where HTTP/1 would end with the connection, a length is plainer; an empty request has none.
            if body.is_empty() { without } else { Self::Length { added: true } }
        } else {
            without
        }
    }
}

fn message<W: Write>(
    from_client: bool,
    mut head: Vec<u8>,
    (headers, trailers): (&Headers, Option<&Headers>),
    body: &Body,
    framing: Framing,
    [start, end]: [Timestamp; 2],
    to: &mut Conversation<'_, W>,
) -> io::Result<()> {
    put_fields(headers, &mut head);
    if framing == (Framing::Length { added: true }) {
        head.extend_from_slice(format!("Content-Length: {}\r\n", body.len().unwrap_or_default()).as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    to.stream(from_client, start, &head)?;
    match framing {
        Framing::None => Ok(()),
        Framing::Length { .. } | Framing::Close => {
            body.for_each_chunk(|chunk| to.stream(from_client, end, chunk))
        }
        Framing::Chunks => {
            body.for_each_chunk(|chunk| {
                if chunk.is_empty() {
                    return Ok(());
                }
                to.stream(from_client, end, format!("{:x}\r\n", chunk.len()).as_bytes())?;
                to.stream(from_client, end, chunk)?;
                to.stream(from_client, end, b"\r\n")
            })?;
            let mut last = b"0\r\n".to_vec();
            put_fields(trailers.unwrap_or(&Headers::new()), &mut last);
            last.extend_from_slice(b"\r\n");
            to.stream(from_client, end, &last)
        }
    }
}

fn put_fields(headers: &Headers, out: &mut Vec<u8>) {
    for field in headers.iter() {
        out.extend_from_slice(&[field.name, b": ", field.value, b"\r\n"].concat());
    }
}

/// A message as one frame (RFC 6455 §5.2); the client's has a key of zeros, which changes nothing.
fn frame(message: &WebSocketMessage) -> Vec<u8> {
    let mut out = vec![0x80 | message.opcode & 0x0f];
    let masked = if message.from_client { 0x80 } else { 0 };
    match message.content.len() {
        length @ 0..=125 => out.push(masked | length as u8),
        length @ 126..=0xffff => {
            out.push(masked | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(masked | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if message.from_client {
        out.extend_from_slice(&[0; 4]);
    }
    out.extend_from_slice(&message.content);
    out
}
