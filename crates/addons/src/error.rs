//! What is wrong with an option of a feature: which entry, at which column, and why. What stands in an option may be a secret
//! (a header's value, a password), so messages name the place and not the text.

use std::fmt;
use std::io;
use std::path::PathBuf;

use flowgate_filter::FilterError;
use flowgate_logins::LoginsError;
use flowgate_options::place_in_option;
use flowgate_pattern::{Fault, TemplateFault};
use thiserror::Error;

/// An option that cannot be put into effect; its `Display` is one line.
#[derive(Debug, Error)]
pub struct FeatureError {
    /// The option.
    pub option: &'static str,
    /// Which entry of its list, from 0; `None` if it is no list.
    pub entry: Option<usize>,
    /// At which character of the entry, from 1, if it is one place.
    pub column: Option<usize>,
    /// What.
    pub fault: Box<FeatureFault>,
}

/// What is wrong.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FeatureFault {
    /// Not as many parts between separators as the option has.
    #[error("expected {expected}, where the first character is the separator")]
    Parts {
        /// How it is written.
        expected: &'static str,
    },
    /// A filter that cannot be read.
    #[error("{}{}", .0.fault, hint_of(.0))]
    Filter(FilterError),
    /// A regular expression that cannot be used.
    #[error("{0}")]
    Pattern(Fault),
    /// A replacement that cannot be read.
    #[error("{0}")]
    Replacement(TemplateFault),
    /// A name that no header field can have.
    #[error("not a header name")]
    HeaderName,
    /// A value that no header field can have.
    #[error("a header value cannot have line ends or NUL")]
    HeaderValue,
    /// Not a status.
    #[error("expected a status from 200 to 599, or 444 to close the connection")]
    Status,
    /// Not an effect of `faults`.
    #[error("expected {expected}")]
    Effect {
        /// What is.
        expected: &'static str,
    },
    /// A filter that would need bodies that are not held.
    #[error("a filter that reads bodies cannot be used here: bodies stream")]
    FilterOnBody,
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// A file of absurd size.
    #[error("{} is longer than {limit} bytes", path.display())]
    FileTooLong {
        /// The path.
        path: PathBuf,
        /// As many as are read.
        limit: u64,
    },
    /// Nobody can be asked for a name and a password.
    #[error("{0}")]
    Logins(LoginsError),
    /// `~` in a path, and no home directory.
    #[error("there is no home directory for `~`")]
    NoHome,
}

fn hint_of(error: &FilterError) -> String {
    error.hint().map_or_else(String::new, |hint| format!("; {hint}"))
}

impl FeatureError {
    /// The next step for the user, when there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match &*self.fault {
            FeatureFault::Pattern(_) => "patterns are regular expressions as in Python's `re`",
            FeatureFault::Parts { .. } => "any other character separates as well: `|a|b` is `/a/b`",
            FeatureFault::Logins(error) => return error.hint(),
            FeatureFault::NoHome => "give the path as an absolute one",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl fmt::Display for FeatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", place_in_option(self.option, self.entry, self.column), self.fault)
    }
}
