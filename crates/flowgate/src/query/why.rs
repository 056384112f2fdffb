//! `flowgate why`: the verdict on a connection of which this much is known, and how it comes about.
//!
//! Nothing is looked up and nobody is connected to. What a proxy would wait for is said, and what the verdict would be if
//! it turned out as usual.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use flowgate_options::Values;
use flowgate_policy::{
    Decision, Fact, Facts, FirstBytes, Process, Rules, RulesSource, Verdict, considered, decide,
};

use super::{Answer, QueryError};
use crate::cli::Question;

pub(super) fn answer(
    question: &Question,
    values: &Values,
    source: &RulesSource,
) -> Result<Answer, QueryError> {
    let rules = Rules::compile(source)?;
    let mode = values.mode.first().map_or("", |spec| spec.mode.name());
    let facts = known(question, mode);
    let mut text = format!("{}, mode {mode}\n", question.destination);
    let decision = decide(&rules, &facts);
    match decision {
        Decision::Verdict(verdict) => write_verdict(&mut text, "verdict", &verdict),
        Decision::Undecided { needs } => {
            let _ = writeln!(text, "verdict: not before more is known: {needs}");
        }
    }
    let lines = considered(&rules, &facts);
    if !lines.is_empty() {
        text += "considered:\n";
        lines.iter().for_each(|line| text += &format!("  {line}\n"));
    }
    if matches!(decision, Decision::Undecided { .. }) {
        for (name, facts) in outcomes(question, facts) {
            if let Decision::Verdict(verdict) = decide(&rules, &facts) {
                write_verdict(&mut text, name, &verdict);
            }
        }
    }
    Ok(Answer { text, good: true })
}

fn write_verdict(text: &mut String, name: &str, verdict: &Verdict<'_>) {
    let hidden = if verdict.hidden { "; neither shown nor stored" } else { "" };
    let _ = writeln!(text, "{name}: {}{hidden}", verdict.reason);
}

/// What the question says.
fn known<'a>(question: &'a Question, mode: &'a str) -> Facts<'a> {
    let facts = Facts {
        destination: Some(&question.destination),
        mode,
        client: question.client,
        peer: question
            .address
            .map_or(Fact::Unknown, |ip| Fact::Is(SocketAddr::new(ip, question.destination.port))),
        ja4: question.ja4.as_deref().unwrap_or_default(),
        process: question.process.as_deref().map_or(Process::Unknown("not given"), Process::Is),
        ..Facts::default()
    };
    match (&question.sni, &question.host) {
        (Some(sni), _) => Facts { first: FirstBytes::Tls, sni: Fact::Is(sni), ..facts },
        (None, None) if question.ja4.is_some() => {
            // There is a ClientHello, then; its name is as good as always the destination's.
            Facts { first: FirstBytes::Tls, sni: own_name(question), ..facts }
        }
        (None, Some(host)) => Facts { first: FirstBytes::Http1, host: Fact::Is(host), ..facts },
        (None, None) => facts,
    }
}

/// What may follow: TLS or HTTP for the same name, or nothing but that. Without the server's address, where it was not
/// given.
fn outcomes<'a>(question: &'a Question, facts: Facts<'a>) -> Vec<(&'static str, Facts<'a>)> {
    let facts = Facts { peer: if facts.peer == Fact::Unknown { Fact::Absent } else { facts.peer }, ..facts };
    if facts.first != FirstBytes::Nothing {
        return vec![("if no more becomes known", facts)];
    }
    let host = question.destination.host.as_str();
    vec![
        ("if TLS follows", Facts { first: FirstBytes::Tls, sni: own_name(question), ..facts }),
        ("if HTTP follows", Facts { first: FirstBytes::Http1, host: Fact::Is(host), ..facts }),
    ]
}

/// The name that a ClientHello to the destination has.
fn own_name(question: &Question) -> Fact<&str> {
    let host = question.destination.host.as_str();
    if host.parse::<IpAddr>().is_ok() { Fact::Absent } else { Fact::Is(host) }
}
