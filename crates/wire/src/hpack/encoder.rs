//! Writing header blocks (RFC 7541 sections 6 and 7.1).

use super::index::{Hashes, Index};
use super::table::{ENTRY_OVERHEAD, Found, Table};
use super::{FieldRef, huffman, integer};
use crate::limits::{HPACK_ENCODER_TABLE_BYTES_MAX, HPACK_GUESSABLE_COOKIE_BYTES_MAX};

/// The writer of one direction's header blocks, which must be sent in the order they were written.
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    index: Index,
    /// The lowest limit since the last block, if it changed.
    lowest: Option<usize>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// A writer for a peer that has not sent SETTINGS_HEADER_TABLE_SIZE.
    #[must_use]
    pub const fn new() -> Self {
        Self { table: Table::new(HPACK_ENCODER_TABLE_BYTES_MAX), index: Index::new(), lowest: None }
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE. The next block begins with what must be told of the change.
    pub fn set_table_bytes_max(&mut self, table_bytes_max: usize) {
        let size_max = table_bytes_max.min(HPACK_ENCODER_TABLE_BYTES_MAX);
        if size_max != self.table.size_max() {
            let lowest = self.lowest.unwrap_or(usize::MAX);
            self.lowest = Some(lowest.min(size_max));
            self.table.set_size_max(size_max);
        }
    }

    /// Appends one header block.
    pub fn encode<'a>(&mut self, fields: impl Iterator<Item = FieldRef<'a>>, out: &mut Vec<u8>) {
        self.start_block(out);
        for field in fields {
            self.encode_field(field, out);
        }
    }

    /// Appends what a header block begins with before its fields: what is to be told of the table, if anything.
    pub fn start_block(&mut self, out: &mut Vec<u8>) {
        if let Some(lowest) = self.lowest.take() {
            if lowest < self.table.size_max() {
                integer::write(0x20, 5, lowest, out);
            }
            integer::write(0x20, 5, self.table.size_max(), out);
        }
    }

    /// Appends a field to the block that was begun.
    pub fn encode_field(&mut self, field: FieldRef<'_>, out: &mut Vec<u8>) {
        let FieldRef { name, value, .. } = field;
        let never_indexed = field.sensitive || is_secret(name, value);
        let hashes = Hashes::new(name, value);
        let found = self.index.find(&self.table, hashes, name, value);
        let (pattern, prefix_bits) = match found {
            _ if never_indexed => (0x10, 4),
            Found::Field(index) => return integer::write(0x80, 7, index, out),
            _ if self.is_worth_keeping(name, value) => (0x40, 6),
            _ => (0x00, 4),
        };
        match found {
            Found::Field(index) | Found::Name(index) => integer::write(pattern, prefix_bits, index, out),
            Found::Nothing => {
                integer::write(pattern, prefix_bits, 0, out);
                write_string(name, out);
            }
        }
        write_string(value, out);
        if pattern == 0x40 {
            self.table.insert(name, value);
            self.index.note(&self.table, hashes);
        }
    }

    /// Whether a field is likely to come again, and leaves room for others.
    fn is_worth_keeping(&self, name: &[u8], value: &[u8]) -> bool {
        let changes = [&b":path"[..], b"content-length", b"etag", b"if-none-match", b"if-modified-since"];
        name.len() + value.len() + ENTRY_OVERHEAD <= self.table.size_max() / 4 * 3 && !changes.contains(&name)
    }
}

fn is_secret(name: &[u8], value: &[u8]) -> bool {
    match name {
        b"authorization" | b"proxy-authorization" => true,
        b"cookie" => value.len() <= HPACK_GUESSABLE_COOKIE_BYTES_MAX,
        _ => false,
    }
}

fn write_string(text: &[u8], out: &mut Vec<u8>) {
    let coded_len = huffman::coded_len(text);
    if coded_len < text.len() {
        integer::write(0x80, 7, coded_len, out);
        huffman::encode(text, out);
    } else {
        integer::write(0, 7, text.len(), out);
        out.extend_from_slice(text);
    }
}
