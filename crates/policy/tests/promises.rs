//! What is promised of exemptions, point by point, for who wants to check one: the decision itself. What the pipe, the log and the
//! flows promise is tested where they are made (`crates/net/src/relay/tests.rs`, `crates/flowgate/tests`).

mod common;

use common::{check, connect, explicit_request, rules};
use expect_test::expect;
use flowgate_policy::{Decision, HostOption, Needs, Rules, RulesSource, decide};

const BANK: &str = r"--ignore-hosts ^bank\.test:443$";

#[test]
#[rustfmt::skip]
fn promise_1_a_hit_on_what_is_known_is_final_before_any_byte() {
    check(BANK, connect("bank.test:443"),
        expect!["pass through: ignore_hosts[0] matched bank.test:443 (destination)"]);
    check(r"--ignore-hosts ^192\.0\.2\.1:", connect("a.test:443").peer("192.0.2.1"),
        expect!["pass through: ignore_hosts[0] matched 192.0.2.1:443 (peer)"]);
}

#[test]
fn promise_1_a_name_is_waited_for_only_while_it_could_change_the_answer() {
    let needs =
        |options: &str, connection: common::Connection| match decide(&rules(options), &connection.facts()) {
            Decision::Undecided { needs } => needs,
            Decision::Verdict(_) => Needs::default(),
        };
    let known = || connect("192.0.2.9:443").peer("192.0.2.9");
    let name = Needs { sni: true, ..Needs::default() };
    let host = Needs { host: true, ..Needs::default() };
    assert_eq!(needs(BANK, known().hello_so_far()), name);
    assert_eq!(needs(BANK, known().http_so_far()), host);
    // No pattern, or one that has hit or failed already: nothing but what the first bytes are.
    assert_eq!(needs("", known().hello_so_far()), Needs::default());
    assert_eq!(needs(r"--allow-hosts ^192\.", known().hello_so_far()), Needs::default());
    assert_eq!(needs(r"--ignore-hosts ^(?!192\.)", known().hello_so_far()), Needs::default());
    // What has no name does not get one.
    assert_eq!(needs(BANK, known().binary()), Needs::default());
    assert_eq!(needs(BANK, known().server_first()), Needs::default());
}

#[test]
#[rustfmt::skip]
fn promise_2_one_or_two_bytes_decide_nothing() {
    check("", connect("a.test:443").partial(), expect!["undecided: first bytes"]);
    check("--allow-hosts ^b", connect("192.0.2.1:443").peer("192.0.2.1").partial(),
        expect!["undecided: first bytes, sni, host header"]);
}

#[test]
#[rustfmt::skip]
fn promise_3_a_negative_pattern_holds_for_every_name() {
    let others = r"--ignore-hosts ^(?!example\.com)(?!mitmproxy\.org)";
    check(others, connect("example.com:443").peer("192.0.2.1").hello("example.com"),
        expect!["decrypt: no ignore_hosts pattern matched example.com:443, 192.0.2.1:443"]);
    check(others, connect("192.0.2.1:443").peer("192.0.2.1").hello("mitmproxy.org"),
        expect!["decrypt: no ignore_hosts pattern matched 192.0.2.1:443, mitmproxy.org:443"]);
    check(others, connect("bank.test:443").peer("192.0.2.1").hello("bank.test"),
        expect!["pass through: ignore_hosts[0] matched bank.test:443 (destination)"]);
    let holds_for_all = |options: &str| rules(options).patterns(HostOption::IgnoreHosts).first().unwrap().holds_for_all();
    assert!(holds_for_all(others) && !holds_for_all(BANK));
}

#[test]
#[rustfmt::skip]
fn promise_4_names_are_compared_however_they_are_spelled() {
    for (pattern, host) in [
        (r"^bank\.test:443$", "BANK.Test."),
        (r"^b\u00fccher\.test:443$", "xn--bcher-kva.test"),
        (r"^xn--bcher-kva\.test:443$", "BÜCHER.test"),
        (r"^::1:443$", "[0:0::1]"),
        (r"^\[::1\]:443$", "[::1]"),
        (r"^192\.0\.2\.1:443$", "[::ffff:192.0.2.1]"),
    ] {
        let rules = rules(&format!("--ignore-hosts {pattern}"));
        let connection = connect(&format!("{host}:443"));
        let facts = connection.facts();
        let decision = decide(&rules, &facts);
        assert!(matches!(decision, Decision::Verdict(_)), "{pattern} does not match {host}: {decision:?}");
    }
    check(r"--tcp-hosts ^a\.test$ --tcp-hosts ^b\.test:443$", connect("a.test:443").hello("x.test"),
        expect!["decrypt and record raw: tcp_hosts[0] matched a.test (destination)"]);
    check(r"--tcp-hosts ^a\.test$ --tcp-hosts ^b\.test:443$", connect("b.test:443").hello("x.test"),
        expect!["decrypt and record raw: tcp_hosts[1] matched b.test:443 (destination)"]);
}

#[test]
fn promise_5_python_patterns_are_searched_and_bad_ones_refused_with_their_place() {
    for pattern in
        [r"(?<!not)look\.test:443\Z", r"^(\w)\1\.test:", r"(?P<n>a)(?P=n)\.test", r"(?i:AA)\.test(?#x):"]
    {
        let source = RulesSource { ignore_hosts: vec![pattern.to_owned()], ..RulesSource::default() };
        let rules = Rules::compile(&source).unwrap();
        let host = if pattern.contains("look") { "look.test:443" } else { "aa.test:443" };
        let connection = connect(host);
        let facts = connection.facts();
        assert!(matches!(decide(&rules, &facts), Decision::Verdict(_)), "{pattern}");
    }
    let source = RulesSource { tcp_hosts: vec!["ok".to_owned(), "a(b".to_owned()], ..RulesSource::default() };
    expect!["tcp_hosts[1] /a(b/: missing ), unterminated subpattern at position 1"]
        .assert_eq(&Rules::compile(&source).unwrap_err().to_string());
}

#[test]
#[rustfmt::skip]
fn promise_7_what_was_decrypted_is_recorded() {
    check(BANK, connect("front.test:443").hello("front.test").decrypted().http("bank.test"),
        expect!["http: already decrypted, so recorded"]);
}

#[test]
#[rustfmt::skip]
fn promise_8_every_verdict_says_why() {
    check(BANK, connect("192.0.2.1:443").peer("192.0.2.1").hello("BANK.test."),
        expect!["pass through: ignore_hosts[0] matched bank.test:443 (sni, sent as BANK.test.)"]);
    check("--rule block;domain=a.test;port=443", connect("x.a.test:443"),
        expect!["refuse: rule r:1 matched: domain a.test has x.a.test (destination), port 443"]);
}

#[test]
#[rustfmt::skip]
fn promise_9_explicit_requests_are_ignored_only_where_that_is_asked_for() {
    check("--ignore-hosts ^bank", explicit_request(),
        expect!["http: an explicit request is never passed through"]);
    check("--ignore-requests --ignore-hosts ^bank", explicit_request(),
        expect!["http: ignore_hosts[0] matched bank.test:80 (destination)"]);
    check("--ignore-requests --ignore-hosts ^other", explicit_request(),
        expect!["http: an explicit request is never passed through"]);
    check("--ignore-requests --allow-hosts ^other", explicit_request(),
        expect!["http: no allow_hosts pattern matched bank.test:80"]);
    check("--ignore-requests --allow-hosts ^bank", explicit_request(),
        expect!["http: an explicit request is never passed through"]);
    check("--ignore-requests", explicit_request(),
        expect!["http: an explicit request is never passed through"]);
}

#[test]
#[rustfmt::skip]
fn promise_10_hidden_names_are_told_and_have_a_policy() {
    let connection = || connect("192.0.2.1:443").peer("192.0.2.1");
    check("--ignore-hosts ^bank", connection().hello("cover.test").ech(),
        expect!["decrypt: no ignore_hosts pattern matched 192.0.2.1:443, cover.test:443; ECH may hide another name"]);
    check("--ech=pass-through", connection().hello("cover.test").ech(),
        expect!["pass through: ECH hides its name"]);
}

#[test]
#[rustfmt::skip]
fn promise_13_the_authority_of_http2_counts_and_malformed_hellos_have_a_policy() {
    check(r"--ignore-hosts ^bank\.test:", connect("192.0.2.1:80").http2("bank.test"),
        expect!["pass through: ignore_hosts[0] matched bank.test:80 (host header)"]);
    check("", connect("a.test:443").broken_hello(), expect!["refuse: malformed ClientHello"]);
    check("--broken-hello=raw", connect("a.test:443").broken_hello(), expect!["record raw: malformed ClientHello"]);
}
