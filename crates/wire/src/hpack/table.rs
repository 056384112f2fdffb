//! The two tables as one index space (RFC 7541 section 2.3.3), and the dynamic one's memory.
//!
//! Entries lie one behind the other in one buffer, which is moved together when half of it is dead: no allocation for
//! each entry, and never more than twice the table's size and a page.

use std::collections::VecDeque;

use super::{Error, static_table};

/// What an entry counts besides its text (section 4.1).
pub(super) const ENTRY_OVERHEAD: usize = 32;
/// How much dead text at least is worth moving the rest.
const DEAD_BYTES_MIN: usize = 4096;

/// The dynamic table of one direction, with the static table before it.
#[derive(Debug)]
pub(super) struct Table {
    /// The newest last.
    entries: VecDeque<Entry>,
    text: Vec<u8>,
    /// Where the first live text begins.
    dead: usize,
    size: usize,
    size_max: usize,
    /// How many entries were ever added, counted modulo 2^16.
    added: u16,
}

/// Where a field was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// The whole field has this index.
    Field(usize),
    /// A field with the same name has this index.
    Name(usize),
    /// Neither.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    name_len: usize,
    value_len: usize,
    /// Where its name begins in the text; its value follows.
    start: usize,
}

impl Table {
    pub(super) const fn new(size_max: usize) -> Self {
        Self { entries: VecDeque::new(), text: Vec::new(), dead: 0, size: 0, size_max, added: 0 }
    }

    pub(super) const fn size_max(&self) -> usize {
        self.size_max
    }

    pub(super) fn set_size_max(&mut self, size_max: usize) {
        self.size_max = size_max;
        self.evict(size_max);
    }

    /// The field at an index as it stands in a block.
    pub(super) fn get(&self, index: usize) -> Result<(&[u8], &[u8]), Error> {
        let index = index.checked_sub(1).ok_or(Error::Index)?;
        if let Some(field) = static_table::FIELDS.get(index) {
            return Ok(*field);
        }
        let back = index - static_table::FIELDS.len();
        self.entry(back).ok_or(Error::Index)
    }

    /// How many entries the dynamic table has.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The number of the newest entry.
    pub(super) const fn newest(&self) -> u16 {
        self.added.wrapping_sub(1)
    }

    /// The entry of the dynamic table than which so many are newer.
    pub(super) fn entry(&self, back: usize) -> Option<(&[u8], &[u8])> {
        let at = self.entries.len().checked_sub(back + 1)?;
        self.text(self.entries.get(at)?)
    }

    /// Adds a field, and drops the oldest ones for it; a field larger than the table leaves it empty (section 4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + ENTRY_OVERHEAD;
        let Some(room) = self.size_max.checked_sub(size) else { return self.evict(0) };
        self.evict(room);
        let start = self.text.len();
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(value);
        self.entries.push_back(Entry { name_len: name.len(), value_len: value.len(), start });
        self.size += size;
        self.added = self.added.wrapping_add(1);
    }

    /// Drops the oldest entries until the table is no larger than `size`.
    fn evict(&mut self, size: usize) {
        while self.size > size {
            let Some(entry) = self.entries.pop_front() else { break };
            let len = entry.name_len + entry.value_len;
            self.size -= len + ENTRY_OVERHEAD;
            self.dead += len;
        }
        if self.dead >= DEAD_BYTES_MIN && self.dead * 2 >= self.text.len() {
            self.text.drain(..self.dead);
            for entry in &mut self.entries {
                entry.start -= self.dead;
            }
            self.dead = 0;
        }
    }

    fn text(&self, entry: &Entry) -> Option<(&[u8], &[u8])> {
        let end = entry.start + entry.name_len + entry.value_len;
        self.text.get(entry.start..end)?.split_at_checked(entry.name_len)
    }
}
