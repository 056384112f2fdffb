//! Mode specifications: `mode[:data][@[host:]port]`, how traffic reaches flowgate and where it listens for it.
//!
//! Every mode mitmproxy knows can be read; [`ModeSpec::check_runs`] says which ones run today. The last `@` divides,
//! so data may hold an `@` only when a listening part follows.

use std::fmt;
use std::str::FromStr;

use crate::server_spec::{Scheme, ServerSpec, ServerSpecError, parse_port};
use crate::value::quoted;

/// The modes that run today, as they are named in hints.
const RUNNING_TODAY: &str = "modes that run today: `regular`, `transparent`, `socks5`, `upstream:` with `http`, `https` or \
     `socks5`, and `reverse:` with `http`, `https`, `tcp`, `tls`, `udp`, `quic` or `http3`; each may end in `@[host:]port`";

/// How traffic reaches flowgate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Mode {
    /// An explicit HTTP proxy.
    Regular,
    /// Redirected by the operating system.
    Transparent,
    /// A SOCKS5 proxy.
    Socks5,
    /// A DNS server.
    Dns,
    /// As `regular`, with every connection going through another proxy.
    Upstream(ServerSpec),
    /// Everything goes to this server.
    Reverse(ServerSpec),
    /// Taken from programs on this machine: process names and ids, not read further here; empty means all.
    Local(String),
    /// A WireGuard server, with the path of its key file.
    Wireguard(Option<String>),
    /// A TUN interface, with its name.
    Tun(Option<String>),
}

impl Mode {
    /// The word before the colon.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Regular => "regular",
            Self::Transparent => "transparent",
            Self::Socks5 => "socks5",
            Self::Dns => "dns",
            Self::Upstream(_) => "upstream",
            Self::Reverse(_) => "reverse",
            Self::Local(_) => "local",
            Self::Wireguard(_) => "wireguard",
            Self::Tun(_) => "tun",
        }
    }

    /// The port to listen on when neither the mode nor `listen_port` has one; `None` for modes without a port.
    pub fn default_port(&self) -> Option<u16> {
        match self {
            Self::Reverse(server) if server.scheme == Scheme::Dns => Some(53),
            Self::Regular | Self::Transparent | Self::Upstream(_) | Self::Reverse(_) => Some(8080),
            Self::Socks5 => Some(1080),
            Self::Dns => Some(53),
            Self::Wireguard(_) => Some(51820),
            Self::Local(_) | Self::Tun(_) => None,
        }
    }
}

/// A mode and where it listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ModeSpec {
    /// The mode.
    pub mode: Mode,
    /// The host after the `@`, without brackets.
    pub listen_host: Option<String>,
    /// The port after the `@`; 0 lets the operating system choose.
    pub listen_port: Option<u16>,
    /// The text it was read from.
    text: String,
}

/// Why a mode specification was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid proxy mode specification: {}: {problem}", quoted(spec))]
pub struct ModeSpecError {
    /// The whole specification.
    pub spec: String,
    /// What is wrong with it.
    pub problem: ModeProblem,
}

/// What is wrong with a mode specification.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ModeProblem {
    /// No mode has this name.
    #[error("there is no such mode")]
    Unknown,
    /// mitmproxy's old name for `local`.
    #[error("`osproxy` is called `local` now")]
    Renamed,
    /// A known mode that flowgate does not run yet.
    #[error("flowgate does not run this mode yet")]
    NotYet,
    /// The mode takes no data.
    #[error("mode `{mode}` takes nothing after a colon")]
    Data {
        /// The mode's name.
        mode: &'static str,
    },
    /// What follows the last colon of the listening part is no port.
    #[error("{} is not a port (0 to 65535)", quoted(found))]
    Port {
        /// What stood there.
        found: String,
    },
    /// The server of `upstream:` or `reverse:` cannot be read.
    #[error(transparent)]
    Server(#[from] ServerSpecError),
    /// `upstream:` with a scheme no proxy speaks.
    #[error("an upstream proxy is `http://`, `https://` or `socks5://`, not `{}://`", found.name())]
    UpstreamScheme {
        /// The scheme given.
        found: Scheme,
    },
    /// `reverse:` with the scheme of a proxy.
    #[error("a server is not spoken to in `{}`; that is a scheme of `upstream:`", found.name())]
    ReverseScheme {
        /// The scheme given.
        found: Scheme,
    },
}

impl ModeSpecError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self.problem {
            ModeProblem::Unknown | ModeProblem::Renamed | ModeProblem::NotYet => Some(RUNNING_TODAY.into()),
            ModeProblem::Data { .. }
            | ModeProblem::Port { .. }
            | ModeProblem::Server(_)
            | ModeProblem::UpstreamScheme { .. }
            | ModeProblem::ReverseScheme { .. } => None,
        }
    }
}

impl ModeSpec {
    /// The default: an explicit proxy where `listen_host` and `listen_port` say.
    pub fn regular() -> Self {
        Self { mode: Mode::Regular, listen_host: None, listen_port: None, text: Mode::Regular.name().into() }
    }

    /// The host and port to listen on, given the options `listen_host` and `listen_port`; `None` for modes without one.
    ///
    /// An empty host means every address of the machine.
    pub fn listen_address<'a>(&'a self, host: &'a str, port: Option<u16>) -> Option<(&'a str, u16)> {
        let default_port = self.mode.default_port()?;
        let port = self.listen_port.or(port).unwrap_or(default_port);
        Some((self.listen_host.as_deref().unwrap_or(host), port))
    }

    /// Whether it takes datagrams (UDP) instead of connections (TCP).
    pub fn takes_datagrams(&self) -> bool {
        match &self.mode {
            Mode::Reverse(server) => matches!(server.scheme, Scheme::Udp | Scheme::Quic | Scheme::Http3),
            _ => false,
        }
    }

    /// What the mode is called where users read that it listens (as in mitmproxy).
    pub fn description(&self) -> String {
        match &self.mode {
            Mode::Regular => "HTTP(S) proxy".into(),
            Mode::Transparent => "Transparent Proxy".into(),
            Mode::Socks5 => "SOCKS v5 proxy".into(),
            Mode::Dns => "DNS server".into(),
            Mode::Upstream(_) => "HTTP(S) proxy (upstream mode)".into(),
            Mode::Reverse(_) => format!("reverse proxy to {}", self.data()),
            Mode::Local(_) => "Local redirector".into(),
            Mode::Wireguard(_) => "WireGuard server".into(),
            Mode::Tun(_) => "TUN interface".into(),
        }
    }

    /// The mode as it was written, without where it listens.
    pub fn without_address(&self) -> &str {
        self.text.rsplit_once('@').map_or(&self.text, |(what, _)| what)
    }

    /// What stands behind the first colon, as it was written.
    fn data(&self) -> &str {
        self.without_address().split_once(':').map_or("", |(_, data)| data)
    }

    /// Whether flowgate can run this mode today.
    ///
    /// # Errors
    /// [`ModeProblem::NotYet`] when it cannot.
    pub fn check_runs(&self) -> Result<(), ModeSpecError> {
        match &self.mode {
            Mode::Regular | Mode::Transparent | Mode::Socks5 | Mode::Upstream(_) => Ok(()),
            Mode::Reverse(server)
                if matches!(server.scheme, Scheme::Http | Scheme::Https | Scheme::Tcp | Scheme::Tls) =>
            {
                Ok(())
            }
            Mode::Reverse(_) if self.takes_datagrams() => Ok(()),
            _ => Err(ModeSpecError { spec: self.text.clone(), problem: ModeProblem::NotYet }),
        }
    }
}

impl fmt::Display for ModeSpec {
    /// The text it was read from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for ModeSpec {
    type Err = ModeSpecError;

    fn from_str(text: &str) -> Result<Self, ModeSpecError> {
        read(text).map_err(|problem| ModeSpecError { spec: text.into(), problem })
    }
}

fn read(text: &str) -> Result<ModeSpec, ModeProblem> {
    let (what, listen) = text.rsplit_once('@').map_or((text, None), |(what, listen)| (what, Some(listen)));
    let (listen_host, listen_port) = listen.map_or(Ok((None, None)), read_listen)?;
    let (name, data) = what.split_once(':').map_or((what, ""), |(name, data)| (name, data));
    let mode = read_mode(&name.to_ascii_lowercase(), data)?;
    Ok(ModeSpec { mode, listen_host, listen_port, text: text.into() })
}

fn read_listen(listen: &str) -> Result<(Option<String>, Option<u16>), ModeProblem> {
    let (host, digits) =
        listen.rsplit_once(':').map_or((None, listen), |(host, digits)| (Some(host), digits));
    let port = parse_port(digits).ok_or_else(|| ModeProblem::Port { found: digits.into() })?;
    let host = host
        .map(|host| host.strip_prefix('[').and_then(|bare| bare.strip_suffix(']')).unwrap_or(host).into());
    Ok((host, Some(port)))
}

fn read_mode(name: &str, data: &str) -> Result<Mode, ModeProblem> {
    let bare = |mode: Mode| {
        if data.is_empty() { Ok(mode) } else { Err(ModeProblem::Data { mode: mode.name() }) }
    };
    let optional = (!data.is_empty()).then(|| data.to_owned());
    match name {
        "regular" => bare(Mode::Regular),
        "transparent" => bare(Mode::Transparent),
        "socks5" => bare(Mode::Socks5),
        "dns" => bare(Mode::Dns),
        "upstream" => match ServerSpec::parse(data, Scheme::Http)? {
            // Differs from mitmproxy, which has no way out through SOCKS.
            server if matches!(server.scheme, Scheme::Http | Scheme::Https | Scheme::Socks5) => {
                Ok(Mode::Upstream(server))
            }
            server => Err(ModeProblem::UpstreamScheme { found: server.scheme }),
        },
        "reverse" => match ServerSpec::parse(data, Scheme::Https)? {
            ServerSpec { scheme: found @ Scheme::Socks5, .. } => Err(ModeProblem::ReverseScheme { found }),
            server => Ok(Mode::Reverse(server)),
        },
        "local" => Ok(Mode::Local(data.into())),
        "wireguard" => Ok(Mode::Wireguard(optional)),
        "tun" => Ok(Mode::Tun(optional)),
        "osproxy" => Err(ModeProblem::Renamed),
        _ => Err(ModeProblem::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn check(text: &str, expected: Expect) {
        expected.assert_eq(&match text.parse::<ModeSpec>() {
            Ok(spec) => format!("{:?} at {:?}", spec.mode, spec.listen_address("", None)),
            Err(error) => format!("error: {error}"),
        });
    }

    #[test]
    fn modes() {
        check("regular", expect![[r#"Regular at Some(("", 8080))"#]]);
        check("Regular@9000", expect![[r#"Regular at Some(("", 9000))"#]]);
        check("regular@127.0.0.1:0", expect![[r#"Regular at Some(("127.0.0.1", 0))"#]]);
        check("regular@[::1]:9000", expect![[r#"Regular at Some(("::1", 9000))"#]]);
        check("regular@::1:9000", expect![[r#"Regular at Some(("::1", 9000))"#]]);
        check("transparent", expect![[r#"Transparent at Some(("", 8080))"#]]);
        check("socks5", expect![[r#"Socks5 at Some(("", 1080))"#]]);
        check("dns@5353", expect![[r#"Dns at Some(("", 5353))"#]]);
        check(
            "upstream:proxy.test:3128",
            expect![[
                r#"Upstream(ServerSpec { scheme: Http, host: "proxy.test", port: 3128 }) at Some(("", 8080))"#
            ]],
        );
        check(
            "upstream:socks5://proxy.test@9000",
            expect![[
                r#"Upstream(ServerSpec { scheme: Socks5, host: "proxy.test", port: 1080 }) at Some(("", 9000))"#
            ]],
        );
        check(
            "reverse:https://a.test@8443",
            expect![[
                r#"Reverse(ServerSpec { scheme: Https, host: "a.test", port: 443 }) at Some(("", 8443))"#
            ]],
        );
        check(
            "reverse:dns://8.8.8.8",
            expect![[r#"Reverse(ServerSpec { scheme: Dns, host: "8.8.8.8", port: 53 }) at Some(("", 53))"#]],
        );
        check("local", expect![[r#"Local("") at None"#]]);
        check("local:curl,!wget", expect![[r#"Local("curl,!wget") at None"#]]);
        check("wireguard:keys.conf", expect![[r#"Wireguard(Some("keys.conf")) at Some(("", 51820))"#]]);
        check("tun", expect!["Tun(None) at None"]);
    }

    #[test]
    fn not_modes() {
        check("socks6", expect!["error: invalid proxy mode specification: `socks6`: there is no such mode"]);
        check("", expect!["error: invalid proxy mode specification: ``: there is no such mode"]);
        check(
            "osproxy",
            expect!["error: invalid proxy mode specification: `osproxy`: `osproxy` is called `local` now"],
        );
        check(
            "regular:x",
            expect![
                "error: invalid proxy mode specification: `regular:x`: mode `regular` takes nothing after a colon"
            ],
        );
        check(
            "reverse:foo@99999",
            expect![
                "error: invalid proxy mode specification: `reverse:foo@99999`: `99999` is not a port (0 to 65535)"
            ],
        );
        check(
            "regular@",
            expect!["error: invalid proxy mode specification: `regular@`: `` is not a port (0 to 65535)"],
        );
        check(
            "upstream:",
            expect![
                "error: invalid proxy mode specification: `upstream:`: `` is not a host name or IP address"
            ],
        );
        check(
            "upstream:tcp://x:1",
            expect![
                "error: invalid proxy mode specification: `upstream:tcp://x:1`: an upstream proxy is `http://`, `https://` or `socks5://`, not `tcp://`"
            ],
        );
        check(
            "reverse:socks5://x",
            expect![
                "error: invalid proxy mode specification: `reverse:socks5://x`: a server is not spoken to in `socks5`; that is a scheme of `upstream:`"
            ],
        );
    }

    #[test]
    fn what_runs_today() {
        for (text, runs) in [
            ("regular", true),
            ("regular@1", true),
            ("upstream:p.test", true),
            ("upstream:socks5://p.test@1", true),
            ("transparent", true),
            ("socks5@1", true),
            ("reverse:a.test", true),
            ("reverse:http://a.test", true),
            ("reverse:tcp://a.test:1", true),
            ("reverse:tls://a.test:1", true),
            ("reverse:dns://a.test", false),
            ("reverse:dtls://a.test:1", false),
            ("reverse:udp://a.test:1", true),
            ("reverse:quic://a.test", true),
            ("reverse:http3://a.test", true),
            ("local", false),
        ] {
            assert_eq!(text.parse::<ModeSpec>().unwrap().check_runs().is_ok(), runs, "{text}");
        }
    }

    #[test]
    fn described_as_it_was_written() {
        for (text, description) in [
            ("regular@1", "HTTP(S) proxy"),
            ("Transparent", "Transparent Proxy"),
            ("socks5@::1:1", "SOCKS v5 proxy"),
            ("reverse:a.test@8443", "reverse proxy to a.test"),
            ("reverse:tcp://[::1]:25", "reverse proxy to tcp://[::1]:25"),
        ] {
            assert_eq!(text.parse::<ModeSpec>().unwrap().description(), description, "{text}");
        }
    }

    #[test]
    fn options_fill_what_the_mode_leaves_open() {
        let mode: ModeSpec = "regular".parse().unwrap();
        assert_eq!(mode.listen_address("10.0.0.1", Some(3128)), Some(("10.0.0.1", 3128)));
        let mode: ModeSpec = "regular@9000".parse().unwrap();
        assert_eq!(mode.listen_address("10.0.0.1", Some(3128)), Some(("10.0.0.1", 9000)));
    }

    proptest! {
        #[test]
        fn never_panics(text in "(regular|reverse|upstream|local|tun|\\PC*)(:\\PC*)?(@\\PC*)?") {
            let _ = text.parse::<ModeSpec>();
        }

        #[test]
        fn shown_and_read_again(text in "(regular|SOCKS5|wireguard:k|reverse:http://h)(@([a-z]{1,5}:)?[0-9]{1,4})?") {
            let spec: ModeSpec = text.parse().unwrap();
            prop_assert_eq!(spec.to_string().parse::<ModeSpec>().unwrap(), spec);
        }
    }
}
