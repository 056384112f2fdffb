//! A message's body: in memory when small, elsewhere when large, or not kept.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

/// The body of a message as it crossed (still content-encoded), without transfer framing.
#[derive(Clone, Debug, Default)]
pub enum Body {
    /// Nothing was kept, although there may have been a body (mitmproxy: `content` is `None`).
    #[default]
    Missing,
    /// Nothing was kept, but so many bytes crossed.
    Counted(u64),
    /// The whole body in memory; empty if the message had none.
    Bytes(Bytes),
    /// The whole body lies elsewhere, in a file or a store.
    Stored(Arc<dyn StoredBody>),
}

/// A body that lies outside memory.
pub trait StoredBody: fmt::Debug + Send + Sync {
    /// How many bytes it has.
    fn len(&self) -> u64;

    /// Whether it has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads bytes from `offset` on into `buf`; 0 only at the end or for an empty `buf`.
    ///
    /// # Errors
    /// What the medium says.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
}

impl Body {
    /// A body of no bytes, as a message without content has it.
    pub const EMPTY: Self = Self::Bytes(Bytes::new());

    /// How many bytes it has or had; `None` if nobody counted.
    #[must_use]
    pub fn len(&self) -> Option<u64> {
        match self {
            Self::Missing => None,
            Self::Counted(len) => Some(*len),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Stored(stored) => Some(stored.len()),
        }
    }

    /// Whether it is known to have no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Hands all bytes to `each`, in order, in pieces of bounded size; nothing if they were not kept.
    ///
    /// # Errors
    /// What the medium or `each` says; `UnexpectedEof` if a stored body is shorter than it said.
    pub fn for_each_chunk(&self, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match self {
            Self::Missing | Self::Counted(_) => Ok(()),
            Self::Bytes(bytes) => each(bytes),
            Self::Stored(stored) => {
                let mut buf = vec![0; STORED_CHUNK_BYTES];
                let mut offset = 0;
                while offset < stored.len() {
                    let n = stored.read_at(offset, &mut buf)?;
                    let Some(piece) = buf.get(..n).filter(|piece| !piece.is_empty()) else {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    };
                    each(piece)?;
                    offset += n as u64;
                }
                Ok(())
            }
        }
    }

    /// The first bytes, at most `bytes_max`, in memory; `None` if they were not kept.
    ///
    /// # Errors
    /// What the medium says.
    pub fn prefix(&self, bytes_max: usize) -> io::Result<Option<Bytes>> {
        match self {
            Self::Missing | Self::Counted(_) => Ok(None),
            Self::Bytes(bytes) => Ok(Some(bytes.slice(..bytes.len().min(bytes_max)))),
            Self::Stored(stored) => {
                let wanted = usize::try_from(stored.len()).unwrap_or(usize::MAX).min(bytes_max);
                let mut buf = vec![0; wanted];
                let mut have = 0;
                while let Some(rest) = buf.get_mut(have..).filter(|rest| !rest.is_empty()) {
                    let n = stored.read_at(have as u64, rest)?;
                    if n == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    have += n;
                }
                Ok(Some(buf.into()))
            }
        }
    }
}

/// How much of a stored body is in memory at once while it is read.
const STORED_CHUNK_BYTES: usize = 64 * 1024;
