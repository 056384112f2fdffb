//! The flowgate binary: reads the command line, prints what is asked for, or runs a session.
//!
//! Nothing is decided here. Every way out is an [`ExitCode`]: 0 for what was asked, 1 for everything else, warnings of `lint`
//! among them, and a difference that `diff` found, which says 2 if it cannot tell. Where there are checks 1 says that one failed, 2 that nobody
//! knows; `run` gives its command's own unless that is 0.
#![forbid(unsafe_code)]

mod behind;
mod check;
mod cli;
mod query;
mod readers;
mod report;
mod run;

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use cli::{Action, Invocation, Reading};

fn main() -> ExitCode {
    let home = env::home_dir();
    let arguments: Vec<_> = env::args_os().collect();
    let invocation = match cli::parse(arguments.iter().cloned(), home.as_deref()) {
        Ok(invocation) => invocation,
        Err(error) => {
            report::tell(&error, error.hint());
            return cli::exit_of_mistakes(&arguments);
        }
    };
    match &invocation.action {
        Action::Help(text) => print(text),
        Action::Version => print(&cli::version()),
        Action::Options => print(&flowgate_options::defaults_yaml(invocation.tool.option_set())),
        Action::Query(query) => {
            match query::answer(query, invocation.configuration.options().values(), home.as_deref()) {
                Ok(answer) if answer.good => print(&answer.text),
                Ok(answer) => {
                    print(&answer.text);
                    ExitCode::FAILURE
                }
                Err(error) => report::failure(&error, error.hint()),
            }
        }
        Action::Read(reading) => read(reading, &invocation, home.as_deref()),
        Action::Check(check) => check::run(check, &invocation.configuration, home.as_deref()),
        Action::Behind(wanted) => behind::run(wanted, &invocation.configuration, home.as_deref()),
        Action::Run => start(&invocation, home.as_deref()),
    }
}

fn start(invocation: &Invocation, home: Option<&Path>) -> ExitCode {
    match run::run(invocation, home) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failure(&error, error.hint()),
    }
}

fn read(reading: &Reading, invocation: &Invocation, home: Option<&Path>) -> ExitCode {
    // As other programs called `diff` have it: 1 is a difference.
    let failure = if matches!(reading, Reading::Diff { .. }) { ExitCode::from(2) } else { ExitCode::FAILURE };
    match readers::run(reading, invocation.configuration.options().values(), home) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // A reader that went away is not worth a message.
        Err(error) if error.is_broken_pipe() => failure,
        Err(error) => {
            report::tell(&error, error.hint());
            failure
        }
    }
}

/// Writes to standard output; a reader that went away is not worth a message.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
