//! Files of flows: mitmproxy's flow format, version 21 read and written without loss, older ones read; HAR; single flows as
//! commands and raw messages.
//!
//! Bytes in, [`Flow`](flowgate_flow::Flow)s out, and back. This crate opens no files and knows no runtime: it reads
//! from a [`BufRead`](std::io::BufRead) and writes to a [`Write`](std::io::Write). What a file claims is believed only
//! as far as its bytes have been read: nothing is allocated from a length that merely stands there, and no input panics.
//!
//! ```text
//! file ── tnetstring::Value ── migrate ────── state ──► Flow ──► state ── tnetstring::Encoder ──► file
//!         bytes to values      to version 21  values to flows             flows to bytes
//! ```
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod reader;
mod writer;

mod state;
mod version;
// Less than a flow, for those who ask of many.
mod heads;
// Older versions.
mod ids;
mod migrate;

pub mod tnetstring;

pub mod export;
pub mod har;
pub mod pcapng;

pub use heads::HeadsReader;
pub use reader::{FlowReader, ReadError, read_state};
pub use state::{Connections, StateError};
pub use version::{FormatVersion, VERSION};
pub use writer::{FlowWriter, write_flow};
