//! The guides say what happens: each `console` block in them is run and has to print what stands there.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::fs;
use std::path::Path;
use std::process::Command;

use flowgate_testkit::{Line, PATIENCE, Process, Signal};
use tempfile::TempDir;

/// Runs the blocks of a guide, one after the other, in a folder with its flows.
fn check(guide: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("../../docs/guides").join(guide)).unwrap();
    let folder = TempDir::new().unwrap();
    fs::copy(root.join("tests/data/guide.flows"), folder.path().join("flows.mitm")).unwrap();
    // A block of TOML that has a name is the file of that name.
    for file in text.split("```toml ").skip(1) {
        let (name, rest) = file.split_once('\n').unwrap();
        fs::write(folder.path().join(name), rest.split_once("```\n").unwrap().0).unwrap();
    }
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
    assert!(commands >= 3, "{guide} shows {commands} commands");
}

/// A shell that runs a command.
fn shell(command: &str, folder: &Path) -> Command {
    let binaries = Path::new(env!("CARGO_BIN_EXE_flowgate")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let mut shell: Command = Process::command(Path::new("/bin/sh"));
    shell.args(["-c", command]).current_dir(folder).env("PATH", path).env("HOME", folder);
    shell
}

/// What a shell prints of a command, on both outputs.
fn run(command: &str, folder: &Path) -> String {
    Process::run("sh", shell(&format!("{{ {command}; }} 2>&1"), folder), PATIENCE).stdout
}

#[test]
fn watching() {
    check("dump.md");
}

#[test]
fn checking() {
    check("checking.md");
}

#[test]
fn saving() {
    check("saving-flows.md");
}

/// The commands of the README's first minutes do what it takes to be shown there: they end well, or listen until they are stopped.
#[test]
fn first_minutes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("../../README.md")).unwrap();
    let minutes = readme.split_once("## First minutes\n").unwrap().1.split_once("\n## ").unwrap().0;
    let blocks = minutes.split("```\n").skip(1).step_by(2);
    let commands: Vec<_> = blocks
        .flat_map(str::lines)
        .filter_map(|line| line.trim_start_matches("$ ").strip_prefix("flowgate "))
        .map(|command| command.split("  #").next().unwrap().trim_end())
        .collect();
    assert!(commands.len() > 15, "{commands:?}");
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join(".flowgate")).unwrap();
    // Any port, and nobody who knows names.
    write(
        ".flowgate/config.yaml",
        "listen_host: 127.0.0.1\nlisten_port: 0\ndns_name_servers: ['127.0.0.1:1']\n",
    );
    write("checks.toml", "[[check]]\nname = 'few'\nat_most = 1000\n");
    write("rules.toml", "[[rule]]\naction = 'pass'\ndomain = 'bank.com'\n");
    for command in commands {
        fs::copy(root.join("tests/data/guide.flows"), folder.path().join("flows.mitm")).unwrap();
        let words: Vec<_> = command.split(' ').collect();
        let ends = words[0] != "dump" || words.iter().any(|word| ["-nr", "-nC", "--options"].contains(word));
        // What is quiet does not say that it listens; who has no tests runs something else.
        let command = command.replace(" -q ", " ").replace("-- pytest", "-- true");
        let process = Process::spawn("flowgate", shell(&format!("exec flowgate {command}"), folder.path()));
        if !ends {
            let listens = |line: &Line| line.text.contains("listening at").then_some(());
            process.wait_for("its address", PATIENCE, listens);
            process.signal(Signal::INT);
        }
        let status = process.wait(PATIENCE);
        assert!(status.success(), "flowgate {command}: {status}, {:#?}", process.lines());
    }
}
