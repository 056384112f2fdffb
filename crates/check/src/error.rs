//! What may be wrong with a file of checks, and where.

use std::fmt;

use flowgate_contentview::escape::push_line;
use flowgate_filter::FilterError;
use flowgate_policy::HostWordFault;

use crate::limits::CHECKS_MAX;
use crate::schema::SchemaReadError;

/// A file of checks that cannot be used, and where.
#[derive(Debug)]
pub struct CheckError {
    /// The file, as the caller named it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub problem: Box<CheckProblem>,
}

impl fmt::Display for CheckError {
    /// `file:line:column: what is wrong`, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What was written in the file may say more than a line.
        let mut line = String::new();
        push_line(&mut line, &format!("{}:{}:{}: {}", self.file, self.line, self.column, self.problem));
        f.write_str(&line)
    }
}

impl std::error::Error for CheckError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.problem {
            CheckProblem::Schema { source, .. } => Some(source),
            // The line has it all.
            _ => None,
        }
    }
}

impl CheckError {
    /// The next step for the user, when there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match &*self.problem {
            CheckProblem::NoCheck => {
                "begin with `[[check]]`, `name = \"...\"` and `forbid = \"~e\"`".to_owned()
            }
            CheckProblem::NoAssertion { .. } => format!("add one of {}", ASSERTIONS.join(", ")),
            CheckProblem::Duration { .. } => "`250ms`, `1.5s`, `2m`".to_owned(),
            CheckProblem::DurationKey { .. } => "`max`, or a percentile: `p50`, `p95`, `p99.9`".to_owned(),
            CheckProblem::Status { .. } => "`204`, `\"2xx\"`, `\"400-499\"`".to_owned(),
            CheckProblem::PerAlone => "say how often: `at_most = 3`".to_owned(),
            _ => return None,
        })
    }
}

/// The keys of which a check has at least one.
pub(crate) const ASSERTIONS: [&str; 11] = [
    "at_least",
    "at_most",
    "exactly",
    "require",
    "forbid",
    "only_hosts",
    "header_only_to",
    "status",
    "duration",
    "schema",
    "request_schema",
];

/// What is wrong with a file of checks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckProblem {
    /// Not TOML, or a key or type that no check has.
    #[error("{}", message.replace(char::is_control, " "))]
    Syntax {
        /// What the TOML reader says.
        message: String,
    },
    /// There is nothing to check.
    #[error("there is no `[[check]]`")]
    NoCheck,
    /// A check without a name.
    #[error("the check has no `name`")]
    NoName,
    /// Two checks of one name: a report could not tell them apart.
    #[error("there are two checks called `{name}`")]
    SameName {
        /// The name.
        name: String,
    },
    /// A check that asserts nothing.
    #[error("the check `{name}` asserts nothing")]
    NoAssertion {
        /// Its name.
        name: String,
    },
    /// Bounds that no number fits, or two that say the same.
    #[error("`exactly` stands beside `at_least` or `at_most`")]
    ExactlyAndMore,
    /// `per` without a number.
    #[error("`per` says in which groups flows are counted, and nothing is counted")]
    PerAlone,
    /// A filter that cannot be used.
    #[error("`{key}`: {source}")]
    Filter {
        /// The key.
        key: &'static str,
        /// What is wrong.
        source: FilterError,
    },
    /// A word that names no host.
    #[error("`{word}`: {fault}")]
    Host {
        /// The word.
        word: String,
        /// Why not.
        fault: HostWordFault,
    },
    /// A list without a word: it would forbid everything or nothing.
    #[error("`{key}` is empty")]
    Empty {
        /// The key.
        key: &'static str,
    },
    /// A word that is no name of a header field.
    #[error("`{word}` is not the name of a header field")]
    Header {
        /// The word.
        word: String,
    },
    /// A word that is no status.
    #[error("`{word}` is not a status")]
    Status {
        /// The word.
        word: String,
    },
    /// A word that is no time.
    #[error("`{word}` is not a duration")]
    Duration {
        /// The word.
        word: String,
    },
    /// A key that a duration does not have.
    #[error("`{key}` is not a bound of durations")]
    DurationKey {
        /// The key.
        key: String,
    },
    /// A schema that cannot be read or used.
    #[error("cannot use the schema {path}")]
    Schema {
        /// Its file.
        path: String,
        /// Why.
        source: SchemaReadError,
    },
    /// More checks than any file needs.
    #[error("more than {CHECKS_MAX} checks")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fuzz target found it: a name may be written with line ends, and errors stood on two lines.
    #[test]
    fn an_error_is_one_line() {
        let problem = Box::new(CheckProblem::NoAssertion { name: "one\nand\u{2028}two".to_owned() });
        let error = CheckError { file: "a\rb".to_owned(), line: 1, column: 2, problem };
        assert_eq!(error.to_string(), "a.b:1:2: the check `one.and.two` asserts nothing");
    }
}
