//! Warnings about rules and patterns: each row what is written, and what is said of it.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use common::rule_list;
use expect_test::{Expect, expect};
use flowgate_policy::{RulesSource, lint};
use proptest::prelude::*;

fn told(source: &RulesSource) -> String {
    lint(source).unwrap().iter().map(|warning| format!("{warning}\n")).collect()
}

#[track_caller]
fn ignore(patterns: &[&str], expected: Expect) {
    let ignore_hosts = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    expected.assert_eq(&told(&RulesSource { ignore_hosts, ..RulesSource::default() }));
}

#[track_caller]
fn list(shorts: &[&str], expected: Expect) {
    expected.assert_eq(&told(&RulesSource { rules: rule_list(shorts), ..RulesSource::default() }));
}

#[test]
fn nothing_to_say() {
    for pattern in [
        r"^bank\.test:443$",
        r"^(.+\.)?bank\.test:443$",
        r"^(.+\.)?bank\.test:",
        r"\.bank\.test:\d+$",
        r":443$",
        r"^10\.0\.",
        r"^(?!example\.com)(?!mitmproxy\.org)",
        r"^((?!bank).)*$",
        r"^(a|b)\.test:443$",
        r"^\[2001:db8::1\]:443$",
        r"^api.*\.bank\.test:",
        r"^b\u00fccher\.test:",
    ] {
        ignore(&[pattern], expect![""]);
    }
}

#[test]
fn patterns() {
    ignore(
        &[r"bank\.test:443$"],
        expect![[r#"
        ignore_hosts[0] /bank\.test:443$/: unanchored: names that only end like this match too: begin it with `^`, or with `^(.+\.)?` for subdomains too
    "#]],
    );
    ignore(
        &[r"(.+\.)?bank\.test:443$"],
        expect![[r#"
        ignore_hosts[0] /(.+\.)?bank\.test:443$/: unanchored: names that only end like this match too: begin it with `^`, or with `^(.+\.)?` for subdomains too
    "#]],
    );
    ignore(
        &[r"^bank\.test"],
        expect![[r#"
        ignore_hosts[0] /^bank\.test/: unanchored: names that only begin like this match too: end it with the port, as in `:443$`, or with `:` for every port
    "#]],
    );
    ignore(
        &[r"^192\.0\.2\.1"],
        expect![[r#"
        ignore_hosts[0] /^192\.0\.2\.1/: unanchored: names that only begin like this match too: end it with the port, as in `:443$`, or with `:` for every port
    "#]],
    );
    ignore(
        &[r"^bank.test:443$"],
        expect![[r#"
        ignore_hosts[0] /^bank.test:443$/: unescaped dot: any character matches in its place: write `\.` for a dot
    "#]],
    );
    ignore(
        &["bank.test"],
        expect![[r#"
        ignore_hosts[0] /bank.test/: unanchored: names that only end like this match too: begin it with `^`, or with `^(.+\.)?` for subdomains too
        ignore_hosts[0] /bank.test/: unanchored: names that only begin like this match too: end it with the port, as in `:443$`, or with `:` for every port
        ignore_hosts[0] /bank.test/: unescaped dot: any character matches in its place: write `\.` for a dot
    "#]],
    );
    ignore(
        &[r"^bank\.test$"],
        expect![[r#"
        ignore_hosts[0] /^bank\.test$/: can never match: what is searched in ends with `:port`: write `:443$` or `:` in the place of `$`
    "#]],
    );
    ignore(
        &[r"https://bank\.test"],
        expect![[r#"
        ignore_hosts[0] /https://bank\.test/: can never match: no host or port has `/` in it: write the host and the port alone, as in `^bank\.test:443$`
    "#]],
    );
    ignore(
        &[r"bank$\.test"],
        expect![[r#"
        ignore_hosts[0] /bank$\.test/: can never match: nothing comes before the start or behind the end: put `^` first and `$` last
    "#]],
    );
    ignore(
        &[r"^bank\.test:70000$"],
        expect![[r#"
        ignore_hosts[0] /^bank\.test:70000$/: can never match: there is no such port: ports end at 65535
    "#]],
    );
    ignore(
        &[".*"],
        expect![[r#"
        ignore_hosts[0] /.*/: matches everything: leave everything else out, or say which hosts are meant
    "#]],
    );
    ignore(
        &[r"^bank\.test:443$", r"^bank\.test:443$"],
        expect![[r#"
        ignore_hosts[1] /^bank\.test:443$/: has no effect: ignore_hosts[0] /^bank\.test:443$/ matches first: leave it out, or put it first
    "#]],
    );
    ignore(
        &[r"^(.+\.)?bank\.test:", r"^api\.bank\.test:443$"],
        expect![[r#"
        ignore_hosts[1] /^api\.bank\.test:443$/: has no effect: ignore_hosts[0] /^(.+\.)?bank\.test:/ matches first: leave it out, or put it first
    "#]],
    );
}

#[test]
fn options_against_each_other() {
    let list = |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>();
    let bank = r"^bank\.test:443$";
    let source = RulesSource {
        ignore_hosts: list(&[bank]),
        allow_hosts: list(&[bank, r"^api\.test:443$"]),
        tcp_hosts: list(&[bank, r"^api\.test:443$", r"^imap\.test$"]),
        udp_hosts: list(&[r"^imap\.test$"]),
        ..RulesSource::default()
    };
    expect![[r#"
        allow_hosts[0] /^bank\.test:443$/: has no effect: ignore_hosts[0] /^bank\.test:443$/ matches first: leave it out, or put it first
        tcp_hosts[0] /^bank\.test:443$/: has no effect: ignore_hosts[0] /^bank\.test:443$/ matches first: leave it out, or put it first
    "#]].assert_eq(&told(&source));
}

#[test]
fn rules() {
    list(
        &["pass;domain=bank.test", "block;name=api.bank.test"],
        expect![[r#"
        rule r:4: has no effect: rule r:1 matches first: leave it out, or put it first
    "#]],
    );
    list(&["pass;domain=bank.test;port=443", "block;name=api.bank.test"], expect![]);
    list(&["decrypt;name=api.bank.test", "pass;domain=bank.test"], expect![]);
    list(
        &["decrypt", "pass;domain=bank.test"],
        expect![[r#"
        rule r:3: has no effect: rule r:1 matches first: leave it out, or put it first
    "#]],
    );
    list(
        &["pass;cidr=10.0.0.0/8;port=1-1024", "block;cidr=10.1.0.0/16;port=443"],
        expect![[r#"
        rule r:5: has no effect: rule r:1 matches first: leave it out, or put it first
    "#]],
    );
    list(
        &["pass;domain=bank.test,api.bank.test,BANK.test"],
        expect![[r#"
        rule r:1: `api.bank.test` has no effect: `bank.test` covers it: leave it out
        rule r:1: `BANK.test` has no effect: `bank.test` covers it: leave it out
    "#]],
    );
    list(
        &["pass;port=443,400-500"],
        expect![[r#"
        rule r:1: `443` has no effect: `400-500` covers it: leave it out
    "#]],
    );
    list(
        &["pass;regex=bank.test"],
        expect![[r#"
        rule r:1: regex /bank.test/: unanchored: names that only end like this match too: begin it with `^`, or with `^(.+\.)?` for subdomains too
        rule r:1: regex /bank.test/: unanchored: names that only begin like this match too: end it with the port, as in `:443$`, or with `:` for every port
        rule r:1: regex /bank.test/: unescaped dot: any character matches in its place: write `\.` for a dot
    "#]],
    );
    list(
        &["pass;glob=*.a", "block;glob=*.a"],
        expect![[r#"
        rule r:4: has no effect: rule r:1 matches first: leave it out, or put it first
    "#]],
    );
}

#[test]
fn ways_out() {
    // Chosen for all of a domain above the exemption: nothing differs.
    list(&["-;via=http://p.test;domain=a.test", "pass;domain=x.a.test"], expect![""]);
    list(&["pass;domain=x.a.test", "block;domain=b.test"], expect![""]);
    list(&["pass;via=direct;domain=x.a.test", "decrypt;via=direct;domain=a.test"], expect![""]);
    list(&["pass;via=direct;domain=x.a.test", "block;domain=a.test"], expect![""]);
    // The exemption hides the rule that would choose.
    list(
        &["pass;domain=x.a.test", "-;via=socks5://u:p@p.test;domain=a.test"],
        expect![[r#"
        rule r:1: what it passes through leaves as the mode says, what is decrypted leaves via socks5://p.test:1080 (rule r:4): choose the way in a rule with `via` alone that stands above
    "#]],
    );
    list(
        &["pass;via=http://p.test;domain=x.a.test"],
        expect![[r#"
        rule r:1: what it passes through leaves via http://p.test:80, what is decrypted leaves as the mode says: choose the way in a rule with `via` alone that stands above
    "#]],
    );
    list(
        &["pass;via=http://p.test;domain=x.a.test", "decrypt;via=direct"],
        expect![[r#"
        rule r:1: what it passes through leaves via http://p.test:80, what is decrypted leaves via direct (rule r:5): choose the way in a rule with `via` alone that stands above
    "#]],
    );
    // A way out that another rule has chosen already; one with another action still decides.
    list(
        &["-;via=direct", "-;via=http://p.test;port=443"],
        expect![[r#"
        rule r:3: has no effect: rule r:1 matches first: leave it out, or put it first
    "#]],
    );
    list(&["-;via=direct", "pass;via=direct;port=443"], expect![""]);
    list(
        &["pass", "-;via=direct;port=443"],
        expect![[r#"
        rule r:3: has no effect: rule r:1 matches first: leave it out, or put it first
    "#]],
    );
}

proptest! {
    #[test]
    fn any_patterns(patterns in prop::collection::vec("([a-b.:/^$|()?*\\\\0-9]{0,10}|\\PC{0,6})", 0..4)) {
        let source = RulesSource { ignore_hosts: patterns, ..RulesSource::default() };
        for warning in lint(&source).into_iter().flatten() {
            prop_assert!(!warning.to_string().contains('\n'));
        }
    }
}
