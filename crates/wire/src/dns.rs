//! DNS messages (RFC 1035 section 4): from bytes to what flows keep of them, and back.
//!
//! Names are text with dots between their labels and none at the end. A dot or backslash inside a label is escaped by a backslash,
//! and a byte that is no printable ASCII is `\DDD` (RFC 4343 section 2.1), so that no two names look the same and nothing is lost.
//! Names inside records are read without compression, as [`DnsRecord`] has them. Not here: sockets, whom to ask, and what an answer
//! means.

use bytes::{BufMut, Bytes};
use flowgate_flow::{DnsMessage, DnsQuestion, DnsRecord};
use thiserror::Error;

mod data;
mod name;

/// A name as records hold it, if nothing stands behind it; `None` if it is none.
#[must_use]
pub fn name_in(data: &[u8]) -> Option<String> {
    let mut from = Reader { message: data, at: 0 };
    let name = from.name().ok()?;
    (from.at == data.len()).then_some(name)
}

/// Why bytes are no DNS message.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum DnsError {
    /// It ends too early.
    #[error("a DNS message that ends too early, at byte {at}")]
    Incomplete {
        /// Where.
        at: usize,
    },
    /// A name that is none: too long, of a kind of label that nobody uses, or one that leads on to itself.
    #[error("a bad name in a DNS message, at byte {at}")]
    Name {
        /// Where its bad part begins.
        at: usize,
    },
    /// More than the counts in its head announce.
    #[error("bytes behind the end of a DNS message, at byte {at}")]
    Trailing {
        /// Where it ends.
        at: usize,
    },
}

/// Why a message cannot be written.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum DnsEncodeError {
    /// A name with a label that is empty or longer than 63 bytes, or that is longer than 255 bytes with all of them.
    #[error("`{}` is no name that DNS can carry", name.escape_debug())]
    Name {
        /// It.
        name: String,
    },
    /// A number, of records or of bytes in one, that its field has no room for.
    #[error("{what} of a DNS message is too large: {number}")]
    Number {
        /// Which.
        what: &'static str,
        /// It.
        number: usize,
    },
}

/// Reads a message, without the length that stands before it over TCP.
///
/// # Errors
/// If it is none, or more than one.
pub fn decode(message: &[u8]) -> Result<DnsMessage, DnsError> {
    let mut from = Reader { message, at: 0 };
    let id = from.u16()?;
    let flags = from.u16()?;
    let bit = |at: u16| flags >> at & 1 == 1;
    let [questions, answers, authorities, additionals] = [from.u16()?, from.u16()?, from.u16()?, from.u16()?];
    // What a peer announces makes no room: only what came does.
    let questions = (0..questions).map(|_| from.question()).collect::<Result<_, _>>()?;
    let mut records = |count: u16| (0..count).map(|_| from.record()).collect::<Result<Vec<_>, _>>();
    let [answers, authorities, additionals] =
        [records(answers)?, records(authorities)?, records(additionals)?];
    if from.at < message.len() {
        return Err(DnsError::Trailing { at: from.at });
    }
    Ok(DnsMessage {
        id,
        query: !bit(15),
        op_code: (flags >> 11 & 0xf) as u8,
        authoritative_answer: bit(10),
        truncation: bit(9),
        recursion_desired: bit(8),
        recursion_available: bit(7),
        reserved: (flags >> 4 & 0x7) as u8,
        response_code: flags & 0xf,
        questions,
        answers,
        authorities,
        additionals,
        timestamp: None,
    })
}

/// Writes a message, without compression. Labels in other letters than ASCII are written as `xn--`.
///
/// # Errors
/// If a part of it has no room in the form of the wire.
pub fn encode(message: &DnsMessage) -> Result<Vec<u8>, DnsEncodeError> {
    let mut out = Vec::with_capacity(HEAD_BYTES);
    let bit = |set: bool, at: u16| u16::from(set) << at;
    let within = |what, number: u16, max: u16| match number <= max {
        true => Ok(number),
        false => Err(DnsEncodeError::Number { what, number: number.into() }),
    };
    let flags = bit(!message.query, 15)
        | within("the opcode", message.op_code.into(), 0xf)? << 11
        | bit(message.authoritative_answer, 10)
        | bit(message.truncation, 9)
        | bit(message.recursion_desired, 8)
        | bit(message.recursion_available, 7)
        | within("the reserved field", message.reserved.into(), 0x7)? << 4
        | within("the response code", message.response_code, 0xf)?;
    out.put_u16(message.id);
    out.put_u16(flags);
    let sections = [&message.answers, &message.authorities, &message.additionals];
    put_length("the number of questions", message.questions.len(), &mut out)?;
    for section in sections {
        put_length("the number of records", section.len(), &mut out)?;
    }
    for DnsQuestion { name, kind, class } in &message.questions {
        name::put(name, &mut out)?;
        out.put_u16(*kind);
        out.put_u16(*class);
    }
    for DnsRecord { name, kind, class, ttl, data } in sections.into_iter().flatten() {
        name::put(name, &mut out)?;
        out.put_u16(*kind);
        out.put_u16(*class);
        out.put_u32(*ttl);
        put_length("the length of a record", data.len(), &mut out)?;
        out.extend_from_slice(data);
    }
    Ok(out)
}

fn put_length(what: &'static str, number: usize, out: &mut Vec<u8>) -> Result<(), DnsEncodeError> {
    out.put_u16(u16::try_from(number).map_err(|_| DnsEncodeError::Number { what, number })?);
    Ok(())
}

/// Reads a message from its beginning to its end; names may lead back.
#[derive(Clone, Copy)]
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], DnsError> {
        let end = self.at.saturating_add(count);
        let taken = self.message.get(self.at..end).ok_or(DnsError::Incomplete { at: self.message.len() })?;
        self.at = end;
        Ok(taken)
    }

    fn number(&mut self, bytes: usize) -> Result<u32, DnsError> {
        Ok(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn u8(&mut self) -> Result<u8, DnsError> {
        Ok(self.number(1)? as u8)
    }

    fn u16(&mut self) -> Result<u16, DnsError> {
        Ok(self.number(2)? as u16)
    }

    fn question(&mut self) -> Result<DnsQuestion, DnsError> {
        Ok(DnsQuestion { name: self.name()?, kind: self.u16()?, class: self.u16()? })
    }

    fn record(&mut self) -> Result<DnsRecord, DnsError> {
        let (name, kind, class, ttl) = (self.name()?, self.u16()?, self.u16()?, self.number(4)?);
        let len = self.u16()?.into();
        let before = *self;
        let data = self.take(len)?;
        // A record whose data is not what its type says is kept as it came.
        let data = before.uncompressed(kind, len).map_or_else(|| Bytes::copy_from_slice(data), Bytes::from);
        Ok(DnsRecord { name, kind, class, ttl, data })
    }
}

const HEAD_BYTES: usize = 12;
