//! Certificates: PEM in files (RFC 7468), DER in flows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::fields::StateError;
use crate::tnetstring::{Encoder, Value};

/// Reads the first certificate of a PEM text. What stands around it is passed over.
pub(super) fn read(value: Value<'_>) -> Result<Bytes, StateError> {
    let Value::Bytes(pem) = value else { return Err(StateError::wrong_type("bytes", &value)) };
    decode(&pem).map(Bytes::from).ok_or(StateError::Pem { key: String::new() })
}

/// Puts a certificate as PEM, lines of 64 characters.
pub(super) fn put(der: &[u8], to: &mut Encoder) {
    let characters = der.len().div_ceil(3) * 4;
    let lines = characters.div_ceil(LINE_CHARACTERS);
    to.filled(BEGIN.len() + 1 + characters + lines + END.len() + 1, |mut room| {
        let mut line = |length: usize, fill: &mut dyn FnMut(&mut [u8])| {
            let (now, later) = std::mem::take(&mut room).split_at_mut_checked(length + 1).unwrap_or_default();
            if let Some((line_end, text)) = now.split_last_mut() {
                fill(text);
                *line_end = b'\n';
            }
            room = later;
        };
        line(BEGIN.len(), &mut |text| text.copy_from_slice(BEGIN));
        for part in der.chunks(LINE_CHARACTERS / 4 * 3) {
            line(part.len().div_ceil(3) * 4, &mut |text| {
                // The room is what the part takes: it cannot be too small.
                let _ = STANDARD.encode_slice(part, text);
            });
        }
        line(END.len(), &mut |text| text.copy_from_slice(END));
    });
}

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";
const LINE_CHARACTERS: usize = 64;

fn decode(pem: &[u8]) -> Option<Vec<u8>> {
    let from = find(pem, BEGIN)? + BEGIN.len();
    let rest = pem.get(from..)?;
    let (inside, end) = rest.split_at(rest.iter().position(|byte| *byte == b'-')?);
    if !end.starts_with(END) {
        return None;
    }
    let mut characters = Vec::with_capacity(inside.len());
    for line in inside.split(|byte| *byte == b'\n') {
        characters.extend_from_slice(line.trim_ascii());
    }
    STANDARD.decode(characters).ok()
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
