//! What a test needs from the machine: found, or named and skipped, or (under `CI`) a failure.
//!
//! Nothing is installed here; `cargo xtask test` does that. A skip is one line on standard error, written past the
//! capture of the test harness, so that a green run on a bare machine still says what it did not look at.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Folders that hold servers but are often missing from an ordinary user's `PATH`.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// The path of `program`, or `None` after one line that says what is missing and how to get it.
///
/// # Panics
///
/// When the program is missing and `CI` is set: a machine that judges changes must not judge by half the tests.
#[must_use]
pub fn require(program: &str) -> Option<PathBuf> {
    let found = find(program);
    if found.is_none() {
        let hint =
            format!("{program} is not installed (`cargo xtask test` as root installs it, or says how)");
        unavailable(&hint);
    }
    found
}

/// Says what this machine does not have.
///
/// # Panics
///
/// When `CI` is set.
pub(crate) fn unavailable(what: &str) {
    assert!(!is_set(env::var_os("CI").as_deref()), "{what}");
    skip(what);
}

/// The Python interpreter of an environment with mitmproxy 12 in it, or `None` after a skip line.
///
/// `cargo xtask test` makes that environment where a Python of at least 3.12 is found, and hands it over in
/// `FLOWGATE_MITMPROXY_PYTHON`. It stays optional under `CI`: Debian 12 has no such Python.
#[must_use]
pub fn mitmproxy_python() -> Option<PathBuf> {
    let found = env::var_os("FLOWGATE_MITMPROXY_PYTHON").map(PathBuf::from).filter(|path| path.is_file());
    if found.is_none() {
        skip("FLOWGATE_MITMPROXY_PYTHON names no Python with mitmproxy 12 (`cargo xtask test` sets it)");
    }
    found
}

/// The Python interpreter of an environment with kosoku and websockets in it, or `None` after a skip line.
///
/// `cargo xtask test` makes that environment and hands it over in `FLOWGATE_KOSOKU_PYTHON`.
///
/// # Panics
///
/// When it is missing and `CI` is set.
#[must_use]
pub fn kosoku_python() -> Option<PathBuf> {
    let found = env::var_os("FLOWGATE_KOSOKU_PYTHON").map(PathBuf::from).filter(|path| path.is_file());
    if found.is_none() {
        unavailable("FLOWGATE_KOSOKU_PYTHON names no Python with kosoku (`cargo xtask test` sets it)");
    }
    found
}

/// Looks for an executable file in `PATH` and the system folders.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// `CI` counts as set unless it is empty or says no.
fn is_set(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| !value.is_empty() && value != "0" && value != "false")
}

fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("skipped {test}: {why}\n");
    // A closed standard error is no reason to fail a test that is skipped.
    let _ = io::stderr().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_every_machine_has() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-such-program-of-ours"), None);
    }

    #[test]
    fn ci_is_set_unless_it_says_no() {
        for (value, expected) in [
            (None, false),
            (Some(""), false),
            (Some("0"), false),
            (Some("false"), false),
            (Some("true"), true),
            (Some("1"), true),
        ] {
            assert_eq!(is_set(value.map(OsStr::new)), expected, "{value:?}");
        }
    }
}
