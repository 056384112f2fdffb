//! Which columns of the index are read for a row, in which order they are selected, and how a row is made of them.

use flowgate_flow::{FlowId, Timestamp};
use rusqlite::types::{FromSql, FromSqlResult, ValueRef};

use crate::row::{Flags, OwnedText, Row, id_from, kind_of};

/// Columns of a [`Row`] that are to be read, besides its number, kind and flags. The others are as if the flow had none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Columns(u32);

impl Columns {
    /// None.
    pub const NONE: Self = Self(0);
    /// [`Row::site`].
    pub const SITE: Self = Self(Self::HOST.0 | Self::SAID.0);
    /// [`Row::method`].
    pub const METHOD: Self = Self(1 << 5);
    /// [`Row::url`].
    pub const URL: Self = Self(1 << 6);
    /// [`Row::status`].
    pub const STATUS: Self = Self(1 << 7);
    /// [`Row::duration`].
    pub const DURATION: Self = Self(1 << 2);
    /// [`Row::source`].
    pub const SOURCE: Self = Self(1 << 13);
    /// [`Row::destination`].
    pub const DESTINATION: Self = Self(1 << 14);
    /// [`Row::sni`].
    pub const SNI: Self = Self(1 << 15);
    /// All of them.
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);

    const ID: Self = Self(1);
    const CREATED: Self = Self(1 << 1);
    const HOST: Self = Self(1 << 3);
    const SAID: Self = Self(1 << 4);
    const REQUEST_BYTES: Self = Self(1 << 8);
    const RESPONSE_BYTES: Self = Self(1 << 9);
    const BYTES: Self = Self(1 << 10);
    const REQUEST_TYPE: Self = Self(1 << 11);
    const RESPONSE_TYPE: Self = Self(1 << 12);
    const MARKED: Self = Self(1 << 16);
    const COMMENT: Self = Self(1 << 17);
    const REASON: Self = Self(1 << 18);
    const ERROR: Self = Self(1 << 19);

    /// These and those.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    const fn has(self, column: Self) -> bool {
        self.0 & column.0 != 0
    }

    /// How many there are in a selection.
    pub(crate) const fn count(self) -> usize {
        FIRST + self.0.count_ones() as usize
    }

    /// The columns that are selected for [`Columns::read`].
    pub(crate) fn list(self) -> String {
        let mut list = "flows.number, flows.kind, flows.flags".to_owned();
        for (at, name) in NAMES.iter().enumerate() {
            if self.has(Self(1 << at)) {
                list.push_str(", ");
                list.push_str(name);
            }
        }
        list
    }

    /// The tables that have them.
    pub(crate) const fn tables(self) -> &'static str {
        if self.has(Self::SITE) { "flows LEFT JOIN sites ON sites.id = flows.site" } else { "flows" }
    }

    /// The row of a selection that begins with [`Columns::list`]. By their places: looking names up takes longer than all the rest.
    pub(crate) fn read(self, row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
        let mut cells = Cells { row, columns: self, next: FIRST };
        Ok(Row {
            number: row.get(0)?,
            kind: kind_of(row.get(1)?),
            flags: Flags(row.get(2)?),
            id: cells.take::<Id>(Self::ID)?.map_or(FlowId::Uuid(0), |id| id.0),
            created: Timestamp(cells.take(Self::CREATED)?.unwrap_or_default()),
            duration: cells.take(Self::DURATION)?,
            site: cells.bytes(Self::HOST)?.zip(cells.bytes(Self::SAID)?),
            method: cells.bytes(Self::METHOD)?,
            url: cells.bytes(Self::URL)?,
            status: cells.take(Self::STATUS)?,
            request_bytes: cells.size(Self::REQUEST_BYTES)?,
            response_bytes: cells.size(Self::RESPONSE_BYTES)?,
            bytes: cells.size(Self::BYTES)?,
            request_type: cells.bytes(Self::REQUEST_TYPE)?,
            response_type: cells.bytes(Self::RESPONSE_TYPE)?,
            source: cells.take(Self::SOURCE)?,
            destination: cells.take(Self::DESTINATION)?,
            sni: cells.take(Self::SNI)?,
            marked: cells.take(Self::MARKED)?.unwrap_or_default(),
            comment: cells.take(Self::COMMENT)?.unwrap_or_default(),
            reason: cells.take(Self::REASON)?.unwrap_or_default(),
            error: cells.take(Self::ERROR)?,
        })
    }
}

/// Number, kind and flags stand before all others.
const FIRST: usize = 3;

/// The column of each bit.
const NAMES: [&str; 20] = [
    "flows.id",
    "created",
    "duration",
    "sites.host",
    "sites.said",
    "method",
    "url",
    "status",
    "request_bytes",
    "response_bytes",
    "bytes",
    "request_type",
    "response_type",
    "source",
    "destination",
    "sni",
    "marked",
    "comment",
    "reason",
    "error",
];

/// Cells of a row, taken one by one in the order of the list.
struct Cells<'r, 's> {
    row: &'r rusqlite::Row<'s>,
    columns: Columns,
    next: usize,
}

impl Cells<'_, '_> {
    /// `None` if the column was not selected, or has nothing in this row.
    fn take<T: FromSql>(&mut self, column: Columns) -> rusqlite::Result<Option<T>> {
        if !self.columns.has(column) {
            return Ok(None);
        }
        let at = self.next;
        self.next += 1;
        self.row.get(at)
    }

    fn bytes(&mut self, column: Columns) -> rusqlite::Result<Option<Vec<u8>>> {
        Ok(self.take::<OwnedText>(column)?.map(|text| text.0))
    }

    fn size(&mut self, column: Columns) -> rusqlite::Result<Option<u64>> {
        Ok(self.take(column)?.map(i64::unsigned_abs))
    }
}

struct Id(FlowId);

impl FromSql for Id {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        id_from(value).map(Self)
    }
}
