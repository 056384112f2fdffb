//! A flow file to save flows to. It never keeps half a flow: nor one that a killed program left at its end, since no reader would find
//! what stands behind it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use flowgate_flow::Flow;
use flowgate_formats::FlowWriter;
use flowgate_formats::tnetstring::{FrameError, Problem, whole_items};
use thiserror::Error;

use crate::saver::Sink;

/// Why a flow file cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FlowFileError {
    /// It cannot be opened.
    #[error("cannot write flows to {}", path.display())]
    Open {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be appended to: it is no flow file, or damaged, and what stood behind that would not be found.
    #[error("cannot append flows to {}", path.display())]
    NoFlowFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, and where.
        #[source]
        source: Damage,
    },
}

/// What is wrong with a file that flows were to be appended to.
#[derive(Debug, Error)]
#[error("no whole flow at byte {offset}")]
pub struct Damage {
    /// Where the wrong bytes are.
    pub offset: u64,
    /// What was expected there.
    #[source]
    pub source: Problem,
}

impl FlowFileError {
    /// What the system said.
    pub(crate) fn into_io(self) -> io::Error {
        match self {
            Self::Open { source, .. } => source,
            Self::NoFlowFile { .. } => io::Error::new(io::ErrorKind::InvalidData, self),
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Open { .. } => {
                "option `save_stream_file` (`-w`) names a file that can be written".to_owned()
            }
            Self::NoFlowFile { path, .. } => {
                format!("name another file; `flowgate convert {} NEW` saves what can be read", path.display())
            }
        })
    }
}

/// A file that flows are written to.
///
/// Opening it changes nothing in it: a start that fails afterwards must not cost what was recorded before. So one that is
/// not appended to is emptied by [`Emptying`], before the first flow is written.
#[derive(Debug)]
pub struct FlowFile {
    file: File,
    /// Behind the last whole flow.
    end: u64,
    /// Of half a flow behind `end`, which goes before another is written.
    half_flow_bytes: u64,
    writer: FlowWriter,
}

impl FlowFile {
    /// Opens `path` to be written from its beginning, or to append if `append` says so.
    ///
    /// # Errors
    /// If it cannot be opened for writing, or holds something else that would be appended to.
    pub fn open(path: &Path, append: bool) -> Result<Self, FlowFileError> {
        let open = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            let len = if append { file.seek(SeekFrom::End(0))? } else { 0 };
            Ok((file, len))
        };
        let (file, len) = open().map_err(|source| FlowFileError::Open { path: path.to_owned(), source })?;
        let end = if len > 0 { whole_flows(path, len)? } else { 0 };
        Ok(Self { file, end, half_flow_bytes: len.saturating_sub(end), writer: FlowWriter::new() })
    }

    /// How many bytes of half a flow stand at the end of the file. They go when a flow is written.
    #[must_use]
    pub const fn half_flow_bytes(&self) -> u64 {
        self.half_flow_bytes
    }

    /// What empties this file, when all else has started.
    ///
    /// # Errors
    /// What the system says.
    pub fn emptying(&self) -> io::Result<Emptying> {
        // A device or a pipe has nothing to be emptied of.
        let is_file = self.end == 0 && self.file.metadata()?.is_file();
        if is_file { Ok(Emptying::of(self.file.try_clone()?, Vec::new())) } else { Ok(Emptying::default()) }
    }

    /// Writes one flow. After an error the file is as it was before.
    ///
    /// # Errors
    /// What the system or the flow's stored body says.
    pub fn write(&mut self, flow: &Flow) -> io::Result<()> {
        if self.half_flow_bytes > 0 {
            self.file.set_len(self.end)?;
            self.file.seek(SeekFrom::Start(self.end))?;
            self.half_flow_bytes = 0;
        }
        let written = self.writer.write_flow(&mut self.file, flow).map_err(io::Error::other);
        match written.and_then(|()| self.file.stream_position()) {
            Ok(end) => {
                self.end = end;
                Ok(())
            }
            Err(err) => {
                // A device or a pipe has no length to cut; then the reader sees a cut flow, as it must.
                let _ = self.file.set_len(self.end).and_then(|()| self.file.seek(SeekFrom::Start(self.end)));
                Err(err)
            }
        }
    }
}

/// Where the last whole flow of a file of this length ends.
fn whole_flows(path: &Path, len: u64) -> Result<u64, FlowFileError> {
    let cannot = |source| FlowFileError::Open { path: path.to_owned(), source };
    let damaged = |offset, source| {
        Err(FlowFileError::NoFlowFile { path: path.to_owned(), source: Damage { offset, source } })
    };
    let file = match File::open(path) {
        // Who may only write has to believe.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(len),
        file => file.map_err(cannot)?,
    };
    match whole_items(&mut BufReader::new(file)) {
        // It may as well be something else that begins with a number.
        Ok(0) => damaged(len, Problem::Truncated),
        Ok(end) => Ok(end),
        Err(FrameError::Syntax(error)) => damaged(error.offset, error.problem),
        Err(FrameError::Io { error, .. }) => Err(cannot(error)),
        Err(error) => Err(cannot(io::Error::other(error))),
    }
}

/// Empties files once, when it is asked to.
#[derive(Debug, Default)]
pub struct Emptying(Vec<Emptied>);

#[derive(Debug)]
struct Emptied {
    file: File,
    /// What stands in a file of its kind when there is nothing in it.
    content: Vec<u8>,
}

impl Emptying {
    pub(crate) fn of(file: File, content: Vec<u8>) -> Self {
        Self(vec![Emptied { file, content }])
    }

    /// Both at once.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Empties the files; nothing happens the second time.
    ///
    /// # Errors
    /// What the system says.
    pub fn empty(&mut self) -> io::Result<()> {
        for Emptied { mut file, content } in self.0.drain(..) {
            file.set_len(0)?;
            if !content.is_empty() {
                file.seek(SeekFrom::Start(0))?;
                file.write_all(&content)?;
            }
        }
        Ok(())
    }
}

impl Sink for FlowFile {
    const WHAT: &'static str = "flows";

    type Error = io::Error;

    type Item = Flow;

    fn take(&mut self, flow: Flow) -> io::Result<()> {
        self.write(&flow)
    }
}
