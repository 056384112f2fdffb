//! Flows as commands or raw messages, each by itself.
//!
//! One that cannot be exported is told on standard error, and the others are written all the same.

use std::io::{self, Write};

use flowgate_contentview::escape;
use flowgate_flow::Flow;
use flowgate_formats::export::{ExportFormat, ExportOptions, export};
use flowgate_session::{Decoding, Written};

use crate::report;

/// Where what is written goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum To {
    /// A terminal, which would do what raw bytes say.
    Terminal,
    /// Another program.
    Pipe,
    /// A file: raw bytes are as they crossed, with nothing behind the last.
    File,
}

/// Writes flows, each by itself.
pub(super) struct Singles<W> {
    out: W,
    to: To,
    format: ExportFormat,
    options: ExportOptions,
    written: Written,
}

impl<W: Write> Singles<W> {
    pub(super) fn new(format: ExportFormat, options: ExportOptions, to: To, out: W) -> Self {
        Self { out, to, format, options, written: Written::default() }
    }

    pub(super) fn flow(&mut self, flow: &Flow) -> io::Result<()> {
        let mut bytes = match export(flow, self.format, self.options, &Decoding) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.written.left_out += 1;
                report::problem(&format!("flow {}", flow.id), &error);
                return Ok(());
            }
        };
        // Commands have nothing that a terminal would do.
        let is_raw = !matches!(self.format, ExportFormat::Curl | ExportFormat::Httpie);
        if is_raw && self.to == To::Terminal {
            bytes = harmless(&bytes);
        }
        if is_raw && self.to == To::File {
            if self.written.flows > 0 {
                self.out.write_all(b"\n")?;
            }
        } else {
            bytes.push(b'\n');
        }
        self.written.flows += 1;
        self.out.write_all(&bytes)?;
        // A flow at a time, since somebody may wait for it.
        self.out.flush()
    }

    pub(super) fn end(self) -> (W, Written) {
        (self.out, self.written)
    }
}

/// The lines, with what a terminal would take for orders made visible.
fn harmless(bytes: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let end = if line.ends_with(b"\n") { "\n" } else { "" };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        escape::push_line_bytes(&mut text, line.strip_suffix(b"\r").unwrap_or(line));
        text.push_str(end);
    }
    text.into_bytes()
}
