//! LDAP as far as it takes to ask a directory whether somebody is who they say (RFC 4511): bind, search, and what comes back, in the
//! part of BER that LDAP uses (section 5.1).
//!
//! Names go into searches as bytes of their own, never as a part of a filter's text, so there is nothing to escape (RFC 4515 is
//! about that text). Not here: sockets, and who is asked.

use thiserror::Error;

use crate::limits::LDAP_MESSAGE_BYTES_MAX;

/// Tags of BER and of LDAP's operations.
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const SEQUENCE: u8 = 0x30;
const BIND_REQUEST: u8 = 0x60;
const BIND_RESPONSE: u8 = 0x61;
const UNBIND_REQUEST: u8 = 0x42;
const SEARCH_REQUEST: u8 = 0x63;
const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const SIMPLE: u8 = 0x80;
const EQUALITY_MATCH: u8 = 0xa3;
const VERSION: u8 = 3;

/// Below which entry, and by what, somebody is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// The entry below which all are looked at.
    pub base: &'a str,
    /// The attribute that has to have the value.
    pub key: &'a str,
    /// The value, whatever bytes it has.
    pub value: &'a [u8],
    /// How many entries are wanted at most.
    pub entries_max: u8,
    /// How many seconds the server may take.
    pub seconds_max: u8,
}

/// What a server says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// To which of our messages.
    pub id: u32,
    /// What.
    pub says: Says,
}

/// What a server says that matters here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Says {
    /// How a bind went; 0 is well (RFC 4511 appendix A).
    Bound(u32),
    /// An entry was found; this is its name.
    Entry(String),
    /// A search is over; 0 is well.
    Done(u32),
    /// Something else: a reference to another server, or that it is about to close.
    Other,
}

/// Why what came is no message.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum LdapError {
    /// Longer than any answer to our questions.
    #[error("an LDAP message of more than {LDAP_MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    /// Not BER, or not in the order of LDAP.
    #[error("malformed LDAP message at byte {at}")]
    Malformed {
        /// Where.
        at: usize,
    },
}

/// "It is me, by this password" (RFC 4511 section 4.2). With an empty password many servers say yes to anybody: callers see to that.
#[must_use]
pub fn bind(id: u8, name: &str, password: &[u8]) -> Vec<u8> {
    let said =
        [element(INTEGER, &[VERSION]), element(OCTET_STRING, name.as_bytes()), element(SIMPLE, password)];
    message(id, BIND_REQUEST, &said.concat())
}

/// Looks for entries, whose names alone are wanted (RFC 4511 section 4.5).
#[must_use]
pub fn search(id: u8, what: &Search<'_>) -> Vec<u8> {
    const WHOLE_SUBTREE: u8 = 2;
    const ALIASES_ALWAYS: u8 = 3;
    /// No attributes at all (RFC 4511 section 4.5.1.8).
    const NO_ATTRIBUTES: &[u8] = b"1.1";
    let equal = [element(OCTET_STRING, what.key.as_bytes()), element(OCTET_STRING, what.value)];
    let asked = [
        element(OCTET_STRING, what.base.as_bytes()),
        element(ENUMERATED, &[WHOLE_SUBTREE]),
        element(ENUMERATED, &[ALIASES_ALWAYS]),
        element(INTEGER, &[what.entries_max & 0x7f]),
        element(INTEGER, &[what.seconds_max & 0x7f]),
        element(BOOLEAN, &[0xff]),
        element(EQUALITY_MATCH, &equal.concat()),
        element(SEQUENCE, &element(OCTET_STRING, NO_ATTRIBUTES)),
    ];
    message(id, SEARCH_REQUEST, &asked.concat())
}

/// "Good-bye" (RFC 4511 section 4.3).
#[must_use]
pub fn unbind(id: u8) -> Vec<u8> {
    message(id, UNBIND_REQUEST, &[])
}

/// Reads a message, and says how many bytes it took; `None` until it is there whole.
///
/// # Errors
/// If it is none, or longer than [`LDAP_MESSAGE_BYTES_MAX`], as soon as that can be told.
pub fn parse(received: &[u8]) -> Result<Option<(Message, usize)>, LdapError> {
    let mut input = Input { bytes: received, at: 0 };
    let Some((tag, length)) = input.header()? else { return Ok(None) };
    if tag != SEQUENCE {
        return Err(LdapError::Malformed { at: 0 });
    }
    if length > LDAP_MESSAGE_BYTES_MAX {
        return Err(LdapError::TooLong);
    }
    let end = input.at + length;
    let Some(whole) = received.get(..end) else { return Ok(None) };
    let mut input = Input { bytes: whole, at: input.at };
    let id = input.number(INTEGER)?;
    let (operation, content) = input.element()?;
    let mut inner = Input { bytes: content.bytes, at: content.at };
    let says = match operation {
        BIND_RESPONSE => Says::Bound(inner.number(ENUMERATED)?),
        SEARCH_DONE => Says::Done(inner.number(ENUMERATED)?),
        SEARCH_ENTRY => {
            let name = inner.expect(OCTET_STRING)?;
            let at = name.at;
            let text = name.rest().and_then(|bytes| std::str::from_utf8(bytes).ok());
            Says::Entry(text.ok_or(LdapError::Malformed { at })?.to_owned())
        }
        _ => Says::Other,
    };
    // What follows (a message for people, referrals, controls) is nobody's concern here.
    Ok(Some((Message { id, says }, end)))
}

fn message(id: u8, operation: u8, content: &[u8]) -> Vec<u8> {
    let said = [element(INTEGER, &[id & 0x7f]), element(operation, content)];
    element(SEQUENCE, &said.concat())
}

/// A tag, the length of the content, and the content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    match u8::try_from(content.len()) {
        Ok(short @ ..=0x7f) => out.push(short),
        _ => {
            let zeros = length.iter().take_while(|byte| **byte == 0).count();
            let significant = length.get(zeros..).unwrap_or_default();
            // As many as a length of this machine has at most.
            out.push(0x80 | u8::try_from(significant.len()).unwrap_or_default());
            out.extend_from_slice(significant);
        }
    }
    out.extend_from_slice(content);
    out
}

/// What is read, up to the end of an element, and how far it was read.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn malformed(&self) -> LdapError {
        LdapError::Malformed { at: self.at }
    }

    fn rest(&self) -> Option<&'a [u8]> {
        self.bytes.get(self.at..)
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    /// A tag and a length; `None` if they are not there whole.
    fn header(&mut self) -> Result<Option<(u8, usize)>, LdapError> {
        let Some(tag) = self.byte() else { return Ok(None) };
        let Some(first) = self.byte() else { return Ok(None) };
        if first < 0x80 {
            return Ok(Some((tag, first.into())));
        }
        // Only lengths that are known beforehand (RFC 4511 section 5.1), in no more bytes than any length needs.
        let count = first & 0x7f;
        if count == 0 || count > 4 {
            return Err(LdapError::Malformed { at: self.at - 1 });
        }
        let mut length = 0_usize;
        for _ in 0..count {
            let Some(byte) = self.byte() else { return Ok(None) };
            length = length << 8 | usize::from(byte);
        }
        Ok(Some((tag, length)))
    }

    /// An element that has to be there whole, and what is in it.
    fn element(&mut self) -> Result<(u8, Self), LdapError> {
        let (tag, length) = self.header()?.ok_or_else(|| self.malformed())?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.malformed())?;
        let content = Self { bytes: self.bytes.get(..end).unwrap_or_default(), at: self.at };
        self.at = end;
        Ok((tag, content))
    }

    fn expect(&mut self, wanted: u8) -> Result<Self, LdapError> {
        let at = self.at;
        let (tag, content) = self.element()?;
        if tag == wanted { Ok(content) } else { Err(LdapError::Malformed { at }) }
    }

    /// A whole number that is not negative, of at most four bytes.
    fn number(&mut self, tag: u8) -> Result<u32, LdapError> {
        let content = self.expect(tag)?;
        let bytes = content.rest().unwrap_or_default();
        let fits = matches!(bytes.len(), 1..=4) && bytes.first().is_some_and(|first| *first < 0x80);
        if !fits {
            return Err(content.malformed());
        }
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }
}
