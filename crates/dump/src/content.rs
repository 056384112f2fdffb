//! Bodies and messages, from detail 3 on: a blank line, the content through its view, and a blank line.
//!
//! Costs what is shown: at detail 3 neither the bytes that are read and decoded nor the text depends on the body's size.
//!
//! Differs from mitmproxy: at detail 3 a long body is cut where `(cut off)` says so; mitmdump 12 prints all of it and then
//! `(cut off)`. Also the text has a limit in bytes, so that a long line is no way around the limit in lines.

use std::borrow::Cow;

use flowgate_contentview::{Carrier, ContentInfo, DecodeNote, Limits, View, decode, render};
use flowgate_flow::{Body, BodyMessage, BodyMessageKind, Flow, FlowKind, Headers, Request, Response};

use crate::dumper::Dumper;
use crate::style::Look;

/// What is shown as content.
#[derive(Clone, Copy)]
pub(crate) struct Content<'a> {
    source: Source<'a>,
    /// What is known of it besides its bytes and fields.
    info: ContentInfo<'a>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Whole {
    Yes,
    No,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    /// The body of an HTTP message.
    Message(&'a Body, &'a Headers),
    /// A chunk of a raw flow, a WebSocket message, or one inside a body, and whether that is all of it.
    Bytes(&'a [u8], Whole),
}

impl<'a> Content<'a> {
    /// The body of a request, for which the query of its URL stands in if it has none.
    pub(crate) fn of_request(request: &'a Request) -> Self {
        let info =
            ContentInfo { query: request.query(), path: Some(&request.path), ..ContentInfo::default() };
        Self { source: Source::Message(&request.body, &request.headers), info }
    }

    pub(crate) fn of_response(response: &'a Response) -> Self {
        Self { source: Source::Message(&response.body, &response.headers), info: ContentInfo::default() }
    }

    /// A chunk of a flow, or a message of its WebSocket.
    pub(crate) fn of_chunk(flow: &'a Flow, bytes: &'a [u8]) -> Self {
        let (carrier, path) = match &flow.kind {
            FlowKind::Http(http) => (Carrier::WebSocket, Some(&*http.request.path)),
            FlowKind::Udp(_) => (Carrier::Udp, None),
            _ => (Carrier::Tcp, None),
        };
        let server_port = flow.server.address.as_ref().map(|address| address.port);
        Self {
            source: Source::Bytes(bytes, Whole::Yes),
            info: ContentInfo { carrier, path, server_port, ..ContentInfo::default() },
        }
    }

    /// A message inside a body with these fields; `bytes` are its own.
    pub(crate) fn of_body_message(message: &BodyMessage, headers: &'a Headers, bytes: &'a [u8]) -> Self {
        let is_grpc = matches!(message.kind, BodyMessageKind::Grpc { .. });
        let info = ContentInfo {
            // What an event holds is no event stream.
            content_type: headers.get("content-type").filter(|_| is_grpc),
            grpc_encoding: headers.get("grpc-encoding"),
            ..ContentInfo::default()
        };
        let whole = if message.truncated { Whole::No } else { Whole::Yes };
        Self { source: Source::Bytes(bytes, whole), info }
    }
}

impl Dumper {
    pub(crate) fn content(&self, content: Content<'_>, out: &mut String) {
        let limits = if self.flow_detail >= 4 {
            Limits::default()
        } else {
            Limits {
                decoded_bytes_max: CUT_DECODED_BYTES_MAX,
                text_bytes_max: CUT_TEXT_BYTES_MAX,
                lines_max: self.content_view_lines_cutoff.max(1),
                ..Limits::default()
            }
        };
        match content.source {
            Source::Bytes(bytes, whole) => {
                let shown = bytes.get(..limits.decoded_bytes_max).unwrap_or(bytes);
                let total_bytes = Some(bytes.len() as u64 + u64::from(whole == Whole::No));
                let info = ContentInfo { total_bytes, ..content.info };
                self.rendered(&info, shown, None, &limits, out);
            }
            Source::Message(body, headers) => self.body(body, headers, content.info, &limits, out),
        }
        out.push('\n');
    }

    fn body(&self, body: &Body, headers: &Headers, info: ContentInfo<'_>, limits: &Limits, out: &mut String) {
        let (encoded, total_bytes) = match (body.prefix(limits.decoded_bytes_max), body.len()) {
            (Ok(Some(bytes)), Some(len)) => (bytes, len),
            (Ok(_), _) => return self.lines_in(Look::RED, "Content is missing.", out),
            (Err(error), _) => {
                return self.lines_in(Look::RED, &format!("Content cannot be read: {error}"), out);
            }
        };
        let content_encoding = joined(headers, "content-encoding");
        let (bytes, note) = match decode(&content_encoding, &encoded, limits) {
            Ok(decoded) => (decoded.bytes, decoded.note),
            // Not what Content-Encoding says: the bytes themselves are then of interest.
            Err(_) => (Cow::Borrowed(encoded.as_ref()), None),
        };
        let is_prefix = (encoded.len() as u64) < total_bytes;
        let info = ContentInfo {
            content_type: headers.get("content-type"),
            grpc_encoding: headers.get("grpc-encoding"),
            total_bytes: match bytes {
                Cow::Borrowed(_) => Some(total_bytes),
                // How long it would have become is not known: longer.
                Cow::Owned(_) if is_prefix || note.is_some() => Some(bytes.len() as u64 + 1),
                Cow::Owned(_) => None,
            },
            ..info
        };
        let note = note.filter(|note| *note == DecodeNote::Truncated && !is_prefix);
        self.rendered(&info, &bytes, note, limits, out);
    }

    fn rendered(
        &self,
        info: &ContentInfo<'_>,
        bytes: &[u8],
        note: Option<DecodeNote>,
        limits: &Limits,
        out: &mut String,
    ) {
        let rendered = render(self.default_contentview, info, bytes, limits);
        if !rendered.text.is_empty() {
            self.lines(&rendered.text, out);
        }
        let was_chosen = self.default_contentview != View::Auto && !bytes.is_empty();
        if let Some(view) = rendered.failed_view.filter(|_| was_chosen) {
            self.remark(&format!("(not {view}, so shown {})", rendered.view_name), out);
        }
        if note.is_some() {
            self.remark("(ends inside its content encoding)", out);
        } else if rendered.cut {
            self.remark("(cut off)", out);
        }
    }

    /// A blank line, and the text with four spaces before each line.
    fn lines(&self, text: &str, out: &mut String) {
        out.push('\n');
        let text = text.trim();
        if text.is_empty() {
            out.push('\n');
        }
        for line in text.lines() {
            out.push_str("    ");
            out.push_str(line);
            out.push('\n');
        }
    }

    fn lines_in(&self, look: Look, text: &str, out: &mut String) {
        out.push_str("\n    ");
        self.style.paint(out, look, |out| flowgate_contentview::escape::push_line(out, text));
        out.push('\n');
    }

    pub(crate) fn remark(&self, text: &str, out: &mut String) {
        self.style.paint(out, Look::DIM, |out| {
            out.push_str("    ");
            out.push_str(text);
        });
        out.push('\n');
    }
}

/// The values of all fields of a name, as one list.
fn joined<'a>(headers: &'a Headers, name: &'a str) -> Cow<'a, [u8]> {
    let mut values = headers.get_all(name);
    let first = Cow::Borrowed(values.next().unwrap_or_default());
    values.fold(first, |joined, value| Cow::Owned([joined.as_ref(), value].join(&b", "[..])))
}

/// Bytes of a body that are read, and that decoding may make of them, where the text is cut anyway.
const CUT_DECODED_BYTES_MAX: usize = 4 << 20;
/// Bytes of text where it is cut by lines too.
const CUT_TEXT_BYTES_MAX: usize = 1 << 20;
