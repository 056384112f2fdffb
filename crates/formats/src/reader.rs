//! Reading a flow file, flow by flow.
//!
//! Two kinds of wrong are kept apart. A flow that is wrong in itself is reported and the next one is read: its frame says
//! where that begins. When a frame is wrong or the input fails, nothing after it can be trusted and reading ends.

use std::cell::OnceCell;
use std::io::{self, BufRead};

use bytes::Bytes;
use flowgate_flow::Flow;

use crate::migrate::{self, Handshakes};
use crate::state::{self, Connections, StateError};
use crate::tnetstring::{self, FrameError, Limits, Problem, SyntaxError};
use crate::{FormatVersion, VERSION};

/// The flows of a file, in order.
///
/// After an error the iterator goes on with the next flow if it can tell where that begins; else it ends.
#[derive(Debug)]
pub struct FlowReader<R> {
    input: R,
    limits: Limits,
    offset: u64,
    flows: u64,
    place: Place,
    handshakes: Handshakes,
}

/// Why a flow, or the rest of a file, cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The input failed. Reading ends.
    #[error("cannot read the flow file at byte {offset} after {flows} flows")]
    Io {
        /// Bytes read before.
        offset: u64,
        /// Flows read before.
        flows: u64,
        /// What the input says.
        #[source]
        error: io::Error,
    },
    /// Bytes that are not what the format has there, or the end of the file within a flow. Reading ends, unless only the
    /// inside of one flow is wrong.
    #[error("flow file corrupted at byte {offset} after {flows} flows")]
    Corrupted {
        /// Where the wrong bytes begin, or where the file ends.
        offset: u64,
        /// Flows read before.
        flows: u64,
        /// What was expected there.
        #[source]
        problem: Problem,
    },
    /// The file begins as JSON does: with `{`, white space or a byte order mark. HAR, most likely. Reading ends; nothing was taken from
    /// the input, see [`FlowReader::into_inner`].
    #[error("this is HAR or other JSON, not a flow file")]
    Json,
    /// A version from before the ones that are read. Reading goes on with the next flow.
    #[error("flow {} at byte {offset} has flow format version {version}; versions before 0.11 are not read", flows + 1)]
    UnsupportedVersion {
        /// What stands there.
        version: FormatVersion,
        /// Where the flow begins.
        offset: u64,
        /// Flows read before.
        flows: u64,
    },
    /// A version from after the ones that are known. Reading goes on with the next flow.
    #[error(
        "flow {} at byte {offset} has flow format version {version}: a newer program wrote it (this one knows up to {VERSION})",
        flows + 1
    )]
    NewerVersion {
        /// What stands there.
        version: FormatVersion,
        /// Where the flow begins.
        offset: u64,
        /// Flows read before.
        flows: u64,
    },
    /// An item that is well formed and yet not a flow. Reading goes on with the next one.
    #[error("flow {} at byte {offset} is not a flow of format version {VERSION}", flows + 1)]
    Malformed {
        /// Where the item begins.
        offset: u64,
        /// Flows read before.
        flows: u64,
        /// What is wrong with it.
        #[source]
        error: StateError,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Beginning,
    Between,
    Ended,
}

impl<R: BufRead> FlowReader<R> {
    /// Reads within the default limits.
    #[must_use]
    pub fn new(input: R) -> Self {
        Self::with_limits(input, Limits::default())
    }

    /// Reads within other limits.
    #[must_use]
    pub fn with_limits(input: R, limits: Limits) -> Self {
        Self {
            input,
            limits,
            offset: 0,
            flows: 0,
            place: Place::Beginning,
            handshakes: Handshakes::default(),
        }
    }

    /// How many flows have been read.
    #[must_use]
    pub const fn flows(&self) -> u64 {
        self.flows
    }

    /// How many bytes have been read.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The input as it stands: after [`ReadError::Json`] a reader of HAR can begin with it.
    pub fn into_inner(self) -> R {
        self.input
    }

    fn read(&mut self) -> Result<Option<Flow>, ReadError> {
        // Whatever goes wrong before the frame is read whole ends the reading.
        if std::mem::replace(&mut self.place, Place::Ended) == Place::Beginning {
            self.check_beginning()?;
        }
        self.read_frame(None)
    }

    /// The flow in the next frame, with these connections if there are any.
    fn read_frame(&mut self, connections: Option<&Connections>) -> Result<Option<Flow>, ReadError> {
        let start = self.offset;
        let frame = tnetstring::read_frame(&mut self.input, &mut self.offset, &self.limits)
            .map_err(|error| self.ended_by(error))?;
        let Some(frame) = frame else { return Ok(None) };
        self.place = Place::Between;

        let item = Bytes::from(frame.payload);
        let shelf = OnceCell::new();
        let value = tnetstring::parse(&item, frame.kind, frame.payload_offset, &self.limits)
            .map_err(|error| self.corrupted(error))?;
        let value = migrate::to_current(value, &item, &mut self.handshakes, &shelf);
        let flow = state::read(value, &item, connections).map_err(|error| self.malformed(start, error))?;
        self.flows += 1;
        Ok(Some(flow))
    }

    /// Looks for JSON, without taking anything. Flow files begin with a digit.
    fn check_beginning(&mut self) -> Result<(), ReadError> {
        loop {
            match self.input.fill_buf() {
                Ok([b'{' | b' ' | b'\t' | b'\r' | b'\n' | UTF8_MARK | UTF16_LE_MARK | UTF16_BE_MARK, ..]) => {
                    return Err(ReadError::Json);
                }
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(self.ended_by(FrameError::Io { offset: self.offset, error }));
                }
            }
        }
    }

    fn ended_by(&self, error: FrameError) -> ReadError {
        match error {
            FrameError::Io { offset, error } => ReadError::Io { offset, flows: self.flows, error },
            FrameError::Syntax(error) => self.corrupted(error),
        }
    }

    const fn corrupted(&self, error: SyntaxError) -> ReadError {
        let SyntaxError { offset, problem } = error;
        ReadError::Corrupted { offset, flows: self.flows, problem }
    }

    fn malformed(&self, offset: u64, error: StateError) -> ReadError {
        let flows = self.flows;
        match error {
            StateError::Version { key, version } if key == "version" => {
                if version.is_newer() {
                    ReadError::NewerVersion { version, offset, flows }
                } else {
                    ReadError::UnsupportedVersion { version, offset, flows }
                }
            }
            error => ReadError::Malformed { offset, flows, error },
        }
    }
}

impl<R: BufRead> Iterator for FlowReader<R> {
    type Item = Result<Flow, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.place == Place::Ended {
            return None;
        }
        self.read().transpose()
    }
}

/// Reads one flow of the current version, which `item` holds alone. With `connections` it has these, and none stand with it
/// ([`FlowWriter::append_without_connections`](crate::FlowWriter::append_without_connections)).
///
/// # Errors
/// As a [`FlowReader`] says.
pub fn read_state(item: &[u8], connections: Option<&Connections>) -> Result<Flow, ReadError> {
    let mut reader = FlowReader::new(item);
    let corrupted = |reader: &FlowReader<_>, problem| {
        Err(reader.corrupted(SyntaxError { offset: reader.offset, problem }))
    };
    match reader.read_frame(connections)? {
        Some(flow) if reader.offset == item.len() as u64 => Ok(flow),
        Some(_) => corrupted(&reader, Problem::Length),
        None => corrupted(&reader, Problem::Truncated),
    }
}

/// What the byte order marks of Unicode begin with.
const UTF8_MARK: u8 = 0xef;
const UTF16_LE_MARK: u8 = 0xff;
const UTF16_BE_MARK: u8 = 0xfe;
