//! What `flowgate dump` prints: flows and event log lines as text, and the writer that prints them.
//!
//! Rendering is pure ([`Dumper`], [`TermLog`]): a flow or an event in, text added to a `String`. Only [`Output`] writes, and
//! [`run`] is the tool itself. The plain text is mitmdump's (12.2.3), byte for byte where mitmdump has no bug; each difference stands at its
//! place as `Differs from mitmproxy` and `tests/oracle.rs` holds the two against each other.
//!
//! Invariant: whatever a flow or an event holds, no control character is printed but line feed, tab inside bodies and, when
//! styled, the SGR sequences written here. So nothing that was intercepted can drive the terminal or forge the line of
//! another flow or event ([`flowgate_contentview::escape`] says how it is shown).
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod body_message;
mod content;
mod dns;
mod dumper;
mod http;
mod raw;
mod websocket;

pub mod human;
mod reason;
mod style;

mod output;
mod termlog;

mod filters;
mod printer;
mod tool;
mod waiting;

pub use dumper::Dumper;
pub use filters::BadFilter;
pub use output::{Output, OutputError};
pub use style::Style;
pub use termlog::{Event, LocalTime, TermLog, TimeZoneError};
pub use tool::{Command, Companion, DumpError, Listening, SHUTDOWN_GRACE, Watcher, run, run_with};
pub use waiting::{show_while, tell_while};
