//! One flow as a command or as raw bytes, to be pasted somewhere else (mitmproxy: `export`).
//!
//! What crossed is hostile, and a command is run by whoever pastes it. So the promise of this module is that a POSIX shell
//! reads every part of a flow as one word, that no program takes a part for an option, a file name or a pattern, and
//! that no control character reaches a terminal. What cannot be said under that promise is an error.

mod curl;
mod httpie;
mod message;
mod raw;
mod shell;

use std::fmt;
use std::io;
use std::str::FromStr;

use flowgate_filter::BodyDecoder;
use flowgate_flow::{Flow, FlowKind, HttpFlow};

/// A form to export a flow in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ExportFormat {
    /// A command of curl.
    Curl,
    /// A command of HTTPie.
    Httpie,
    /// Request and response as HTTP/1 has them, and the messages of a WebSocket.
    Raw,
    /// The request as HTTP/1 has it.
    RawRequest,
    /// The response as HTTP/1 has it.
    RawResponse,
}

impl ExportFormat {
    /// All of them, by mitmproxy's names.
    pub const ALL: [(&str, Self); 5] = [
        ("curl", Self::Curl),
        ("httpie", Self::Httpie),
        ("raw", Self::Raw),
        ("raw_request", Self::RawRequest),
        ("raw_response", Self::RawResponse),
    ];
}

impl FromStr for ExportFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, format)| *format).ok_or(UnknownFormat)
    }
}

/// No name of an [`ExportFormat`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownFormat;

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = ExportFormat::ALL.iter().map(|(name, _)| *name).collect();
        write!(f, "expected one of {}", names.join(", "))
    }
}

impl std::error::Error for UnknownFormat {}

/// How to export.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ExportOptions {
    /// curl connects to the address that the flow went to, whatever the name means now (option
    /// `export_preserve_original_ip`).
    pub preserve_original_ip: bool,
}

/// Why a flow cannot be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// It is no HTTP flow.
    #[error("the flow has no request")]
    NoRequest,
    /// There was no response.
    #[error("the flow has no response")]
    NoResponse,
    /// The body was not kept.
    #[error("the {half}'s body was not kept")]
    NoBody {
        /// `request` or `response`.
        half: &'static str,
    },
    /// The body is larger than what is exported.
    #[error("the {half}'s body has {length} bytes, more than {}", limits::BODY_BYTES_MAX)]
    BodyBytes {
        /// `request` or `response`.
        half: &'static str,
        /// How long it is.
        length: u64,
    },
    /// The command has no way to send a part of the request as it is.
    #[error("{command} cannot send this {part}: {bytes}")]
    Inexpressible {
        /// `curl` or `HTTPie`.
        command: &'static str,
        /// Which part.
        part: &'static str,
        /// What stands there, escaped and cut.
        bytes: String,
    },
    /// A stored body cannot be read.
    #[error("cannot read a stored body")]
    Body(#[from] io::Error),
}

impl ExportError {
    fn inexpressible(command: &'static str, part: &'static str, bytes: &[u8]) -> Self {
        let shown = bytes.get(..80).unwrap_or(bytes);
        Self::Inexpressible { command, part, bytes: shown.escape_ascii().to_string() }
    }
}

/// What an export may cost.
pub mod limits {
    /// Bytes of a body, as it crossed and decoded.
    pub const BODY_BYTES_MAX: usize = 64 << 20;
    /// Bytes of a body in the arguments of a command; Linux takes 128 KiB in one argument. Beyond, it comes by a pipe.
    pub const ARGUMENT_BYTES_MAX: usize = 64 << 10;
}

/// Exports a flow. Bodies are decoded, as in mitmproxy. Commands are UTF-8 text without an end of line.
///
/// # Errors
/// See [`ExportError`].
pub fn export(
    flow: &Flow,
    format: ExportFormat,
    options: ExportOptions,
    decoder: &dyn BodyDecoder,
) -> Result<Vec<u8>, ExportError> {
    let FlowKind::Http(http) = &flow.kind else { return Err(ExportError::NoRequest) };
    match format {
        ExportFormat::Curl => curl::command(flow, http, options, decoder).map(String::into_bytes),
        ExportFormat::Httpie => httpie::command(http, decoder).map(String::into_bytes),
        ExportFormat::Raw => both(http, decoder),
        ExportFormat::RawRequest => raw::request(&http.request, decoder),
        ExportFormat::RawResponse => {
            raw::response(http.response.as_ref().ok_or(ExportError::NoResponse)?, &http.request, decoder)
        }
    }
}

/// What there is of both, with an empty line between.
fn both(http: &HttpFlow, decoder: &dyn BodyDecoder) -> Result<Vec<u8>, ExportError> {
    let request = raw::request(&http.request, decoder);
    let Some(response) = &http.response else { return request };
    let response = raw::response(response, &http.request, decoder);
    match (request, response) {
        (Ok(mut all), Ok(response)) => {
            all.extend_from_slice(SEPARATOR);
            all.extend_from_slice(&response);
            if let Some(websocket) = &http.websocket {
                all.extend_from_slice(SEPARATOR);
                raw::websocket(websocket, &mut all);
            }
            Ok(all)
        }
        (Err(ExportError::NoBody { .. }), Ok(one)) | (Ok(one), Err(ExportError::NoBody { .. })) => Ok(one),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

const SEPARATOR: &[u8] = b"\r\n\r\n";
