//! Retention at work: flows go when their time is up or there are too many, and the room they took is given back. In steps of
//! bounded length, between two batches of the writer, so that nothing waits for it.
//!
//! A segment file goes when no flow lies in it any more; flows that stay in a file of which most is dead are moved to the file that
//! is written to. A file goes only after the index that does not lead there any more is on the medium.

use std::fs;

use flowgate_filter::BodyDecoder;
use flowgate_flow::Timestamp;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use crate::body_reader::BodyReader;
use crate::body_writer::segment_files;
use crate::error::StoreError;
use crate::indexer::{ALL_JUDGED, Going, Indexer, going, remove};
use crate::ledger::{Entry, Held};
use crate::limits::{
    FLOWS_GONE_BEFORE_SITES, INDEX_PAGES_SPARE, JOURNAL_BYTES_KEPT, RETENTION_SEGMENTS, SEGMENT_BYTES,
    TEND_BYTES_MOVED, TEND_FLOWS_MAX, TEND_FLOWS_READ_MAX, TEND_PAGES_MAX,
};
use crate::prepared::Prepared;
use crate::record;
use crate::retention::{self, Cap, Judgement, Retention};
use crate::schema::index_path;
use crate::segment::{BodyRef, RecordKind, SegmentError, path_of};

/// What a step of tending leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tended {
    /// There may be more to do.
    More,
    /// There is nothing to do before flows are added, or that time has come.
    Until(Option<Timestamp>),
}

impl Indexer {
    /// What is kept from now on; flows that are there are judged anew in [`Indexer::tend`]. Bodies are decoded by `decoder` where
    /// filters ask for them.
    ///
    /// # Errors
    /// What the medium says.
    pub fn set_retention(
        &mut self,
        retention: Retention,
        decoder: Box<dyn BodyDecoder + Send>,
    ) -> Result<(), StoreError> {
        self.tending.retention = retention;
        self.tending.decoder = decoder;
        self.tending.noted = false;
        let limit = self.tending.retention.whole().bytes;
        let piece = limit.map_or(SEGMENT_BYTES, |bytes| (bytes / RETENTION_SEGMENTS).min(SEGMENT_BYTES));
        self.bodies().set_segment_bytes(piece);
        self.transact(Self::note_rules)?;
        // The journal counts, too.
        let journal =
            limit.map_or(JOURNAL_BYTES_KEPT, |bytes| (bytes / RETENTION_SEGMENTS).min(JOURNAL_BYTES_KEPT));
        self.index.pragma_update(None, "journal_size_limit", journal.cast_signed())?;
        let pages = (journal / self.page_bytes()?.max(1)).clamp(16, 1000);
        self.index.pragma_update(None, "wal_autocheckpoint", pages.cast_signed())?;
        Ok(())
    }

    /// Does a piece of what retention asks for. Where it asks for anything the index gets to know of all flows first.
    ///
    /// # Errors
    /// What the medium says. What is left is done when it is called again.
    pub fn tend(&mut self, now: Timestamp) -> Result<Tended, StoreError> {
        if self.tending.retention.keeps_everything() && self.tending.judged == ALL_JUDGED {
            return Ok(Tended::Until(None));
        }
        self.catch_up()?;
        self.look_at_files()?;
        // First of all the rules: by the old ones nothing may go that the new ones keep.
        if self.judge_some()? {
            return Ok(Tended::More);
        }
        let mut more = self.drop_ended(now)?;
        more |= self.drop_surplus()?;
        more |= self.drop_files()?;
        more |= self.move_some()?;
        more |= self.drop_sites()?;
        more |= self.shrink_index()?;
        if more {
            return Ok(Tended::More);
        }
        let next = self
            .index
            .prepare_cached("SELECT min(ends) FROM flows WHERE ends >= 0")?
            .query_row((), |row| row.get::<_, Option<f64>>(0))?;
        Ok(Tended::Until(next.map(Timestamp)))
    }

    /// Writes some flows anew, compressed, that were not when they were saved; says whether there may be more of them. Room is won by it,
    /// and nothing else: it is for when there is nothing better to do.
    ///
    /// # Errors
    /// What the medium says. What is left is done when it is called again.
    pub fn pack(&mut self) -> Result<bool, StoreError> {
        // What is moved is passed over there.
        self.catch_up()?;
        self.look_at_files()?;
        let select = "SELECT number FROM segments
                      WHERE flows > 0 AND loose * 2 > bytes AND number >= ?1 AND number < ?2 LIMIT 1";
        let range = params![self.tending.whole_from, self.indexed().0];
        let loose: Option<u32> =
            self.index.prepare_cached(select)?.query_row(range, |row| row.get(0)).optional()?;
        if let Some(number) = loose {
            self.move_from(number)?;
            return Ok(true);
        }
        self.drop_files()
    }

    /// Writes down which rules flows are judged by from now on. A part of a transaction.
    pub(crate) fn note_rules(&mut self) -> Result<(), StoreError> {
        if self.tending.noted {
            return Ok(());
        }
        let rules = self.tending.retention.text();
        let noted: Option<i64> = self
            .index
            .query_row("SELECT judged FROM state WHERE rules = ?1", params![rules], |row| row.get(0))
            .optional()?;
        self.tending.judged = if let Some(judged) = noted {
            judged
        } else {
            self.index.execute("UPDATE state SET rules = ?1, judged = 0", params![rules])?;
            0
        };
        self.tending.noted = true;
        Ok(())
    }

    /// Judges flows by rules that came after them.
    fn judge_some(&mut self) -> Result<bool, StoreError> {
        if !self.tending.noted {
            self.transact(Self::note_rules)?;
        }
        if self.tending.judged == ALL_JUDGED {
            return Ok(false);
        }
        let judged = self.transact(|store| {
            let after = store.tending.judged;
            let last = if store.tending.retention.has_filters() {
                store.judge_each(after)?
            } else {
                store.judge_all(after)?
            };
            let judged = last.unwrap_or(ALL_JUDGED);
            store.index.prepare_cached("UPDATE state SET judged = ?1")?.execute(params![judged])?;
            Ok(judged)
        })?;
        self.tending.judged = judged;
        if judged == ALL_JUDGED {
            self.ledger.count_classes(&self.index)?;
        }
        Ok(true)
    }

    /// Judges flows by their time alone; gives the number of the last one, if there was one.
    fn judge_all(&self, after: i64) -> Result<Option<i64>, StoreError> {
        let last =
            "SELECT max(number) FROM (SELECT number FROM flows WHERE number > ?1 ORDER BY number LIMIT ?2)";
        let last: Option<i64> = self
            .index
            .prepare_cached(last)?
            .query_row(params![after, TEND_FLOWS_MAX as i64], |row| row.get(0))?;
        let Some(last) = last else { return Ok(None) };
        let shift = self.tending.retention.age().unwrap_or(-retention::AGELESS);
        let update = "UPDATE flows SET ends = min(max(created, 0), 1e11) + ?1, classes = 0 WHERE number > ?2 AND number <= ?3";
        self.index.prepare_cached(update)?.execute(params![shift, after, last])?;
        Ok(Some(last))
    }

    /// Judges flows one by one.
    fn judge_each(&self, after: i64) -> Result<Option<i64>, StoreError> {
        let bodies = BodyReader::new(&self.directory);
        let select =
            "SELECT number, segment, position, created FROM flows WHERE number > ?1 ORDER BY number LIMIT ?2";
        let mut select = self.index.prepare_cached(select)?;
        let mut rows = select.query(params![after, TEND_FLOWS_READ_MAX as i64])?;
        let mut judgements = Vec::new();
        while let Some(row) = rows.next()? {
            let place = (row.get(1)?, row.get::<_, i64>(2)?.unsigned_abs());
            let judgement = match read(&bodies, place) {
                Ok(flow) => self.tending.retention.judge(&flow, &*self.tending.decoder),
                // Damaged: only its time is known.
                Err(_) => {
                    Judgement { ends: retention::ends(row.get(3)?, self.tending.retention.age()), classes: 0 }
                }
            };
            judgements.push((row.get::<_, i64>(0)?, judgement));
        }
        let mut update =
            self.index.prepare_cached("UPDATE flows SET ends = ?2, classes = ?3 WHERE number = ?1")?;
        for (number, judgement) in &judgements {
            update.execute(params![number, judgement.ends, judgement.classes])?;
        }
        Ok(judgements.last().map(|(number, _)| *number))
    }

    /// Flows whose time is up go.
    fn drop_ended(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        self.drop_flows("ends >= 0 AND ends <= ?1", &[&now.0], TEND_FLOWS_MAX)
    }

    /// Flows go of which there are too many.
    fn drop_surplus(&mut self) -> Result<bool, StoreError> {
        let whole = self.tending.retention.whole();
        let mut all = self.ledger.all();
        if whole.bytes.is_some() {
            let (pages, unused) = self.pages()?;
            let index = (pages - unused).max(0) * self.page_bytes()?.cast_signed();
            all.bytes += index + self.journal_bytes().cast_signed();
        }
        // An eighth is left for what is dead and not yet given back.
        let leave = |bytes: u64| bytes - bytes / 8;
        let too_many = surplus(all, &Cap { bytes: whole.bytes.map(leave), ..whole });
        if self.drop_flows("1", &[], too_many)? {
            return Ok(true);
        }
        let caps: Vec<_> = self.tending.retention.caps().collect();
        for (bit, cap) in caps.iter().enumerate() {
            let too_many = surplus(self.ledger.class(bit), cap);
            if self.drop_flows("classes <> 0 AND classes >> ?1 & 1 = 1", &[&(bit as i64)], too_many)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first flows of that condition go.
    fn drop_flows(
        &mut self,
        sql: &str,
        parameters: &[&dyn ToSql],
        count_max: usize,
    ) -> Result<bool, StoreError> {
        if count_max == 0 {
            return Ok(false);
        }
        let select = format!(
            "SELECT number, segment, disk, classes, flags FROM flows WHERE {sql} ORDER BY ends LIMIT {count_max}"
        );
        let flows = select_going(&self.index, &select, parameters)?;
        if flows.is_empty() {
            return Ok(false);
        }
        self.transact(|store| {
            flows.iter().try_for_each(|flow| remove(&store.index, &mut store.ledger, flow))
        })?;
        self.tending.gone += flows.len() as u64;
        Ok(true)
    }

    /// Keeps the list of files that are not written to.
    fn look_at_files(&mut self) -> Result<(), StoreError> {
        let current = self.bodies().current().map(|(number, _)| number);
        if current != self.tending.current {
            self.tending.files = segment_files(&self.directory)?;
            self.tending.current = current;
        }
        current.map(|number| self.tending.files.remove(&number));
        Ok(())
    }

    /// Files that no flow lies in go.
    fn drop_files(&mut self) -> Result<bool, StoreError> {
        // Only of files that the index knows all flows of it can be said that flows are dead.
        let indexed = self.indexed();
        let mut bodies = self.bodies();
        if let Some((number, bytes)) = bodies.current()
            && indexed == (number, bytes)
            && bytes > bodies.segment_bytes() / 4
            && bytes / 2 > self.ledger.segment(number).bytes.max(0).unsigned_abs()
        {
            // Mostly dead already: the next step empties it.
            bodies.roll_now()?;
            return Ok(true);
        }
        // The last one stays, so that no number is used twice.
        let last = bodies.next_segment().saturating_sub(1);
        drop(bodies);
        let whole_from = self.tending.whole_from;
        let held_together = self.ledger.holds_below(whole_from);
        let empty = |number: &u32| {
            self.ledger.segment(*number).flows <= 0 && (*number >= whole_from || !held_together)
        };
        let gone = |number: &u32| *number != last && *number < indexed.0 && empty(number);
        let empty: Vec<u32> = self.tending.files.keys().copied().filter(gone).collect();
        if empty.is_empty() {
            return Ok(false);
        }
        // What was moved out of them has to be on the medium before they go, and the index that leads there.
        self.bodies().sync()?;
        self.index.pragma_update(None, "synchronous", "full")?;
        let forgotten = self.transact(|store| {
            let mut delete = store.index.prepare_cached("DELETE FROM segments WHERE number = ?1")?;
            Ok(empty.iter().try_for_each(|number| delete.execute(params![number]).map(|_| ()))?)
        });
        self.index.pragma_update(None, "synchronous", "normal")?;
        forgotten?;
        for number in empty {
            match fs::remove_file(path_of(&self.directory, number)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            self.ledger.forget(number);
            self.tending.files.remove(&number);
        }
        Ok(true)
    }

    /// Moves flows out of the file of which most is dead, if that is worth it.
    fn move_some(&mut self) -> Result<bool, StoreError> {
        let dead = |(number, bytes): (&u32, &u64)| {
            let alive = self.ledger.segment(*number).bytes.max(0).unsigned_abs();
            (*number, bytes.saturating_sub(alive), *bytes)
        };
        let whole = self.tending.whole_from..self.indexed().0.max(self.tending.whole_from);
        let movable = self.tending.files.range(whole).map(dead);
        let movable = movable.filter(|(number, ..)| self.ledger.segment(*number).flows > 0);
        let Some((number, dead, bytes)) = movable.max_by_key(|(_, dead, bytes)| dead * 1000 / bytes.max(&1))
        else {
            return Ok(false);
        };
        let is_short = match self.tending.retention.whole().bytes {
            Some(limit) => self.disk_bytes()? > limit,
            None => false,
        };
        if dead * 2 <= bytes && !(is_short && dead * 8 > bytes) {
            return Ok(false);
        }
        self.move_from(number)?;
        Ok(true)
    }

    fn move_from(&mut self, segment: u32) -> Result<(), StoreError> {
        let select = format!(
            "SELECT number, segment, disk, classes, flags FROM flows WHERE segment = ?1 LIMIT {TEND_FLOWS_READ_MAX}"
        );
        let flows = select_going(&self.index, &select, &[&segment])?;
        let bodies = BodyReader::new(&self.directory);
        self.transact(|store| {
            let losses = store.bodies().losses();
            let mut moved = 0;
            for flow in &flows {
                if moved >= TEND_BYTES_MOVED {
                    break;
                }
                moved += store.move_flow(flow, &bodies)?;
            }
            // Before the index leads there.
            let mut to = store.bodies();
            to.flush_for_others()?;
            if to.losses() != losses {
                // What was moved waited together with flows of traffic, and could not be written with them.
                return Err(StoreError::Io(std::io::ErrorKind::StorageFull.into()));
            }
            Ok(())
        })
    }

    /// Writes a flow anew; says how many bytes that were. One that is damaged goes.
    fn move_flow(&mut self, flow: &Going, bodies: &BodyReader) -> Result<u64, StoreError> {
        let select = "SELECT position FROM flows WHERE number = ?1";
        let position: i64 =
            self.index.prepare_cached(select)?.query_row(params![flow.number], |row| row.get(0))?;
        let read = read(bodies, (flow.entry.segment, position.unsigned_abs()));
        let appended = read.and_then(|flow| self.append_moved(flow));
        let (at, bytes) = match appended {
            Ok(appended) => appended,
            Err(error) if error.is_of_one_flow() => {
                remove(&self.index, &mut self.ledger, flow)?;
                return Ok(0);
            }
            Err(error) => return Err(error),
        };
        let update = "UPDATE flows SET segment = ?2, position = ?3, disk = ?4 WHERE number = ?1";
        let (position, disk) = (at.offset.cast_signed(), bytes.cast_signed());
        self.index.prepare_cached(update)?.execute(params![flow.number, at.segment, position, disk])?;
        self.ledger.went(flow.entry);
        self.ledger.came(Entry { segment: at.segment, bytes, ..flow.entry });
        Ok(bytes)
    }

    /// Writes a flow that the index knows; says where and how many bytes that were.
    fn append_moved(&mut self, flow: flowgate_flow::Flow) -> Result<(BodyRef, u64), StoreError> {
        let mut records = std::mem::take(&mut self.records);
        let mut bodies = self.bodies();
        let before = bodies.written();
        let flow = Prepared::from(flow);
        let at = bodies.at_leisure(|bodies| records.append(flow, RecordKind::Moved, bodies));
        let bytes = bodies.written() - before;
        drop(bodies);
        self.records = records;
        Ok((at?, bytes))
    }

    /// Sites go that no flow names any more, after many flows went.
    fn drop_sites(&mut self) -> Result<bool, StoreError> {
        if self.tending.gone >= FLOWS_GONE_BEFORE_SITES {
            self.tending.gone = 0;
            self.tending.sites_after = Some(0);
        }
        let Some(after) = self.tending.sites_after else { return Ok(false) };
        let last = self.transact(|store| {
            let last = "SELECT max(id) FROM (SELECT id FROM sites WHERE id > ?1 ORDER BY id LIMIT ?2)";
            let last: Option<i64> = store
                .index
                .prepare_cached(last)?
                .query_row(params![after, TEND_FLOWS_MAX as i64], |row| row.get(0))?;
            let delete = "DELETE FROM sites WHERE id > ?1 AND id <= ?2
                          AND NOT EXISTS (SELECT 1 FROM flows WHERE flows.site = sites.id)";
            let delete = last.map(|last| store.index.prepare_cached(delete)?.execute(params![after, last]));
            delete.transpose()?;
            store.sites.clear();
            Ok(last)
        })?;
        self.tending.sites_after = last;
        Ok(last.is_some())
    }

    /// Gives pages of the index back that nothing stands on.
    fn shrink_index(&self) -> Result<bool, StoreError> {
        let (pages, unused) = self.pages()?;
        if unused <= INDEX_PAGES_SPARE.max(pages / 4) {
            return Ok(false);
        }
        let mut vacuum =
            self.index.prepare_cached(&format!("PRAGMA incremental_vacuum({TEND_PAGES_MAX})"))?;
        let mut rows = vacuum.query(())?;
        while rows.next()?.is_some() {}
        drop(rows);
        // An index that an older program made keeps its pages for later.
        Ok(self.pages()?.1 < unused)
    }

    /// How many pages the index has, and how many of them hold nothing.
    fn pages(&self) -> Result<(i64, i64), StoreError> {
        let number =
            |sql| Ok::<i64, StoreError>(self.index.prepare_cached(sql)?.query_row((), |row| row.get(0))?);
        Ok((number("PRAGMA page_count")?, number("PRAGMA freelist_count")?))
    }

    fn page_bytes(&self) -> Result<u64, StoreError> {
        let bytes: i64 = self.index.prepare_cached("PRAGMA page_size")?.query_row((), |row| row.get(0))?;
        Ok(bytes.unsigned_abs())
    }

    fn journal_bytes(&self) -> u64 {
        let mut path = index_path(&self.directory).into_os_string();
        path.push("-wal");
        fs::metadata(path).map_or(0, |file| file.len())
    }

    /// What the store takes on the disk.
    fn disk_bytes(&self) -> Result<u64, StoreError> {
        let bodies =
            self.tending.files.values().sum::<u64>() + self.bodies().current().map_or(0, |(_, bytes)| bytes);
        let index = self.pages()?.0.unsigned_abs() * self.page_bytes()?;
        Ok(bodies + index + self.journal_bytes())
    }
}

/// How many flows go in a step, of so many, so that what is left keeps within the cap.
fn surplus(held: Held, cap: &Cap) -> usize {
    let flows = u64::try_from(held.flows).unwrap_or(0);
    let bytes = u64::try_from(held.bytes).unwrap_or(0);
    let too_many = cap.flows.map_or(0, |most| flows.saturating_sub(most));
    let too_large = cap.bytes.map_or(0, |most| {
        let each = (bytes / flows.max(1)).max(1);
        bytes.saturating_sub(most).div_ceil(each)
    });
    usize::try_from(too_many.max(too_large)).unwrap_or(usize::MAX).min(TEND_FLOWS_MAX)
}

fn select_going(index: &Connection, sql: &str, parameters: &[&dyn ToSql]) -> Result<Vec<Going>, StoreError> {
    let mut select = index.prepare_cached(sql)?;
    let flows = select.query_map(parameters, going)?.collect::<Result<_, _>>()?;
    Ok(flows)
}

fn read(bodies: &BodyReader, (segment, position): (u32, u64)) -> Result<flowgate_flow::Flow, StoreError> {
    match bodies.read(segment, position) {
        Ok(record) => record::read(&record, bodies),
        // Somebody took the file away; the flow is gone with it.
        Err(SegmentError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(StoreError::NoSuchFlow)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_go_as_are_too_many_but_not_all_at_once() {
        let held = |flows, bytes| Held { flows, bytes };
        let flows = |n| Cap { flows: Some(n), bytes: None };
        let bytes = |n| Cap { flows: None, bytes: Some(n) };
        for (held, cap, expected) in [
            (held(10, 100), Cap::default(), 0),
            (held(10, 100), flows(10), 0),
            (held(11, 100), flows(10), 1),
            (held(10_000, 0), flows(0), TEND_FLOWS_MAX),
            (held(10, 100), bytes(100), 0),
            (held(10, 100), bytes(99), 1),
            (held(10, 100), bytes(89), 2),
            (held(10, 100), bytes(0), 10),
            (held(0, 100), bytes(0), 1),
            (held(-1, -1), bytes(0), 0),
        ] {
            assert_eq!(surplus(held, &cap), expected, "{held:?} {cap:?}");
        }
    }
}
