//! The view `multipart form`: the names and values of a form with files (RFC 7578), those under one name together, as YAML.

use crate::charset::parameter;
use crate::escape;
use crate::form::Fields;
use crate::json::Stop;
use crate::page::Page;

/// Shows the parts of at most `parts_max` parts; the boundary is what the Content-Type says.
pub(crate) fn render(
    bytes: &[u8],
    content_type: Option<&[u8]>,
    parts_max: usize,
    page: &mut Page,
) -> Result<(), Stop> {
    let boundary = content_type.and_then(|value| parameter(value, b"boundary")).ok_or(Stop::Invalid)?;
    let mut fields = Fields::default();
    let mut parts = Parts { rest: bytes, delimiter: [b"--", boundary].concat() };
    let mut seen = 0;
    while let Some(part) = parts.next_part() {
        seen += 1;
        if seen > parts_max {
            fields.push_to(page)?;
            return Err(Stop::Full);
        }
        if let Some((name, value)) = field(part) {
            fields.add(escaped(name), escaped(&value));
        }
    }
    Ok(fields.push_to(page)?)
}

/// What stands between the delimiters.
struct Parts<'a> {
    rest: &'a [u8],
    delimiter: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn next_part(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let at = find(self.rest, &self.delimiter).unwrap_or(self.rest.len());
        let (part, rest) = self.rest.split_at(at);
        self.rest = rest.get(self.delimiter.len()..).unwrap_or_default();
        Some(part)
    }
}

/// Where `needle` begins; linear in what is looked through, whatever it is.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

/// Name and value of a part; `None` if it has no name.
fn field(part: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    // A part begins behind the line of its delimiter. The last delimiter has two dashes more.
    let part = part.strip_prefix(b"\r\n").or_else(|| part.strip_prefix(b"\n"))?;
    let (mut name, mut rest) = (None, part);
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        if name.is_none() {
            name = name_in(line);
        }
    }
    let value = rest.strip_suffix(b"\n").unwrap_or(rest);
    Some((name?, value.strip_suffix(b"\r").unwrap_or(value).to_vec()))
}

/// What `name="..."` in a field line says.
fn name_in(line: &[u8]) -> Option<&[u8]> {
    const MARK: &[u8] = b"name=\"";
    let mut from = 0;
    loop {
        let at = from + find(line.get(from..)?, MARK)?;
        from = at + MARK.len();
        let before = at.checked_sub(1).and_then(|before| line.get(before));
        if before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_') {
            let rest = line.get(from..)?;
            let end = rest.iter().position(|byte| *byte == b'"')?;
            return rest.get(..end).filter(|name| !name.is_empty());
        }
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    escape::push_bytes(&mut text, bytes);
    text
}
