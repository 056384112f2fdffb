//! Connections as sentences, and the one function that knows how to ask.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use expect_test::Expect;
use flowgate_flow::{Address, Transport};
use flowgate_options::parse_rules;
use flowgate_policy::{
    BrokenHello, Decision, Ech, Entry, Expect as Expected, Fact, Facts, FirstBytes, HostOption,
    NameSetBuilder, Process, Reach, RuleListSource, Rules, RulesSource, decide,
};

/// What is known of a connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connection {
    pub entry: Entry,
    pub mode: &'static str,
    pub client: Option<IpAddr>,
    pub alpn: Vec<Bytes>,
    pub ja4: &'static str,
    pub process: Process<'static>,
    pub transport: Transport,
    pub destination: Option<Address>,
    pub peer: Fact<SocketAddr>,
    pub first: FirstBytes,
    pub sni: Fact<String>,
    pub host: Fact<String>,
    pub ech: bool,
    pub decrypted: bool,
    pub expect: Expected,
}

/// A connection to `host:port`, of which nothing else is known.
pub fn connect(to: &str) -> Connection {
    let (host, port) = to.rsplit_once(':').unwrap();
    let host = host.trim_matches(['[', ']']).to_owned();
    Connection { destination: Some(Address { host, port: port.parse().unwrap() }), ..Connection::default() }
}

/// An HTTP request to the proxy itself.
pub fn explicit_request() -> Connection {
    Connection { entry: Entry::ExplicitRequest, ..connect("bank.test:80") }.http("bank.test")
}

/// A connection that nobody said the destination of.
pub fn no_destination() -> Connection {
    Connection::default()
}

impl Connection {
    pub fn peer(self, address: &str) -> Self {
        let port = self.destination.as_ref().unwrap().port;
        Self { peer: Fact::Is(SocketAddr::new(address.parse().unwrap(), port)), ..self }
    }

    pub fn no_peer(self) -> Self {
        Self { peer: Fact::Absent, ..self }
    }

    pub fn partial(self) -> Self {
        Self { first: FirstBytes::Partial, ..self }
    }

    pub fn hello_so_far(self) -> Self {
        Self { first: FirstBytes::Tls, ..self }
    }

    pub fn hello(self, name: &str) -> Self {
        Self { first: FirstBytes::Tls, sni: Fact::Is(name.to_owned()), ..self }
    }

    pub fn hello_without_name(self) -> Self {
        Self { first: FirstBytes::Tls, sni: Fact::Absent, ..self }
    }

    pub fn broken_hello(self) -> Self {
        Self { first: FirstBytes::BrokenTls, ..self }
    }

    pub fn http_so_far(self) -> Self {
        Self { first: FirstBytes::Http1, ..self }
    }

    pub fn http(self, host: &str) -> Self {
        Self { first: FirstBytes::Http1, host: Fact::Is(host.to_owned()), ..self }
    }

    pub fn http2(self, authority: &str) -> Self {
        Self { first: FirstBytes::Http2, host: Fact::Is(authority.to_owned()), ..self }
    }

    pub fn http_without_host(self) -> Self {
        Self { first: FirstBytes::Http1, host: Fact::Absent, ..self }
    }

    pub fn binary(self) -> Self {
        Self { first: FirstBytes::Other, ..self }
    }

    pub fn server_first(self) -> Self {
        Self { first: FirstBytes::ServerFirst, ..self }
    }

    /// Its TLS was ended, and nothing was said inside yet.
    pub fn decrypted(self) -> Self {
        Self { decrypted: true, first: FirstBytes::Nothing, ..self }
    }

    pub fn udp(self) -> Self {
        Self { transport: Transport::Udp, ..self }
    }

    pub fn ech(self) -> Self {
        Self { ech: true, ..self }
    }

    pub fn from(self, client: &str) -> Self {
        Self { client: Some(client.parse().unwrap()), ..self }
    }

    pub fn mode(self, mode: &'static str) -> Self {
        Self { mode, ..self }
    }

    pub fn alpn(self, offers: &[&'static str]) -> Self {
        Self { alpn: offers.iter().map(|offer| Bytes::from_static(offer.as_bytes())).collect(), ..self }
    }

    pub fn ja4(self, ja4: &'static str) -> Self {
        Self { ja4, ..self }
    }

    pub fn process(self, path: &'static str) -> Self {
        Self { process: Process::Is(path), ..self }
    }

    pub fn expect_http(self) -> Self {
        Self { expect: Expected::Http, ..self }
    }

    pub fn expect_raw(self) -> Self {
        Self { expect: Expected::Raw, ..self }
    }

    pub fn facts(&self) -> Facts<'_> {
        Facts {
            entry: self.entry,
            mode: self.mode,
            client: self.client,
            alpn: &self.alpn,
            ja4: self.ja4,
            process: self.process,
            transport: self.transport,
            destination: self.destination.as_ref(),
            peer: self.peer,
            first: self.first,
            sni: text(&self.sni),
            host: text(&self.host),
            ech: self.ech,
            decrypted: self.decrypted,
            expect: self.expect,
        }
    }
}

fn text(fact: &Fact<String>) -> Fact<&str> {
    match fact {
        Fact::Unknown => Fact::Unknown,
        Fact::Absent => Fact::Absent,
        Fact::Is(text) => Fact::Is(text),
    }
}

/// A rule written in short, `pass;domain=a.test,b.test;port=443`, as it stands in a file; `-` is no action.
pub fn rule_toml(short: &str) -> String {
    let mut parts = short.split(';');
    let action = parts.next().unwrap();
    let mut toml = "[[rule]]\n".to_owned();
    if action != "-" {
        toml += &format!("action = '{action}'\n");
    }
    for part in parts {
        let (key, words) = part.split_once('=').unwrap();
        let words: Vec<_> = words.split(',').map(|word| format!("'{word}'")).collect();
        toml += &match (key, &words[..]) {
            ("via", [via]) => format!("via = {via}\n"),
            _ => format!("{key} = [{}]\n", words.join(", ")),
        };
    }
    toml
}

/// Rules written in short.
pub fn rule_list(shorts: &[&str]) -> RuleListSource {
    let toml: String = shorts.iter().map(|short| rule_toml(short)).collect();
    let rules = parse_rules(&toml, "r").unwrap();
    let mut ads = NameSetBuilder::default();
    for name in ["ads.test", "192.0.2.7"] {
        assert!(ads.insert(name, Reach::WithSubdomains));
    }
    let lists = [(("r".to_owned(), "ads.txt".to_owned()), Arc::new(ads.build()))].into();
    RuleListSource { rules, lists }
}

/// Options as on the command line, without quotes.
pub fn rules(options: &str) -> Rules {
    let mut source = RulesSource::default();
    let mut words = options.split_whitespace();
    let mut shorts = Vec::new();
    while let Some(option) = words.next() {
        let list = match option {
            "--ignore-hosts" => &mut source.ignore_hosts,
            "--allow-hosts" => &mut source.allow_hosts,
            "--tcp-hosts" => &mut source.tcp_hosts,
            "--udp-hosts" => &mut source.udp_hosts,
            "--rule" => {
                shorts.push(words.next().unwrap());
                continue;
            }
            "--broken-hello=raw" => {
                source.broken_hello = BrokenHello::RecordRaw;
                continue;
            }
            "--ignore-requests" => {
                source.hide_requests = true;
                continue;
            }
            "--ech=pass-through" => {
                source.ech = Ech::PassThrough;
                continue;
            }
            other => unreachable!("option {other}"),
        };
        list.push(words.next().unwrap_or_default().to_owned());
    }
    source.rules = rule_list(&shorts);
    Rules::compile(&source).unwrap()
}

/// Asks about a connection; the answer is the reason without the patterns, which the row shows already, or what is
/// still needed.
#[track_caller]
pub fn check(options: &str, connection: Connection, expect: Expect) {
    let rules = rules(options);
    expect.assert_eq(&match decide(&rules, &connection.facts()) {
        Decision::Verdict(verdict) => {
            let reason = verdict.reason.to_string();
            let by_rule = options.contains("hide") && reason.contains("rule ");
            let by_option = options.contains("--ignore-requests") && reason.contains("_hosts");
            assert_eq!(verdict.hidden, by_rule || by_option, "{reason}");
            let patterns =
                [HostOption::IgnoreHosts, HostOption::AllowHosts, HostOption::TcpHosts, HostOption::UdpHosts]
                    .map(|option| rules.patterns(option));
            patterns.iter().copied().flatten().fold(verdict.reason.to_string(), |reason, pattern| {
                reason.replace(&format!(" /{}/", pattern.text()), "")
            })
        }
        Decision::Undecided { needs } => format!("undecided: {needs}"),
    });
}
