//! A short run of every fuzz target: not to search long, but to see that each still builds, starts from its corpus, and
//! finds nothing at once. Needs a nightly toolchain; cargo-fuzz is installed if it is missing.
//!
//! All fuzz workspaces are built into one folder and without a sanitizer, so that what they depend on is compiled once and
//! compiles fast. What is looked for here panics; memory is the business of longer runs, with cargo-fuzz's defaults.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ci::Outcome;
use crate::command::{cargo_of, shown, succeeds, taken};
use crate::report;
use crate::workspace::Workspace;

/// For all targets together, building them not counted.
const SECONDS_IN_ALL: usize = 240;

/// For one target.
const SECONDS_MAX: usize = 30;
const SECONDS_MIN: usize = 5;

/// Runs each target for a while.
pub(crate) fn smoke(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let folders = folders(workspace);
    if folders.is_empty() {
        return Ok(Outcome::Skipped("there is no fuzz target yet".to_owned()));
    }
    if !succeeds(cargo_of("nightly").arg("--version")) {
        return Ok(Outcome::Skipped("there is no nightly toolchain".to_owned()));
    }
    if !succeeds(cargo_of("nightly").args(["fuzz", "--version"])) && !install()? {
        return Ok(Outcome::Failed);
    }
    let mut targets = Vec::new();
    for folder in folders {
        let list = taken(fuzz(&folder, "list").args(["--fuzz-dir", "fuzz"]))?;
        targets.extend(list.split_whitespace().map(|target| (folder.clone(), target.to_owned())));
    }
    let seconds = (SECONDS_IN_ALL / targets.len().max(1)).clamp(SECONDS_MIN, SECONDS_MAX);
    let mut passed = true;
    let built = workspace.target.join("fuzz");
    for (folder, target) in targets {
        report::step(&format!("fuzz {target} of {} for {seconds} s", folder.display()));
        // What is found goes into the first folder; the committed corpus is only read.
        let found = workspace.target.join("fuzz-smoke").join(&target);
        fs::create_dir_all(&found)?;
        let mut command = fuzz(&folder, "run");
        command.args(["--fuzz-dir", "fuzz", "--sanitizer", "none", "--target-dir"]).arg(&built);
        command.arg(&target).arg(found);
        command
            .args(Some(Path::new("fuzz/corpus").join(&target)).filter(|corpus| folder.join(corpus).is_dir()));
        command.args(["--", &format!("-max_total_time={seconds}"), "-verbosity=0"]);
        let run = shown(&mut command)?;
        report::line(&format!("    {}", if run { "passed" } else { "FAILED" }));
        passed &= run;
    }
    Ok(passed.into())
}

/// Installs cargo-fuzz for this user; whether that worked.
fn install() -> anyhow::Result<bool> {
    report::step("install cargo-fuzz");
    shown(cargo_of("nightly").args(["install", "--quiet", "--locked", "cargo-fuzz"]))
}

/// The folders that have a `fuzz` folder: the root and the crates.
fn folders(workspace: &Workspace) -> Vec<PathBuf> {
    let crates = fs::read_dir(workspace.root.join("crates")).into_iter().flatten();
    let mut folders: Vec<PathBuf> = crates.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.push(workspace.root.clone());
    folders.retain(|folder| folder.join("fuzz/Cargo.toml").is_file());
    folders.sort();
    folders
}

fn fuzz(folder: &Path, command: &str) -> Command {
    let mut cargo = cargo_of("nightly");
    cargo.args(["fuzz", command]).current_dir(folder);
    cargo
}
