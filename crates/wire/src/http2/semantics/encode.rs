//! Header lists out of messages: the last gate. No hook, rule, edit, replay or translation can put a list on the wire that
//! another reader would refuse, or read as something else.
//!
//! Everything is judged before the encoder is touched, since its table must not know what was never sent. Messages of HTTP/1 lose
//! what belongs to their connection on the way; in those of HTTP/2 it is an error, because somebody put it there.

use flowgate_flow::{Address, Field, Headers, HttpVersion, PseudoField, Request, Response};

use super::MessageError;
use super::authority::{check_authority, check_connect_authority};
use super::field::{FromHttp1, check_field_value, check_meaning, check_trailer};
use super::length::{content_length, request_framing, response_framing};
use super::pseudo::{Kind, check_pseudo};
use crate::hpack::{Encoder, FieldRef};
use crate::http1::{Framing, is_token};
use crate::limits::HEAD_FIELDS_MAX;

/// Appends a request's header block; `body` is how the body that is going to be sent is delimited. The stream ends with the
/// block if that is [`Framing::None`].
///
/// # Errors
/// If the message may not be sent so; then nothing was appended, and the encoder is as it was.
pub fn encode_request(
    request: &Request,
    body: Framing,
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
) -> Result<(), MessageError> {
    let from_http1 = request.version.is_http1();
    let carrier = Carrier::new(from_http1, &request.headers);
    let is_connect = request.method.as_ref() == b"CONNECT";
    let plain_connect = is_connect && request.pseudo.protocol.is_none();
    let hosts =
        carrier.fields().filter(|(_, field)| field.is("host")).map(|(index, field)| (index, field.value));
    // HTTP/1 names its host in the target or in `Host`, HTTP/2 in `:authority`; what a client of HTTP/2 chose stays.
    let mut authority = Some(request.authority.as_ref()).filter(|authority| !authority.is_empty());
    if from_http1 && !plain_connect && authority.is_none() {
        authority = hosts.clone().next().map(|(_, host)| host);
    }
    // HTTP/1.0 may name none; where it goes is known.
    let address;
    if request.version == HttpVersion::Http10 && !is_connect && authority.is_none() {
        address = told_address(request);
        authority = Some(address.as_bytes()).filter(|_| !request.host.is_empty());
    }
    let scheme = Some(request.scheme.as_ref()).filter(|_| !plain_connect);
    let path = Some(request.path.as_ref()).filter(|_| !plain_connect);
    let protocol = request.pseudo.protocol.as_deref();
    let kind = check_pseudo(&request.method, scheme, authority.is_some(), path, protocol)?;
    if kind == Kind::Connect {
        check_connect_authority(authority.unwrap_or_default())?;
    }
    if from_http1 && !request.authority.is_empty() {
        // RFC 9112 section 3.2.2: with a host in the target, that of the field is not looked at.
        check_authority(&request.scheme, authority, std::iter::empty())?;
    } else {
        check_authority(&request.scheme, authority, hosts)?;
    }
    carrier.check(|_, _| Ok(()))?;
    let length = carrier.content_length()?;
    agree(request_framing(length, is_connect, body == Framing::None)?, body)?;
    encoder.start_block(out);
    for pseudo in request.pseudo.order.iter() {
        let value = match pseudo {
            PseudoField::Method => Some(request.method.as_ref()),
            PseudoField::Scheme => scheme,
            PseudoField::Authority => authority,
            PseudoField::Path => path,
            PseudoField::Protocol => protocol,
        };
        if let Some(value) = value {
            let sensitive = request.pseudo.sensitive.contains(&pseudo);
            encoder.encode_field(FieldRef { name: pseudo.name().as_bytes(), value, sensitive }, out);
        }
    }
    carrier.encode(|field| from_http1 && field.is("host"), encoder, out);
    Ok(())
}

/// Where a request goes, as an authority without its scheme's port.
fn told_address(request: &Request) -> String {
    let address = Address { host: request.host.clone(), port: request.port }.to_string();
    let port = if request.scheme.as_ref() == b"http" { ":80" } else { ":443" };
    address.strip_suffix(port).map(str::to_owned).unwrap_or(address)
}

/// Appends the header block of a response, interim or final, to a request of this method; `body` is how the body that is going to
/// be sent is delimited. The stream ends with the block if that is [`Framing::None`] and the response is final.
///
/// # Errors
/// If the message may not be sent so; then nothing was appended, and the encoder is as it was.
pub fn encode_response(
    response: &Response,
    method: &[u8],
    body: Framing,
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
) -> Result<(), MessageError> {
    let status = response.status;
    if !(100..1000).contains(&status) {
        return Err(MessageError::Status);
    }
    if status == 101 {
        return Err(MessageError::SwitchingProtocols);
    }
    let carrier = Carrier::new(response.version.is_http1(), &response.headers);
    carrier.check(|_, _| Ok(()))?;
    let ends = body == Framing::None && status >= 200;
    agree(response_framing(status, carrier.content_length()?, method, ends)?, body)?;
    let digit = |n: u16| b'0' + u8::try_from(n % 10).unwrap_or_default();
    let digits = [digit(status / 100), digit(status / 10), digit(status)];
    encoder.start_block(out);
    encoder.encode_field(FieldRef { name: b":status", value: &digits, sensitive: false }, out);
    // RFC 9110 section 8.6: they must not have one. Clients of HTTP/1 pass over it, those of HTTP/2 take the response for malformed.
    let misplaced = |field: &Field<'_>| (status < 200 || status == 204) && field.is("content-length");
    carrier.encode(misplaced, encoder, out);
    Ok(())
}

/// Appends the header block of trailers; the stream ends with it.
///
/// # Errors
/// If they may not be sent so; then nothing was appended, and the encoder is as it was.
pub fn encode_trailers(
    trailers: &Headers,
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
) -> Result<(), MessageError> {
    let carrier = Carrier::new(false, trailers);
    carrier.check(check_trailer)?;
    encoder.start_block(out);
    carrier.encode(|_| false, encoder, out);
    Ok(())
}

/// Trailers as they may be sent, their names in lower case.
///
/// # Errors
/// If they may not be sent at all.
pub fn check_trailers(trailers: &Headers) -> Result<Headers, MessageError> {
    Carrier::new(false, trailers).check(check_trailer)?;
    if !trailers.iter().any(|field| field.name.iter().any(u8::is_ascii_uppercase)) {
        return Ok(trailers.clone());
    }
    let mut lower = Headers::default();
    for (at, field) in trailers.iter().enumerate() {
        lower.push(field.name.to_ascii_lowercase(), field.value);
        if field.sensitive {
            lower.mark_sensitive(at);
        }
    }
    Ok(lower)
}

/// Whether the body that is going to be sent is the one that the head announces.
fn agree(announced: Framing, body: Framing) -> Result<(), MessageError> {
    let open = |framing| matches!(framing, Framing::Chunked | Framing::UntilClose);
    let empty = |framing| matches!(framing, Framing::None | Framing::Length(0));
    // In HTTP/2 a length need not be announced.
    let unsaid = open(announced) && matches!(body, Framing::Length(_));
    if announced == body || open(announced) && open(body) || empty(announced) && empty(body) || unsaid {
        return Ok(());
    }
    Err(MessageError::LengthDiffers)
}

/// The fields that go on the wire.
struct Carrier<'a> {
    headers: &'a Headers,
    from_http1: Option<FromHttp1<'a>>,
}

impl<'a> Carrier<'a> {
    fn new(from_http1: bool, headers: &'a Headers) -> Self {
        Self { headers, from_http1: from_http1.then(|| FromHttp1::new(headers)) }
    }

    /// The fields that go on, with their places among all.
    fn fields(&self) -> impl Iterator<Item = (usize, Field<'a>)> + Clone {
        self.headers.iter().enumerate().filter_map(|(index, field)| {
            let value = match &self.from_http1 {
                Some(from_http1) => from_http1.carried(field.name, field.value)?,
                None => field.value,
            };
            Some((index, Field { value, ..field }))
        })
    }

    fn check(&self, also: impl Fn(&[u8], usize) -> Result<(), MessageError>) -> Result<(), MessageError> {
        if self.headers.len() > HEAD_FIELDS_MAX {
            return Err(MessageError::TooManyFields);
        }
        for (index, field) in self.fields() {
            if !is_token(field.name) {
                return Err(MessageError::Name { index });
            }
            check_field_value(field.value, index)?;
            check_meaning(field.name, field.value, index)?;
            also(field.name, index)?;
        }
        Ok(())
    }

    fn content_length(&self) -> Result<Option<(usize, u64)>, MessageError> {
        content_length(self.fields().map(|(index, field)| (index, field.name, field.value)))
    }

    /// Writes the fields, their names in lower case.
    fn encode(&self, skip: impl Fn(&Field<'_>) -> bool, encoder: &mut Encoder, out: &mut Vec<u8>) {
        let mut lower = Vec::new();
        for (_, field) in self.fields() {
            if skip(&field) {
                continue;
            }
            let Field { mut name, value, sensitive, .. } = field;
            if name.iter().any(u8::is_ascii_uppercase) {
                lower.clear();
                lower.extend(name.iter().map(u8::to_ascii_lowercase));
                name = &lower;
            }
            encoder.encode_field(FieldRef { name, value, sensitive }, out);
        }
    }
}
