//! The command line: from arguments to an [`Invocation`], or to an error that says what to write instead.
//!
//! Flags come from the registry of options (`flowgate-options`); this module adds what is not an option. Only
//! [`Configuration`] touches the disk. Invariant: nothing is printed here and nothing exits.

mod behind;
mod check;
mod error;
mod export;
mod flags;
mod migration;
mod query;
mod reading;
mod tool;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command};
use flowgate_options::registry::{OPTIONS, find};
use flowgate_options::{Assignment, Change, Options, Source, Value, expand_home, parse_assignments};
use flowgate_session::Configuration;

pub(crate) use behind::Behind;
pub(crate) use check::{Check, Reports};
pub(crate) use error::CliError;
pub(crate) use export::{Export, Form};
pub(crate) use query::{Query, Question};
pub(crate) use reading::{Conversion, Reading};
pub(crate) use tool::Tool;

/// What the user wants.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// The tool to start.
    pub(crate) tool: Tool,
    /// The options, from defaults, config files and flags.
    pub(crate) configuration: Configuration,
    /// Run it, or print something and stop.
    pub(crate) action: Action,
}

impl Invocation {
    /// Only something is printed: no option counts but those that exist.
    fn words(tool: Tool, action: Action) -> Self {
        Self { tool, configuration: Configuration::default(), action }
    }
}

/// What to do with the tool.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// Start it.
    Run,
    /// Answer a question about the options.
    Query(Query),
    /// Read recorded flows.
    Read(Reading),
    /// Hold flows against checks.
    Check(Check),
    /// Run a command behind the proxy.
    Behind(Behind),
    /// Print this help.
    Help(String),
    /// Print [`version`].
    Version,
    /// Print every option with its default.
    Options,
}

/// What `--version` prints.
pub(crate) fn version() -> String {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!(
        "Flowgate: {}\nTLS:      rustls with aws-lc-rs\nPlatform: {os}-{arch}\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// Reads a command line; `arguments` begins with the program's name, `home` is what `~` stands for.
///
/// # Errors
/// For a flag, an option or a config file that cannot be used, and for tools that are not there yet.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    home: Option<&Path>,
) -> Result<Invocation, CliError> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    if let Some((arguments, command)) = behind::split(&arguments) {
        return parse_query(behind::command(), arguments, home, behind::presets()?, |matches| {
            Ok(Action::Behind(behind::read(matches, command)?))
        });
    }
    if let Some((kind, arguments)) = query::split(&arguments) {
        return parse_query(query::command(kind), arguments, home, Vec::new(), |matches| {
            Ok(Action::Query(query::read(kind, matches)?))
        });
    }
    if let Some(arguments) = check::split(&arguments) {
        return parse_query(check::command(), arguments, home, Vec::new(), |matches| {
            Ok(Action::Check(check::read(matches)?))
        });
    }
    if let Some((kind, arguments)) = reading::split(&arguments) {
        return parse_query(reading::command(kind), arguments, home, Vec::new(), |matches| {
            Ok(Action::Read(reading::read(kind, matches)?))
        });
    }
    let (tool, program, arguments) = tool::split(arguments)?;
    let matches = match matches_of(flags::command(tool, &program), arguments)? {
        Asked::Work(matches) => matches,
        Asked::Words(action) => return Ok(Invocation::words(tool, action)),
    };
    tool.check_runs()?;
    let configuration = resolve(tool, &matches, home, Vec::new())?;
    Ok(Invocation { tool, configuration, action: Action::Run })
}

/// What the program ends with if this command line cannot be used: 2 where 1 is an answer.
pub(crate) fn exit_of_mistakes(arguments: &[OsString]) -> ExitCode {
    let is_diff = reading::split(arguments).is_some_and(|(kind, _)| kind == reading::Kind::Diff);
    if is_diff || check::split(arguments).is_some() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// The rest of a command line that begins with a word of its own; `presets` come before `--set` and the flags.
fn parse_query(
    command: Command,
    arguments: Vec<OsString>,
    home: Option<&Path>,
    presets: Vec<Change>,
    read: impl FnOnce(&ArgMatches) -> Result<Action, CliError>,
) -> Result<Invocation, CliError> {
    let tool = query::TOOL;
    let matches = match matches_of(command, arguments)? {
        Asked::Work(matches) => matches,
        Asked::Words(action) => return Ok(Invocation::words(tool, action)),
    };
    let action = read(&matches)?;
    Ok(Invocation { tool, configuration: resolve(tool, &matches, home, presets)?, action })
}

/// What a command line is for.
enum Asked {
    Work(ArgMatches),
    /// Nothing but what is printed.
    Words(Action),
}

/// Reads flags; those that only have something printed win over everything else that is right.
fn matches_of(command: Command, arguments: Vec<OsString>) -> Result<Asked, CliError> {
    let matches = match command.try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return Ok(Asked::Words(Action::Help(error.to_string())));
        }
        Err(error) => return Err(CliError::from_clap(&error)),
    };
    Ok(if matches.get_flag(flags::VERSION) {
        Asked::Words(Action::Version)
    } else if matches.get_flag(flags::SHOW_OPTIONS) {
        Asked::Words(Action::Options)
    } else {
        Asked::Work(matches)
    })
}

/// The options after the config files, `presets`, `--set` and the flags.
fn resolve(
    tool: Tool,
    matches: &ArgMatches,
    home: Option<&Path>,
    mut presets: Vec<Change>,
) -> Result<Configuration, CliError> {
    let set = matches.get_many::<String>(flags::SET).into_iter().flatten().map(String::as_str);
    let set =
        parse_assignments(set).into_iter().map(|assignment| Change::assignment(Source::Set, assignment));
    let set = set.collect::<Result<Vec<_>, _>>()?;
    // The directory has to be known before its config file can be read.
    let confdir = set.iter().filter(|change| change.name() == "confdir").cloned().collect();
    let confdir = Options::default().with(confdir)?.values().confdir.clone();
    let confdir = expand_home(confdir.as_str(), home).ok_or(CliError::NoHome)?;

    presets.extend(set);
    let mut changes = presets;
    changes.extend(implied_changes(tool, matches)?);
    changes.extend(flag_changes(tool, matches)?);
    changes.extend(filter_changes(matches)?);
    Ok(Configuration::read(&confdir, changes)?)
}

/// What `-q` and `-v` stand for. They come before the flags that name an option, which therefore win.
/// Differs from mitmproxy, where `-v --flow-detail 4` ends as 2. With both, `-v` wins, as there.
fn implied_changes(tool: Tool, matches: &ArgMatches) -> Result<Vec<Change>, CliError> {
    let mut changes = Vec::new();
    for (flag, verbosity, detail) in [(flags::QUIET, "error", 0), (flags::VERBOSE, "debug", 2)] {
        if matches.get_flag(flag) {
            for (name, value) in
                [("termlog_verbosity", Value::Text(verbosity.into())), ("flow_detail", Value::Int(detail))]
            {
                let option = find(name)?;
                if option.tools.overlaps(tool.option_set()) {
                    changes.push(Change::value(Source::Flag, option, value));
                }
            }
        }
    }
    Ok(changes)
}

/// What stands behind the flags: one filter for what is read, shown and saved, as in mitmproxy.
fn filter_changes(matches: &ArgMatches) -> Result<Vec<Change>, CliError> {
    let Some(words) = matches.try_get_many::<String>(flags::FILTER).ok().flatten() else {
        return Ok(Vec::new());
    };
    let filter = words.cloned().collect::<Vec<_>>().join(" ");
    let change = |name| Ok(Change::value(Source::Flag, find(name)?, Value::Text(filter.clone())));
    ["save_stream_filter", "readfile_filter", "dumper_filter"].into_iter().map(change).collect()
}

/// The flags that name an option.
fn flag_changes(tool: Tool, matches: &ArgMatches) -> Result<Vec<Change>, CliError> {
    let mut changes = Vec::new();
    for option in OPTIONS.iter().filter(|option| flags::has_flag(tool, option)) {
        if flags::is_switch(option) {
            for (id, on) in [(flags::on_id(option), true), (flags::off_id(option), false)] {
                if matches.get_flag(&id) {
                    changes.push(Change::value(Source::Flag, option, Value::Bool(on)));
                }
            }
        } else if let Some(given) = matches.get_many::<String>(&flags::on_id(option)) {
            let given = given.cloned().map(Some).collect();
            changes.push(Change::assignment(Source::Flag, Assignment { name: option.name.into(), given })?);
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests;
