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

use flowgate_options::{ConditionKind, EgressSpec, RuleAction, RuleText};

use crate::candidates::Candidates;
use crate::facts::{Fact, Facts, Needs};
use crate::name_set::NameSet;

/// What rules are compiled from.
#[derive(Clone, Debug, Default)]
pub struct RuleListSource {
    /// The rules, in the order in which they are asked.
    pub rules: Vec<RuleText>,
    /// What the lists hold, by the file that defines the rule and the word that names the list there.
    pub lists: BTreeMap<(String, String), Arc<NameSet>>,
}

/// A compiled rule.
#[derive(Debug)]
pub struct Rule {
    pub(crate) file: String,
    pub(crate) line: usize,
    /// `None` leaves it to the rules and options below; then there is a way out.
    pub(crate) action: Option<RuleAction>,
    pub(crate) via: Option<EgressSpec>,
    pub(crate) conditions: Vec<Condition>,
}

/// Rules in their order, and what they ask for together.
#[derive(Debug, Default)]
pub(crate) struct RuleList {
    pub(crate) rules: Vec<Rule>,
    /// Some rule names a way out.
    pub(crate) has_via: bool,
    /// What some condition looks at.
    pub(crate) kinds: Vec<ConditionKind>,
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

    /// What becomes of connections that it matches; `None` if it only says which way they leave.
    #[must_use]
    pub const fn action(&self) -> Option<RuleAction> {
        self.action
    }

    /// The way out of connections that it matches, if it names one.
    #[must_use]
    pub const fn via(&self) -> Option<&EgressSpec> {
        self.via.as_ref()
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

/// The facts as a rule sees them that names a way out: without the server's address. That is known once connected, and
/// then the way out has been taken.
pub(crate) struct BeforeConnecting<'a> {
    facts: Facts<'a>,
    candidates: Candidates,
}

impl<'a> BeforeConnecting<'a> {
    pub(crate) fn of(facts: &Facts<'a>) -> Self {
        let facts = Facts { peer: Fact::Absent, ..*facts };
        let candidates = Candidates::of(&facts);
        Self { facts, candidates }
    }

    pub(crate) fn view(&self) -> View<'_> {
        View { facts: &self.facts, candidates: &self.candidates, pending: self.facts.pending() }
    }
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
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct RuleAnswer {
    /// The rule that says what becomes of the connection.
    pub(crate) hit: Option<RuleHit>,
    /// The place of the rule that says by which way it leaves.
    pub(crate) via: Option<usize>,
}

impl RuleList {
    /// The first rule with an action that matches, and the first with a way out, not beyond that one. A rule that may
    /// still match keeps the later ones from winning; then the answer is what it needs.
    pub(crate) fn ask(&self, view: &View<'_>, gave_up: &mut Option<usize>) -> Result<RuleAnswer, Needs> {
        let blind = self.has_via.then(|| BeforeConnecting::of(view.facts));
        let blind = blind.as_ref().map(BeforeConnecting::view);
        self.walk(view, blind.as_ref(), gave_up)
    }

    /// The rule whose way out is taken, of what is known before connecting.
    pub(crate) fn ask_via(&self, facts: &Facts<'_>) -> Result<Option<usize>, Needs> {
        let blind = BeforeConnecting::of(facts);
        let view = blind.view();
        self.walk(&view, Some(&view), &mut None).map(|answer| answer.via)
    }

    fn walk(
        &self,
        view: &View<'_>,
        blind: Option<&View<'_>>,
        gave_up: &mut Option<usize>,
    ) -> Result<RuleAnswer, Needs> {
        let mut via = None;
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.action.is_none() && via.is_some() {
                continue;
            }
            let view = if rule.via.is_some() { blind.unwrap_or(view) } else { view };
            let mut limit_hit = false;
            let truth = rule.ask(view, &mut limit_hit);
            if limit_hit {
                gave_up.get_or_insert(index);
            }
            match truth {
                Truth::Holds => {
                    if rule.via.is_some() && via.is_none() {
                        via = Some(index);
                    }
                    if let Some(action) = rule.action {
                        return Ok(RuleAnswer { hit: Some(RuleHit { index, action }), via });
                    }
                }
                Truth::Open(needs) => return Err(needs),
                Truth::Fails => {}
            }
        }
        Ok(RuleAnswer { hit: None, via })
    }
}
