//! A value in the shape every option can take, between the text it was written in and the type it ends as.
//!
//! Not what the proxy reads: that is [`Values`](crate::Values), where each option has its own type.

use std::fmt;

use crate::rule_text::RuleSource;

/// One option's value, untyped: what a config file can hold and an editor can show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// No value: only for options that may be empty.
    Null,
    /// On or off.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text; choices, sizes and addresses are text too.
    Text(String),
    /// Several texts, in order.
    List(Vec<String>),
    /// Rule files and rules, in order; only where there are rules among them.
    Rules(Vec<RuleSource>),
}

impl fmt::Display for Value {
    /// Short text for messages: one line, no control characters, cut when long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("nothing"),
            Self::Bool(on) => write!(f, "`{on}`"),
            Self::Int(number) => write!(f, "`{number}`"),
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::List(_) | Self::Rules(_) => f.write_str("a list"),
        }
    }
}

/// `text` between back quotes, safe to print: control characters escaped, at most 80 characters.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    let mut shown = String::from("`");
    for (count, character) in text.chars().enumerate() {
        if count == SHOWN_CHARS_MAX {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown.push('`');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_on_one_line_and_cut() {
        assert_eq!(Value::Text("a\nb\u{1b}[2J".into()).to_string(), "`a\\nb\\u{1b}[2J`");
        assert_eq!(Value::Text("x".repeat(200)).to_string().chars().count(), 83);
    }
}
