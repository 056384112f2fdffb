//! What a store holds: flows and bytes in each segment file, in all, and of each filtered limit of retention. Counted as flows
//! come and go, so that nobody has to ask the index; what is in each file stands in the index, too.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::error::StoreError;
use crate::limits::RETENTION_PARTS_MAX;

/// A flow as far as it is counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) segment: u32,
    /// What it takes of the segment file, and no flow before it took already.
    pub(crate) bytes: u64,
    pub(crate) classes: i64,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Held {
    pub(crate) flows: i64,
    pub(crate) bytes: i64,
}

/// The counts, and what a transaction changes in them.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    segments: BTreeMap<u32, Held>,
    all: Held,
    classes: [Held; RETENTION_PARTS_MAX],
    /// What the transaction that is open has changed so far.
    changes: Vec<(Entry, Direction)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Direction {
    Came,
    Went,
}

impl Held {
    const fn change(&mut self, bytes: u64, direction: Direction) {
        let sign = match direction {
            Direction::Came => 1,
            Direction::Went => -1,
        };
        self.flows += sign;
        self.bytes = self.bytes.saturating_add(sign * bytes.cast_signed());
    }
}

impl Ledger {
    /// The counts as the index has them.
    pub(crate) fn read(index: &Connection) -> Result<Self, StoreError> {
        let mut ledger = Self::default();
        let mut statement = index.prepare("SELECT number, flows, bytes FROM segments")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let held = Held { flows: row.get(1)?, bytes: row.get(2)? };
            ledger.segments.insert(row.get(0)?, held);
            ledger.all.flows += held.flows;
            ledger.all.bytes += held.bytes;
        }
        drop(rows);
        drop(statement);
        ledger.count_classes(index)?;
        Ok(ledger)
    }

    /// Counts anew what each filtered limit means.
    pub(crate) fn count_classes(&mut self, index: &Connection) -> Result<(), StoreError> {
        self.classes = [Held::default(); RETENTION_PARTS_MAX];
        let sql = "SELECT classes, count(*), sum(disk) FROM flows WHERE classes <> 0 GROUP BY classes";
        let mut statement = index.prepare(sql)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let (bits, flows, bytes): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            for class in each_class(&mut self.classes, bits) {
                class.flows += flows;
                class.bytes += bytes;
            }
        }
        Ok(())
    }

    pub(crate) fn came(&mut self, entry: Entry) {
        self.changes.push((entry, Direction::Came));
    }

    pub(crate) fn went(&mut self, entry: Entry) {
        self.changes.push((entry, Direction::Went));
    }

    /// Writes what changed to the index, as a part of the transaction that is open.
    pub(crate) fn write(&self, index: &Connection) -> Result<(), StoreError> {
        let mut segments: BTreeMap<u32, Held> = BTreeMap::new();
        for (entry, direction) in &self.changes {
            segments.entry(entry.segment).or_default().change(entry.bytes, *direction);
        }
        let mut upsert = index.prepare_cached(
            "INSERT INTO segments (number, flows, bytes) VALUES (?1, ?2, ?3)
             ON CONFLICT (number) DO UPDATE SET flows = flows + excluded.flows, bytes = bytes + excluded.bytes",
        )?;
        for (number, held) in segments {
            upsert.execute(params![number, held.flows, held.bytes])?;
        }
        Ok(())
    }

    /// The transaction was committed.
    pub(crate) fn commit(&mut self) {
        for (entry, direction) in self.changes.drain(..) {
            self.segments.entry(entry.segment).or_default().change(entry.bytes, direction);
            self.all.change(entry.bytes, direction);
            for class in each_class(&mut self.classes, entry.classes) {
                class.change(entry.bytes, direction);
            }
        }
    }

    /// The transaction was taken back.
    pub(crate) fn roll_back(&mut self) {
        self.changes.clear();
    }

    /// The file is gone.
    pub(crate) fn forget(&mut self, segment: u32) {
        self.segments.remove(&segment);
    }

    pub(crate) const fn all(&self) -> Held {
        self.all
    }

    /// What is held in a segment file; nothing if it was never heard of.
    pub(crate) fn segment(&self, number: u32) -> Held {
        self.segments.get(&number).copied().unwrap_or_default()
    }

    /// Whether a flow lies in a file below this number.
    pub(crate) fn holds_below(&self, number: u32) -> bool {
        self.segments.range(..number).any(|(_, held)| held.flows > 0)
    }

    /// What a filtered limit means.
    pub(crate) fn class(&self, bit: usize) -> Held {
        self.classes.get(bit).copied().unwrap_or_default()
    }
}

fn each_class(classes: &mut [Held; RETENTION_PARTS_MAX], bits: i64) -> impl Iterator<Item = &mut Held> {
    classes.iter_mut().enumerate().filter(move |(bit, _)| bits >> bit & 1 == 1).map(|(_, class)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_committed_counts() {
        let mut ledger = Ledger::default();
        let entry = |segment, bytes, classes| Entry { segment, bytes, classes };
        ledger.came(entry(1, 10, 0b101));
        ledger.came(entry(2, 20, 0));
        assert_eq!(ledger.all(), Held::default());
        ledger.commit();
        assert_eq!(ledger.all(), Held { flows: 2, bytes: 30 });
        assert_eq!([0, 1, 2].map(|bit| ledger.class(bit).flows), [1, 0, 1]);
        ledger.went(entry(1, 10, 0b101));
        ledger.roll_back();
        ledger.commit();
        assert!(ledger.holds_below(2) && !ledger.holds_below(1));
        ledger.went(entry(1, 10, 0b101));
        ledger.commit();
        assert_eq!((ledger.segment(1), ledger.class(0)), (Held::default(), Held::default()));
        assert!(!ledger.holds_below(2) && ledger.holds_below(3));
    }
}
