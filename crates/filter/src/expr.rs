//! The tree of a filter. Everything in it is public, so that a store can turn parts of it into a query of its own.

use std::ops::Range;

use flowgate_flow::Replay;
use flowgate_pattern::{Flavour, Regex};

/// A filter or a part of one.
#[derive(Clone, Debug)]
pub enum Expr {
    /// All of them hold; there are at least two.
    And(Vec<Self>),
    /// One of them holds; there are at least two.
    Or(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// One operator with its argument.
    Test {
        /// What is asked.
        test: Test,
        /// Where it stands in the filter's text, in bytes.
        at: Range<usize>,
    },
}

/// What one operator asks of a flow.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Test {
    /// `~all`: holds always.
    All,
    /// `~a`: the response is a style sheet, script, image or font, by its Content-Type.
    Asset,
    /// `~e`: the flow failed.
    Failed,
    /// `~marked`: a user marked it.
    Marked,
    /// `~http` and its like.
    Is(Kind),
    /// `~q`: HTTP or DNS, and no response yet.
    Unanswered,
    /// `~s`: HTTP or DNS, and a response.
    Answered,
    /// `~replay`, or only requests (`~replayq`) or responses (`~replays`).
    Replayed(Option<Replay>),
    /// A regular expression is found in a fact.
    Found(Fact, Regex),
    /// `~c`: the response's status.
    Status(Status),
    /// `~size` and its like: how many body and message bytes crossed, still encoded.
    Size(Half, Bounds<u64>),
    /// `~duration`: seconds from the first byte of the request to the last one of the response.
    Duration(Bounds<f64>),
}

/// What a regular expression is searched in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Fact {
    /// Decoded bodies, each WebSocket, TCP and UDP message, DNS names and records; each is searched alone. Bytes.
    Body(Half),
    /// The header fields of a message, each as `Name: value` CR LF. Bytes.
    Headers(Half),
    /// Each value of Content-Type. Bytes.
    ContentType(Half),
    /// The method. Bytes.
    Method,
    /// The host a request goes to, and the host it says, each alone.
    Host,
    /// The URL with the host that the request says; of DNS the first question's name.
    Url,
    /// The client's `address:port`.
    Source,
    /// The server's `host:port`.
    Destination,
    /// A line `key: value` for each entry.
    Metadata,
    /// The mark; empty if there is none.
    Marker,
    /// The comment; empty if there is none.
    Comment,
    /// Why the connection was decrypted or not; empty if nobody said.
    Reason,
    /// The server name in the client's TLS hello.
    Sni,
}

/// Which half of a flow.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Half {
    /// The one or the other; for sizes both together.
    Either,
    /// What the client sent.
    Request,
    /// What the server sent.
    Response,
}

/// A kind of flow.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// An HTTP exchange.
    Http,
    /// An HTTP exchange that became a WebSocket.
    WebSocket,
    /// A TCP conversation.
    Tcp,
    /// A UDP conversation.
    Udp,
    /// A DNS query.
    Dns,
}

/// Which statuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// This one.
    Is(u64),
    /// `4xx`: all that begin so and have three digits.
    Class(u8),
}

/// A range of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bounds<T> {
    /// `= n`.
    Is(T),
    /// `> n`.
    Above(T),
    /// `>= n`.
    AtLeast(T),
    /// `< n`.
    Below(T),
    /// `<= n`.
    AtMost(T),
}

impl Expr {
    /// Whether what it holds of an HTTP flow depends on nothing but its messages' lines and fields, its times, error, mark, comment
    /// and replay, and whether it is a WebSocket.
    pub(crate) fn reads_heads_only(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().all(Self::reads_heads_only),
            Self::Not(part) => part.reads_heads_only(),
            Self::Test { test, .. } => match test {
                Test::Found(fact, _) => match fact {
                    Fact::Headers(_)
                    | Fact::ContentType(_)
                    | Fact::Method
                    | Fact::Host
                    | Fact::Url
                    | Fact::Marker
                    | Fact::Comment => true,
                    Fact::Body(_)
                    | Fact::Source
                    | Fact::Destination
                    | Fact::Metadata
                    | Fact::Reason
                    | Fact::Sni => false,
                },
                Test::Size(..) => false,
                Test::All
                | Test::Asset
                | Test::Failed
                | Test::Marked
                | Test::Is(_)
                | Test::Unanswered
                | Test::Answered
                | Test::Replayed(_)
                | Test::Status(_)
                | Test::Duration(_) => true,
            },
        }
    }

    /// Whether what it holds of a flow may depend on bodies or messages. Their sizes count: of messages that are not kept
    /// none is known.
    pub(crate) fn reads_bodies(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::reads_bodies),
            Self::Not(part) => part.reads_bodies(),
            Self::Test { test, .. } => matches!(test, Test::Found(Fact::Body(_), _) | Test::Size(..)),
        }
    }
}

impl Fact {
    /// What patterns over this fact mean where nothing in them says otherwise.
    #[must_use]
    pub const fn flavour(self) -> Flavour {
        Flavour {
            bytes: matches!(self, Self::Body(_) | Self::Headers(_) | Self::ContentType(_) | Self::Method),
            multi_line: matches!(self, Self::Headers(_) | Self::Metadata | Self::Comment),
            dot_all: matches!(self, Self::Body(_)),
        }
    }
}

impl Status {
    /// Whether a status is one of these.
    #[must_use]
    pub fn holds(self, status: u16) -> bool {
        match self {
            Self::Is(wanted) => wanted == u64::from(status),
            Self::Class(first) => status / 100 == u16::from(first),
        }
    }
}

impl<T: PartialOrd> Bounds<T> {
    /// Whether a number lies in the range.
    pub fn holds(&self, number: &T) -> bool {
        match self {
            Self::Is(n) => number == n,
            Self::Above(n) => number > n,
            Self::AtLeast(n) => number >= n,
            Self::Below(n) => number < n,
            Self::AtMost(n) => number <= n,
        }
    }
}
