//! What becomes of a conversation: its first datagrams are held while policy is asked.
//!
//! It is policy that decides; this file brings it the facts, and says what cannot be done yet with datagrams.

use std::sync::Arc;

use bytes::Bytes;
use flowgate_flow::Transport;
use flowgate_options::{EgressSpec, Level};
use flowgate_policy::{self as policy, Action, Decision, Exemption, Fact, Facts, FirstBytes, decide};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::conversation::{Conversation, Course, Outcome, next};
use super::learned::Learned;
use crate::context::Context;
use crate::limits::{QUIC_HELLO_TIMEOUT, UDP_QUEUE_BYTES_MAX, UDP_QUEUE_DATAGRAMS_MAX};
use crate::server::{self, OpenDatagrams};
use crate::tunnel::{Target, borrowed};

/// A conversation that may go on.
pub(super) struct Decided {
    pub(super) outcome: Outcome,
    pub(super) server: OpenDatagrams,
    /// What the client sent meanwhile.
    pub(super) held: Vec<Bytes>,
}

/// Asks policy, and waits for the rest of a hello while it could change the answer. `None` if nothing may cross, for which
/// the event log has the reason, or if all ends.
pub(super) async fn ask(
    context: &Context,
    target: &Target,
    conversation: &Conversation,
    queue: &mut mpsc::Receiver<Bytes>,
) -> Option<Decided> {
    let give_up_at = Instant::now() + QUIC_HELLO_TIMEOUT;
    let learned = Learned::new(context.settings.rules.ask_ja4());
    let mut question = Question { context, target, learned, server: Server::NotYet, held: Vec::new() };
    let mut held_bytes = 0;
    loop {
        // The first datagram is there: what it tells is worth knowing, and nobody waits for it.
        if !question.held.is_empty() {
            question.open_if_it_is_known_how().await?;
            if let Some(answer) = question.answer() {
                return question.decided(answer).await;
            }
        }
        tokio::select! {
            biased;
            () = context.stop.cancelled() => return None,
            datagram = next(queue, conversation) => {
                let datagram = datagram?;
                question.learned.learn(&datagram);
                held_bytes += datagram.len();
                question.held.push(datagram);
                if held_bytes >= UDP_QUEUE_BYTES_MAX || question.held.len() >= UDP_QUEUE_DATAGRAMS_MAX {
                    question.learned.give_up();
                }
            }
            () = sleep_until(give_up_at) => question.learned.give_up(),
        }
    }
}

struct Question<'a> {
    context: &'a Context,
    target: &'a Target,
    learned: Learned,
    server: Server,
    held: Vec<Bytes>,
}

enum Server {
    NotYet,
    Open(Box<OpenDatagrams>),
    /// A rule's way out does not take datagrams.
    NoWay,
}

/// What policy said.
struct Answer {
    action: Action,
    blocked: bool,
    via: Option<EgressSpec>,
    /// The conversation as it is handled from now on.
    context: Context,
}

impl Question<'_> {
    fn facts(&self) -> Facts<'_> {
        let hello = self.learned.hello.as_ref();
        Facts {
            transport: Transport::Udp,
            // Differs from mitmproxy, to which it is not known: finding it out costs no datagram.
            peer: match &self.server {
                Server::NotYet => Fact::Unknown,
                Server::Open(open) => open.facts.connection.peername.map_or(Fact::Absent, Fact::Is),
                Server::NoWay => Fact::Absent,
            },
            first: self.learned.first,
            sni: borrowed(&self.learned.sni),
            host: Fact::Absent,
            alpn: hello.map_or(&[], |hello| &hello.alpn),
            ja4: &self.learned.ja4,
            ech: hello.is_some_and(|hello| hello.has_ech),
            expect: self.target.expect,
            ..self.context.facts(&self.target.address)
        }
    }

    /// Opens the socket to the server, as soon as no rule could lead elsewhere. `None` if it cannot be had.
    async fn open_if_it_is_known_how(&mut self) -> Option<()> {
        if !matches!(self.server, Server::NotYet) {
            return Some(());
        }
        let goes_straight = match policy::egress(&self.context.settings.rules, &self.facts()) {
            policy::Egress::Undecided { .. } => return Some(()),
            // The modes that take datagrams have no way out of their own.
            policy::Egress::OfMode => true,
            policy::Egress::Named(spec) => *spec == EgressSpec::Direct,
        };
        if goes_straight {
            return self.open().await;
        }
        self.server = Server::NoWay;
        Some(())
    }

    async fn open(&mut self) -> Option<()> {
        let opened = server::open_datagrams(self.context, &self.target.address).await;
        self.server = Server::Open(Box::new(opened.ok()?));
        Some(())
    }

    fn answer(&self) -> Option<Answer> {
        match decide(&self.context.settings.rules, &self.facts()) {
            Decision::Undecided { .. } => None,
            Decision::Verdict(verdict) => Some(Answer {
                action: verdict.action,
                blocked: matches!(verdict.reason.why.exemption, Exemption::Rule(_)),
                via: verdict.via.cloned(),
                context: self.context.decided(&verdict).unwrap_or_else(|| self.context.clone()),
            }),
        }
    }

    async fn decided(mut self, answer: Answer) -> Option<Decided> {
        let Answer { action, blocked, via, mut context } = answer;
        let course = self.course(&mut context, action, blocked)?;
        if let Some(via) = via.filter(|via| *via != EgressSpec::Direct) {
            let address = &self.target.address;
            let message = format_args!("{address}: dropped: datagrams cannot leave through {via} yet");
            context.log(Level::Warn, message);
            return None;
        }
        if !matches!(self.server, Server::Open(_)) {
            self.open().await?;
        }
        let Server::Open(server) = self.server else { return None };
        let hello = self.learned.hello.map(Arc::new);
        let outcome = Outcome { course, hidden: context.hidden, reason: context.reason, hello };
        Some(Decided { outcome, server: *server, held: self.held })
    }

    /// What policy wants, as far as it can be done with datagrams; says what cannot, and why nothing is let through.
    fn course(&self, context: &mut Context, action: Action, blocked: bool) -> Option<Course> {
        let address = &self.target.address;
        if let Err(why) = context.settings.addons.judge_relay(&context.client) {
            context.log(Level::Warn, format_args!("{address}: dropped, {why}"));
            return None;
        }
        let why = context.reason.clone().unwrap_or_default();
        let problem = match action {
            Action::PassThrough if context.settings.show_ignored_hosts => return Some(Course::Record),
            Action::PassThrough => return Some(Course::PassThrough),
            Action::RecordRaw { decrypt: false } => return Some(Course::Record),
            Action::Refuse if blocked => {
                context.log(Level::Info, format_args!("{address}: {why}"));
                return None;
            }
            Action::Refuse => {
                context.log(Level::Warn, format_args!("Cannot parse ClientHello for {address}; dropped"));
                return None;
            }
            Action::Http if self.learned.first != FirstBytes::Tls => "it does not begin as QUIC",
            Action::Http | Action::Decrypt | Action::RecordRaw { decrypt: true } => {
                match self.learned.protocol {
                    Some("DTLS") => "flowgate does not decrypt DTLS yet",
                    _ => "flowgate does not decrypt QUIC yet",
                }
            }
        };
        context.log(Level::Warn, format_args!("{address}: recorded raw: {problem}"));
        context.reason = Some(format!("{why}; recorded raw instead: {problem}").into());
        Some(Course::Record)
    }
}
