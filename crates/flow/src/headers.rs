//! Header fields as they stood on the wire: an ordered list of raw lines with raw names and values.
//!
//! Not a map: order, case, duplicates and the white space around values are kept, so that what was not changed can be
//! written out byte for byte. Whether a field is *legal* is judged by the parser and, before anything is sent, by the
//! encoder (`flowgate-wire`), not here.

use std::fmt;

use bytes::Bytes;

/// An ordered list of header (or trailer) fields.
///
/// One block of bytes and a list of spans: 20 bytes a field besides its text, two allocations in all.
#[derive(Clone, Default)]
pub struct Headers {
    block: Bytes,
    /// Sensitive fields are marked in their `name_len`.
    spans: Vec<FieldSpan>,
    /// See [`Headers::is_as_parsed`].
    as_parsed: bool,
}

/// The mark of a sensitive field: no name is that long.
const SENSITIVE: u32 = 1 << 31;

/// One field of [`Headers`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Field<'a> {
    /// The name, case kept.
    pub name: &'a [u8],
    /// The value without the white space around it.
    pub value: &'a [u8],
    /// The whole line without its line end, as received.
    pub line: &'a [u8],
    /// Whether whoever sent it wants it never to be put into a compression table (RFC 7541 section 7.1.3).
    pub sensitive: bool,
}

/// Where a field lies in its block. All offsets in bytes; `value_start` counts from the line's start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FieldSpan {
    /// Where the line begins.
    pub line_start: u32,
    /// The line's length without its line end.
    pub line_len: u32,
    /// The name's length; the name begins the line.
    pub name_len: u32,
    /// Where the value begins, counted from the line's start.
    pub value_start: u32,
    /// The value's length.
    pub value_len: u32,
}

impl Headers {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self { block: Bytes::new(), spans: Vec::new(), as_parsed: false }
    }

    /// Takes over a parsed block. `None` if a span reaches beyond the block or a part beyond its line.
    #[must_use]
    pub fn from_block(block: Bytes, spans: Vec<FieldSpan>) -> Option<Self> {
        let fits = |span: &FieldSpan| {
            let value_end = u64::from(span.value_start) + u64::from(span.value_len);
            u64::from(span.line_start) + u64::from(span.line_len) <= block.len() as u64
                && span.name_len < SENSITIVE
                && span.name_len <= span.line_len
                && value_end <= u64::from(span.line_len)
        };
        spans.iter().all(fits).then_some(Self { block, spans, as_parsed: false })
    }

    /// The same, from a parser that took none but legal fields: names that are tokens, values without control bytes, lines that are what
    /// their spans say (RFC 9110 sections 5.1 and 5.5). The encoder believes it, and does not look again.
    #[must_use]
    pub fn from_parsed(block: Bytes, spans: Vec<FieldSpan>) -> Option<Self> {
        Self::from_block(block, spans).map(|headers| Self { as_parsed: true, ..headers })
    }

    /// Whether every field stands as [`from_parsed`](Self::from_parsed) took it over: some may have gone since, none came.
    #[must_use]
    pub const fn is_as_parsed(&self) -> bool {
        self.as_parsed
    }

    /// All lines in one piece, each with its CR LF, if that is how they were parsed and none has gone: they can be written at once.
    #[must_use]
    pub fn lines(&self) -> Option<&[u8]> {
        let end = |span: &FieldSpan| span.line_start as usize + span.line_len as usize + 2;
        let (first, last) = (self.spans.first()?, self.spans.last()?);
        // Between two lines that were parsed stands a line end and nothing else: two bytes are CR LF.
        let follows = |(span, next): (&FieldSpan, &FieldSpan)| next.line_start as usize == end(span);
        let together = self.as_parsed && self.spans.iter().zip(self.spans.iter().skip(1)).all(follows);
        let lines = self.block.get(first.line_start as usize..end(last)).filter(|_| together)?;
        lines.ends_with(b"\r\n").then_some(lines)
    }

    /// Marks the field at this place as sensitive.
    pub fn mark_sensitive(&mut self, at: usize) {
        if let Some(span) = self.spans.get_mut(at) {
            span.name_len |= SENSITIVE;
        }
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The fields in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Field<'_>> + ExactSizeIterator + Clone {
        self.spans.iter().map(|span| self.field(*span))
    }

    /// The first value under this name, in any case.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let (name, wanted) = (name.as_ref(), to_u32(name.as_ref().len()));
        self.with_name_len(move |len| len == wanted).find(|field| field.is(name)).map(|field| field.value)
    }

    /// All values under this name, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + Clone {
        let wanted = to_u32(name.len());
        let named = self.with_name_len(move |len| len == wanted).filter(move |field| field.is(name));
        named.map(|field| field.value)
    }

    /// The fields whose names are as long as `wanted` says: most are told apart by that, without a look at their text.
    #[inline]
    pub fn with_name_len(
        &self,
        wanted: impl Fn(u32) -> bool + Clone,
    ) -> impl Iterator<Item = Field<'_>> + Clone {
        let of_that_length = move |span: &&FieldSpan| wanted(span.name_len & !SENSITIVE);
        self.spans.iter().filter(of_that_length).map(|span| self.field(*span))
    }

    /// Whether there is a field of this name.
    #[must_use]
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.get(name).is_some()
    }

    /// Adds a field at the end, written `name: value`.
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let at = self.spans.len();
        self.insert(at, name, value);
    }

    /// Adds a field before the field at `at` (at the end if there are fewer), written `name: value`.
    pub fn insert(&mut self, at: usize, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let mut block = Vec::from(std::mem::take(&mut self.block));
        let span = append_line(&mut block, name.as_ref(), value.as_ref());
        self.block = block.into();
        self.spans.insert(at.min(self.spans.len()), span);
        self.as_parsed = false;
    }

    /// Gives the first field of this name a new value and removes the others; adds one at the end if there is none.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = name.as_ref();
        let at = self.iter().position(|field| field.is(name)).unwrap_or(self.len());
        self.remove(name);
        self.insert(at, name, value);
    }

    /// Removes all fields of this name; says how many there were.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> usize {
        let name = name.as_ref();
        let before = self.len();
        self.retain(|field| !field.is(name));
        before - self.len()
    }

    /// Keeps the fields of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) {
        let block = &self.block;
        self.spans.retain(|span| keep(field_in(block, *span)));
    }

    fn field(&self, span: FieldSpan) -> Field<'_> {
        field_in(&self.block, span)
    }
}

impl Field<'_> {
    /// Whether it has this name, in any case.
    #[must_use]
    pub fn is(&self, name: impl AsRef<[u8]>) -> bool {
        self.name.eq_ignore_ascii_case(name.as_ref())
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut block = Vec::new();
        let line = |(name, value): (N, V)| append_line(&mut block, name.as_ref(), value.as_ref());
        let spans = fields.into_iter().map(line).collect();
        Self { block: block.into(), spans, as_parsed: false }
    }
}

impl PartialEq for Headers {
    /// Same names (to the case), values and order; white space around values does not count.
    fn eq(&self, other: &Self) -> bool {
        self.iter().map(|f| (f.name, f.value)).eq(other.iter().map(|f| (f.name, f.value)))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|field| String::from_utf8_lossy(field.line).into_owned()))
            .finish()
    }
}

/// Appends `name: value`; says where it lies.
fn append_line(block: &mut Vec<u8>, name: &[u8], value: &[u8]) -> FieldSpan {
    let line_start = to_u32(block.len());
    block.extend_from_slice(name);
    block.extend_from_slice(b": ");
    block.extend_from_slice(value);
    FieldSpan {
        line_start,
        line_len: to_u32(block.len()) - line_start,
        name_len: to_u32(name.len()) & !SENSITIVE,
        value_start: to_u32(name.len() + 2),
        value_len: to_u32(value.len()),
    }
}

fn field_in(block: &[u8], span: FieldSpan) -> Field<'_> {
    let part = |start: u32, len: u32, of| slice(of, start, len);
    let line = part(span.line_start, span.line_len, block);
    Field {
        name: part(0, span.name_len & !SENSITIVE, line),
        value: part(span.value_start, span.value_len, line),
        line,
        sensitive: span.name_len & SENSITIVE != 0,
    }
}

/// A part of `bytes`; empty if it is not inside, which [`Headers::from_block`] and `insert` rule out.
fn slice(bytes: &[u8], start: u32, len: u32) -> &[u8] {
    let start = start as usize;
    bytes.get(start..start + len as usize).unwrap_or_default()
}

/// Blocks beyond 4 GiB cannot be: heads are bounded by `wire`'s limits, files by their reader's.
fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(headers: &Headers) -> Vec<String> {
        headers.iter().map(|f| String::from_utf8_lossy(f.line).into_owned()).collect()
    }

    #[test]
    fn keeps_order_case_and_duplicates() {
        let mut headers: Headers = [("X-b", "1"), ("x-A", "2"), ("x-B", "3")].into_iter().collect();
        assert_eq!(headers.get("X-B"), Some(&b"1"[..]));
        assert_eq!(headers.get_all("x-b").collect::<Vec<_>>(), [b"1", b"3"]);
        headers.set("X-B", "4");
        assert_eq!(lines(&headers), ["X-B: 4", "x-A: 2"]);
        headers.insert(0, "first", "");
        assert_eq!(lines(&headers), ["first: ", "X-B: 4", "x-A: 2"]);
        assert_eq!(headers.remove("X-a"), 1);
        assert_eq!(headers.remove("X-a"), 0);
        assert_eq!(lines(&headers), ["first: ", "X-B: 4"]);
    }

    #[test]
    fn refuses_spans_outside_the_block() {
        let block = Bytes::from_static(b"a: b");
        let good = FieldSpan { line_start: 0, line_len: 4, name_len: 1, value_start: 3, value_len: 1 };
        assert!(Headers::from_block(block.clone(), vec![good]).is_some());
        for bad in [
            FieldSpan { line_len: 5, ..good },
            FieldSpan { line_start: 1, ..good },
            FieldSpan { line_start: u32::MAX, ..good },
            FieldSpan { name_len: 5, ..good },
            FieldSpan { name_len: 1 | SENSITIVE, ..good },
            FieldSpan { value_start: 4, ..good },
            FieldSpan { value_len: u32::MAX, ..good },
        ] {
            assert!(Headers::from_block(block.clone(), vec![bad]).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn only_what_was_parsed_is_believed() {
        let parsed = || {
            let block = Bytes::from_static(b"a: b\r\nc: d\r\n");
            let first = FieldSpan { line_start: 0, line_len: 4, name_len: 1, value_start: 3, value_len: 1 };
            let second = FieldSpan { line_start: 6, ..first };
            Headers::from_parsed(block, vec![first, second]).unwrap()
        };
        let after = |change: fn(&mut Headers)| {
            let mut headers = parsed();
            change(&mut headers);
            headers.is_as_parsed()
        };
        assert!(after(|_| {}));
        assert!(after(|headers| *headers = headers.clone()));
        assert!(after(|headers| assert_eq!(headers.remove("a"), 1)));
        assert!(after(|headers| headers.retain(|field| !field.is("c"))));
        assert!(after(|headers| headers.mark_sensitive(0)));
        assert!(!after(|headers| headers.push("e", "f")));
        assert!(!after(|headers| headers.insert(0, "e", "f")));
        assert!(!after(|headers| headers.set("a", "\n")));
        assert!(!after(|headers| {
            headers.set("a", "\n");
            headers.remove("a");
        }));
        assert!(!after(|headers| *headers = headers.iter().map(|field| (field.name, field.value)).collect()));
    }

    #[test]
    fn lines_are_in_one_piece_if_they_were_parsed_so() {
        let parsed = |text: &'static str, starts: &[u32]| {
            let span = |at: &u32| FieldSpan {
                line_start: *at,
                line_len: 4,
                name_len: 1,
                value_start: 3,
                value_len: 1,
            };
            Headers::from_parsed(text.into(), starts.iter().map(span).collect()).unwrap()
        };
        let whole = parsed("GET\r\na: b\r\nc: d\r\n\r\n", &[5, 11]);
        assert_eq!(whole.lines(), Some(&b"a: b\r\nc: d\r\n"[..]));
        for (name, left) in [("a", &b"c: d\r\n"[..]), ("c", b"a: b\r\n"), ("x", b"a: b\r\nc: d\r\n")] {
            let mut headers = whole.clone();
            headers.remove(name);
            assert_eq!(headers.lines(), Some(left));
        }
        let three = parsed("a: b\r\nc: d\r\ne: f\r\n", &[0, 6, 12]);
        for (mut headers, change) in [
            (three.clone(), (|headers| _ = headers.remove("c")) as fn(&mut Headers)),
            (three.clone(), |headers| headers.retain(|_| false)),
            (three.clone(), |headers| headers.push("g", "h")),
            (three.clone(), |headers| headers.insert(0, "g", "h")),
            (three, |headers| headers.set("a", "c")),
            // LF alone, at the end and between.
            (parsed("a: b\r\nc: d\n\r\n", &[0, 6]), |_| ()),
            (parsed("a: b\nc: d\r\n", &[0, 5]), |_| ()),
            (parsed("a: b", &[0]), |_| ()),
        ] {
            change(&mut headers);
            assert_eq!(headers.lines(), None, "{headers:?}");
        }
    }

    #[test]
    fn a_mark_stays_with_its_field() {
        let mut headers: Headers = [("a", "1"), ("b", "2"), ("c", "3")].into_iter().collect();
        headers.mark_sensitive(1);
        headers.mark_sensitive(3);
        headers.insert(0, "d", "4");
        headers.remove("a");
        let fields: Vec<_> = headers.iter().map(|f| (f.name, f.value, f.sensitive)).collect();
        assert_eq!(fields, [(&b"d"[..], &b"4"[..], false), (b"b", b"2", true), (b"c", b"3", false)]);
    }

    proptest! {
        #[test]
        fn holds_what_was_pushed(fields in prop::collection::vec((".{0,9}", ".{0,9}"), 0..9)) {
            let headers: Headers = fields.iter().cloned().collect();
            let back: Vec<_> = headers.iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
            let want: Vec<_> = fields.into_iter().map(|(n, v)| (n.into_bytes(), v.into_bytes())).collect();
            prop_assert_eq!(back, want);
        }
    }
}
