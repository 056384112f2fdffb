//! `flowgate why` and `flowgate lint`, as the built program answers them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Command;

use expect_test::{Expect, expect};
use tempfile::TempDir;

const RULES: &str = r#"
[[rule]]
action = "block"
list = "ads.txt"

[[rule]]
action = "hide"
domain = "private.test"
client = "10.0.0.0/8"

[[rule]]
action = "pass"
cidr = "192.0.2.0/24"

[[rule]]
via = "socks5://u:p@proxy.test"
process = "curl"

[[rule]]
action = "pass"
ja4 = "t13d1516h2_*"
"#;

/// Runs the program in a home with a rule file; shows the exit code, then what it printed.
#[track_caller]
fn check(arguments: &[&str], expected: Expect) {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("rules.toml"), RULES).unwrap();
    fs::write(home.path().join("ads.txt"), "||ads.test^\n0.0.0.0 track.test\n/banner\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_flowgate"))
        .args(arguments)
        .current_dir(home.path())
        .env("HOME", home.path())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    expected.assert_eq(&format!("exit {}\n{out}{err}", output.status.code().unwrap()));
}

#[test]
fn why_with_what_is_known_of_the_client() {
    check(
        &[
            "why",
            "a.test",
            "--rules",
            "rules.toml",
            "--process",
            "/usr/bin/curl",
            "--address",
            "198.51.100.1",
        ],
        expect![[r#"
            exit 0
            a.test:443, mode regular
            verdict: not before more is known: first bytes, sni, host header
            considered:
              names: a.test:443 (destination), 198.51.100.1:443 (peer)
              rule rules.toml:2 may still match: it needs first bytes, sni, host header
            if TLS follows: decrypt: no rule matched, and neither ignore_hosts nor allow_hosts is set; via socks5://proxy.test:1080: rule rules.toml:15 matched: process curl has /usr/bin/curl
            if HTTP follows: http: no rule matched, and neither ignore_hosts nor allow_hosts is set; via socks5://proxy.test:1080: rule rules.toml:15 matched: process curl has /usr/bin/curl
        "#]],
    );
    check(
        &[
            "why",
            "a.test",
            "--rules",
            "rules.toml",
            "--address",
            "198.51.100.1",
            "--process",
            "/usr/bin/wget",
            "--ja4",
            "t13d1516h2_8daaf6152771_e5627efa2ab1",
        ],
        expect![[r#"
            exit 0
            a.test:443, mode regular
            verdict: pass through: rule rules.toml:19 matched: ja4 t13d1516h2_* has t13d1516h2_8daaf6152771_e5627efa2ab1
            considered:
              names: a.test:443 (destination), 198.51.100.1:443 (peer)
              rule rules.toml:2 does not match: list
              rule rules.toml:6 does not match: domain
              rule rules.toml:11 does not match: cidr
              rule rules.toml:15 does not match: process is /usr/bin/wget
              rule rules.toml:19 matched: ja4 t13d1516h2_* has t13d1516h2_8daaf6152771_e5627efa2ab1; it says pass
        "#]],
    );
}

#[test]
fn why_with_host_options() {
    check(
        &["why", "bank.test", "--ignore-hosts", r"^bank\.test:443$"],
        expect![[r#"
        exit 0
        bank.test:443, mode regular
        verdict: pass through: ignore_hosts[0] /^bank\.test:443$/ matched bank.test:443 (destination)
        considered:
          names: bank.test:443 (destination)
          ignore_hosts: 1 pattern
    "#]],
    );
    check(
        &["why", "Bank.Test:8443", "--sni", "x.test", "--ignore-hosts", r"^bank\.test:443$"],
        expect![[r#"
        exit 0
        Bank.Test:8443, mode regular
        verdict: not before more is known: peer
        considered:
          names: bank.test:8443 (destination), x.test:8443 (sni)
          ignore_hosts: 1 pattern
        if no more becomes known: decrypt: no ignore_hosts pattern matched bank.test:8443, x.test:8443
    "#]],
    );
    check(
        &["why", "a.test", "--allow-hosts", r"^(.+\.)?a\.test:", "--tcp-hosts", "a"],
        expect![[r#"
        exit 0
        a.test:443, mode regular
        verdict: not before more is known: first bytes
        considered:
          names: a.test:443 (destination)
          allow_hosts: 1 pattern
          tcp_hosts: 1 pattern
        if TLS follows: decrypt and record raw: tcp_hosts[0] /a/ matched a.test (destination); allow_hosts[0] /^(.+\.)?a\.test:/ matched a.test:443 (destination)
        if HTTP follows: record raw: tcp_hosts[0] /a/ matched a.test (destination); allow_hosts[0] /^(.+\.)?a\.test:/ matched a.test:443 (destination)
    "#]],
    );
    check(
        &["why", "a.test:80", "--host", "b.test", "--set", r"ignore_hosts=^b\.test:80$"],
        expect![[r#"
        exit 0
        a.test:80, mode regular
        verdict: pass through: ignore_hosts[0] /^b\.test:80$/ matched b.test:80 (host header)
        considered:
          names: a.test:80 (destination), b.test:80 (host header)
          ignore_hosts: 1 pattern
    "#]],
    );
    check(
        &["why", "192.0.2.1"],
        expect![[r#"
        exit 0
        192.0.2.1:443, mode regular
        verdict: not before more is known: first bytes
        considered:
          names: 192.0.2.1:443 (destination)
        if TLS follows: decrypt: neither ignore_hosts nor allow_hosts is set
        if HTTP follows: http: neither ignore_hosts nor allow_hosts is set
    "#]],
    );
}

#[test]
fn why_with_rules() {
    check(
        &["why", "x.ads.test:80", "--rules", "rules.toml"],
        expect![[r#"
        exit 0
        x.ads.test:80, mode regular
        verdict: refuse: rule rules.toml:2 matched: list ads.txt: ads.test has x.ads.test (destination)
        considered:
          names: x.ads.test:80 (destination)
          rule rules.toml:2 matched: list ads.txt: ads.test has x.ads.test (destination); it says block
    "#]],
    );
    check(
        &["why", "x.track.test", "--sni", "x.track.test", "--rules", "rules.toml"],
        expect![[r#"
        exit 0
        x.track.test:443, mode regular
        verdict: not before more is known: peer
        considered:
          names: x.track.test:443 (destination)
          rule rules.toml:2 does not match: list
          rule rules.toml:6 does not match: domain
          rule rules.toml:11 may still match: it needs peer
        if no more becomes known: decrypt: no rule matched, and neither ignore_hosts nor allow_hosts is set
    "#]],
    );
    check(
        &["why", "private.test", "--sni", "private.test", "--client", "10.1.2.3", "--rules", "rules.toml"],
        expect![[r#"
            exit 0
            private.test:443, mode regular
            verdict: decrypt: rule rules.toml:6 matched: domain private.test has private.test (destination), client 10.0.0.0/8 has 10.1.2.3; neither shown nor stored
            considered:
              names: private.test:443 (destination)
              rule rules.toml:2 does not match: list
              rule rules.toml:6 matched: domain private.test has private.test (destination), client 10.0.0.0/8 has 10.1.2.3; it says hide
        "#]],
    );
    check(
        &["why", "other.test", "--sni", "other.test", "--address", "192.0.2.9", "--rules", "rules.toml"],
        expect![[r#"
            exit 0
            other.test:443, mode regular
            verdict: pass through: rule rules.toml:11 matched: cidr 192.0.2.0/24 has 192.0.2.9 (peer)
            considered:
              names: other.test:443 (destination), 192.0.2.9:443 (peer)
              rule rules.toml:2 does not match: list
              rule rules.toml:6 does not match: domain
              rule rules.toml:11 matched: cidr 192.0.2.0/24 has 192.0.2.9 (peer); it says pass
        "#]],
    );
}

#[test]
fn what_cannot_be_asked() {
    check(
        &["why"],
        expect![[r#"
        exit 1
        error: `flowgate why` needs a host to ask about
        hint: as in `flowgate why bank.example:443`
    "#]],
    );
    check(
        &["why", "https://bank.test/"],
        expect![[r#"
        exit 1
        error: expected HOST or HOST:PORT, found `https://bank.test/`
        hint: as in `flowgate why bank.example:443`
    "#]],
    );
    check(
        &["why", "bank.test", "--client", "me"],
        expect![[r#"
        exit 1
        error: flag `--client`: expected an IP address, found `me`
    "#]],
    );
    check(
        &["why", "bank.test", "--ignore-hosts", "a("],
        expect![[r#"
        exit 1
        error: ignore_hosts[0] /a(/: missing ), unterminated subpattern at position 1
    "#]],
    );
    check(
        &["why", "bank.test", "--rules", "none.toml"],
        expect![[r#"
        exit 1
        error: cannot read none.toml
          cause: No such file or directory (os error 2)
    "#]],
    );
    check(
        &["lint", "word"],
        expect![[r#"
        exit 1
        error: unexpected argument `word`
    "#]],
    );
}

#[test]
fn lint() {
    check(
        &["lint"],
        expect![[r#"
        exit 0
        no warnings
    "#]],
    );
    check(
        &["lint", "--ignore-hosts", r"^bank\.test:443$"],
        expect![[r#"
        exit 0
        no warnings
    "#]],
    );
    check(
        &["lint", "--rules", "rules.toml"],
        expect![[r#"
        exit 1
        ads.txt:3: not a host name; left out
    "#]],
    );
    check(
        &[
            "lint",
            "--ignore-hosts",
            "bank.test",
            "--ignore-hosts",
            r"^a\.test$",
            "--tcp-hosts",
            r"^imap\.test$",
        ],
        expect![[r#"
            exit 1
            ignore_hosts[0] /bank.test/: unanchored: names that only end like this match too: begin it with `^`, or with `^(.+\.)?` for subdomains too
            ignore_hosts[0] /bank.test/: unanchored: names that only begin like this match too: end it with the port, as in `:443$`, or with `:` for every port
            ignore_hosts[0] /bank.test/: unescaped dot: any character matches in its place: write `\.` for a dot
            ignore_hosts[1] /^a\.test$/: can never match: what is searched in ends with `:port`: write `:443$` or `:` in the place of `$`
        "#]],
    );
}
