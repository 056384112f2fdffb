//! Text as YAML 1.2 scalars, in the quotes that mitmproxy (ruamel.yaml) puts it in. Writes only.
//!
//! Invariant: what is written is one line and reads back as the same text, never as a number, date, truth value or null.
//!
//! Differs from mitmproxy: a long value is not folded at 80 columns, for a folded value can be neither copied nor searched.

use std::fmt::Write as _;

use crate::page::{Full, Page};

/// Writes a key and its colon.
pub(crate) fn key(text: &str, page: &mut Page) -> Result<(), Full> {
    value(text, page)?;
    page.push(":")
}

/// Writes a value: plain where that is safe, else in single quotes, else in double quotes.
pub(crate) fn value(text: &str, page: &mut Page) -> Result<(), Full> {
    if is_plain_safe(text) && !is_other_type(text) {
        return page.push(text);
    }
    if !text.contains(['\'', '\n']) && !text.contains(is_special) {
        page.push("'")?;
        page.push(text)?;
        return page.push("'");
    }
    page.push(&double_quoted(text))
}

/// Writes a value that may have several lines: those stand below, `indent` spaces deep, as they are.
pub(crate) fn text(text: &str, indent: usize, page: &mut Page) -> Result<(), Full> {
    let lines = text.strip_suffix('\n').unwrap_or(text);
    // At the ends of a block white space would get lost, or mean something.
    let is_block = text.contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && !lines.ends_with('\n')
        && !text.contains(is_special)
        && !text.contains('\t');
    if !is_block {
        return value(text, page);
    }
    page.push(if text.ends_with('\n') { "|" } else { "|-" })?;
    for line in lines.split('\n') {
        page.push("\n")?;
        if !line.is_empty() {
            page.spaces(indent)?;
            page.push(line)?;
        }
    }
    Ok(())
}

/// Whether text without quotes would be read as one plain scalar.
fn is_plain_safe(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    if text.starts_with("---") || text.starts_with("...") || text.starts_with(' ') || text.ends_with(' ') {
        return false;
    }
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let ends_word = chars.peek().is_none_or(|next| matches!(next, ' ' | '\t'));
        if is_special(c) || c == '\n' || (c == ':' && ends_word) || (c == '#' && matches!(before, ' ' | '\t'))
        {
            return false;
        }
        before = c;
    }
    let second_is_space = text.chars().nth(1).is_none_or(|c| c == ' ');
    match first {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
            false
        }
        '-' | '?' | ':' => !second_is_space,
        _ => true,
    }
}

/// Characters that must be written as an escape: controls, line separators, byte order mark, non-characters.
const fn is_special(c: char) -> bool {
    crate::escape::is_control(c) && c != '\n'
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        let short = match c {
            '\0' => '0',
            '\x07' => 'a',
            '\x08' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\x0b' => 'v',
            '\x0c' => 'f',
            '\r' => 'r',
            '\x1b' => 'e',
            '"' | '\\' => c,
            '\u{85}' => 'N',
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            _ if is_special(c) => {
                let code = u32::from(c);
                // Writing to a `String` cannot fail.
                let _ =
                    if code <= 0xff { write!(out, "\\x{code:02X}") } else { write!(out, "\\u{code:04X}") };
                continue;
            }
            _ => {
                out.push(c);
                continue;
            }
        };
        out.push('\\');
        out.push(short);
    }
    out.push('"');
    out
}

/// Whether plain text would be read as something else than text (YAML 1.2 as ruamel.yaml reads it).
fn is_other_type(text: &str) -> bool {
    matches!(
        text,
        "" | "~"
            | "null"
            | "Null"
            | "NULL"
            | "true"
            | "True"
            | "TRUE"
            | "false"
            | "False"
            | "FALSE"
            | "<<"
            | "="
    ) || is_integer(text)
        || is_float(text)
        || is_timestamp(text)
}

fn is_integer(text: &str) -> bool {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-')) {
        return false;
    }
    let digits = unsigned(text);
    let all = |digits: &str, allowed: fn(u8) -> bool| {
        !digits.is_empty() && digits.bytes().all(|byte| byte == b'_' || allowed(byte))
    };
    all(digits, |byte| byte.is_ascii_digit())
        || digits.strip_prefix("0b").is_some_and(|digits| all(digits, |byte| matches!(byte, b'0' | b'1')))
        || digits.strip_prefix("0o").is_some_and(|digits| all(digits, |byte| matches!(byte, b'0'..=b'7')))
        || digits.strip_prefix("0x").is_some_and(|digits| all(digits, |byte| byte.is_ascii_hexdigit()))
}

fn is_float(text: &str) -> bool {
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let number = unsigned(text);
    if matches!(number, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (number, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| all_digits(unsigned(exponent)));
    let digits = |part: &str| part.bytes().all(|byte| byte == b'_' || byte.is_ascii_digit());
    match mantissa.split_once('.') {
        // `.5e7` lacks the sign its pattern asks for.
        Some(("", fraction)) => {
            let signed = exponent.is_none_or(|exponent| exponent.starts_with(['+', '-']));
            !fraction.is_empty() && digits(fraction) && signed && exponent_fits
        }
        Some((whole, fraction)) => {
            whole.starts_with(|c: char| c.is_ascii_digit())
                && digits(whole)
                && digits(fraction)
                && exponent_fits
        }
        None => {
            exponent.is_some()
                && mantissa.starts_with(|c: char| c.is_ascii_digit())
                && digits(mantissa)
                && exponent_fits
        }
    }
}

/// `2001-12-14`, or with a time of day and perhaps an offset.
fn is_timestamp(text: &str) -> bool {
    let Some((date, time)) = text.find(['T', 't', ' ', '\t']).map(|at| text.split_at(at)) else {
        let mut parts = text.split('-');
        let lengths = [parts.next(), parts.next(), parts.next()].map(|part| part.filter(|p| all_digits(p)));
        return parts.next().is_none()
            && lengths.map(|part| part.map(str::len)) == [Some(4), Some(2), Some(2)];
    };
    let mut date_parts = date.split('-');
    let date_fits = date_parts.next().is_some_and(|year| year.len() == 4 && all_digits(year))
        && date_parts.next().is_some_and(one_or_two_digits)
        && date_parts.next().is_some_and(one_or_two_digits)
        && date_parts.next().is_none();
    let time = match time.strip_prefix(['T', 't']) {
        Some(time) => time,
        None => time.trim_start_matches([' ', '\t']),
    };
    let clock_len = time.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(time.len());
    let (clock, after) = time.split_at(clock_len);
    let mut clock_parts = clock.split(':');
    let two = |part: &str| part.len() == 2;
    let clock_fits = clock_parts.next().is_some_and(one_or_two_digits)
        && clock_parts.next().is_some_and(two)
        && clock_parts.next().is_some_and(two)
        && clock_parts.next().is_none();
    let zone = match after.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => after,
    };
    let zone = zone.trim_start_matches([' ', '\t']);
    let zone_fits = zone.is_empty() && !after.ends_with([' ', '\t'])
        || zone == "Z"
        || zone.strip_prefix(['+', '-']).is_some_and(|offset| match offset.split_once(':') {
            Some((hours, minutes)) => one_or_two_digits(hours) && two(minutes) && all_digits(minutes),
            None => one_or_two_digits(offset),
        });
    date_fits && clock_fits && zone_fits
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn one_or_two_digits(text: &str) -> bool {
    text.len() <= 2 && all_digits(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[test]
    fn quotes_where_mitmproxy_quotes() {
        for (text, shown) in [
            ("", "''"),
            ("a", "a"),
            ("foo:bar", "foo:bar"),
            ("foo: bar", "'foo: bar'"),
            ("x:", "'x:'"),
            (":x", ":x"),
            ("-", "'-'"),
            ("-x", "-x"),
            ("- x", "'- x'"),
            ("?x", "?x"),
            ("? x", "'? x'"),
            ("#x", "'#x'"),
            ("a #b", "'a #b'"),
            ("a#b", "a#b"),
            (" a", "' a'"),
            ("a ", "'a '"),
            ("---", "'---'"),
            ("...x", "'...x'"),
            ("[x", "'[x'"),
            ("x]", "x]"),
            ("'x'", "\"'x'\""),
            ("x'y", "x'y"),
            ("\"", "'\"'"),
            ("a\nb", "\"a\\nb\""),
            ("a\tb", "\"a\\tb\""),
            ("\x1b[2J\u{9b}", "\"\\e[2J\\x9B\""),
            ("a\\b", "a\\b"),
            ("ä", "ä"),
            ("\u{feff}", "\"\\uFEFF\""),
            ("true", "'true'"),
            ("yes", "yes"),
            ("~", "'~'"),
            ("null", "'null'"),
            ("=", "'='"),
            ("<<", "'<<'"),
            ("1", "'1'"),
            ("-1_0", "'-1_0'"),
            ("_", "_"),
            ("+_", "'+_'"),
            ("0x1F", "'0x1F'"),
            ("0o17", "'0o17'"),
            ("0o8", "0o8"),
            ("1.5", "'1.5'"),
            ("1.2.3", "1.2.3"),
            ("1e5", "'1e5'"),
            ("1e", "1e"),
            (".5", "'.5'"),
            (".5e7", ".5e7"),
            ("-.inf", "'-.inf'"),
            ("2001-01-01", "'2001-01-01'"),
            ("2001-1-1", "2001-1-1"),
            ("2001-1-1T1:02:03", "'2001-1-1T1:02:03'"),
            ("2001-01-01 01:02:03.5 +1:00", "'2001-01-01 01:02:03.5 +1:00'"),
            ("2001-01-01x", "2001-01-01x"),
        ] {
            let mut page = Page::new(&Limits::default());
            value(text, &mut page).unwrap();
            assert_eq!(page.into_text(), shown, "{text:?}");
        }
    }
}
