//! Length-Prefixed-Messages of gRPC (its PROTOCOL-HTTP2): a byte of flags, four of length, the message. In gRPC-Web the highest flag
//! marks the trailers.

use bytes::{Buf, Bytes};
use flowgate_flow::BodyMessageKind;

use super::Message;

const COMPRESSED: u8 = 0x01;
const TRAILERS: u8 = 0x80;

#[derive(Debug)]
pub(super) struct Grpc {
    content_bytes_max: usize,
    prefix: [u8; 5],
    prefix_len: usize,
    message: Option<Partial>,
    /// It is no gRPC.
    failed: bool,
}

/// A message of which the prefix came.
#[derive(Debug)]
struct Partial {
    flags: u8,
    len: u32,
    left: u32,
    content: Vec<u8>,
}

impl Grpc {
    pub(super) const fn new(content_bytes_max: usize) -> Self {
        Self { content_bytes_max, prefix: [0; 5], prefix_len: 0, message: None, failed: false }
    }

    pub(super) fn push(&mut self, piece: &Bytes, mut on_message: impl FnMut(Message)) {
        let mut rest = piece.clone();
        while !self.failed {
            let Some(mut message) = self.message.take().or_else(|| self.take_prefix(&mut rest)) else {
                return;
            };
            let n = usize::try_from(message.left).unwrap_or(usize::MAX).min(rest.len());
            let came = rest.split_to(n);
            message.left -= u32::try_from(n).unwrap_or(message.left);
            if message.left > 0 || !message.content.is_empty() {
                let room = self.content_bytes_max - message.content.len();
                message.content.extend_from_slice(came.get(..room).unwrap_or(&came));
            }
            if message.left > 0 {
                self.message = Some(message);
                return;
            }
            // One that came in one piece is not copied.
            let content = if message.content.is_empty() {
                came.slice(..came.len().min(self.content_bytes_max))
            } else {
                message.content.into()
            };
            on_message(Message {
                truncated: (content.len() as u64) < u64::from(message.len),
                kind: BodyMessageKind::Grpc {
                    compressed: message.flags & COMPRESSED != 0,
                    trailers: message.flags & TRAILERS != 0,
                    len: message.len,
                },
                content,
            });
        }
    }

    fn take_prefix(&mut self, rest: &mut Bytes) -> Option<Partial> {
        let wanted = self.prefix.len() - self.prefix_len;
        let n = wanted.min(rest.len());
        let slots = self.prefix.iter_mut().skip(self.prefix_len);
        slots.zip(rest.iter()).for_each(|(slot, byte)| *slot = *byte);
        rest.advance(n);
        self.prefix_len += n;
        if n < wanted {
            return None;
        }
        self.prefix_len = 0;
        let [flags, len @ ..] = self.prefix;
        self.failed = flags & !(COMPRESSED | TRAILERS) != 0;
        let len = u32::from_be_bytes(len);
        (!self.failed).then_some(Partial { flags, len, left: len, content: Vec::new() })
    }
}
