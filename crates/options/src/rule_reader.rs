//! From keys and values to a rule, whatever language they were written in.
//!
//! Which keys and actions there are, and what types their values have. Not the languages themselves: TOML is read in
//! `rule_file.rs`, YAML in `config.rs`.

use crate::egress_spec::EgressSpec;
use crate::places::Place;
use crate::rule_file::RuleFileProblem;
use crate::rule_text::{ConditionKind, ConditionText, RuleAction, RuleText, Word};

/// A value and its place.
pub(crate) struct Written {
    pub(crate) at: Place,
    pub(crate) value: Raw,
}

/// What a value of a rule can be.
pub(crate) enum Raw {
    Text(String),
    /// Its digits.
    Whole(String),
    List(Vec<Written>),
    /// Anything else, by the name of its type.
    Other(&'static str),
}

impl Raw {
    const fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Whole(_) => "a number",
            Self::List(_) => "a list",
            Self::Other(name) => name,
        }
    }
}

/// A mistake and its place.
pub(crate) type Mistake = (Place, RuleFileProblem);

/// Reads a rule that begins at `at` in `file`: keys, each with its place and value.
pub(crate) fn read_rule(
    file: &str,
    at: Place,
    entries: impl IntoIterator<Item = (Place, String, Written)>,
) -> Result<RuleText, Mistake> {
    let (mut action, mut via, mut conditions) = (None, None, Vec::new());
    for (key_at, key, value) in entries {
        match key.as_str() {
            "action" => action = Some(read_action(value)?),
            "via" => {
                let at = value.at;
                let spec = EgressSpec::parse(&text_of("via", value)?);
                via = Some(spec.map_err(|error| (at, error.into()))?);
            }
            name => match ConditionKind::of(name) {
                Some(kind) => conditions.push(read_condition(kind, value)?),
                None => return Err((key_at, unknown_key(name))),
            },
        }
    }
    if action.is_none() && via.is_none() {
        return Err((at, RuleFileProblem::NoAction));
    }
    conditions.sort_by_key(|condition| condition.kind as u8);
    Ok(RuleText { file: file.to_owned(), line: at.line, action, via, conditions })
}

fn read_action(value: Written) -> Result<RuleAction, Mistake> {
    let at = value.at;
    let word = text_of("action", value)?;
    RuleAction::of(&word).ok_or_else(|| {
        let suggestion = nearest(&word, RuleAction::ALL.iter().map(|action| action.word()));
        (at, RuleFileProblem::UnknownAction { action: word, suggestion })
    })
}

fn unknown_key(name: &str) -> RuleFileProblem {
    let keys = ConditionKind::ALL.iter().map(|kind| kind.word()).chain(["action", "via"]);
    RuleFileProblem::UnknownKey { key: name.to_owned(), suggestion: nearest(name, keys) }
}

fn read_condition(kind: ConditionKind, value: Written) -> Result<ConditionText, Mistake> {
    let at = value.at;
    let one = |written: Written| {
        let Place { line, column } = written.at;
        let text = match (kind, written.value) {
            (ConditionKind::Port, Raw::Whole(port)) => port,
            (_, value) => text_of(kind.word(), Written { at: written.at, value })?,
        };
        Ok(Word { text, line, column })
    };
    let words = match value.value {
        Raw::List(values) => values.into_iter().map(one).collect::<Result<Vec<_>, Mistake>>()?,
        _ => vec![one(value)?],
    };
    if words.iter().all(|word| word.text.is_empty()) {
        return Err((at, RuleFileProblem::Empty { key: kind.word() }));
    }
    Ok(ConditionText { kind, words })
}

fn text_of(key: &'static str, written: Written) -> Result<String, Mistake> {
    match written.value {
        Raw::Text(text) => Ok(text),
        other => {
            let expected = match key {
                "port" => "a number, or text such as \"8000-8999\"",
                _ => "text",
            };
            Err((written.at, RuleFileProblem::Type { key, expected, found: other.type_name() }))
        }
    }
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
