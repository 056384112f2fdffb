//! Finding a field in the encoder's tables by hashes instead of one by one.
//!
//! Two chains for each entry of the dynamic table, from newest to oldest: entries whose names, and whose fields, have the same
//! hash. Nothing is ever taken out: a chain ends where its next entry has been evicted. What a chain leads to is compared, so
//! that hashes which agree by chance (or by a peer's will) cost time and nothing else.
#![expect(clippy::indexing_slicing, reason = "every index is taken modulo the length")]

use super::static_table;
use super::table::{ENTRY_OVERHEAD, Found, Table};
use crate::limits::HPACK_ENCODER_TABLE_BYTES_MAX;

/// The most entries that the table of an encoder holds, were all of them empty.
const ENTRIES_MAX: usize = HPACK_ENCODER_TABLE_BYTES_MAX / ENTRY_OVERHEAD;
const BUCKETS: usize = 64;

/// The index of one encoder's table.
#[derive(Debug)]
pub(super) struct Index {
    /// The newest entry of each bucket, by the hash of its name.
    names: [Id; BUCKETS],
    /// The same by the hash of name and value.
    fields: [Id; BUCKETS],
    links: [Link; ENTRIES_MAX],
}

/// An entry's number, counted from 0 and beginning again after 2^16.
type Id = u16;

/// The next older entries in an entry's two chains.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    name: Id,
    field: Id,
}

/// The hashes of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hashes {
    name: u64,
    field: u64,
}

impl Hashes {
    pub(super) fn new(name: &[u8], value: &[u8]) -> Self {
        let name = hash(0, name);
        Self { name, field: hash(name, value) }
    }
}

impl Index {
    pub(super) const fn new() -> Self {
        let none = Link { name: 0, field: 0 };
        Self { names: [0; BUCKETS], fields: [0; BUCKETS], links: [none; ENTRIES_MAX] }
    }

    /// Looks a field up in the static and in the dynamic table.
    pub(super) fn find(&self, table: &Table, hashes: Hashes, name: &[u8], value: &[u8]) -> Found {
        let named = match static_table::find(name, value) {
            Found::Field(index) => return Found::Field(index),
            named => named,
        };
        let same = |entry: (&[u8], &[u8])| entry == (name, value);
        if let Some(index) =
            self.walk(table, self.fields[hashes.field as usize % BUCKETS], |link| link.field, same)
        {
            return Found::Field(index);
        }
        if named != Found::Nothing {
            return named;
        }
        let same = |entry: (&[u8], &[u8])| entry.0 == name;
        let index = self.walk(table, self.names[hashes.name as usize % BUCKETS], |link| link.name, same);
        index.map_or(Found::Nothing, Found::Name)
    }

    /// Notes the table's newest entry.
    pub(super) fn note(&mut self, table: &Table, hashes: Hashes) {
        let id = table.newest();
        let (names, fields) = (hashes.name as usize % BUCKETS, hashes.field as usize % BUCKETS);
        let link = Link { name: self.names[names], field: self.fields[fields] };
        self.links[usize::from(id) % ENTRIES_MAX] = link;
        self.names[names] = id;
        self.fields[fields] = id;
    }

    /// Follows a chain to the first entry of which `wanted` says so; its index.
    fn walk(
        &self,
        table: &Table,
        head: Id,
        older: impl Fn(&Link) -> Id,
        wanted: impl Fn((&[u8], &[u8])) -> bool,
    ) -> Option<usize> {
        let (mut id, mut passed) = (head, None);
        loop {
            // How many entries are newer. It grows along a chain; where it does not, the chain has left the table.
            let back = usize::from(table.newest().wrapping_sub(id));
            if back >= table.len() || passed >= Some(back) {
                return None;
            }
            if table.entry(back).is_some_and(&wanted) {
                return Some(static_table::FIELDS.len() + 1 + back);
            }
            passed = Some(back);
            id = older(&self.links[usize::from(id) % ENTRIES_MAX]);
        }
    }
}

/// A hash in constant time, of the length and of the bytes at both ends and in the middle.
fn hash(seed: u64, text: &[u8]) -> u64 {
    let word = |at: usize| {
        let bytes = text.get(at..).and_then(<[u8]>::first_chunk::<8>);
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    let len = text.len();
    let words = if len < 8 {
        [text.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0, 0]
    } else {
        [word(0), word(len - 8), word(len / 2 - 4)]
    };
    let mix = |hash: u64, word: u64| {
        let product = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        product ^ product >> 32
    };
    words.into_iter().fold(seed ^ len as u64, mix)
}
