//! Host patterns: Python's `re` dialect on the Rust engines, searched unanchored and without regard to letter case.
//!
//! A pattern that a linear engine can do goes into one set with the others ([`PatternList`]); the rest backtrack, each
//! search within [`STEPS_MAX`] steps. How a pattern is read is in `flowgate-pattern`; here `$` means the end only, since
//! no candidate holds a line feed. `\b` is Unicode's even under `(?a)`.
//!
//! Invariant: a pattern compiles or is refused at start. At match time only the step limit can fail, and that is an
//! outcome of its own.

mod list;
mod shape;

pub use flowgate_pattern::Fault;
pub(crate) use list::{Outcome, PatternList};
pub use shape::Never;
pub(crate) use shape::{Searched, Shape, shape};

use flowgate_pattern::syntax::{self, DollarAs};
use flowgate_pattern::{Flavour, OneLine, Search};

use crate::rules::HostOption;

/// How many backtracking steps one search may take. The longest candidate that is a name has 259 characters; sensible
/// patterns need some hundred steps on it.
pub const STEPS_MAX: usize = 20_000;

/// A pattern that cannot be used; its `Display` is one line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{option}[{index}] /{}/: {fault} at position {position}", OneLine(.pattern))]
pub struct PatternError {
    /// The option it stands in.
    pub option: HostOption,
    /// Its place in the option's list, from 0.
    pub index: usize,
    /// The pattern as it was written.
    pub pattern: String,
    /// At which character, from 0.
    pub position: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// A pattern that compiled.
#[derive(Debug)]
pub struct Pattern {
    text: String,
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    /// Searched as part of a set.
    Linear,
    /// Searched alone. The guard is the part that must hold for every candidate.
    Backtracking { whole: Box<fancy_regex::Regex>, guard: Option<Box<fancy_regex::Regex>> },
}

impl Pattern {
    /// The pattern as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// It begins with a negative look-around at the start of the text, as `^(?!example\.com)` does. Then no known name
    /// of a connection may break that part, where for other patterns one name that matches is enough.
    ///
    /// Differs from mitmproxy, where one name is always enough: there `^(?!example\.com)` hits every connection, since
    /// the resolved address of `example.com` does not begin with `example.com`.
    #[must_use]
    pub const fn holds_for_all(&self) -> bool {
        matches!(self.engine, Engine::Backtracking { guard: Some(_), .. })
    }

    /// It is searched by the engine that takes linear time, whatever the text.
    #[must_use]
    pub const fn is_linear(&self) -> bool {
        matches!(self.engine, Engine::Linear)
    }
}

/// Reads a pattern. Gives it as the linear engine spells it, too, if that engine is to search it.
fn compile(text: &str) -> Result<(Pattern, Option<String>), (usize, Fault)> {
    let parsed = flowgate_pattern::parse(text, Flavour::default())?;
    let spelled = syntax::spell(&parsed.branches, DollarAs::End);
    let (engine, linear) = if parsed.needs_backtracking {
        let guard = syntax::guard(&parsed.branches).as_deref().map(backtracking).transpose()?;
        (Engine::Backtracking { whole: backtracking(&spelled)?, guard }, None)
    } else {
        (Engine::Linear, Some(spelled))
    };
    Ok((Pattern { text: text.to_owned(), engine }, linear))
}

fn backtracking(spelled: &str) -> Result<Box<fancy_regex::Regex>, (usize, Fault)> {
    let search = Search { flavour: Flavour::default(), ignore_case: true, steps_max: STEPS_MAX };
    flowgate_pattern::backtracking(spelled, &search).map_err(|fault| (0, fault))
}

/// Whether a pattern is found in `text`, and whether the search was given up, which counts as not found.
fn search(regex: &fancy_regex::Regex, text: &str, gave_up: &mut bool) -> bool {
    regex.is_match(text).unwrap_or_else(|_| {
        *gave_up = true;
        false
    })
}
