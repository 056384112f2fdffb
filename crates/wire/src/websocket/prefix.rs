//! The beginning of a message's content: what is kept of it, up to a limit.

use flate2::{Decompress, FlushDecompress, Status};

use super::mask::apply_mask;

/// How much is inflated at once where it is not kept, in bytes.
const DISCARD_BYTES: usize = 4 * 1024;
/// How much room a content is given at least when it grows, in bytes.
const GROWTH_BYTES_MIN: usize = 128;
/// How much room is made for a content on the word of its header, in bytes.
const TRUSTED_BYTES_MAX: u64 = 64 * 1024;

/// Up to so many bytes, and whether there were more.
#[derive(Debug)]
pub(super) struct Prefix {
    pub(super) bytes: Vec<u8>,
    pub(super) bytes_max: usize,
    pub(super) truncated: bool,
}

/// What one call of the library did.
pub(super) struct Step {
    pub(super) status: Status,
    pub(super) consumed: usize,
    pub(super) produced: u64,
    /// All room was used, so that there may be more.
    pub(super) filled: bool,
}

impl Prefix {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), bytes_max, truncated: false }
    }

    /// Makes room for a first payload, as far as its header is to be trusted.
    pub(super) fn make_room(&mut self, len: u64) {
        let trusted = usize::try_from(len.min(TRUSTED_BYTES_MAX)).unwrap_or(0);
        self.bytes.reserve_exact(trusted.min(self.room()));
    }

    /// A piece that is not compressed, `offset` bytes into its frame's payload.
    pub(super) fn append(&mut self, piece: &[u8], mask: Option<[u8; 4]>, offset: u64) {
        let room = self.room();
        self.truncated |= piece.len() > room;
        append_unmasked(&mut self.bytes, piece.get(..room).unwrap_or(piece), mask, offset);
    }

    /// Inflates once. `None` if the input is damaged.
    pub(super) fn inflate(&mut self, stream: &mut Decompress, input: &[u8]) -> Option<Step> {
        let (consumed, produced) = (stream.total_in(), stream.total_out());
        let (status, filled) = if self.room() == 0 {
            let mut discarded = [0; DISCARD_BYTES];
            let status = stream.decompress(input, &mut discarded, FlushDecompress::Sync).ok()?;
            let discarded = stream.total_out() - produced;
            self.truncated |= discarded > 0;
            (status, discarded == DISCARD_BYTES as u64)
        } else {
            if self.bytes.len() == self.bytes.capacity() {
                let wanted = input.len().saturating_mul(2).max(GROWTH_BYTES_MIN);
                self.bytes.reserve(wanted.min(self.room()));
            }
            let status = stream.decompress_vec(input, &mut self.bytes, FlushDecompress::Sync).ok()?;
            let filled = self.bytes.len() == self.bytes.capacity();
            self.truncated |= self.bytes.len() > self.bytes_max;
            self.bytes.truncate(self.bytes_max);
            (status, filled)
        };
        let consumed = usize::try_from(stream.total_in() - consumed).ok()?;
        Some(Step { status, consumed, produced: stream.total_out() - produced, filled })
    }

    fn room(&self) -> usize {
        self.bytes_max.saturating_sub(self.bytes.len())
    }
}

/// Appends a piece as it was before it was masked.
pub(super) fn append_unmasked(to: &mut Vec<u8>, piece: &[u8], mask: Option<[u8; 4]>, offset: u64) {
    let start = to.len();
    to.extend_from_slice(piece);
    if let (Some(key), Some(data)) = (mask, to.get_mut(start..)) {
        apply_mask(data, key, offset);
    }
}
