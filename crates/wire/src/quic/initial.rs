//! The ClientHello, read out of a client's Initial packets while their datagrams arrive (RFC 9001 §5.2, RFC 9000 §17.2.2).

use super::crypto_stream::CryptoStream;
use super::packet::{ConnectionId, Cursor, Extent, LongHeader, PACKET_NUMBER_BYTES_MAX, PacketKind, Version};
use crate::client_hello::{ClientHello, HelloError, HelloState, parse_handshake};

/// How much of the protected part decides how the header was masked (RFC 9001 §5.4.2).
const SAMPLE_BYTES: usize = 16;

// Frames that may stand in Initial packets (RFC 9000 table 3).
const FRAME_PADDING: u64 = 0x00;
const FRAME_PING: u64 = 0x01;
const FRAME_ACK: u64 = 0x02;
const FRAME_ACK_ECN: u64 = 0x03;
const FRAME_CRYPTO: u64 = 0x06;
const FRAME_CONNECTION_CLOSE: u64 = 0x1c;

/// The keys that protect the Initial packets of one connection's client: the seam through which cryptography comes in.
pub trait InitialKeys: Sized {
    /// The keys for a connection whose first packet is addressed to `destination`; `None` if they cannot be had.
    fn of_client(version: Version, destination: &[u8]) -> Option<Self>;

    /// Takes the mask off the first byte and off as many bytes of the packet number as that then says (RFC 9001 §5.4.1).
    /// `sample` has 16 bytes. Says whether it could.
    fn unmask(&self, sample: &[u8], first: &mut u8, packet_number: &mut [u8]) -> bool;

    /// Decrypts `payload` in place; `None` if it was protected with other keys.
    fn open<'a>(&self, packet_number: u64, header: &[u8], payload: &'a mut [u8]) -> Option<&'a [u8]>;
}

/// What the datagrams so far are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InitialState {
    /// The beginning of a connection whose hello is not whole yet.
    NeedMore,
    /// A whole ClientHello.
    Hello(ClientHello),
    /// Not the beginning of a connection in a version that can be read.
    NotInitial,
    /// Properly protected, and malformed inside.
    Broken(InitialError),
}

/// What is wrong inside Initial packets.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InitialError {
    /// A frame that has no place in an Initial packet, or is cut short.
    #[error("unexpected frame of type {kind:#x} at offset {at}")]
    Frame {
        /// Its type.
        kind: u64,
        /// Where it stands in the decrypted payload.
        at: usize,
    },
    /// Handshake bytes that are too far from the beginning.
    #[error("handshake longer than {} bytes", crate::limits::QUIC_CRYPTO_BYTES_MAX)]
    TooLong,
    /// Too many pieces with gaps between them.
    #[error("handshake in more than {} pieces", crate::limits::QUIC_CRYPTO_PIECES_MAX)]
    TooManyPieces,
    /// The same place of the handshake with other bytes.
    #[error("handshake bytes at offset {at} sent twice, and differently")]
    Conflict {
        /// Where.
        at: usize,
    },
    /// The handshake does not begin with a ClientHello.
    #[error(transparent)]
    Hello(#[from] HelloError),
}

/// Reads the hello of one connection.
///
/// Packets for another connection are passed over. The work for a datagram is linear in its bytes, plus, while the hello
/// is not whole, a constant.
#[derive(Clone, Debug)]
pub struct InitialReader<K> {
    connection: Option<Connection<K>>,
    stream: CryptoStream,
}

#[derive(Clone, Debug)]
struct Connection<K> {
    version: Version,
    destination: ConnectionId,
    keys: K,
    /// The packet number that would follow the largest that was seen.
    next_number: u64,
}

impl<K> Default for InitialReader<K> {
    fn default() -> Self {
        Self { connection: None, stream: CryptoStream::default() }
    }
}

impl<K: InitialKeys> InitialReader<K> {
    /// The version, once a packet could be decrypted.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.connection.as_ref().map(|connection| connection.version)
    }

    /// Goes on with the next datagram that the client has sent.
    pub fn read(&mut self, datagram: &[u8]) -> InitialState {
        let mut rest = datagram;
        // Several packets may share a datagram (RFC 9000 §12.2).
        while let Some(header) = LongHeader::read(rest) {
            let Some(extent) = header.extent(rest) else { break };
            let Some((packet, next)) = rest.split_at_checked(extent.end) else { break };
            rest = next;
            if header.kind == PacketKind::Initial
                && let Err(error) = self.read_packet(&header, extent, packet)
            {
                return InitialState::Broken(error);
            }
        }
        if self.connection.is_none() {
            return InitialState::NotInitial;
        }
        match parse_handshake(self.stream.beginning()) {
            HelloState::NeedMore => InitialState::NeedMore,
            HelloState::Hello(hello) => InitialState::Hello(hello),
            HelloState::NotHello(error) => InitialState::Broken(error.into()),
        }
    }

    /// Takes in the handshake bytes of a packet. One that cannot be decrypted is passed over, as a server would.
    fn read_packet(
        &mut self,
        header: &LongHeader,
        extent: Extent,
        packet: &[u8],
    ) -> Result<(), InitialError> {
        let fresh = match &self.connection {
            Some(known) if known.version == header.version && known.destination == header.destination => None,
            Some(_) => return Ok(()),
            None => match K::of_client(header.version, header.destination.as_bytes()) {
                Some(keys) => Some(Connection {
                    version: header.version,
                    destination: header.destination,
                    keys,
                    next_number: 0,
                }),
                None => return Ok(()),
            },
        };
        let Some(connection) = fresh.as_ref().or(self.connection.as_ref()) else { return Ok(()) };
        let mut packet = packet.to_vec();
        let Some((number, payload)) = open(connection, extent.number_at, &mut packet) else { return Ok(()) };
        let next_number = connection.next_number.max(number.saturating_add(1));
        if let Some(fresh) = fresh {
            self.connection = Some(fresh);
        }
        if let Some(connection) = &mut self.connection {
            connection.next_number = next_number;
        }
        read_frames(payload, &mut self.stream)
    }
}

/// Takes the protection off a packet; gives its number and its payload.
fn open<'a, K: InitialKeys>(
    connection: &Connection<K>,
    number_at: usize,
    packet: &'a mut [u8],
) -> Option<(u64, &'a [u8])> {
    // The sample is taken as if the packet number had its full length.
    let sample_at = number_at + PACKET_NUMBER_BYTES_MAX;
    let mut sample = [0; SAMPLE_BYTES];
    sample.copy_from_slice(packet.get(sample_at..sample_at + SAMPLE_BYTES)?);
    let (first, rest) = packet.split_first_mut()?;
    let number_bytes = rest.get_mut(number_at - 1..number_at - 1 + PACKET_NUMBER_BYTES_MAX)?;
    if !connection.keys.unmask(&sample, first, number_bytes) {
        return None;
    }
    let number_len = usize::from(*first & 0x03) + 1;
    let truncated =
        number_bytes.iter().take(number_len).fold(0, |number, byte| (number << 8) | u64::from(*byte));
    let number = whole_number(truncated, number_len, connection.next_number);
    let (header, payload) = packet.split_at_mut_checked(number_at + number_len)?;
    let payload = connection.keys.open(number, header, payload)?;
    Some((number, payload))
}

/// The packet number whose last bytes are `truncated`, next to the one that is expected (RFC 9000 appendix A.3).
fn whole_number(truncated: u64, bytes: usize, expected: u64) -> u64 {
    let window = 1u64 << (8 * bytes);
    let candidate = (expected & !(window - 1)) | truncated;
    if candidate + window / 2 <= expected && candidate < (1 << 62) - window {
        candidate + window
    } else if candidate > expected + window / 2 && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

fn read_frames(payload: &[u8], stream: &mut CryptoStream) -> Result<(), InitialError> {
    let mut cursor = Cursor { bytes: payload, at: 0 };
    while !cursor.is_at_end() {
        let at = cursor.at;
        let kind = cursor.varint().ok_or(InitialError::Frame { kind: 0, at })?;
        read_frame(kind, &mut cursor, stream)?.ok_or(InitialError::Frame { kind, at })?;
    }
    Ok(())
}

/// Reads one frame; `None` if it is not one that may stand here, or cut short.
fn read_frame(
    kind: u64,
    cursor: &mut Cursor<'_>,
    stream: &mut CryptoStream,
) -> Result<Option<()>, InitialError> {
    match kind {
        FRAME_PADDING | FRAME_PING => {}
        FRAME_ACK | FRAME_ACK_ECN => return Ok(skip_ack(cursor, kind == FRAME_ACK_ECN)),
        FRAME_CRYPTO => {
            let Some(offset) = cursor.varint() else { return Ok(None) };
            let Some(data) = sized(cursor) else { return Ok(None) };
            stream.insert(offset, data)?;
        }
        // Error code and type of the frame that caused it, then words.
        FRAME_CONNECTION_CLOSE => return Ok(skip_varints(cursor, 2).and_then(|()| sized(cursor)).map(drop)),
        _ => return Ok(None),
    }
    Ok(Some(()))
}

/// Bytes with their length in front.
fn sized<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let length = usize::try_from(cursor.varint()?).ok()?;
    cursor.take(length)
}

/// RFC 9000 §19.3: largest, delay, count of ranges, first range; then two numbers for each range.
fn skip_ack(cursor: &mut Cursor<'_>, ecn: bool) -> Option<()> {
    skip_varints(cursor, 2)?;
    let ranges = cursor.varint()?;
    skip_varints(cursor, ranges.checked_mul(2)?.checked_add(1)?)?;
    skip_varints(cursor, if ecn { 3 } else { 0 })
}

fn skip_varints(cursor: &mut Cursor<'_>, count: u64) -> Option<()> {
    // Ends with the bytes at the latest, whatever the count says.
    for _ in 0..count {
        cursor.varint()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_numbers_are_completed() {
        // RFC 9000 appendix A.3 has the first.
        for (truncated, bytes, expected, number) in [
            (0x9b32, 2, 0xa82f_30eb, 0xa82f_9b32),
            (0, 1, 0, 0),
            (2, 4, 0, 2),
            (0xff, 1, 0, 0xff),
            (0x01, 1, 0xff, 0x101),
            (0xfe, 1, 0x101, 0xfe),
        ] {
            assert_eq!(whole_number(truncated, bytes, expected), number, "{truncated:x} {expected:x}");
        }
    }
}
