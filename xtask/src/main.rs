//! `cargo xtask COMMAND`: the chores of this repository, in Rust, so that no other tool is needed to work on it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use xtask::workspace::Workspace;
use xtask::{ci, report, test, tidy};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [ARGUMENT...]            install or find what the tests need, then run them all;
                                arguments go to the test runner (such as -p flowgate-wire)
  tidy                          check the rules of ARCHITECTURE and CONTRIBUTING that code can check
  ci [--without STEP | STEP]... all that CI runs, or all but some steps, or only some";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report::error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well; an error is for what could not even be tried.
fn run(arguments: &[String]) -> anyhow::Result<bool> {
    let Some((command, rest)) = arguments.split_first() else {
        report::line(USAGE);
        return Ok(false);
    };
    match command.as_str() {
        "test" => test::run(&Workspace::load()?, rest),
        "tidy" if rest.is_empty() => tidy::run(&Workspace::load()?),
        "ci" => ci::run(&Workspace::load()?, rest),
        "help" | "--help" | "-h" => {
            report::line(USAGE);
            Ok(true)
        }
        _ => anyhow::bail!("`{}` is not a command\n{USAGE}", arguments.join(" ")),
    }
}
