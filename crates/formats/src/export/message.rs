//! A message made ready: its body decoded, its fields true to that.

use flowgate_filter::BodyDecoder;
use flowgate_flow::{Body, Headers};

use super::ExportError;
use super::limits::BODY_BYTES_MAX;

/// The fields and the body to export. A body that cannot be decoded stays as it crossed.
pub(super) fn decoded(
    half: &'static str,
    headers: &Headers,
    body: &Body,
    decoder: &dyn BodyDecoder,
) -> Result<(Headers, Vec<u8>), ExportError> {
    if let Some(length) = body.len().filter(|length| *length > BODY_BYTES_MAX as u64) {
        return Err(ExportError::BodyBytes { half, length });
    }
    let crossed = body.prefix(BODY_BYTES_MAX)?.ok_or(ExportError::NoBody { half })?;
    let mut headers = headers.clone();
    let encodings = headers.get_all("content-encoding").collect::<Vec<_>>().join(&b", "[..]);
    if encodings.is_empty() {
        return Ok((headers, crossed.into()));
    }
    let Some(bytes) = decoder.decode(&encodings, &crossed) else { return Ok((headers, crossed.into())) };
    let bytes = bytes.into_owned();
    headers.remove("content-encoding");
    let length = headers.iter().find(|field| field.is("content-length")).map(|field| field.name.to_vec());
    if let Some(name) = length {
        headers.set(name, bytes.len().to_string());
    }
    Ok((headers, bytes))
}
