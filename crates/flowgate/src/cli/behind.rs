//! `flowgate run`: the flags of a proxy, a file of checks, and behind `--` the command that is run.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches};
use flowgate_options::registry::find;
use flowgate_options::{Change, Source, Value};

use super::check::{report_flags, reports};
use super::error::CliError;
use super::flags;
use super::query::TOOL;
use super::tool::first_word;
use crate::cli::Reports;

/// A command that is run behind the proxy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Behind {
    /// The program, as the shell would look for it.
    pub(crate) program: OsString,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// The file of checks that its flows are held against.
    pub(crate) checks: Option<PathBuf>,
    /// Where the report goes besides standard error.
    pub(crate) reports: Reports,
}

const CHECK: &str = "check";

/// The arguments behind `flowgate run`, behind the program's name, and the command.
pub(super) fn split(arguments: &[OsString]) -> Option<(Vec<OsString>, Vec<OsString>)> {
    let (_, mut flags) = first_word(arguments).filter(|(word, _)| *word == "run")?;
    let Some(at) = flags.iter().position(|word| word == "--") else { return Some((flags, Vec::new())) };
    let command = flags.split_off(at);
    Some((flags, command.into_iter().skip(1).collect()))
}

pub(super) fn command() -> clap::Command {
    report_flags(flags::base(TOOL, "flowgate run [OPTIONS] [--check CHECKS] -- COMMAND [ARGUMENT]..."))
        .about(
            "Run a command with a proxy of its own: the proxy and its CA are in the command's environment. Exits as the \
             command does; if that is 0, with 1 if a check fails, with 2 if that cannot be said",
        )
        .arg(
            Arg::new(CHECK)
                .long(CHECK)
                .value_name("CHECKS")
                .help("Hold what the command did against a file of checks (docs/reference/checks.md)"),
        )
}

/// What options are unless the command line says otherwise: quiet, and on a free port that only this machine reaches.
pub(super) fn presets() -> Result<Vec<Change>, CliError> {
    let presets = [
        ("listen_host", Value::Text("127.0.0.1".into())),
        ("listen_port", Value::Int(0)),
        ("termlog_verbosity", Value::Text("error".into())),
        ("flow_detail", Value::Int(0)),
    ];
    let change = |(name, value)| Ok(Change::value(Source::Set, find(name)?, value));
    presets.into_iter().map(change).collect()
}

pub(super) fn read(matches: &ArgMatches, command: Vec<OsString>) -> Result<Behind, CliError> {
    let mut command = command.into_iter();
    let program = command.next().ok_or(CliError::Incomplete {
        what: "`flowgate run` needs a command behind `--`",
        example: "flowgate run -w session.flows -- curl https://example.com/",
    })?;
    let checks = matches.get_one::<String>(CHECK).map(PathBuf::from);
    Ok(Behind { program, arguments: command.collect(), checks, reports: reports(matches) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_end_where_the_command_begins() {
        let words = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        let table = [
            ("flowgate run -q -- a -b", Some(("flowgate -q", "a -b"))),
            ("flowgate run -- a -- b", Some(("flowgate", "a -- b"))),
            ("flowgate run --", Some(("flowgate", ""))),
            ("flowgate run a", Some(("flowgate a", ""))),
            ("flowgate dump -- run", None),
            ("mitmdump run -- a", None),
            ("flowgate", None),
        ];
        for (line, expected) in table {
            let expected = expected.map(|(flags, command)| (words(flags), words(command)));
            assert_eq!(split(&words(line)), expected, "{line}");
        }
    }
}
