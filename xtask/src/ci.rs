//! `cargo xtask ci`: all that CI runs, in the order in which a mistake is cheapest to find.
//!
//! Every step is run even when one before it failed, so that one run tells everything; the last lines sum up.

use std::process::Command;
use std::time::Instant;

use crate::command::{cargo, find, shown, succeeds};
use crate::workspace::Workspace;
use crate::{acceptance, fuzz, report, test, tidy};

/// How a step ended.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// All is well.
    Passed,
    /// Something is wrong; what was printed says what.
    Failed,
    /// It cannot be done on this machine, and why.
    Skipped(String),
}

impl From<bool> for Outcome {
    fn from(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }
}

type Step = fn(&Workspace) -> anyhow::Result<Outcome>;

const STEPS: [(&str, Step); 7] = [
    ("tidy", |workspace| tidy::run(workspace).map(Outcome::from)),
    ("fmt", |workspace| Ok(with_component(workspace, "rustfmt", &["fmt", "--all", "--check"])?.into())),
    ("clippy", |workspace| {
        let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
        Ok(with_component(workspace, "clippy", &arguments)?.into())
    }),
    ("doc", |workspace| {
        let mut doc = in_root(workspace, &["doc", "--workspace", "--no-deps"]);
        Ok(shown(doc.env("RUSTDOCFLAGS", "-D warnings"))?.into())
    }),
    ("test", |workspace| test::run(workspace, &[]).map(Outcome::from)),
    ("fuzz", fuzz::smoke),
    ("acceptance", acceptance::run),
];

/// Runs all steps, or those that `arguments` choose. Whether none failed.
///
/// # Errors
///
/// When an argument names no step.
pub fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<bool> {
    let chosen = choose(arguments)?;
    let mut summary = Vec::new();
    let mut passed = true;
    for (name, step) in STEPS.into_iter().filter(|(name, _)| chosen.contains(name)) {
        report::line(&format!("\n==== {name} ===="));
        let start = Instant::now();
        let outcome = step(workspace).unwrap_or_else(|error| {
            report::error(&error);
            Outcome::Failed
        });
        passed &= outcome != Outcome::Failed;
        let outcome = match outcome {
            Outcome::Passed => "passed".to_owned(),
            Outcome::Failed => "FAILED".to_owned(),
            Outcome::Skipped(why) => {
                report::skip(name, &why);
                format!("skipped: {why}")
            }
        };
        summary.push(format!("{name:<11} {:>12}  {outcome}", report::since(start)));
    }
    report::line("\n==== summary ====");
    summary.iter().for_each(|line| report::line(line));
    Ok(passed)
}

/// The names of the steps to run: those named, or all, less those after `--without`.
fn choose(arguments: &[String]) -> anyhow::Result<Vec<&'static str>> {
    let (mut only, mut without) = (Vec::new(), Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--without" {
            without.push(known(arguments.next().map_or("", String::as_str))?);
        } else {
            only.push(known(argument)?);
        }
    }
    let names = STEPS.map(|(name, _)| name).into_iter();
    Ok(names.filter(|name| (only.is_empty() || only.contains(name)) && !without.contains(name)).collect())
}

fn known(step: &str) -> anyhow::Result<&'static str> {
    let names = STEPS.map(|(name, _)| name);
    let found = names.into_iter().find(|name| *name == step);
    found.ok_or_else(|| anyhow::anyhow!("`{step}` is no step of CI; the steps are {}", names.join(", ")))
}

/// Runs a cargo command that is a part of the toolchain; small installations lack it.
fn with_component(workspace: &Workspace, component: &str, arguments: &[&str]) -> anyhow::Result<bool> {
    let command = arguments.first().copied().unwrap_or_default();
    if !succeeds(&mut in_root(workspace, &[command, "--version"])) && find("rustup").is_some() {
        report::step(&format!("add {component} to the toolchain"));
        shown(Command::new("rustup").args(["component", "add", component]).current_dir(&workspace.root))?;
    }
    shown(&mut in_root(workspace, arguments))
}

fn in_root(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = cargo();
    command.args(arguments).current_dir(&workspace.root);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_chosen_by_name() {
        for (arguments, expected) in [
            ("", "tidy fmt clippy doc test fuzz acceptance"),
            ("fmt tidy", "tidy fmt"),
            ("--without test --without fuzz", "tidy fmt clippy doc acceptance"),
        ] {
            let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
            assert_eq!(choose(&arguments).unwrap().join(" "), expected);
        }
    }

    #[test]
    fn an_unknown_step_is_named_with_the_known_ones() {
        let error = choose(&["lint".to_owned()]).unwrap_err().to_string();
        assert_eq!(
            error,
            "`lint` is no step of CI; the steps are tidy, fmt, clippy, doc, test, fuzz, acceptance"
        );
        assert!(choose(&["--without".to_owned()]).is_err());
    }
}
