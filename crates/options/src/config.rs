//! The config file: a YAML mapping from option to value, read with the line and column of every mistake.
//!
//! Not the reading of the disk: the caller bounds the file's size and hands in its text and name. Types are strict (a
//! port in quotes is text, not a number); nesting, aliases and merge keys are bounded far below what could hurt.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Location, Spanned};

use crate::error::{OptionError, ValueError};
use crate::kind::{Kind, OptionType};
use crate::options::{Change, Source};
use crate::places::Place;
use crate::registry::find;
use crate::rule_file::RuleFileProblem;
use crate::rule_reader::{Raw, Written, read_rule};
use crate::rule_text::RuleSource;
use crate::table::Values;
use crate::value::{Value, quoted};

/// Levels of nesting; a config file has two.
const DEPTH_MAX: usize = 16;
/// Scalars, lists and mappings together, aliases expanded.
const NODES_MAX: usize = 20_000;
/// Uses of `*anchor`.
const ALIASES_MAX: usize = 256;

/// A config file that cannot be used, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    /// The file's name, as the caller gave it.
    pub file: String,
    /// The line, from 1; 0 when the mistake has no place.
    pub line: u64,
    /// The column, from 1, in characters.
    pub column: u64,
    /// What is wrong there.
    pub problem: ConfigProblem,
}

impl fmt::Display for ConfigError {
    /// `file:line:column: what is wrong`, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// The next step for the user, when there is one to name.
    pub fn hint(&self) -> Option<String> {
        match &self.problem {
            ConfigProblem::Option(problem) => problem.hint(),
            ConfigProblem::Rule(RuleFileProblem::NoAction) => {
                Some("add `action: pass` or another action".into())
            }
            ConfigProblem::Rule(problem) => problem.hint(),
            ConfigProblem::NotMapping { .. } => Some(
                "write one option per line, as in `listen_port: 8080`; `--options` prints a whole file"
                    .into(),
            ),
            ConfigProblem::Duplicate { .. } | ConfigProblem::TooComplex | ConfigProblem::Syntax { .. } => {
                None
            }
        }
    }
}

/// What is wrong with a config file.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// The name or the value of an option.
    #[error(transparent)]
    Option(OptionError),
    /// A rule under `rules`.
    #[error(transparent)]
    Rule(RuleFileProblem),
    /// The file is not a mapping.
    #[error("expected options with their values, found {found}")]
    NotMapping {
        /// What the file holds instead.
        found: String,
    },
    /// An option stands there twice.
    #[error("{} stands here a second time", quoted(name))]
    Duplicate {
        /// The option.
        name: String,
    },
    /// Deeper, longer or more folded than any config file.
    #[error("too many levels, entries or aliases for a config file")]
    TooComplex,
    /// Not YAML.
    #[error("{message}")]
    Syntax {
        /// What the YAML reader says.
        message: String,
    },
}

/// Reads the text of a config file. Every value is checked by itself, so that its place can be named; whether the
/// values fit each other is checked when they are applied.
///
/// # Errors
/// The first mistake in the file.
pub fn parse_config(text: &str, file: &str) -> Result<Vec<Change>, ConfigError> {
    read_entries(text, file).map_err(|(location, problem)| ConfigError {
        file: file.into(),
        line: location.line(),
        column: location.column(),
        problem,
    })
}

type Mistake = (Location, ConfigProblem);

fn read_entries(text: &str, file: &str) -> Result<Vec<Change>, Mistake> {
    let document: Spanned<Document> =
        serde_saphyr::from_str_with_options(text, yaml_options()).map_err(explain)?;
    let entries = match document.value {
        Document::Entries(entries) => entries,
        Document::Other(node) => {
            return Err((document.referenced, ConfigProblem::NotMapping { found: node.to_string() }));
        }
    };
    entries.into_iter().map(|(name, node)| read_entry(&name, node, file)).collect()
}

fn read_entry(name: &Spanned<String>, node: Spanned<Node>, file: &str) -> Result<Change, Mistake> {
    let at = |location: Location| move |problem: OptionError| (location, ConfigProblem::Option(problem));
    let spec = find(&name.value).map_err(at(name.referenced))?;
    let refuse = |location, node: &Node| {
        at(location)(spec.error(ValueError::Expected { expected: spec.kind, found: node.to_string() }))
    };
    let location = node.referenced;
    let value = match (spec.kind, node.value) {
        (Kind::List, Node::List(entries)) => {
            let texts = entries.into_iter().map(|entry| match entry.value {
                Node::Value(Value::Text(text)) => Ok(text),
                other => Err(refuse(entry.referenced, &other)),
            });
            Value::List(texts.collect::<Result<_, _>>()?)
        }
        (Kind::Rules, Node::List(entries)) => {
            let rules = entries.into_iter().map(|entry| match entry.value {
                Node::Value(Value::Text(path)) => Ok(RuleSource::File(path)),
                Node::Mapping(keys) => read_inline_rule(file, entry.referenced, keys),
                other => Err(refuse(entry.referenced, &other)),
            });
            // Paths alone are what the command line could say as well.
            Vec::<RuleSource>::to_value(&rules.collect::<Result<_, _>>()?)
        }
        (kind, Node::Value(value)) if is_written_so(kind, &value) => value,
        (_, other) => return Err(refuse(location, &other)),
    };
    spec.assign(&mut Values::default(), &value).map_err(at(location))?;
    Ok(Change::value(Source::ConfigFile, spec, value))
}

/// A rule that stands in the config file itself.
fn read_inline_rule(
    file: &str,
    location: Location,
    keys: Vec<(Spanned<Node>, Spanned<Node>)>,
) -> Result<RuleSource, Mistake> {
    let (mut entries, mut locations) = (Vec::new(), vec![location]);
    for (key, value) in keys {
        let name = match key.value {
            Node::Value(Value::Text(name)) => name,
            Node::Value(Value::Int(number)) => number.to_string(),
            other => other.to_string(),
        };
        locations.push(key.referenced);
        entries.push((place(key.referenced), name, written(value, &mut locations)));
    }
    let rule = read_rule(file, place(location), entries).map_err(|(at, problem)| {
        let location = locations.into_iter().find(|location| place(*location) == at);
        (location.unwrap_or(Location::UNKNOWN), ConfigProblem::Rule(problem))
    })?;
    Ok(RuleSource::Inline(Box::new(rule)))
}

/// A value of a rule; notes where it and its parts stand.
fn written(node: Spanned<Node>, locations: &mut Vec<Location>) -> Written {
    locations.push(node.referenced);
    let value = match node.value {
        Node::Value(Value::Text(text)) => Raw::Text(text),
        Node::Value(Value::Int(number)) => Raw::Whole(number.to_string()),
        Node::List(entries) => {
            Raw::List(entries.into_iter().map(|entry| written(entry, locations)).collect())
        }
        Node::Value(Value::Bool(_)) => Raw::Other("true or false"),
        Node::Value(_) => Raw::Other("null"),
        Node::Number(_) => Raw::Other("a fraction or a number beyond 64 bits"),
        Node::Mapping(_) => Raw::Other("a mapping"),
    };
    Written { at: place(node.referenced), value }
}

fn place(location: Location) -> Place {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Place { line: number(location.line()), column: number(location.column()) }
}

/// Whether values of `kind` are written as YAML's kind of `value`: numbers without quotes, text as text.
fn is_written_so(kind: Kind, value: &Value) -> bool {
    match value {
        Value::Null => matches!(kind, Kind::OptInt { .. } | Kind::OptText | Kind::OptSize),
        Value::Bool(_) => kind == Kind::Bool,
        Value::Int(_) => matches!(kind, Kind::Int { .. } | Kind::OptInt { .. } | Kind::OptSize),
        Value::Text(_) => matches!(kind, Kind::Text | Kind::OptText | Kind::OptSize | Kind::Choice(_)),
        // Lists are nodes of their own.
        Value::List(_) | Value::Rules(_) => false,
    }
}

fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: 4 * NODES_MAX,
            max_aliases: ALIASES_MAX,
            max_anchors: ALIASES_MAX,
            max_recorded_anchor_events: NODES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: NODES_MAX,
            max_replay_stack_depth: DEPTH_MAX,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true, // `yes` and `on` are text, as in mitmproxy
    }
}

fn explain(error: serde_saphyr::Error) -> Mistake {
    use serde_saphyr::Error;
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let problem = match error.without_snippet() {
        Error::DuplicateMappingKey { key, .. } => {
            ConfigProblem::Duplicate { name: key.clone().unwrap_or_default() }
        }
        // Everything that can go wrong inside an alias here is a limit: no value is refused while YAML is read.
        Error::AliasError { .. }
        | Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => ConfigProblem::TooComplex,
        other => ConfigProblem::Syntax { message: one_line(other) },
    };
    (location, problem)
}

/// The YAML reader's own words, without the place, which [`ConfigError`] shows in front.
fn one_line(error: &serde_saphyr::Error) -> String {
    let message = serde_saphyr::MessageFormatter::format_message(&serde_saphyr::UserMessageFormatter, error);
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The whole file.
enum Document {
    Entries(Vec<(Spanned<String>, Spanned<Node>)>),
    Other(Node),
}

/// One value as YAML has it.
enum Node {
    Value(Value),
    /// Numbers no option can hold: fractions and beyond 64 bits.
    Number(String),
    List(Vec<Spanned<Self>>),
    Mapping(Vec<(Spanned<Self>, Spanned<Self>)>),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value @ Value::Text(_)) => write!(f, "the text {value}"),
            Self::Value(value @ Value::Int(_)) => write!(f, "the number {value}"),
            Self::Value(value) => write!(f, "{value}"),
            Self::Number(number) => write!(f, "the number {}", quoted(number)),
            Self::List(_) => f.write_str("a list"),
            Self::Mapping(_) => f.write_str("a mapping"),
        }
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct DocumentVisitor;
struct NodeVisitor;

/// Everything a scalar can be; `$wrap` makes the visitor's value of a [`Node`].
macro_rules! visit_scalars {
    ($wrap:expr) => {
        fn visit_bool<E: de::Error>(self, on: bool) -> Result<Self::Value, E> {
            Ok($wrap(Node::Value(Value::Bool(on))))
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok($wrap(Node::Value(Value::Int(number))))
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok($wrap(match i64::try_from(number) {
                Ok(number) => Node::Value(Value::Int(number)),
                Err(_) => Node::Number(number.to_string()),
            }))
        }

        fn visit_i128<E: de::Error>(self, number: i128) -> Result<Self::Value, E> {
            Ok($wrap(Node::Number(number.to_string())))
        }

        fn visit_u128<E: de::Error>(self, number: u128) -> Result<Self::Value, E> {
            Ok($wrap(Node::Number(number.to_string())))
        }

        fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
            Ok($wrap(Node::Number(number.to_string())))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok($wrap(Node::Value(Value::Text(text.into()))))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = entries.next_element()? {
                list.push(entry);
            }
            Ok($wrap(Node::List(list)))
        }
    };
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    visit_scalars!(std::convert::identity);

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Value(Value::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            list.push(entry);
        }
        Ok(Node::Mapping(list))
    }
}

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("options with their values")
    }

    visit_scalars!(Document::Other);

    fn visit_unit<E: de::Error>(self) -> Result<Document, E> {
        Ok(Document::Entries(Vec::new()))
    }

    fn visit_none<E: de::Error>(self) -> Result<Document, E> {
        self.visit_unit()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Document, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            list.push(entry);
        }
        Ok(Document::Entries(list))
    }
}
