//! Facts may arrive in any order: an early verdict is the one that all facts together give.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use common::{Connection, connect, rules};
use flowgate_policy::{
    Action, Decision, Egress, Entry, Expect, Fact, FirstBytes, considered, decide, egress,
};
use proptest::prelude::*;

const PATTERNS: &[&str] = &[
    r"^bank\.test:443$",
    r"^(.+\.)?bank\.test",
    r":443$",
    r"^192\.0\.2\.",
    r"^192\.0\.2\.1:80$",
    r"\[::1\]",
    r"^xn--",
    r"^bü",
    r"^(?!bank\.test)",
    r"^(?!api\.)(?!192\.)",
    r"^(?!www\.).*test:443$",
    r"^((?!bank).)*$",
    r"(?<!x)bank",
    r"^(?:(a+)\1?)+$",
    r"^nothing$",
];

const NAMES: &[&str] = &[
    "bank.test",
    "api.bank.test",
    "www.test",
    "a.test",
    "192.0.2.1",
    "::1",
    "xn--bcher-kva.test",
    "",
    "Bank.Test.",
];

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(NAMES).prop_map(str::to_owned)
}

fn fact<T: Clone + std::fmt::Debug + 'static>(
    is: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Fact<T>> {
    prop_oneof![1 => Just(Fact::Absent), 3 => is.prop_map(Fact::Is)].boxed()
}

const CONDITIONS: &[&str] = &[
    "name=bank.test",
    "name=192.0.2.1,::1",
    "domain=bank.test,www.test",
    "domain=xn--bcher-kva.test",
    "glob=*.test",
    "glob=*",
    "glob=192.*",
    "regex=^(?!bank)",
    "regex=:443$",
    "regex=^(?:(a+)\\1?)+$",
    "list=ads.txt",
    "cidr=192.0.2.0/24",
    "cidr=::/0",
    "port=80",
    "port=1-1024",
    "mode=regular",
    "mode=socks5",
    "client=10.0.0.0/8",
    "alpn=h2",
    "ja4=t13d*",
    "ja4=q*",
    "process=curl",
];

/// A rule in short: each key at most once.
fn rule() -> impl Strategy<Value = String> {
    let says = prop::sample::select(
        &[
            "decrypt",
            "pass",
            "record",
            "block",
            "hide",
            "-;via=direct",
            "-;via=http://p.test",
            "pass;via=direct",
        ][..],
    );
    (says, prop::sample::subsequence(CONDITIONS, 0..3)).prop_map(|(action, conditions)| {
        let mut keys: Vec<&str> = Vec::new();
        conditions.iter().fold(action.to_owned(), |rule, condition| {
            let key = condition.split('=').next().unwrap_or_default();
            if keys.contains(&key) {
                return rule;
            }
            keys.push(key);
            rule + ";" + condition
        })
    })
}

fn options() -> impl Strategy<Value = String> {
    let option = prop::sample::select(&["--ignore-hosts", "--allow-hosts", "--tcp-hosts"][..]);
    let with_pattern =
        (option, prop::sample::select(PATTERNS)).prop_map(|(option, pattern)| format!("{option} {pattern}"));
    let switch =
        prop::sample::select(&["--broken-hello=raw", "--ech=pass-through"][..]).prop_map(str::to_owned);
    let rule = rule().prop_map(|rule| format!("--rule {rule}"));
    prop::collection::vec(prop_oneof![5 => with_pattern, 1 => switch, 5 => rule], 0..5)
        .prop_map(|words| words.join(" "))
}

prop_compose! {
    /// A connection of which everything is known that will be.
    fn whole()(
        to in name().prop_filter("a destination has a name", |name| !name.is_empty()),
        port in prop::sample::select(&[80_u16, 443][..]),
        peer in fact(prop::sample::select(&["192.0.2.1", "203.0.113.9", "::1"][..])),
        first in prop::sample::select(&[
            FirstBytes::Tls, FirstBytes::BrokenTls, FirstBytes::Http1, FirstBytes::Http2, FirstBytes::Other,
            FirstBytes::ServerFirst,
        ][..]),
        sni in fact(name()),
        host in fact(name()),
        ech: bool,
        decrypted: bool,
        explicit in prop::bool::weighted(0.1),
        client in prop::sample::select(&[None, Some("10.1.2.3"), Some("::1")][..]),
        alpn in prop::sample::select(vec![&["h2", "http/1.1"][..], &[]]),
        expect in prop::sample::select(&[Expect::Anything, Expect::Anything, Expect::Http, Expect::Raw][..]),
    ) -> Connection {
        let known = connect(&format!("{to}:{port}"));
        let known = match peer {
            Fact::Is(address) => known.peer(address),
            _ => known.no_peer(),
        };
        let http = matches!(first, FirstBytes::Http1 | FirstBytes::Http2);
        let known = known.mode("regular").process("/usr/bin/curl");
        let known = if first == FirstBytes::Tls { known.ja4("t13d1516h2_8daaf6152771_e5627efa2ab1") } else { known };
        let known = known.alpn(if first == FirstBytes::Tls { alpn } else { &[] });
        Connection {
            entry: if explicit { Entry::ExplicitRequest } else { Entry::Tunnel },
            client: client.map(|client| client.parse().unwrap()),
            first,
            sni: if first == FirstBytes::Tls { sni } else { Fact::Absent },
            host: if http { host } else { Fact::Absent },
            ech: ech && first == FirstBytes::Tls,
            decrypted,
            expect,
            ..known
        }
    }
}

/// What is known along the way: the peer at one moment, the first bytes and what follows from them at others.
fn on_the_way(whole: &Connection, peer_at: usize, partial: bool) -> Vec<Connection> {
    let tls = matches!(whole.first, FirstBytes::Tls | FirstBytes::BrokenTls);
    let nothing = Connection {
        peer: Fact::Unknown,
        first: FirstBytes::Nothing,
        sni: Fact::Unknown,
        host: Fact::Unknown,
        ech: false,
        ja4: "",
        alpn: Vec::new(),
        ..whole.clone()
    };
    let begun = if tls { FirstBytes::Tls } else { whole.first };
    let mut steps = vec![nothing.clone()];
    if partial {
        steps.push(Connection { first: FirstBytes::Partial, ..nothing.clone() });
    }
    steps.push(Connection { first: begun, ..nothing });
    steps.push(Connection { peer: Fact::Unknown, ..whole.clone() });
    for step in steps.iter_mut().skip(peer_at) {
        step.peer = whole.peer;
    }
    steps.push(whole.clone());
    steps
}

/// A verdict to end the TLS holds for a hello that turns out malformed: whoever ends it refuses it then.
fn same_in_effect(early: Action, last: Action) -> bool {
    let ends_tls = matches!(early, Action::Decrypt | Action::RecordRaw { decrypt: true });
    early == last || (ends_tls && last == Action::Refuse)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn an_early_verdict_is_the_last_one(
        options in options(),
        whole in whole(),
        peer_at in 0_usize..6,
        partial: bool,
    ) {
        let rules = rules(&options);
        let all = whole.facts();
        let Decision::Verdict(last) = decide(&rules, &all) else {
            return Err(TestCaseError::fail("undecided with all facts known"));
        };
        for step in on_the_way(&whole, peer_at, partial) {
            let facts = step.facts();
            match decide(&rules, &facts) {
                Decision::Verdict(early) => {
                    let holds = same_in_effect(early.action, last.action);
                    prop_assert!(holds, "{:?} after {}, but then {}", step, early.reason, last.reason);
                    prop_assert_eq!((early.hidden, early.via), (last.hidden, last.via));
                    prop_assert!(!early.reason.to_string().contains('\n'));
                }
                Decision::Undecided { needs } => {
                    prop_assert!(considered(&rules, &facts).iter().all(|line| !line.contains('\n')));
                    prop_assert!(needs.first || needs.peer || needs.sni || needs.host);
                    prop_assert!(!needs.peer || step.peer == Fact::Unknown);
                    prop_assert!(!needs.sni || step.sni == Fact::Unknown);
                    prop_assert!(!needs.host || step.host == Fact::Unknown);
                    prop_assert!(!needs.first || matches!(step.first, FirstBytes::Nothing | FirstBytes::Partial));
                }
            }
        }
    }

    #[test]
    fn a_way_out_that_is_known_early_is_the_one_taken(options in options(), whole in whole(), partial: bool) {
        prop_assume!(!(whole.decrypted && whole.entry == Entry::ExplicitRequest));
        let rules = rules(&options);
        let last = match egress(&rules, &whole.facts()) {
            Egress::Undecided { needs } => return Err(TestCaseError::fail(format!("needs {needs}"))),
            known => known,
        };
        for step in on_the_way(&whole, 6, partial) {
            let known = egress(&rules, &step.facts());
            prop_assert!(known == last || matches!(known, Egress::Undecided { .. }), "{:?} after {:?}", last, known);
        }
        // Whoever never learns the server's address decides by the same.
        let unseen = whole.no_peer();
        if let Decision::Verdict(verdict) = decide(&rules, &unseen.facts()) {
            prop_assert_eq!(verdict.via.map_or(Egress::OfMode, Egress::Named), last);
        }
    }

    #[test]
    fn any_text_is_decided_without_a_panic(options in options(), to: String, sni: String, host: String, ech: bool) {
        let rules = rules(&options);
        let known = Connection { ech, ..connect("x:443") }.hello(&sni).http(&host);
        let destination = known.destination.map(|address| flowgate_flow::Address { host: to, ..address });
        let known = Connection { destination, ..known }.no_peer();
        if let Decision::Verdict(verdict) = decide(&rules, &known.facts()) {
            let one_line = !verdict.reason.to_string().contains(char::is_control);
            prop_assert!(one_line);
        }
    }
}
