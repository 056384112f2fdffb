//! Reading flows from a file or standard input (mitmproxy: `rfile`, `-r`).

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use flowgate_flow::Flow;
use flowgate_formats::{FlowReader, ReadError};
use thiserror::Error;

/// Why flows could not be read, or not all of them.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadFlowsError {
    /// It cannot be opened.
    #[error("cannot read flows from {}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It holds something else, or is damaged. The flows before that were read.
    #[error("cannot read flows from {}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: ReadError,
    },
}

/// Hands each flow of a file to `each`, in order; `-` is standard input. Holds one flow at a time. Blocks.
///
/// # Errors
/// At the first thing that cannot be read.
pub fn read_flows(path: &Path, each: impl FnMut(Flow)) -> Result<(), ReadFlowsError> {
    if path == Path::new("-") {
        return read_from(io::stdin().lock(), path, each);
    }
    let open = File::open(path).and_then(|file| {
        // Opening a folder works; reading it would fail with less to say.
        if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
    });
    match open {
        Ok(file) => read_from(BufReader::new(file), path, each),
        Err(source) => Err(ReadFlowsError::Open { path: path.to_owned(), source }),
    }
}

fn read_from(input: impl BufRead, path: &Path, mut each: impl FnMut(Flow)) -> Result<(), ReadFlowsError> {
    for flow in FlowReader::new(input) {
        each(flow.map_err(|source| ReadFlowsError::Content { path: path.to_owned(), source })?);
    }
    Ok(())
}
