//! A mitmproxy 12 to compare with: a Python environment in the target folder.
//!
//! It reads our flow files and writes the ones we read. It needs Python 3.12, which Debian 12 has not, so a machine
//! without is no failure, not even in CI; one where the installation fails is.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{find, taken};
use crate::python_env::PythonEnv;

/// The variable by which tests learn of the interpreter.
pub(crate) const VARIABLE: &str = "FLOWGATE_MITMPROXY_PYTHON";

const ENVIRONMENT: PythonEnv = PythonEnv {
    name: "mitmproxy 12",
    variable: VARIABLE,
    folder: "mitmproxy-venv",
    // The other is another reader of HAR.
    requirements: ["mitmproxy>=12,<13", "haralyzer>=2,<3"],
    question: "import sys, mitmproxy.version as v; sys.exit(not v.VERSION.startswith('12.'))",
};

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
    if let Some(python) = ENVIRONMENT.found(target) {
        return Ok(Mitmproxy::Found(python));
    }
    let Some(python) = pythons().into_iter().find(|python| is_new_enough(python)) else {
        return Ok(Mitmproxy::NoPython);
    };
    Ok(ENVIRONMENT.make(target, &python)?.map_or(Mitmproxy::Failed, Mitmproxy::Found))
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
