//! How errors look on a terminal: an `error:` line, a `cause:` line for each cause, a `hint:` line when there is one.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

/// Prints `error` to standard error and gives the exit code of a failure.
pub(crate) fn failure(error: &dyn Error, hint: Option<String>) -> ExitCode {
    tell(error, hint);
    ExitCode::FAILURE
}

/// Prints `error` to standard error.
pub(crate) fn tell(error: &dyn Error, hint: Option<String>) {
    // Without a standard error there is nobody to tell.
    let _ = io::stderr().lock().write_all(lines(error, hint).as_bytes());
}

/// Prints to standard error what went wrong with one thing of several; the program goes on.
pub(crate) fn problem(what: &str, error: &dyn Error) {
    let text = lines(error, None);
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let _ = io::stderr().lock().write_all(format!("error: {what}: {text}").as_bytes());
}

/// Prints to standard error what is worth knowing and no failure.
pub(crate) fn note(text: &str) {
    let _ = io::stderr().lock().write_all(format!("note: {text}\n").as_bytes());
}

fn lines(error: &dyn Error, hint: Option<String>) -> String {
    let mut lines = format!("error: {error}\n");
    let mut cause = error.source();
    while let Some(error) = cause {
        lines += &format!("  cause: {error}\n");
        cause = error.source();
    }
    if let Some(hint) = hint {
        lines += &format!("hint: {hint}\n");
    }
    lines
}
