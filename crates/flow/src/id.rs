//! Ids of flows and connections, in the spelling of a random UUID (RFC 9562 version 4), as mitmproxy has them.

use std::fmt;
use std::str::FromStr;

/// The id of a flow or a connection.
///
/// mitmproxy writes `uuid4` texts; ids of other shapes found in files are kept as they are.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum FlowId {
    /// A UUID as a number; [`FlowId::from_random`] makes one.
    Uuid(u128),
    /// Any other text that a file used as an id.
    Text(Box<str>),
}

impl FlowId {
    /// Makes a version 4 UUID of 128 random bits.
    #[must_use]
    pub const fn from_random(bits: u128) -> Self {
        let version = 0x4 << 76;
        let variant = 0b10 << 62;
        Self::Uuid((bits & !(0xf << 76) & !(0b11 << 62)) | version | variant)
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(n) => write!(
                f,
                "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                n >> 96,
                (n >> 80) & 0xffff,
                (n >> 64) & 0xffff,
                (n >> 48) & 0xffff,
                n & 0xffff_ffff_ffff
            ),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl FromStr for FlowId {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hyphens_fit = text.len() == 36
            && text.bytes().enumerate().all(|(at, b)| (b == b'-') == matches!(at, 8 | 13 | 18 | 23));
        let lower_hex = text.bytes().all(|b| matches!(b, b'-' | b'0'..=b'9' | b'a'..=b'f'));
        if hyphens_fit && lower_hex {
            let digits: String = text.chars().filter(|c| *c != '-').collect();
            if let Ok(number) = u128::from_str_radix(&digits, 16) {
                return Ok(Self::Uuid(number));
            }
        }
        Ok(Self::Text(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let id = FlowId::from_random(0x1234_5678_9abc_def0_1234_5678_9abc_def0);
        assert_eq!(id.to_string(), "12345678-9abc-4ef0-9234-56789abcdef0");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn keeps_other_texts() {
        for text in
            ["", "abc", "12345678-9ABC-4EF0-9234-56789ABCDEF0", "1234567-89abc-4ef0-9234-56789abcdef0"]
        {
            assert_eq!(text.parse(), Ok(FlowId::Text(text.into())));
        }
    }
}
