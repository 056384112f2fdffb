//! Rule files: TOML text to [`RuleText`]s, each word with its place.
//!
//! ```toml
//! [[rule]]
//! domain = ["bank.test", "pay.test"]
//! port = 443
//! action = "pass"
//! ```
//!
//! The language only. Which keys a rule has is known to `rule_reader.rs`.

use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::egress_spec::EgressSpecError;
use crate::places::{Place, Places};
use crate::rule_reader::{Mistake, Raw, Written, read_rule};
use crate::rule_text::{ConditionKind, RuleText};
use crate::value::quoted;

/// Rules in one file. More belongs into lists of names.
const RULES_MAX: usize = 10_000;

/// A rule file that cannot be used, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuleFileError {
    /// The file, as the caller named it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub problem: RuleFileProblem,
}

impl fmt::Display for RuleFileError {
    /// `file:line:column: what is wrong`, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.problem)
    }
}

impl std::error::Error for RuleFileError {}

/// What is wrong with a rule file.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleFileProblem {
    /// Not TOML.
    #[error("{}", message.replace(char::is_control, " "))]
    Syntax {
        /// What the TOML reader says.
        message: String,
    },
    /// A key that no rule has.
    #[error("{} is not a key of a rule", quoted(key))]
    UnknownKey {
        /// The key.
        key: String,
        /// The key that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// Something other than `[[rule]]` on the first level.
    #[error("{} stands where only `[[rule]]` may", quoted(key))]
    NotRule {
        /// What stands there.
        key: String,
    },
    /// An action that there is not.
    #[error("{} is not an action: there are decrypt, pass, record, block and hide", quoted(action))]
    UnknownAction {
        /// The action.
        action: String,
        /// The action that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// A rule that does not say what to do.
    #[error("the rule has neither `action` nor `via`")]
    NoAction,
    /// A way out that there is not.
    #[error(transparent)]
    Via(#[from] EgressSpecError),
    /// A value of the wrong type.
    #[error("`{key}` is to be {expected}, not {found}")]
    Type {
        /// The key.
        key: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What it was given.
        found: &'static str,
    },
    /// `domain = []`: it would never hold, or always; nobody knows which was meant.
    #[error("`{key}` is empty")]
    Empty {
        /// The key.
        key: &'static str,
    },
    /// More rules than any file needs.
    #[error("more than {RULES_MAX} rules; put names into a file of their own and use `list`")]
    TooMany,
}

impl RuleFileError {
    /// The next step for the user, when there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match &self.problem {
            RuleFileProblem::NoAction => Some("add `action = \"pass\"` or another action".to_owned()),
            other => other.hint(),
        }
    }
}

impl RuleFileProblem {
    /// The next step for the user, where it does not depend on the language.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownKey { suggestion: Some(word), .. }
            | Self::UnknownAction { suggestion: Some(word), .. } => Some(format!("did you mean `{word}`?")),
            Self::UnknownKey { suggestion: None, .. } => {
                let keys: Vec<_> = ConditionKind::ALL.iter().map(|kind| kind.word()).collect();
                Some(format!("a rule has `action` or `via`, and any of {}", keys.join(", ")))
            }
            _ => None,
        }
    }
}

/// Reads the text of a rule file.
///
/// # Errors
/// The first mistake in the file.
pub fn parse_rules(text: &str, file: &str) -> Result<Vec<RuleText>, RuleFileError> {
    let places = Places::new(text);
    read(text, file, &places).map_err(|(at, problem)| {
        let Place { line, column } = at;
        RuleFileError { file: file.to_owned(), line, column, problem }
    })
}

fn read(text: &str, file: &str, places: &Places<'_>) -> Result<Vec<RuleText>, Mistake> {
    let document = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (places.of(at), RuleFileProblem::Syntax { message: error.message().to_owned() })
    })?;
    let mut rules = Vec::new();
    for (key, value) in document.get_ref() {
        let not_rule = || {
            let key_at = places.of(key.span().start);
            (key_at, RuleFileProblem::NotRule { key: key.get_ref().clone().into_owned() })
        };
        if key.get_ref() != "rule" {
            return Err(not_rule());
        }
        for rule in value.get_ref().as_array().ok_or_else(not_rule)? {
            let table = rule.get_ref().as_table().ok_or_else(not_rule)?;
            let at = places.of(rule.span().start);
            if rules.len() >= RULES_MAX {
                return Err((at, RuleFileProblem::TooMany));
            }
            let entries = table.iter().map(|(key, value)| {
                let key_at = places.of(key.span().start);
                (key_at, key.get_ref().clone().into_owned(), written(places, value))
            });
            rules.push(read_rule(file, at, entries)?);
        }
    }
    Ok(rules)
}

fn written(places: &Places<'_>, value: &Spanned<DeValue<'_>>) -> Written {
    let raw = match value.get_ref() {
        DeValue::String(text) => Raw::Text(text.clone().into_owned()),
        DeValue::Integer(digits) => Raw::Whole(digits.to_string()),
        DeValue::Array(values) => Raw::List(values.iter().map(|value| written(places, value)).collect()),
        other => Raw::Other(other.type_str()),
    };
    Written { at: places.of(value.span().start), value: raw }
}

#[cfg(test)]
mod tests;
