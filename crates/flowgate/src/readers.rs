//! The readers of recorded flows: `flowgate flows`, `show`, `diff`, `export` and `convert`, on a store or a flow file.
//!
//! They start no proxy and write to standard output as they go, in bounded memory. What goes wrong is an error with its causes;
//! what could be read before it is printed all the same.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flowgate_dump::human::Size;
use flowgate_dump::show_while;
use flowgate_filter::{Filter, FilterError};
use flowgate_options::{Values, expand_home};
use flowgate_session::{
    FileForm, FlowSource, FlowStoreError, Found, NewFileError, ReadFlowsError, case_from_env,
};

use crate::cli::Reading;

mod flows;
mod json;
mod table;

mod diff;
mod show;

mod convert;
mod copy;
mod export;
mod interrupted;
mod single;

/// Why a reader ended badly.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadingError {
    /// Nothing says where flows are.
    #[error("nothing says which flows are meant")]
    NoSource,
    /// They cannot be read, or not all of them.
    #[error(transparent)]
    Read(#[from] ReadFlowsError),
    /// The filter cannot be used.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Standard output is gone or full.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
    /// No flow has this id.
    #[error("no flow has an id that begins with `{0}`")]
    NoSuchFlow(String),
    /// Several have.
    #[error("several flows have an id that begins with `{beginning}`: {}", ids.join(", "))]
    Ambiguous {
        /// What was asked for.
        beginning: String,
        /// Some of them.
        ids: Vec<String>,
    },
    /// Flows that had to be read for the answer are damaged; the others were answered of.
    #[error("{0} of the flows in the store are damaged and were left out")]
    Unreadable(u64),
    /// A file to which nothing is added.
    #[error("only a store can be followed, and {} is a file", .0.display())]
    NotFollowed(PathBuf),
    /// No flow is meant by the filter, or there is none.
    #[error("no flow of {} matches", .0.display())]
    NoFlow(PathBuf),
    /// The TLS secrets cannot be read.
    #[error("cannot read TLS secrets from {}", path.display())]
    KeyLog {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Bytes that mean nothing to a person would go to a terminal.
    #[error("this form is not for a terminal")]
    Terminal,
    /// The name of the file to be written says nothing.
    #[error("cannot tell from the name {} what to write", .0.display())]
    UnknownForm(PathBuf),
    /// It would be read and written at once.
    #[error("{} would be read and written at once", .0.display())]
    SamePlace(PathBuf),
    /// The file cannot be made.
    #[error(transparent)]
    File(#[from] NewFileError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] FlowStoreError),
    /// Writing failed on the way.
    #[error("cannot write flows to {}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ReadingError {
    /// The next step for the user, when there is one to name.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoSource => "name a store with `--store FOLDER`, or a flow file with `-r FILE`".to_owned(),
            Self::Read(error) => return error.hint(),
            Self::File(error) => return error.hint(),
            Self::Store(error) => return error.hint(),
            Self::NotFollowed(_) => "`flowgate dump --store FOLDER` keeps flows in a store".to_owned(),
            Self::NoSuchFlow(_) => "`flowgate flows` lists the flows with their ids".to_owned(),
            Self::Ambiguous { .. } => "write more of the id".to_owned(),
            Self::Terminal => "write it to a file with `-o FILE`".to_owned(),
            Self::UnknownForm(_) => {
                let endings: Vec<_> =
                    FileForm::ENDINGS.iter().map(|(ending, _)| format!("`.{ending}`")).collect();
                format!("the name ends in {}, or for a store in `.store` or `/`", endings.join(", "))
            }
            _ => return None,
        })
    }

    /// Whether it is only that nobody reads any more what is printed.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Does what was asked for; says whether the answer is a good one.
///
/// # Errors
/// If it cannot be done, or not to the end.
pub(crate) fn run(reading: &Reading, values: &Values, home: Option<&Path>) -> Result<bool, ReadingError> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let good = run_to(reading, values, home, &mut out);
    // What was printed before a failure comes before its message.
    let flushed = out.flush();
    let good = good?;
    flushed?;
    Ok(good)
}

fn run_to(
    reading: &Reading,
    values: &Values,
    home: Option<&Path>,
    out: &mut impl Write,
) -> Result<bool, ReadingError> {
    let filter =
        |text: &Option<String>| text.as_deref().map(|text| Filter::parse(text, case_from_env())).transpose();
    match reading {
        Reading::Flows { filter: text, json, follow } => {
            let filter = filter(text)?;
            let source = source(values, home)?;
            let form = if *json { flows::Form::Json } else { flows::Form::Table };
            if *follow && !source.is_store() {
                return Err(ReadingError::NotFollowed(path(values, home)?));
            }
            flows::list(&source, filter.as_ref(), form, *follow, out)
        }
        Reading::Show { id } => show::show(&source(values, home)?, id, values, out),
        Reading::Diff { one, other } => {
            diff::diff(&FlowSource::open_for_several(&path(values, home)?)?, [one, other], values, out)
        }
        Reading::Convert(wanted) => convert::convert(wanted, home, out),
        Reading::Export(wanted) => export::export(wanted, values, home, out),
    }
}

/// Where flows are: what `-r` says, or else the store.
fn path(values: &Values, home: Option<&Path>) -> Result<PathBuf, ReadingError> {
    let text = values.rfile.as_deref().or(values.store.as_deref()).ok_or(ReadingError::NoSource)?;
    Ok(expand_home(text, home).unwrap_or_else(|| PathBuf::from(text)))
}

fn source(values: &Values, home: Option<&Path>) -> Result<FlowSource, ReadingError> {
    Ok(open(&path(values, home)?)?)
}

/// So much that a store's index does not know of takes some seconds.
const BEHIND_TOLD_BYTES: u64 = 64 * 1024 * 1024;

/// Opens what is read. Where much was saved that a store's index does not know of yet, it is brought up to date first, and whoever waits
/// sees how far that has come.
pub(crate) fn open(path: &Path) -> Result<FlowSource, ReadFlowsError> {
    let source = FlowSource::open(path)?;
    if source.behind() < BEHIND_TOLD_BYTES {
        return Ok(source);
    }
    let left = || {
        let behind = FlowSource::open(path).map_or(0, |source| source.behind());
        format!("bringing the store's index up to date: {} of flows left", Size(behind))
    };
    show_while(left, false, || source.catch_up());
    Ok(source)
}

/// The one flow whose id begins so.
fn one_flow<'a>(source: &'a FlowSource, beginning: &str) -> Result<Found<'a>, ReadingError> {
    let mut found = source.by_id(beginning, AMBIGUOUS_SHOWN_MAX + 1)?;
    // A whole id is meant as such, even if another goes on behind it.
    if let Some(at) = found.iter().position(|found| found.row().id.to_string() == beginning) {
        return Ok(found.swap_remove(at));
    }
    match found.len() {
        1 => found.pop().ok_or_else(|| ReadingError::NoSuchFlow(beginning.to_owned())),
        0 => Err(ReadingError::NoSuchFlow(beginning.to_owned())),
        count => {
            let mut ids: Vec<_> =
                found.iter().take(AMBIGUOUS_SHOWN_MAX).map(|found| found.row().id.to_string()).collect();
            if count > AMBIGUOUS_SHOWN_MAX {
                ids.push("...".to_owned());
            }
            Err(ReadingError::Ambiguous { beginning: beginning.to_owned(), ids })
        }
    }
}

/// How many flows are named when an id is not unique.
const AMBIGUOUS_SHOWN_MAX: usize = 4;
