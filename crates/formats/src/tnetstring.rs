//! Typed netstrings as mitmproxy writes them: `length:payload type`, nested.
//!
//! Types: `,` bytes, `;` UTF-8 text (mitmproxy's addition), `#` whole number, `^` float, `!` boolean, `~` nothing, `]` list,
//! `}` map (key, value, key, value). A file is a row of such items with nothing between. This module knows nothing of
//! flows but how bodies lie. Values borrow from the item's bytes, so that a body is never copied to be looked at.

mod read;
mod write;
// How contents that are not copied get to the output.
mod content;

use std::borrow::Cow;

pub use content::WriteError;
pub(crate) use read::Raw;
pub use read::{Frame, FrameError, parse, read_frame, whole_items};
pub use write::Encoder;

/// One value.
///
/// Map keys may be any value: files from before mitmproxy 1.0 have bytes there.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// `,`
    Bytes(Cow<'a, [u8]>),
    /// `;`
    Text(Cow<'a, str>),
    /// `#`
    Int(i64),
    /// `^`
    Float(f64),
    /// `!`
    Bool(bool),
    /// `~`
    None,
    /// `]`
    List(Vec<Self>),
    /// `}`, entries in the order of the file.
    Map(Vec<(Self, Self)>),
}

impl Value<'_> {
    /// What it is, in words for a message.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Bytes(_) => "bytes",
            Self::Text(_) => "text",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a float",
            Self::Bool(_) => "a boolean",
            Self::None => "nothing",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// What a reader accepts of one item. Each bound is there against hostile or broken files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of one item's payload: the largest flow that is taken into memory.
    pub item_bytes_max: u64,
    /// Lists and maps within each other.
    pub nesting_max: usize,
    /// Values in one item; each takes 32 bytes and three bytes of file can make one.
    pub values_max: usize,
}

impl Limits {
    /// 4 GiB: mitmproxy itself holds every flow in memory, larger ones do not come from it.
    pub const ITEM_BYTES_MAX: u64 = 4 << 30;
    /// A flow nests 5 deep, one with a backup 6; the rest is for metadata.
    pub const NESTING_MAX: usize = 64;
    /// Four million messages in one TCP flow, and at most about a gigabyte.
    pub const VALUES_MAX: usize = 16 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            item_bytes_max: Self::ITEM_BYTES_MAX,
            nesting_max: Self::NESTING_MAX,
            values_max: Self::VALUES_MAX,
        }
    }
}

/// Digits a length may have; mitmproxy reads no more.
pub(crate) const LENGTH_DIGITS_MAX: usize = 12;

/// Bytes that are not a typed netstring, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{problem} at byte {offset}")]
pub struct SyntaxError {
    /// Counted from the beginning of the file (or whatever was parsed).
    pub offset: u64,
    /// What was expected there.
    pub problem: Problem,
}

/// What was expected and did not stand there.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No digits and colon where an item begins.
    #[error("expected a length and a colon")]
    Length,
    /// A length of more digits than mitmproxy reads.
    #[error("expected a length of at most {LENGTH_DIGITS_MAX} digits")]
    LengthDigits,
    /// The item is larger than the reader allows.
    #[error("expected an item of at most {limit} bytes, found one of {length}")]
    ItemBytes {
        /// What stands there.
        length: u64,
        /// [`Limits::item_bytes_max`].
        limit: u64,
    },
    /// The input ends in the middle of an item: the usual end of a program that was killed while it wrote.
    #[error("expected the rest of an item, found the end of the file")]
    Truncated,
    /// A length that reaches beyond the list or map around it.
    #[error("expected an item of at most {left} bytes within its container, found one of {length}")]
    BeyondContainer {
        /// What stands there.
        length: u64,
        /// What would fit.
        left: u64,
    },
    /// No type stands after the payload.
    #[error("expected a type (one of , ; # ^ ! ~ ] }}), found byte 0x{found:02x}")]
    Type {
        /// What stands there.
        found: u8,
    },
    /// `#` with something other than digits.
    #[error("expected a whole number")]
    Int,
    /// `#` with a number beyond 64 bits.
    #[error("expected a whole number of 64 bits")]
    IntRange,
    /// `^` with something other than a float.
    #[error("expected a float")]
    Float,
    /// `!` with something other than `true` or `false`.
    #[error("expected true or false")]
    Bool,
    /// `~` with a payload.
    #[error("expected nothing")]
    None,
    /// `;` with bytes that are not UTF-8.
    #[error("expected UTF-8")]
    Text,
    /// A map that ends after a key.
    #[error("expected a value for the last key of a map")]
    KeyWithoutValue,
    /// More lists and maps within each other than the reader allows.
    #[error("expected at most {limit} lists and maps within each other")]
    Nesting {
        /// [`Limits::nesting_max`].
        limit: usize,
    },
    /// More values than the reader allows.
    #[error("expected at most {limit} values in one item")]
    Values {
        /// [`Limits::values_max`].
        limit: usize,
    },
}
