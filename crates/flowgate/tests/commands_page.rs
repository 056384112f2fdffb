//! The page about what the binary does besides proxying, made of its own `--help`.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use flowgate_testkit::Flowgate;

const PAGE: &str = "docs/reference/commands.md";

/// Each with what its help begins with; the flags of all options stand on another page.
const COMMANDS: [&str; 10] =
    ["dump", "flows", "show", "diff", "export", "convert", "check", "run", "why", "lint"];

/// The first heading of the flags that stand for options.
const OPTIONS: &str = "\nModes and addresses:\n";

fn page() -> String {
    let mut page = String::from(
        "# Commands\n\n\
         <!-- Generated from `--help`; to write it anew:\n\
         \x20    UPDATE_REFERENCE=1 cargo test -p flowgate --test commands_page -->\n\n\
         What `flowgate` can be asked for. Each command takes the flags of all [options](options.md) besides those below, and `--set`; each\n\
         exits with 0 for what was asked, and with 1, an `error:` and mostly a `hint:` for what cannot be done.\n",
    );
    for command in COMMANDS {
        let help = Flowgate::run(env!("CARGO_BIN_EXE_flowgate"), &[command, "--help"]);
        assert!(help.status.success(), "{help:?}");
        let (own, _) = help.stdout.split_once(OPTIONS).unwrap();
        write!(page, "\n## `flowgate {command}`\n\n```\n{}\n```\n", own.trim_end()).unwrap();
    }
    page
}

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE);
    let page = page();
    if env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == page,
        "{PAGE} is old; run UPDATE_REFERENCE=1 cargo test -p flowgate --test commands_page"
    );
}
