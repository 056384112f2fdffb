//! How much decoding and rendering may cost. Not what a proxy may carry: the wire bytes are never touched by these.

/// The limits of one call of [`decode`](crate::decode) or [`render`](crate::render).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes that content decoding may make of a body, at every layer of encoding.
    pub decoded_bytes_max: usize,
    /// Layers of content encoding (`gzip, br` has two).
    pub encodings_max: usize,
    /// Lines of text.
    pub lines_max: usize,
    /// Bytes of text.
    pub text_bytes_max: usize,
    /// Arrays and objects inside each other; what is deeper is not shown as JSON.
    pub json_depth_max: usize,
    /// Messages, maps and lists inside each other in binary formats; what is deeper is not taken apart.
    pub nesting_max: usize,
    /// Names and values of a query or form, fields of a message, packets, files of an archive.
    pub fields_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            decoded_bytes_max: 64 << 20,
            encodings_max: 5,
            lines_max: usize::MAX,
            text_bytes_max: 64 << 20,
            json_depth_max: 1_000,
            nesting_max: 100,
            fields_max: 65_536,
        }
    }
}
