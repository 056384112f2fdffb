//! The bytes of a handshake put together from frames that come in any order, twice, and in any pieces (RFC 9000 §19.6).

use std::ops::Range;

use super::initial::InitialError;
use crate::limits::{QUIC_CRYPTO_BYTES_MAX, QUIC_CRYPTO_PIECES_MAX};

/// What is there of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct CryptoStream {
    /// Up to the last byte that is there; gaps hold zeros.
    bytes: Vec<u8>,
    /// What is there, in order, with a gap between each and the next.
    pieces: Vec<Range<usize>>,
}

impl CryptoStream {
    /// Adds what one frame carries. What was there already has to be the same: readers that disagree about which of two
    /// versions counts could be shown different names.
    pub(super) fn insert(&mut self, offset: u64, data: &[u8]) -> Result<(), InitialError> {
        let start = usize::try_from(offset).map_err(|_| InitialError::TooLong)?;
        let end = start.checked_add(data.len()).filter(|end| *end <= QUIC_CRYPTO_BYTES_MAX);
        let end = end.ok_or(InitialError::TooLong)?;
        if data.is_empty() {
            return Ok(());
        }
        for piece in &self.pieces {
            let both = piece.start.max(start)..piece.end.min(end);
            if !both.is_empty() {
                let new = data.get(both.start - start..both.end - start);
                if self.bytes.get(both.clone()) != new {
                    return Err(InitialError::Conflict { at: both.start });
                }
            }
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        if let Some(place) = self.bytes.get_mut(start..end) {
            place.copy_from_slice(data);
        }
        let mut whole = start..end;
        self.pieces.retain(|piece| {
            let touches = piece.start <= whole.end && whole.start <= piece.end;
            if touches {
                whole = whole.start.min(piece.start)..whole.end.max(piece.end);
            }
            !touches
        });
        let place = self.pieces.partition_point(|piece| piece.start < whole.start);
        self.pieces.insert(place, whole);
        if self.pieces.len() > QUIC_CRYPTO_PIECES_MAX { Err(InitialError::TooManyPieces) } else { Ok(()) }
    }

    /// What is there from the first byte to the first gap.
    pub(super) fn beginning(&self) -> &[u8] {
        match self.pieces.first() {
            Some(Range { start: 0, end }) => self.bytes.get(..*end).unwrap_or_default(),
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pieces_are_put_together() {
        let mut stream = CryptoStream::default();
        stream.insert(4, b"ef").unwrap();
        assert_eq!(stream.beginning(), b"");
        stream.insert(0, b"ab").unwrap();
        assert_eq!(stream.beginning(), b"ab");
        stream.insert(1, b"bcde").unwrap();
        assert_eq!((stream.beginning(), stream.pieces.len()), (&b"abcdef"[..], 1));
    }

    #[test]
    fn another_version_of_what_is_there_is_refused() {
        let mut stream = CryptoStream::default();
        stream.insert(2, b"cd").unwrap();
        assert_eq!(stream.insert(0, b"abX"), Err(InitialError::Conflict { at: 2 }));
        assert_eq!(stream.insert(0, b"abc"), Ok(()));
    }

    #[test]
    fn bounds() {
        let max = QUIC_CRYPTO_BYTES_MAX as u64;
        let mut stream = CryptoStream::default();
        assert_eq!(stream.insert(max - 1, b"a"), Ok(()));
        assert_eq!(stream.insert(max - 1, b"ab"), Err(InitialError::TooLong));
        assert_eq!(stream.insert(max, b"a"), Err(InitialError::TooLong));
        assert_eq!(stream.insert(u64::MAX, b"a"), Err(InitialError::TooLong));
        let mut stream = CryptoStream::default();
        for piece in 0..QUIC_CRYPTO_PIECES_MAX as u64 {
            assert_eq!(stream.insert(2 * piece, b"a"), Ok(()));
        }
        assert_eq!(stream.insert(max - 1, b"a"), Err(InitialError::TooManyPieces));
    }

    proptest! {
        #[test]
        fn any_order_gives_the_same_bytes(
            bytes in proptest::collection::vec(any::<u8>(), 1..300),
            cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..20),
        ) {
            let mut stream = CryptoStream::default();
            for (from, to) in &cuts {
                let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                let (from, to) = (from.min(to), from.max(to));
                stream.insert(from as u64, &bytes[from..to]).unwrap();
                prop_assert!(bytes.starts_with(stream.beginning()));
                prop_assert!(stream.pieces.windows(2).all(|pair| pair[0].end < pair[1].start));
            }
            stream.insert(0, &bytes).unwrap();
            prop_assert_eq!(stream.beginning(), &bytes[..]);
        }
    }
}
