//! `flowgate check`: recorded flows held against a file of checks.
//!
//! Of a store the index answers most; a file is read once. Memory is bounded whatever the number of flows.

use std::fs;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use flowgate_check::{CheckError, Checks, Report, Tally, human, junit, sarif};
use flowgate_options::{Values, expand_home};
use flowgate_session::{Decoding, FlowSource, Found, ReadFlowsError, case_from_env, read_flows};

use crate::cli::{Check, Reports};
use crate::report;

/// A check failed.
const FAILED: u8 = 1;
/// Nobody knows.
const UNDECIDED: u8 = 2;

/// Files of checks are written by hand.
const CHECKS_BYTES_MAX: u64 = 1 << 20;
/// Schemas may be generated.
const SCHEMA_BYTES_MAX: u64 = 16 << 20;

/// Why nothing could be said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckingError {
    /// The file of checks cannot be read.
    #[error("cannot read the checks in {}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be used.
    #[error(transparent)]
    Checks(#[from] CheckError),
    /// Nothing says where flows are.
    #[error("nothing says which flows are to be checked")]
    NoSource,
    /// The flows cannot be read.
    #[error(transparent)]
    Read(#[from] ReadFlowsError),
    /// A report cannot be written.
    #[error("cannot write the report {}", path.display())]
    Report {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl CheckingError {
    /// The next step for the user, when there is one to name.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoSource => {
                Some("name a store with `--store FOLDER`, or a flow file with `-r FILE`".to_owned())
            }
            Self::Checks(error) => error.hint(),
            Self::Read(error) => error.hint(),
            Self::Open { .. } | Self::Report { .. } => None,
        }
    }
}

/// Reads, judges, reports.
pub(crate) fn run(check: &Check, values: &Values, home: Option<&Path>) -> ExitCode {
    let judged = load(&check.file).and_then(|checks| judge(checks, values, home));
    match judged {
        // What could be read is judged, even if that is not all.
        Ok((report, unread)) => conclude(&report, unread.map(CheckingError::from), &check.reports),
        Err(error) => undecided(&error),
    }
}

/// Prints and writes what came out; `unread` says why it is not all.
fn conclude(report: &Report, unread: Option<CheckingError>, files: &Reports) -> ExitCode {
    // Without a standard output the exit code says it still.
    let _ = io::stdout().lock().write_all(human(report).as_bytes());
    if let Err(error) = write(report, files) {
        return undecided(&error);
    }
    match unread {
        Some(error) => undecided(&error),
        None if !report.good() && report.decided() => ExitCode::from(FAILED),
        None if !report.decided() => ExitCode::from(UNDECIDED),
        None => ExitCode::SUCCESS,
    }
}

fn undecided(error: &CheckingError) -> ExitCode {
    report::tell(error, error.hint());
    ExitCode::from(UNDECIDED)
}

/// The checks in a file; schemas are named from where it lies.
fn load(path: &Path) -> Result<Arc<Checks>, CheckingError> {
    let opened = |source| CheckingError::Open { path: path.to_owned(), source };
    let text = read_text(path, CHECKS_BYTES_MAX).map_err(opened)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let schema = |name: &str| read_text(&folder.join(name), SCHEMA_BYTES_MAX);
    Ok(Arc::new(Checks::parse(&text, &path.display().to_string(), case_from_env(), &schema)?))
}

/// A text of bounded length.
fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    if fs::metadata(path)?.len() > bytes_max {
        let message = format!("it is longer than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    fs::read_to_string(path)
}

fn judge(
    checks: Arc<Checks>,
    values: &Values,
    home: Option<&Path>,
) -> Result<(Report, Option<ReadFlowsError>), CheckingError> {
    let text = values.rfile.as_deref().or(values.store.as_deref()).ok_or(CheckingError::NoSource)?;
    let path = expand_home(text, home).unwrap_or_else(|| PathBuf::from(text));
    let started = Instant::now();
    let mut tally = Tally::new(Arc::clone(&checks));
    let source = FlowSource::open(&path)?;
    let unread = if source.is_store() {
        search(&source, &checks, &mut tally)?;
        None
    } else {
        let mut number = 0;
        let each = |flow| {
            number += 1;
            tally.flow(number, &flow, &Decoding);
        };
        read_flows(&path, each).err()
    };
    Ok((tally.report(started.elapsed()), unread))
}

/// Asks a store for the flows that each search means.
fn search(source: &FlowSource, checks: &Checks, tally: &mut Tally) -> Result<(), ReadFlowsError> {
    for (index, search) in checks.searches().iter().enumerate() {
        let each = |found: Found<'_>| {
            if search.needs_flow() {
                let row = found.row().clone();
                match found.flow() {
                    Ok(flow) => tally.take(index, &row, Some(&flow)),
                    Err(_) => tally.unreadable(index),
                }
            } else {
                tally.take(index, found.row(), None);
            }
            ControlFlow::<()>::Continue(())
        };
        let (searched, _) = source.search(search.filter(), 0, each)?;
        if searched.unreadable > 0 {
            tally.unreadable(index);
        }
        if searched.gave_up {
            tally.gave_up(index);
        }
    }
    Ok(())
}

fn write(report: &Report, files: &Reports) -> Result<(), CheckingError> {
    let written = |path: &Path, text: String| {
        fs::write(path, text).map_err(|source| CheckingError::Report { path: path.to_owned(), source })
    };
    if let Some(path) = &files.junit {
        written(path, junit(report))?;
    }
    if let Some(path) = &files.sarif {
        written(path, sarif(report, env!("CARGO_PKG_VERSION")))?;
    }
    Ok(())
}
