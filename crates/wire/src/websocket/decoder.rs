//! Reading one direction: frames out of bytes, messages out of frames.
//!
//! Pieces of any size may come; what is told does not depend on where they were cut. After the first fault nothing more can be
//! said for sure, so the decoder stays with it.

use bytes::Bytes;

use super::event::{CloseFrame, Event, Message, MessageKind};
use super::extensions::Deflate;
use super::fault::{DecodeError, Fault};
use super::frame::{FrameHeader, HEADER_BYTES_MAX, Opcode};
use super::inflate::Inflater;
use super::mask::apply_mask;
use super::prefix::{Prefix, append_unmasked};

/// How much of a masked, compressed payload is unmasked at once, in bytes.
const UNMASK_BYTES: usize = 4 * 1024;
/// The bit that compressed messages have, as it stands in the first byte.
const RSV1: u8 = 0x40;

/// Whose frames they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sender {
    /// Must mask.
    Client,
    /// Must not.
    Server,
}

/// Reads what one side sends behind the handshake.
#[derive(Debug)]
pub struct FrameDecoder {
    sender: Sender,
    inflater: Option<Inflater>,
    content_bytes_max: usize,
    header: PartialHeader,
    frame: Option<Frame>,
    message: Option<Assembly>,
    control: Vec<u8>,
    closed: bool,
    /// How many bytes were taken.
    taken: u64,
    /// Where the frame in hand begins.
    frame_at: u64,
    failed: Option<DecodeError>,
}

/// A header of which some bytes came.
#[derive(Debug, Default)]
struct PartialHeader {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

/// A frame whose payload is being read.
#[derive(Clone, Copy, Debug)]
struct Frame {
    header: FrameHeader,
    read: u64,
}

/// A message whose frames are being read.
#[derive(Debug)]
struct Assembly {
    kind: MessageKind,
    compressed: bool,
    content: Prefix,
}

impl FrameDecoder {
    /// A decoder for what `sender` sends, if this is what the handshake agreed to. Of each message it keeps the first
    /// `content_bytes_max` bytes; with 0 it only looks at headers and inflates nothing.
    #[must_use]
    pub fn new(sender: Sender, deflate: Option<&Deflate>, content_bytes_max: usize) -> Self {
        let side = deflate.map(|deflate| match sender {
            Sender::Client => deflate.client,
            Sender::Server => deflate.server,
        });
        Self {
            sender,
            inflater: side.map(|side| Inflater::new(side.context_takeover)),
            content_bytes_max,
            header: PartialHeader::default(),
            frame: None,
            message: None,
            control: Vec::new(),
            closed: false,
            taken: 0,
            frame_at: 0,
            failed: None,
        }
    }

    /// Takes the next piece, and hands over what is whole with it.
    ///
    /// # Errors
    /// If the stream is malformed; then and ever after the same. What was whole before the fault was handed over.
    pub fn push(&mut self, bytes: &[u8], mut on_event: impl FnMut(Event)) -> Result<(), DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.read(bytes, &mut on_event).map_err(|fault| {
            // Nothing that is in hand will ever be finished.
            (self.message, self.inflater) = (None, None);
            *self.failed.insert(DecodeError { fault, at: self.frame_at })
        })
    }

    fn read(&mut self, mut bytes: &[u8], on_event: &mut impl FnMut(Event)) -> Result<(), Fault> {
        loop {
            let mut frame = match self.frame {
                Some(frame) => frame,
                None if bytes.is_empty() => return Ok(()),
                None => match self.take_header(&mut bytes)? {
                    Some(header) => self.begin_frame(header)?,
                    None => return Ok(()),
                },
            };
            let left = frame.header.len - frame.read;
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let (piece, rest) = bytes.split_at(n);
            self.payload(frame, piece)?;
            bytes = rest;
            self.taken += n as u64;
            frame.read += n as u64;
            if frame.read < frame.header.len {
                self.frame = Some(frame);
                return Ok(());
            }
            self.frame = None;
            self.end_frame(frame.header, on_event)?;
        }
    }

    /// The next header, once it is whole.
    fn take_header(&mut self, bytes: &mut &[u8]) -> Result<Option<FrameHeader>, Fault> {
        if self.header.len == 0 {
            self.frame_at = self.taken;
            if self.closed {
                return Err(Fault::AfterClose);
            }
            if let Some((header, len)) = FrameHeader::parse(bytes)? {
                *bytes = bytes.get(len..).unwrap_or_default();
                self.taken += len as u64;
                return Ok(Some(header));
            }
        }
        // It came in pieces, which is rare: then it is put together byte by byte.
        while let Some((byte, rest)) = bytes.split_first() {
            *bytes = rest;
            self.taken += 1;
            if let Some(header) = self.header.push(*byte)? {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    fn begin_frame(&mut self, header: FrameHeader) -> Result<Frame, Fault> {
        match (self.sender, header.mask) {
            (Sender::Client, None) => return Err(Fault::Unmasked),
            (Sender::Server, Some(_)) => return Err(Fault::Masked),
            _ => {}
        }
        let kind = match header.opcode {
            Opcode::Text => Some(MessageKind::Text),
            Opcode::Binary => Some(MessageKind::Binary),
            Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => None,
        };
        // RFC 7692 section 6: only the first frame of a message says whether it is compressed.
        if header.rsv1 && (kind.is_none() || self.inflater.is_none()) {
            return Err(Fault::ReservedBits(RSV1));
        }
        match (kind, &self.message) {
            (Some(_), Some(_)) => return Err(Fault::Interrupted),
            (Some(kind), None) => {
                let mut content = Prefix::new(self.content_bytes_max);
                if !header.rsv1 {
                    content.make_room(header.len);
                }
                self.message = Some(Assembly { kind, compressed: header.rsv1, content });
            }
            (None, None) if header.opcode == Opcode::Continuation => return Err(Fault::NothingToContinue),
            (None, _) => {}
        }
        Ok(Frame { header, read: 0 })
    }

    fn payload(&mut self, frame: Frame, piece: &[u8]) -> Result<(), Fault> {
        let FrameHeader { opcode, mask, .. } = frame.header;
        if opcode.is_control() {
            append_unmasked(&mut self.control, piece, mask, frame.read);
            return Ok(());
        }
        let Some(message) = &mut self.message else { return Ok(()) };
        if self.content_bytes_max == 0 {
            message.content.truncated |= !piece.is_empty();
            return Ok(());
        }
        let Some(inflater) = self.inflater.as_mut().filter(|_| message.compressed) else {
            message.content.append(piece, mask, frame.read);
            return Ok(());
        };
        let Some(key) = mask else { return inflater.push(piece, &mut message.content) };
        let mut buf = [0; UNMASK_BYTES];
        let mut offset = frame.read;
        for piece in piece.chunks(UNMASK_BYTES) {
            let Some(unmasked) = buf.get_mut(..piece.len()) else { continue };
            unmasked.copy_from_slice(piece);
            apply_mask(unmasked, key, offset);
            inflater.push(unmasked, &mut message.content)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }

    fn end_frame(&mut self, header: FrameHeader, on_event: &mut impl FnMut(Event)) -> Result<(), Fault> {
        match header.opcode {
            Opcode::Ping => on_event(Event::Ping(self.take_control())),
            Opcode::Pong => on_event(Event::Pong(self.take_control())),
            Opcode::Close => {
                let (close, fault) = CloseFrame::read(&self.take_control());
                self.closed = true;
                if let Some(close) = close {
                    on_event(Event::Close(close));
                }
                fault.map_or(Ok(()), Err)?;
            }
            Opcode::Text | Opcode::Binary | Opcode::Continuation if header.fin => {
                let Some(mut message) = self.message.take() else { return Ok(()) };
                if message.compressed
                    && self.content_bytes_max > 0
                    && let Some(inflater) = &mut self.inflater
                {
                    inflater.finish(&mut message.content)?;
                }
                on_event(Event::Message(message.finish()));
            }
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {}
        }
        Ok(())
    }

    fn take_control(&mut self) -> Bytes {
        std::mem::take(&mut self.control).into()
    }
}

impl PartialHeader {
    /// One more byte; the header, if it is the last.
    fn push(&mut self, byte: u8) -> Result<Option<FrameHeader>, Fault> {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
        let parsed = FrameHeader::parse(self.bytes.get(..self.len).unwrap_or_default())?;
        Ok(parsed.map(|(header, _)| {
            self.len = 0;
            header
        }))
    }
}

impl Assembly {
    fn finish(self) -> Message {
        // Kept for as long as its flow: without the room that growing left over.
        let content = self.content.bytes.into_boxed_slice().into();
        Message { kind: self.kind, content, truncated: self.content.truncated }
    }
}
