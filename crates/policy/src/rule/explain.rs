//! What of a rule matched, in words.

use std::fmt::{Formatter, Result, Write};

use super::{Condition, Rule, Test, View};
use crate::pattern::Outcome;
use flowgate_pattern::OneLine;

impl Rule {
    /// `rule mine.toml:7 matched: domain bank.test has api.bank.test (sni), port 443`.
    pub(crate) fn write_match(&self, f: &mut Formatter<'_>, view: &View<'_>) -> Result {
        write!(f, "rule {}:{} matched", OneLine(&self.file), self.line)?;
        if self.conditions.is_empty() {
            return f.write_str(": it has no condition");
        }
        for (index, condition) in self.conditions.iter().enumerate() {
            f.write_str(if index > 0 { ", " } else { ": " })?;
            condition.write_match(f, view)?;
        }
        Ok(())
    }
}

impl Condition {
    fn write_match(&self, f: &mut impl Write, view: &View<'_>) -> Result {
        write!(f, "{}", self.kind)?;
        match &self.test {
            Test::Names(_) | Test::Globs(_) | Test::Lists(_) => {
                let Some((candidate, word, found)) = self.named(view) else { return Ok(()) };
                let separator = if word.is_empty() || found.is_empty() { "" } else { ": " };
                write!(f, " {}{separator}{} has ", OneLine(word), OneLine(found))?;
                write!(f, "{} ({})", OneLine(candidate.text), candidate.fact)
            }
            Test::Regexes(patterns) => {
                let asked = patterns.ask(view.candidates.with_port(), false, &mut None);
                let Outcome::Hit { index, candidate } = asked else { return Ok(()) };
                let word = self.words.get(index).map_or("", String::as_str);
                let candidate = view.candidates.with_port().nth(candidate);
                let Some(candidate) = candidate else { return Ok(()) };
                write!(f, " /{}/ has {} ({})", OneLine(word), OneLine(candidate.text), candidate.fact)
            }
            Test::Networks(_) => match self.network(view) {
                Some((address, fact, network)) => write!(f, " {network} has {address} ({fact})"),
                None => Ok(()),
            },
            Test::Clients(networks) => {
                let Some(client) = view.facts.client else { return Ok(()) };
                match networks.iter().find(|network| network.contains(client)) {
                    Some(network) => write!(f, " {network} has {}", client.to_canonical()),
                    None => Ok(()),
                }
            }
            Test::Ports(_) => match view.facts.destination {
                Some(destination) => write!(f, " {}", destination.port),
                None => Ok(()),
            },
            Test::Modes => write!(f, " {}", OneLine(view.facts.mode)),
            Test::Ja4(_) => {
                let word = self.ja4(view).unwrap_or_default();
                write!(f, " {} has {}", OneLine(word), OneLine(view.facts.ja4))
            }
            Test::Process(_) => {
                let (word, path) = self.process(view).unwrap_or_default();
                write!(f, " {} has {}", OneLine(word), OneLine(path))
            }
            Test::Alpn => write!(f, " {}", OneLine(self.protocol(view).unwrap_or_default())),
        }
    }
}
