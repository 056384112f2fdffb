//! Numbers of bytes as users write them: `4096`, `512k`, `3m`, `1g` (powers of 1024, no decimals).

use std::fmt;

const UNITS: [(char, u32); 4] = [('t', 40), ('g', 30), ('m', 20), ('k', 10)];

/// A number of bytes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Size(u64);

impl Size {
    /// A size of that many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Reads digits with an optional suffix `b`, `k`, `m`, `g` or `t`; `None` when it is anything else or beyond 2^64.
    ///
    /// Capital suffixes are accepted. Differs from mitmproxy, which refuses them.
    pub fn parse(text: &str) -> Option<Self> {
        let suffix = text.chars().next_back().filter(|last| !last.is_ascii_digit());
        let digits = suffix.and_then(|suffix| text.strip_suffix(suffix)).unwrap_or(text);
        let shift = match suffix.map(|suffix| suffix.to_ascii_lowercase()) {
            None | Some('b') => 0,
            Some(unit) => UNITS.iter().find(|(name, _)| *name == unit)?.1,
        };
        // `u64::from_str` would take a plus sign.
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits.parse::<u64>().ok()?.checked_mul(1 << shift).map(Self)
    }
}

impl fmt::Display for Size {
    /// With the largest suffix that loses nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, shift)| self.0 != 0 && self.0.is_multiple_of(1 << shift));
        match unit {
            Some((suffix, shift)) => write!(f, "{}{suffix}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes() {
        let table = [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("10b", Some(10)),
            ("512k", Some(512 << 10)),
            ("3m", Some(3 << 20)),
            ("3M", Some(3 << 20)),
            ("1g", Some(1 << 30)),
            ("1t", Some(1 << 40)),
            ("16777216t", None),
            ("", None),
            ("k", None),
            ("1kk", None),
            ("1.5m", None),
            ("+1", None),
            ("-1", None),
            ("1 k", None),
            ("1x", None),
            ("1é", None),
        ];
        for (text, bytes) in table {
            assert_eq!(Size::parse(text).map(Size::bytes), bytes, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn shown_and_read_again(bytes: u64) {
            prop_assert_eq!(Size::parse(&Size(bytes).to_string()), Some(Size(bytes)));
        }

        #[test]
        fn never_panics(text in "\\PC*") {
            Size::parse(&text);
        }
    }
}
