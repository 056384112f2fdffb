//! SOCKS5 as a proxy speaks it (RFC 1928), and the messages of its user name and password method (RFC 1929).
//!
//! Not here: who may use it, and connecting. Every message says its own length within 513 bytes, so nothing grows; the
//! parsers look at what was received so far and answer the same however it was cut into segments.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use flowgate_flow::Address;
use thiserror::Error;

/// The version in the greeting, the request and the reply (RFC 1928 section 3).
const VERSION: u8 = 5;
/// The version of the user name and password messages (RFC 1929 section 2).
const CREDENTIALS_VERSION: u8 = 1;
/// The one command that is carried out (RFC 1928 section 4).
const CONNECT: u8 = 1;
/// Address types (RFC 1928 section 5).
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// How a client may say who it is (RFC 1928 section 3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Method {
    /// It need not.
    NoAuthentication,
    /// With a user name and a password, as the next message.
    UserPassword,
    /// None of those it offered; it has to close.
    NoneAcceptable,
}

/// The first message of a client: the methods it offers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Greeting {
    methods: Vec<u8>,
}

/// A user name and a password (RFC 1929 section 2), as they were sent. Not shown by `Debug`.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    /// The name.
    pub user: Vec<u8>,
    /// The password.
    pub password: Vec<u8>,
}

/// What a reply says (RFC 1928 section 6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Reply {
    /// The connection stands.
    Succeeded = 0,
    /// It failed, for a reason that is none of the others.
    GeneralFailure = 1,
    /// It may not be made.
    NotAllowed = 2,
    /// There is no way to the network.
    NetworkUnreachable = 3,
    /// There is no way to the host, or no host of that name.
    HostUnreachable = 4,
    /// The host does not listen at that port.
    ConnectionRefused = 5,
    /// BIND and UDP ASSOCIATE, and what is no command.
    CommandNotSupported = 7,
    /// Neither IPv4 nor IPv6 nor a name.
    AddressTypeNotSupported = 8,
}

/// Why a message was refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Socks5Error {
    /// A greeting or a request of another version, or of another protocol altogether.
    #[error("SOCKS version 5 expected, found {found}")]
    Version {
        /// What stood there.
        found: u8,
    },
    /// A user name message of another version.
    #[error("version 1 of the user name message expected, found {found}")]
    CredentialsVersion {
        /// What stood there.
        found: u8,
    },
    /// A command other than CONNECT.
    #[error("command {found} is not supported, only CONNECT (1) is")]
    Command {
        /// What stood there.
        found: u8,
    },
    /// An address type other than the three.
    #[error("address type {found} is not known")]
    AddressType {
        /// What stood there.
        found: u8,
    },
    /// A name that no host has: empty, not UTF-8, or with control characters or spaces in it.
    #[error("malformed host name")]
    Name,
}

impl Socks5Error {
    /// How a request that was refused is answered; `None` if the client would not understand it.
    #[must_use]
    pub const fn reply(self) -> Option<Reply> {
        match self {
            Self::Version { .. } | Self::CredentialsVersion { .. } => None,
            Self::Command { .. } => Some(Reply::CommandNotSupported),
            Self::AddressType { .. } => Some(Reply::AddressTypeNotSupported),
            Self::Name => Some(Reply::GeneralFailure),
        }
    }
}

/// A message and how many bytes it took; `None` until it is there whole.
pub type Parsed<T> = Result<Option<(T, usize)>, Socks5Error>;

/// Reads a greeting (RFC 1928 section 3).
///
/// # Errors
/// If it is not version 5, as soon as the first byte says so.
pub fn parse_greeting(received: &[u8]) -> Parsed<Greeting> {
    let mut input = Input::new(received);
    let greeting = (|| {
        input.version(VERSION)?;
        input.short_bytes()
    })();
    input
        .finish(greeting)
        .map(|parsed| parsed.map(|(methods, len)| (Greeting { methods: methods.to_vec() }, len)))
}

/// Reads a request to connect (RFC 1928 section 4) and says where to.
///
/// # Errors
/// If it is none; [`Socks5Error::reply`] says how to answer.
pub fn parse_request(received: &[u8]) -> Parsed<Address> {
    let mut input = Input::new(received);
    let request = (|| {
        input.version(VERSION)?;
        let command = input.byte()?;
        if command != CONNECT {
            return Err(Stop::Refused(Socks5Error::Command { found: command }));
        }
        // Reserved; what clients put there is nobody's concern.
        input.byte()?;
        let host = match input.byte()? {
            IPV4 => Ipv4Addr::from(input.array::<4>()?).to_string(),
            IPV6 => IpAddr::from(Ipv6Addr::from(input.array::<16>()?)).to_string(),
            NAME => host_name(input.short_bytes()?)?,
            found => return Err(Stop::Refused(Socks5Error::AddressType { found })),
        };
        let port = u16::from_be_bytes(input.array::<2>()?);
        Ok(Address { host, port })
    })();
    input.finish(request)
}

/// Reads a user name and a password (RFC 1929 section 2).
///
/// # Errors
/// If it is not version 1.
pub fn parse_credentials(received: &[u8]) -> Parsed<Credentials> {
    let mut input = Input::new(received);
    let credentials = (|| {
        input.version(CREDENTIALS_VERSION)?;
        let user = input.short_bytes()?.to_vec();
        let password = input.short_bytes()?.to_vec();
        Ok(Credentials { user, password })
    })();
    input.finish(credentials)
}

impl Greeting {
    /// Whether the client offers a method.
    #[must_use]
    pub fn offers(&self, method: Method) -> bool {
        self.methods.contains(&method.code())
    }
}

impl Method {
    const fn code(self) -> u8 {
        match self {
            Self::NoAuthentication => 0,
            Self::UserPassword => 2,
            Self::NoneAcceptable => 0xff,
        }
    }

    /// The answer to a greeting that selects this method.
    #[must_use]
    pub const fn encode(self) -> [u8; 2] {
        [VERSION, self.code()]
    }
}

impl Reply {
    /// The reply on the wire. `bound` is the address from which we connected; all zero if there is none.
    #[must_use]
    pub fn encode(self, bound: SocketAddr) -> Vec<u8> {
        let mut out = vec![VERSION, self as u8, 0];
        match bound.ip() {
            IpAddr::V4(ip) => {
                out.push(IPV4);
                out.extend(ip.octets());
            }
            IpAddr::V6(ip) => {
                out.push(IPV6);
                out.extend(ip.octets());
            }
        }
        out.extend(bound.port().to_be_bytes());
        out
    }
}

/// The answer to a user name and a password: whether the client is let in (RFC 1929 section 2).
#[must_use]
pub const fn encode_credentials_answer(accepted: bool) -> [u8; 2] {
    [CREDENTIALS_VERSION, if accepted { 0 } else { 1 }]
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

fn host_name(name: &[u8]) -> Result<String, Stop> {
    let text = std::str::from_utf8(name).map_err(|_| Stop::Refused(Socks5Error::Name))?;
    // Some clients send addresses as names, IPv6 ones in brackets at that.
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if text.is_empty() || text.contains(|c: char| c.is_control() || c.is_whitespace() || "/@[]".contains(c)) {
        return Err(Stop::Refused(Socks5Error::Name));
    }
    Ok(text.to_owned())
}

/// Why reading stops before the end of a message.
enum Stop {
    NeedMore,
    Refused(Socks5Error),
}

/// What was received, and how far it was read.
struct Input<'a> {
    received: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    const fn new(received: &'a [u8]) -> Self {
        Self { received, at: 0 }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let taken = self.received.get(self.at..self.at + count).ok_or(Stop::NeedMore)?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        self.take(N)?.try_into().map_err(|_| Stop::NeedMore)
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Bytes behind a length of one byte.
    fn short_bytes(&mut self) -> Result<&'a [u8], Stop> {
        let count = self.byte()?;
        self.take(count.into())
    }

    fn version(&mut self, expected: u8) -> Result<(), Stop> {
        match self.byte()? {
            found if found == expected => Ok(()),
            found if expected == VERSION => Err(Stop::Refused(Socks5Error::Version { found })),
            found => Err(Stop::Refused(Socks5Error::CredentialsVersion { found })),
        }
    }

    fn finish<T>(self, result: Result<T, Stop>) -> Parsed<T> {
        match result {
            Ok(message) => Ok(Some((message, self.at))),
            Err(Stop::NeedMore) => Ok(None),
            Err(Stop::Refused(error)) => Err(error),
        }
    }
}
