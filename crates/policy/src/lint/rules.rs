//! Ordered rules that no connection reaches, and words that say nothing new.

use flowgate_options::{ConditionKind, RuleAction};

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
        if let Some(by) = earlier.iter().find(|earlier| shadows(earlier, rule)) {
            let lint = Lint::Shadowed { by: self::place(by) };
            warnings.push(Warning { place: place.clone(), lint });
        } else if rule.action == Some(RuleAction::Pass) {
            let later = rules.rules().get(index + 1..).unwrap_or_default();
            let later = later.get(..later.len().min(RULES_COMPARED_MAX)).unwrap_or_default();
            let lint = other_way_out(earlier, rule, later);
            warnings.extend(lint.map(|lint| Warning { place: place.clone(), lint }));
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

/// The later rule never has a say: the earlier one has said all that it says.
fn shadows(earlier: &Rule, later: &Rule) -> bool {
    let all_is_said = earlier.action.is_some() || (later.action.is_none() && earlier.via.is_some());
    all_is_said && covers(earlier, later)
}

/// Whether what a rule passes through leaves by another way than the same hosts' connections would without the rule.
/// People exempt a host because an app pins its certificate, and then its server sees two addresses for one user.
fn other_way_out(earlier: &[Rule], rule: &Rule, later: &[Rule]) -> Option<Lint> {
    let way = |rule: &'_ Rule| rule.via.as_ref().map(ToString::to_string);
    if earlier.iter().any(|wide| wide.action.is_none() && wide.via.is_some() && covers(wide, rule)) {
        // It is chosen for all of them, above.
        return None;
    }
    let own = way(rule);
    let next = later.iter().find(|wide| {
        wide.action != Some(RuleAction::Pass)
            && (wide.action.is_some() || wide.via.is_some())
            && covers(wide, rule)
    });
    let others = next.and_then(way);
    if own == others || next.is_some_and(|next| next.action == Some(RuleAction::Block)) {
        return None;
    }
    let shown =
        |way: Option<String>| way.map_or_else(|| "as the mode says".to_owned(), |way| format!("via {way}"));
    let others = match next {
        Some(next) => format!("{} ({})", shown(others), place(next)),
        None => shown(others),
    };
    Some(Lint::OtherWayOut { own: shown(own), others })
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
