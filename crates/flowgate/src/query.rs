//! Answers to `flowgate why` and `flowgate lint`: the same functions that a running proxy asks, on the same options.

use std::path::Path;

use flowgate_options::Values;
use flowgate_policy::{RulesError, RulesSource};
use flowgate_session::{RuleFiles, RuleFilesError, sources};

use crate::cli::Query;

mod lint;
mod why;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    /// Rule files cannot be read.
    #[error(transparent)]
    Files(#[from] RuleFilesError),
    /// A rule or a pattern cannot be compiled.
    #[error(transparent)]
    Rules(#[from] RulesError),
}

impl QueryError {
    /// The next step for the user, when there is one to name.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Files(error) => error.hint(),
            Self::Rules(_) => None,
        }
    }
}

/// An answer, and whether it is a good one.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What is printed.
    pub(crate) text: String,
    /// There was nothing to complain of.
    pub(crate) good: bool,
}

/// Answers a query.
///
/// # Errors
/// If the rules cannot be used.
pub(crate) fn answer(query: &Query, values: &Values, home: Option<&Path>) -> Result<Answer, QueryError> {
    let files = RuleFiles::read(&values.rules, home, None)?;
    let source: RulesSource = sources(values, &files);
    match query {
        Query::Why(question) => why::answer(question, values, &source),
        Query::Lint => lint::answer(&files, &source),
    }
}
