//! The table of operators: one row each, for the parser, its suggestions and the reference page alike.

use flowgate_flow::Replay;

use crate::expr::{Fact, Half, Kind, Test};

/// An operator of the language.
#[derive(Debug)]
pub struct Operator {
    /// Its name without the tilde.
    pub name: &'static str,
    /// What follows it.
    pub argument: Argument,
    /// What it matches, as a sentence.
    pub help: &'static str,
    /// Which kinds of flow have what it asks for; all others do not match.
    pub kinds: &'static str,
    /// mitmproxy has it, too.
    pub in_mitmproxy: bool,
    pub(crate) make: Make,
}

/// What follows an operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Argument {
    /// Nothing.
    None,
    /// A regular expression.
    Regex,
    /// A status: `404` or `4xx`.
    Status,
    /// A number of bytes, `>10k`.
    Size,
    /// A time, `>2.5s`.
    Duration,
}

/// What the parser makes of it.
#[derive(Debug)]
pub(crate) enum Make {
    Test(fn() -> Test),
    Regex(Fact),
    Status,
    Size(Half),
    Duration,
}

impl Argument {
    /// As it stands on the reference page and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Regex => "regex",
            Self::Status => "status",
            Self::Size => "size",
            Self::Duration => "time",
        }
    }
}

pub(crate) fn find(name: &str) -> Option<&'static Operator> {
    OPERATORS.iter().find(|operator| operator.name == name)
}

/// The operator that was probably meant.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    const NAME_CHARS_MAX: usize = 32;
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return None;
    }
    let name = name.to_lowercase();
    let distances = OPERATORS.iter().map(|operator| {
        // Of two that are as near, the one that begins alike and the shorter one is the likelier.
        let alike = operator.name.chars().next() == name.chars().next();
        (strsim::damerau_levenshtein(&name, operator.name), !alike, operator.name.len(), operator.name)
    });
    let (distance, _, _, nearest) = distances.min()?;
    (distance <= (name.chars().count() / 3).max(1)).then_some(nearest)
}

const fn test(name: &'static str, kinds: &'static str, help: &'static str, make: fn() -> Test) -> Operator {
    Operator { name, argument: Argument::None, help, kinds, in_mitmproxy: true, make: Make::Test(make) }
}

const fn regex(name: &'static str, kinds: &'static str, help: &'static str, fact: Fact) -> Operator {
    Operator { name, argument: Argument::Regex, help, kinds, in_mitmproxy: true, make: Make::Regex(fact) }
}

const fn size(name: &'static str, help: &'static str, half: Half) -> Operator {
    Operator { name, argument: Argument::Size, help, kinds: ALL, in_mitmproxy: false, make: Make::Size(half) }
}

const ALL: &str = "all";
const HTTP: &str = "HTTP";
const HTTP_DNS: &str = "HTTP, DNS";

/// Every operator, in the order of the reference page.
pub static OPERATORS: &[Operator] = &[
    test("all", ALL, "Every flow.", || Test::All),
    test("http", HTTP, "HTTP exchanges, also those that became a WebSocket.", || Test::Is(Kind::Http)),
    test("websocket", HTTP, "HTTP exchanges that became a WebSocket.", || Test::Is(Kind::WebSocket)),
    test("tcp", "TCP", "TCP conversations.", || Test::Is(Kind::Tcp)),
    test("udp", "UDP", "UDP conversations.", || Test::Is(Kind::Udp)),
    test("dns", "DNS", "DNS queries.", || Test::Is(Kind::Dns)),
    test("q", HTTP_DNS, "Requests without a response.", || Test::Unanswered),
    test("s", HTTP_DNS, "Flows with a response.", || Test::Answered),
    test("e", ALL, "Flows that failed.", || Test::Failed),
    test(
        "a",
        HTTP,
        "Responses that are style sheets, scripts, images or fonts by their Content-Type. Letter case counts.",
        || Test::Asset,
    ),
    test("marked", ALL, "Flows that a user marked.", || Test::Marked),
    test("replay", ALL, "Flows of which a half was replayed.", || Test::Replayed(None)),
    test("replayq", ALL, "Flows whose request was replayed.", || Test::Replayed(Some(Replay::Request))),
    test("replays", ALL, "Flows whose response was replayed.", || Test::Replayed(Some(Replay::Response))),
    regex(
        "u",
        HTTP_DNS,
        "The URL, with the host that the request says; of DNS the name that is asked for. A pattern without an operator \
         means the same.",
        Fact::Url,
    ),
    regex(
        "d",
        HTTP,
        "The host: the one that the request goes to, or the one that it says in Host or `:authority`.",
        Fact::Host,
    ),
    regex("m", HTTP, "The method.", Fact::Method),
    Operator {
        name: "c",
        argument: Argument::Status,
        help: "The status of the response: a number, or a class such as `4xx`.",
        kinds: HTTP,
        in_mitmproxy: true,
        make: Make::Status,
    },
    regex(
        "h",
        HTTP,
        "The header fields of request or response, as lines `Name: value` that end with CR LF. Trailers are not searched.",
        Fact::Headers(Half::Either),
    ),
    regex("hq", HTTP, "The same, of the request.", Fact::Headers(Half::Request)),
    regex("hs", HTTP, "The same, of the response.", Fact::Headers(Half::Response)),
    regex("t", HTTP, "A Content-Type of request or response.", Fact::ContentType(Half::Either)),
    regex("tq", HTTP, "The same, of the request.", Fact::ContentType(Half::Request)),
    regex("ts", HTTP, "The same, of the response.", Fact::ContentType(Half::Response)),
    regex(
        "b",
        ALL,
        "A body without its content encoding; a message of a WebSocket, of TCP or UDP; names and records of DNS. Each is \
         searched alone.",
        Fact::Body(Half::Either),
    ),
    regex("bq", ALL, "The same, of what the client sent.", Fact::Body(Half::Request)),
    regex("bs", ALL, "The same, of what the server sent.", Fact::Body(Half::Response)),
    regex("src", ALL, "The client's `address:port`; IPv6 without brackets.", Fact::Source),
    regex(
        "dst",
        ALL,
        "The server's `host:port` as it was asked for; IPv6 without brackets.",
        Fact::Destination,
    ),
    regex("marker", ALL, "The mark; of an unmarked flow it is empty.", Fact::Marker),
    regex("comment", ALL, "The comment; it may be empty.", Fact::Comment),
    regex("meta", ALL, "The metadata, as lines `key: value`.", Fact::Metadata),
    size(
        "size",
        "How many bytes of bodies and messages crossed, both ways together, still encoded.",
        Half::Either,
    ),
    size("sizeq", "The same, of what the client sent.", Half::Request),
    size("sizes", "The same, of what the server sent.", Half::Response),
    Operator {
        name: "duration",
        argument: Argument::Duration,
        help: "How long it took: from the first byte of the request to the last one of the response, or to the last message.",
        kinds: ALL,
        in_mitmproxy: false,
        make: Make::Duration,
    },
    Operator {
        in_mitmproxy: false,
        ..regex("sni", ALL, "The server name in the client's TLS hello.", Fact::Sni)
    },
    Operator {
        in_mitmproxy: false,
        ..regex(
            "reason",
            ALL,
            "Why the connection was decrypted or passed through, in the words of `flowgate why`.",
            Fact::Reason,
        )
    },
];
