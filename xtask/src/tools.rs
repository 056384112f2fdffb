//! The programs that tests use as peers: found, or installed where that is possible.

use std::process::Command;
use std::time::Instant;

use crate::command::{find, is_root, shown};
use crate::report;

/// Each program and the Debian package that has it.
const TOOLS: [(&str, &str); 11] = [
    ("nginx", "nginx-light"),
    ("h2load", "nghttp2-client"),
    ("chromium", "chromium"),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("certutil", "libnss3-tools"),
    ("squid", "squid-openssl"),
    ("slapd", "slapd"),
    ("htpasswd", "apache2-utils"),
    ("nft", "nftables"),
    ("wget", "wget"),
];

/// Installs what is missing, where that can be done, and returns the programs that are still missing.
pub(crate) fn provide() -> anyhow::Result<Vec<&'static str>> {
    let packages: Vec<&str> = TOOLS
        .into_iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|(_, package)| package)
        .collect();
    if !packages.is_empty() {
        if is_root() && find("apt-get").is_some() {
            install(&packages)?;
        } else {
            report::line(&format!(
                "to run all tests, install as root: apt-get install {}",
                packages.join(" ")
            ));
        }
    }
    Ok(TOOLS.into_iter().map(|(program, _)| program).filter(|program| find(program).is_none()).collect())
}

/// Installs Debian packages one by one after a refresh of the lists, so that one that is not to be had harms no other.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    report::step(&format!("refresh the package lists to install {}", packages.join(", ")));
    // Old lists may still do, so a failure here is not the end.
    shown(apt_get().args(["-qq", "update"]))?;
    for package in packages {
        let start = Instant::now();
        report::step(&format!("install {package}"));
        let quiet = ["-qq", "-o", "Dpkg::Use-Pty=0", "install", "--yes", "--no-install-recommends"];
        // Packages with servers would start them; in this run level they do not.
        let installed = shown(
            apt_get().args(quiet).arg(package).env("RUNLEVEL", "1").stdout(std::process::Stdio::null()),
        )?;
        report::line(&format!(
            "    {} in {}",
            if installed { "done" } else { "FAILED" },
            report::since(start)
        ));
    }
    Ok(())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
