//! A flow's metadata: whatever addons noted.
//!
//! mitmproxy's files have the entries of every map in reverse order, ours too, so metadata is turned round on both ways.

use flowgate_flow::MetadataValue;

use super::beyond::{self, Beyond};
use super::fields::{StateError, list};
use crate::tnetstring::{Encoder, Value};

type Entries = Vec<(String, MetadataValue)>;

pub(super) fn read(value: Value<'_>) -> Result<Entries, StateError> {
    match value {
        Value::Map(entries) => {
            entries.into_iter().rev().map(|(key, value)| entry(key_text(key)?, value)).collect()
        }
        other => Err(StateError::wrong_type("a map", &other)),
    }
}

/// Puts the metadata, and after it what mitmproxy has no place for. Of entries under our own keys only that is put.
pub(super) fn put(metadata: &Entries, beyond: &Beyond<'_>, to: &mut Encoder) {
    to.map(|to| {
        for (key, value) in metadata.iter().filter(|(key, _)| !beyond::is_own_key(key)) {
            put_value(value, to).named(key);
        }
        beyond.put(to);
    });
}

/// Whether there are more than `depth_max` lists and maps within each other in one of the values.
pub(super) fn is_deeper(metadata: &Entries, depth_max: usize) -> bool {
    metadata.iter().any(|(_, value)| value_is_deeper(value, depth_max))
}

fn value_is_deeper(value: &MetadataValue, depth_max: usize) -> bool {
    match (value, depth_max.checked_sub(1)) {
        (MetadataValue::List(_) | MetadataValue::Map(_), None) => true,
        (MetadataValue::List(items), Some(left)) => items.iter().any(|item| value_is_deeper(item, left)),
        (MetadataValue::Map(entries), Some(left)) => is_deeper(entries, left),
        _ => false,
    }
}

fn entry(key: String, value: Value<'_>) -> Result<(String, MetadataValue), StateError> {
    match self::value(value) {
        Ok(value) => Ok((key, value)),
        Err(error) => Err(error.under(&key)),
    }
}

fn value(value: Value<'_>) -> Result<MetadataValue, StateError> {
    Ok(match value {
        Value::Bytes(bytes) => MetadataValue::Bytes(bytes.into_owned().into()),
        Value::Text(text) => MetadataValue::Text(text.into_owned()),
        Value::Int(number) => MetadataValue::Int(number),
        Value::Float(number) => MetadataValue::Float(number),
        Value::Bool(value) => MetadataValue::Bool(value),
        Value::None => MetadataValue::None,
        Value::List(items) => MetadataValue::List(list(self::value)(Value::List(items))?),
        map @ Value::Map(_) => MetadataValue::Map(read(map)?),
    })
}

fn put_value<'a>(value: &MetadataValue, to: &'a mut Encoder) -> &'a mut Encoder {
    match value {
        MetadataValue::None => to.none(),
        MetadataValue::Bool(value) => to.bool(*value),
        MetadataValue::Int(number) => to.int(*number),
        MetadataValue::Float(number) => to.float(*number),
        MetadataValue::Text(text) => to.text(text),
        MetadataValue::Bytes(bytes) => to.content(bytes),
        MetadataValue::List(items) => to.list(items.iter(), |to, item| {
            put_value(item, to);
        }),
        MetadataValue::Map(entries) => to.map(|to| {
            for (key, value) in entries {
                put_value(value, to).named(key);
            }
        }),
    }
}

/// Keys are text in mitmproxy's types; what a script put there besides is read as the text it would print.
fn key_text(key: Value<'_>) -> Result<String, StateError> {
    match key {
        Value::Text(text) => Ok(text.into_owned()),
        Value::Bytes(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Value::Int(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::None => Ok("null".to_owned()),
        list_or_map => Err(StateError::wrong_type("text for a key", &list_or_map)),
    }
}
