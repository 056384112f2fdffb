//! Large contents on their way to the output, from where they lie.
//!
//! A body in memory is written as it is, a stored one in pieces: neither is ever gathered.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use flowgate_flow::StoredBody;

/// Why an item was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The output failed. A part of the item may have been written.
    #[error("cannot write the flow")]
    Output(#[source] io::Error),
    /// A stored body could not be read. A part of the item has been written: cut the file back to where the item began.
    #[error("cannot read a stored body")]
    StoredBody(#[source] io::Error),
    /// A stored body had fewer bytes than it said. A part of the item has been written, as above.
    #[error("a stored body ends {missing} bytes early")]
    StoredBodyShort {
        /// How many bytes did not come.
        missing: u64,
    },
    /// More bytes than a length can say (12 digits). Nothing has been written.
    #[error("{length} bytes are more than a flow file can hold in one flow")]
    TooLong {
        /// The item's payload in bytes.
        length: u64,
    },
    /// Lists and maps nested deeper than readers follow. Nothing has been written.
    #[error("more than {limit} lists and maps within each other")]
    Nesting {
        /// [`Limits::NESTING_MAX`](super::Limits::NESTING_MAX).
        limit: usize,
    },
    /// A kind of flow this format has no place for. Nothing has been written.
    #[error("the format has no place for this kind of flow")]
    FlowKind,
}

/// A content that is not copied into the encoder's buffer.
#[derive(Debug)]
pub(super) enum Content {
    Bytes(Bytes),
    /// With the length that was announced for it.
    Stored {
        body: Arc<dyn StoredBody>,
        length: u64,
    },
}

impl Content {
    /// `chunk` is scratch space that is worth keeping.
    pub(super) fn write_to(&self, out: &mut impl Write, chunk: &mut Vec<u8>) -> Result<(), WriteError> {
        match self {
            Self::Bytes(bytes) => out.write_all(bytes).map_err(WriteError::Output),
            Self::Stored { body, length } => copy(body.as_ref(), *length, chunk, out),
        }
    }
}

/// How much of a stored body is in memory at once.
const STORED_CHUNK_BYTES: usize = 64 * 1024;

/// Copies exactly `length` bytes, because that many were announced, even if the body has grown since.
fn copy(
    body: &dyn StoredBody,
    length: u64,
    chunk: &mut Vec<u8>,
    out: &mut impl Write,
) -> Result<(), WriteError> {
    chunk.resize(STORED_CHUNK_BYTES, 0);
    let mut offset = 0;
    while offset < length {
        let wanted = usize::try_from(length - offset).unwrap_or(usize::MAX).min(chunk.len());
        let buf = chunk.get_mut(..wanted).unwrap_or_default();
        let n = match body.read_at(offset, buf) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(WriteError::StoredBody(error)),
        };
        let Some(piece) = buf.get(..n).filter(|piece| !piece.is_empty()) else {
            return Err(WriteError::StoredBodyShort { missing: length - offset });
        };
        out.write_all(piece).map_err(WriteError::Output)?;
        offset += n as u64;
    }
    Ok(())
}
