//! Which view shows a body, and the call that has it shown.

use std::fmt;
use std::str::FromStr;

use crate::form::{self, Source};
use crate::json::Stop;
use crate::page::{Full, Page};
use crate::{Limits, hex, json, raw};

/// A contentview, or the choice of the best one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum View {
    /// The view that fits the content best.
    #[default]
    Auto,
    /// UTF-8 text, with what is not UTF-8 as `\xNN`.
    Raw,
    /// Sixteen bytes a row, in hexadecimal and as ASCII.
    HexDump,
    /// JSON, a member or element a line.
    Json,
    /// The names and values of the request's query.
    Query,
    /// The names and values of an HTML form.
    UrlEncoded,
}

/// What is known about a body besides its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContentInfo<'a> {
    /// The value of Content-Type.
    pub content_type: Option<&'a [u8]>,
    /// For a request: the query of its URL, without the question mark.
    pub query: Option<&'a [u8]>,
    /// The length of the whole body in bytes, if what is handed in is only its beginning.
    pub total_bytes: Option<u64>,
}

/// A body as text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rendered {
    /// Lines that end in LF (the last one perhaps not), with no control character but LF and tab.
    pub text: String,
    /// The name of the view that made it: never `auto`.
    pub view_name: &'static str,
    /// There is more than `text` shows.
    pub cut: bool,
    /// The view that was to be used and could not make sense of the bytes; `text` shows them raw.
    pub failed_view: Option<View>,
}

/// No view has this name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no such contentview; there are {}", View::ALL.map(View::name).join(", "))]
pub struct UnknownView;

impl View {
    /// All views there are.
    pub const ALL: [Self; 6] =
        [Self::Auto, Self::HexDump, Self::Json, Self::Query, Self::Raw, Self::UrlEncoded];

    /// The name by which a user knows it, in lower case (mitmproxy's option `dumper_default_contentview`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Raw => "raw",
            Self::HexDump => "hex dump",
            Self::Json => "json",
            Self::Query => "query",
            Self::UrlEncoded => "url-encoded",
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for View {
    type Err = UnknownView;

    /// Finds a view by its name, in any case.
    fn from_str(name: &str) -> Result<Self, UnknownView> {
        Self::ALL.into_iter().find(|view| view.name().eq_ignore_ascii_case(name)).ok_or(UnknownView)
    }
}

/// Shows a decoded body. What `view` cannot make sense of is shown raw, and [`Rendered::failed_view`] says so.
#[must_use]
pub fn render(view: View, info: &ContentInfo<'_>, bytes: &[u8], limits: &Limits) -> Rendered {
    let view = if view == View::Auto { best_view(info, bytes) } else { view };
    let total_bytes = info.total_bytes.unwrap_or_default().max(bytes.len() as u64);
    let complete = total_bytes == bytes.len() as u64;
    let mut page = Page::new(limits);
    let outcome = match view {
        View::Json => json::render(bytes, complete, limits.json_depth_max, &mut page),
        View::HexDump => stopped(hex::render(bytes, total_bytes, &mut page)),
        View::UrlEncoded => stopped(form::render(bytes, Source::Body, limits.fields_max, &mut page)),
        View::Query => match info.query {
            Some(query) => stopped(form::render(query, Source::Query, limits.fields_max, &mut page)),
            None => Err(Stop::Invalid),
        },
        View::Raw | View::Auto => stopped(raw::render(bytes, &mut page)),
    };
    match outcome {
        Err(Stop::Invalid) => Rendered { failed_view: Some(view), ..render(View::Raw, info, bytes, limits) },
        _ => Rendered {
            text: page.into_text(),
            view_name: view.name(),
            cut: outcome.is_err() || !complete,
            failed_view: None,
        },
    }
}

fn best_view(info: &ContentInfo<'_>, bytes: &[u8]) -> View {
    if bytes.is_empty() {
        return match info.query {
            Some(query) if form::has_fields(query) => View::Query,
            _ => View::Raw,
        };
    }
    let content_type = media_type(info.content_type.unwrap_or_default());
    if content_type == "application/x-www-form-urlencoded" {
        View::UrlEncoded
    } else if content_type == "application/json-rpc"
        || content_type.starts_with("application/") && content_type.ends_with("json")
    {
        View::Json
    } else if is_binary(bytes) {
        View::HexDump
    } else {
        View::Raw
    }
}

/// `type/subtype` in lower case, without parameters.
fn media_type(value: &[u8]) -> String {
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    String::from_utf8_lossy(essence).trim().to_ascii_lowercase()
}

/// Whether the first bytes look like something other than text.
///
/// Differs from mitmproxy: text in other scripts than Latin is text.
fn is_binary(bytes: &[u8]) -> bool {
    let sample = bytes.get(..BINARY_SAMPLE_BYTES).unwrap_or(bytes);
    let controls = sample.iter().filter(|byte| matches!(byte, 0..=8 | 14..=31)).count();
    let others = sample.iter().filter(|byte| **byte > b'~').count();
    let much_is_not_ascii = (controls + others) * 10 > sample.len() * 3;
    let few_controls = controls * 20 < sample.len();
    let is_utf8 = match std::str::from_utf8(sample) {
        Ok(_) => true,
        // The sample may end inside a character.
        Err(error) => error.error_len().is_none() && sample.len() < bytes.len(),
    };
    much_is_not_ascii && !(few_controls && is_utf8)
}

const BINARY_SAMPLE_BYTES: usize = 100;

fn stopped(outcome: Result<(), Full>) -> Result<(), Stop> {
    outcome.map_err(Stop::from)
}
