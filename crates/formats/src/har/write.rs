//! Writing: entries as they come, one on a line.

use std::collections::HashSet;
use std::io::{self, Write};

use flowgate_filter::BodyDecoder;
use flowgate_flow::{Flow, FlowId, FlowKind};

use super::export;

/// Writes a HAR file, entry by entry.
///
/// [`BEGINNING`](Self::BEGINNING), flows, [`END`](Self::END): whoever can go back in the output may write the end after each
/// flow and then over it, so that the file is whole whenever the program is killed.
#[derive(Debug, Default)]
pub struct HarWriter {
    entries: u64,
    skipped: u64,
    /// Server connections whose opening was told.
    seen: HashSet<FlowId>,
    line: Vec<u8>,
}

impl HarWriter {
    /// What stands before the entries.
    pub const BEGINNING: &str = concat!(
        r#"{"log": {"version": "1.2", "creator": {"name": "flowgate", "version": ""#,
        env!("CARGO_PKG_VERSION"),
        r#""}, "pages": [], "entries": ["#
    );
    /// What stands behind them.
    pub const END: &str = "\n]}}\n";

    /// A writer that has written nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes the entry of a flow, in one write; nothing for a flow that is not HTTP, for which HAR has no place.
    ///
    /// # Errors
    /// What the output or a stored body says. A part may have been written.
    pub fn write_flow(
        &mut self,
        out: &mut impl Write,
        flow: &Flow,
        decoder: &dyn BodyDecoder,
    ) -> io::Result<()> {
        let FlowKind::Http(http) = &flow.kind else {
            self.skipped += 1;
            return Ok(());
        };
        if self.seen.len() >= CONNECTIONS_SEEN_MAX {
            self.seen.clear();
        }
        let is_first = self.seen.insert(flow.server.connection.id.clone());
        let entry = export::entry(flow, http, is_first, decoder)?;
        self.line.clear();
        self.line.extend_from_slice(if self.entries == 0 { b"\n" } else { b",\n" });
        serde_json::to_writer(&mut self.line, &entry)?;
        let written = out.write_all(&self.line);
        if self.line.capacity() > LINE_KEPT_BYTES_MAX {
            self.line = Vec::new();
        }
        written?;
        self.entries += 1;
        Ok(())
    }

    /// Forgets entries whose bytes did not reach their place after all: so many are left.
    pub fn take_back(&mut self, entries: u64) {
        self.entries = self.entries.min(entries);
        // Which connections were told of with them is not known any more; better told twice than never.
        self.seen.clear();
    }

    /// Entries written.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// Flows that were not HTTP.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }
}

/// Beyond, a connection may be told of twice.
const CONNECTIONS_SEEN_MAX: usize = 65_536;
/// A larger buffer is given back after its entry.
const LINE_KEPT_BYTES_MAX: usize = 1 << 20;
