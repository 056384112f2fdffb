//! A short run of every fuzz target: not to search long, but to see that each still builds, starts from its corpus, and
//! finds nothing at once. Needs a nightly toolchain; cargo-fuzz is installed if it is missing.
//!
//! Every run goes the same way, from one seed and with nothing that another run has found: what is found is the change's doing, and is
//! found again. Searching is for runs by hand (CONTRIBUTING.md).
//!
//! All fuzz workspaces are built into one folder and without a sanitizer, so that what they depend on is compiled once and
//! compiles fast. What is looked for here panics; memory is the business of longer runs, with cargo-fuzz's defaults.

use std::fs;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, available_parallelism};

use crate::ci::Outcome;
use crate::command::{cargo_of, shown, succeeds, taken};
use crate::report;
use crate::workspace::Workspace;

/// How long each target runs.
const SECONDS: usize = 5;

/// How long each target of [`PROTOCOLS`] runs.
const PROTOCOL_SECONDS: usize = 30;

/// The crates that read what both hostile sides send.
const PROTOCOLS: [&str; 2] = ["wire", "proxy"];

/// Where chance begins.
const SEED: &str = "-seed=1";

/// Bytes of an input that is shown as text besides.
const SHOWN_BYTES_MAX: usize = 8 << 10;

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
    let built = workspace.target.join("fuzz");
    let mut targets = Vec::new();
    for folder in folders {
        report::step(&format!("build the fuzz targets of {}", folder.display()));
        let mut build = fuzz(&folder, "build");
        build.args(["--fuzz-dir", "fuzz", "--sanitizer", "none", "--target-dir"]).arg(&built);
        if !shown(&mut build)? {
            return Ok(Outcome::Failed);
        }
        let list = taken(fuzz(&folder, "list").args(["--fuzz-dir", "fuzz"]))?;
        targets.extend(list.split_whitespace().map(|target| Target::new(&folder, target)));
    }
    // A target needs one processor.
    let (targets, found) = (Mutex::new(targets.into_iter()), workspace.target.join("fuzz-smoke"));
    if found.exists() {
        fs::remove_dir_all(&found)?;
    }
    let next = || targets.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut passed = true;
        while let Some(target) = next() {
            passed &= target.run(&built, &found)?;
        }
        anyhow::Ok(passed)
    };
    let passed = thread::scope(|scope| {
        let workers = available_parallelism().map_or(1, NonZero::get);
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let ended =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.collect::<anyhow::Result<Vec<bool>>>()
    })?;
    Ok(passed.iter().all(|passed| *passed).into())
}

/// One fuzz target.
struct Target {
    /// The folder of its crate.
    folder: PathBuf,
    name: String,
    seconds: usize,
}

impl Target {
    fn new(folder: &Path, name: &str) -> Self {
        let protocol = PROTOCOLS.iter().any(|protocol| folder.ends_with(protocol));
        let seconds = if protocol { PROTOCOL_SECONDS } else { SECONDS };
        Self { folder: folder.to_owned(), name: name.to_owned(), seconds }
    }

    /// Runs it; whether nothing was found. What is found goes below `found`; the committed corpus is only read.
    fn run(&self, built: &Path, found: &Path) -> anyhow::Result<bool> {
        let (Self { folder, name, seconds }, found) = (self, found.join(&self.name));
        fs::create_dir_all(&found)?;
        let corpus = Path::new("fuzz/corpus").join(name);
        let mut command = fuzz(folder, "run");
        command.args(["--fuzz-dir", "fuzz", "--sanitizer", "none", "--target-dir"]).arg(built);
        command.arg(name).arg(found).args(Some(corpus).filter(|corpus| folder.join(corpus).is_dir()));
        command.args(["--", SEED, "-reload=0", &format!("-max_total_time={seconds}"), "-verbosity=0"]);
        let ended = command.stdin(Stdio::null()).output()?;
        let outcome = if ended.status.success() { "passed" } else { "FAILED" };
        report::line(&format!("{name} of {}, {seconds} s: {outcome}", folder.display()));
        if !ended.status.success() {
            let said = String::from_utf8_lossy(&ended.stderr);
            report::line(&said);
            // Relative to where it ran.
            let input = kept(&said).and_then(|path| fs::read(folder.join(path)).ok());
            if let Some(input) = input.as_deref().and_then(escaped) {
                report::line(&format!("the input as text: {input}"));
            }
        }
        Ok(ended.status.success())
    }
}

/// The file of the input that made a target fail, as the target says it.
fn kept(said: &str) -> Option<&Path> {
    said.lines().find_map(|line| Some(Path::new(line.split_once("Test unit written to ")?.1)))
}

/// An input in ASCII, as a literal of bytes would have it; `None` if it is long.
fn escaped(input: &[u8]) -> Option<String> {
    (input.len() <= SHOWN_BYTES_MAX).then(|| format!("b\"{}\"", input.escape_ascii()))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An input of a red run was a list of 1,200 numbers; nobody saw that it was JSON.
    #[test]
    fn a_short_input_is_shown_as_text() {
        let said = "==9== ERROR: libFuzzer: deadly signal\nartifact_prefix='fuzz/'; Test unit written to fuzz/crash-1f\nBase64: eA==\n";
        assert_eq!(kept(said), Some(Path::new("fuzz/crash-1f")));
        assert_eq!(kept("error: could not compile"), None);
        assert_eq!(escaped(b"{\"a\":\0\xff}\n").unwrap(), r#"b"{\"a\":\x00\xff}\n""#);
        assert_eq!(escaped(&[b'x'; SHOWN_BYTES_MAX + 1]), None);
    }
}
