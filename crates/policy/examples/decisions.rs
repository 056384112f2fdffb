//! What a decision costs: `cargo run --release -p flowgate-policy --example decisions`.
//!
//! Prints nanoseconds per decision for lists of several lengths, one line each, for connections of which all is known:
//! the dearest case, since no pattern is found and every candidate is searched.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool run by hand")]

use std::hint::black_box;
use std::time::Instant;

use flowgate_flow::Address;
use flowgate_policy::{Decision, Fact, Facts, FirstBytes, Rules, RulesSource, decide};

fn main() {
    let plain = |count: usize| (0..count).map(|number| format!(r"^(.+\.)?host{number}\.test:443$")).collect();
    let report = |name: &str, ignore_hosts: Vec<String>| {
        let begun = Instant::now();
        let rules = Rules::compile(&RulesSource { ignore_hosts, ..RulesSource::default() }).unwrap();
        let compiled = begun.elapsed();
        let (miss, hit) = (nanoseconds(&rules, "www.example.com"), nanoseconds(&rules, "www.host7.test"));
        let reason = explain(&rules);
        println!(
            "{name:20} compile {compiled:8.1?}   hit {hit:5.0} ns   miss {miss:5.0} ns   reason {reason:5.0} ns"
        );
    };
    report("no patterns", plain(0));
    report("1 pattern", plain(1));
    report("10 patterns", plain(10));
    report("100 patterns", plain(100));
    report("1000 patterns", plain(1000));
    report("1 negative pattern", vec![r"^(?!example\.com)(?!mitmproxy\.org)".to_owned()]);
    report("10 plain, 1 negative", [plain(10), vec![r"^(?!www\.)(?!mitmproxy\.org)".to_owned()]].concat());
}

const BATCHES: u32 = 200;
const ROUNDS: u32 = 500;

/// The mean time of one run in the best batch, which other work on the machine has disturbed least.
fn best(mut run: impl FnMut()) -> f64 {
    let batch = |_| {
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            run();
        }
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS)
    };
    (0..BATCHES).map(batch).fold(f64::INFINITY, f64::min)
}

/// The time of one decision.
fn nanoseconds(rules: &Rules, name: &str) -> f64 {
    with_facts(name, |facts| {
        best(|| {
            black_box(decide(rules, black_box(facts)));
        })
    })
}

/// The time of writing a reason.
fn explain(rules: &Rules) -> f64 {
    with_facts("www.example.com", |facts| {
        let Decision::Verdict(verdict) = decide(rules, facts) else { return f64::NAN };
        best(|| {
            black_box(verdict.reason.to_string());
        })
    })
}

/// A TLS connection of which everything is known.
fn with_facts(name: &str, run: impl FnOnce(&Facts<'_>) -> f64) -> f64 {
    let destination = Address { host: name.to_owned(), port: 443 };
    let sni = format!("api.{name}");
    run(&Facts {
        destination: Some(&destination),
        peer: Fact::Is(([192, 0, 2, 1], 443).into()),
        first: FirstBytes::Tls,
        sni: Fact::Is(&sni),
        ..Facts::default()
    })
}
