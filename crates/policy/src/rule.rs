//! One rule: conditions that must all hold, and what becomes of the connection then.
//!
//! Invariant: a condition that holds, or fails, does so whatever facts follow. As long as one of its facts may still
//! come and could change what it says, it is [`Truth::Open`].

mod compile;
mod condition;
mod error;
mod explain;

pub(crate) use condition::{Condition, Test, Truth};
pub use error::{RuleError, RuleFault};

use std::collections::BTreeMap;
use std::sync::Arc;

use flowgate_options::{RuleAction, RuleText};

use crate::candidates::Candidates;
use crate::facts::{Facts, Needs};
use crate::name_set::NameSet;

/// What rules are compiled from.
#[derive(Clone, Debug, Default)]
pub struct RuleListSource {
    /// The rules, in the order in which they are asked.
    pub rules: Vec<RuleText>,
    /// What the lists hold, by the file that defines the rule and the word that names the list there.
    pub lists: BTreeMap<(String, String), Arc<NameSet>>,
    /// The egresses there are: the words that `via` may have.
    pub egresses: Vec<String>,
}

/// A compiled rule.
#[derive(Debug)]
pub struct Rule {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) action: RuleAction,
    pub(crate) via: Option<String>,
    pub(crate) conditions: Vec<Condition>,
}

impl Rule {
    /// The file that it stands in.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Its line there, from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// What becomes of connections that it matches.
    #[must_use]
    pub const fn action(&self) -> RuleAction {
        self.action
    }

    pub(crate) fn ask(&self, view: &View<'_>, gave_up: &mut bool) -> Truth {
        let mut needs = Needs::default();
        for condition in &self.conditions {
            match condition.ask(view, gave_up) {
                Truth::Holds => {}
                Truth::Fails => return Truth::Fails,
                Truth::Open(more) => needs = needs.and(more),
            }
        }
        if needs == Needs::default() { Truth::Holds } else { Truth::Open(needs) }
    }
}

/// What conditions look at.
pub(crate) struct View<'a> {
    pub(crate) facts: &'a Facts<'a>,
    pub(crate) candidates: &'a Candidates,
    pub(crate) pending: Needs,
}

/// A rule that matched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RuleHit {
    /// Its place among all rules, from 0.
    pub index: usize,
    /// What it says.
    pub action: RuleAction,
}

/// The answer of all rules together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RuleAnswer {
    Hit(RuleHit),
    /// None matches, whatever follows.
    None,
    /// The first that may still match needs these facts.
    Open(Needs),
}

/// The first rule that matches. One that may still match keeps the later ones from winning.
pub(crate) fn ask(rules: &[Rule], view: &View<'_>, gave_up: &mut Option<usize>) -> RuleAnswer {
    for (index, rule) in rules.iter().enumerate() {
        let mut limit_hit = false;
        let truth = rule.ask(view, &mut limit_hit);
        if limit_hit {
            gave_up.get_or_insert(index);
        }
        match truth {
            Truth::Holds => return RuleAnswer::Hit(RuleHit { index, action: rule.action }),
            Truth::Open(needs) => return RuleAnswer::Open(needs),
            Truth::Fails => {}
        }
    }
    RuleAnswer::None
}
