//! Asks a store, while another process may be writing to it.

use std::cmp::Ordering;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use flowgate_filter::{BodyDecoder, Filter, Kind};
use flowgate_flow::{Flow, FlowId};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use crate::asked::{Asked, Candidate, Finding, Search};
use crate::body_reader::BodyReader;
use crate::body_writer::segment_files;
use crate::columns::Columns;
use crate::error::StoreError;
use crate::limits::{INDEX_WAIT_INTERVAL, INDEX_WAIT_MAX};
use crate::locks;
use crate::query::{Condition, FullText, Regexes};
use crate::record::{self, Searchable};
use crate::row::{Flags, Row, id_value, kind_number};
use crate::scan::{self, Hands, Work as _};
use crate::schema::{self, Opened};
use crate::segment::{MAGIC, SegmentError, path_of};
use crate::writer::StoreWriter;

/// A reader of a store. Any number may read one store.
#[derive(Debug)]
pub struct StoreReader {
    pub(crate) directory: PathBuf,
    pub(crate) index: Connection,
    bodies: BodyReader,
}

/// A flow that was found.
#[derive(Debug)]
pub struct Hit<'a> {
    /// What a list shows of it.
    pub row: Row,
    place: Place,
    reader: &'a StoreReader,
    /// What a filter was asked of already.
    read: Option<Box<Searchable>>,
}

/// In which segment file a flow's record lies, and where in it.
pub(crate) type Place = (u32, u64);

impl Hit<'_> {
    /// The flow itself; its large bodies are read when they are used.
    ///
    /// # Errors
    /// What the medium says, that the flow is damaged, or that it is there no more.
    pub fn flow(self) -> Result<Flow, StoreError> {
        if let Some(read) = self.read
            && let Ok(flow) = read.complete(&self.reader.bodies)
        {
            return Ok(flow);
        }
        let read =
            |place: Place| record::read(&self.reader.bodies.read(place.0, place.1)?, &self.reader.bodies);
        found_again(&self.reader.directory, self.row.number, self.place, read)
    }
}

/// How a search ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Searched {
    /// A pattern took too many steps on a flow and counted as not found.
    pub gave_up: bool,
    /// So many flows had to be read and could not be.
    pub unreadable: u64,
    /// The number of the last flow that was looked at or found.
    pub last: i64,
}

impl Searched {
    /// Counts what a flow was to the search; gives back what was read of it if it was found.
    fn count(&mut self, finding: Finding) -> Option<Option<Box<Searchable>>> {
        self.gave_up |= finding.gave_up;
        finding.read.unwrap_or_else(|error| {
            self.count_unreadable(&error);
            None
        })
    }

    /// Counts a flow that could not be read.
    pub(crate) fn count_unreadable(&mut self, error: &StoreError) {
        // It may have gone after the search began.
        if !matches!(error, StoreError::NoSuchFlow) {
            self.unreadable += 1;
        }
    }
}

impl StoreReader {
    /// Opens the store in this folder. One of an older version is brought up to date, if nobody writes to it.
    ///
    /// # Errors
    /// That there is none, or what the medium says.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let index = match schema::open_for_reading(directory)? {
            Opened::Current(index) => index,
            Opened::Older => {
                drop(StoreWriter::open(directory)?);
                match schema::open_for_reading(directory)? {
                    Opened::Current(index) => index,
                    Opened::Older => return Err(StoreError::Bodies(SegmentError::Locked)),
                }
            }
        };
        Ok(Self { directory: directory.to_owned(), index, bodies: BodyReader::new(directory) })
    }

    /// How many bytes of saved flows the index does not know of yet. Every search brings it up to date first, which takes about a
    /// second for each 30 MB.
    ///
    /// # Errors
    /// What the medium says.
    pub fn behind(&self) -> Result<u64, StoreError> {
        let (segment, offset) = schema::indexed(&self.index)?;
        let unknown = |(number, bytes): (u32, u64)| match number.cmp(&segment) {
            Ordering::Less => 0,
            Ordering::Equal => bytes.saturating_sub(offset.max(MAGIC.len() as u64)),
            Ordering::Greater => bytes.saturating_sub(MAGIC.len() as u64),
        };
        Ok(segment_files(&self.directory)?.into_iter().map(unknown).sum())
    }

    /// Waits until the index knows of all flows that are written now. If nobody is there to tell it, that is done here.
    ///
    /// # Errors
    /// What the medium says, or that another process is at it and makes no progress.
    pub fn catch_up(&self) -> Result<(), StoreError> {
        let mut waiting = None;
        let (mut progress, mut since) = ((0, 0), Instant::now());
        let Some((segment, bytes)) = segment_files(&self.directory)?.pop_last() else { return Ok(()) };
        loop {
            // A write that failed is taken back.
            let now = fs::metadata(path_of(&self.directory, segment)).map_or(0, |file| file.len());
            let end = bytes.min(now);
            let indexed = schema::indexed(&self.index)?;
            if indexed >= (segment, if end <= MAGIC.len() as u64 { 0 } else { end }) {
                return Ok(());
            }
            if indexed > progress {
                (progress, since) = (indexed, Instant::now());
            }
            if waiting.is_none() {
                waiting = Some(locks::wait(&self.directory));
            }
            match StoreWriter::catch_up(&self.directory) {
                Err(StoreError::Bodies(SegmentError::Locked)) => {}
                // What is torn is left behind as well.
                caught_up => return caught_up,
            }
            if locks::is_failing(&self.directory) || since.elapsed() >= INDEX_WAIT_MAX {
                return Err(StoreError::Behind);
            }
            // Another process is at it, and nothing tells us when it is done; to wake too early does no harm.
            thread::park_timeout(INDEX_WAIT_INTERVAL);
        }
    }

    /// Hands each flow that the filter means and whose number is above `after` to `each`, in the order of their numbers,
    /// until it breaks off. What was saved before is there.
    ///
    /// # Errors
    /// What the medium says. If all that is wrong is that the index cannot be told of the flows that were saved last, on a full disk
    /// for one, the others are handed out before.
    pub fn search<B>(
        &self,
        filter: Option<&Filter>,
        after: i64,
        decoder: &(dyn BodyDecoder + Sync),
        mut each: impl FnMut(Hit<'_>) -> ControlFlow<B>,
    ) -> Result<(Searched, Option<B>), StoreError> {
        let caught_up = self.catch_up();
        let full_text = FullText::of(&self.index)?;
        let mut condition = filter
            .map_or_else(|| Condition::everything(true), |filter| Condition::of(filter.expr(), full_text));
        let regexes = Regexes::install(condition.regexes.iter().cloned(), &self.index)?;
        let mut statement = if let Ok(statement) = self.index.prepare(&select(&condition)) {
            statement
        } else {
            // More than SQLite takes: the filter is asked of each flow.
            condition = Condition::everything(false);
            self.index.prepare(&select(&condition))?
        };
        let parameters = condition.parameters.iter().cloned().chain([Value::Integer(after)]);
        let mut rows = statement.query(params_from_iter(parameters))?;
        let mut searched = Searched { last: after, ..Searched::default() };
        let hit = |row, place, read| Hit { row, place, reader: self, read };
        let search = |filter, needle| Search {
            directory: &self.directory,
            asked: Asked::new(filter, decoder, needle),
        };
        let broken = match filter.filter(|_| !condition.exact) {
            Some(filter) => {
                let mut by_number = self.index.prepare(&select_row())?;
                let found = scan::scan(
                    &search(filter, condition.needle.clone()),
                    || Ok(rows.next()?.map(candidate).transpose()?),
                    |at, finding| {
                        searched.last = at.number;
                        let Some(read) = searched.count(finding) else {
                            return Ok(ControlFlow::Continue(()));
                        };
                        let mut found = by_number.query([at.number])?;
                        let Some(row) = found.next()? else { return Ok(ControlFlow::Continue(())) };
                        Ok(each(hit(Columns::ALL.read(row)?, at.place, read)))
                    },
                );
                found?
            }
            None => {
                // Of what the columns have only a part the flow itself is asked.
                let cut = filter.map(|filter| search(filter, None));
                let mut hands = None;
                let mut broken = None;
                while let Some(row) = rows.next()? {
                    let (row, place) = (Columns::ALL.read(row)?, place(row, Columns::ALL.count())?);
                    searched.last = row.number;
                    let mut read = None;
                    if let Some(cut) = cut.as_ref().filter(|_| row.flags.has(Flags::CUT)) {
                        let hands = hands.get_or_insert_with(|| Hands::new(&self.directory));
                        let at = Candidate { number: row.number, place, is_dns: false };
                        match searched.count(cut.ask(&at, hands)) {
                            Some(found) => read = found,
                            None => continue,
                        }
                    }
                    if let ControlFlow::Break(value) = each(hit(row, place, read)) {
                        broken = Some(value);
                        break;
                    }
                }
                broken
            }
        };
        searched.gave_up |= regexes.gave_up(condition.numbers());
        if broken.is_none() {
            caught_up?;
        }
        Ok((searched, broken))
    }

    /// The flows whose id begins with this text, at most `count_max` of them.
    ///
    /// # Errors
    /// What the medium says.
    pub fn by_id(&self, beginning: &str, count_max: usize) -> Result<Vec<Hit<'_>>, StoreError> {
        let caught_up = self.catch_up();
        let (from, until) = id_range(beginning);
        let sql = format!(
            "{} WHERE flows.id >= ?1 AND flows.id <= ?2 OR flows.id >= ?3 AND flows.id < ?4 LIMIT ?5",
            select_rows()
        );
        let mut statement = self.index.prepare_cached(&sql)?;
        let text = Value::Text(beginning.to_owned());
        // Behind every text that begins so.
        let behind = Value::Text(format!("{beginning}\u{10ffff}"));
        let limit = Value::Integer(i64::try_from(count_max).unwrap_or(i64::MAX));
        let mut rows = statement.query(params_from_iter([from, until, text, behind, limit]))?;
        let mut hits = Vec::new();
        while let Some(row) = rows.next()? {
            let place = place(row, Columns::ALL.count())?;
            hits.push(Hit { row: Columns::ALL.read(row)?, place, reader: self, read: None });
        }
        if hits.is_empty() {
            caught_up?;
        }
        Ok(hits)
    }

    /// How many flows there are, or as many as the index can be told of.
    ///
    /// # Errors
    /// What the medium says.
    pub fn count(&self) -> Result<u64, StoreError> {
        // Who looks for them is told.
        let _ = self.catch_up();
        let count: i64 = self.index.query_row("SELECT count(*) FROM flows", (), |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }
}

/// Whole rows, and behind each its place.
fn select_rows() -> String {
    format!("SELECT {}, segment, position FROM {}", Columns::ALL.list(), Columns::ALL.tables())
}

/// The whole row of a number.
pub(crate) fn select_row() -> String {
    format!("{} WHERE number = ?", select_rows())
}

fn select(condition: &Condition) -> String {
    let Condition { sql, indexed, exact, .. } = condition;
    // Where flows have to be read, rows are only of those that are found then.
    let select =
        if *exact { select_rows() } else { "SELECT number, kind, segment, position FROM flows".to_owned() };
    if *indexed {
        // The numbers first, from the index alone where that is enough; then the rows in order.
        format!(
            "{select} WHERE number IN (SELECT number FROM flows WHERE {sql}) AND number > ? ORDER BY number"
        )
    } else {
        format!("{select} WHERE {sql} AND number > ? ORDER BY number")
    }
}

fn candidate(row: &rusqlite::Row<'_>) -> rusqlite::Result<Candidate> {
    let is_dns = row.get::<_, i64>(1)? == kind_number(Kind::Dns);
    Ok(Candidate { number: row.get(0)?, place: place(row, 2)?, is_dns })
}

/// Reads the flow of this number, which was at that place when the search began. If the file is gone since then, the flow was moved,
/// or is gone itself: the index as it is now knows.
pub(crate) fn found_again<T>(
    directory: &Path,
    number: i64,
    at: Place,
    read: impl Fn(Place) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    match read(at) {
        Err(error) if is_gone(&error) => {}
        read => return read,
    }
    let Opened::Current(index) = schema::open_for_reading(directory)? else {
        return Err(StoreError::NoSuchFlow);
    };
    let select = "SELECT segment, position FROM flows WHERE number = ?1";
    let at =
        index.query_row(select, [number], |row| place(row, 0)).optional()?.ok_or(StoreError::NoSuchFlow)?;
    read(at)
}

/// Whether the file is gone that had a flow.
pub(crate) fn is_gone(error: &StoreError) -> bool {
    matches!(error, StoreError::Bodies(SegmentError::Io(error)) if error.kind() == io::ErrorKind::NotFound)
}

/// The ids in the index that a beginning of a UUID's text may mean; an empty range if it is none.
fn id_range(beginning: &str) -> (Value, Value) {
    let empty = || (Value::Blob(vec![0xff; 17]), Value::Blob(Vec::new()));
    let digits: String = beginning.chars().filter(|c| *c != '-').collect();
    let hyphens_fit = beginning.char_indices().all(|(at, c)| (c == '-') == matches!(at, 8 | 13 | 18 | 23));
    if digits.is_empty() {
        return (Value::Blob(Vec::new()), Value::Blob(vec![0xff; 17]));
    }
    if digits.len() > 32 || !hyphens_fit || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return empty();
    }
    let number = |filler: char| {
        let all: String = digits.chars().chain(std::iter::repeat(filler)).take(32).collect();
        u128::from_str_radix(&all, 16).map(FlowId::Uuid)
    };
    match (number('0'), number('f')) {
        (Ok(from), Ok(until)) => (id_value(&from), id_value(&until)),
        _ => empty(),
    }
}

/// The segment and position that stand at this column.
pub(crate) fn place(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Place> {
    Ok((row.get(at)?, row.get::<_, i64>(at + 1)?.unsigned_abs()))
}
