//! What was decided, and why, in a line that a person can act on.
//!
//! A reason is a handful of numbers and two references: making one costs nothing, and only who prints it pays for the
//! text. Who keeps it longer than the facts keeps the text ([`ToString`]).

use std::fmt::{Display, Formatter, Result};

use crate::candidates::{Candidate, Candidates, FactKind};
use crate::facts::{Fact, Facts, Needs};
use crate::pattern::STEPS_MAX;
use crate::rule::{BeforeConnecting, RuleHit, View};
use crate::rules::{HostOption, Rules};
use flowgate_options::EgressSpec;
use flowgate_pattern::OneLine;

/// The answer to "what is to be done with this connection".
#[derive(Clone, Copy, Debug)]
pub enum Decision<'a> {
    /// Facts that may still come could change the answer; ask again with them.
    Undecided {
        /// Which ones.
        needs: Needs,
    },
    /// Decided, and no fact that comes later changes it.
    Verdict(Verdict<'a>),
}

/// What is done, and why.
#[derive(Clone, Copy, Debug)]
pub struct Verdict<'a> {
    /// What is done.
    pub action: Action,
    /// It is neither shown nor stored.
    pub hidden: bool,
    /// The way by which it leaves, if a rule names one.
    pub via: Option<&'a EgressSpec>,
    /// Why.
    pub reason: Reason<'a>,
}

/// What is done with a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Its bytes are relayed and not looked at.
    PassThrough,
    /// Its TLS is ended here; what is inside is asked about again, with [`Facts::decrypted`].
    Decrypt,
    /// Its bytes are relayed and recorded. With `decrypt`, its TLS is ended here and the bytes are those inside.
    RecordRaw {
        /// End its TLS first.
        decrypt: bool,
    },
    /// Its clear text is HTTP.
    Http,
    /// The client gets an error.
    Refuse,
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::PassThrough => "pass through",
            Self::Decrypt => "decrypt",
            Self::RecordRaw { decrypt: false } => "record raw",
            Self::RecordRaw { decrypt: true } => "decrypt and record raw",
            Self::Http => "http",
            Self::Refuse => "refuse",
        })
    }
}

/// Why an [`Action`] was chosen. Its `Display` is one line, the action included:
/// `pass through: ignore_hosts[2] /^api\./ matched api.bank.test:443 (sni)`.
#[derive(Clone, Copy)]
pub struct Reason<'a> {
    /// What decided.
    pub why: Why,
    pub(crate) action: Action,
    pub(crate) rules: &'a Rules,
    pub(crate) facts: &'a Facts<'a>,
}

/// What decided, as data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Why {
    /// Why it is, or is not, passed through.
    pub exemption: Exemption,
    /// Why what follows is what it is, where the first bytes do not say it all.
    pub next: Next,
    /// The place, from 0, of the rule that says by which way it leaves.
    pub via: Option<usize>,
    /// A pattern whose search was given up at the step limit. It counted as not matching.
    pub gave_up: Option<PatternId>,
    /// The place, from 0, of a rule with such a pattern.
    pub rule_gave_up: Option<usize>,
}

/// Why a connection is, or is not, passed through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exemption {
    /// A rule says what becomes of it.
    Rule(RuleHit),
    /// Passed through: a pattern of `ignore_hosts` matched.
    Ignored(Hit),
    /// Passed through: no pattern of `allow_hosts` matched.
    NotAllowed,
    /// Passed through: the true name is hidden, and the rules say so.
    HiddenName,
    /// Not: a pattern of `allow_hosts` matched, and none of `ignore_hosts`.
    Allowed(Hit),
    /// Not: no pattern of `ignore_hosts` matched.
    NotIgnored,
    /// Not: no option asks for it.
    NoRules,
    /// Not: explicit requests never are.
    ExplicitRequest,
    /// Not, but hidden: an explicit request that a pattern of `ignore_hosts` matched.
    RequestIgnored(Hit),
    /// Not, but hidden: an explicit request that no pattern of `allow_hosts` matched.
    RequestNotAllowed,
    /// Not: nobody knows where to.
    NoDestination,
    /// Not: what was decrypted is recorded.
    AlreadyDecrypted,
}

/// Why what follows is what it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// The first bytes, or the exemption, say it all.
    Plain,
    /// `tcp_hosts` or `udp_hosts` matched.
    RawHost(Hit),
    /// Neither TLS nor HTTP.
    UnknownProtocol,
    /// The server spoke first.
    ServerFirst,
    /// A malformed ClientHello.
    BrokenHello,
    /// The mode's own specification.
    Mode,
}

/// A pattern that matched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hit {
    /// The pattern.
    pub pattern: PatternId,
    /// Which fact it matched.
    pub fact: FactKind,
    /// The number of the candidate, among those that the option sees.
    pub(crate) candidate: usize,
}

/// A pattern's place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PatternId {
    /// The option it stands in.
    pub option: HostOption,
    /// Its place in the option's list, from 0.
    pub index: usize,
}

impl std::fmt::Debug for Reason<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Reason").field("action", &self.action).field("why", &self.why).finish_non_exhaustive()
    }
}

impl Display for Reason<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}: ", self.action)?;
        let candidates = Candidates::of(self.facts);
        match self.why.next {
            Next::Plain => {}
            Next::RawHost(hit) => self.write_hit(f, hit, candidates.raw_hosts())?,
            Next::UnknownProtocol => f.write_str("neither TLS nor HTTP")?,
            Next::ServerFirst => f.write_str("the server spoke first")?,
            Next::BrokenHello => f.write_str("malformed ClientHello")?,
            Next::Mode => f.write_str("the mode says so")?,
        }
        match (self.why.next, self.why.exemption) {
            (Next::Plain, _) => self.write_exemption(f, &candidates)?,
            (_, Exemption::NoRules) => {}
            _ => {
                f.write_str("; ")?;
                self.write_exemption(f, &candidates)?;
            }
        }
        if self.facts.ech && self.facts.sni != Fact::Unknown && self.why.exemption != Exemption::HiddenName {
            f.write_str("; ECH may hide another name")?;
        }
        self.write_via(f)?;
        match self.why.gave_up {
            Some(PatternId { option, index }) => {
                write!(f, "; {option}[{index}] gave up after {STEPS_MAX} steps")
            }
            None => Ok(()),
        }?;
        match self.why.rule_gave_up.and_then(|index| self.rules.rules().get(index)) {
            Some(rule) => {
                let (file, line) = (OneLine(rule.file()), rule.line());
                write!(f, "; rule {file}:{line} gave up after {STEPS_MAX} steps")
            }
            None => Ok(()),
        }
    }
}

impl Reason<'_> {
    fn write_exemption(&self, f: &mut Formatter<'_>, candidates: &Candidates) -> Result {
        match self.why.exemption {
            Exemption::Rule(hit) => {
                let view = View { facts: self.facts, candidates, pending: self.facts.pending() };
                let Some(rule) = self.rules.rules().get(hit.index) else { return Ok(()) };
                if rule.via.is_some() {
                    return rule.write_match(f, &BeforeConnecting::of(self.facts).view());
                }
                rule.write_match(f, &view)
            }
            Exemption::Ignored(hit) | Exemption::RequestIgnored(hit) => {
                self.write_hit(f, hit, candidates.with_port())
            }
            Exemption::NotAllowed | Exemption::RequestNotAllowed => {
                self.write_no_hit(f, HostOption::AllowHosts, candidates)
            }
            Exemption::HiddenName => f.write_str("ECH hides its name"),
            Exemption::Allowed(hit) => {
                self.write_hit(f, hit, candidates.with_port())?;
                if self.rules.patterns(HostOption::IgnoreHosts).is_empty() {
                    return Ok(());
                }
                f.write_str("; ")?;
                self.write_no_hit(f, HostOption::IgnoreHosts, candidates)
            }
            Exemption::NotIgnored => self.write_no_hit(f, HostOption::IgnoreHosts, candidates),
            Exemption::NoRules if !self.rules.rules().is_empty() => {
                f.write_str("no rule matched, and neither ignore_hosts nor allow_hosts is set")
            }
            Exemption::NoRules => f.write_str("neither ignore_hosts nor allow_hosts is set"),
            Exemption::ExplicitRequest => f.write_str("an explicit request is never passed through"),
            Exemption::NoDestination => f.write_str("no destination to pass it through to"),
            Exemption::AlreadyDecrypted => f.write_str("already decrypted, so recorded"),
        }
    }

    /// `; via socks5://proxy.test:1080`, and which rule says so, if it is not the one that was told already.
    fn write_via(&self, f: &mut Formatter<'_>) -> Result {
        let Some((index, rule)) =
            self.why.via.and_then(|index| Some((index, self.rules.rules().get(index)?)))
        else {
            return Ok(());
        };
        let Some(via) = rule.via() else { return Ok(()) };
        write!(f, "; via {via}")?;
        if matches!(self.why.exemption, Exemption::Rule(hit) if hit.index == index) {
            return Ok(());
        }
        f.write_str(": ")?;
        rule.write_match(f, &BeforeConnecting::of(self.facts).view())
    }

    /// `ignore_hosts[2] /^api\./ matched api.bank.test:443 (sni)`.
    fn write_hit<'b>(
        &self,
        f: &mut Formatter<'_>,
        hit: Hit,
        mut candidates: impl Iterator<Item = Candidate<'b>>,
    ) -> Result {
        let PatternId { option, index } = hit.pattern;
        let pattern = self.rules.patterns(option).get(index).map_or("", |pattern| pattern.text());
        let candidate = candidates.nth(hit.candidate).map_or("", |candidate| candidate.text);
        write!(f, "{option}[{index}] /{}/ matched {} ({}", OneLine(pattern), OneLine(candidate), hit.fact)?;
        match self.sent(hit.fact) {
            Some(sent) if !candidate.starts_with(sent) => write!(f, ", sent as {})", OneLine(sent)),
            _ => f.write_str(")"),
        }
    }

    /// `no ignore_hosts pattern matched api.test:443, 192.0.2.1:443`.
    fn write_no_hit(&self, f: &mut Formatter<'_>, option: HostOption, candidates: &Candidates) -> Result {
        write!(f, "no {option} pattern matched ")?;
        let mut last = None;
        for Candidate { fact, text } in candidates.with_port() {
            // One spelling of each is enough to read.
            if last != Some(fact) {
                write!(f, "{}{}", if last.is_some() { ", " } else { "" }, OneLine(text))?;
            }
            last = Some(fact);
        }
        if last.is_none() {
            f.write_str("an empty name")?;
        }
        Ok(())
    }

    /// A name as it was sent.
    fn sent(&self, fact: FactKind) -> Option<&str> {
        let name = match fact {
            FactKind::Destination => return self.facts.destination.map(|address| address.host.as_str()),
            FactKind::Sni => self.facts.sni,
            FactKind::Host => self.facts.host,
            FactKind::Peer => Fact::Absent,
        };
        if let Fact::Is(name) = name { Some(name) } else { None }
    }
}
