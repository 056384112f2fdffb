//! How a Rust file begins: with what it is, and when it is long, with why it is one thing.

use super::{Finding, SourceFile};

/// Longer files have to say why they are one thing.
const LINES_MAX: usize = 1_000;

pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    let first = file.text.lines().next().unwrap_or_default();
    if !first.starts_with("//!") {
        let mend =
            "begin it with `//!`: what it is, what it is not, and the one invariant a reader must know";
        return vec![file.finding(1, "the file does not begin with `//!`", mend)];
    }
    let lines = file.text.lines().count();
    if lines > LINES_MAX && !first.to_lowercase().contains("one thing") {
        let what = format!("the file has {lines} lines, and its first does not say why it is one thing");
        let mend = format!(
            "divide it, or say `//! ... one thing because ...` (more than {LINES_MAX} lines need a reason)"
        );
        return vec![file.finding(1, what, mend)];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: String) -> usize {
        check(&SourceFile { path: "a.rs".into(), text }).len()
    }

    #[test]
    fn a_file_begins_with_what_it_is() {
        assert_eq!(count("//! A thing.\n".to_owned()), 0);
        assert_eq!(count("use std::fmt;\n".to_owned()), 1);
        assert_eq!(count(String::new()), 1);
    }

    #[test]
    fn a_long_file_says_why() {
        let long = "\n".repeat(LINES_MAX);
        assert_eq!(count(format!("//! A thing.{}", "\n".repeat(LINES_MAX - 1))), 0);
        assert_eq!(count(format!("//! A thing.\n{long}")), 1);
        assert_eq!(count(format!("//! One thing, because it is one table.\n{long}")), 0);
    }
}
