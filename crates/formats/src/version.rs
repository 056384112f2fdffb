//! Which version of the flow format an item has, and which of them are read.
//!
//! Older versions are taken to [`VERSION`] step by step before anything else looks at them (`migrate`).

use std::fmt;

use crate::StateError;
use crate::state::Fields;
use crate::tnetstring::Value;

/// The version that is written: mitmproxy 11 and 12. Those since 0.11 are read.
pub const VERSION: i64 = 21;

/// A version of the flow format.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FormatVersion {
    /// A number, as since mitmproxy 4.
    Number(i64),
    /// The major and minor version of the mitmproxy that wrote it, as before.
    Program(i64, i64),
}

impl FormatVersion {
    /// What stands under `version`.
    pub(crate) fn of(value: &Value<'_>) -> Result<Self, StateError> {
        match value {
            Value::Int(number) => Ok(Self::Number(*number)),
            Value::List(parts) => match parts.as_slice() {
                [Value::Int(major), Value::Int(minor), ..] => Ok(Self::Program(*major, *minor)),
                _ => Err(StateError::wrong_type("two whole numbers", value)),
            },
            other => Err(StateError::wrong_type("a whole number", other)),
        }
    }

    /// Whether a newer program than this one knows must have written it.
    #[must_use]
    pub const fn is_newer(&self) -> bool {
        matches!(self, Self::Number(number) if *number > VERSION)
    }
}

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Program(major, minor) => write!(f, "{major}.{minor}"),
        }
    }
}

/// Takes the version out of a flow's fields and sees that it is the current one.
pub(crate) fn require_current(fields: &mut Fields<'_>) -> Result<(), StateError> {
    match fields.take("version", |value| FormatVersion::of(&value))? {
        FormatVersion::Number(VERSION) => Ok(()),
        version => Err(StateError::Version { key: "version".to_owned(), version }),
    }
}
