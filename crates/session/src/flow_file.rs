//! Saving flows as they end (mitmproxy: `save_stream_file`, `-w`): one writer, on a thread of its own.
//!
//! When writing fails (a full disk), traffic goes on: what cannot be saved is counted and told once, and saving resumes with
//! the first flow for which there is room again. The file never keeps half a flow.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use flowgate_flow::Flow;
use flowgate_formats::FlowWriter;
use thiserror::Error;
use tokio::sync::mpsc;

/// How many flows may wait to be written. Their larger bodies lie in files already, so it bounds memory.
const FLOWS_WAITING_MAX: usize = 64;

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
    /// No thread could be started.
    #[error("cannot start the writer of flows")]
    Thread(#[source] io::Error),
}

impl FlowFileError {
    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Open { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("the folder has to exist".to_owned())
            }
            Self::Open { .. } => {
                Some("option `save_stream_file` (`-w`) names a file that can be written".to_owned())
            }
            Self::Thread(_) => None,
        }
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
    writer: FlowWriter,
}

impl FlowFile {
    /// Opens `path` to be written from its beginning, or to append if `append` says so.
    ///
    /// # Errors
    /// If it cannot be opened for writing.
    pub fn open(path: &Path, append: bool) -> Result<Self, FlowFileError> {
        let open = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            let end = if append { file.seek(SeekFrom::End(0))? } else { 0 };
            Ok(Self { file, end, writer: FlowWriter::new() })
        };
        open().map_err(|source| FlowFileError::Open { path: path.to_owned(), source })
    }

    /// What empties this file, when all else has started.
    ///
    /// # Errors
    /// What the system says.
    pub fn emptying(&self) -> io::Result<Emptying> {
        // A device or a pipe has nothing to be emptied of.
        let is_file = self.end == 0 && self.file.metadata()?.is_file();
        Ok(Emptying(if is_file { Some(self.file.try_clone()?) } else { None }))
    }

    /// Writes one flow. After an error the file is as it was before.
    ///
    /// # Errors
    /// What the system or the flow's stored body says.
    pub fn write(&mut self, flow: &Flow) -> io::Result<()> {
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

/// Empties a flow file once, when it is asked to.
#[derive(Debug, Default)]
pub struct Emptying(Option<File>);

impl Emptying {
    /// Empties the file; nothing happens the second time.
    ///
    /// # Errors
    /// What the system says.
    pub fn empty(&mut self) -> io::Result<()> {
        self.0.take().map_or(Ok(()), |file| file.set_len(0))
    }
}

/// Saves flows on a thread of its own.
#[derive(Debug)]
pub struct Saver {
    flows: mpsc::Sender<Flow>,
    thread: JoinHandle<u64>,
}

impl Saver {
    /// Starts to save. `tell` gets a line when saving fails for the first time, and when it works again.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(mut file: FlowFile, tell: impl Fn(&str) + Send + 'static) -> Result<Self, FlowFileError> {
        let (flows, mut waiting) = mpsc::channel::<Flow>(FLOWS_WAITING_MAX);
        let work = move || {
            let mut lost = 0;
            let mut failing = false;
            while let Some(flow) = waiting.blocking_recv() {
                match file.write(&flow) {
                    Ok(()) if failing => {
                        failing = false;
                        tell(&format!("saving flows works again; {lost} were not saved so far"));
                    }
                    Ok(()) => {}
                    Err(err) => {
                        lost += 1;
                        if !std::mem::replace(&mut failing, true) {
                            tell(&format!("cannot save flows at the moment, traffic goes on: {err}"));
                        }
                    }
                }
            }
            lost
        };
        let thread = std::thread::Builder::new()
            .name("flow-file".into())
            .spawn(work)
            .map_err(FlowFileError::Thread)?;
        Ok(Self { flows, thread })
    }

    /// Where flows are handed in.
    #[must_use]
    pub fn sender(&self) -> mpsc::Sender<Flow> {
        self.flows.clone()
    }

    /// Waits until all that was handed in is written, once every sender is gone; says how many flows were lost. Blocks.
    #[must_use]
    pub fn finish(self) -> u64 {
        drop(self.flows);
        self.thread.join().unwrap_or(0)
    }
}
