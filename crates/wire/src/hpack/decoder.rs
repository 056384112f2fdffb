//! Reading header blocks (RFC 7541 sections 3.2 and 6).

use flowgate_flow::FieldSpan;

use super::table::{ENTRY_OVERHEAD, Table};
use super::{Error, FieldList, huffman, integer};
use crate::limits::{HPACK_EXCESS_FACTOR_MAX, HPACK_SIZE_UPDATES_MAX};

/// The most room that a list is given before it is read.
const LIST_ROOM_BYTES: usize = 2048;

/// The reader of one direction's header blocks, which must all be given to it in order.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    table_bytes_max: usize,
    /// The lowest limit since the last block, if it was below what the table may be: the next block begins with an update to
    /// no more than that.
    update_due: Option<usize>,
    /// How many fields the last list had, and bytes of text: the next one of the same peer is likely to be as large.
    last: (usize, usize),
}

/// A list being filled.
struct Building {
    block: Vec<u8>,
    spans: Vec<(FieldSpan, bool)>,
    size: usize,
}

impl Decoder {
    /// A reader whose table holds at most `table_bytes_max` (our SETTINGS_HEADER_TABLE_SIZE; 4096 before any).
    #[must_use]
    pub const fn new(table_bytes_max: usize) -> Self {
        Self { table: Table::new(table_bytes_max), table_bytes_max, update_due: None, last: (0, 0) }
    }

    /// Our SETTINGS_HEADER_TABLE_SIZE, once it has been acknowledged. If it is less than the table may be, the next block
    /// must begin with an update (RFC 9113 section 4.3.1), even if it is raised again before (RFC 7541 section 4.2).
    pub fn set_table_bytes_max(&mut self, table_bytes_max: usize) {
        self.table_bytes_max = table_bytes_max;
        if table_bytes_max < self.table.size_max() {
            self.update_due = Some(self.update_due.unwrap_or(usize::MAX).min(table_bytes_max));
        }
    }

    /// Reads one complete header block. A field that makes the list larger than `list_bytes_max` (counted as in RFC 9113
    /// section 6.5.2), and all after it, are read for the table's sake but left out and reported.
    ///
    /// # Errors
    /// Each ends the connection with COMPRESSION_ERROR; the reader must not be used again.
    pub fn decode(&mut self, block: &[u8], list_bytes_max: usize) -> Result<FieldList, Error> {
        let list_bytes_max = list_bytes_max.min(u32::MAX as usize / 2);
        let mut input = block;
        self.read_size_updates(&mut input)?;
        let mut list = Building::with_room(self.last);
        while let Some((first, rest)) = input.split_first() {
            input = rest;
            self.read_field(*first, &mut input, &mut list, list_bytes_max)?;
            if list.size > list_bytes_max.saturating_mul(HPACK_EXCESS_FACTOR_MAX) {
                return Err(Error::Excess);
            }
        }
        self.last = (list.spans.len(), list.block.len());
        Ok(FieldList { block: list.block.into(), spans: list.spans, too_large: list.size > list_bytes_max })
    }

    fn read_size_updates(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        let mut updates = 0;
        while let Some((first, rest)) = input.split_first() {
            if first & 0xe0 != 0x20 {
                break;
            }
            *input = rest;
            let size = integer::read(*first, 5, input)?;
            updates += 1;
            if size > self.table_bytes_max || updates > HPACK_SIZE_UPDATES_MAX {
                return Err(Error::TableSize);
            }
            if self.update_due.take().is_some_and(|lowest| size > lowest) {
                return Err(Error::TableSizeMissing);
            }
            self.table.set_size_max(size);
        }
        if self.update_due.is_some() { Err(Error::TableSizeMissing) } else { Ok(()) }
    }

    fn read_field(
        &mut self,
        first: u8,
        input: &mut &[u8],
        list: &mut Building,
        list_bytes_max: usize,
    ) -> Result<(), Error> {
        if first & 0x80 != 0 {
            let (name, value) = self.table.get(integer::read(first, 7, input)?)?;
            list.size = list.size.saturating_add(name.len() + value.len() + ENTRY_OVERHEAD);
            if list.size <= list_bytes_max {
                let start = list.block.len();
                list.block.extend_from_slice(name);
                list.block.extend_from_slice(b": ");
                list.block.extend_from_slice(value);
                list.add(start, name.len(), false)?;
            }
            return Ok(());
        }
        let (prefix_bits, indexed, sensitive) = match first >> 4 {
            4..=7 => (6, true, false),
            0 => (4, false, false),
            1 => (4, false, true),
            _ => return Err(Error::TableSize),
        };
        let start = list.block.len();
        match integer::read(first, prefix_bits, input)? {
            0 => read_string(input, &mut list.block)?,
            index => list.block.extend_from_slice(self.table.get(index)?.0),
        }
        let name_len = list.block.len() - start;
        list.block.extend_from_slice(b": ");
        let value_start = list.block.len();
        read_string(input, &mut list.block)?;
        if indexed {
            let name = list.block.get(start..start + name_len).unwrap_or_default();
            self.table.insert(name, list.block.get(value_start..).unwrap_or_default());
        }
        let text_len = name_len + list.block.len() - value_start;
        list.size = list.size.saturating_add(text_len + ENTRY_OVERHEAD);
        if list.size <= list_bytes_max {
            return list.add(start, name_len, sensitive);
        }
        list.block.truncate(start);
        Ok(())
    }
}

impl Building {
    fn with_room((fields, bytes): (usize, usize)) -> Self {
        let bytes = bytes.min(LIST_ROOM_BYTES);
        // A field takes an entry's overhead at least in the eyes of RFC 7541, so this is no more room than its text has.
        let fields = fields.min(LIST_ROOM_BYTES / ENTRY_OVERHEAD);
        Self { block: Vec::with_capacity(bytes), spans: Vec::with_capacity(fields), size: 0 }
    }

    /// Notes the field whose line fills the block from `start` on.
    fn add(&mut self, start: usize, name_len: usize, sensitive: bool) -> Result<(), Error> {
        let to_u32 = |n: usize| u32::try_from(n).map_err(|_| Error::Excess);
        let line_len = self.block.len() - start;
        let span = FieldSpan {
            line_start: to_u32(start)?,
            line_len: to_u32(line_len)?,
            name_len: to_u32(name_len)?,
            value_start: to_u32(name_len + 2)?,
            value_len: to_u32(line_len - name_len - 2)?,
        };
        self.spans.push((span, sensitive));
        Ok(())
    }
}

fn read_string(input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let (first, mut rest) = input.split_first().ok_or(Error::Truncated)?;
    let len = integer::read(*first, 7, &mut rest)?;
    let (text, rest) = rest.split_at_checked(len).ok_or(Error::Truncated)?;
    *input = rest;
    if first & 0x80 != 0 {
        return huffman::decode(text, out);
    }
    out.extend_from_slice(text);
    Ok(())
}
