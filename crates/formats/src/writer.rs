//! Writing flows to a file or any other output, one item each.
//!
//! A file is a row of items without a header: appending is writing. Bodies are not gathered: see
//! [`Encoder`](crate::tnetstring::Encoder).

use std::io::Write;

use flowgate_flow::Flow;

use crate::state::{self, KnownConnections};
use crate::tnetstring::{Encoder, WriteError};

/// Writes flows; keeps its buffer from one flow to the next, and how connections look that several flows have.
#[derive(Debug, Default)]
pub struct FlowWriter {
    encoder: Encoder,
    known: KnownConnections,
}

impl FlowWriter {
    /// A writer that has written nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes one flow. One write for a flow with small contents; else one for each larger content and one for each
    /// stretch between. Nothing is flushed.
    ///
    /// # Errors
    /// See [`WriteError`]: after a failed output or stored body a part of the flow may stand in the output. A file should
    /// then be cut back to its length from before, or what is written after it cannot be read.
    pub fn write_flow(&mut self, out: &mut impl Write, flow: &Flow) -> Result<(), WriteError> {
        self.write_flow_but_certificates(out, flow, 0)
    }

    /// Writes one flow as [`FlowWriter::write_flow`] does, but so many of its states (the flow, what it was before an edit, and so
    /// on) as if they had no certificates: for who keeps these elsewhere.
    ///
    /// # Errors
    /// As there.
    pub fn write_flow_but_certificates(
        &mut self,
        out: &mut impl Write,
        flow: &Flow,
        states: usize,
    ) -> Result<(), WriteError> {
        if let Err(error) = state::write(flow, states, &mut self.known, &mut self.encoder) {
            self.encoder.clear();
            return Err(error);
        }
        self.encoder.write_to(out)
    }
}

/// Writes one flow. For more than a few, a [`FlowWriter`] saves the allocations.
///
/// # Errors
/// As [`FlowWriter::write_flow`].
pub fn write_flow(out: &mut impl Write, flow: &Flow) -> Result<(), WriteError> {
    FlowWriter::new().write_flow(out, flow)
}
