//! Flows on disk: an index that is asked ([`StoreReader`]), and their states and bodies in append-only files beside it.
//!
//! One process writes ([`StoreWriter`]), any number read at the same time. A folder holds `flows.sqlite`, whose rows have what
//! lists show and filters ask, and the segment files ([`BodyWriter`], [`BodyReader`]), where flows and their bodies lie. Nothing that
//! was written to a segment is ever changed or cut off later: one with a torn end is left as it is, and writing goes on in a new one.
//!
//! A flow is saved as soon as it is in a segment file ([`Capture`]). The index is made of these files and may be behind them
//! ([`Indexer`]); a reader that finds it behind waits, or, where nobody writes, brings it up to date itself.
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod reader;
mod writer;

// Writing in its two halves.
mod capture;
mod indexer;
mod locks;
mod tail;

// What is kept for how long.
mod ledger;
mod retention;
mod tend;

mod columns;
mod row;

// What is asked, and how many flows are read for it.
mod asked;
mod query;
mod scan;
mod survey;

mod exchange;
mod prepared;
mod record;
mod schema;
mod texts;

mod body_reader;
mod body_writer;
mod budget;
mod packing;
mod segment;

mod error;
pub mod limits;

pub use body_reader::BodyReader;
pub use body_writer::BodyWriter;
pub use capture::Capture;
pub use columns::Columns;
pub use error::StoreError;
pub use indexer::Indexer;
pub use locks::{WRITER_LOCK, Waits};
pub use prepared::Prepared;
pub use reader::{Hit, Searched, StoreReader};
pub use retention::{Retention, RetentionError, RetentionFault};
pub use row::{Flags, Row};
pub use schema::STORE_VERSION;
pub use segment::{BodyHash, BodyRef, ScanEnd, SegmentError, scan_segment};
pub use survey::{Judge, Question, Seen};
pub use tend::Tended;
pub use writer::StoreWriter;
