//! Who is decrypted, passed through, recorded raw or refused: the rows are the documentation.
//!
//! Each row: the options as on the command line, what is known of the connection, and the answer with its reason.

mod common;

use common::{check, connect, explicit_request, no_destination};
use expect_test::expect;
use flowgate_policy::FirstBytes;

#[test]
#[rustfmt::skip]
fn pass_through_by_destination() {
    let bank = r"--ignore-hosts ^bank\.test:443$";
    check(bank, connect("bank.test:443"),
        expect!["pass through: ignore_hosts[0] matched bank.test:443 (destination)"]);
    check(bank, connect("abank.test:443").peer("192.0.2.1").hello("abank.test"),
        expect!["decrypt: no ignore_hosts pattern matched abank.test:443, 192.0.2.1:443"]);
    check(bank, connect("bank.test:8443").peer("192.0.2.1").hello("bank.test"),
        expect!["decrypt: no ignore_hosts pattern matched bank.test:8443, 192.0.2.1:8443"]);
    check(bank, connect("BANK.test:443"),
        expect!["pass through: ignore_hosts[0] matched bank.test:443 (destination, sent as BANK.test)"]);
    check(bank, connect("bank.test.:443"),
        expect!["pass through: ignore_hosts[0] matched bank.test:443 (destination, sent as bank.test.)"]);
    check(r"--ignore-hosts ^UPPER\.TEST:443$", connect("upper.test:443"),
        expect!["pass through: ignore_hosts[0] matched upper.test:443 (destination)"]);
    check(r"--ignore-hosts :443$", connect("other.test:1443").peer("192.0.2.1").hello("x.test"),
        expect!["decrypt: no ignore_hosts pattern matched other.test:1443, x.test:1443, 192.0.2.1:1443"]);
    check(r"--ignore-hosts 443$", connect("other.test:1443"),
        expect!["pass through: ignore_hosts[0] matched other.test:1443 (destination)"]);
    check(r"--ignore-hosts ^(.+\.)?apple\.com:443$", connect("www.apple.com:443"),
        expect!["pass through: ignore_hosts[0] matched www.apple.com:443 (destination)"]);
    check(r"--ignore-hosts ^(.+\.)?apple\.com:443$", connect("notapple.com:443").peer("192.0.2.1").hello(""),
        expect!["decrypt: no ignore_hosts pattern matched notapple.com:443, 192.0.2.1:443"]);
    check(r"--ignore-hosts ^nothing --ignore-hosts ^other\.test:", connect("other.test:443"),
        expect!["pass through: ignore_hosts[1] matched other.test:443 (destination)"]);
    check("--ignore-hosts", connect("any.test:1"),
        expect!["pass through: ignore_hosts[0] matched any.test:1 (destination)"]);
}

#[test]
#[rustfmt::skip]
fn pass_through_by_address() {
    let address = r"--ignore-hosts ^192\.0\.2\.1:443$";
    check(address, connect("192.0.2.1:443"),
        expect!["pass through: ignore_hosts[0] matched 192.0.2.1:443 (destination)"]);
    check(address, connect("a.test:443"),
        expect!["undecided: first bytes, peer, sni, host header"]);
    check(address, connect("a.test:443").peer("192.0.2.1"),
        expect!["pass through: ignore_hosts[0] matched 192.0.2.1:443 (peer)"]);
    check(address, connect("[::ffff:192.0.2.1]:443"),
        expect!["pass through: ignore_hosts[0] matched 192.0.2.1:443 (destination, sent as ::ffff:192.0.2.1)"]);
    // Behind an upstream proxy the address is never known: only names can match.
    check(address, connect("a.test:443").no_peer().hello("a.test"),
        expect!["decrypt: no ignore_hosts pattern matched a.test:443"]);
    // IPv6 matches with brackets and without.
    check(r"--ignore-hosts ^::1:443$", connect("[::1]:443"),
        expect!["pass through: ignore_hosts[0] matched ::1:443 (destination)"]);
    check(r"--ignore-hosts ^\[::1\]:443$", connect("[::1]:443"),
        expect!["pass through: ignore_hosts[0] matched [::1]:443 (destination, sent as ::1)"]);
    check(r"--ignore-hosts ^\[2001:db8::1\]:443$", connect("[2001:0DB8:0::1]:443"),
        expect!["pass through: ignore_hosts[0] matched [2001:db8::1]:443 (destination, sent as 2001:0DB8:0::1)"]);
    check(r"--ignore-hosts ::1\]?:443$", connect("v6.test:443").peer("::1"),
        expect!["pass through: ignore_hosts[0] matched ::1:443 (peer)"]);
}

#[test]
#[rustfmt::skip]
fn pass_through_by_international_name() {
    let (punycode, unicode) = (r"--ignore-hosts ^xn--bcher-kva\.test:443$", r"--ignore-hosts ^bücher\.test:443$");
    check(punycode, connect("xn--bcher-kva.test:443"),
        expect!["pass through: ignore_hosts[0] matched xn--bcher-kva.test:443 (destination)"]);
    check(unicode, connect("xn--bcher-kva.test:443"),
        expect!["pass through: ignore_hosts[0] matched bücher.test:443 (destination, sent as xn--bcher-kva.test)"]);
    check(punycode, connect("BÜCHER.test:443"),
        expect!["pass through: ignore_hosts[0] matched xn--bcher-kva.test:443 (destination, sent as BÜCHER.test)"]);
    check(unicode, connect("192.0.2.1:443").hello("xn--bcher-kva.test"),
        expect!["pass through: ignore_hosts[0] matched bücher.test:443 (sni, sent as xn--bcher-kva.test)"]);
}

#[test]
#[rustfmt::skip]
fn pass_through_by_server_name() {
    let bank = r"--ignore-hosts ^bank\.test:443$";
    check(bank, connect("192.0.2.1:443"),
        expect!["undecided: first bytes, peer, sni, host header"]);
    check(bank, connect("192.0.2.1:443").peer("192.0.2.1"),
        expect!["undecided: first bytes, sni, host header"]);
    check(bank, connect("192.0.2.1:443").peer("192.0.2.1").partial(),
        expect!["undecided: first bytes, sni, host header"]);
    check(bank, connect("192.0.2.1:443").peer("192.0.2.1").hello_so_far(),
        expect!["undecided: sni"]);
    check(bank, connect("192.0.2.1:443").hello("bank.test"),
        expect!["pass through: ignore_hosts[0] matched bank.test:443 (sni)"]);
    check(bank, connect("192.0.2.1:443").hello("Bank.Test."),
        expect!["pass through: ignore_hosts[0] matched bank.test:443 (sni, sent as Bank.Test.)"]);
    check(bank, connect("front.test:443").hello("bank.test"),
        expect!["pass through: ignore_hosts[0] matched bank.test:443 (sni)"]);
    check(bank, connect("192.0.2.1:443").peer("192.0.2.1").hello("a.test"),
        expect!["decrypt: no ignore_hosts pattern matched 192.0.2.1:443, a.test:443"]);
    check(bank, connect("192.0.2.1:443").peer("192.0.2.1").hello_without_name(),
        expect!["decrypt: no ignore_hosts pattern matched 192.0.2.1:443"]);
    // The port is the destination's.
    check(bank, connect("192.0.2.1:8443").peer("192.0.2.1").hello("bank.test"),
        expect!["decrypt: no ignore_hosts pattern matched 192.0.2.1:8443, bank.test:8443"]);
    // Any match is enough: what the SNI says cannot take back what the destination said.
    check(bank, connect("bank.test:443").hello("other.test"),
        expect!["pass through: ignore_hosts[0] matched bank.test:443 (destination)"]);
    // An address as server name is a name like any other.
    check(r"--ignore-hosts ^127\.9\.9\.9:443$", connect("192.0.2.1:443").hello("127.9.9.9"),
        expect!["pass through: ignore_hosts[0] matched 127.9.9.9:443 (sni)"]);
}

#[test]
#[rustfmt::skip]
fn pass_through_by_host_header() {
    let bank = r"--ignore-hosts ^bank\.test:80$";
    check(bank, connect("192.0.2.1:80").peer("192.0.2.1").http_so_far(),
        expect!["undecided: host header"]);
    check(bank, connect("192.0.2.1:80").peer("192.0.2.1").http("bank.test"),
        expect!["pass through: ignore_hosts[0] matched bank.test:80 (host header)"]);
    check(bank, connect("192.0.2.1:80").peer("192.0.2.1").http("BANK.test:80"),
        expect!["pass through: ignore_hosts[0] matched bank.test:80 (host header, sent as BANK.test:80)"]);
    check(bank, connect("192.0.2.1:80").peer("192.0.2.1").http("bank.test:"),
        expect!["pass through: ignore_hosts[0] matched bank.test:80 (host header)"]);
    check(bank, connect("192.0.2.1:80").peer("192.0.2.1").http("other.test"),
        expect!["http: no ignore_hosts pattern matched 192.0.2.1:80, other.test:80"]);
    check(bank, connect("192.0.2.1:80").peer("192.0.2.1").http_without_host(),
        expect!["http: no ignore_hosts pattern matched 192.0.2.1:80"]);
    // A port in the header counts instead of the destination's, even one that is none.
    check(bank, connect("192.0.2.1:80").peer("192.0.2.1").http("bank.test:9999"),
        expect!["http: no ignore_hosts pattern matched 192.0.2.1:80, bank.test:9999"]);
    check(bank, connect("192.0.2.1:80").peer("192.0.2.1").http("bank.test:99999"),
        expect!["http: no ignore_hosts pattern matched 192.0.2.1:80, bank.test:99999"]);
    check(r"--ignore-hosts ^bank\.test:9999$", connect("192.0.2.1:80").http("bank.test:9999"),
        expect!["pass through: ignore_hosts[0] matched bank.test:9999 (host header)"]);
    check(r"--ignore-hosts ^\[::1\]:80$", connect("192.0.2.1:80").http("[::1]"),
        expect!["pass through: ignore_hosts[0] matched [::1]:80 (host header)"]);
    // The destination matches: the header is not waited for.
    check(bank, connect("bank.test:80").http_so_far(),
        expect!["pass through: ignore_hosts[0] matched bank.test:80 (destination)"]);
    // HTTP/2 with prior knowledge: its :authority is a Host header.
    check(bank, connect("192.0.2.1:80").http2("bank.test"),
        expect!["pass through: ignore_hosts[0] matched bank.test:80 (host header)"]);
}

#[test]
#[rustfmt::skip]
fn what_is_not_passed_through_says_what_it_is_itself() {
    check("", connect("a.test:443"),
        expect!["undecided: first bytes"]);
    check("", connect("a.test:443").partial(),
        expect!["undecided: first bytes"]);
    check("", connect("a.test:443").hello_so_far(),
        expect!["decrypt: neither ignore_hosts nor allow_hosts is set"]);
    check("", connect("a.test:80").http_so_far(),
        expect!["http: neither ignore_hosts nor allow_hosts is set"]);
    check("", connect("a.test:80").binary(),
        expect!["record raw: neither TLS nor HTTP"]);
    check("", connect("a.test:25").server_first(),
        expect!["record raw: the server spoke first"]);
    check("", connect("a.test:443").broken_hello(),
        expect!["refuse: malformed ClientHello"]);
    check("--broken-hello=raw", connect("a.test:443").broken_hello(),
        expect!["record raw: malformed ClientHello"]);
    check("--broken-hello=raw", connect("a.test:443").hello_so_far(),
        expect!["undecided: sni"]);
    check("--broken-hello=raw", connect("a.test:443").hello("a.test"),
        expect!["decrypt: neither ignore_hosts nor allow_hosts is set"]);
    // The mode knows better.
    check("", connect("a.test:80").binary().expect_http(),
        expect!["http: the mode says so"]);
    check("", connect("a.test:443").hello("a.test").expect_http(),
        expect!["decrypt: neither ignore_hosts nor allow_hosts is set"]);
    check("", connect("a.test:9").http("a.test").expect_raw(),
        expect!["record raw: the mode says so"]);
    check("", connect("a.test:9").hello("a.test").expect_raw(),
        expect!["decrypt and record raw: the mode says so"]);
}

#[test]
#[rustfmt::skip]
fn nothing_is_waited_for_that_cannot_change_the_answer() {
    let raw = r"--ignore-hosts ^raw\.test:";
    // Neither a whole hello nor a word of the client is needed.
    check(raw, connect("raw.test:443"),
        expect!["pass through: ignore_hosts[0] matched raw.test:443 (destination)"]);
    check(raw, connect("raw.test:443").hello_so_far(),
        expect!["pass through: ignore_hosts[0] matched raw.test:443 (destination)"]);
    check(raw, connect("raw.test:443").broken_hello(),
        expect!["pass through: ignore_hosts[0] matched raw.test:443 (destination)"]);
    check(raw, connect("raw.test:25").server_first(),
        expect!["pass through: ignore_hosts[0] matched raw.test:25 (destination)"]);
    check(raw, connect("192.0.2.1:25").peer("192.0.2.1").server_first(),
        expect!["record raw: the server spoke first; no ignore_hosts pattern matched 192.0.2.1:25"]);
    check(raw, connect("192.0.2.1:25").server_first(),
        expect!["undecided: peer"]);
    check(raw, connect("192.0.2.1:80").peer("192.0.2.1").binary(),
        expect!["record raw: neither TLS nor HTTP; no ignore_hosts pattern matched 192.0.2.1:80"]);
    check(raw, connect("192.0.2.1:443").peer("192.0.2.1").broken_hello(),
        expect!["refuse: malformed ClientHello; no ignore_hosts pattern matched 192.0.2.1:443"]);
    // One byte is not enough to say that no name will come.
    check(raw, connect("192.0.2.1:80").peer("192.0.2.1").partial(),
        expect!["undecided: first bytes, sni, host header"]);
}

#[test]
#[rustfmt::skip]
fn explicit_requests_are_never_passed_through() {
    check("--ignore-hosts .*", explicit_request(),
        expect!["http: an explicit request is never passed through"]);
    check("--allow-hosts ^a", explicit_request(),
        expect!["http: an explicit request is never passed through"]);
    check("--tcp-hosts .*", explicit_request(),
        expect!["http: an explicit request is never passed through"]);
    check("--ignore-hosts .*", no_destination().hello("bank.test"),
        expect!["decrypt: no destination to pass it through to"]);
}

#[test]
#[rustfmt::skip]
fn what_was_decrypted_is_recorded() {
    let bank = r"--ignore-hosts ^bank\.test:443$";
    check(bank, connect("front.test:443").hello("front.test").decrypted().http("bank.test"),
        expect!["http: already decrypted, so recorded"]);
    check(bank, connect("front.test:443").hello("front.test").decrypted(),
        expect!["undecided: first bytes"]);
    check(bank, connect("front.test:443").hello("front.test").decrypted().binary(),
        expect!["record raw: neither TLS nor HTTP; already decrypted, so recorded"]);
    check("--allow-hosts ^allowed", connect("allowed.test:443").hello("allowed.test").decrypted().http("denied.test"),
        expect!["http: already decrypted, so recorded"]);
    // Rules that have changed since do not matter either.
    check(bank, connect("bank.test:443").hello("bank.test").decrypted().http("bank.test"),
        expect!["http: already decrypted, so recorded"]);
}

#[test]
fn alpn_says_what_is_inside_before_any_byte() {
    for (protocol, first) in [
        (&b"h2"[..], Some(FirstBytes::Http2)),
        (b"http/1.1", Some(FirstBytes::Http1)),
        (b"imap", None),
        (b"", None),
    ] {
        assert_eq!(FirstBytes::of_alpn(protocol), first);
    }
}

#[test]
#[rustfmt::skip]
fn allow_hosts_passes_through_all_others() {
    let allow = r"--allow-hosts ^nothing --allow-hosts ^allowed\.test:(443|80)$ --allow-hosts ^192\.0\.2\.3:443$";
    check(allow, connect("allowed.test:443"),
        expect!["undecided: first bytes"]);
    check(allow, connect("allowed.test:443").hello_so_far(),
        expect!["decrypt: allow_hosts[1] matched allowed.test:443 (destination)"]);
    check(allow, connect("ALLOWED.test:443").hello_without_name(),
        expect!["decrypt: allow_hosts[1] matched allowed.test:443 (destination, sent as ALLOWED.test)"]);
    check(allow, connect("denied.test:443").peer("192.0.2.1"),
        expect!["undecided: first bytes, sni, host header"]);
    check(allow, connect("denied.test:443").peer("192.0.2.1").hello_so_far(),
        expect!["undecided: sni"]);
    check(allow, connect("denied.test:443").peer("192.0.2.1").hello("denied.test"),
        expect!["pass through: no allow_hosts pattern matched denied.test:443, 192.0.2.1:443"]);
    check(allow, connect("192.0.2.1:443").peer("192.0.2.1").hello_without_name(),
        expect!["pass through: no allow_hosts pattern matched 192.0.2.1:443"]);
    check(allow, connect("raw.test:443").peer("192.0.2.1").binary(),
        expect!["pass through: no allow_hosts pattern matched raw.test:443, 192.0.2.1:443"]);
    check(allow, connect("raw.test:25").peer("192.0.2.1").server_first(),
        expect!["pass through: no allow_hosts pattern matched raw.test:25, 192.0.2.1:25"]);
    // One listed name among all is enough.
    check(allow, connect("denied.test:443").hello("allowed.test"),
        expect!["decrypt: allow_hosts[1] matched allowed.test:443 (sni)"]);
    check(allow, connect("allowed.test:443").hello("denied.test"),
        expect!["decrypt: allow_hosts[1] matched allowed.test:443 (destination)"]);
    check(allow, connect("ipres.test:443").peer("192.0.2.3").hello("x.test"),
        expect!["decrypt: allow_hosts[2] matched 192.0.2.3:443 (peer)"]);
    check(allow, connect("192.0.2.1:80").peer("192.0.2.1").http("allowed.test"),
        expect!["http: allow_hosts[1] matched allowed.test:80 (host header)"]);
    // A broken hello that is not listed is none of our business.
    check(allow, connect("192.0.2.1:443").peer("192.0.2.1").broken_hello(),
        expect!["pass through: no allow_hosts pattern matched 192.0.2.1:443"]);
}

#[test]
#[rustfmt::skip]
fn ignore_wins_over_allow() {
    let both = r"--allow-hosts allowed\.test --ignore-hosts ^binary\.allowed\.test:";
    check(both, connect("allowed.test:443"),
        expect!["undecided: first bytes, peer, sni, host header"]);
    check(both, connect("allowed.test:443").peer("192.0.2.1").hello("allowed.test"),
        expect!["decrypt: allow_hosts[0] matched allowed.test:443 (destination); no ignore_hosts pattern matched allowed.test:443, 192.0.2.1:443"]);
    check(both, connect("allowed.test:443").hello("binary.allowed.test"),
        expect!["pass through: ignore_hosts[0] matched binary.allowed.test:443 (sni)"]);
    check(both, connect("binary.allowed.test:443"),
        expect!["pass through: ignore_hosts[0] matched binary.allowed.test:443 (destination)"]);
    check(both, connect("other.test:443").peer("192.0.2.1").hello("other.test"),
        expect!["pass through: no allow_hosts pattern matched other.test:443, 192.0.2.1:443"]);
}

#[test]
#[rustfmt::skip]
fn negative_patterns_must_hold_for_every_name() {
    let unlisted = r"--ignore-hosts ^(?!example\.com)(?!mitmproxy\.org)";
    // The destination alone decides against it, at once ...
    check(unlisted, connect("example.com:443"),
        expect!["undecided: first bytes"]);
    check(unlisted, connect("example.com:443").hello_so_far(),
        expect!["decrypt: no ignore_hosts pattern matched example.com:443"]);
    check(unlisted, connect("mitmproxy.org:443").peer("192.0.2.1").hello("mitmproxy.org"),
        expect!["decrypt: no ignore_hosts pattern matched mitmproxy.org:443, 192.0.2.1:443"]);
    // ... and for it only when no listed name can come any more.
    check(unlisted, connect("bank.test:443"),
        expect!["undecided: first bytes, peer, sni, host header"]);
    check(unlisted, connect("bank.test:443").peer("192.0.2.1"),
        expect!["undecided: first bytes, sni, host header"]);
    check(unlisted, connect("bank.test:443").peer("192.0.2.1").hello_so_far(),
        expect!["undecided: sni"]);
    check(unlisted, connect("bank.test:443").peer("192.0.2.1").hello("bank.test"),
        expect!["pass through: ignore_hosts[0] matched bank.test:443 (destination)"]);
    check(unlisted, connect("bank.test:25").peer("192.0.2.1").server_first(),
        expect!["pass through: ignore_hosts[0] matched bank.test:25 (destination)"]);
    // By address, as in transparent mode, the name comes with the hello or the Host header.
    check(unlisted, connect("192.0.2.1:443").peer("192.0.2.1").hello("example.com"),
        expect!["decrypt: no ignore_hosts pattern matched 192.0.2.1:443, example.com:443"]);
    check(unlisted, connect("192.0.2.1:443").hello("example.com"),
        expect!["decrypt: no ignore_hosts pattern matched 192.0.2.1:443, example.com:443"]);
    check(unlisted, connect("192.0.2.1:443").peer("192.0.2.1").hello("bank.test"),
        expect!["pass through: ignore_hosts[0] matched 192.0.2.1:443 (destination)"]);
    check(unlisted, connect("192.0.2.1:80").peer("192.0.2.1").http("mitmproxy.org"),
        expect!["http: no ignore_hosts pattern matched 192.0.2.1:80, mitmproxy.org:80"]);
    check(unlisted, connect("192.0.2.1:443").peer("192.0.2.1").hello_without_name(),
        expect!["pass through: ignore_hosts[0] matched 192.0.2.1:443 (destination)"]);
    // The other common spelling.
    let tempered = r"--ignore-hosts ^((?!example\.com).)*$";
    check(tempered, connect("www.example.com:443"),
        expect!["undecided: first bytes"]);
    check(tempered, connect("bank.test:443").peer("192.0.2.1").hello("bank.test"),
        expect!["pass through: ignore_hosts[0] matched bank.test:443 (destination)"]);
    // A name that is ruled out and one that is wanted, in one pattern: the address need not look like the name.
    let but_www = r"--ignore-hosts ^(?!www\.).*example\.com:443$";
    check(but_www, connect("api.example.com:443").peer("192.0.2.1").hello("api.example.com"),
        expect!["pass through: ignore_hosts[0] matched api.example.com:443 (destination)"]);
    check(but_www, connect("www.example.com:443"),
        expect!["undecided: first bytes"]);
    check(but_www, connect("api.example.com:443").hello("www.example.com"),
        expect!["decrypt: no ignore_hosts pattern matched api.example.com:443, www.example.com:443"]);
    check(but_www, connect("bank.test:443").peer("192.0.2.1").hello("bank.test"),
        expect!["decrypt: no ignore_hosts pattern matched bank.test:443, 192.0.2.1:443"]);
    // A look-behind in front of a name says how the name may be found, not what must not be.
    let look_behind = r"--ignore-hosts (?<!not)look\.test:443";
    check(look_behind, connect("look.test:443"),
        expect!["pass through: ignore_hosts[0] matched look.test:443 (destination)"]);
    check(look_behind, connect("notlook.test:443").peer("192.0.2.1").hello("notlook.test"),
        expect!["decrypt: no ignore_hosts pattern matched notlook.test:443, 192.0.2.1:443"]);
    // Negative patterns in allow_hosts: allowed is what has none of these names.
    let allow_unlisted = r"--allow-hosts ^(?!ads\.)";
    check(allow_unlisted, connect("ads.test:443"),
        expect!["pass through: no allow_hosts pattern matched ads.test:443"]);
    check(allow_unlisted, connect("a.test:443").peer("192.0.2.1").hello("a.test"),
        expect!["decrypt: allow_hosts[0] matched a.test:443 (destination)"]);
    check(allow_unlisted, connect("a.test:443").peer("192.0.2.1").hello("ads.test"),
        expect!["pass through: no allow_hosts pattern matched a.test:443, ads.test:443, 192.0.2.1:443"]);
}

#[test]
#[rustfmt::skip]
fn tcp_hosts_records_raw() {
    let tcp = r"--tcp-hosts ^bank\.test$ --tcp-hosts ^port\.test:443$ --tcp-hosts ^192\.0\.2\.3$";
    check(tcp, connect("bank.test:443").hello_so_far(),
        expect!["decrypt and record raw: tcp_hosts[0] matched bank.test (destination)"]);
    check(tcp, connect("BANK.test.:443").hello("x.test"),
        expect!["decrypt and record raw: tcp_hosts[0] matched bank.test (destination, sent as BANK.test.)"]);
    check(tcp, connect("port.test:443").hello("port.test"),
        expect!["decrypt and record raw: tcp_hosts[1] matched port.test:443 (destination)"]);
    check(tcp, connect("port.test:8443").hello("port.test"),
        expect!["decrypt: neither ignore_hosts nor allow_hosts is set"]);
    check(tcp, connect("192.0.2.1:443").hello_so_far(),
        expect!["undecided: sni"]);
    check(tcp, connect("192.0.2.1:443").hello("bank.test"),
        expect!["decrypt and record raw: tcp_hosts[0] matched bank.test (sni)"]);
    check(tcp, connect("192.0.2.3:443").hello("x.test"),
        expect!["decrypt and record raw: tcp_hosts[2] matched 192.0.2.3 (destination)"]);
    check(tcp, connect("bank.test:80").http("x.test"),
        expect!["record raw: tcp_hosts[0] matched bank.test (destination)"]);
    check(tcp, connect("bank.test:80"),
        expect!["undecided: first bytes"]);
    check(tcp, connect("bank.test:25").server_first(),
        expect!["record raw: tcp_hosts[0] matched bank.test (destination)"]);
    // Neither the Host header nor the resolved address counts.
    check(tcp, connect("192.0.2.1:80").http("bank.test"),
        expect!["http: neither ignore_hosts nor allow_hosts is set"]);
    check(tcp, connect("ipres.test:443").peer("192.0.2.3").hello("ipres.test"),
        expect!["decrypt: neither ignore_hosts nor allow_hosts is set"]);
    // Asked again inside TLS that was decrypted meanwhile.
    check(tcp, connect("bank.test:443").hello("bank.test").decrypted().http("bank.test"),
        expect!["record raw: tcp_hosts[0] matched bank.test (destination); already decrypted, so recorded"]);
    // ignore_hosts and allow_hosts come first.
    check(r"--tcp-hosts bank --ignore-hosts ^bank\.test:443$", connect("bank.test:443"),
        expect!["pass through: ignore_hosts[0] matched bank.test:443 (destination)"]);
    check("--tcp-hosts . --allow-hosts ^allowed", connect("allowed.test:443").hello("allowed.test"),
        expect!["decrypt and record raw: tcp_hosts[0] matched allowed.test (destination); allow_hosts[0] matched allowed.test:443 (destination)"]);
    check("--tcp-hosts . --allow-hosts ^allowed", connect("denied.test:443").peer("192.0.2.1").hello(""),
        expect!["pass through: no allow_hosts pattern matched denied.test:443, 192.0.2.1:443"]);
    // UDP has an option of its own.
    check("--tcp-hosts . --udp-hosts ^a", connect("b.test:443").udp().hello("b.test"),
        expect!["decrypt: neither ignore_hosts nor allow_hosts is set"]);
    check("--tcp-hosts . --udp-hosts ^a", connect("a.test:443").udp().hello("b.test"),
        expect!["decrypt and record raw: udp_hosts[0] matched a.test (destination)"]);
}

#[test]
#[rustfmt::skip]
fn hidden_names() {
    check("--ignore-hosts ^bank", connect("192.0.2.1:443").hello("bank.test").ech(),
        expect!["pass through: ignore_hosts[0] matched bank.test:443 (sni); ECH may hide another name"]);
    check("--ignore-hosts ^bank", connect("192.0.2.1:443").peer("192.0.2.1").hello("cover.test").ech(),
        expect!["decrypt: no ignore_hosts pattern matched 192.0.2.1:443, cover.test:443; ECH may hide another name"]);
    check("--ech=pass-through", connect("192.0.2.1:443").hello_so_far(),
        expect!["undecided: sni"]);
    check("--ech=pass-through", connect("192.0.2.1:443").hello("cover.test").ech(),
        expect!["pass through: ECH hides its name"]);
    check("--ech=pass-through", connect("192.0.2.1:443").hello("a.test"),
        expect!["decrypt: neither ignore_hosts nor allow_hosts is set"]);
}

#[test]
#[rustfmt::skip]
fn a_runaway_pattern_ends_and_says_so() {
    let runaway = r"--ignore-hosts ^(?:(a+)\1?)+$ --ignore-hosts ^bank";
    let name = format!("{}.test:443", "a".repeat(60));
    check(runaway, connect(&name).peer("192.0.2.1").hello_without_name(),
        expect!["decrypt: no ignore_hosts pattern matched aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test:443, 192.0.2.1:443; ignore_hosts[0] gave up after 20000 steps"]);
    check(runaway, connect("bank.test:443"),
        expect!["pass through: ignore_hosts[1] matched bank.test:443 (destination)"]);
}

#[test]
#[rustfmt::skip]
fn a_reason_stays_on_its_line() {
    check("--ignore-hosts ^b", connect("192.0.2.1:80").http("bank\u{7f}\n\u{202e}.test"),
        expect![[r"pass through: ignore_hosts[0] matched bank\u{7f}\n\u{202e}.test:80 (host header)"]]);
}
