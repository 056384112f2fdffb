//! The guides say what happens: each `console` block in them is run and has to print what stands there.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::fs;
use std::path::Path;
use std::process::Command;

use flowgate_testkit::{PATIENCE, Process};
use tempfile::TempDir;

/// Runs the blocks of a guide, one after the other, in a folder with its flows.
fn check(guide: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("../../docs/guides").join(guide)).unwrap();
    let folder = TempDir::new().unwrap();
    fs::copy(root.join("tests/data/guide.flows"), folder.path().join("flows.mitm")).unwrap();
    let mut commands = 0;
    for block in text.split("```console\n").skip(1) {
        let block = block.split_once("```\n").unwrap().0;
        for step in block.split("$ ").skip(1) {
            let (command, expected) = step.split_once('\n').unwrap();
            let output = run(command, folder.path());
            assert_eq!(output, expected, "{guide}: {command}");
            commands += 1;
        }
    }
    assert!(commands >= 4, "{guide} shows {commands} commands");
}

/// What a shell prints of a command, on both outputs.
fn run(command: &str, folder: &Path) -> String {
    let binaries = Path::new(env!("CARGO_BIN_EXE_flowgate")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let mut shell: Command = Process::command(Path::new("/bin/sh"));
    shell
        .args(["-c", &format!("{{ {command}; }} 2>&1")])
        .current_dir(folder)
        .env("PATH", path)
        .env("HOME", folder);
    Process::run("sh", shell, PATIENCE).stdout
}

#[test]
fn watching() {
    check("dump.md");
}

#[test]
fn saving() {
    check("saving-flows.md");
}
