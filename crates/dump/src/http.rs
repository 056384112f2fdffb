//! HTTP flows: a line for the request, one for the response, and from detail 2 on what belongs to each.

use std::fmt::Write as _;

use flowgate_contentview::escape;
use flowgate_flow::{Flow, Headers, HostFrom, HttpFlow, HttpVersion, Replay, Request, Response};

use crate::content::Content;
use crate::dumper::{Dumper, REPLAY_MARK, client_address};
use crate::human::Size;
use crate::reason;
use crate::style::{Colour, Look};

impl Dumper {
    pub(crate) fn http(&self, flow: &Flow, http: &HttpFlow, out: &mut String) {
        let HttpFlow { request, response, .. } = http;
        self.request_line(flow, request, response.as_ref(), out);
        if self.flow_detail >= 2 {
            self.headers(&request.headers, out);
            if self.flow_detail >= 3 {
                self.content(Content::of_request(request), out);
            }
            self.trailers(request.trailers.as_ref(), out);
        }
        if let Some(response) = response {
            self.response_line(flow, request, response, out);
            if self.flow_detail >= 2 {
                self.headers(&response.headers, out);
                if self.flow_detail >= 3 {
                    self.content(Content::of_response(response), out);
                }
                self.trailers(response.trailers.as_ref(), out);
            }
        }
        self.error(flow, out);
        if self.flow_detail >= 2 {
            self.refused(flow, out);
        }
    }

    /// `127.0.0.1:43648: GET http://localhost:9000/`, and the version unless it is an HTTP/1 that the response has too.
    fn request_line(&self, flow: &Flow, request: &Request, response: Option<&Response>, out: &mut String) {
        self.client(flow, out);
        out.push_str(": ");
        let pushed = flow.metadata.iter().any(|(name, _)| name == "h2-pushed-stream");
        let colour = match request.method.to_ascii_uppercase().as_slice() {
            b"GET" if !pushed => Colour::Green,
            b"DELETE" if !pushed => Colour::Red,
            _ => Colour::Magenta,
        };
        self.style.paint(out, Look::of(colour).bold(), |out| {
            let start = out.len();
            escape::push_line_bytes(out, &request.method);
            if request.method.is_empty() && flow.refused().is_some() {
                out.push_str("(no request)");
            } else if let Some(method) = out.get_mut(start..) {
                method.make_ascii_uppercase();
            }
            out.push_str(if pushed { " PUSH_PROMISE" } else { "" });
        });
        out.push(' ');
        self.style.paint(out, Look::BOLD, |out| {
            let start = out.len();
            let host_from = if self.showhost { HostFrom::Header } else { HostFrom::Destination };
            if request.host.is_empty() && flow.refused().is_some() {
                // It never came to have a destination.
                escape::push_line_bytes(out, &request.path);
            } else {
                escape::push_line_bytes(out, &request.url(host_from));
            }
            if self.flow_detail == 1 {
                cut_url(out, start, self.columns);
            }
        });
        let response_version = response.map_or(&HttpVersion::Http11, |response| &response.version);
        if !request.version.is_http1() || request.version != *response_version {
            out.push(' ');
            escape::push_line_bytes(out, request.version.as_bytes());
        }
        out.push('\n');
    }

    /// `<< 200 OK 24b`, at detail 1 so far right that the code stands under the method.
    fn response_line(&self, flow: &Flow, request: &Request, response: &Response, out: &mut String) {
        let shows_version = !response.version.is_http1() || request.version != response.version;
        let is_replay = flow.replay == Some(Replay::Response);
        if is_replay {
            self.replay_mark(out);
        }
        if self.flow_detail == 1 {
            let version_len = if shows_version { response.version.as_bytes().len() + 1 } else { 0 };
            let replay_len = if is_replay { REPLAY_MARK.len() } else { 0 };
            let pad = client_address(flow).len().saturating_sub(2 + version_len + replay_len);
            out.extend(std::iter::repeat_n(' ', pad));
        }
        self.style.paint(out, Look::BOLD, |out| out.push_str(" <<"));
        out.push(' ');
        if shows_version {
            escape::push_line_bytes(out, response.version.as_bytes());
            out.push(' ');
        }
        let colour = match response.status {
            200..=299 => Some(Colour::Green),
            300..=399 => Some(Colour::Magenta),
            400..=599 => Some(Colour::Red),
            _ => None,
        };
        let look = Look { colour, ..Look::BOLD };
        self.style.paint(out, Look { blink: Some(response.status == 418), ..look }, |out| {
            // Writing to a `String` cannot fail.
            let _ = write!(out, "{}", response.status);
        });
        out.push(' ');
        self.style.paint(out, look, |out| match response.version {
            HttpVersion::Http2 | HttpVersion::Http3 => out.push_str(reason::phrase(response.status)),
            _ => push_latin1(out, &response.reason),
        });
        out.push(' ');
        self.style.paint(out, Look::BOLD, |out| {
            let _ = match response.body.len() {
                Some(bytes) => write!(out, "{}", Size(bytes)),
                None => out.write_str("(content missing)"),
            };
        });
        out.push('\n');
    }

    /// The raw bytes of what was refused, every byte that is no printable ASCII escaped, a line for each of its lines.
    fn refused(&self, flow: &Flow, out: &mut String) {
        let Some(bytes) = flow.refused() else { return };
        self.style.paint(out, Look::of(Colour::Magenta), |out| out.push_str("    --- Refused bytes"));
        out.push('\n');
        let lines_max =
            if self.flow_detail >= 4 { usize::MAX } else { self.content_view_lines_cutoff.max(1) };
        let mut lines = bytes.split_inclusive(|b| *b == b'\n');
        for line in lines.by_ref().take(lines_max) {
            // Writing to a `String` cannot fail.
            let _ = writeln!(out, "    {}", line.escape_ascii());
        }
        if lines.next().is_some() {
            self.remark("(cut off)", out);
        }
    }

    fn headers(&self, headers: &Headers, out: &mut String) {
        for field in headers.iter() {
            out.push_str("    ");
            self.style.paint(out, Look::of(Colour::Blue), |out| {
                escape::push_bytes(out, field.name.trim_ascii_start());
            });
            out.push(':');
            let value = field.value.trim_ascii_end();
            if !value.is_empty() {
                out.push(' ');
                escape::push_bytes(out, value);
            }
            out.push('\n');
        }
    }

    fn trailers(&self, trailers: Option<&Headers>, out: &mut String) {
        if let Some(trailers) = trailers.filter(|trailers| !trailers.is_empty()) {
            self.style.paint(out, Look::of(Colour::Magenta), |out| out.push_str("    --- HTTP Trailers"));
            out.push('\n');
            self.headers(trailers, out);
        }
    }
}

/// Cuts the URL that begins at `start` to what fits beside a client's address and a method.
fn cut_url(out: &mut String, start: usize, columns: Option<u16>) {
    let chars_max =
        usize::from(columns.unwrap_or(COLUMNS_DEFAULT)).saturating_sub(BESIDE_URL).max(URL_CHARS_MIN);
    let url = out.get(start..).unwrap_or_default();
    if url.len() > chars_max
        && let Some((cut, _)) = url.char_indices().nth(chars_max)
    {
        out.truncate(start + cut);
        out.push('…');
    }
}

/// Reason phrases are Latin-1 to mitmproxy, whatever they were meant to be.
fn push_latin1(out: &mut String, bytes: &[u8]) {
    out.extend(bytes.iter().map(|byte| match char::from(*byte) {
        c if escape::is_shown_in_line(c) => c,
        _ => escape::REPLACEMENT,
    }));
}

const COLUMNS_DEFAULT: u16 = 80;
/// Columns that are kept for what stands beside a URL.
const BESIDE_URL: usize = 25;
/// What a URL may have however narrow the terminal is.
const URL_CHARS_MIN: usize = 50;
