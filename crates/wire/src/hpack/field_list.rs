//! The fields of one header block, pseudo-header fields included, in the order they came.

use bytes::Bytes;
use flowgate_flow::{FieldSpan, Headers};

/// One field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FieldRef<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// Whether it is never to be put into a table (RFC 7541 section 7.1.3).
    pub sensitive: bool,
}

/// The fields of a header block: one block of bytes (lines of `name: value`) and where they lie.
#[derive(Clone, Debug, Default)]
pub struct FieldList {
    pub(super) block: Bytes,
    pub(super) spans: Vec<(FieldSpan, bool)>,
    /// Whether fields were left out because the list would have become larger than allowed.
    pub too_large: bool,
}

impl FieldList {
    /// The fields in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = FieldRef<'_>> + ExactSizeIterator + Clone {
        self.spans.iter().map(|(span, sensitive)| {
            let line = span.line_start as usize;
            let part =
                |start: usize, len: u32| self.block.get(start..start + len as usize).unwrap_or_default();
            let value = part(line + span.value_start as usize, span.value_len);
            FieldRef { name: part(line, span.name_len), value, sensitive: *sensitive }
        })
    }

    /// The value of the field at this place, sharing this list's bytes; empty if there is no such field.
    #[must_use]
    pub fn value(&self, at: usize) -> Bytes {
        let Some((span, _)) = self.spans.get(at) else { return Bytes::new() };
        let start = span.line_start as usize + span.value_start as usize;
        let end = start + span.value_len as usize;
        if end <= self.block.len() { self.block.slice(start..end) } else { Bytes::new() }
    }

    /// The fields from the one at `from` on, sharing this list's bytes.
    #[must_use]
    pub fn headers(&self, from: usize) -> Headers {
        let fields = self.spans.get(from..).unwrap_or_default();
        let spans = fields.iter().map(|(span, _)| *span).collect();
        let mut headers = Headers::from_block(self.block.clone(), spans).unwrap_or_default();
        for (at, _) in fields.iter().enumerate().filter(|(_, (_, sensitive))| *sensitive) {
            headers.mark_sensitive(at);
        }
        headers
    }
}
