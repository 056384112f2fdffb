//! Ordered rules that no connection reaches, and words that say nothing new.

use flowgate_options::ConditionKind;

use super::{Lint, Warning, warn_of};
use crate::network::{Network, Ports};
use crate::pattern::{Searched, shape};
use crate::rule::{Condition, Rule, Test};
use crate::rules::Rules;
use flowgate_pattern::OneLine;

/// Rules that are compared with each other; comparing is quadratic.
const RULES_COMPARED_MAX: usize = 500;

pub(super) fn lint(rules: &Rules, warnings: &mut Vec<Warning>) {
    for (index, rule) in rules.rules().iter().enumerate() {
        let place = place(rule);
        let earlier = rules.rules().get(..index.min(RULES_COMPARED_MAX)).unwrap_or_default();
        if let Some(by) = earlier.iter().find(|earlier| covers(earlier, rule)) {
            let lint = Lint::Shadowed { by: self::place(by) };
            warnings.push(Warning { place: place.clone(), lint });
        }
        for condition in &rule.conditions {
            lint_condition(&place, condition, warnings);
        }
    }
}

fn place(rule: &Rule) -> String {
    format!("rule {}:{}", OneLine(rule.file()), rule.line())
}

fn lint_condition(place: &str, condition: &Condition, warnings: &mut Vec<Warning>) {
    if condition.kind == ConditionKind::Regex {
        for word in &condition.words {
            if let Some(shape) = shape(word, Searched::HostAndPort) {
                warn_of(&format!("{place}: regex /{}/", OneLine(word)), &shape, warnings);
            }
        }
        return;
    }
    for (index, word) in condition.words.iter().enumerate() {
        let others = condition.words.iter().enumerate().filter(|(other, _)| *other != index);
        let covering = others.into_iter().find(|(other, by)| {
            // Of two that are the same, the later one is superfluous.
            word_covers(condition.kind, by, word)
                && (*other < index || !word_covers(condition.kind, word, by))
        });
        if let Some((_, by)) = covering {
            let lint = Lint::Covered { word: word.clone(), by: by.clone() };
            warnings.push(Warning { place: place.to_owned(), lint });
        }
    }
}

/// Whatever the later rule matches, the earlier one does.
fn covers(earlier: &Rule, later: &Rule) -> bool {
    earlier.conditions.iter().all(|wide| later.conditions.iter().any(|narrow| condition_covers(wide, narrow)))
}

fn condition_covers(wide: &Condition, narrow: &Condition) -> bool {
    if wide.kind == ConditionKind::Domain && narrow.kind == ConditionKind::Name {
        return narrow.words.iter().all(|word| listed(wide, word));
    }
    wide.kind == narrow.kind
        && narrow
            .words
            .iter()
            .all(|word| listed(wide, word) || wide.words.iter().any(|by| word_covers(wide.kind, by, word)))
}

fn listed(wide: &Condition, word: &str) -> bool {
    let Test::Names(names) = &wide.test else { return false };
    names.find(&plain(word)).is_some()
}

fn plain(word: &str) -> String {
    word.trim_start_matches('.').trim_end_matches('.').to_lowercase()
}

fn word_covers(kind: ConditionKind, by: &str, word: &str) -> bool {
    let same = by == word;
    same || match kind {
        ConditionKind::Domain => {
            plain(word).strip_suffix(&plain(by)).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        }
        ConditionKind::Name => plain(word) == plain(by),
        ConditionKind::Cidr | ConditionKind::Client => match (Network::parse(by), Network::parse(word)) {
            (Ok(by), Ok(word)) => by.covers(&word),
            _ => false,
        },
        ConditionKind::Port => match (Ports::parse(by), Ports::parse(word)) {
            (Some(by), Some(word)) => by.covers(word),
            _ => false,
        },
        _ => false,
    }
}
