//! The view `json`: one member or element a line, four spaces deeper for each level (RFC 8259).
//!
//! Works through the text once, without a tree, and stops where the page is full: what comes after is not looked at.
//! Order, names that stand twice and numbers stay as they were sent; in strings, escapes of printable characters are shown
//! as the characters. `NaN` and `Infinity` pass, as in Python and in mitmproxy.
//!
//! Differs from mitmproxy, which goes through floats and dictionaries: there `1e5` becomes `100000.0` and of two members of
//! one name the first disappears.

use crate::page::{Full, Page};

/// Why rendering ended early.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stop {
    /// The page is full, or the part of the body at hand is used up.
    Full,
    /// It is not JSON, or deeper than the limit.
    Invalid,
}

impl From<Full> for Stop {
    fn from(Full: Full) -> Self {
        Self::Full
    }
}

/// Shows `bytes` as JSON. `complete` is false if they are only the beginning of the body.
pub(crate) fn render(bytes: &[u8], complete: bool, depth_max: usize, page: &mut Page) -> Result<(), Stop> {
    render_indented(bytes, complete, depth_max, INDENT, page)
}

/// The same, so many spaces deeper for each level.
pub(crate) fn render_indented(
    bytes: &[u8],
    complete: bool,
    depth_max: usize,
    indent: usize,
    page: &mut Page,
) -> Result<(), Stop> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if !complete && error.error_len().is_none() => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(valid).map_err(|_| Stop::Invalid)?
        }
        Err(_) => return Err(Stop::Invalid),
    };
    let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    Formatter { rest, complete, indent, page }.document(depth_max)
}

/// What a JSON string, with its quotes, means; halves of surrogate pairs become U+FFFD.
pub(crate) fn text_of(literal: &str) -> Result<String, Stop> {
    let mut rest = literal.strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or(Stop::Invalid)?;
    let mut text = String::with_capacity(rest.len());
    let mut units: Vec<u16> = Vec::new();
    let end_units = |units: &mut Vec<u16>, text: &mut String| {
        text.extend(char::decode_utf16(units.drain(..)).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
    };
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        if c != '\\' {
            end_units(&mut units, &mut text);
            text.push(c);
            continue;
        }
        let kind = rest.chars().next().ok_or(Stop::Invalid)?;
        rest = rest.get(kind.len_utf8()..).unwrap_or_default();
        if kind == 'u' {
            let digits = rest.get(..4).ok_or(Stop::Invalid)?;
            units.push(u16::from_str_radix(digits, 16).map_err(|_| Stop::Invalid)?);
            rest = rest.get(4..).unwrap_or_default();
            continue;
        }
        end_units(&mut units, &mut text);
        text.push(match kind {
            '"' | '\\' | '/' => kind,
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            _ => return Err(Stop::Invalid),
        });
    }
    end_units(&mut units, &mut text);
    Ok(text)
}

struct Formatter<'a> {
    rest: &'a str,
    complete: bool,
    indent: usize,
    page: &'a mut Page,
}

impl Formatter<'_> {
    fn document(&mut self, depth_max: usize) -> Result<(), Stop> {
        let mut closers: Vec<u8> = Vec::new();
        loop {
            // A value.
            match self.next_token_start()? {
                opener @ (b'{' | b'[') => {
                    let (closer, open, empty) =
                        if opener == b'{' { (b'}', "{", "{}") } else { (b']', "[", "[]") };
                    self.skip(1);
                    if closers.len() >= depth_max {
                        return Err(Stop::Invalid);
                    }
                    if self.next_token_start()? == closer {
                        self.skip(1);
                        self.page.push(empty)?;
                    } else {
                        closers.push(closer);
                        self.page.push(open)?;
                        self.begin_item(closer, closers.len())?;
                        continue;
                    }
                }
                b'"' => self.string()?,
                _ => self.literal()?,
            }
            // What follows it: the next item, or the ends of all that end here.
            loop {
                let Some(&closer) = closers.last() else {
                    self.skip_space();
                    return if self.rest.is_empty() { Ok(()) } else { Err(Stop::Invalid) };
                };
                match self.next_token_start()? {
                    b',' => {
                        self.skip(1);
                        self.page.push(",")?;
                        self.begin_item(closer, closers.len())?;
                        break;
                    }
                    found if found == closer => {
                        self.skip(1);
                        closers.pop();
                        self.page.line_end_and_indent(self.indent * closers.len())?;
                        self.page.push(if closer == b'}' { "}" } else { "]" })?;
                    }
                    _ => return Err(Stop::Invalid),
                }
            }
        }
    }

    /// A new line, and in an object the name and the colon.
    fn begin_item(&mut self, closer: u8, depth: usize) -> Result<(), Stop> {
        self.page.line_end_and_indent(self.indent * depth)?;
        if closer == b'}' {
            if self.next_token_start()? != b'"' {
                return Err(Stop::Invalid);
            }
            self.string()?;
            if self.next_token_start()? != b':' {
                return Err(Stop::Invalid);
            }
            self.skip(1);
            self.page.push(": ")?;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), Stop> {
        self.skip(1);
        self.page.push("\"")?;
        loop {
            let run_len = self
                .rest
                .bytes()
                .position(|byte| byte < b' ' || matches!(byte, b'"' | b'\\'))
                .unwrap_or(self.rest.len());
            let (run, _) = self.rest.split_at(run_len);
            self.page.push(run)?;
            self.skip(run_len);
            match self.rest.bytes().next() {
                Some(b'"') => {
                    self.skip(1);
                    self.page.push("\"")?;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(Stop::Invalid),
                None => return Err(self.at_end()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Stop> {
        let kind = self.rest.as_bytes().get(1).copied().ok_or_else(|| self.at_end())?;
        match kind {
            b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => {
                self.page.push(self.rest.get(..2).unwrap_or_default())?;
                self.skip(2);
            }
            b'/' => {
                self.page.push("/")?;
                self.skip(2);
            }
            b'u' => {
                let unit = self.utf16_unit(0)?;
                let pair = match unit {
                    0xd800..=0xdbff => self.utf16_unit(UTF16_ESCAPE_LEN).ok(),
                    _ => None,
                };
                let decoded = char::decode_utf16([unit].into_iter().chain(pair)).next();
                match decoded {
                    Some(Ok(c)) => {
                        self.skip(UTF16_ESCAPE_LEN * c.len_utf16());
                        self.character(c)?;
                    }
                    // Half a surrogate pair: no character, so it stays an escape.
                    _ => {
                        self.page.push(&format!("\\u{unit:04x}"))?;
                        self.skip(UTF16_ESCAPE_LEN);
                    }
                }
            }
            _ => return Err(Stop::Invalid),
        }
        Ok(())
    }

    /// The number in the `\uXXXX` that stands `offset` bytes further on.
    fn utf16_unit(&self, offset: usize) -> Result<u16, Stop> {
        let escape =
            self.rest.as_bytes().get(offset..offset + UTF16_ESCAPE_LEN).ok_or_else(|| self.at_end())?;
        escape
            .strip_prefix(b"\\u")
            .and_then(|digits| {
                digits
                    .iter()
                    .try_fold(0, |unit: u32, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
            })
            .and_then(|unit| u16::try_from(unit).ok())
            .ok_or(Stop::Invalid)
    }

    /// A character that was written as `\uXXXX`.
    fn character(&mut self, c: char) -> Result<(), Stop> {
        let mut utf8 = [0; 4];
        let short = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\x08' => "\\b",
            '\x0c' => "\\f",
            c if c < ' ' => &format!("\\u{:04x}", u32::from(c)),
            c => c.encode_utf8(&mut utf8),
        };
        Ok(self.page.push(short)?)
    }

    /// A number, `true`, `false`, `null`, `NaN`, `Infinity` or `-Infinity`.
    fn literal(&mut self) -> Result<(), Stop> {
        let len = self
            .rest
            .bytes()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.'))
            .unwrap_or(self.rest.len());
        let (word, after) = self.rest.split_at(len);
        let known = matches!(word, "true" | "false" | "null" | "NaN" | "Infinity" | "-Infinity");
        if !known && !is_number(word) {
            return Err(if after.is_empty() && len > 0 { self.at_end() } else { Stop::Invalid });
        }
        self.page.push(word)?;
        self.skip(len);
        Ok(())
    }

    /// The first byte after white space.
    fn next_token_start(&mut self) -> Result<u8, Stop> {
        self.skip_space();
        self.rest.bytes().next().ok_or_else(|| self.at_end())
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Goes on by `len` bytes, which are known to be there and to end a character.
    fn skip(&mut self, len: usize) {
        self.rest = self.rest.get(len..).unwrap_or_default();
    }

    const fn at_end(&self) -> Stop {
        if self.complete { Stop::Invalid } else { Stop::Full }
    }
}

fn is_number(word: &str) -> bool {
    let unsigned = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}

const INDENT: usize = 4;
const UTF16_ESCAPE_LEN: usize = "\\uXXXX".len();
