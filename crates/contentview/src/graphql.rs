//! The view `graphql`: the query of a request as it was written, behind the rest of the request as JSON.

use crate::json::{self, Stop};
use crate::page::Page;

/// Whether a JSON body is a GraphQL request: an object with a query of several lines, or a list of objects with queries.
pub(crate) fn is_request(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| requests(text).is_ok())
}

/// Shows the queries.
pub(crate) fn render(bytes: &[u8], depth_max: usize, page: &mut Page) -> Result<(), Stop> {
    let text = std::str::from_utf8(bytes).map_err(|_| Stop::Invalid)?;
    let (requests, is_list) = requests(text)?;
    let last = requests.len().saturating_sub(1);
    for (at, request) in requests.iter().enumerate() {
        if is_list {
            page.push(&format!("--- {at}/{last}\n"))?;
        }
        let head = [request.before, "\"...\"", request.after].concat();
        json::render_indented(head.as_bytes(), true, depth_max, HEAD_INDENT, page)?;
        page.push("\n---\n")?;
        page.push(&json::text_of(request.query)?)?;
        page.push("\n")?;
    }
    Ok(())
}

/// An object, taken apart around the text of its query.
struct Request<'a> {
    before: &'a str,
    /// With its quotes and escapes.
    query: &'a str,
    after: &'a str,
}

/// The requests, and whether they were a list.
fn requests(text: &str) -> Result<(Vec<Request<'_>>, bool), Stop> {
    let text = text.trim_matches(SPACE);
    if text.starts_with('{') {
        let request = request(text)?;
        // One line reads well as JSON.
        return if request.query.contains("\\n") { Ok((vec![request], false)) } else { Err(Stop::Invalid) };
    }
    let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).ok_or(Stop::Invalid)?;
    let requests = items(inside).take(REQUESTS_MAX + 1);
    let requests = requests.map(|item| request(item?.trim_matches(SPACE))).collect::<Result<Vec<_>, _>>()?;
    if requests.is_empty() || requests.len() > REQUESTS_MAX {
        Err(Stop::Invalid)
    } else {
        Ok((requests, true))
    }
}

fn request(object: &str) -> Result<Request<'_>, Stop> {
    let inside = object.strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or(Stop::Invalid)?;
    let mut found = None;
    for member in items(inside) {
        let member = member?;
        let trimmed = member.trim_start_matches(SPACE);
        let Some(value) = trimmed.strip_prefix("\"query\"").map(|rest| rest.trim_start_matches(SPACE)) else {
            continue;
        };
        let value = value.strip_prefix(':').ok_or(Stop::Invalid)?.trim_matches(SPACE);
        if value.starts_with('"') {
            // Both are pieces of one text, so this is where the value begins.
            let at = value.as_ptr().addr() - object.as_ptr().addr();
            found = Some((at, value.len()));
        }
    }
    let (at, len) = found.ok_or(Stop::Invalid)?;
    let piece = |range: std::ops::Range<usize>| object.get(range).ok_or(Stop::Invalid);
    Ok(Request { before: piece(0..at)?, query: piece(at..at + len)?, after: piece(at + len..object.len())? })
}

/// The items of a list or object, between commas that stand in nothing else.
fn items(inside: &str) -> impl Iterator<Item = Result<&str, Stop>> {
    let mut rest = Some(inside);
    std::iter::from_fn(move || {
        let text = rest?;
        match item_len(text) {
            Ok(len) => {
                let (item, after) = text.split_at(len);
                rest = after.strip_prefix(',');
                Some(Ok(item))
            }
            Err(stop) => {
                rest = None;
                Some(Err(stop))
            }
        }
    })
}

fn item_len(text: &str) -> Result<usize, Stop> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.checked_sub(1).ok_or(Stop::Invalid)?,
            b',' if depth == 0 => return Ok(at),
            _ => {}
        }
    }
    if depth == 0 && !in_text { Ok(text.len()) } else { Err(Stop::Invalid) }
}

const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];
const HEAD_INDENT: usize = 2;
/// A longer list is shown as JSON.
const REQUESTS_MAX: usize = 10_000;
