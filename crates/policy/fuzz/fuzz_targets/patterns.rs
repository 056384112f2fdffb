//! Any pattern compiles or is refused in one line, and any names are decided by it.
#![no_main]

use flowgate_flow::Address;
use flowgate_policy::{Decision, Fact, Facts, FirstBytes, Rules, RulesSource, decide};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, &str, &str, bool)| {
    let (pattern, to, sni, host, allow) = input;
    let mut source = RulesSource::default();
    if allow { &mut source.allow_hosts } else { &mut source.ignore_hosts }.push(pattern.to_owned());
    let rules = match Rules::compile(&source) {
        Ok(rules) => rules,
        Err(error) => {
            assert!(!error.to_string().contains(char::is_control));
            return;
        }
    };
    let destination = Address { host: to.to_owned(), port: 443 };
    let facts = Facts {
        destination: Some(&destination),
        peer: Fact::Absent,
        first: FirstBytes::Tls,
        sni: Fact::Is(sni),
        host: Fact::Is(host),
        ..Facts::default()
    };
    let Decision::Verdict(verdict) = decide(&rules, &facts) else { panic!("undecided with all facts known") };
    assert!(!verdict.reason.to_string().contains(char::is_control));
});
