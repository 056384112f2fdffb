//! `flowgate export`: the flags of a proxy, and which flows are wanted in which form.

use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, ArgMatches};
use flowgate_formats::export::ExportFormat;

use super::error::CliError;
use super::flags;
use super::query::TOOL;

/// Flows of a file, to be printed in another form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Export {
    /// A file of flows; `-` is standard input.
    pub(crate) file: String,
    /// Which of its flows; all unless given.
    pub(crate) filter: Option<String>,
    /// The form.
    pub(crate) format: ExportFormat,
}

const WORDS: &str = "words";
const FORMAT: &str = "format";

/// The arguments behind `flowgate export`, behind the program's name.
pub(super) fn split(arguments: &[OsString]) -> Option<Vec<OsString>> {
    let (program, rest) = arguments.split_first()?;
    let (word, rest) = rest.split_first()?;
    let stem = Path::new(program).file_stem()?.to_str()?;
    // Under mitmproxy's names the first word is a filter.
    (word == "export" && !stem.starts_with("mitm"))
        .then(|| std::iter::once(program).chain(rest).cloned().collect())
}

pub(super) fn command() -> clap::Command {
    flags::base(TOOL, "flowgate export FILE [FILTER]... [--format FORMAT] [OPTIONS]")
        .about("Print flows of a file as commands or raw messages, safe to paste")
        .arg(
            Arg::new(WORDS)
                .value_name("FILE [FILTER]...")
                .num_args(1..)
                .help("A file of flows (`-` is standard input), and which of them"),
        )
        .arg(
            Arg::new(FORMAT)
                .long(FORMAT)
                .value_name("FORMAT")
                .help("curl (unless given), httpie, raw, raw_request or raw_response")
                .value_parser(|name: &str| name.parse::<ExportFormat>()),
        )
}

pub(super) fn read(matches: &ArgMatches) -> Result<Export, CliError> {
    let mut words = matches.get_many::<String>(WORDS).into_iter().flatten().cloned();
    let file = words.next().ok_or(CliError::NoFile)?;
    let filter = words.collect::<Vec<_>>().join(" ");
    let format = matches.get_one::<ExportFormat>(FORMAT).copied().unwrap_or(ExportFormat::Curl);
    Ok(Export { file, filter: (!filter.is_empty()).then_some(filter), format })
}
