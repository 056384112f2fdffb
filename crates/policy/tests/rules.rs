//! Ordered rules: what they match, which one wins, what is waited for.
//!
//! Each row: rules in short (`action;condition=word,word`), what is known of the connection, and the answer.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use common::{check, connect, explicit_request, no_destination, rule_list, rules};
use expect_test::{Expect, expect};
use flowgate_policy::{Egress, Rules, RulesSource, considered, egress};

#[test]
#[rustfmt::skip]
fn names() {
    check("--rule pass;name=bank.test", connect("bank.test:443"), expect!["pass through: rule r:1 matched: name bank.test has bank.test (destination)"]);
    check("--rule pass;name=bank.test", connect("api.bank.test:443").no_peer().hello_without_name(), expect!["decrypt: no rule matched, and neither ignore_hosts nor allow_hosts is set"]);
    check("--rule pass;domain=bank.test,pay.test", connect("API.Pay.Test.:443"), expect!["pass through: rule r:1 matched: domain pay.test has api.pay.test (destination)"]);
    check("--rule pass;domain=bank.test", connect("192.0.2.1:443"), expect!["undecided: first bytes, sni, host header"]);
    check("--rule pass;domain=bank.test", connect("192.0.2.1:443").hello("api.bank.test"), expect!["pass through: rule r:1 matched: domain bank.test has api.bank.test (sni)"]);
    check("--rule pass;domain=bank.test", connect("192.0.2.1:80").http("bank.test"), expect!["pass through: rule r:1 matched: domain bank.test has bank.test (host header)"]);
    check("--rule pass;domain=bücher.test", connect("www.xn--bcher-kva.test:80"), expect!["pass through: rule r:1 matched: domain xn--bcher-kva.test has www.xn--bcher-kva.test (destination)"]);
    check("--rule pass;glob=api-?.*.test", connect("api-7.a.b.test:80"), expect!["pass through: rule r:1 matched: glob api-?.*.test has api-7.a.b.test (destination)"]);
    check("--rule pass;regex=^bank\\.test:443$", connect("bank.test:443"), expect![[r#"pass through: rule r:1 matched: regex /^bank\.test:443$/ has bank.test:443 (destination)"#]]);
    check("--rule pass;regex=^(?!bank)", connect("x.test:443"), expect!["undecided: first bytes, peer, sni, host header"]);
    check("--rule block;list=ads.txt", connect("x.ads.test:443"), expect!["refuse: rule r:1 matched: list ads.txt: ads.test has x.ads.test (destination)"]);
}

#[test]
#[rustfmt::skip]
fn other_facts() {
    check("--rule pass;cidr=192.0.2.0/24", connect("192.0.2.9:443"), expect!["pass through: rule r:1 matched: cidr 192.0.2.0/24 has 192.0.2.9 (destination)"]);
    check("--rule pass;cidr=192.0.2.0/24", connect("a.test:443"), expect!["undecided: peer"]);
    check("--rule pass;cidr=192.0.2.0/24", connect("a.test:443").peer("192.0.2.1"), expect!["pass through: rule r:1 matched: cidr 192.0.2.0/24 has 192.0.2.1 (peer)"]);
    check("--rule pass;port=443,8000-8999", connect("a.test:8443"), expect!["pass through: rule r:1 matched: port 8443"]);
    check("--rule pass;port=443", connect("a.test:80").http("x"), expect!["http: no rule matched, and neither ignore_hosts nor allow_hosts is set"]);
    check("--rule pass;client=10.0.0.0/8", connect("a.test:80").from("10.1.2.3"), expect!["pass through: rule r:1 matched: client 10.0.0.0/8 has 10.1.2.3"]);
    check("--rule pass;mode=regular", connect("a.test:80").mode("regular"), expect!["pass through: rule r:1 matched: mode regular"]);
    check("--rule record;alpn=imap", connect("a.test:993").hello("a.test").alpn(&["imap"]), expect!["decrypt and record raw: rule r:1 matched: alpn imap"]);
    check("--rule record;alpn=imap", connect("a.test:993").hello_so_far(), expect!["undecided: sni"]);
    const CHROME: &str = "t13d1516h2_8daaf6152771_e5627efa2ab1";
    check("--rule pass;ja4=t13d1516h2_8daaf6152771_e5627efa2ab1", connect("a.test:443").hello("a.test").ja4(CHROME), expect!["pass through: rule r:1 matched: ja4 t13d1516h2_8daaf6152771_e5627efa2ab1 has t13d1516h2_8daaf6152771_e5627efa2ab1"]);
    check("--rule pass;ja4=x*,t13d*_8daaf6152771_*", connect("a.test:443").hello("a.test").ja4(CHROME), expect!["pass through: rule r:1 matched: ja4 t13d*_8daaf6152771_* has t13d1516h2_8daaf6152771_e5627efa2ab1"]);
    check("--rule pass;ja4=t12*", connect("a.test:443").hello("a.test").ja4(CHROME), expect!["decrypt: no rule matched, and neither ignore_hosts nor allow_hosts is set"]);
    check("--rule pass;ja4=*", connect("a.test:443").hello_without_name(), expect!["decrypt: no rule matched, and neither ignore_hosts nor allow_hosts is set"]);
    check("--rule pass;ja4=t13d*", connect("a.test:443").hello_so_far(), expect!["undecided: sni"]);
    check("--rule pass;ja4=t13d*", connect("a.test:443"), expect!["undecided: first bytes, sni"]);
    check("--rule pass;process=curl", connect("a.test:443").process("/usr/bin/curl"), expect!["pass through: rule r:1 matched: process curl has /usr/bin/curl"]);
    check("--rule pass;process=curl", connect("a.test:443").process("curl"), expect!["pass through: rule r:1 matched: process curl has curl"]);
    check("--rule pass;process=/opt/*/firefox*", connect("a.test:443").process("/opt/mozilla/firefox-bin"), expect!["pass through: rule r:1 matched: process /opt/*/firefox* has /opt/mozilla/firefox-bin"]);
    check("--rule pass;process=Curl", connect("a.test:443").hello("a").process("/usr/bin/curl"), expect!["decrypt: no rule matched, and neither ignore_hosts nor allow_hosts is set"]);
    check("--rule pass;process=*", connect("a.test:443").hello("a"), expect!["decrypt: no rule matched, and neither ignore_hosts nor allow_hosts is set"]);
    check("--rule pass;domain=a.test;port=443;client=::1", connect("a.test:443").from("::1"), expect!["pass through: rule r:1 matched: domain a.test has a.test (destination), port 443, client ::1/128 has ::1"]);
}

#[test]
#[rustfmt::skip]
fn actions() {
    check("--rule decrypt", connect("a.test:443"), expect!["undecided: first bytes"]);
    check("--rule decrypt", connect("a.test:443").hello("a.test"), expect!["decrypt: rule r:1 matched: it has no condition"]);
    check("--rule decrypt", connect("a.test:80").http("a.test"), expect!["http: rule r:1 matched: it has no condition"]);
    check("--rule hide", connect("a.test:443").hello("a.test"), expect!["decrypt: rule r:1 matched: it has no condition"]);
    check("--rule hide", connect("a.test:25").server_first(), expect!["record raw: the server spoke first; rule r:1 matched: it has no condition"]);
    check("--rule record", connect("a.test:443").hello("a.test"), expect!["decrypt and record raw: rule r:1 matched: it has no condition"]);
    check("--rule record", connect("a.test:80").http("a.test"), expect!["record raw: rule r:1 matched: it has no condition"]);
    check("--rule record", connect("a.test:443").broken_hello(), expect!["refuse: malformed ClientHello; rule r:1 matched: it has no condition"]);
    check("--rule block", connect("a.test:443"), expect!["refuse: rule r:1 matched: it has no condition"]);
    // Explicit requests are never passed through, but blocked and hidden.
    check("--rule pass;domain=bank.test", explicit_request().no_peer(), expect!["http: an explicit request is never passed through"]);
    check("--rule block;domain=bank.test", explicit_request().no_peer(), expect!["refuse: rule r:1 matched: domain bank.test has bank.test (destination)"]);
    check("--rule hide;domain=bank.test", explicit_request().no_peer(), expect!["http: rule r:1 matched: domain bank.test has bank.test (destination)"]);
    // What was decrypted is recorded, and without a destination there is nothing to ask about.
    check("--rule pass", connect("a.test:443").decrypted().http("a.test"), expect!["http: already decrypted, so recorded"]);
    check("--rule pass", no_destination().http("a.test"), expect!["http: no destination to pass it through to"]);
}

#[test]
#[rustfmt::skip]
fn the_first_that_matches_wins() {
    let two = "--rule decrypt;name=api.bank.test --rule pass;domain=bank.test";
    check(two, connect("bank.test:443"), expect!["undecided: first bytes, sni, host header"]);
    check(two, connect("bank.test:443").no_peer().hello("bank.test"), expect!["pass through: rule r:4 matched: domain bank.test has bank.test (destination)"]);
    check(two, connect("api.bank.test:443").no_peer().hello("api.bank.test"), expect!["decrypt: rule r:1 matched: name api.bank.test has api.bank.test (destination)"]);
    check(two, connect("bank.test:443").no_peer().hello("api.bank.test"), expect!["decrypt: rule r:1 matched: name api.bank.test has api.bank.test (sni)"]);
    // Rules come before the options, and what a rule has decided they do not see.
    check("--ignore-hosts bank --rule decrypt;name=bank.test", connect("bank.test:443").hello("bank.test"), expect!["decrypt: rule r:1 matched: name bank.test has bank.test (destination)"]);
    check("--ignore-hosts bank --rule decrypt;name=x.test", connect("bank.test:443").no_peer().hello("x"), expect!["pass through: ignore_hosts[0] matched bank.test:443 (destination)"]);
    check("--tcp-hosts bank --rule decrypt;name=bank.test", connect("bank.test:443").hello("bank.test"), expect!["decrypt: rule r:1 matched: name bank.test has bank.test (destination)"]);
    check("--rule decrypt;name=x.test", connect("bank.test:443").hello("x"), expect!["decrypt: no rule matched, and neither ignore_hosts nor allow_hosts is set"]);
}

#[test]
#[rustfmt::skip]
fn ways_out() {
    let socks = "via=socks5://u:p@p.test";
    check(&format!("--rule pass;{socks}"), connect("a.test:443"), expect!["pass through: rule r:1 matched: it has no condition; via socks5://p.test:1080"]);
    check(&format!("--rule -;{socks} --ignore-hosts a"), connect("a.test:443"), expect!["pass through: ignore_hosts[0] matched a.test:443 (destination); via socks5://p.test:1080: rule r:1 matched: it has no condition"]);
    check(&format!("--rule -;{socks}"), connect("a.test:443").hello("a.test"), expect!["decrypt: no rule matched, and neither ignore_hosts nor allow_hosts is set; via socks5://p.test:1080: rule r:1 matched: it has no condition"]);
    // The first way out is taken, up to the rule that decides.
    check("--rule -;via=direct;port=443 --rule -;via=http://p.test --rule block", connect("a.test:443"), expect!["refuse: rule r:6 matched: it has no condition; via direct: rule r:1 matched: port 443"]);
    check("--rule pass --rule -;via=http://p.test", connect("a.test:443"), expect!["pass through: rule r:1 matched: it has no condition"]);
    check("--rule -;via=direct --rule pass;via=http://p.test", connect("a.test:443"), expect!["pass through: rule r:3 matched: it has no condition; via direct: rule r:1 matched: it has no condition"]);
    // A way out that depends on a name is waited for, although the action is known.
    check("--rule -;via=direct;domain=b.test --rule pass", connect("192.0.2.1:443"), expect!["undecided: first bytes, sni, host header"]);
    check("--rule -;via=direct;domain=b.test --rule pass", connect("192.0.2.1:443").hello("b.test"), expect!["pass through: rule r:4 matched: it has no condition; via direct: rule r:1 matched: domain b.test has b.test (sni)"]);
    // The server's address is not known before the way out is taken, so no rule with one looks at it.
    check("--rule pass;via=direct;cidr=192.0.2.0/24", connect("a.test:443").peer("192.0.2.1").hello("a.test"), expect!["decrypt: no rule matched, and neither ignore_hosts nor allow_hosts is set"]);
    check("--rule pass;via=direct;cidr=192.0.2.0/24", connect("192.0.2.1:443"), expect!["pass through: rule r:1 matched: cidr 192.0.2.0/24 has 192.0.2.1 (destination); via direct"]);
    check("--rule pass;via=direct;name=192.0.2.1", connect("a.test:80").peer("192.0.2.1").http("192.0.2.1"), expect!["pass through: rule r:1 matched: name 192.0.2.1 has 192.0.2.1 (host header); via direct"]);
    // Explicit requests take it as well.
    check("--rule pass;via=direct", explicit_request().no_peer(), expect!["http: an explicit request is never passed through; via direct: rule r:1 matched: it has no condition"]);
    check("--rule -;via=direct", connect("a.test:443").decrypted().http("a.test"), expect!["http: already decrypted, so recorded"]);
}

#[test]
fn the_way_out_is_known_before_connecting() {
    let check = |options: &str, connection: common::Connection, expected: &str| {
        let rules = rules(options);
        let found = match egress(&rules, &connection.facts()) {
            Egress::Undecided { needs } => format!("needs {needs}"),
            Egress::OfMode => "mode".to_owned(),
            Egress::Named(spec) => spec.to_string(),
        };
        assert_eq!(found, expected, "{options} {connection:?}");
    };
    check("--rule pass", connect("a.test:443"), "mode");
    check("--rule -;via=direct", connect("a.test:443"), "direct");
    check("--rule -;via=direct", no_destination(), "mode");
    check("--rule -;via=direct", connect("a.test:443").decrypted(), "mode");
    check("--rule -;via=direct;domain=b.test", connect("a.test:443"), "needs first bytes, sni, host header");
    check("--rule -;via=direct;domain=b.test", connect("a.test:443").hello("b.test"), "direct");
    check("--rule -;via=direct;domain=b.test", connect("a.test:443").hello("a.test"), "mode");
    // What needs the server's address is no match, whatever the address will be.
    check("--rule block;cidr=192.0.2.0/24 --rule -;via=direct", connect("a.test:443"), "direct");
    check("--rule pass;port=443 --rule -;via=direct", connect("a.test:443"), "mode");
}

#[track_caller]
fn refused(short: &str, expected: Expect) {
    let source = RulesSource { rules: rule_list(&[short]), ..RulesSource::default() };
    expected.assert_eq(&Rules::compile(&source).unwrap_err().to_string());
}

#[test]
#[rustfmt::skip]
fn words_that_mean_nothing_are_refused_with_their_place() {
    refused("pass;regex=ok,a(b", expect!["r:3:16: `regex` a(b: missing ), unterminated subpattern at position 1"]);
    refused("pass;cidr=10.0.0.1/8", expect!["r:3:9: `cidr` 10.0.0.1/8: address bits are set behind the first 8; the network is 10.0.0.0/8"]);
    refused("pass;client=x", expect!["r:3:11: `client` x: not an address or a network such as 192.0.2.0/24"]);
    refused("pass;port=0-70000", expect!["r:3:9: `port` 0-70000: not a port or a range such as 8000-8999"]);
    refused("pass;domain=*.bank.test", expect!["r:3:11: `domain` *.bank.test: not a host name; names with wildcards are for `glob`"]);
    refused("pass;name=https://bank.test/", expect!["r:3:9: `name` https://bank.test/: not a host name"]);
    refused("pass;mode=regula", expect!["r:3:9: `mode` regula: there is no such mode"]);
    refused("pass;list=other.txt", expect!["r:3:9: `list` other.txt: the list was not read"]);
    refused("pass;ja4=t13d", expect!["r:3:8: `ja4` t13d: not a JA4 fingerprint such as t13d1516h2_8daaf6152771_e5627efa2ab1 or t13d*"]);
    refused("pass;ja4=T13D*", expect!["r:3:8: `ja4` T13D*: not a JA4 fingerprint such as t13d1516h2_8daaf6152771_e5627efa2ab1 or t13d*"]);
    refused("pass;glob=a,", expect!["r:3:14: `glob` : empty"]);
}

#[test]
fn programs_and_fingerprints_are_considered() {
    let rules = rules("--rule pass;process=curl --rule pass;ja4=t12*");
    let told = |connection: common::Connection| considered(&rules, &connection.facts()).join("\n");
    expect![[r#"
        names: a.test:443 (destination)
        rule r:1 does not match: process is not known: nobody looked
        rule r:4 does not match: ja4"#]]
    .assert_eq(&told(connect("a.test:443").hello("a.test")));
    expect![[r#"
        names: a.test:443 (destination)
        rule r:1 does not match: process is /bin/wget
        rule r:4 does not match: ja4 is t13d"#]]
    .assert_eq(&told(connect("a.test:443").hello("a.test").process("/bin/wget").ja4("t13d")));
}

#[test]
fn ways_out_are_considered() {
    let rules = rules(
        "--rule -;via=http://p.test;domain=x.test --rule -;via=direct --rule -;via=direct;port=1 --rule pass;via=direct",
    );
    expect![[r#"
        names: a.test:443 (destination)
        rule r:1 does not match: domain
        rule r:4 matched: it has no condition; it says via direct
        rule r:6 is not asked: the way out is known
        rule r:9 matched: it has no condition; it says pass"#]]
    .assert_eq(&considered(&rules, &connect("a.test:443").no_peer().hello_without_name().facts()).join("\n"));
}

#[test]
fn what_was_considered() {
    let rules = rules(
        "--ignore-hosts a --ignore-hosts b --rule block;list=ads.txt --rule pass;domain=x.test;port=80 \
         --rule pass;cidr=192.0.2.0/24",
    );
    let told = considered(&rules, &connect("y.test:443").hello("z.test").facts()).join("\n");
    expect![[r#"
        names: y.test:443 (destination), z.test:443 (sni)
        rule r:1 may still match: it needs peer"#]]
    .assert_eq(&told);
    let told = considered(&rules, &connect("y.test:443").hello("z.test").no_peer().facts()).join("\n");
    expect![[r#"
        names: y.test:443 (destination), z.test:443 (sni)
        rule r:1 does not match: list
        rule r:4 does not match: domain
        rule r:8 does not match: cidr
        ignore_hosts: 2 patterns"#]]
    .assert_eq(&told);
    let told = considered(&rules, &connect("192.0.2.7:443").facts()).join("\n");
    expect![[r#"
        names: 192.0.2.7:443 (destination)
        rule r:1 matched: list ads.txt: 192.0.2.7 has 192.0.2.7 (destination); it says block"#]]
    .assert_eq(&told);
}
