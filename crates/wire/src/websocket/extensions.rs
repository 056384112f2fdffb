//! What `Sec-WebSocket-Extensions` of a response agrees to (RFC 6455 section 9.1), and permessage-deflate in it (RFC 7692
//! section 7.1).
//!
//! Only the server's answer is read: what the client offered does not matter to one who watches.

use thiserror::Error;

use crate::http1::is_token;

/// The extensions that both sides use.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Extensions {
    /// Compression, if it was agreed.
    pub deflate: Option<Deflate>,
    /// The names of those that we do not know: what they do to messages is not undone.
    pub unknown: Vec<String>,
}

/// The parameters of permessage-deflate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deflate {
    /// How the client compresses.
    pub client: DeflateSide,
    /// How the server compresses.
    pub server: DeflateSide,
}

/// How one side compresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeflateSide {
    /// Whether a message may refer to those before it.
    pub context_takeover: bool,
    /// The size of its window as a power of two, 8 to 15. Whoever inflates with 15 can read all.
    pub window_bits: u8,
}

/// Why an agreement cannot be read.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ExtensionError {
    /// Not a list of extensions with parameters.
    #[error("malformed Sec-WebSocket-Extensions")]
    Syntax,
    /// permessage-deflate more than once: nobody could tell which one compressed a message.
    #[error("permessage-deflate agreed twice")]
    Twice,
    /// A parameter that permessage-deflate does not have, has once only, or not with this value.
    #[error("permessage-deflate with a parameter {0} that is unknown, repeated or malformed")]
    Parameter(String),
}

/// Reads the values of all `Sec-WebSocket-Extensions` fields of a response, in order.
///
/// # Errors
/// If a conforming client would have to fail the connection over it; an unknown name alone is no error here.
pub fn parse_extensions<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Extensions, ExtensionError> {
    let mut agreed = Extensions::default();
    // A quoted value must be a token once the quotes are gone, so no comma or semicolon can stand in one.
    let members = values.flat_map(|value| value.split(|b| *b == b',')).map(<[u8]>::trim_ascii);
    for member in members.filter(|member| !member.is_empty()) {
        let mut parts = member.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let name = text(parts.next().unwrap_or_default())?;
        if !name.eq_ignore_ascii_case("permessage-deflate") {
            agreed.unknown.push(name.to_owned());
            continue;
        }
        if agreed.deflate.is_some() {
            return Err(ExtensionError::Twice);
        }
        agreed.deflate = Some(parse_deflate(parts)?);
    }
    Ok(agreed)
}

fn parse_deflate<'a>(parameters: impl Iterator<Item = &'a [u8]>) -> Result<Deflate, ExtensionError> {
    let (mut client_reset, mut server_reset) = (None, None);
    let (mut client_bits, mut server_bits) = (None, None);
    for parameter in parameters {
        let mut halves = parameter.splitn(2, |b| *b == b'=').map(<[u8]>::trim_ascii);
        let name = text(halves.next().unwrap_or_default())?;
        let value = halves.next().map(|value| text(unquote(value))).transpose()?;
        let known = match name.to_ascii_lowercase().as_str() {
            "client_no_context_takeover" => value.is_none() && client_reset.replace(()).is_none(),
            "server_no_context_takeover" => value.is_none() && server_reset.replace(()).is_none(),
            "client_max_window_bits" => set_bits(&mut client_bits, value),
            "server_max_window_bits" => set_bits(&mut server_bits, value),
            _ => false,
        };
        if !known {
            return Err(ExtensionError::Parameter(name.to_owned()));
        }
    }
    let side = |reset: Option<()>, bits: Option<u8>| DeflateSide {
        context_takeover: reset.is_none(),
        window_bits: bits.unwrap_or(15),
    };
    Ok(Deflate { client: side(client_reset, client_bits), server: side(server_reset, server_bits) })
}

/// Takes a window size; says whether it is the first one and legal (8 to 15, no leading zero).
fn set_bits(bits: &mut Option<u8>, value: Option<&str>) -> bool {
    let number = match value.map(str::as_bytes) {
        Some([digit @ b'8'..=b'9']) => digit - b'0',
        Some([b'1', digit @ b'0'..=b'5']) => 10 + digit - b'0',
        _ => return false,
    };
    bits.replace(number).is_none()
}

fn text(token: &[u8]) -> Result<&str, ExtensionError> {
    let token = if is_token(token) { std::str::from_utf8(token).ok() } else { None };
    token.ok_or(ExtensionError::Syntax)
}

fn unquote(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}
