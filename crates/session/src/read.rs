//! Reading flows from a file or standard input (mitmproxy: `rfile`, `-r`): a flow file of any version, HAR, or HAR that is
//! compressed (`.zhar`); or a store, which is a folder. What a file is says its first byte, not its name.
//!
//! Differs from mitmproxy: what is wrong with one flow of a flow file does not keep the others from being read.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use flate2::bufread::ZlibDecoder;
use flowgate_flow::Flow;
use flowgate_formats::har::{HarError, HarLimits, read_har};
use flowgate_formats::{FlowReader, ReadError};
use flowgate_store::StoreError;
use thiserror::Error;

use crate::flow_source::{FlowSource, Found};
use crate::progress::{Counted, Progress};

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
    /// It holds something else, or is damaged. What could be read was read.
    #[error("cannot read {}flows from {}", if *.more > 0 { "several " } else { "" }, path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong first, and where.
        #[source]
        source: ReadError,
        /// How many flows were passed over besides.
        more: u64,
    },
    /// It is damaged HAR, or other JSON. The flows before that were read.
    #[error("cannot read flows from {}", path.display())]
    Har {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: HarError,
    },
    /// It is a folder and no store, or the store cannot be read.
    #[error("cannot read flows from {}", path.display())]
    Store {
        /// Which folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
}

impl ReadFlowsError {
    /// Whether all that could be read was handed out, and whoever writes to the store may still bring the rest.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        matches!(self, Self::Store { source: StoreError::Behind, .. })
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Open { .. } => Some("flows are read from a flow file, a HAR file, or the folder of a store".to_owned()),
            Self::Content { source: ReadError::Corrupted { offset: 0, .. }, .. } => Some(
                "flow files of mitmproxy and flowgate, HAR files and stores are read; captures for Wireshark are only written".to_owned(),
            ),
            Self::Content { .. } | Self::Har { .. } => None,
            Self::Store { source, .. } => source.hint(),
        }
    }
}

/// Hands each flow of a file to `each`, in order; `-` is standard input, a folder is a store. Holds one flow at a time. Blocks.
///
/// # Errors
/// If not all can be read; those that can have been handed out.
pub fn read_flows(path: &Path, each: impl FnMut(Flow)) -> Result<(), ReadFlowsError> {
    read_flows_with(path, &Progress::default(), each)
}

/// The same, counted while it goes on.
///
/// # Errors
/// As [`read_flows`].
pub fn read_flows_with(
    path: &Path,
    progress: &Progress,
    mut each: impl FnMut(Flow),
) -> Result<(), ReadFlowsError> {
    if path.is_dir() {
        let mut wrong = None;
        let each = |found: Found<'_>| {
            match found.flow() {
                Ok(flow) => each(flow),
                Err(error) => {
                    wrong.get_or_insert(error);
                }
            }
            ControlFlow::<()>::Continue(())
        };
        FlowSource::open(path)?.search_with(None, 0, progress, each)?;
        return wrong.map_or(Ok(()), Err);
    }
    let all = |flow| {
        progress.flow();
        each(flow);
        ControlFlow::<()>::Continue(())
    };
    each_flow(path, progress, all).map(|_| ())
}

/// Hands each flow of a file or standard input to `each`, until it breaks off; counts the bytes.
pub(crate) fn each_flow<B>(
    path: &Path,
    progress: &Progress,
    each: impl FnMut(Flow) -> ControlFlow<B>,
) -> Result<Option<B>, ReadFlowsError> {
    if path == Path::new("-") {
        let input = Counted { input: io::stdin().lock(), progress };
        return read_from(BufReader::with_capacity(READ_BYTES, input), path, each);
    }
    let input = open_file(path)?;
    progress.begin(input.metadata().map_or(0, |about| about.len()));
    read_from(BufReader::with_capacity(READ_BYTES, Counted { input, progress }), path, each)
}

/// Opens a flow file.
pub(crate) fn open_file(path: &Path) -> Result<File, ReadFlowsError> {
    let open = File::open(path).and_then(|file| {
        // Opening a folder works; reading it would fail with less to say.
        if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
    });
    open.map_err(|source| ReadFlowsError::Open { path: path.to_owned(), source })
}

fn read_from<B>(
    mut input: impl BufRead,
    path: &Path,
    mut each: impl FnMut(Flow) -> ControlFlow<B>,
) -> Result<Option<B>, ReadFlowsError> {
    if first_byte(&mut input) == Some(ZLIB) {
        return read_har_from(BufReader::new(ZlibDecoder::new(input)), path, each);
    }
    let mut reader = FlowReader::new(input);
    let mut wrong: Option<(ReadError, u64)> = None;
    while let Some(flow) = reader.next() {
        match (flow, &mut wrong) {
            (Ok(flow), _) => {
                if let ControlFlow::Break(value) = each(flow) {
                    return Ok(Some(value));
                }
            }
            (Err(ReadError::Json), _) => return read_har_from(reader.into_inner(), path, each),
            (Err(_), Some((_, more))) => *more += 1,
            (Err(error), None) => wrong = Some((error, 0)),
        }
    }
    match wrong {
        None => Ok(None),
        Some((source, more)) => Err(ReadFlowsError::Content { path: path.to_owned(), source, more }),
    }
}

fn read_har_from<B>(
    input: impl BufRead,
    path: &Path,
    mut each: impl FnMut(Flow) -> ControlFlow<B>,
) -> Result<Option<B>, ReadFlowsError> {
    let mut broken = None;
    let read = read_har(input, &HarLimits::default(), |flow| {
        // The reader of HAR cannot be stopped; what comes after is not wanted.
        if broken.is_none()
            && let ControlFlow::Break(value) = each(flow)
        {
            broken = Some(value);
        }
    });
    match read {
        _ if broken.is_some() => Ok(broken),
        Ok(_) => Ok(None),
        Err(source) => Err(ReadFlowsError::Har { path: path.to_owned(), source }),
    }
}

/// How much is asked of the system at a time.
const READ_BYTES: usize = 64 * 1024;

/// What zlib's format begins with (RFC 1950 §2.2: deflate with a window of 32 KiB); flow files begin with a digit.
const ZLIB: u8 = 0x78;

/// Nothing is taken; an error comes again when it is read.
fn first_byte(input: &mut impl BufRead) -> Option<u8> {
    loop {
        match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            available => return available.ok()?.first().copied(),
        }
    }
}
