//! Asks a store, while another process may be writing to it.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use flowgate_filter::{BodyDecoder, Filter};
use flowgate_flow::{Flow, FlowId, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use crate::body_reader::BodyReader;
use crate::error::StoreError;
use crate::query::Condition;
use crate::record;
use crate::row::{Flags, OwnedText, Row, id_from, id_value, kind_of};
use crate::schema::{self, Opened};
use crate::segment::SegmentError;
use crate::writer::StoreWriter;

/// A reader of a store. Any number may read one store.
#[derive(Debug)]
pub struct StoreReader {
    directory: PathBuf,
    index: Connection,
    bodies: BodyReader,
}

/// A flow that was found.
#[derive(Debug)]
pub struct Hit<'a> {
    /// What a list shows of it.
    pub row: Row,
    place: (u32, u64),
    reader: &'a StoreReader,
    flow: Option<Flow>,
}

impl Hit<'_> {
    /// The flow itself; its large bodies are read when they are used.
    ///
    /// # Errors
    /// What the medium says, that the flow is damaged, or that it is there no more.
    pub fn flow(self) -> Result<Flow, StoreError> {
        match self.flow {
            Some(flow) => Ok(flow),
            None => self.reader.read_flow(self.row.number, self.place),
        }
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

    /// Hands each flow that the filter means and whose number is above `after` to `each`, in the order of their numbers,
    /// until it breaks off.
    ///
    /// # Errors
    /// What the medium says.
    pub fn search<B>(
        &self,
        filter: Option<&Filter>,
        after: i64,
        decoder: &dyn BodyDecoder,
        mut each: impl FnMut(Hit<'_>) -> ControlFlow<B>,
    ) -> Result<(Searched, Option<B>), StoreError> {
        let mut condition =
            filter.map_or_else(|| Condition::everything(true), |filter| Condition::of(filter.expr()));
        let gave_up = condition.install(&self.index)?;
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
        let mut broken = None;
        while let Some(row) = rows.next()? {
            let (row, place) = (read_row(row)?, (row.get("segment")?, offset(row)?));
            searched.last = row.number;
            let mut flow = None;
            if let Some(filter) = filter.filter(|_| !condition.exact || row.flags.has(Flags::CUT)) {
                let read = match self.read_flow(row.number, place) {
                    Ok(read) => read,
                    // It went after the search began.
                    Err(StoreError::NoSuchFlow) => continue,
                    Err(_) => {
                        searched.unreadable += 1;
                        continue;
                    }
                };
                let answer = filter.ask(&read, decoder);
                searched.gave_up |= answer.gave_up;
                if !answer.matched {
                    continue;
                }
                flow = Some(read);
            }
            if let ControlFlow::Break(value) = each(Hit { row, place, reader: self, flow }) {
                broken = Some(value);
                break;
            }
        }
        searched.gave_up |= gave_up.load(Ordering::Relaxed);
        Ok((searched, broken))
    }

    /// The flows whose id begins with this text, at most `count_max` of them.
    ///
    /// # Errors
    /// What the medium says.
    pub fn by_id(&self, beginning: &str, count_max: usize) -> Result<Vec<Hit<'_>>, StoreError> {
        let (from, until) = id_range(beginning);
        let sql = format!(
            "{SELECT} WHERE flows.id >= ?1 AND flows.id <= ?2 OR flows.id >= ?3 AND flows.id < ?4 LIMIT ?5"
        );
        let mut statement = self.index.prepare_cached(&sql)?;
        let text = Value::Text(beginning.to_owned());
        // Behind every text that begins so.
        let behind = Value::Text(format!("{beginning}\u{10ffff}"));
        let limit = Value::Integer(i64::try_from(count_max).unwrap_or(i64::MAX));
        let mut rows = statement.query(params_from_iter([from, until, text, behind, limit]))?;
        let mut hits = Vec::new();
        while let Some(row) = rows.next()? {
            let place = (row.get("segment")?, offset(row)?);
            hits.push(Hit { row: read_row(row)?, place, reader: self, flow: None });
        }
        Ok(hits)
    }

    /// The flow of this number, which was at that place when the search began. If the file is gone since then, the flow was moved, or
    /// is gone itself: the index as it is now knows.
    fn read_flow(&self, number: i64, place: (u32, u64)) -> Result<Flow, StoreError> {
        match read_at(&self.bodies, place) {
            Err(StoreError::Bodies(SegmentError::Io(error))) if error.kind() == io::ErrorKind::NotFound => {}
            read => return read,
        }
        let Opened::Current(index) = schema::open_for_reading(&self.directory)? else {
            return Err(StoreError::NoSuchFlow);
        };
        let select = "SELECT segment, position FROM flows WHERE number = ?1";
        let place = index
            .query_row(select, [number], |row| Ok((row.get("segment")?, offset(row)?)))
            .optional()?
            .ok_or(StoreError::NoSuchFlow)?;
        read_at(&self.bodies, place)
    }

    /// How many flows there are.
    ///
    /// # Errors
    /// What the medium says.
    pub fn count(&self) -> Result<u64, StoreError> {
        let count: i64 = self.index.query_row("SELECT count(*) FROM flows", (), |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }
}

const SELECT: &str =
    "SELECT flows.*, sites.host, sites.said FROM flows LEFT JOIN sites ON sites.id = flows.site";

fn select(condition: &Condition) -> String {
    let Condition { sql, indexed, .. } = condition;
    if *indexed {
        // The numbers first, from the index alone where that is enough; then the rows in order.
        format!(
            "{SELECT} WHERE number IN (SELECT number FROM flows WHERE {sql}) AND number > ? ORDER BY number"
        )
    } else {
        format!("{SELECT} WHERE {sql} AND number > ? ORDER BY number")
    }
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

fn read_at(bodies: &BodyReader, (segment, offset): (u32, u64)) -> Result<Flow, StoreError> {
    record::read(&bodies.read(segment, offset)?, bodies)
}

fn offset(row: &rusqlite::Row<'_>) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>("position")?.unsigned_abs())
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let bytes =
        |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<OwnedText>>(column)?.map(|text| text.0));
    let size =
        |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(i64::unsigned_abs));
    let text =
        |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<String>>(column)?.unwrap_or_default());
    Ok(Row {
        number: row.get("number")?,
        id: id_from(row.get_ref("id")?)?,
        kind: kind_of(row.get("kind")?),
        created: Timestamp(row.get("created")?),
        duration: row.get("duration")?,
        site: bytes("host")?.zip(bytes("said")?),
        method: bytes("method")?,
        url: bytes("url")?,
        status: row.get("status")?,
        request_bytes: size("request_bytes")?,
        response_bytes: size("response_bytes")?,
        bytes: size("bytes")?,
        request_type: bytes("request_type")?,
        response_type: bytes("response_type")?,
        flags: Flags(row.get("flags")?),
        source: row.get("source")?,
        destination: row.get("destination")?,
        sni: row.get("sni")?,
        marked: text("marked")?,
        comment: text("comment")?,
        reason: text("reason")?,
        error: row.get("error")?,
    })
}
