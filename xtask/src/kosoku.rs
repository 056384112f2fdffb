//! kosoku, which plays the Autobahn cases of WebSocket conformance, and a server to play them to: a Python environment in the target
//! folder.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::command::{find, shown, succeeds};
use crate::report;

/// The variable by which tests learn of the interpreter.
pub(crate) const VARIABLE: &str = "FLOWGATE_KOSOKU_PYTHON";

const REQUIREMENTS: [&str; 2] = ["kosoku==0.1.0", "websockets>=15"];

/// The interpreter of an environment that has it, found or made; `None` if there is none to be had.
pub(crate) fn provide(target: &Path) -> anyhow::Result<Option<PathBuf>> {
    let given = env::var_os(VARIABLE).map(PathBuf::from);
    let folder = target.join("kosoku-venv");
    let ours = folder.join("bin/python");
    if let Some(python) = given.into_iter().chain([ours.clone()]).find(|python| has_kosoku(python)) {
        return Ok(Some(python));
    }
    let Some(python) = find("python3") else { return Ok(None) };
    let start = Instant::now();
    report::step(&format!("install kosoku with {} into {}", python.display(), folder.display()));
    let made = shown(Command::new(&python).args(["-m", "venv", "--clear"]).arg(&folder))?
        && shown(Command::new(&ours).args(["-m", "pip", "install", "--quiet"]).args(REQUIREMENTS))?
        && has_kosoku(&ours);
    report::line(&format!("    {} in {}", if made { "done" } else { "FAILED" }, report::since(start)));
    Ok(made.then_some(ours))
}

fn has_kosoku(python: &Path) -> bool {
    python.is_file()
        && succeeds(Command::new(python).args(["-c", "import kosoku, websockets.asyncio.server"]))
}
