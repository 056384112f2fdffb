//! The client's half of a SOCKS5 handshake (RFC 1928, RFC 1929): asks a proxy for a connection to a name or an address.
//!
//! Not here: the server's half, sockets, time-outs. The name is sent as it is, so it is the proxy that resolves it. A call
//! never consumes more than the message it answers: what follows the handshake belongs to the tunnel.

use std::net::IpAddr;

use flowgate_flow::Address;
use thiserror::Error;

/// The longest message a proxy can send in a handshake: a reply with a name of 255 bytes (RFC 1928 section 6).
pub const REPLY_BYTES_MAX: usize = 4 + 1 + 255 + 2;

const VERSION: u8 = 5;
/// The version of the subnegotiation (RFC 1929 section 2).
const AUTH_VERSION: u8 = 1;
const NO_AUTH: u8 = 0;
const USER_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// A name and a password (RFC 1929). Not shown by `Debug`.
#[derive(Clone, Copy)]
pub struct UserPassword<'a> {
    /// 1 to 255 bytes.
    pub user: &'a str,
    /// Up to 255 bytes.
    pub password: &'a str,
}

/// A handshake under way.
pub struct Socks5Client {
    request: Vec<u8>,
    credentials: Option<Vec<u8>>,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Method,
    Auth,
    Reply,
    Done,
}

/// What [`Socks5Client::receive`] made of what came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Progress {
    /// The message is not complete; call again with more, beginning with the same bytes.
    NeedMore,
    /// Drop the first `consumed` bytes, send `message`, and go on.
    Send {
        /// How long the message was that this answers.
        consumed: usize,
        /// What to send. May hold a password: for no log.
        message: Vec<u8>,
    },
    /// The tunnel stands; what follows the first `consumed` bytes comes from the server.
    Established {
        /// How long the last message was.
        consumed: usize,
    },
}

/// Why there is no tunnel.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Socks5Error {
    /// The destination's name has no place in a request.
    #[error("a host name of {len} bytes cannot be asked for in SOCKS (1 to 255)")]
    Name {
        /// Its length.
        len: usize,
    },
    /// The name or password has no place in a message.
    #[error("name or password is empty or longer than 255 bytes")]
    Credentials,
    /// Not a SOCKS5 proxy.
    #[error("does not speak SOCKS5 (its answer begins with byte {found:#04x})")]
    Version {
        /// What came in place of 5.
        found: u8,
    },
    /// It wants to know who we are, and we have nothing to say.
    #[error("requires a name and password")]
    AuthRequired,
    /// A method that was not offered.
    #[error("chose authentication method {found:#04x}, which was not offered")]
    Method {
        /// Its number (RFC 1928 section 3).
        found: u8,
    },
    /// Not a message of RFC 1929.
    #[error("answers a name and password in version {found:#04x}")]
    AuthVersion {
        /// What came in place of 1.
        found: u8,
    },
    /// It does not know the name and password.
    #[error("refused the name and password")]
    AuthRefused,
    /// It could not, or would not, connect.
    #[error("{}", explain(*.code))]
    Refused {
        /// The reply (RFC 1928 section 6).
        code: u8,
    },
    /// An address type that does not exist.
    #[error("names an address of unknown type {found:#04x}")]
    AddressType {
        /// Its number.
        found: u8,
    },
    /// More came after the end, or a message after a failure.
    #[error("the handshake is over")]
    Over,
}

/// A reply in words (RFC 1928 section 6).
const fn explain(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "command not supported",
        8 => "address type not supported",
        _ => "refused with an unknown code",
    }
}

impl Socks5Client {
    /// Begins a handshake: gives what to send first.
    ///
    /// # Errors
    /// If a name or password is too long to be sent.
    pub fn begin(
        destination: &Address,
        credentials: Option<UserPassword<'_>>,
    ) -> Result<(Self, Vec<u8>), Socks5Error> {
        let request = request(destination)?;
        let credentials = credentials.map(auth_message).transpose()?;
        let methods: &[u8] = if credentials.is_some() { &[NO_AUTH, USER_PASSWORD] } else { &[NO_AUTH] };
        let mut greeting = vec![VERSION, u8::try_from(methods.len()).unwrap_or(0)];
        greeting.extend_from_slice(methods);
        Ok((Self { request, credentials, state: State::Method }, greeting))
    }

    /// Takes what came from the proxy and was not consumed yet.
    ///
    /// # Errors
    /// If the proxy refuses, or does not speak SOCKS5; the connection is of no use then.
    pub fn receive(&mut self, input: &[u8]) -> Result<Progress, Socks5Error> {
        match self.state {
            State::Method => self.method(input),
            State::Auth => self.auth(input),
            State::Reply => self.reply(input),
            State::Done => Err(Socks5Error::Over),
        }
    }

    fn method(&mut self, input: &[u8]) -> Result<Progress, Socks5Error> {
        check_version(input)?;
        let Some(&[_, method]) = input.first_chunk() else { return Ok(Progress::NeedMore) };
        match (method, &self.credentials) {
            (NO_AUTH, _) => Ok(self.send_request(2)),
            (USER_PASSWORD, Some(message)) => {
                self.state = State::Auth;
                Ok(Progress::Send { consumed: 2, message: message.clone() })
            }
            (NONE_ACCEPTABLE, Some(_)) => Err(Socks5Error::AuthRefused),
            (NONE_ACCEPTABLE, None) => Err(Socks5Error::AuthRequired),
            (found, _) => Err(Socks5Error::Method { found }),
        }
    }

    fn auth(&mut self, input: &[u8]) -> Result<Progress, Socks5Error> {
        let Some(&[version, status]) = input.first_chunk() else { return Ok(Progress::NeedMore) };
        // RFC 1929 says 1; there are servers that answer 5, and no client minds.
        if !matches!(version, AUTH_VERSION | VERSION) {
            return Err(Socks5Error::AuthVersion { found: version });
        }
        if status != 0 {
            return Err(Socks5Error::AuthRefused);
        }
        Ok(self.send_request(2))
    }

    fn send_request(&mut self, consumed: usize) -> Progress {
        self.state = State::Reply;
        Progress::Send { consumed, message: std::mem::take(&mut self.request) }
    }

    fn reply(&mut self, input: &[u8]) -> Result<Progress, Socks5Error> {
        check_version(input)?;
        // Some proxies close right behind a refusal's second byte.
        if let Some(&[_, code]) = input.first_chunk()
            && code != 0
        {
            return Err(Socks5Error::Refused { code });
        }
        let Some(&[_, _, _, kind]) = input.first_chunk() else { return Ok(Progress::NeedMore) };
        let address = match kind {
            IPV4 => 4,
            IPV6 => 16,
            NAME => match input.get(4) {
                Some(len) => 1 + usize::from(*len),
                None => return Ok(Progress::NeedMore),
            },
            found => return Err(Socks5Error::AddressType { found }),
        };
        let consumed = 4 + address + 2;
        if input.len() < consumed {
            return Ok(Progress::NeedMore);
        }
        self.state = State::Done;
        Ok(Progress::Established { consumed })
    }
}

impl std::fmt::Debug for Socks5Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socks5Client").field("state", &self.state).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for UserPassword<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UserPassword(redacted)")
    }
}

fn check_version(input: &[u8]) -> Result<(), Socks5Error> {
    match input.first() {
        None | Some(&VERSION) => Ok(()),
        Some(&found) => Err(Socks5Error::Version { found }),
    }
}

fn request(destination: &Address) -> Result<Vec<u8>, Socks5Error> {
    let mut request = vec![VERSION, CONNECT, 0];
    match destination.host.parse() {
        Ok(IpAddr::V4(ip)) => {
            request.push(IPV4);
            request.extend_from_slice(&ip.octets());
        }
        Ok(IpAddr::V6(ip)) => {
            request.push(IPV6);
            request.extend_from_slice(&ip.octets());
        }
        Err(_) => {
            let len = destination.host.len();
            request.push(NAME);
            request.push(length(&destination.host).filter(|len| *len > 0).ok_or(Socks5Error::Name { len })?);
            request.extend_from_slice(destination.host.as_bytes());
        }
    }
    request.extend_from_slice(&destination.port.to_be_bytes());
    Ok(request)
}

fn auth_message(credentials: UserPassword<'_>) -> Result<Vec<u8>, Socks5Error> {
    let UserPassword { user, password } = credentials;
    let user_len = length(user).filter(|len| *len > 0).ok_or(Socks5Error::Credentials)?;
    let password_len = length(password).ok_or(Socks5Error::Credentials)?;
    let mut message = vec![AUTH_VERSION, user_len];
    message.extend_from_slice(user.as_bytes());
    message.push(password_len);
    message.extend_from_slice(password.as_bytes());
    Ok(message)
}

fn length(text: &str) -> Option<u8> {
    u8::try_from(text.len()).ok()
}
