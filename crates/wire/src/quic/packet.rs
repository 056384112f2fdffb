//! Headers of packets, as far as they are not protected (RFC 8999, RFC 9000 §17.2).

use std::fmt;

/// The longest connection ID of versions 1 and 2, in bytes (RFC 9000 §17.2).
const CONNECTION_ID_BYTES_MAX: usize = 20;
/// What is protected begins with the packet number, of which no more than this is there (RFC 9000 §17.1).
pub(super) const PACKET_NUMBER_BYTES_MAX: usize = 4;

/// A version whose Initial packets can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// RFC 9000.
    V1,
    /// RFC 9369.
    V2,
}

impl Version {
    /// The version of this number.
    #[must_use]
    pub const fn of(number: u32) -> Option<Self> {
        match number {
            0x0000_0001 => Some(Self::V1),
            0x6b33_43cf => Some(Self::V2),
            _ => None,
        }
    }
}

/// A connection ID: what a side wants the other to write in front of its packets.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct ConnectionId {
    /// Unused bytes are zero, so that equality is that of the arrays.
    bytes: [u8; CONNECTION_ID_BYTES_MAX],
    len: u8,
}

impl ConnectionId {
    /// `None` if it is longer than versions 1 and 2 allow.
    #[must_use]
    pub fn new(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; CONNECTION_ID_BYTES_MAX];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self { bytes, len: u8::try_from(id.len()).ok()? })
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether a packet with a short header is addressed to this ID. The length of the ID stands nowhere in such a packet:
    /// only who knows the ID can find it (RFC 9000 §17.3). Nothing is addressed to an ID without bytes.
    #[must_use]
    pub fn is_destination_of(&self, datagram: &[u8]) -> bool {
        match datagram {
            [first, rest @ ..] => self.len > 0 && first & 0x80 == 0 && rest.starts_with(self.as_bytes()),
            [] => false,
        }
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a packet with a long header is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "each is the packet type of its name")]
pub enum PacketKind {
    Initial,
    ZeroRtt,
    Handshake,
    Retry,
}

/// The part of a long header that versions 1 and 2 have in common.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LongHeader {
    /// The version.
    pub version: Version,
    /// What the packet is for.
    pub kind: PacketKind,
    /// Whom it is for.
    pub destination: ConnectionId,
    /// By what the sender wants to be called.
    pub source: ConnectionId,
    /// How many bytes of the packet this is.
    len: usize,
}

/// Where the parts of a packet are that has a length and a packet number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Extent {
    /// Where the packet number begins.
    pub(super) number_at: usize,
    /// Where the packet ends.
    pub(super) end: usize,
}

impl LongHeader {
    /// Reads the header of the packet that `bytes` begin with; `None` if it has a short header, is of another version or
    /// malformed.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (&[first, v0, v1, v2, v3], rest) = bytes.split_first_chunk()?;
        // Long form, and the bit that is fixed in these versions.
        if first & 0xc0 != 0xc0 {
            return None;
        }
        let version = Version::of(u32::from_be_bytes([v0, v1, v2, v3]))?;
        let (destination, rest) = connection_id(rest)?;
        let (source, rest) = connection_id(rest)?;
        let len = bytes.len() - rest.len();
        Some(Self { version, kind: kind(version, first), destination, source, len })
    }

    /// Where the rest of the packet is; `None` if it has no length (Retry), or is cut short.
    pub(super) fn extent(&self, bytes: &[u8]) -> Option<Extent> {
        let mut cursor = Cursor { bytes, at: self.len };
        match self.kind {
            PacketKind::Retry => return None,
            PacketKind::Initial => {
                let token = usize::try_from(cursor.varint()?).ok()?;
                cursor.take(token)?;
            }
            PacketKind::ZeroRtt | PacketKind::Handshake => {}
        }
        let length = usize::try_from(cursor.varint()?).ok()?;
        let number_at = cursor.at;
        cursor.take(length)?;
        Some(Extent { number_at, end: cursor.at })
    }
}

/// RFC 9000 table 5, RFC 9369 §3.2.
const fn kind(version: Version, first: u8) -> PacketKind {
    match (version, (first >> 4) & 3) {
        (Version::V1, 0) | (Version::V2, 1) => PacketKind::Initial,
        (Version::V1, 1) | (Version::V2, 2) => PacketKind::ZeroRtt,
        (Version::V1, 2) | (Version::V2, 3) => PacketKind::Handshake,
        _ => PacketKind::Retry,
    }
}

fn connection_id(bytes: &[u8]) -> Option<(ConnectionId, &[u8])> {
    let (len, rest) = bytes.split_first()?;
    let (id, rest) = rest.split_at_checked(usize::from(*len))?;
    Some((ConnectionId::new(id)?, rest))
}

/// A place in bytes.
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// A variable-length integer (RFC 9000 §16).
    pub(super) fn varint(&mut self) -> Option<u64> {
        let first = *self.bytes.get(self.at)?;
        let taken = self.take(1 << (first >> 6))?;
        let value = taken.iter().fold(0u64, |value, byte| (value << 8) | u64::from(*byte));
        Some(value & (u64::MAX >> (66 - 8 * taken.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_length_integers() {
        // RFC 9000 appendix A.1.
        for (bytes, value) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], Some(151_288_809_941_952_652)),
            (&[0x9d, 0x7f, 0x3e, 0x7d], Some(494_878_333)),
            (&[0x7b, 0xbd], Some(15_293)),
            (&[0x25], Some(37)),
            (&[0x40, 0x25], Some(37)),
            (&[0x40], None),
            (&[], None),
        ] {
            assert_eq!(Cursor { bytes, at: 0 }.varint(), value, "{bytes:02x?}");
        }
    }

    #[test]
    fn kinds_of_both_versions() {
        use PacketKind::{Handshake, Initial, Retry, ZeroRtt};
        let read = |first: u8, version: [u8; 4]| {
            let bytes = [&[first], &version[..], &[1, 7, 2, 8, 9, 0, 0]].concat();
            LongHeader::read(&bytes).map(|header| header.kind)
        };
        for (first, v1, v2) in [
            (0xc0, Initial, Retry),
            (0xd0, ZeroRtt, Initial),
            (0xe0, Handshake, ZeroRtt),
            (0xff, Retry, Handshake),
        ] {
            assert_eq!(read(first, [0, 0, 0, 1]), Some(v1), "{first:02x}");
            assert_eq!(read(first, [0x6b, 0x33, 0x43, 0xcf]), Some(v2), "{first:02x}");
        }
        for (first, version) in
            [(0x40, [0, 0, 0, 1]), (0x80, [0, 0, 0, 1]), (0xc0, [0; 4]), (0xc0, [0xff, 0, 0, 29])]
        {
            assert_eq!(read(first, version), None, "{first:02x} {version:02x?}");
        }
    }

    #[test]
    fn connection_ids_have_a_longest_length() {
        assert!(ConnectionId::new(&[7; CONNECTION_ID_BYTES_MAX]).is_some());
        assert!(ConnectionId::new(&[7; CONNECTION_ID_BYTES_MAX + 1]).is_none());
        assert_ne!(ConnectionId::new(&[0]), ConnectionId::new(&[0, 0]));
    }

    #[test]
    fn short_headers_are_matched_by_who_knows_the_id() {
        let id = ConnectionId::new(&[1, 2, 3]).unwrap();
        assert!(id.is_destination_of(&[0x41, 1, 2, 3, 9]));
        assert!(!id.is_destination_of(&[0xc1, 1, 2, 3, 9]), "a long header");
        assert!(!id.is_destination_of(&[0x41, 1, 2]));
        assert!(!id.is_destination_of(&[]));
        assert!(!ConnectionId::new(&[]).unwrap().is_destination_of(&[0x41, 1]));
    }
}
