//! From words to conditions.

use std::sync::Arc;

use flowgate_options::{ConditionKind, ConditionText, RuleText, Word};

use super::{Condition, Rule, RuleError, RuleFault, RuleList, RuleListSource, Test};
use crate::glob::Glob;
use crate::name_set::{NameSetBuilder, Reach};
use crate::network::{Network, Ports};
use crate::pattern::PatternList;

/// mitmproxy's modes, without what follows a colon.
const MODES: &[&str] =
    &["regular", "transparent", "socks5", "reverse", "upstream", "local", "wireguard", "tun", "dns"];

impl RuleListSource {
    pub(crate) fn compile(&self) -> Result<RuleList, RuleError> {
        let rules = self.rules.iter().map(|rule| self.compile_rule(rule)).collect::<Result<Vec<_>, _>>()?;
        let has_via = rules.iter().any(|rule| rule.via.is_some());
        let used = |kind: &ConditionKind| {
            rules.iter().any(|rule| rule.conditions.iter().any(|condition| condition.kind == *kind))
        };
        let kinds = ConditionKind::ALL.iter().copied().filter(used).collect();
        Ok(RuleList { rules, has_via, kinds })
    }

    fn compile_rule(&self, rule: &RuleText) -> Result<Rule, RuleError> {
        let error = |key, word: &Word, fault| RuleError {
            file: rule.file.clone(),
            line: word.line,
            column: word.column,
            key,
            word: word.text.clone(),
            fault,
        };
        let conditions = rule.conditions.iter().map(|condition| {
            self.compile_condition(&rule.file, condition)
                .map_err(|(word, fault)| error(condition.kind.word(), word, fault))
        });
        Ok(Rule {
            file: rule.file.clone(),
            line: rule.line,
            action: rule.action,
            via: rule.via.clone(),
            conditions: conditions.collect::<Result<_, _>>()?,
        })
    }

    fn compile_condition<'t>(
        &self,
        file: &str,
        condition: &'t ConditionText,
    ) -> Result<Condition, (&'t Word, RuleFault)> {
        let words = &condition.words;
        if let Some(word) = words.iter().find(|word| word.text.is_empty()) {
            return Err((word, RuleFault::Empty));
        }
        let network = |word: &'t Word| Network::parse(&word.text).map_err(|fault| (word, fault.into()));
        let test = match condition.kind {
            ConditionKind::Name => names(words, Reach::Exact)?,
            ConditionKind::Domain => names(words, Reach::WithSubdomains)?,
            ConditionKind::Glob => Test::Globs(words.iter().map(|word| Glob::new(&word.text)).collect()),
            ConditionKind::Regex => regexes(words)?,
            ConditionKind::List => {
                let list = |word: &'t Word| {
                    let list = self.lists.get(&(file.to_owned(), word.text.clone()));
                    list.map(Arc::clone).ok_or((word, RuleFault::List))
                };
                Test::Lists(words.iter().map(list).collect::<Result<_, _>>()?)
            }
            ConditionKind::Cidr => Test::Networks(words.iter().map(network).collect::<Result<_, _>>()?),
            ConditionKind::Client => Test::Clients(words.iter().map(network).collect::<Result<_, _>>()?),
            ConditionKind::Port => {
                let ports = |word: &'t Word| Ports::parse(&word.text).ok_or((word, RuleFault::Port));
                Test::Ports(words.iter().map(ports).collect::<Result<_, _>>()?)
            }
            ConditionKind::Mode => match words.iter().find(|word| !MODES.contains(&word.text.as_str())) {
                Some(word) => return Err((word, RuleFault::Mode)),
                None => Test::Modes,
            },
            ConditionKind::Alpn => Test::Alpn,
            ConditionKind::Ja4 => match words.iter().find(|word| !is_ja4(&word.text)) {
                Some(word) => return Err((word, RuleFault::Ja4)),
                None => Test::Ja4(words.iter().map(|word| Glob::with_case(&word.text)).collect()),
            },
            ConditionKind::Process => {
                Test::Process(words.iter().map(|word| Glob::with_case(&word.text)).collect())
            }
        };
        let words = words.iter().map(|word| word.text.clone()).collect();
        Ok(Condition { kind: condition.kind, words, test })
    }
}

/// A whole fingerprint, or a part of one with wildcards.
fn is_ja4(word: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '?' | '*');
    let whole = || word.split('_').map(str::len).eq([10, 12, 12]);
    word.chars().all(fits) && (word.contains('*') || whole())
}

fn names(words: &[Word], reach: Reach) -> Result<Test, (&Word, RuleFault)> {
    let mut names = NameSetBuilder::default();
    for word in words {
        // `.bank.test` is how other programs write a name with what is below it.
        let name = match reach {
            Reach::WithSubdomains => word.text.strip_prefix('.').unwrap_or(&word.text),
            Reach::Exact => &word.text,
        };
        let odd =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '/' | '?' | '^' | '$' | '\\');
        if name.contains(odd) || !names.insert(name, reach) {
            return Err((word, RuleFault::Name { wildcard: name.contains('*') }));
        }
    }
    Ok(Test::Names(names.build()))
}

fn regexes(words: &[Word]) -> Result<Test, (&Word, RuleFault)> {
    let texts: Vec<_> = words.iter().map(|word| word.text.clone()).collect();
    match (PatternList::compile(&texts), words) {
        (Ok(patterns), _) => Ok(Test::Regexes(patterns)),
        (Err((index, position, fault)), [first, ..]) => {
            Err((words.get(index).unwrap_or(first), RuleFault::Pattern { position, fault }))
        }
        (Err(_), []) => Ok(Test::Regexes(PatternList::default())),
    }
}
