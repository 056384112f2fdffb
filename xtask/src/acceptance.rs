//! The outside acceptance harness for exemptions (`ignore_hosts` and its kin), held against the binary that the tests use:
//! optimising one took five minutes, and the cases ask what is done, not how fast.
//!
//! The harness is no part of this repository: it is used where it lies beside the checkout. It drives any proxy with
//! mitmproxy's switches over real sockets in network namespaces of its own.

use std::process::Command;

use crate::ci::Outcome;
use crate::command::{cargo, is_root, shown, succeeds};
use crate::workspace::Workspace;
use crate::{report, tools};

/// Where the harness lies, seen from the root of the repository.
const FOLDER: &str = "../shared/acceptance/ignore_hosts";

/// The cases that must pass, as globs over their ids. Globs are only ever added.
const MUST_PASS: [&str; 22] = [
    "regular.*",
    "sni.*",
    "http.*",
    "tls.*",
    "start.*",
    "hello.*",
    "malformed.*",
    "explicit.*",
    "serverfirst.*",
    "close.*",
    "allow.*",
    "both.*",
    "shown.*",
    "swp.*",
    "timing.*",
    "big.*",
    "tcp.*",
    "socks5.*",
    "transparent.*",
    "reverse.*",
    "upstream.*",
    "udp.*",
];

/// Builds the binary and runs the cases that must pass.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let folder = workspace.root.join(FOLDER);
    if !folder.join("run.py").is_file() {
        return Ok(Outcome::Skipped(format!("there is no {FOLDER} beside this checkout")));
    }
    if !workspace.packages.iter().any(|package| package.name == "flowgate") {
        return Ok(Outcome::Skipped("there is no crate `flowgate` with the binary yet".to_owned()));
    }
    report::step("build the binary");
    if !shown(cargo().args(["build", "--package", "flowgate"]).current_dir(&workspace.root))? {
        return Ok(Outcome::Failed);
    }
    provide_python_packages()?;
    report::step(&format!("acceptance cases {}", MUST_PASS.join(" ")));
    let mut harness = Command::new("python3");
    harness
        .arg(folder.join("run.py"))
        .arg("--proxy")
        .arg(folder.join("flowgate-template.json"))
        .arg("--bin")
        .arg(workspace.target.join("debug/flowgate"))
        .args(["--only", &MUST_PASS.join(",")]);
    Ok(shown(&mut harness)?.into())
}

/// The harness needs `cryptography`, and installs it into an environment of its own where Python can make one.
fn provide_python_packages() -> anyhow::Result<()> {
    let imports = |module: &str| succeeds(Command::new("python3").args(["-c", &format!("import {module}")]));
    if !imports("cryptography") && !imports("ensurepip") && is_root() {
        tools::install(&["python3-venv"])?;
    }
    Ok(())
}
