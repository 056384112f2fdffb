//! Metadata values as Python prints them, for `~meta`: what people wrote filters against.

use std::fmt::Write as _;

use flowgate_flow::MetadataValue;

/// Adds what `str` makes of a value.
pub(crate) fn push_str(out: &mut String, value: &MetadataValue) {
    match value {
        MetadataValue::Text(text) => out.push_str(text),
        other => push_repr(out, other),
    }
}

/// Adds what `repr` makes of a value. Files bound how deep values lie in one another (`flowgate-formats`).
fn push_repr(out: &mut String, value: &MetadataValue) {
    // Writing to a `String` cannot fail.
    let _ = match value {
        MetadataValue::None => out.write_str("None"),
        MetadataValue::Bool(true) => out.write_str("True"),
        MetadataValue::Bool(false) => out.write_str("False"),
        MetadataValue::Int(number) => write!(out, "{number}"),
        MetadataValue::Float(number) => {
            push_float(out, *number);
            Ok(())
        }
        MetadataValue::Text(text) => {
            let quote = quote_for(text.contains('\''), text.contains('"'));
            out.push(quote);
            text.chars().for_each(|c| push_char(out, c, quote));
            out.write_char(quote)
        }
        MetadataValue::Bytes(bytes) => {
            let quote = quote_for(bytes.contains(&b'\''), bytes.contains(&b'"'));
            out.push('b');
            out.push(quote);
            for byte in bytes {
                match byte {
                    0x80.. => drop(write!(out, "\\x{byte:02x}")),
                    _ => push_char(out, char::from(*byte), quote),
                }
            }
            out.write_char(quote)
        }
        MetadataValue::List(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                push_repr(out, value);
            }
            out.write_char(']')
        }
        MetadataValue::Map(entries) => {
            out.push('{');
            for (at, (key, value)) in entries.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                push_repr(out, &MetadataValue::Text(key.clone()));
                out.push_str(": ");
                push_repr(out, value);
            }
            out.write_char('}')
        }
    };
}

/// The shortest digits that mean the number, with an exponent below 1e-4 and from 1e16 on.
fn push_float(out: &mut String, number: f64) {
    let shortest = format!("{number:e}");
    // Writing to a `String` cannot fail.
    let _ =
        match shortest.split_once('e').and_then(|(digits, power)| Some((digits, power.parse::<i32>().ok()?)))
        {
            None if number.is_nan() => out.write_str("nan"),
            None => out.write_str(if number > 0.0 { "inf" } else { "-inf" }),
            Some((_, -4..=15)) => write!(out, "{number:?}"),
            Some((digits, power)) => {
                write!(out, "{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.unsigned_abs())
            }
        };
}

fn push_char(out: &mut String, c: char, quote: char) {
    // Writing to a `String` cannot fail.
    let _ = match c {
        '\\' => out.write_str("\\\\"),
        '\t' => out.write_str("\\t"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        _ if c == quote => write!(out, "\\{c}"),
        '\0'..='\x1f' | '\x7f'..='\u{a0}' | '\u{ad}' => write!(out, "\\x{:02x}", u32::from(c)),
        _ => out.write_char(c),
    };
}

const fn quote_for(has_single: bool, has_double: bool) -> char {
    if has_single && !has_double { '"' } else { '\'' }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are those of Python 3.13.
    #[test]
    fn values_as_python_prints_them() {
        let text = |text: &str| MetadataValue::Text(text.to_owned());
        for (value, printed) in [
            (text("it's"), "it's"),
            (MetadataValue::None, "None"),
            (MetadataValue::Bool(true), "True"),
            (MetadataValue::Int(-3), "-3"),
            (MetadataValue::Float(1.0), "1.0"),
            (MetadataValue::Float(0.1), "0.1"),
            (MetadataValue::Float(1e16), "1e+16"),
            (MetadataValue::Float(123_456_789_012_345.6), "123456789012345.6"),
            (MetadataValue::Float(-0.0001), "-0.0001"),
            (MetadataValue::Float(0.000_012_5), "1.25e-05"),
            (MetadataValue::Float(f64::NEG_INFINITY), "-inf"),
            (MetadataValue::Float(f64::NAN), "nan"),
            (MetadataValue::Bytes(bytes::Bytes::from_static(b"a'\xff\0")), r#"b"a'\xff\x00""#),
            (
                MetadataValue::List(vec![text("it's"), text("\"'\n"), text("é\u{a0}")]),
                r#"["it's", '"\'\n', 'é\xa0']"#,
            ),
            (MetadataValue::Map(vec![("k".to_owned(), MetadataValue::List(Vec::new()))]), "{'k': []}"),
        ] {
            let mut out = String::new();
            push_str(&mut out, &value);
            assert_eq!(out, printed);
        }
    }
}
