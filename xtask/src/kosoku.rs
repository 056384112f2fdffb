//! kosoku, which plays the Autobahn cases of WebSocket conformance, and a server to play them to: a Python environment in the target
//! folder.

use std::path::{Path, PathBuf};

use crate::command::find;
use crate::python_env::PythonEnv;

/// The variable by which tests learn of the interpreter.
pub(crate) const VARIABLE: &str = "FLOWGATE_KOSOKU_PYTHON";

const ENVIRONMENT: PythonEnv = PythonEnv {
    name: "kosoku",
    variable: VARIABLE,
    folder: "kosoku-venv",
    requirements: ["kosoku==0.1.0", "websockets>=15"],
    question: "import kosoku, websockets.asyncio.server",
};

/// The interpreter of an environment that has it, found or made; `None` if there is none to be had.
pub(crate) fn provide(target: &Path) -> anyhow::Result<Option<PathBuf>> {
    if let Some(python) = ENVIRONMENT.found(target) {
        return Ok(Some(python));
    }
    let Some(python) = find("python3") else { return Ok(None) };
    ENVIRONMENT.make(target, &python)
}
