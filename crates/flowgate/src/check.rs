//! `flowgate check`: flows held against a file of checks, recorded ones or those of a proxy that runs.
//!
//! Of a store the index answers most; a file is read once. Memory is bounded whatever the number of flows.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use flowgate_check::{CheckError, Checks, Report, Tally, human, junit, sarif};
use flowgate_dump::{Companion, Watcher};
use flowgate_flow::Flow;
use flowgate_options::{Values, expand_home};
use flowgate_session::{
    Configuration, Decoding, ReadFlowsError, Saver, Sink, case_from_env, read_bounded, read_flows,
};

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
    /// The system refused a thread.
    #[error("cannot start")]
    System(#[source] io::Error),
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
            Self::NoSource => Some(
                "name a store with `--store FOLDER`, or a flow file with `-r FILE`, or say `--live`"
                    .to_owned(),
            ),
            Self::Checks(error) => error.hint(),
            Self::Read(error) => error.hint(),
            Self::Open { .. } | Self::System(_) | Self::Report { .. } => None,
        }
    }
}

/// Reads, judges, reports.
pub(crate) fn run(check: &Check, configuration: &Configuration, home: Option<&Path>) -> ExitCode {
    let checks = match load(&check.file) {
        Ok(checks) => checks,
        Err(error) => return undecided(&error),
    };
    if check.live {
        let watch = match Watch::start(checks) {
            Ok(watch) => watch,
            Err(error) => return undecided(&error),
        };
        let companion = Companion { flows: Some(watch.watcher()), command: None };
        let ran = flowgate_dump::run_with(configuration, home, companion);
        let report = watch.finish();
        if let Err(error) = ran {
            report::tell(&error, error.hint());
            return ExitCode::from(UNDECIDED);
        }
        return conclude(&report, None, &check.reports, &mut io::stdout().lock());
    }
    match judge(checks, configuration.options().values(), home) {
        // What could be read is judged, even if that is not all.
        Ok((report, unread)) => {
            conclude(&report, unread.map(CheckingError::from), &check.reports, &mut io::stdout().lock())
        }
        Err(error) => undecided(&error),
    }
}

/// Checks that watch the flows of a proxy.
pub(crate) struct Watch {
    saver: Saver,
    reads_bodies: bool,
    tally: Arc<Mutex<Tally>>,
    started: Instant,
}

impl Watch {
    /// What violates a check is told on standard error when it comes.
    pub(crate) fn start(checks: Arc<Checks>) -> Result<Self, CheckingError> {
        let reads_bodies = checks.reads_bodies();
        let tell = Box::new(|line: &str| {
            // The report says it still.
            let _ = io::stderr().lock().write_all(line.as_bytes());
        });
        let tally = Arc::new(Mutex::new(Tally::telling(checks, tell)));
        let sink = Tallying { tally: Arc::clone(&tally), number: 0 };
        // Nothing of it can fail once it runs.
        let saver = Saver::start(sink, |_, _| {}).map_err(CheckingError::System)?;
        Ok(Self { saver, reads_bodies, tally, started: Instant::now() })
    }

    /// Where flows are handed in.
    pub(crate) fn watcher(&self) -> Watcher {
        Watcher { flows: self.saver.sender(), reads_bodies: self.reads_bodies }
    }

    /// Waits until all flows were taken that were handed in, once nobody can hand in more.
    pub(crate) fn finish(self) -> Report {
        let took = self.started.elapsed();
        let _ = self.saver.finish();
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.report(took)
    }
}

/// Takes flows as if it saved them.
struct Tallying {
    tally: Arc<Mutex<Tally>>,
    number: i64,
}

impl Sink for Tallying {
    const WHAT: &'static str = "flows to checks";

    type Error = Infallible;

    type Item = Flow;

    fn take(&mut self, flow: Flow) -> Result<(), Infallible> {
        self.number += 1;
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.flow(self.number, &flow, &Decoding);
        Ok(())
    }
}

/// Prints and writes what came out; `unread` says why it is not all.
pub(crate) fn conclude(
    report: &Report,
    unread: Option<CheckingError>,
    files: &Reports,
    out: &mut impl Write,
) -> ExitCode {
    // Without an output the exit code says it still.
    let _ = out.write_all(human(report).as_bytes());
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

pub(crate) fn undecided(error: &CheckingError) -> ExitCode {
    report::tell(error, error.hint());
    ExitCode::from(UNDECIDED)
}

/// The checks in a file; schemas are named from where it lies.
pub(crate) fn load(path: &Path) -> Result<Arc<Checks>, CheckingError> {
    let opened = |source| CheckingError::Open { path: path.to_owned(), source };
    let text = read_text(path, CHECKS_BYTES_MAX).map_err(opened)?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let schema = |name: &str| read_text(&folder.join(name), SCHEMA_BYTES_MAX);
    Ok(Arc::new(Checks::parse(&text, &path.display().to_string(), case_from_env(), &schema)?))
}

/// A text of bounded length.
fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    let too_long =
        || io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {bytes_max} bytes"));
    let bytes = read_bounded(path, bytes_max)?.ok_or_else(too_long)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

fn judge(
    checks: Arc<Checks>,
    values: &Values,
    home: Option<&Path>,
) -> Result<(Report, Option<ReadFlowsError>), CheckingError> {
    let text = values.rfile.as_deref().or(values.store.as_deref()).ok_or(CheckingError::NoSource)?;
    let path = expand_home(text, home).unwrap_or_else(|| PathBuf::from(text));
    let started = Instant::now();
    let mut tally = Tally::new(checks);
    let source = crate::readers::open(&path)?;
    let unread = if let Some(store) = source.store() {
        tally.store(store, &Decoding).map_err(|source| ReadFlowsError::Store { path, source })?;
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
