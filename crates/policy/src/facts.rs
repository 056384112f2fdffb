//! What is known of a connection when policy is asked.
//!
//! Facts only ever become known: a caller that has learned one never takes it back, and asks again with all of them.
//! That is what makes an early verdict final.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use flowgate_flow::{Address, Transport};

/// A fact that may still come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Fact<T> {
    /// Not known yet; it may come.
    #[default]
    Unknown,
    /// There is none, and none will come.
    Absent,
    /// It is this.
    Is(T),
}

/// Everything policy looks at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// How the client came here.
    pub entry: Entry,
    /// The mode by which it came, without what follows a colon: `regular`.
    pub mode: &'a str,
    /// The client's address; `None` if there is none that could be told.
    pub client: Option<IpAddr>,
    /// TCP or UDP: whether `tcp_hosts` or `udp_hosts` is asked.
    pub transport: Transport,
    /// Where the connection is to go: target of CONNECT or SOCKS, original destination, target of the reverse mode.
    /// `None` if nobody said; then nothing can be passed through.
    pub destination: Option<&'a Address>,
    /// The server's address once connected; [`Fact::Absent`] if it will not be known before the decision, as behind
    /// an upstream proxy. The address of an upstream proxy is none.
    pub peer: Fact<SocketAddr>,
    /// What the connection starts with.
    pub first: FirstBytes,
    /// The name in the ClientHello to the destination. The name in a hello to the proxy itself is none.
    pub sni: Fact<&'a str>,
    /// The first Host field of a request in clear text, or its `:authority`, as it was sent.
    pub host: Fact<&'a str>,
    /// The ClientHello has an encrypted one in it; looked at once [`Self::sni`] is known.
    pub ech: bool,
    /// The protocols that the ClientHello offers by ALPN; looked at once [`Self::sni`] is known.
    pub alpn: &'a [Bytes],
    /// The fingerprint JA4 of the ClientHello; looked at once [`Self::sni`] is known. Empty if there is no hello, or no rule
    /// asks ([`Rules::ask_ja4`](crate::Rules::ask_ja4)).
    pub ja4: &'a str,
    /// The program that is the client; known from the beginning, if a rule asks
    /// ([`Rules::ask_process`](crate::Rules::ask_process)).
    pub process: Process<'a>,
    /// The TLS to the destination was ended here; [`Self::first`] and [`Self::host`] tell of what is inside.
    pub decrypted: bool,
    /// What the mode says must follow.
    pub expect: Expect,
}

/// The program that is the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Process<'a> {
    /// It is not known, for this reason in words.
    Unknown(&'a str),
    /// Its file, or its name if the file cannot be seen.
    Is(&'a str),
}

impl Default for Process<'_> {
    fn default() -> Self {
        Self::Unknown("nobody looked")
    }
}

/// How a connection came.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Entry {
    /// As bytes for a destination: in a CONNECT or SOCKS tunnel, redirected, or in reverse mode.
    #[default]
    Tunnel,
    /// As HTTP requests to the proxy, each with a destination of its own. They are never passed through.
    ExplicitRequest,
}

/// What a connection starts with, as far as anybody has spoken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FirstBytes {
    /// Nobody has spoken.
    #[default]
    Nothing,
    /// The client has, but it is not clear what.
    Partial,
    /// A handshake: TLS, DTLS or QUIC. Its hello may still be incomplete; then the SNI is unknown.
    Tls,
    /// A handshake that begins as one and is malformed. If that comes out only after a verdict to decrypt, whoever
    /// ends the TLS refuses it.
    BrokenTls,
    /// HTTP/1, by its bytes or by the ALPN of the TLS around it.
    Http1,
    /// HTTP/2, by its preface or by the ALPN of the TLS around it.
    Http2,
    /// None of these, or the client has ended without saying enough.
    Other,
    /// The server has spoken before the client.
    ServerFirst,
}

/// What a mode says must follow, whatever the first bytes look like.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Expect {
    /// Nothing: the bytes say what they are.
    #[default]
    Anything,
    /// HTTP (`reverse:http://`, `reverse:https://`), in TLS or not.
    Http,
    /// Raw bytes (`reverse:tcp://`, `reverse:tls://`), in TLS or not.
    Raw,
}

impl FirstBytes {
    /// What ALPN says about the bytes inside TLS; `None` if it names no HTTP.
    #[must_use]
    pub const fn of_alpn(protocol: &[u8]) -> Option<Self> {
        match protocol {
            b"h2" | b"h3" => Some(Self::Http2),
            b"http/1.1" | b"http/1.0" | b"http/0.9" => Some(Self::Http1),
            _ => None,
        }
    }

    /// More bytes may say more.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Nothing | Self::Partial)
    }
}

impl Facts<'_> {
    /// Which facts may still come, given what the first bytes are.
    pub(crate) fn pending(&self) -> Needs {
        let open = self.first.is_open();
        let clear_http = !self.decrypted && matches!(self.first, FirstBytes::Http1 | FirstBytes::Http2);
        Needs {
            first: open,
            peer: self.peer == Fact::Unknown,
            sni: self.sni == Fact::Unknown && (open || self.first == FirstBytes::Tls),
            host: self.host == Fact::Unknown && ((open && !self.decrypted) || clear_http),
        }
    }
}

/// Which facts could still change an answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Needs {
    /// What the connection starts with.
    pub first: bool,
    /// The server's address.
    pub peer: bool,
    /// The name in the ClientHello, if there is going to be one.
    pub sni: bool,
    /// The Host field, if there is going to be one.
    pub host: bool,
}

impl Needs {
    /// Both together.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            first: self.first || other.first,
            peer: self.peer || other.peer,
            sni: self.sni || other.sni,
            host: self.host || other.host,
        }
    }
}

impl std::fmt::Display for Needs {
    /// `first bytes, sni`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all =
            [(self.first, "first bytes"), (self.peer, "peer"), (self.sni, "sni"), (self.host, "host header")];
        for (index, (_, name)) in all.iter().filter(|(needed, _)| *needed).enumerate() {
            write!(f, "{}{name}", if index > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}
