//! The view `grpc`: length-prefixed messages (gRPC over HTTP/2, "Length-Prefixed-Message"), each as protobuf without schema.

use crate::cursor::Cursor;
use crate::decode::decode;
use crate::json::Stop;
use crate::page::Page;
use crate::{Limits, protobuf};

/// Shows all messages of a body; `encoding` is what grpc-encoding says.
pub(crate) fn render(
    bytes: &[u8],
    encoding: Option<&[u8]>,
    complete: bool,
    limits: &Limits,
    page: &mut Page,
) -> Result<(), Stop> {
    let mut rest = Cursor::new(bytes, complete);
    let mut left = limits.fields_max;
    // All messages together become no more than one body may.
    let mut limits = *limits;
    let mut is_first = true;
    while !rest.is_empty() {
        left = left.checked_sub(1).ok_or(Stop::Full)?;
        let flags = rest.u8()?;
        let len = rest.u32()?;
        let message = rest.take_u64(len.into())?;
        if !is_first {
            page.push("\n---\n\n")?;
        }
        is_first = false;
        match flags {
            0 => protobuf::render(message, true, &limits, page)?,
            // Differs from mitmproxy: compressed as grpc-encoding says, or else as most do it.
            1 => {
                let decoded =
                    decode(encoding.unwrap_or(b"gzip"), message, &limits).map_err(|_| Stop::Invalid)?;
                protobuf::render(&decoded.bytes, decoded.note.is_none(), &limits, page)?;
                limits.decoded_bytes_max = limits.decoded_bytes_max.saturating_sub(decoded.bytes.len());
                if decoded.note.is_some() {
                    return Err(Stop::Full);
                }
            }
            // Differs from mitmproxy: gRPC-Web ends with its trailers in a frame of their own.
            0x80 => page.push(&crate::charset::utf8(message))?,
            _ => return Err(Stop::Invalid),
        }
    }
    Ok(())
}
