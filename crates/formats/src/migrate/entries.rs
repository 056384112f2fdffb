//! Entries of a map by name, to be looked at, taken and put.

use super::Map;
use crate::tnetstring::Value;

/// What steps do with a map. Python 2 wrote keys as bytes; they are the same here.
pub(super) trait Entries<'a> {
    /// The value under a key; of equal keys the last counts, as in Python.
    fn value(&self, key: &str) -> Option<&Value<'a>>;
    /// Takes an entry out.
    fn take(&mut self, key: &str) -> Option<Value<'a>>;
    /// Puts a value under a key, instead of one that was there.
    fn put(&mut self, key: &'static str, value: Value<'a>);
    /// The map under a key.
    fn child(&mut self, key: &str) -> Option<&mut Map<'a>>;
    /// Gives an entry another name; nothing stands under it if there is none under either.
    fn rename(&mut self, from: &str, to: &'static str);
}

impl<'a> Entries<'a> for Map<'a> {
    fn value(&self, key: &str) -> Option<&Value<'a>> {
        self.iter().rev().find(|(name, _)| is(name, key)).map(|(_, value)| value)
    }

    fn take(&mut self, key: &str) -> Option<Value<'a>> {
        let at = self.iter().rposition(|(name, _)| is(name, key))?;
        let value = self.remove(at).1;
        self.retain(|(name, _)| !is(name, key));
        Some(value)
    }

    fn put(&mut self, key: &'static str, value: Value<'a>) {
        match self.iter_mut().rev().find(|(name, _)| is(name, key)) {
            Some((_, place)) => *place = value,
            None => self.push((Value::Text(key.into()), value)),
        }
    }

    fn child(&mut self, key: &str) -> Option<&mut Self> {
        match self.iter_mut().rev().find(|(name, _)| is(name, key)) {
            Some((_, Value::Map(map))) => Some(map),
            _ => None,
        }
    }

    fn rename(&mut self, from: &str, to: &'static str) {
        match self.take(from) {
            Some(value) => self.put(to, value),
            None if self.value(to).is_none() => self.put(to, Value::None),
            None => {}
        }
    }
}

fn is(name: &Value<'_>, key: &str) -> bool {
    match name {
        Value::Text(name) => name == key,
        Value::Bytes(name) => **name == *key.as_bytes(),
        _ => false,
    }
}

/// Whether Python would take it for true; a missing one is not.
pub(super) fn holds(value: Option<&Value<'_>>) -> bool {
    match value {
        None | Some(Value::None) => false,
        Some(Value::Bool(value)) => *value,
        Some(Value::Int(number)) => *number != 0,
        Some(Value::Float(number)) => *number != 0.0,
        Some(Value::Text(text)) => !text.is_empty(),
        Some(Value::Bytes(bytes)) => !bytes.is_empty(),
        Some(Value::List(items)) => !items.is_empty(),
        Some(Value::Map(entries)) => !entries.is_empty(),
    }
}

/// Makes text of bytes in place; what is not UTF-8 becomes escapes, as in Python's `backslashreplace`.
pub(super) fn to_text(value: &mut Value<'_>) {
    if let Value::Bytes(bytes) = value {
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            for byte in chunk.invalid() {
                text.push_str(&format!("\\x{byte:02x}"));
            }
        }
        *value = Value::Text(text.into());
    }
}

/// Makes bytes of text in place.
pub(super) fn to_bytes(value: &mut Value<'_>) {
    if let Value::Text(text) = value {
        *value = Value::Bytes(match std::mem::take(text) {
            std::borrow::Cow::Borrowed(text) => text.as_bytes().into(),
            std::borrow::Cow::Owned(text) => text.into_bytes().into(),
        });
    }
}
