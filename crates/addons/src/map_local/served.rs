//! What of a file is sent: all of it, a range, or only that nothing changed (RFC 9110 sections 13 and 14).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use flowgate_flow::{Body, Headers, Request, Response, StoredBody};
use flowgate_proxy::LiveFlow;

use super::media_type;
use crate::date;
use crate::limits::LOCAL_FILE_READ_BYTES;

/// What is known of a file besides its bytes.
#[derive(Clone, Debug)]
struct State {
    length: u64,
    etag: String,
    /// In seconds since 1970.
    modified: i64,
}

/// What a request is to get.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Whole,
    /// From the first byte to the last, both included.
    Range(u64, u64),
    NotModified,
    OutOfRange,
}

/// What a request gets of a file. Blocks.
///
/// # Errors
/// What the disk says.
pub(super) fn serve(path: &Path, request: &Request) -> io::Result<Response> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let since =
        metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let state = State {
        length: metadata.len(),
        etag: format!("\"{:x}-{:x}\"", since.as_nanos(), metadata.len()),
        modified: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
    };
    let mut headers = Headers::new();
    headers.push("Server", crate::SERVER);
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    if let Some(media_type) = media_type::of(&name) {
        headers.push("Content-Type", media_type);
    }
    headers.push("Last-Modified", date::format(state.modified));
    headers.push("ETag", &state.etag);
    headers.push("Accept-Ranges", "bytes");
    let (status, body) = match answer(&state, request) {
        Answer::NotModified => (304, Body::EMPTY),
        Answer::OutOfRange => {
            headers.push("Content-Range", format!("bytes */{}", state.length));
            (416, Body::EMPTY)
        }
        Answer::Whole => (200, part(file, 0, state.length)?),
        Answer::Range(first, last) => {
            headers.push("Content-Range", format!("bytes {first}-{last}/{}", state.length));
            (206, part(file, first, last - first + 1)?)
        }
    };
    Ok(LiveFlow::response_of(status, headers, body))
}

fn part(mut file: File, from: u64, length: u64) -> io::Result<Body> {
    if length > LOCAL_FILE_READ_BYTES {
        return Ok(Body::Stored(Arc::new(FilePart { file, from, length })));
    }
    file.seek(SeekFrom::Start(from))?;
    let mut body = Vec::new();
    file.take(length).read_to_end(&mut body)?;
    Ok(Body::Bytes(body.into()))
}

/// A part of an open file.
#[derive(Debug)]
struct FilePart {
    file: File,
    from: u64,
    length: u64,
}

impl StoredBody for FilePart {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buf.len().min(left);
        let Some(buf) = buf.get_mut(..wanted).filter(|buf| !buf.is_empty()) else { return Ok(0) };
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_at(&self.file, buf, self.from + offset);
        #[cfg(windows)]
        return std::os::windows::fs::FileExt::seek_read(&self.file, buf, self.from + offset);
    }
}

fn answer(state: &State, request: &Request) -> Answer {
    let is_read = matches!(request.method.as_ref(), b"GET" | b"HEAD");
    if !is_read {
        return Answer::Whole;
    }
    if is_not_modified(state, &request.headers) {
        return Answer::NotModified;
    }
    let range = text(&request.headers, "range").filter(|_| request.method.as_ref() == b"GET");
    match range {
        Some(range) if range_holds(state, &request.headers) => range_of(range, state.length),
        _ => Answer::Whole,
    }
}

/// `If-None-Match`, or without it `If-Modified-Since`.
fn is_not_modified(state: &State, headers: &Headers) -> bool {
    if headers.contains("if-none-match") {
        let mut tags = headers.get_all("if-none-match").flat_map(|value| value.split(|byte| *byte == b','));
        return tags.any(|tag| {
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == state.etag.as_bytes()
        });
    }
    text(headers, "if-modified-since").and_then(date::parse).is_some_and(|since| state.modified <= since)
}

/// Whether a range may be sent: it may not if the client has an older part of the file (`If-Range`).
fn range_holds(state: &State, headers: &Headers) -> bool {
    text(headers, "if-range")
        .is_none_or(|known| known == state.etag || date::parse(known) == Some(state.modified))
}

/// One range of bytes. Several at once are more than we owe: the client gets the whole file.
fn range_of(range: &str, length: u64) -> Answer {
    let Some((first, last)) = range.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Answer::Whole;
    };
    let number = |text: &str| {
        let digits = text.trim();
        (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| digits.parse().unwrap_or(u64::MAX))
    };
    match (first.trim().is_empty(), number(first), last.trim().is_empty(), number(last)) {
        (true, _, _, Some(0)) => Answer::OutOfRange,
        (true, _, _, Some(_)) if length == 0 => Answer::OutOfRange,
        (true, _, _, Some(from_end)) => Answer::Range(length.saturating_sub(from_end), length - 1),
        (false, Some(first), _, _) if first >= length => Answer::OutOfRange,
        (false, Some(first), true, _) => Answer::Range(first, length - 1),
        (false, Some(first), _, Some(last)) if first <= last => Answer::Range(first, last.min(length - 1)),
        _ => Answer::Whole,
    }
}

fn text<'h>(headers: &'h Headers, name: &str) -> Option<&'h str> {
    std::str::from_utf8(headers.get(name)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const STATE_ETAG: &str = "\"1-a\"";
    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn asked(line: &str, headers: &[(&str, &str)]) -> Answer {
        let state = State { length: 10, etag: STATE_ETAG.into(), modified: 784_111_777 };
        answer(&state, testing::request(&testing::flow(line, headers)))
    }

    #[test]
    fn ranges() {
        for (range, expected) in [
            ("bytes=0-3", Answer::Range(0, 3)),
            ("bytes=9-", Answer::Range(9, 9)),
            ("bytes=3-99999999999999999999", Answer::Range(3, 9)),
            ("bytes=-3", Answer::Range(7, 9)),
            ("bytes=-30", Answer::Range(0, 9)),
            ("bytes=10-", Answer::OutOfRange),
            ("bytes=-0", Answer::OutOfRange),
            ("bytes=4-3", Answer::Whole),
            ("bytes=0-1,3-4", Answer::Whole),
            ("bytes=a-b", Answer::Whole),
            ("bytes=-", Answer::Whole),
            ("items=0-1", Answer::Whole),
        ] {
            assert_eq!(asked("GET http://a/", &[("Range", range)]), expected, "{range}");
        }
        assert_eq!(asked("HEAD http://a/", &[("Range", "bytes=0-3")]), Answer::Whole);
        assert_eq!(asked("POST http://a/", &[("Range", "bytes=0-3")]), Answer::Whole);
    }

    #[test]
    fn conditions() {
        for (headers, expected) in [
            (&[("If-None-Match", STATE_ETAG)][..], Answer::NotModified),
            (&[("If-None-Match", "\"x\", W/\"1-a\"")], Answer::NotModified),
            (&[("If-None-Match", "*")], Answer::NotModified),
            (&[("If-None-Match", "\"x\""), ("If-Modified-Since", MODIFIED)], Answer::Whole),
            (&[("If-Modified-Since", MODIFIED)], Answer::NotModified),
            (&[("If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT")], Answer::Whole),
            (&[("If-Modified-Since", "yesterday")], Answer::Whole),
            (&[("Range", "bytes=0-3"), ("If-Range", STATE_ETAG)], Answer::Range(0, 3)),
            (&[("Range", "bytes=0-3"), ("If-Range", MODIFIED)], Answer::Range(0, 3)),
            (&[("Range", "bytes=0-3"), ("If-Range", "\"x\"")], Answer::Whole),
        ] {
            assert_eq!(asked("GET http://a/", headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_long_file_stays_where_it_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (length, is_stored) in [(LOCAL_FILE_READ_BYTES, false), (LOCAL_FILE_READ_BYTES + 1, true)] {
            file.as_file().set_len(length).unwrap();
            let flow = testing::flow("GET http://a/", &[]);
            let response = serve(file.path(), testing::request(&flow)).unwrap();
            assert_eq!(matches!(response.body, Body::Stored(_)), is_stored);
            assert_eq!(response.body.len(), Some(length));
        }
    }

    proptest::proptest! {
        #[test]
        fn a_range_lies_in_the_file(range in "(bytes=)?[0-9 ,-]{0,24}", length in 0u64..20) {
            match range_of(&range, length) {
                Answer::Range(first, last) => proptest::prop_assert!(first <= last && last < length),
                answer => proptest::prop_assert_ne!(answer, Answer::NotModified),
            }
        }
    }
}
