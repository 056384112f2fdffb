//! Rule files: TOML text to [`RuleText`]s, each word with its place.
//!
//! ```toml
//! [[rule]]
//! domain = ["bank.test", "pay.test"]
//! port = 443
//! action = "pass"
//! ```
//!
//! Structure only: which keys and actions there are, and what types their values have. What a word means (a network, a
//! pattern) is read by `flowgate-policy`, which names the word's place when it means nothing.

use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::egress_spec::{EgressSpec, EgressSpecError};
use crate::value::quoted;

/// Rules in one file. More belongs into lists of names.
const RULES_MAX: usize = 10_000;

/// A rule as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuleText {
    /// The file, as the user named it.
    pub file: String,
    /// The line of its `[[rule]]`, from 1.
    pub line: usize,
    /// What becomes of connections that it matches; `None` leaves that to the rules and options below.
    pub action: Option<RuleAction>,
    /// The way out that they take; one of this and [`Self::action`] there is.
    pub via: Option<EgressSpec>,
    /// What must hold, in the order in which it is checked; all of it must.
    pub conditions: Vec<ConditionText>,
}

/// One condition: it holds if one of the words does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConditionText {
    /// What is looked at, and how.
    pub kind: ConditionKind,
    /// The alternatives.
    pub words: Vec<Word>,
}

/// A value and its place in the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Word {
    /// The value.
    pub text: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $help:literal])+ $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $name { $($(#[doc = $help])+ $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// How it is written in a rule file.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            fn of(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words! {
    /// What becomes of a connection that a rule matches.
    RuleAction {
        /// Its TLS is ended here, or its HTTP read.
        Decrypt = "decrypt",
        /// It is passed through untouched.
        Pass = "pass",
        /// Its bytes are recorded and not read as HTTP; its TLS is ended first.
        Record = "record",
        /// It is refused.
        Block = "block",
        /// As `decrypt`, but neither shown nor stored.
        Hide = "hide",
    }
}

words! {
    /// What a condition looks at, and how.
    ConditionKind {
        /// The exact name.
        Name = "name",
        /// The name, or one below it.
        Domain = "domain",
        /// The name, with `*` and `?`.
        Glob = "glob",
        /// A regular expression, searched in `host:port`.
        Regex = "regex",
        /// Names from a file.
        List = "list",
        /// The network that the server's address is in.
        Cidr = "cidr",
        /// The port.
        Port = "port",
        /// The mode by which the client came.
        Mode = "mode",
        /// The network that the client's address is in.
        Client = "client",
        /// A protocol that the client offers by ALPN.
        Alpn = "alpn",
        /// The fingerprint of the client's ClientHello, with `*` and `?`.
        Ja4 = "ja4",
        /// The program of this machine that is the client, with `*` and `?`.
        Process = "process",
    }
}

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
            RuleFileProblem::UnknownKey { suggestion: Some(word), .. }
            | RuleFileProblem::UnknownAction { suggestion: Some(word), .. } => {
                Some(format!("did you mean `{word}`?"))
            }
            RuleFileProblem::UnknownKey { suggestion: None, .. } => {
                let keys: Vec<_> = ConditionKind::ALL.iter().map(|kind| kind.word()).collect();
                Some(format!("a rule has `action` or `via`, and any of {}", keys.join(", ")))
            }
            RuleFileProblem::NoAction => Some("add `action = \"pass\"` or another action".to_owned()),
            _ => None,
        }
    }
}

type Mistake = (usize, RuleFileProblem);

/// Reads the text of a rule file.
///
/// # Errors
/// The first mistake in the file.
pub fn parse_rules(text: &str, file: &str) -> Result<Vec<RuleText>, RuleFileError> {
    read(text, file).map_err(|(at, problem)| {
        let (line, column) = Places::new(text).of(at);
        RuleFileError { file: file.to_owned(), line, column, problem }
    })
}

fn read(text: &str, file: &str) -> Result<Vec<RuleText>, Mistake> {
    let document = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (at, RuleFileProblem::Syntax { message: error.message().to_owned() })
    })?;
    let mut rules = Vec::new();
    let places = Places::new(text);
    for (key, value) in document.get_ref() {
        let not_rule =
            || (key.span().start, RuleFileProblem::NotRule { key: key.get_ref().clone().into_owned() });
        if key.get_ref() != "rule" {
            return Err(not_rule());
        }
        for rule in value.get_ref().as_array().ok_or_else(not_rule)? {
            let table = rule.get_ref().as_table().ok_or_else(not_rule)?;
            if rules.len() >= RULES_MAX {
                return Err((rule.span().start, RuleFileProblem::TooMany));
            }
            rules.push(read_rule(rule.span().start, table, file, &places)?);
        }
    }
    Ok(rules)
}

fn read_rule(at: usize, table: &DeTable<'_>, file: &str, places: &Places<'_>) -> Result<RuleText, Mistake> {
    let (mut action, mut via, mut conditions) = (None, None, Vec::new());
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "action" => action = Some(read_action(value)?),
            "via" => {
                let spec = EgressSpec::parse(&text_of("via", value)?);
                via = Some(spec.map_err(|error| (value.span().start, error.into()))?);
            }
            name => match ConditionKind::of(name) {
                Some(kind) => conditions.push(read_condition(kind, value, places)?),
                None => return Err((key.span().start, unknown_key(name))),
            },
        }
    }
    if action.is_none() && via.is_none() {
        return Err((at, RuleFileProblem::NoAction));
    }
    conditions.sort_by_key(|condition| condition.kind as u8);
    Ok(RuleText { file: file.to_owned(), line: places.of(at).0, action, via, conditions })
}

fn read_action(value: &Spanned<DeValue<'_>>) -> Result<RuleAction, Mistake> {
    let word = text_of("action", value)?;
    RuleAction::of(&word).ok_or_else(|| {
        let suggestion = nearest(&word, RuleAction::ALL.iter().map(|action| action.word()));
        (value.span().start, RuleFileProblem::UnknownAction { action: word, suggestion })
    })
}

fn unknown_key(name: &str) -> RuleFileProblem {
    let keys = ConditionKind::ALL.iter().map(|kind| kind.word()).chain(["action", "via"]);
    RuleFileProblem::UnknownKey { key: name.to_owned(), suggestion: nearest(name, keys) }
}

fn read_condition(
    kind: ConditionKind,
    value: &Spanned<DeValue<'_>>,
    places: &Places<'_>,
) -> Result<ConditionText, Mistake> {
    let one = |value: &Spanned<DeValue<'_>>| match (kind, value.get_ref()) {
        (ConditionKind::Port, DeValue::Integer(port)) => Ok(places.word(value, port.to_string())),
        _ => Ok(places.word(value, text_of(kind.word(), value)?)),
    };
    let words = match value.get_ref() {
        DeValue::Array(values) => values.iter().map(one).collect::<Result<Vec<_>, _>>()?,
        _ => vec![one(value)?],
    };
    if words.iter().all(|word| word.text.is_empty()) {
        return Err((value.span().start, RuleFileProblem::Empty { key: kind.word() }));
    }
    Ok(ConditionText { kind, words })
}

fn text_of(key: &'static str, value: &Spanned<DeValue<'_>>) -> Result<String, Mistake> {
    value.get_ref().as_str().map(str::to_owned).ok_or_else(|| {
        let expected = match key {
            "port" => "a number, or text such as \"8000-8999\"",
            _ => "text",
        };
        (value.span().start, RuleFileProblem::Type { key, expected, found: value.get_ref().type_str() })
    })
}

/// The word that was probably meant: within one edit in three.
fn nearest(word: &str, words: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let chars = word.chars().count();
    if chars > 32 {
        return None;
    }
    let (distance, nearest) =
        words.map(|other| (strsim::damerau_levenshtein(&word.to_lowercase(), other), other)).min()?;
    (distance <= (chars / 3).max(1)).then_some(nearest)
}

/// Turns offsets into lines and columns.
struct Places<'a> {
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        let begins = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, lines: std::iter::once(0).chain(begins).collect() }
    }

    fn of(&self, at: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|begin| *begin <= at).max(1);
        let begin = self.lines.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(begin..at).map_or(0, |before| before.chars().count());
        (line, column + 1)
    }

    fn word(&self, value: &Spanned<DeValue<'_>>, text: String) -> Word {
        let (line, column) = self.of(value.span().start);
        Word { text, line, column }
    }
}

#[cfg(test)]
mod tests;
