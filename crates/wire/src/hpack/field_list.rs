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

    /// The fields from the one at `from` on, sharing this list's bytes.
    #[must_use]
    pub fn headers(&self, from: usize) -> Headers {
        let spans = self.spans.iter().skip(from).map(|(span, _)| *span).collect();
        Headers::from_block(self.block.clone(), spans).unwrap_or_default()
    }
}
