//! `cargo xtask test`: all tests, with what they need.
//!
//! What a test needs and cannot be had is named in one line and skipped by the tests themselves (`flowgate-testkit`);
//! where `CI` is set that is a failure, for half the tests are no judgement.

use std::time::Instant;

use crate::command::{cargo, in_ci, shown, succeeds};
use crate::kosoku;
use crate::mitmproxy::{self, Mitmproxy};
use crate::workspace::Workspace;
use crate::{report, tools};

/// Provides what is needed, then runs the tests; `arguments` go to the runner. Whether all passed.
///
/// # Errors
///
/// When a program that has to be there (cargo, apt-get) cannot be run.
pub fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<bool> {
    let mut complete = true;
    for program in tools::provide()? {
        report::skip(&format!("tests that need {program}"), "it is not installed");
        complete = false;
    }
    let mut environment = Vec::new();
    match mitmproxy::provide(&workspace.target)? {
        Mitmproxy::Found(python) => environment.push((mitmproxy::VARIABLE, python)),
        Mitmproxy::NoPython => {
            report::skip("comparisons with mitmproxy 12", "no Python of at least 3.12 is installed")
        }
        Mitmproxy::Failed => {
            report::skip("comparisons with mitmproxy 12", "it could not be installed");
            complete = false;
        }
    }
    match kosoku::provide(&workspace.target)? {
        Some(python) => environment.push((kosoku::VARIABLE, python)),
        None => {
            report::skip("WebSocket conformance", "kosoku could not be installed");
            complete = false;
        }
    }
    if !complete && in_ci() {
        anyhow::bail!(
            "what the tests need is not all there, and CI is set (see the lines that begin with `skip:`)"
        );
    }

    let mut passed = true;
    for (what, command) in runners(arguments) {
        let start = Instant::now();
        report::step(what);
        let run = shown(
            cargo().args(command).args(arguments).current_dir(&workspace.root).envs(environment.clone()),
        )?;
        report::line(&format!("    {} in {}", if run { "passed" } else { "FAILED" }, report::since(start)));
        passed &= run;
    }
    if !complete && in_ci() {
        report::line(
            "FAILED: CI is set, and not all that the tests need is here (see the lines that begin with `skip:`)",
        );
        passed = false;
    }
    Ok(passed)
}

/// The cargo commands that run all tests; nextest leaves out the examples in the documentation.
fn runners(arguments: &[String]) -> Vec<(&'static str, &'static [&'static str])> {
    let scope = arguments
        .iter()
        .any(|argument| argument == "-p" || argument == "--package" || argument == "--workspace");
    if !succeeds(cargo().args(["nextest", "--version"])) {
        let all: &[&str] =
            if scope { &["test", "--no-fail-fast"] } else { &["test", "--no-fail-fast", "--workspace"] };
        return vec![("cargo test", all)];
    }
    if scope {
        return vec![("cargo nextest", &["nextest", "run"])];
    }
    vec![
        ("cargo nextest", &["nextest", "run", "--workspace"]),
        ("examples in the documentation", &["test", "--no-fail-fast", "--workspace", "--doc"]),
    ]
}
