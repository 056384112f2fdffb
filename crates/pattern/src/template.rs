//! What stands in the place of a match: text with references to groups (`\1`, `\g<name>`), as in the second argument of Python's
//! `re.sub`; and the escapes of Python's literals, for those who replace without references.

use crate::finder::{Finder, Spans};
use crate::one_line::OneLine;

/// A replacement that was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Literal(Vec<u8>),
    Group(usize),
}

/// A replacement that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{fault} at position {position}")]
pub struct TemplateError {
    /// At which character, from 0.
    pub position: usize,
    /// What is wrong.
    pub fault: TemplateFault,
}

/// What is wrong with a replacement, in Python's words.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateFault {
    /// A backslash at the end.
    #[error("bad escape (end of pattern)")]
    EscapeAtEnd,
    /// `\q`.
    #[error("bad escape \\{}", OneLine(&.letter.to_string()))]
    BadEscape {
        /// What follows the backslash.
        letter: char,
    },
    /// `\2` where there is one group.
    #[error("invalid group reference {group}")]
    NoSuchGroup {
        /// The number.
        group: usize,
    },
    /// `\g<n>` where no group has that name.
    #[error("unknown group name '{}'", OneLine(.name))]
    UnknownName {
        /// The name.
        name: String,
    },
    /// `\g`, `\g<`, `\g<>`.
    #[error("missing group name")]
    MissingName,
    /// `\400`.
    #[error("octal escape value outside of range 0-0o377")]
    OctalTooLarge,
    /// `\x1`.
    #[error("incomplete \\x escape")]
    IncompleteHex,
}

impl Template {
    /// Reads a replacement for a pattern.
    ///
    /// # Errors
    /// If Python would refuse it.
    pub fn parse(text: &str, finder: &Finder) -> Result<Self, TemplateError> {
        let chars: Vec<char> = text.chars().collect();
        let mut template = Self(Vec::new());
        let mut at = 0;
        while let Some(next) = chars.get(at) {
            let position = at;
            at += 1;
            if *next != '\\' {
                template.push_char(*next);
                continue;
            }
            let error = |fault| TemplateError { position, fault };
            let letter = *chars.get(at).ok_or_else(|| error(TemplateFault::EscapeAtEnd))?;
            at += 1;
            let group = |group: usize| {
                let exists = group <= finder.groups();
                exists
                    .then_some(Part::Group(group))
                    .ok_or_else(|| error(TemplateFault::NoSuchGroup { group }))
            };
            match letter {
                'g' => {
                    let rest: String = chars.get(at..).unwrap_or_default().iter().collect();
                    let name =
                        rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).map(|(name, _)| name);
                    let name = name.filter(|name| !name.is_empty());
                    let name = name.ok_or_else(|| error(TemplateFault::MissingName))?;
                    at += name.chars().count() + 2;
                    let part = if name.bytes().all(|byte| byte.is_ascii_digit()) {
                        group(name.parse().unwrap_or(usize::MAX))?
                    } else {
                        let unknown = || error(TemplateFault::UnknownName { name: name.to_owned() });
                        Part::Group(finder.group_named(name).ok_or_else(unknown)?)
                    };
                    template.0.push(part);
                }
                '0'..='9' => {
                    let digits = digits_from(&chars, at - 1);
                    let (value, octal, taken) = digits;
                    at = at - 1 + taken;
                    if octal {
                        let byte = u8::try_from(value).map_err(|_| error(TemplateFault::OctalTooLarge))?;
                        template.push_char(char::from(byte));
                    } else {
                        template.0.push(group(value)?);
                    }
                }
                _ => match escaped(letter) {
                    Some(character) => template.push_char(character),
                    None if letter.is_ascii_alphabetic() => {
                        return Err(error(TemplateFault::BadEscape { letter }));
                    }
                    None => {
                        template.push_char('\\');
                        template.push_char(letter);
                    }
                },
            }
        }
        Ok(template)
    }

    /// Writes it for a match in `haystack`. A group that took no part is empty.
    pub fn expand(&self, spans: &Spans, haystack: &[u8], out: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Literal(bytes) => out.extend_from_slice(bytes),
                Part::Group(group) => {
                    let bytes = spans.group(*group).and_then(|span| haystack.get(span));
                    out.extend_from_slice(bytes.unwrap_or_default());
                }
            }
        }
    }

    fn push_char(&mut self, character: char) {
        let mut buf = [0; 4];
        let bytes = character.encode_utf8(&mut buf).as_bytes();
        if let Some(Part::Literal(literal)) = self.0.last_mut() {
            literal.extend_from_slice(bytes);
        } else {
            self.0.push(Part::Literal(bytes.to_vec()));
        }
    }
}

/// A number behind a backslash: its value, whether it is an octal character code, and how many digits it takes.
fn digits_from(chars: &[char], start: usize) -> (usize, bool, usize) {
    let digit =
        |at: usize| chars.get(start + at).and_then(|digit| digit.to_digit(10)).map(|digit| digit as usize);
    let (first, second, third) = (digit(0).unwrap_or(0), digit(1), digit(2));
    let octal = |digit: Option<usize>| digit.filter(|digit| *digit < 8);
    match (first, octal(second), octal(third)) {
        (0, Some(b), Some(c)) => (b * 8 + c, true, 3),
        (0, Some(b), None) => (b, true, 2),
        (0, None, _) => (0, true, 1),
        (a @ 1..=7, Some(b), Some(c)) => (a * 64 + b * 8 + c, true, 3),
        (a, ..) => second.map_or((a, false, 1), |b| (a * 10 + b, false, 2)),
    }
}

/// The character that a letter behind a backslash stands for.
const fn escaped(letter: char) -> Option<char> {
    Some(match letter {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        _ => return None,
    })
}

/// Text with the escapes of Python's bytes literals (`\n`, `\x41`, `\101`) as the bytes they stand for. An escape that Python does
/// not know stays as it is.
///
/// # Errors
/// For `\x` without two hexadecimal digits, and a backslash at the end.
pub fn unescape(text: &str) -> Result<Vec<u8>, TemplateError> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    let push = |character: char, out: &mut Vec<u8>| {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    };
    while let Some(next) = chars.get(at) {
        let position = at;
        at += 1;
        if *next != '\\' {
            push(*next, &mut out);
            continue;
        }
        let error = |fault| TemplateError { position, fault };
        let letter = *chars.get(at).ok_or_else(|| error(TemplateFault::EscapeAtEnd))?;
        at += 1;
        match letter {
            'x' => {
                let hex = |at: usize| chars.get(at).and_then(|digit| digit.to_digit(16));
                let (Some(high), Some(low)) = (hex(at), hex(at + 1)) else {
                    return Err(error(TemplateFault::IncompleteHex));
                };
                at += 2;
                out.push(u8::try_from(high * 16 + low).unwrap_or(u8::MAX));
            }
            '0'..='7' => {
                let octal = chars
                    .get(at - 1..)
                    .unwrap_or_default()
                    .iter()
                    .take(3)
                    .map_while(|digit| digit.to_digit(8));
                let (value, taken) =
                    octal.fold((0, 0), |(value, taken), digit| (value * 8 + digit, taken + 1));
                at = at - 1 + taken;
                // As in Python, which keeps the low eight bits.
                out.push(value.to_le_bytes()[0]);
            }
            '\n' => {}
            '\'' | '"' => push(letter, &mut out),
            _ => match escaped(letter) {
                Some(character) => push(character, &mut out),
                None => {
                    out.push(b'\\');
                    push(letter, &mut out);
                }
            },
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Flavour;
    use crate::regex::Search;

    /// Expected values are those of `codecs.escape_decode` in Python 3.12.
    #[test]
    fn escapes() {
        for (text, bytes) in [
            ("plain", &b"plain"[..]),
            (r"a\nb\t\\", b"a\nb\t\\"),
            (r"\x41\x00\xff", b"A\x00\xff"),
            (r"\101\1\18\777", b"A\x01\x018\xff"),
            (r"\q\'", b"\\q'"),
            ("é", "é".as_bytes()),
            ("a\\\nb", b"ab"),
        ] {
            assert_eq!(unescape(text).unwrap(), bytes, "{text}");
        }
        for (text, told) in [
            (r"ab\x1", r"incomplete \x escape at position 2"),
            ("a\\", "bad escape (end of pattern) at position 1"),
        ] {
            assert_eq!(unescape(text).unwrap_err().to_string(), told);
        }
    }

    /// Expected values are those of `re.sub` in Python 3.13.
    #[test]
    fn what_python_refuses_is_refused() {
        let search = Search { flavour: Flavour::default(), ignore_case: false, steps_max: 1_000 };
        let finder = Finder::new("(a)(?P<n>b)", search).unwrap();
        for (text, told) in [
            (r"\3", "invalid group reference 3 at position 0"),
            (r"x\g<3>", "invalid group reference 3 at position 1"),
            (r"\g<m>", "unknown group name 'm' at position 0"),
            (r"\g<", "missing group name at position 0"),
            (r"\q", r"bad escape \q at position 0"),
            ("\\", "bad escape (end of pattern) at position 0"),
            (r"\400", "octal escape value outside of range 0-0o377 at position 0"),
        ] {
            assert_eq!(Template::parse(text, &finder).unwrap_err().to_string(), told, "{text}");
        }
        for (text, expected) in [
            (r"\1\2", "ab"),
            (r"\g<n>\g<1>", "ba"),
            (r"\0", "\0"),
            (r"\101\.", "A\\."),
            (r"\n", "\n"),
            (r"\18", ""),
        ] {
            let template = Template::parse(text, &finder);
            if text == r"\18" {
                assert_eq!(template.unwrap_err().fault, TemplateFault::NoSuchGroup { group: 18 });
                continue;
            }
            let spans = finder.find(b"ab", 0).unwrap().unwrap();
            let mut out = Vec::new();
            template.unwrap().expand(&spans, b"ab", &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "[\\\\g<>n0-9xéa\n]{0,12}") {
            let search = Search { flavour: Flavour::default(), ignore_case: false, steps_max: 1_000 };
            let _ = Template::parse(&text, &Finder::new("(a)(?P<n>b)?", search).unwrap());
            let _ = unescape(&text);
        }
    }
}
