//! A file of checks as it is written: keys and types, before they mean anything.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileText {
    #[serde(default)]
    pub(crate) check: Vec<Spanned<CheckText>>,
}

/// `[[check]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckText {
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) help: Option<String>,
    pub(crate) severity: Option<SeverityText>,
    pub(crate) filter: Option<Spanned<String>>,

    pub(crate) at_least: Option<u64>,
    pub(crate) at_most: Option<u64>,
    pub(crate) exactly: Option<Spanned<u64>>,
    pub(crate) per: Option<Spanned<PerText>>,
    pub(crate) require: Option<Spanned<String>>,
    pub(crate) forbid: Option<Spanned<String>>,
    pub(crate) only_hosts: Option<Spanned<Vec<Spanned<String>>>>,
    pub(crate) header_only_to: Option<Spanned<HeaderOnlyToText>>,
    pub(crate) status: Option<Spanned<Words>>,
    pub(crate) duration: Option<Spanned<BTreeMap<Spanned<String>, Spanned<String>>>>,
    pub(crate) schema: Option<Spanned<String>>,
    pub(crate) request_schema: Option<Spanned<String>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SeverityText {
    Error,
    Warning,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PerText {
    Host,
    Url,
    Endpoint,
    Client,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeaderOnlyToText {
    pub(crate) header: Spanned<Words>,
    pub(crate) hosts: Vec<Spanned<String>>,
}

/// A word or a number alone, or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Words {
    One(Word),
    More(Vec<Word>),
}

/// A word or a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Word {
    Number(u64),
    Text(String),
}

impl Words {
    pub(crate) fn into_vec(self) -> Vec<String> {
        let words = match self {
            Self::One(one) => vec![one],
            Self::More(more) => more,
        };
        let text = |word| match word {
            Word::Number(number) => number.to_string(),
            Word::Text(text) => text,
        };
        words.into_iter().map(text).collect()
    }
}
