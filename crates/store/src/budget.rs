//! How much is compressed while flows come fast: a budget of bytes that fills with time. Ordinary browsing never empties it; under
//! load what is written stays as it is, for then processor time is dear and disk is cheap.

use std::time::Instant;

use crate::limits::{COMPRESSED_BYTES_AT_ONCE_MAX, COMPRESSED_BYTES_PER_SECOND};

/// Bytes that may be compressed.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Below zero is what was taken beyond it: that has to come in first.
    left: i64,
    /// Until when it was filled.
    filled: Instant,
    /// How many times more it is taken for empty without a look at the clock.
    unlooked: u8,
}

/// To look at the clock costs a good part of what a small flow does.
const LOOK_EVERY: u8 = 16;

impl Budget {
    /// A full one.
    pub(crate) fn new() -> Self {
        Self { left: COMPRESSED_BYTES_AT_ONCE_MAX.cast_signed(), filled: Instant::now(), unlooked: 0 }
    }

    /// Takes so many bytes out of it, if there is anything left.
    pub(crate) fn spend(&mut self, bytes: usize) -> bool {
        if self.left <= 0 && self.unlooked > 0 {
            self.unlooked -= 1;
            return false;
        }
        self.unlooked = LOOK_EVERY;
        self.spend_at(bytes, Instant::now())
    }

    fn spend_at(&mut self, bytes: usize, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_micros();
        let gained = passed.saturating_mul(COMPRESSED_BYTES_PER_SECOND.into()) / 1_000_000;
        let gained = i64::try_from(gained).unwrap_or(i64::MAX);
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(COMPRESSED_BYTES_AT_ONCE_MAX.cast_signed());
            self.filled = now;
        }
        let may = self.left > 0;
        if may {
            self.left = self.left.saturating_sub_unsigned(bytes as u64);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_spent_and_fills_again() {
        let begun = Instant::now();
        let mut budget =
            Budget { left: COMPRESSED_BYTES_AT_ONCE_MAX.cast_signed(), filled: begun, unlooked: 0 };
        let most = COMPRESSED_BYTES_AT_ONCE_MAX as usize;
        let second = COMPRESSED_BYTES_PER_SECOND as usize;
        assert!(budget.spend_at(most + second, begun), "more than there is, as long as there is something");
        assert!(!budget.spend_at(1, begun));
        // What was too much is missing then.
        let mut later = begun + Duration::from_secs(1);
        assert!(!budget.spend_at(1, later));
        later += Duration::from_secs(1);
        assert!(budget.spend_at(second - 1, later));
        assert!(budget.spend_at(1, later));
        assert!(!budget.spend_at(1, later));
        // Time that nothing is spent in does not add up for ever.
        later += Duration::from_secs(9_999_999);
        assert!(budget.spend_at(most, later));
        assert!(!budget.spend_at(1, later));
    }

    /// Once every piece was compressed for the few bytes that had come in since the last one.
    #[test]
    fn many_small_pieces_get_no_more_than_few_large_ones() {
        let begun = Instant::now();
        let mut budget = Budget { left: 0, filled: begun, unlooked: 0 };
        let piece = |n: u32| budget.spend_at(2000, begun + n * Duration::from_micros(30));
        let spent = (1..=33_333).map(piece).filter(|may| *may).count() * 2000;
        assert!(spent.abs_diff(COMPRESSED_BYTES_PER_SECOND as usize) < 100_000, "{spent}");
    }
}
