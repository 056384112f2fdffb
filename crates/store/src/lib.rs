//! Flows on disk. So far their bodies: [`BodyWriter`] appends them to segment files, [`BodyRef`] finds them again.
//!
//! One process writes, any number read at the same time. Nothing that was written is ever changed or cut off later:
//! a file with a torn end is left as it is, and writing goes on in a new one.
#![forbid(unsafe_code)]

mod body_reader;
mod body_writer;
pub mod limits;
mod segment;

pub use body_reader::{open_body, verify_body};
pub use body_writer::BodyWriter;
pub use segment::{BodyHash, BodyRef, ScanEnd, SegmentError, scan_segment};
