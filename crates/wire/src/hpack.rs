//! Field compression of HTTP/2 (RFC 7541): header blocks to lists of fields, and back.
//!
//! Whether a field is legal in HTTP is not judged here. Every [`enum@Error`] is a connection error of type COMPRESSION_ERROR
//! (RFC 9113 section 4.3), because the two sides' tables no longer agree.

mod decoder;
mod encoder;
mod field_list;
mod huffman;
mod index;
mod integer;
mod static_table;
mod table;

use thiserror::Error;

pub use decoder::Decoder;
pub use encoder::Encoder;
pub use field_list::{FieldList, FieldRef};

/// Why a header block was refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The block ends inside a representation.
    #[error("header block ends in the middle of a field")]
    Truncated,
    /// An integer does not fit into 32 bits, or is written with more than five continuation bytes.
    #[error("integer in a header block is too large")]
    Integer,
    /// An index of zero, or beyond both tables.
    #[error("header block names an index that is in no table")]
    Index,
    /// A Huffman string holds EOS, or is not padded with less than eight ones (section 5.2).
    #[error("malformed Huffman code in a header block")]
    Huffman,
    /// A table size update behind a field, above our SETTINGS_HEADER_TABLE_SIZE, or a third one.
    #[error("misplaced or too large table size update")]
    TableSize,
    /// The table's limit was lowered, and the next block does not begin with the update that must follow.
    #[error("table size update is missing after the limit was lowered")]
    TableSizeMissing,
    /// The fields are many times as long as the list may be (the bound on what a block may cost us).
    #[error("header block unpacks to far more than the header list may hold")]
    Excess,
}
