//! Messages of a WebSocket on `websocket_message`: held until they are whole, and sent on as they came unless they were changed.
//!
//! Fragments and compression stay as they were where nothing changes. What is changed or injected goes uncompressed, which
//! permessage-deflate lets a sender do with any message (RFC 7692 section 6); if the messages behind it might refer to one that
//! its receiver never saw, they are uncompressed too from then on. Control frames are not messages: they cross between them.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use flowgate_flow::Flow;
use flowgate_net::{BoxIo, RelayEnd};
use flowgate_wire::limits::WEBSOCKET_MESSAGE_BYTES_MAX;
use flowgate_wire::websocket::{
    Event, FrameDecoder, FrameHeader, Message, MessageKind, Opcode, Sender, apply_mask,
};
use std::sync::atomic::AtomicU64;

use super::{Way, run};
use crate::addon::{Injected, LiveMessage, Moment};
use crate::context::Context;
use crate::websocket::Record;
use tokio::sync::mpsc;

/// One direction's reader, and whether its messages may refer to those before them.
pub(crate) struct Reader {
    pub(crate) decoder: FrameDecoder,
    pub(crate) context_takeover: bool,
}

/// Relays what both sides send, message by message.
pub(crate) async fn relay(
    context: &Context,
    flow: &Arc<Flow>,
    record: &mut Record<'_>,
    (client, server): (BoxIo, BoxIo),
    (of_client, of_server): (Reader, Reader),
    injections: (mpsc::Receiver<Injected>, mpsc::Receiver<Injected>),
    activity: &AtomicU64,
) -> RelayEnd {
    let record = Mutex::new(record);
    let way = |sender, reader: Reader| Messages {
        context,
        flow,
        record: &record,
        sender,
        reader: Some(reader),
        pending: BytesMut::new(),
        held: BytesMut::new(),
        fragments: Vec::new(),
        passing: None,
        in_message: false,
        rewrites: false,
    };
    let ways = (way(Sender::Client, of_client), way(Sender::Server, of_server));
    run(client, server, ways, injections, activity).await
}

struct Messages<'a, 'b> {
    context: &'a Context,
    flow: &'a Arc<Flow>,
    record: &'a Mutex<&'a mut Record<'b>>,
    sender: Sender,
    /// `None` once something came that is no frame: from then on bytes cross as they come.
    reader: Option<Reader>,
    /// Bytes of which the next frame is not whole.
    pending: BytesMut,
    /// The frames of the message in hand.
    held: BytesMut,
    /// How long their payloads are.
    fragments: Vec<u64>,
    /// Of a message that is too long to be held: how much of the frame in hand is still to cross.
    passing: Option<u64>,
    /// A message that is too long has begun and not ended.
    in_message: bool,
    /// The receiver does not know what compressed messages may refer to.
    rewrites: bool,
}

impl Messages<'_, '_> {
    const fn is_clients(&self) -> bool {
        matches!(self.sender, Sender::Client)
    }

    /// Reads a whole frame; the message that ends with it.
    fn read(&mut self, frame: &[u8]) -> Option<Message> {
        let from_client = self.is_clients();
        let reader = self.reader.as_mut()?;
        let mut message = None;
        let result = reader.decoder.push(frame, |event| match event {
            Event::Message(whole) => message = Some(whole),
            other => self.record.lock().unwrap_or_else(PoisonError::into_inner).event(from_client, other),
        });
        if let Err(err) = result {
            let side = if from_client { "client" } else { "server" };
            self.record.lock().unwrap_or_else(PoisonError::into_inner).fault(format!("{side}: {err}"));
            self.reader = None;
        }
        message
    }

    /// Offers a message, and sends what becomes of it. `raw` are its frames if it came from the peer.
    async fn offer(&mut self, message: Message, injected: bool, raw: Option<BytesMut>, out: &mut BytesMut) {
        let text = message.kind == MessageKind::Text;
        let from_client = self.is_clients();
        let mut live =
            LiveMessage::new(Arc::clone(self.flow), from_client, text, injected, message.content.clone());
        // One that is not whole cannot be put together again.
        let whole = !message.truncated;
        if whole {
            self.context.settings.addons.message(Moment::WebSocketMessage, &mut live).await;
        }
        let (dropped, changed) = (live.is_discarded(), live.is_changed());
        let content = live.content().clone();
        let fragments = std::mem::take(&mut self.fragments);
        let compressed = raw.as_ref().is_some_and(|raw| is_compressed(raw));
        match raw {
            Some(raw) if !(dropped || changed || (compressed && self.rewrites && whole)) => {
                out.extend_from_slice(&raw);
            }
            _ if dropped => {}
            _ => {
                let lengths = if changed || compressed { Vec::new() } else { fragments };
                self.write(message.kind, &content, &lengths, out);
            }
        }
        if compressed && (dropped || changed) {
            self.rewrites |= self.reader.as_ref().is_none_or(|reader| reader.context_takeover);
        }
        let message = Message { content, ..message };
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.message(from_client, message, dropped, injected);
    }

    /// Writes a message in fragments of these lengths (or in one), uncompressed.
    fn write(&self, kind: MessageKind, content: &Bytes, lengths: &[u64], out: &mut BytesMut) {
        let mut rest = content.clone();
        let mut lengths = lengths.iter();
        let mut opcode = kind.opcode();
        loop {
            let wanted = lengths.next().and_then(|len| usize::try_from(*len).ok()).unwrap_or(usize::MAX);
            let piece = rest.split_to(wanted.min(rest.len()));
            let fin = rest.is_empty();
            let mask = self.is_clients().then(|| fastrand::u32(..).to_ne_bytes());
            FrameHeader { fin, rsv1: false, opcode, len: piece.len() as u64, mask }.encode(out);
            let start = out.len();
            out.extend_from_slice(&piece);
            if let (Some(key), Some(payload)) = (mask, out.get_mut(start..)) {
                apply_mask(payload, key, 0);
            }
            if fin {
                return;
            }
            opcode = Opcode::Continuation;
        }
    }

    /// Lets the rest of a frame cross that is too long to be held.
    fn pass(&mut self, left: u64, out: &mut BytesMut) -> bool {
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(self.pending.len());
        let piece = self.pending.split_to(n);
        out.extend_from_slice(&piece);
        let message = self.read(&piece);
        let left = left - n as u64;
        self.passing = (left > 0).then_some(left);
        if let Some(message) = message {
            self.in_message = false;
            let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
            record.message(matches!(self.sender, Sender::Client), message, false, false);
        }
        left == 0
    }
}

/// Whether the first of these frames says that its message is compressed.
fn is_compressed(frames: &[u8]) -> bool {
    matches!(FrameHeader::parse(frames), Ok(Some((FrameHeader { rsv1: true, .. }, _))))
}

impl Way for Messages<'_, '_> {
    async fn received(&mut self, data: &[u8], out: &mut BytesMut) {
        self.pending.extend_from_slice(data);
        while self.reader.is_some() && !self.pending.is_empty() {
            if let Some(left) = self.passing {
                if self.pass(left, out) { continue } else { return }
            }
            let (header, header_len) = match FrameHeader::parse(&self.pending) {
                Ok(None) => return,
                Ok(Some(parsed)) => parsed,
                Err(_) => {
                    // The decoder says what is wrong with it.
                    let bytes = self.pending.clone();
                    let _ = self.read(&bytes);
                    break;
                }
            };
            let frame_len = header.len.saturating_add(header_len as u64);
            let is_control = header.opcode.is_control();
            let held = self.held.len() as u64;
            if !is_control
                && (self.in_message || held.saturating_add(frame_len) > WEBSOCKET_MESSAGE_BYTES_MAX as u64)
            {
                self.in_message = true;
                self.fragments.clear();
                out.extend_from_slice(&self.held.split());
                self.passing = Some(frame_len);
                continue;
            }
            let Some(len) = usize::try_from(frame_len).ok().filter(|len| *len <= self.pending.len()) else {
                return;
            };
            let frame = self.pending.split_to(len);
            let message = self.read(&frame);
            if is_control || self.reader.is_none() {
                if self.reader.is_none() {
                    out.extend_from_slice(&self.held.split());
                }
                out.extend_from_slice(&frame);
                continue;
            }
            self.held.extend_from_slice(&frame);
            self.fragments.push(header.len);
            if let Some(message) = message {
                let raw = self.held.split();
                self.offer(message, false, Some(raw), out).await;
            }
        }
        if self.reader.is_none() {
            out.extend_from_slice(&self.held.split());
            out.extend_from_slice(&self.pending);
            self.pending.advance(self.pending.len());
        }
    }

    async fn injected(&mut self, message: Injected, out: &mut BytesMut) {
        // Inside of a message nothing can be put, and behind what is no frame nobody would understand it.
        if self.in_message || self.reader.is_none() {
            return;
        }
        let kind = if message.text { MessageKind::Text } else { MessageKind::Binary };
        let fragments = std::mem::take(&mut self.fragments);
        self.offer(Message { kind, content: message.content, truncated: false }, true, None, out).await;
        self.fragments = fragments;
    }

    fn ended(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&self.held.split());
        out.extend_from_slice(&self.pending.split());
        self.record.lock().unwrap_or_else(PoisonError::into_inner).ended(self.is_clients());
    }
}
