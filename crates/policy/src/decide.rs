//! The one place where it is decided who is decrypted, passed through, recorded raw or refused.
//!
//! Pure: the same rules and facts give the same decision. Invariant: a verdict holds for all facts that may follow.
//! It rests on two things: facts only ever become known, and each list answers [`Outcome::Open`] as long as a
//! name still to come may change what it says.

use flowgate_flow::Transport;
use flowgate_options::{EgressSpec, RuleAction};

use crate::candidates::{Candidate, Candidates};
use crate::facts::{Entry, Expect, Fact, Facts, FirstBytes, Needs};
use crate::pattern::Outcome;
use crate::rule::{RuleHit, View};
use crate::rules::{BrokenHello, Ech, HostOption, Rules};
use crate::verdict::{Action, Decision, Exemption, Hit, Next, PatternId, Reason, Verdict, Why};

/// Decides as early as the facts allow.
///
/// A hit of `ignore_hosts` on what is known is final at once, before any byte. What is not passed through needs its
/// first bytes, and a ClientHello is waited for only while a pattern could still hit its name.
#[must_use]
pub fn decide<'a>(rules: &'a Rules, facts: &'a Facts<'a>) -> Decision<'a> {
    let pending = facts.pending();
    let mut question = Question { rules, facts, pending, via: None, gave_up: None, rule_gave_up: None };
    let answer = match question.exemption() {
        Ok(exemption) if exemption.passes_through() => Ok((Action::PassThrough, Next::Plain, exemption)),
        Ok(exemption) => question.next(exemption).map(|(action, next)| (action, next, exemption)),
        Err(needs) => Err(needs),
    };
    match answer {
        Ok((action, next, exemption)) => {
            let Question { via, gave_up, rule_gave_up, .. } = question;
            let why = Why { exemption, next, via, gave_up, rule_gave_up };
            let rule = if let Exemption::Rule(hit) = exemption { Some(hit) } else { None };
            Decision::Verdict(Verdict {
                action,
                hidden: rule.is_some_and(|hit| hit.action == RuleAction::Hide)
                    || matches!(exemption, Exemption::RequestIgnored(_) | Exemption::RequestNotAllowed),
                via: via.and_then(|index| rules.rules().get(index)?.via()),
                reason: Reason { why, action, rules, facts },
            })
        }
        Err(needs) => Decision::Undecided { needs },
    }
}

/// By which way a connection leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Egress<'a> {
    /// Facts that may still come could change the answer; ask again with them.
    Undecided {
        /// Which ones.
        needs: Needs,
    },
    /// By the mode's own way.
    OfMode,
    /// By the way that a rule names.
    Named(&'a EgressSpec),
}

/// Says by which way a connection leaves, for who is about to connect.
///
/// It does not look at the server's address, which nobody knows before. With all other facts known it is
/// [`Verdict::via`], save where a rule without `via` looks at the server's address.
#[must_use]
pub fn egress<'a>(rules: &'a Rules, facts: &Facts<'_>) -> Egress<'a> {
    if !rules.list.has_via || facts.decrypted || facts.destination.is_none() {
        return Egress::OfMode;
    }
    match rules.list.ask_via(facts) {
        Err(needs) => Egress::Undecided { needs },
        Ok(via) => {
            via.and_then(|index| rules.rules().get(index)?.via()).map_or(Egress::OfMode, Egress::Named)
        }
    }
}

struct Question<'a> {
    rules: &'a Rules,
    facts: &'a Facts<'a>,
    pending: Needs,
    /// The rule that says by which way it leaves.
    via: Option<usize>,
    gave_up: Option<PatternId>,
    rule_gave_up: Option<usize>,
}

impl Question<'_> {
    /// Passed through, or not?
    fn exemption(&mut self) -> Result<Exemption, Needs> {
        let Self { rules, facts, pending, .. } = *self;
        if facts.entry == Entry::ExplicitRequest {
            let candidates = Candidates::of(facts);
            return Ok(match self.rule(&candidates)? {
                Some(hit) if matches!(hit.action, RuleAction::Block | RuleAction::Hide) => {
                    Exemption::Rule(hit)
                }
                Some(_) => Exemption::ExplicitRequest,
                None if rules.hide_requests => self.request(&candidates),
                None => Exemption::ExplicitRequest,
            });
        }
        if facts.decrypted {
            return Ok(Exemption::AlreadyDecrypted);
        }
        if facts.destination.is_none() {
            return Ok(Exemption::NoDestination);
        }
        let candidates = if rules.is_empty() { Candidates::default() } else { Candidates::of(facts) };
        if let Some(hit) = self.rule(&candidates)? {
            return Ok(Exemption::Rule(hit));
        }
        let ignore_empty = rules.list(HostOption::IgnoreHosts).is_empty();
        let allow_empty = rules.list(HostOption::AllowHosts).is_empty();
        let hidden_passes = rules.ech == Ech::PassThrough;
        if ignore_empty && allow_empty && !hidden_passes {
            return Ok(Exemption::NoRules);
        }
        let more = pending.peer || pending.sni || pending.host;
        let ignored = self.ask(HostOption::IgnoreHosts, candidates.with_port(), more);
        if let Answer::Hit(hit) = ignored {
            return Ok(Exemption::Ignored(hit));
        }
        let allowed = self.ask(HostOption::AllowHosts, candidates.with_port(), more);
        if !allow_empty && allowed == Answer::Miss {
            return Ok(Exemption::NotAllowed);
        }
        if hidden_passes && facts.ech && facts.sni != Fact::Unknown {
            return Ok(Exemption::HiddenName);
        }
        let by_name = ignored == Answer::Open || allowed == Answer::Open;
        let by_hiding = hidden_passes && pending.sni;
        if by_name {
            return Err(pending);
        }
        if by_hiding {
            return Err(Needs { first: pending.first, sni: true, ..Needs::default() });
        }
        Ok(match allowed {
            Answer::Hit(hit) => Exemption::Allowed(hit),
            _ if ignore_empty => Exemption::NoRules,
            _ => Exemption::NotIgnored,
        })
    }

    /// An explicit request that no rule decides about, with all that will be known of where it goes.
    fn request(&mut self, candidates: &Candidates) -> Exemption {
        if let Answer::Hit(hit) = self.ask(HostOption::IgnoreHosts, candidates.with_port(), false) {
            return Exemption::RequestIgnored(hit);
        }
        let allows = !self.rules.list(HostOption::AllowHosts).is_empty();
        match self.ask(HostOption::AllowHosts, candidates.with_port(), false) {
            Answer::Miss if allows => Exemption::RequestNotAllowed,
            _ => Exemption::ExplicitRequest,
        }
    }

    /// The rule that decides, if one does.
    fn rule(&mut self, candidates: &Candidates) -> Result<Option<RuleHit>, Needs> {
        let view = View { facts: self.facts, candidates, pending: self.pending };
        let answer = self.rules.list.ask(&view, &mut self.rule_gave_up)?;
        self.via = answer.via;
        Ok(answer.hit)
    }

    /// What follows for a connection that is not passed through.
    fn next(&mut self, exemption: Exemption) -> Result<(Action, Next), Needs> {
        let facts = self.facts;
        let said = if let Exemption::Rule(hit) = exemption { Some(hit.action) } else { None };
        if said == Some(RuleAction::Block) {
            return Ok((Action::Refuse, Next::Plain));
        }
        if facts.entry == Entry::ExplicitRequest {
            return Ok((Action::Http, Next::Plain));
        }
        if facts.first.is_open() {
            return Err(Needs { first: true, ..Needs::default() });
        }
        if facts.first == FirstBytes::BrokenTls {
            let action = match self.rules.broken_hello {
                BrokenHello::Refuse => Action::Refuse,
                BrokenHello::RecordRaw => Action::RecordRaw { decrypt: false },
            };
            return Ok((action, Next::BrokenHello));
        }
        if self.pending.sni && self.rules.broken_hello == BrokenHello::RecordRaw {
            // The hello may yet turn out malformed, and then its TLS must not have been ended.
            return Err(Needs { sni: true, ..Needs::default() });
        }
        let raw = Action::RecordRaw { decrypt: facts.first == FirstBytes::Tls };
        if said == Some(RuleAction::Record) {
            return Ok((raw, Next::Plain));
        }
        match facts.expect {
            Expect::Raw => return Ok((raw, Next::Mode)),
            Expect::Http if facts.first == FirstBytes::Tls => return Ok((Action::Decrypt, Next::Plain)),
            Expect::Http => return Ok((Action::Http, Next::Mode)),
            Expect::Anything => {}
        }
        if said.is_none()
            && let Some(hit) = self.raw_host()?
        {
            return Ok((raw, Next::RawHost(hit)));
        }
        Ok(match facts.first {
            FirstBytes::Tls => (Action::Decrypt, Next::Plain),
            FirstBytes::Http1 | FirstBytes::Http2 => (Action::Http, Next::Plain),
            FirstBytes::ServerFirst => (raw, Next::ServerFirst),
            _ => (raw, Next::UnknownProtocol),
        })
    }

    /// Whether `tcp_hosts` or `udp_hosts` names the host.
    fn raw_host(&mut self) -> Result<Option<Hit>, Needs> {
        let option = match self.facts.transport {
            Transport::Tcp => HostOption::TcpHosts,
            Transport::Udp => HostOption::UdpHosts,
        };
        if self.rules.list(option).is_empty() {
            return Ok(None);
        }
        let candidates = Candidates::of(self.facts);
        match self.ask(option, candidates.raw_hosts(), self.pending.sni) {
            Answer::Hit(hit) => Ok(Some(hit)),
            Answer::Miss => Ok(None),
            Answer::Open => Err(Needs { sni: true, ..Needs::default() }),
        }
    }

    fn ask<'c>(
        &mut self,
        option: HostOption,
        mut candidates: impl Iterator<Item = Candidate<'c>> + Clone,
        more: bool,
    ) -> Answer {
        let mut gave_up = None;
        let outcome = self.rules.list(option).ask(candidates.clone(), more, &mut gave_up);
        if let Some(index) = gave_up {
            self.gave_up.get_or_insert(PatternId { option, index });
        }
        match outcome {
            Outcome::Hit { index, candidate } => {
                let fact = candidates.nth(candidate).map(|candidate| candidate.fact).unwrap_or_default();
                Answer::Hit(Hit { pattern: PatternId { option, index }, fact, candidate })
            }
            Outcome::Miss => Answer::Miss,
            Outcome::Open => Answer::Open,
        }
    }
}

/// An [`Outcome`] with names.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Answer {
    Hit(Hit),
    Miss,
    Open,
}

impl Exemption {
    /// The connection is passed through.
    #[must_use]
    pub const fn passes_through(self) -> bool {
        match self {
            Self::Ignored(_) | Self::NotAllowed | Self::HiddenName => true,
            Self::Rule(hit) => matches!(hit.action, RuleAction::Pass),
            _ => false,
        }
    }
}
