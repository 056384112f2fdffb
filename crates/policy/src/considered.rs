//! What was looked at on the way to an answer, line by line, for a person who asks why.

use std::fmt::{self, Display, Formatter};

use flowgate_options::ConditionKind;

use crate::candidates::Candidates;
use crate::facts::{Entry, Facts, Process};
use crate::rule::{BeforeConnecting, Rule, Truth, View};
use crate::rules::{HostOption, Rules};
use flowgate_pattern::OneLine;

/// Rules that do not match are told one by one up to this number.
const RULES_TOLD_MAX: usize = 50;

/// What [`decide`](crate::decide()) looks at for these facts: the names, then each rule and option in the order in which
/// they are asked, up to the one that decides. One line each.
#[must_use]
pub fn considered(rules: &Rules, facts: &Facts<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let candidates = Candidates::of(facts);
    let names: Vec<_> =
        candidates.with_port().map(|name| format!("{} ({})", OneLine(name.text), name.fact)).collect();
    if !names.is_empty() {
        lines.push(format!("names: {}", names.join(", ")));
    }
    if facts.decrypted {
        return lines;
    }
    let view = View { facts, candidates: &candidates, pending: facts.pending() };
    let blind = BeforeConnecting::of(facts);
    let blind = blind.view();
    let (mut failed, mut via) = (0, false);
    for rule in rules.rules() {
        if rule.action.is_none() && via {
            lines.push(format!("{} is not asked: the way out is known", place(rule)));
            continue;
        }
        let view = if rule.via.is_some() { &blind } else { &view };
        match rule.ask(view, &mut false) {
            Truth::Holds => {
                lines.push(Matched { rule, view, via }.to_string());
                if rule.action.is_some() {
                    return lines;
                }
                via = true;
            }
            Truth::Open(needs) => {
                lines.push(format!("{} may still match: it needs {needs}", place(rule)));
                return lines;
            }
            Truth::Fails => {
                failed += 1;
                if failed <= RULES_TOLD_MAX {
                    lines.push(format!("{} does not match: {}", place(rule), why_not(rule, view)));
                }
            }
        }
    }
    if failed > RULES_TOLD_MAX {
        lines.push(format!("{} more rules do not match", failed - RULES_TOLD_MAX));
    }
    if facts.entry == Entry::Tunnel {
        let options =
            [HostOption::IgnoreHosts, HostOption::AllowHosts, HostOption::TcpHosts, HostOption::UdpHosts];
        for option in options {
            let count = rules.patterns(option).len();
            if count > 0 {
                lines.push(format!("{option}: {count} {}", if count == 1 { "pattern" } else { "patterns" }));
            }
        }
    }
    lines
}

struct Matched<'a> {
    rule: &'a Rule,
    view: &'a View<'a>,
    /// An earlier rule has said the way out.
    via: bool,
}

impl Display for Matched<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.rule.write_match(f, self.view)?;
        f.write_str("; it says ")?;
        if let Some(action) = self.rule.action {
            action.fmt(f)?;
        }
        match &self.rule.via {
            Some(via) if !self.via => {
                let separator = if self.rule.action.is_some() { ", " } else { "" };
                write!(f, "{separator}via {via}")
            }
            _ => Ok(()),
        }
    }
}

fn place(rule: &Rule) -> String {
    format!("rule {}:{}", OneLine(rule.file()), rule.line())
}

/// The first condition that fails.
fn why_not(rule: &Rule, view: &View<'_>) -> String {
    let failing = rule.conditions.iter().find(|condition| condition.ask(view, &mut false) == Truth::Fails);
    let Some(failing) = failing else { return String::new() };
    let kind = failing.kind;
    match (kind, view.facts.process) {
        (ConditionKind::Process, Process::Unknown(why)) => format!("{kind} is not known: {}", OneLine(why)),
        (ConditionKind::Process, Process::Is(path)) => format!("{kind} is {}", OneLine(path)),
        (ConditionKind::Ja4, _) if !view.facts.ja4.is_empty() => {
            format!("{kind} is {}", OneLine(view.facts.ja4))
        }
        _ => kind.to_string(),
    }
}
