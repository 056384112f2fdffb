//! Patterns as Python's `re` reads them. What matches and what is refused was compared with Python 3.11.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use flowgate_flow::Address;
use flowgate_policy::{
    Decision, Exemption, Fact, Facts, FirstBytes, HostOption, Rules, RulesError, RulesSource, decide,
};
use proptest::prelude::*;

fn ignore(patterns: &[&str]) -> RulesSource {
    RulesSource {
        ignore_hosts: patterns.iter().map(|text| (*text).to_owned()).collect(),
        ..RulesSource::default()
    }
}

/// Whether a pattern is found in `host:443`.
fn is_found(pattern: &str, host: &str) -> bool {
    let rules = Rules::compile(&ignore(&[pattern])).unwrap();
    let destination = Address { host: host.to_owned(), port: 443 };
    let facts = Facts {
        destination: Some(&destination),
        peer: Fact::Absent,
        first: FirstBytes::Other,
        ..Facts::default()
    };
    let Decision::Verdict(verdict) = decide(&rules, &facts) else { unreachable!("all is known") };
    matches!(verdict.reason.why.exemption, Exemption::Ignored(_))
}

#[test]
fn found_and_not_found() {
    for (pattern, found, not_found) in [
        // What the Rust engines do not know, or spell otherwise.
        (r"\Azed\.test:443\Z", "zed.test", "azed.test"),
        (r"^(?P<n>a)(?P=n)\.", "aa.test", "ab.test"),
        (r"^(b)ackref\.tes(t):(4)\3(3)$", "backref.test", "backref.tess"),
        (r"^a{,2}b", "aab", "aaab"),
        (r"^a{1,}b", "aaab", "b"),
        (r"^a{}$|^b", "b", "a"),
        (r"^a{x", "a{x", "aax"),
        (r"^[[]", "[a.test", "a.test"),
        (r"^[]a]", "]b.test", "b.test"),
        (r"^[[:alpha:]]", ":]x", "b.test"), // a class of `[:alph` and a bracket behind it
        (r"^[a&&b]+:", "a&b", "a.b"),
        (r"^[--9]+:", "-.9", "a"),
        (r"^[a-]+:", "a-", "b"),
        (r"^\x61\u0062\141", "aba", "abb"),
        (r"^a\0?b", "ab", "a0b"),
        (r"^[\d_-]+:", "1_-", "a"),
        (r"^[^\W\d]+:", "ab", "a1"),
        (r"^a\<b\>", "a<b>", "ab"),
        (r"^a(?#comment)b", "ab", "acb"),
        ("(?x) ^ a [ ] b  # comment\n \\. t", "a b.t", "ab.t"),
        (r"(?x)^a\ b", "a b", "ab"),
        (r"(?i)^A\.", "a.test", "b.test"),
        (r"(?a)^\w+\.", "ab.test", "bü.test"),
        (r"(?s)^a.b", "a.b", "ab"),
        (r"^(?i:A)(?-i:b)", "ab", "ac"),
        (r"^(?s-i:a.b)", "a.b", "ab"),
        (r"^a++b", "aab", "b"),
        (r"^(?>a|ab)c", "ac", "abc"),
        (r"^(a)?b(?(1)c|d)", "abc", "abd"),
        (r"^(?P<n>a)?b(?(n)c)x", "bx", "abx"),
        (r"^(?=a)*b", "b", "c"),
        (r"(?<!not)look\.test", "look.test", "notlook.test"),
        (r"(?<=api)\.test", "api.test", "ap.test"),
        (r"(?m)^b", "b", "ab"),
        (r"^(a)\1{2}:", "aaa", "aaaa"),
        (r"^(a)(?:\1)0", "aa0", "a0"),
        // What is the same everywhere.
        (r"^UPPER\.", "upper.test", "lower.test"),
        (r"^(alt|other)\.test:443$", "other.test", "another.test"),
        (r"^a??b", "b", "cb"),
        (r"\bb", "a.b", "ab"),
        ("|x", "", "\u{0}"),
    ] {
        if !found.is_empty() {
            assert!(is_found(pattern, found), "{pattern} in {found}");
            assert!(!is_found(pattern, not_found), "{pattern} not in {not_found}");
        }
    }
    assert!(is_found("", "a.test") && is_found("a|", "b.test"), "nothing is found everywhere");
}

#[test]
fn what_is_refused() {
    for (pattern, message) in [
        ("*a", "nothing to repeat at position 0"),
        ("a|*", "nothing to repeat at position 2"),
        ("^*", "nothing to repeat at position 1"),
        ("a**", "multiple repeat at position 2"),
        ("a{2,1}", "min repeat greater than max repeat at position 2"),
        ("a{99999999999}", "the repetition number is too large at position 1"),
        ("(", "missing ), unterminated subpattern at position 0"),
        ("a(?:b", "missing ), unterminated subpattern at position 1"),
        ("(?#a", "missing ), unterminated comment at position 0"),
        ("a)", "unbalanced parenthesis at position 1"),
        ("[z-a]", "bad character range z-a at position 1"),
        (r"[a-\d]", r"bad character range a-\d at position 1"),
        ("[^]", "unterminated character set at position 0"),
        ("ü[a", "unterminated character set at position 1"),
        (r"\", "bad escape (end of pattern) at position 0"),
        (r"a\q", r"bad escape \q at position 1"),
        (r"[\q]", r"bad escape \q at position 1"),
        (r"\p{L}", r"bad escape \p at position 0"),
        (r"\x1", r"incomplete escape \x1 at position 0"),
        (r"\u12g4", r"incomplete escape \u12 at position 0"),
        (r"\400", r"octal escape value \400 outside of range 0-0o377 at position 0"),
        (r"\N{DIGIT ONE}", "character names are not supported at position 0"),
        ("(?", "unexpected end of pattern at position 2"),
        ("(?<n>a)", "unknown extension ?<n at position 1"),
        ("(?P>n)", "unknown extension ?P> at position 1"),
        ("(?z)", "unknown extension ?z at position 1"),
        ("(?P<n", "missing >, unterminated name at position 4"),
        ("(?P<>a)", "missing group name at position 4"),
        ("(?P<1>a)", "bad character in group name '1' at position 4"),
        ("(?P<n>a)(?P<n>b)", "redefinition of group name 'n' at position 12"),
        ("(?P=n)", "unknown group name 'n' at position 4"),
        (r"(a)\2", "invalid group reference 2 at position 4"),
        (r"(a\1)", "cannot refer to an open group at position 2"),
        ("(a)(?(1)a|b|c)", "conditional backref with more than two branches at position 6"),
        ("x(?i)", "global flags not at the start of the expression at position 1"),
        ("(?i", "missing -, : or ) at position 3"),
        ("(?i-", "missing flag at position 4"),
        ("(?-i)", "missing : at position 4"),
        ("(?iz)", "unknown flag at position 3"),
        ("(?L)", "bad inline flags at position 3"),
        ("(?<=a*)b", "look-behind requires fixed-width pattern at position 0"),
        ("(?:(?:a{1000}){1000}){1000}", "the pattern is too large or too complex at position 0"),
    ] {
        let error = Rules::compile(&ignore(&["good", pattern])).unwrap_err();
        assert_eq!(error.to_string(), format!("ignore_hosts[1] /{pattern}/: {message}"));
    }
    let deep = "(".repeat(1000);
    assert!(
        Rules::compile(&ignore(&[&deep]))
            .unwrap_err()
            .to_string()
            .ends_with("groups nested too deeply at position 40")
    );
    let error = Rules::compile(&ignore(&["(?P<\n"])).unwrap_err();
    assert_eq!(error.to_string(), r"ignore_hosts[0] /(?P<\n/: missing >, unterminated name at position 4");
}

#[test]
fn the_error_names_its_option() {
    let bad = vec!["[".to_owned()];
    for (source, option) in [
        (RulesSource { ignore_hosts: bad.clone(), ..RulesSource::default() }, "ignore_hosts[0]"),
        (RulesSource { allow_hosts: bad.clone(), ..RulesSource::default() }, "allow_hosts[0]"),
        (RulesSource { tcp_hosts: bad.clone(), ..RulesSource::default() }, "tcp_hosts[0]"),
        (RulesSource { udp_hosts: bad, ..RulesSource::default() }, "udp_hosts[0]"),
    ] {
        assert!(Rules::compile(&source).unwrap_err().to_string().starts_with(option));
    }
}

#[test]
fn which_patterns_must_hold_for_every_name() {
    for (pattern, holds_for_all) in [
        (r"^(?!a)", true),
        (r"\A(?!a)(?!b)", true),
        (r"(?i)^(?!a)", true),
        (r"(?#comment)^(?!a).*:443$", true),
        (r"(^(?!a))", true),
        (r"^(?:(?!a)(?!b))x", true),
        (r"^(?P<n>(?!a)).*", true),
        (r"^(?<!x)a", true),
        (r"^((?!a).)*$", true),
        (r"^(?:(?!a)(?!b).)+\Z", true),
        // Found somewhere in nearly every name.
        (r"(?!a)", false),
        (r"(?<!a)b", false),
        // Not at the start, or not always.
        (r"^a(?!b)", false),
        (r"^(?!a)|^b", false),
        (r"^(?:(?!a)|b)", false),
        (r"^(?=a)", false),
        (r"^(?!a)?b", false),
        (r"^((?!a).)*b", false),
        (r"^a", false),
        ("", false),
    ] {
        let rules = Rules::compile(&ignore(&[pattern])).unwrap();
        assert_eq!(rules.patterns(HostOption::IgnoreHosts)[0].holds_for_all(), holds_for_all, "{pattern}");
    }
}

#[test]
fn only_what_must_backtrack_does() {
    for (pattern, is_linear) in [
        (r"^(.+\.)?apple\.com:443$", true),
        (r"(?x) ^ (?P<n> a ) (?#c) [[] \Z", true),
        (r"^(?!a)", false),
        (r"(a)\1", false),
        (r"a++", false),
    ] {
        let rules = Rules::compile(&ignore(&[pattern])).unwrap();
        assert_eq!(rules.patterns(HostOption::IgnoreHosts)[0].is_linear(), is_linear, "{pattern}");
    }
}

#[test]
fn many_patterns_are_all_asked() {
    let many: Vec<String> = (0..1000).map(|number| format!(r"^(.+\.)?host{number}\.test:\d+$")).collect();
    let rules = Rules::compile(&RulesSource { ignore_hosts: many, ..RulesSource::default() }).unwrap();
    for index in [0, 499, 999] {
        let destination = Address { host: format!("www.host{index}.test"), port: 443 };
        let facts = Facts { destination: Some(&destination), ..Facts::default() };
        let Decision::Verdict(verdict) = decide(&rules, &facts) else { unreachable!("it matches") };
        let Exemption::Ignored(hit) = verdict.reason.why.exemption else { unreachable!("it matches") };
        assert_eq!(hit.pattern.index, index);
    }
}

proptest! {
    #[test]
    fn any_pattern_compiles_or_is_refused(
        text in prop_oneof![".{0,30}", r"[ab.*+?()\[\]{}|^$\\:,12<>=!Pinx#&~ -]{0,20}"],
        host in "[a-b.]{1,9}",
    ) {
        match Rules::compile(&ignore(&[&text])) {
            Ok(_) => {
                is_found(&text, &host);
            }
            Err(error) => {
                let at_a_character = matches!(&error, RulesError::Pattern(error) if error.position <= text.chars().count());
                prop_assert!(at_a_character);
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }
}
