//! Writing flows to a file or any other output, one item each.
//!
//! A file is a row of items without a header: appending is writing. Bodies are not gathered: see
//! [`Encoder`](crate::tnetstring::Encoder).

use std::io::Write;

use flowgate_flow::Flow;

use crate::state::{self, Elsewhere, KnownConnections};
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
        self.write(out, flow, Elsewhere { certificates: states, connections: false })
    }

    /// Appends one flow as [`FlowWriter::write_flow`] writes it, but without its connections and all that is said of them: for who keeps
    /// these elsewhere, as [`read_state`](crate::read_state) takes them.
    ///
    /// # Errors
    /// As there.
    pub fn append_without_connections(&mut self, out: &mut Vec<u8>, flow: &Flow) -> Result<(), WriteError> {
        let elsewhere = Elsewhere { certificates: 1, connections: true };
        self.encode(flow, elsewhere)?;
        out.reserve(usize::try_from(self.encoder.len()).unwrap_or(0));
        self.encoder.write_to(out)
    }

    fn write(&mut self, out: &mut impl Write, flow: &Flow, elsewhere: Elsewhere) -> Result<(), WriteError> {
        self.encode(flow, elsewhere)?;
        self.encoder.write_to(out)
    }

    fn encode(&mut self, flow: &Flow, elsewhere: Elsewhere) -> Result<(), WriteError> {
        state::write(flow, elsewhere, &mut self.known, &mut self.encoder)
            .inspect_err(|_| self.encoder.clear())
    }
}

/// Writes one flow. For more than a few, a [`FlowWriter`] saves the allocations.
///
/// # Errors
/// As [`FlowWriter::write_flow`].
pub fn write_flow(out: &mut impl Write, flow: &Flow) -> Result<(), WriteError> {
    FlowWriter::new().write_flow(out, flow)
}
