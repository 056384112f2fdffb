//! What a condition says of the facts known so far.

use std::net::IpAddr;
use std::sync::Arc;

use flowgate_options::ConditionKind;

use super::View;
use crate::candidates::{Candidate, FactKind};
use crate::facts::{Fact, Needs, Process};
use crate::glob::Glob;
use crate::name_set::NameSet;
use crate::network::{Network, Ports};
use crate::pattern::{Outcome, PatternList};

/// One condition of a rule: it holds if one of its alternatives does.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) kind: ConditionKind,
    /// The alternatives as they were written.
    pub(crate) words: Vec<String>,
    pub(crate) test: Test,
}

#[derive(Debug)]
pub(crate) enum Test {
    /// `name` and `domain`.
    Names(NameSet),
    Globs(Vec<Glob>),
    Regexes(PatternList),
    Lists(Vec<Arc<NameSet>>),
    /// The server's address.
    Networks(Vec<Network>),
    Ports(Vec<Ports>),
    /// The mode: the words themselves.
    Modes,
    Clients(Vec<Network>),
    /// Protocols of ALPN: the words themselves.
    Alpn,
    /// Fingerprints of the ClientHello.
    Ja4(Vec<Glob>),
    /// Programs: a pattern with a slash is for the whole path, another for the file's name.
    Process(Vec<Glob>),
}

/// What a condition, or a rule, says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Truth {
    Holds,
    Fails,
    /// These facts, which may still come, could make it hold or fail.
    Open(Needs),
}

impl Condition {
    /// `gave_up` is set if the search of a regular expression ended at the step limit.
    pub(crate) fn ask(&self, view: &View<'_>, gave_up: &mut bool) -> Truth {
        let Needs { first, peer, sni, host } = view.pending;
        match &self.test {
            Test::Regexes(patterns) => {
                let mut limit_hit = None;
                let more_names = peer || sni || host;
                let outcome = patterns.ask(view.candidates.with_port(), more_names, &mut limit_hit);
                *gave_up |= limit_hit.is_some();
                match outcome {
                    Outcome::Hit { .. } => Truth::Holds,
                    Outcome::Miss => Truth::Fails,
                    Outcome::Open => Truth::Open(view.pending),
                }
            }
            Test::Names(_) | Test::Globs(_) | Test::Lists(_) => {
                // Only who lists addresses has to know the peer's.
                let peer = peer && self.may_name_address();
                let needs = Needs { first: first && (sni || host), peer, ..view.pending };
                truth(self.named(view).is_some(), peer || sni || host, needs)
            }
            Test::Networks(_) => {
                truth(self.network(view).is_some(), peer, Needs { peer, ..Needs::default() })
            }
            Test::Alpn => truth(self.protocol(view).is_some(), sni, Needs { first, sni, ..Needs::default() }),
            Test::Ja4(_) => truth(self.ja4(view).is_some(), sni, Needs { first, sni, ..Needs::default() }),
            Test::Process(_) => known(self.process(view).is_some()),
            Test::Ports(ports) => {
                let port = view.facts.destination.map(|destination| destination.port);
                known(port.is_some_and(|port| ports.iter().any(|ports| ports.contains(port))))
            }
            Test::Modes => known(self.words.iter().any(|mode| mode == view.facts.mode)),
            Test::Clients(networks) => {
                let client = view.facts.client;
                known(client.is_some_and(|client| networks.iter().any(|network| network.contains(client))))
            }
        }
    }

    fn may_name_address(&self) -> bool {
        match &self.test {
            Test::Names(names) => names.has_addresses(),
            Test::Globs(globs) => globs.iter().any(Glob::may_match_address),
            Test::Lists(lists) => lists.iter().any(|list| list.has_addresses()),
            _ => false,
        }
    }

    /// The candidate that one of the names has, and which alternative that is in whose words.
    pub(crate) fn named<'v>(&self, view: &'v View<'_>) -> Option<(Candidate<'v>, &str, &'v str)> {
        let word = |index: usize| self.words.get(index).map_or("", String::as_str);
        view.candidates.hosts().find_map(|candidate| match &self.test {
            Test::Names(names) => names.find(candidate.text).map(|found| (candidate, "", found)),
            Test::Globs(globs) => {
                let index = globs.iter().position(|glob| glob.matches(candidate.text))?;
                Some((candidate, word(index), ""))
            }
            Test::Lists(lists) => {
                let found = lists.iter().enumerate();
                let mut found = found.filter_map(|(index, list)| Some((index, list.find(candidate.text)?)));
                found.next().map(|(index, found)| (candidate, word(index), found))
            }
            _ => None,
        })
    }

    /// The server's address that is in one of the networks, and which.
    pub(crate) fn network(&self, view: &View<'_>) -> Option<(IpAddr, FactKind, &Network)> {
        let Test::Networks(networks) = &self.test else { return None };
        let named = view.facts.destination.and_then(|destination| destination.host.parse().ok());
        let peer = if let Fact::Is(peer) = view.facts.peer { Some(peer.ip()) } else { None };
        let addresses = [(named, FactKind::Destination), (peer, FactKind::Peer)];
        addresses.into_iter().find_map(|(address, fact)| {
            let address: IpAddr = address?;
            let network = networks.iter().find(|network| network.contains(address))?;
            Some((address.to_canonical(), fact, network))
        })
    }

    /// The word that the fingerprint fits.
    pub(crate) fn ja4(&self, view: &View<'_>) -> Option<&str> {
        let Test::Ja4(globs) = &self.test else { return None };
        if view.facts.sni == Fact::Unknown || view.facts.ja4.is_empty() {
            return None;
        }
        let index = globs.iter().position(|glob| glob.matches(view.facts.ja4))?;
        self.words.get(index).map(String::as_str)
    }

    /// The word that the client's program fits, and its file.
    pub(crate) fn process<'v>(&self, view: &'v View<'_>) -> Option<(&str, &'v str)> {
        let (Test::Process(globs), Process::Is(path)) = (&self.test, view.facts.process) else { return None };
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        let fits =
            |(glob, word): (&Glob, &String)| glob.matches(if word.contains('/') { path } else { name });
        let index = globs.iter().zip(&self.words).position(fits)?;
        Some((self.words.get(index)?, path))
    }

    /// The protocol that the client offers.
    pub(crate) fn protocol(&self, view: &View<'_>) -> Option<&str> {
        let known = view.facts.sni != Fact::Unknown;
        let offered = |word: &&String| view.facts.alpn.iter().any(|offer| offer == word.as_bytes());
        self.words.iter().filter(|_| known).find(offered).map(String::as_str)
    }
}

const fn truth(holds: bool, more: bool, needs: Needs) -> Truth {
    match (holds, more) {
        (true, _) => Truth::Holds,
        (false, true) => Truth::Open(needs),
        (false, false) => Truth::Fails,
    }
}

const fn known(holds: bool) -> Truth {
    if holds { Truth::Holds } else { Truth::Fails }
}
