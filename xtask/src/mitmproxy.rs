//! A mitmproxy 12 to compare with: a Python environment in the target folder.
//!
//! It reads our flow files and writes the ones we read. It needs Python 3.12, which Debian 12 has not, so a machine
//! without is no failure, not even in CI; one where the installation fails is.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::command::{find, shown, succeeds, taken};
use crate::report;

/// The variable by which tests learn of the interpreter.
pub(crate) const VARIABLE: &str = "FLOWGATE_MITMPROXY_PYTHON";

/// What is installed: mitmproxy, and another reader of HAR.
const REQUIREMENTS: [&str; 2] = ["mitmproxy>=12,<13", "haralyzer>=2,<3"];

/// What came of it.
pub(crate) enum Mitmproxy {
    /// The interpreter of an environment that has it.
    Found(PathBuf),
    /// This machine has no Python for it.
    NoPython,
    /// There is a Python, but it could not be installed.
    Failed,
}

/// Finds an environment with mitmproxy 12, or makes one.
pub(crate) fn provide(target: &Path) -> anyhow::Result<Mitmproxy> {
    let given = env::var_os(VARIABLE).map(PathBuf::from);
    let folder = target.join("mitmproxy-venv");
    let ours = folder.join("bin/python");
    if let Some(python) = given.into_iter().chain([ours.clone()]).find(|python| has_mitmproxy(python)) {
        return Ok(Mitmproxy::Found(python));
    }
    let Some(python) = pythons().into_iter().find(|python| is_new_enough(python)) else {
        return Ok(Mitmproxy::NoPython);
    };
    let start = Instant::now();
    report::step(&format!("install mitmproxy 12 with {} into {}", python.display(), folder.display()));
    let made = shown(Command::new(&python).args(["-m", "venv", "--clear"]).arg(&folder))?
        && shown(Command::new(&ours).args(["-m", "pip", "install", "--quiet"]).args(REQUIREMENTS))?
        && has_mitmproxy(&ours);
    report::line(&format!("    {} in {}", if made { "done" } else { "FAILED" }, report::since(start)));
    Ok(if made { Mitmproxy::Found(ours) } else { Mitmproxy::Failed })
}

fn has_mitmproxy(python: &Path) -> bool {
    let question = "import sys, mitmproxy.version as v; sys.exit(not v.VERSION.startswith('12.'))";
    python.is_file() && succeeds(Command::new(python).args(["-c", question]))
}

fn is_new_enough(python: &Path) -> bool {
    // A shim of pyenv answers with an error when its version is not chosen; `ensurepip` is what an environment needs.
    let question = "import ensurepip, sys; print(sys.version_info >= (3, 12))";
    taken(Command::new(python).args(["-c", question])).is_ok_and(|answer| answer.trim() == "True")
}

/// Every Python 3 that may do, the likeliest first.
fn pythons() -> Vec<PathBuf> {
    let in_path = ["python3.13", "python3.12", "python3.14", "python3"].into_iter().filter_map(find);
    in_path.chain(pyenv_pythons()).collect()
}

fn pyenv_pythons() -> Vec<PathBuf> {
    let root = env::var_os("PYENV_ROOT").map(PathBuf::from);
    let Some(root) = root.or_else(|| Some(env::home_dir()?.join(".pyenv"))) else { return Vec::new() };
    let mut found: Vec<PathBuf> = std::fs::read_dir(root.join("versions"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin/python3")))
        .filter(|python| python.is_file())
        .collect();
    found.sort();
    found.reverse();
    found
}
