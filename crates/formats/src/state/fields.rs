//! Taking values of known types out of maps and lists, with errors that name the key.

use bytes::Bytes;
use flowgate_flow::Timestamp;

use crate::FormatVersion;
use crate::tnetstring::{Encoder, Value};

/// Why an item is not a flow. Keys are given from the flow on: `server_conn.via[1]`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A key that must be there is not.
    #[error("no {key}")]
    Missing {
        /// Which.
        key: String,
    },
    /// A value of another type.
    #[error("{}: expected {expected}, found {found}", name(.key))]
    Type {
        /// Where.
        key: String,
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A number that does not fit.
    #[error("{}: {number} is out of range", name(.key))]
    Range {
        /// Where.
        key: String,
        /// What stands there.
        number: i64,
    },
    /// A text that is none of those that may stand there.
    #[error("{}: unknown value {text:?}", name(.key))]
    Unknown {
        /// Where.
        key: String,
        /// What stands there.
        text: String,
    },
    /// A certificate that is not PEM.
    #[error("{}: expected a certificate as PEM", name(.key))]
    Pem {
        /// Where.
        key: String,
    },
    /// Header fields of more than 4 GiB.
    #[error("{}: more than 4 GiB of header fields", name(.key))]
    HeaderBytes {
        /// Where.
        key: String,
    },
    /// A version of the format that is not read; in a flow's backup, as the flow's own is reported apart.
    #[error("{}: flow format version {version} is not read", name(.key))]
    Version {
        /// Where.
        key: String,
        /// Which.
        version: FormatVersion,
    },
}

impl StateError {
    pub(crate) const fn wrong_type(expected: &'static str, found: &Value<'_>) -> Self {
        Self::Type { key: String::new(), expected, found: found.kind() }
    }

    /// The same error, seen from the map that has the value under `key`.
    pub(crate) fn under(mut self, key: &str) -> Self {
        let (Self::Missing { key: inner }
        | Self::Type { key: inner, .. }
        | Self::Range { key: inner, .. }
        | Self::Unknown { key: inner, .. }
        | Self::Pem { key: inner }
        | Self::HeaderBytes { key: inner }
        | Self::Version { key: inner, .. }) = &mut self;
        if !inner.is_empty() && !inner.starts_with('[') {
            inner.insert(0, '.');
        }
        inner.insert_str(0, key);
        self
    }
}

/// The entries of a map that were not taken yet.
pub(crate) struct Fields<'a>(Vec<(Value<'a>, Value<'a>)>);

impl<'a> Fields<'a> {
    pub(crate) fn new(value: Value<'a>) -> Result<Self, StateError> {
        match value {
            Value::Map(entries) => Ok(Self(entries)),
            other => Err(StateError::wrong_type("a map", &other)),
        }
    }

    /// Takes the value under `key` and converts it.
    pub(crate) fn take<T>(
        &mut self,
        key: &str,
        convert: impl FnOnce(Value<'a>) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let value = self.remove(key).ok_or_else(|| StateError::Missing { key: key.to_owned() })?;
        convert(value).map_err(|error| error.under(key))
    }

    /// Takes the value under `key`, or nothing if there is none.
    pub(crate) fn take_if_there(&mut self, key: &str) -> Value<'a> {
        self.remove(key).unwrap_or(Value::None)
    }

    /// Backwards: of equal keys the last counts (as in Python), and the key that is asked for next mostly stands last.
    fn remove(&mut self, key: &str) -> Option<Value<'a>> {
        let is_key = |candidate: &Value<'_>| match candidate {
            Value::Text(text) => text == key,
            Value::Bytes(bytes) => **bytes == *key.as_bytes(),
            _ => false,
        };
        let at = self.0.iter().rposition(|(candidate, _)| is_key(candidate))?;
        Some(self.0.remove(at).1)
    }
}

/// What `convert` makes of the value, unless it is nothing.
pub(crate) fn optional<'a, T>(
    convert: impl FnOnce(Value<'a>) -> Result<T, StateError>,
) -> impl FnOnce(Value<'a>) -> Result<Option<T>, StateError> {
    |value| match value {
        Value::None => Ok(None),
        value => convert(value).map(Some),
    }
}

/// What `convert` makes of each value of a list.
pub(crate) fn list<'a, T>(
    mut convert: impl FnMut(Value<'a>) -> Result<T, StateError>,
) -> impl FnOnce(Value<'a>) -> Result<Vec<T>, StateError> {
    move |value| {
        let items = items(value)?;
        let mut converted = Vec::with_capacity(items.len());
        for (at, item) in items.into_iter().enumerate() {
            converted.push(convert(item).map_err(|error| error.under(&format!("[{at}]")))?);
        }
        Ok(converted)
    }
}

pub(crate) fn items(value: Value<'_>) -> Result<Vec<Value<'_>>, StateError> {
    match value {
        Value::List(items) => Ok(items),
        other => Err(StateError::wrong_type("a list", &other)),
    }
}

/// The values of a list of known length.
pub(crate) fn array<'a, const N: usize>(
    value: Value<'a>,
    expected: &'static str,
) -> Result<[Value<'a>; N], StateError> {
    <[Value<'a>; N]>::try_from(items(value)?)
        .map_err(|items| StateError::wrong_type(expected, &Value::List(items)))
}

pub(crate) fn text(value: Value<'_>) -> Result<String, StateError> {
    match value {
        Value::Text(text) => Ok(text.into_owned()),
        other => Err(StateError::wrong_type("text", &other)),
    }
}

pub(crate) fn bool(value: Value<'_>) -> Result<bool, StateError> {
    match value {
        Value::Bool(value) => Ok(value),
        other => Err(StateError::wrong_type("a boolean", &other)),
    }
}

pub(crate) fn int<T: TryFrom<i64>>(value: Value<'_>) -> Result<T, StateError> {
    match value {
        Value::Int(number) => {
            T::try_from(number).map_err(|_| StateError::Range { key: String::new(), number })
        }
        other => Err(StateError::wrong_type("a whole number", &other)),
    }
}

/// Python takes whole numbers for floats, and so do files.
pub(crate) fn timestamp(value: Value<'_>) -> Result<Timestamp, StateError> {
    match value {
        Value::Float(seconds) => Ok(Timestamp(seconds)),
        Value::Int(seconds) => Ok(Timestamp(seconds as f64)),
        other => Err(StateError::wrong_type("a float", &other)),
    }
}

pub(crate) fn put_timestamp(value: Option<Timestamp>, to: &mut Encoder) -> &mut Encoder {
    to.optional(value, |to, value| to.float(value.0))
}

/// Bytes of their own: small ones should not keep the item they came from in memory.
pub(crate) fn bytes(value: Value<'_>) -> Result<Bytes, StateError> {
    match value {
        Value::Bytes(bytes) => Ok(Bytes::from(bytes.into_owned())),
        other => Err(StateError::wrong_type("bytes", &other)),
    }
}

/// Bytes that share the item's memory if they are many.
pub(crate) fn content(item: &Bytes) -> impl Fn(Value<'_>) -> Result<Bytes, StateError> {
    |value| match value {
        Value::Bytes(part) if part.len() > CONTENT_COPIED_BYTES_MAX => {
            // The part's place in the item; a migration may have made bytes that lie elsewhere.
            let at = (part.as_ptr() as usize).checked_sub(item.as_ptr() as usize);
            let shared = at.filter(|at| *at <= item.len() && part.len() <= item.len() - at);
            Ok(match shared {
                Some(at) => item.slice(at..at + part.len()),
                None => Bytes::from(part.into_owned()),
            })
        }
        value => bytes(value),
    }
}

/// Contents up to here are copied out of their item.
const CONTENT_COPIED_BYTES_MAX: usize = 4096;

/// The key for a message; the item itself has none.
fn name(key: &str) -> &str {
    if key.is_empty() { "flow" } else { key }
}
