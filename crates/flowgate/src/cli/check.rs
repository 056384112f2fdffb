//! `flowgate check`: the flags of a proxy, a file of checks, and where reports go.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches};

use super::error::CliError;
use super::flags;
use super::query::TOOL;
use super::tool::first_word;

/// What flows are held against.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Check {
    /// The file of checks.
    pub(crate) file: PathBuf,
    /// Flows of a proxy that runs until it is stopped, not recorded ones.
    pub(crate) live: bool,
    /// Where the report goes besides standard output.
    pub(crate) reports: Reports,
}

/// Files that a report is written to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Reports {
    /// As JUnit XML.
    pub(crate) junit: Option<PathBuf>,
    /// As SARIF.
    pub(crate) sarif: Option<PathBuf>,
}

const FILE: &str = "checks";
const LIVE: &str = "live";
const JUNIT: &str = "junit";
const SARIF: &str = "sarif";

/// The arguments behind `flowgate check`, behind the program's name.
pub(super) fn split(arguments: &[OsString]) -> Option<Vec<OsString>> {
    first_word(arguments).filter(|(word, _)| *word == "check").map(|(_, arguments)| arguments)
}

pub(super) fn command() -> clap::Command {
    report_flags(flags::base(TOOL, "flowgate check CHECKS (--store FOLDER | -r FILE | --live) [OPTIONS]"))
        .about(
            "Hold flows against a file of checks; exits with 1 if one fails, with 2 if that cannot be said",
        )
        .arg(Arg::new(FILE).value_name("CHECKS").help("A file of checks (docs/reference/checks.md)"))
        .arg(
            Arg::new(LIVE)
                .long(LIVE)
                .action(ArgAction::SetTrue)
                .help("Run the proxy as `flowgate dump` does, and check its flows when it is stopped"),
        )
}

/// The flags that say where reports go.
pub(super) fn report_flags(command: clap::Command) -> clap::Command {
    let file = |id: &'static str, help: &'static str| Arg::new(id).long(id).value_name("FILE").help(help);
    command
        .arg(file(JUNIT, "Write the report as JUnit XML, too"))
        .arg(file(SARIF, "Write the report as SARIF 2.1.0, too"))
}

pub(super) fn reports(matches: &ArgMatches) -> Reports {
    let path = |id: &str| matches.get_one::<String>(id).map(PathBuf::from);
    Reports { junit: path(JUNIT), sarif: path(SARIF) }
}

pub(super) fn read(matches: &ArgMatches) -> Result<Check, CliError> {
    let missing = CliError::Incomplete {
        what: "`flowgate check` needs a file of checks",
        example: "flowgate check checks.toml -r FILE",
    };
    let file = matches.get_one::<String>(FILE).ok_or(missing)?.into();
    Ok(Check { file, live: matches.get_flag(LIVE), reports: reports(matches) })
}
