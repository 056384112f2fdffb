//! What is wrong with a filter, where, and what was probably meant.

use std::fmt;

use flowgate_pattern::{Fault, OneLine};

use crate::limits::{DEPTH_MAX, FILTER_BYTES_MAX};
use crate::operators::Argument;

/// A filter that cannot be used; its `Display` is one line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct FilterError {
    /// Where, in bytes from 0.
    pub offset: usize,
    /// Where, in characters from 1.
    pub column: usize,
    /// What.
    pub fault: FilterFault,
}

/// What is wrong with a filter.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterFault {
    /// Nothing but white space.
    #[error("empty filter")]
    Empty,
    /// More than [`FILTER_BYTES_MAX`].
    #[error("a filter of more than {} bytes", FILTER_BYTES_MAX)]
    TooLong,
    /// More than [`DEPTH_MAX`].
    #[error("more than {} parentheses and ! inside each other", DEPTH_MAX)]
    TooDeep,
    /// `~uu`.
    #[error("unknown operator ~{}", OneLine(.name))]
    UnknownOperator {
        /// What stood there, without the tilde.
        name: String,
        /// What was probably meant.
        suggestion: Option<&'static str>,
    },
    /// `~b` at the end, or before another operator.
    #[error("~{operator} needs a {}", .argument.name())]
    MissingArgument {
        /// The operator.
        operator: &'static str,
        /// What it needs.
        argument: Argument,
    },
    /// `~c 20y`, `~size x`.
    #[error("~{operator} needs a {}, not {}", .argument.name(), OneLine(.found))]
    BadArgument {
        /// The operator.
        operator: &'static str,
        /// What it needs.
        argument: Argument,
        /// What stood there.
        found: String,
    },
    /// `a &`, `!`.
    #[error("nothing follows {operator}")]
    NothingFollows {
        /// The character.
        operator: char,
    },
    /// `a && b`, `| a`, `~b & a`: a pattern of nothing but operators.
    #[error("{found} where a pattern is expected")]
    OperatorAsPattern {
        /// What stood there.
        found: String,
    },
    /// `"a`.
    #[error("unterminated quote")]
    UnterminatedQuote,
    /// `(a`.
    #[error("missing ), the parenthesis")]
    UnclosedParenthesis,
    /// `a)`.
    #[error("unbalanced parenthesis")]
    UnbalancedParenthesis,
    /// `()`.
    #[error("nothing between the parentheses")]
    EmptyParentheses,
    /// A pattern that Python's `re` would refuse, too, or that the engine cannot do.
    #[error("regular expression /{}/: {fault}", OneLine(.pattern))]
    Pattern {
        /// The pattern without its quotes.
        pattern: String,
        /// What is wrong with it.
        fault: Fault,
    },
}

impl FilterError {
    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match &self.fault {
            FilterFault::UnknownOperator { suggestion: Some(name), .. } => format!("did you mean ~{name}?"),
            FilterFault::UnknownOperator { name, .. } if name.is_empty() => {
                "a tilde in a pattern has to stand in quotes".to_owned()
            }
            FilterFault::MissingArgument { argument: Argument::Regex, .. } => {
                "put a pattern with spaces, parentheses or a tilde in quotes".to_owned()
            }
            FilterFault::MissingArgument { argument, .. } | FilterFault::BadArgument { argument, .. } => {
                match argument {
                    Argument::Status => "as in ~c 404 or ~c 4xx".to_owned(),
                    Argument::Size => "as in ~size >10k".to_owned(),
                    Argument::Duration => "as in ~duration >2.5s".to_owned(),
                    Argument::Regex | Argument::None => return None,
                }
            }
            FilterFault::NothingFollows { .. } => "put it in quotes to search for it".to_owned(),
            FilterFault::OperatorAsPattern { .. } => {
                "write & and | once between two expressions; put it in quotes to search for it".to_owned()
            }
            FilterFault::UnterminatedQuote => {
                "a quote ends on its line; \\\" is a quote within quotes".to_owned()
            }
            FilterFault::UnclosedParenthesis | FilterFault::UnbalancedParenthesis => {
                "put a pattern with parentheses in quotes".to_owned()
            }
            FilterFault::Pattern { fault: Fault::NothingToRepeat, .. } => {
                "\\* is the character itself".to_owned()
            }
            _ => return None,
        })
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fault)?;
        if self.fault != FilterFault::Empty {
            write!(f, " at column {}", self.column)?;
        }
        match self.hint() {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}
