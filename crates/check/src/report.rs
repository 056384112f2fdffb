//! What came out: for each check whether it holds, and if not, why not.

use std::time::Duration;

use flowgate_contentview::escape;
use flowgate_store::Row;

use crate::limits::SHOWN_CHARS_MAX;

/// What came out of all checks of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The file, as the caller named it.
    pub file: String,
    /// The checks, in their order.
    pub checks: Vec<CheckReport>,
    /// How long it took, for reports that say so.
    pub took: Duration,
}

/// What came out of one check.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    /// Its name.
    pub name: String,
    /// What its author says to those who violate it.
    pub help: Option<String>,
    /// What a violation means.
    pub severity: Severity,
    /// Its line in the file, from 1.
    pub line: usize,
    /// How many flows it means.
    pub flows: u64,
    /// What came out.
    pub outcome: Outcome,
}

/// What a violation means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// The run failed.
    Error,
    /// It is told, and the run did not fail.
    Warning,
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It holds.
    Holds,
    /// It does not.
    Violated {
        /// How often not.
        count: u64,
        /// Some of that ([`VIOLATIONS_KEPT_MAX`](crate::limits::VIOLATIONS_KEPT_MAX)).
        violations: Vec<Violation>,
    },
    /// Nobody knows, for this reason.
    Undecided(String),
}

/// One violation.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// The flow, if it is one flow's doing.
    pub flow: Option<FlowRef>,
    /// What is wrong.
    pub text: String,
}

/// A flow that a report names.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRef {
    /// Its id.
    pub id: String,
    /// What it is, in a line: method and URL, or kind and destination. Harmless to print.
    pub title: String,
}

/// Names a flow that violates something. Few do, so that only then all of it is read that its title needs.
pub(crate) type Named<'a> = &'a dyn Fn() -> FlowRef;

impl FlowRef {
    pub(crate) fn of(row: &Row) -> Self {
        let first = row.method.clone().unwrap_or_else(|| row.kind_name().as_bytes().to_vec());
        let rest = row.url.as_deref().or_else(|| row.destination.as_deref().map(str::as_bytes));
        let mut title = shown(&first);
        if let Some(rest) = rest {
            title.push(' ');
            title.push_str(&shown(rest));
        }
        Self { id: row.id.to_string(), title }
    }
}

impl Report {
    /// Whether all checks hold that have to.
    #[must_use]
    pub fn good(&self) -> bool {
        !self.checks.iter().any(CheckReport::fails)
    }

    /// Whether each check has a verdict.
    #[must_use]
    pub fn decided(&self) -> bool {
        !self.checks.iter().any(|check| matches!(check.outcome, Outcome::Undecided(_)))
    }
}

impl CheckReport {
    /// Whether the run failed by it.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.severity == Severity::Error && self.outcome != Outcome::Holds
    }
}

/// What a peer said, cut to a length and made harmless.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    escape::push_line_bytes(&mut text, bytes);
    if text.chars().count() > SHOWN_CHARS_MAX {
        text = text.chars().take(SHOWN_CHARS_MAX).collect();
        text.push_str("...");
    }
    text
}
