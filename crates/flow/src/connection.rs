//! The connections that a flow crossed: facts about transport and TLS, not the sockets.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::{FlowId, Http2Beginning, Timestamp};

/// A host, by name or by address, and a port.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Address {
    /// A name or an address as it was asked for; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The transport under a connection.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Transport {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// What both sides' connections have.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// Unique among connections.
    pub id: FlowId,
    /// The other end's address.
    pub peername: Option<SocketAddr>,
    /// The other end as a file named it, where that is no IP address (a scope by name, a placeholder); `peername` is
    /// `None` then. Never set by us.
    pub peername_text: Option<Address>,
    /// Our end's address.
    pub sockname: Option<SocketAddr>,
    /// Our end as a file named it, likewise.
    pub sockname_text: Option<Address>,
    /// The transport.
    pub transport: Transport,
    /// Why it failed.
    pub error: Option<String>,
    /// TLS was spoken, or was to be.
    pub tls: bool,
    /// The peer's certificates as DER, leaf first.
    pub certificate_list: Vec<Bytes>,
    /// The negotiated ALPN protocol; empty if TLS was established without one.
    pub alpn: Option<Bytes>,
    /// The ALPN protocols that were offered.
    pub alpn_offers: Vec<Bytes>,
    /// The negotiated cipher suite, in OpenSSL's spelling.
    pub cipher: Option<String>,
    /// The cipher suites that were offered.
    pub cipher_list: Vec<String>,
    /// `TLSv1.2`, `TLSv1.3`, `QUICv1` and so on.
    pub tls_version: Option<String>,
    /// The server name the client side asked for.
    pub sni: Option<String>,
    /// What the peer said of itself, if the connection is one of HTTP/2.
    pub http2: Option<Box<Http2Beginning>>,
    /// When it was begun (server) or accepted (client).
    pub timestamp_start: Option<Timestamp>,
    /// When TLS was established.
    pub timestamp_tls_setup: Option<Timestamp>,
    /// When it was closed.
    pub timestamp_end: Option<Timestamp>,
}

/// A connection from a client.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientConnection {
    /// What every connection has.
    pub connection: Connection,
    /// The certificate we presented, as DER.
    pub leaf: Option<Bytes>,
    /// What its ClientHello told of the client's kind; `None` if there was none, or nobody looked.
    pub fingerprints: Option<Fingerprints>,
    /// The mode that accepted it, as its full spec (`regular`, `reverse:https://example.com`).
    pub mode: String,
}

/// Fingerprints of a ClientHello. Clients of one kind share them; none proves anything.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fingerprints {
    /// JA3: 32 hexadecimal digits.
    pub ja3: String,
    /// JA4, such as `t13d1516h2_8daaf6152771_e5627efa2ab1`.
    pub ja4: String,
}

/// A connection to a server.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerConnection {
    /// What every connection has.
    pub connection: Connection,
    /// Where it was to go, as it was asked for; `None` if that was never known.
    pub address: Option<Address>,
    /// When the TCP handshake was done.
    pub timestamp_tcp_setup: Option<Timestamp>,
    /// The upstream proxy it went through.
    pub via: Option<Via>,
}

/// An upstream proxy: its scheme (`http`, `https`, `socks5`) and address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Via {
    /// The scheme of the proxy's URL.
    pub scheme: String,
    /// Where it listens.
    pub address: Address,
}

impl Connection {
    /// A connection of which only the id is known.
    #[must_use]
    pub const fn new(id: FlowId) -> Self {
        Self {
            id,
            peername: None,
            peername_text: None,
            sockname: None,
            sockname_text: None,
            transport: Transport::Tcp,
            error: None,
            tls: false,
            certificate_list: Vec::new(),
            alpn: None,
            alpn_offers: Vec::new(),
            cipher: None,
            cipher_list: Vec::new(),
            tls_version: None,
            sni: None,
            http2: None,
            timestamp_start: None,
            timestamp_tls_setup: None,
            timestamp_end: None,
        }
    }
}

impl ClientConnection {
    /// A client connection of which only the id and the mode are known.
    #[must_use]
    pub const fn new(id: FlowId, mode: String) -> Self {
        Self { connection: Connection::new(id), leaf: None, fingerprints: None, mode }
    }
}

impl ServerConnection {
    /// A server connection that is not open yet.
    #[must_use]
    pub const fn new(id: FlowId, address: Option<Address>) -> Self {
        Self { connection: Connection::new(id), address, timestamp_tcp_setup: None, via: None }
    }
}

impl std::fmt::Display for Address {
    /// `host:port`, IPv6 in brackets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
