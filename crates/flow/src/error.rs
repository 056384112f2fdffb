//! What went wrong with a flow, in terms a user can act on.

use std::fmt;

use crate::Timestamp;

/// Why a flow did not end as it should.
///
/// Flows read from mitmproxy's files have the message only; ours also say which side and in which phase.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowError {
    /// What a user reads, without the side or the phase.
    pub message: String,
    /// When it was noticed.
    pub timestamp: Timestamp,
    /// Whose fault or doing it was, if known.
    pub side: Option<Side>,
    /// What was being done, if known.
    pub phase: Option<Phase>,
}

/// The party an error came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Side {
    /// The side that connected to us.
    Client,
    /// The side we connect to.
    Server,
    /// flowgate itself, or its user.
    Proxy,
}

/// What was being done when an error happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Phase {
    /// Looking up the server's name.
    Resolve,
    /// Opening the transport connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Reading or writing a head.
    Head,
    /// Reading or writing a body or trailers.
    Body,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Proxy => "proxy",
        })
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Head => "head",
            Self::Body => "body",
        })
    }
}
