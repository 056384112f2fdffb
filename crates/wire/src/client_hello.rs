//! The ClientHello, read out of raw TLS records while they arrive (RFC 8446 §4.1.2 and §5.1, RFC 5246 §7.4.1.2).
//!
//! Not a TLS implementation: nothing is negotiated and nothing is kept. What rustls would refuse later may well be a
//! hello here, because an exempt connection is none of our business; what cannot be cut into fields is not a hello.
//! Invariant: once an answer other than [`HelloState::NeedMore`] was given for some bytes, no bytes that follow them
//! change it, so any segmentation ends in the same answer.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;

/// The most raw bytes (record headers included) a ClientHello may take: 128 KiB.
pub const HELLO_BYTES_MAX: usize = 128 * 1024;

/// The longest fragment of a plaintext record, in bytes (RFC 8446 §5.1).
pub const RECORD_BYTES_MAX: usize = 1 << 14;

const RECORD_HEADER_BYTES: usize = 5;
const CONTENT_HANDSHAKE: u8 = 22;
const HANDSHAKE_CLIENT_HELLO: u8 = 1;
const EXT_SERVER_NAME: u16 = 0;
const EXT_GROUPS: u16 = 10;
const EXT_POINT_FORMATS: u16 = 11;
const EXT_SIGNATURE_ALGORITHMS: u16 = 13;
const EXT_ALPN: u16 = 16;
const EXT_SUPPORTED_VERSIONS: u16 = 43;
const EXT_ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

/// Reads a ClientHello out of `bytes`, which start with the first byte of the connection.
///
/// Each call starts afresh. Who calls again with every few bytes wants a [`HelloReader`].
#[must_use]
pub fn parse(bytes: &[u8]) -> HelloState {
    HelloReader::default().read(bytes)
}

/// Reads a ClientHello out of the handshake message itself, without records around it, as QUIC carries it (RFC 9001 §4.1.3).
/// Offsets and [`ClientHello::len`] count from the first byte of the message.
#[must_use]
pub fn parse_handshake(message: &[u8]) -> HelloState {
    match message.first() {
        Some(&found) if found != HANDSHAKE_CLIENT_HELLO => {
            return HelloState::NotHello(HelloError::HandshakeType { found });
        }
        _ => {}
    }
    let Some(&[kind, high, middle, low]) = message.first_chunk() else { return HelloState::NeedMore };
    let needed = message_bytes([kind, high, middle, low]);
    if needed > HELLO_BYTES_MAX {
        return HelloState::NotHello(HelloError::TooLong);
    }
    let Some(message) = message.get(..needed) else { return HelloState::NeedMore };
    match Message(Cow::Borrowed(message)).client_hello() {
        Ok(hello) => HelloState::Hello(ClientHello { len: needed, ..hello }),
        Err(error) => HelloState::NotHello(error),
    }
}

/// The length of a handshake message, of which these are the first bytes (RFC 8446 §4).
const fn message_bytes([_, high, middle, low]: [u8; 4]) -> usize {
    4 + u32::from_be_bytes([0, high, middle, low]) as usize
}

/// What the bytes so far are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HelloState {
    /// The beginning of a ClientHello, as far as one can tell.
    NeedMore,
    /// A whole ClientHello.
    Hello(ClientHello),
    /// No ClientHello, whatever follows.
    NotHello(HelloError),
}

/// What a client says of itself before anything is encrypted. Lists are in the order in which they were sent, GREASE
/// values (RFC 8701) included.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientHello {
    /// The name in the first valid `server_name` extension, as it was sent: letter case and a final dot are kept. An
    /// address, which RFC 6066 §3 forbids, is kept too. An extension that does not hold exactly one host name made
    /// of name characters counts as none.
    pub sni: Option<String>,
    /// The protocols offered by ALPN (RFC 7301); empty if there are none or the list is malformed.
    pub alpn: Vec<Bytes>,
    /// The offered cipher suites.
    pub cipher_suites: Vec<u16>,
    /// The version field of the message itself, `0x0303` in every current client.
    pub legacy_version: u16,
    /// The offered versions: `supported_versions`, or else [`Self::legacy_version`] alone.
    pub versions: Vec<u16>,
    /// The extension types.
    pub extensions: Vec<u16>,
    /// The groups of `supported_groups` (once "elliptic curves"); empty if there are none or the list is malformed.
    pub groups: Vec<u16>,
    /// The formats of `ec_point_formats`, likewise.
    pub point_formats: Vec<u8>,
    /// The algorithms of `signature_algorithms`, likewise.
    pub signature_algorithms: Vec<u16>,
    /// There is an `encrypted_client_hello` extension: [`Self::sni`] may be a cover name. Clients send one for GREASE
    /// as well, and the two cannot be told apart.
    pub has_ech: bool,
    /// How many of the bytes are the hello: up to and with its last byte, all record headers before it included.
    pub len: usize,
}

/// Why bytes are not a ClientHello. `at` counts from the first byte of the connection, `offset` from the first byte
/// of the handshake message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HelloError {
    /// Another content type than handshake: not TLS, or another record between two parts of a hello.
    #[error("record of type {found} where a handshake record was expected, at byte {at}")]
    RecordType {
        /// The content type.
        found: u8,
        /// Where the record starts.
        at: usize,
    },
    /// A record version outside `0x0300` to `0x0303`.
    #[error("record version {found:#06x} at byte {at}")]
    RecordVersion {
        /// The version.
        found: u16,
        /// Where the record starts.
        at: usize,
    },
    /// A handshake record without a byte in it (forbidden by RFC 8446 §5.1).
    #[error("empty handshake record at byte {at}")]
    EmptyRecord {
        /// Where the record starts.
        at: usize,
    },
    /// A record longer than [`RECORD_BYTES_MAX`].
    #[error("record of {length} bytes at byte {at}, longer than {RECORD_BYTES_MAX}")]
    RecordTooLong {
        /// What its header says.
        length: usize,
        /// Where the record starts.
        at: usize,
    },
    /// A handshake message of another type.
    #[error("handshake message of type {found} where a ClientHello (1) was expected")]
    HandshakeType {
        /// The handshake type.
        found: u8,
    },
    /// More than [`HELLO_BYTES_MAX`], announced or received.
    #[error("ClientHello longer than {HELLO_BYTES_MAX} bytes")]
    TooLong,
    /// A field reaches over the end of what holds it.
    #[error("ClientHello field at offset {offset} runs over the end")]
    Overrun {
        /// Where the field starts.
        offset: usize,
    },
    /// A list of two-byte values with an odd length.
    #[error("ClientHello list at offset {offset} ends within a value")]
    OddList {
        /// Where the list starts.
        offset: usize,
    },
    /// Bytes after the last extension.
    #[error("ClientHello has bytes left over at offset {offset}")]
    LeftOver {
        /// Where they start.
        offset: usize,
    },
}

/// Reads a ClientHello that arrives in pieces.
///
/// The reader remembers the last record it has seen the end of, so each record header is looked at once however the
/// bytes are dripped, and the message itself is cut into fields once, when it is complete: the work is linear in the
/// bytes received plus a constant for each call.
#[derive(Clone, Debug, Default)]
pub struct HelloReader {
    /// Where the first record starts that was not yet received whole.
    record_at: usize,
    /// How many bytes of the message lie in the records before it.
    gathered: usize,
    /// The first bytes of the message: its type and length.
    head: [u8; 4],
}

impl HelloReader {
    /// Goes on with `bytes`: everything received since the first byte of the connection, not only what is new.
    pub fn read(&mut self, bytes: &[u8]) -> HelloState {
        match self.walk(bytes) {
            Ok(None) => HelloState::NeedMore,
            Ok(Some(end)) => match Message::new(bytes, end).client_hello() {
                Ok(hello) => HelloState::Hello(ClientHello { len: end, ..hello }),
                Err(error) => HelloState::NotHello(error),
            },
            Err(error) => HelloState::NotHello(error),
        }
    }

    /// Walks over the records; gives the position behind the last byte of the message once that byte is there.
    fn walk(&mut self, received: &[u8]) -> Result<Option<usize>, HelloError> {
        let bytes = received.get(..HELLO_BYTES_MAX).unwrap_or(received);
        while let Some((length, fragment)) = record(bytes, self.record_at)? {
            let mut head = self.head;
            for (slot, byte) in head.iter_mut().skip(self.gathered).zip(fragment) {
                *slot = *byte;
            }
            let gathered = self.gathered + fragment.len();
            let [kind, ..] = head;
            if gathered >= 1 && kind != HANDSHAKE_CLIENT_HELLO {
                return Err(HelloError::HandshakeType { found: kind });
            }
            if gathered >= head.len() {
                let needed = message_bytes(head);
                if needed > HELLO_BYTES_MAX {
                    return Err(HelloError::TooLong);
                }
                if gathered >= needed {
                    return Ok(Some(self.record_at + RECORD_HEADER_BYTES + needed - self.gathered));
                }
            }
            if fragment.len() < length {
                break;
            }
            self.record_at += RECORD_HEADER_BYTES + length;
            self.gathered = gathered;
            self.head = head;
        }
        if received.len() >= HELLO_BYTES_MAX { Err(HelloError::TooLong) } else { Ok(None) }
    }
}

/// The record that starts at `at`: the length in its header, and what there is of its fragment. `None` if the header
/// is not complete.
fn record(bytes: &[u8], at: usize) -> Result<Option<(usize, &[u8])>, HelloError> {
    let Some((header, rest)) = bytes.get(at..).and_then(|bytes| bytes.split_first_chunk()) else {
        return Ok(None);
    };
    let &[kind, major, minor, high, low]: &[u8; RECORD_HEADER_BYTES] = header;
    if kind != CONTENT_HANDSHAKE {
        return Err(HelloError::RecordType { found: kind, at });
    }
    if major != 3 || minor > 3 {
        return Err(HelloError::RecordVersion { found: u16::from_be_bytes([major, minor]), at });
    }
    match usize::from(u16::from_be_bytes([high, low])) {
        0 => Err(HelloError::EmptyRecord { at }),
        length if length > RECORD_BYTES_MAX => Err(HelloError::RecordTooLong { length, at }),
        length => Ok(Some((length, rest.get(..length).unwrap_or(rest)))),
    }
}

/// The handshake message without record headers.
struct Message<'a>(Cow<'a, [u8]>);

impl<'a> Message<'a> {
    /// Gathers the message that ends at `end` of `bytes`, whose record headers were checked by the walk. A message in
    /// one record, which is nearly every one, is not copied.
    fn new(bytes: &'a [u8], end: usize) -> Self {
        let bytes = bytes.get(..end).unwrap_or(bytes);
        let mut message = Cow::Borrowed(&[][..]);
        let mut at = 0;
        while let Ok(Some((_, fragment))) = record(bytes, at) {
            if message.is_empty() {
                message = Cow::Borrowed(fragment);
            } else {
                message.to_mut().extend_from_slice(fragment);
            }
            at += RECORD_HEADER_BYTES + fragment.len();
        }
        Self(message)
    }

    fn client_hello(&self) -> Result<ClientHello, HelloError> {
        let mut fields = Fields { rest: &self.0, offset: 0 };
        fields.take(4)?; // the type and the length, which the walk has checked
        let legacy_version = fields.u16()?;
        fields.take(32)?; // random
        fields.list8()?; // session id
        let cipher_suites = fields.list16()?.all_u16()?;
        fields.list8()?; // compression methods
        let mut hello = ClientHello {
            cipher_suites,
            legacy_version,
            versions: vec![legacy_version],
            ..ClientHello::default()
        };
        if fields.rest.is_empty() {
            return Ok(hello); // SSL 3.0 and TLS 1.0 clients may send no extensions
        }
        let mut extensions = fields.list16()?;
        if !fields.rest.is_empty() {
            return Err(HelloError::LeftOver { offset: fields.offset });
        }
        while !extensions.rest.is_empty() {
            let kind = extensions.u16()?;
            hello.add_extension(kind, extensions.list16()?);
        }
        Ok(hello)
    }
}

impl ClientHello {
    /// Takes in one extension. A malformed body is no error here: who ends this TLS refuses it with a proper alert,
    /// and who passes it through does not care.
    fn add_extension(&mut self, kind: u16, body: Fields<'_>) {
        self.extensions.push(kind);
        match kind {
            EXT_SERVER_NAME if self.sni.is_none() => self.sni = server_name(body),
            EXT_GROUPS => self.groups = body.only_list16().and_then(Fields::all_u16).unwrap_or_default(),
            EXT_POINT_FORMATS => {
                self.point_formats = body.only_list8().map(|list| list.rest.to_vec()).unwrap_or_default();
            }
            EXT_SIGNATURE_ALGORITHMS => {
                self.signature_algorithms = body.only_list16().and_then(Fields::all_u16).unwrap_or_default();
            }
            EXT_ALPN => self.alpn = protocol_names(body).unwrap_or_default(),
            EXT_SUPPORTED_VERSIONS => {
                if let Ok(versions) = body.only_list8().and_then(Fields::all_u16) {
                    self.versions = versions;
                }
            }
            EXT_ENCRYPTED_CLIENT_HELLO => self.has_ech = true,
            _ => {}
        }
    }
}

/// The one name in a `server_name` extension.
fn server_name(mut body: Fields<'_>) -> Option<String> {
    const NAME_TYPE_HOST: u8 = 0;
    let mut list = body.list16().ok()?;
    let name_type = list.u8().ok()?;
    let name = list.list16().ok()?;
    let alone = body.rest.is_empty() && list.rest.is_empty();
    let text = std::str::from_utf8(name.rest).ok()?;
    (alone && name_type == NAME_TYPE_HOST && is_host(text)).then(|| text.to_owned())
}

/// Whether `text` is a name (one final dot and underscores allowed) or an address.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    (name.len() <= 253 && name.split('.').all(is_label)) || text.parse::<IpAddr>().is_ok()
}

fn protocol_names(mut body: Fields<'_>) -> Result<Vec<Bytes>, HelloError> {
    let mut list = body.list16()?;
    let mut names = Vec::new();
    while !list.rest.is_empty() {
        names.push(Bytes::copy_from_slice(list.list8()?.rest));
    }
    Ok(names)
}

/// A cursor over the fields of a message.
#[derive(Clone, Copy)]
struct Fields<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<Self, HelloError> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or(HelloError::Overrun { offset: self.offset })?;
        let taken = Self { rest: taken, offset: self.offset };
        *self = Self { rest, offset: self.offset + count };
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, HelloError> {
        let offset = self.offset;
        self.take(1)?.rest.first().copied().ok_or(HelloError::Overrun { offset })
    }

    fn u16(&mut self) -> Result<u16, HelloError> {
        // Taken whole first, so that an overrun is told where the field starts.
        let mut both = self.take(2)?;
        Ok(u16::from_be_bytes([both.u8()?, both.u8()?]))
    }

    /// A vector with a length of one byte.
    fn list8(&mut self) -> Result<Self, HelloError> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    /// A vector with a length of two bytes.
    fn list16(&mut self) -> Result<Self, HelloError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// A vector with a length of one byte and nothing behind it.
    fn only_list8(mut self) -> Result<Self, HelloError> {
        let list = self.list8()?;
        if self.rest.is_empty() { Ok(list) } else { Err(HelloError::LeftOver { offset: self.offset }) }
    }

    /// A vector with a length of two bytes and nothing behind it.
    fn only_list16(mut self) -> Result<Self, HelloError> {
        let list = self.list16()?;
        if self.rest.is_empty() { Ok(list) } else { Err(HelloError::LeftOver { offset: self.offset }) }
    }

    /// All that is left, as two-byte values.
    fn all_u16(self) -> Result<Vec<u16>, HelloError> {
        let (pairs, odd) = self.rest.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(HelloError::OddList { offset: self.offset });
        }
        Ok(pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
    }
}
