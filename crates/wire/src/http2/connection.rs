//! One end of a connection: who may open what, what waits to be taken, what goes out next.
//!
//! `receive.rs` has what the peer's frames do, `transmit.rs` what is sent when.

mod receive;
mod transmit;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use bytes::{BufMut, Bytes, BytesMut};
use flowgate_flow::{Headers, Http2Beginning, Priority};
use thiserror::Error as ThisError;

use super::PREFACE;
use super::closed::{Closed, Ended};
use super::error::{Code, Error};
use super::flow::{ReceiveWindow, SendWindow, WINDOW_INITIAL};
use super::frame::{self, FrameHeader, Kind};
use super::guard::{Flood, Guard};
use super::settings::{self, PeerSettings};
use super::stream::{By, Direction, End, Incoming, Reset, Stream, StreamId};
use crate::hpack::{Decoder, Encoder};
use crate::limits::H2_STREAM_QUEUE_BYTES;

/// The highest stream number.
const STREAM_MAX: u32 = 0x7fff_ffff;
/// The payload of the PING that tells when a peer knows that we are going away.
const SHUTDOWN_PING: [u8; 8] = *b"shutdown";

/// Which end of the connection we are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// We connected, and open the streams.
    Client,
    /// The peer connected.
    Server,
}

/// What we ask of the peer, and allow it.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Which end we are.
    pub role: Role,
    /// How many streams the peer may have open.
    pub streams_max: u32,
    /// How many bytes of a stream may be on their way to us or not consumed yet.
    pub stream_window: u32,
    /// The same for all streams together; at least 65,535.
    pub connection_window: u32,
    /// How large a header list may be (section 6.5.2).
    pub header_list_bytes_max: u32,
    /// Whether extended CONNECT is taken (RFC 8441).
    pub connect_protocol: bool,
}

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The peer opened a stream; its head can be taken.
    Opened(StreamId),
    /// Something came on a stream, what waited to be sent on it has gone, or it was reset.
    Changed(StreamId),
    /// Another stream may be opened, or none ever will be.
    Capacity,
    /// The peer opens no more streams, or takes no more of ours.
    GoAway {
        /// Why.
        code: Code,
    },
    /// The peer answered a PING of ours.
    Pong,
}

/// Why no stream was opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
#[non_exhaustive]
pub enum OpenError {
    /// The peer allows no more at a time.
    #[error("as many streams are open as the server allows")]
    TooMany,
    /// None will ever be: numbers are used up, or one side is going away.
    #[error("the connection takes no more streams")]
    Closing,
}

/// Where [`Connection::transmit`] writes to.
pub trait Sink {
    /// The end of what is written, to append to.
    fn tail(&mut self) -> &mut BytesMut;
    /// Appends a piece of a body.
    fn push(&mut self, data: Bytes);
    /// Whether what was written before should go out first.
    fn is_full(&self) -> bool;
}

/// One end of a connection. `T` is what its user keeps with each stream.
#[derive(Debug)]
pub struct Connection<T> {
    config: Config,
    decoder: Decoder,
    encoder: Encoder,
    peer: PeerSettings,
    /// How much of the client's preface is still to come.
    preface_left: usize,
    settings_seen: bool,
    /// The peer has sent no header block yet.
    is_beginning: bool,
    /// What the peer said of itself before that.
    beginning: Http2Beginning,
    settings_acknowledged: bool,
    fragment: Option<Fragment>,
    streams: HashMap<u32, Stream<T>, BuildHasherDefault<Spread>>,
    closed: Closed,
    /// The highest number of a stream that the peer opened.
    peer_highest: u32,
    /// How many streams of the peer are open.
    peer_open: u32,
    own_next: u32,
    own_open: u32,
    /// What we told the peer by GOAWAY.
    going_away: GoingAway,
    /// The last stream of ours that the peer takes, if it is going away.
    peer_last: Option<u32>,
    send_window: SendWindow,
    receive_window: ReceiveWindow,
    /// Streams that have something to send and may, in the order of their turns.
    line: VecDeque<u32>,
    control: BytesMut,
    block: Vec<u8>,
    guard: Guard,
    events: VecDeque<Event>,
    failed: Option<Error>,
    /// How much of `control` is still to go out after the connection failed: its GOAWAY is the last that is said.
    last_words: Option<usize>,
}

/// A header block of which CONTINUATION frames are still to come.
#[derive(Debug)]
struct Fragment {
    head: BlockHead,
    block: Vec<u8>,
    continuations: usize,
}

/// What a HEADERS frame says of the block that begins with it.
#[derive(Clone, Copy, Debug)]
struct BlockHead {
    stream: u32,
    ends: bool,
    priority: Option<Priority>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum GoingAway {
    No,
    /// The peer was warned; what it opens meanwhile is still taken.
    Warned,
    /// Streams above this one are not taken.
    Last(u32),
}

impl<T> Connection<T> {
    /// A connection that has not begun: what we have to say first is ready to be transmitted.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let is_client = config.role == Role::Client;
        let mut control = BytesMut::with_capacity(128);
        let mut settings: Vec<(u16, u32)> = Vec::with_capacity(4);
        if is_client {
            control.put_slice(PREFACE);
            settings.push((settings::ENABLE_PUSH, 0));
        } else {
            settings.push((settings::MAX_CONCURRENT_STREAMS, config.streams_max));
        }
        settings.push((settings::INITIAL_WINDOW_SIZE, config.stream_window));
        settings.push((settings::MAX_HEADER_LIST_SIZE, config.header_list_bytes_max));
        if config.connect_protocol && !is_client {
            settings.push((settings::ENABLE_CONNECT_PROTOCOL, 1));
        }
        frame::put_settings(&mut control, &settings);
        let connection_window = config.connection_window.max(WINDOW_INITIAL);
        if connection_window > WINDOW_INITIAL {
            frame::put_window_update(&mut control, 0, connection_window - WINDOW_INITIAL);
        }
        Self {
            config,
            decoder: Decoder::new(4096),
            encoder: Encoder::new(),
            peer: PeerSettings::default(),
            preface_left: if is_client { 0 } else { PREFACE.len() },
            settings_seen: false,
            is_beginning: true,
            beginning: Http2Beginning::default(),
            settings_acknowledged: false,
            fragment: None,
            streams: HashMap::default(),
            closed: Closed::default(),
            peer_highest: 0,
            peer_open: 0,
            own_next: if is_client { 1 } else { 2 },
            own_open: 0,
            going_away: GoingAway::No,
            peer_last: None,
            send_window: SendWindow::new(WINDOW_INITIAL),
            receive_window: ReceiveWindow::new(connection_window),
            line: VecDeque::new(),
            control,
            block: Vec::new(),
            guard: Guard::default(),
            events: VecDeque::new(),
            failed: None,
            last_words: None,
        }
    }

    /// What happened next.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The peer's settings.
    #[must_use]
    pub const fn peer(&self) -> &PeerSettings {
        &self.peer
    }

    /// What the peer said of itself before its first message: all there will be of that once one has come.
    #[must_use]
    pub const fn beginning(&self) -> &Http2Beginning {
        &self.beginning
    }

    /// Whether the peer's first SETTINGS have come.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.settings_seen
    }

    /// Whether the peer has acknowledged our settings.
    #[must_use]
    pub const fn is_acknowledged(&self) -> bool {
        self.settings_acknowledged
    }

    /// Whether the peer is in the middle of a header block, of which `input` is what was not taken yet.
    #[must_use]
    pub fn is_in_head(&self, input: &[u8]) -> bool {
        let begins_headers = || FrameHeader::read(input).is_some_and(|header| header.kind == Kind::Headers);
        self.fragment.is_some() || (self.preface_left == 0 && begins_headers())
    }

    /// How many streams are here, those that are over and not released among them.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// What is kept with a stream.
    pub fn user(&mut self, id: StreamId) -> Option<&mut T> {
        self.streams.get_mut(&id.0).map(|stream| &mut stream.user)
    }

    /// What is kept with all of them.
    pub fn users(&mut self) -> impl Iterator<Item = &mut T> {
        self.streams.values_mut().map(|stream| &mut stream.user)
    }

    /// Whether a stream can be opened, or why not.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn can_open(&self) -> Result<(), OpenError> {
        let is_closing = self.failed.is_some()
            || self.peer_last.is_some()
            || self.going_away != GoingAway::No
            || self.own_next > STREAM_MAX;
        if is_closing {
            return Err(OpenError::Closing);
        }
        if self.own_open >= self.peer.streams_max { Err(OpenError::TooMany) } else { Ok(()) }
    }

    /// Opens a stream with its head, which `encode` writes: pseudo-header fields first, names in lower case.
    ///
    /// # Errors
    /// See [`OpenError`], or what `encode` says; then nothing was sent.
    pub fn open<E: From<OpenError>>(
        &mut self,
        encode: impl FnOnce(&mut Encoder, &mut Vec<u8>) -> Result<(), E>,
        ends: bool,
        user: T,
    ) -> Result<StreamId, E> {
        self.can_open()?;
        self.encode(encode)?;
        let id = self.own_next;
        self.own_next += 2;
        self.own_open += 1;
        let mut stream = Stream::new(true, self.peer.initial_window, self.config.stream_window, user);
        stream.sending = if ends { Direction::Ended } else { Direction::Body };
        self.streams.insert(id, stream);
        self.put_head(id, ends);
        Ok(StreamId(id))
    }

    /// Sends a head that `encode` writes on a stream that the peer opened: an interim response's if `interim`, otherwise the
    /// response's. Nothing happens if the stream is over.
    ///
    /// # Errors
    /// What `encode` says; then nothing was sent.
    pub fn send_head<E>(
        &mut self,
        id: StreamId,
        encode: impl FnOnce(&mut Encoder, &mut Vec<u8>) -> Result<(), E>,
        interim: bool,
        ends: bool,
    ) -> Result<(), E> {
        let sends = |stream: &&mut Stream<T>| stream.reset.is_none() && stream.sending == Direction::Head;
        if self.streams.get_mut(&id.0).filter(sends).is_none() {
            return Ok(());
        }
        self.encode(encode)?;
        if !interim && let Some(stream) = self.streams.get_mut(&id.0) {
            stream.sending = if ends { Direction::Ended } else { Direction::Body };
        }
        self.put_head(id.0, ends && !interim);
        self.after_change(id.0);
        Ok(())
    }

    /// Queues a piece of a body. Nothing happens if the stream is over.
    pub fn send_data(&mut self, id: StreamId, data: Bytes) {
        let Some(stream) = self.streams.get_mut(&id.0) else { return };
        if data.is_empty() || !Self::takes_body(stream) {
            return;
        }
        stream.out_bytes += data.len();
        stream.out.push_back(data);
        self.stand_in_line(id.0);
    }

    /// Queues the end of a body, with trailers (names in lower case) if there are any.
    pub fn send_end(&mut self, id: StreamId, trailers: Option<Headers>) {
        let Some(stream) = self.streams.get_mut(&id.0) else { return };
        if !Self::takes_body(stream) {
            return;
        }
        stream.out_end = Some(trailers.map_or(End::Plain, End::Trailers));
        self.stand_in_line(id.0);
    }

    /// Whether another piece may be queued on a stream. If not, [`Event::Changed`] tells when.
    ///
    /// # Errors
    /// If the stream was reset.
    pub fn has_room(&mut self, id: StreamId) -> Result<bool, Reset> {
        let Some(stream) = self.streams.get_mut(&id.0) else { return Ok(true) };
        if let Some(reset) = stream.reset {
            return Err(reset);
        }
        let has_room = stream.out_bytes < H2_STREAM_QUEUE_BYTES;
        stream.awaited |= !has_room;
        Ok(has_room)
    }

    /// Whether what is queued on a stream goes out without the peer's help. If not, [`Event::Changed`] tells when.
    pub fn is_going_out(&mut self, id: StreamId) -> bool {
        let room = self.send_window.available();
        let Some(stream) = self.streams.get_mut(&id.0) else { return true };
        let goes = stream.reset.is_some()
            || stream.out.is_empty()
            || stream.out_bytes <= room.min(stream.send_window.available());
        stream.awaited |= !goes;
        goes
    }

    /// Whether nothing of a stream is left to be transmitted, its end included. If not, [`Event::Changed`] tells when to ask again.
    pub fn is_sent(&mut self, id: StreamId) -> bool {
        let Some(stream) = self.streams.get_mut(&id.0) else { return true };
        let sent = stream.reset.is_some() || (stream.out.is_empty() && stream.out_end.is_none());
        stream.awaited |= !sent;
        sent
    }

    /// What came on a stream; `None` if there is nothing now.
    ///
    /// # Errors
    /// If the stream was reset, once all that came before has been taken.
    pub fn take(&mut self, id: StreamId) -> Result<Option<Incoming>, Reset> {
        let Some(stream) = self.streams.get_mut(&id.0) else { return Ok(None) };
        match (stream.incoming.pop_front(), stream.reset) {
            (Some(incoming), _) => Ok(Some(incoming)),
            (None, Some(reset)) if stream.receiving != Direction::Ended => Err(reset),
            (None, _) => Ok(None),
        }
    }

    /// How a stream was reset, if it was.
    #[must_use]
    pub fn reset_of(&self, id: StreamId) -> Option<Reset> {
        self.streams.get(&id.0)?.reset
    }

    /// So many bytes of a body that were taken have gone on: the peer may send as many more.
    pub fn consumed(&mut self, id: StreamId, bytes: usize) {
        self.consume(id.0, bytes);
    }

    /// Ends a stream before its end. What waits to be sent on it is dropped.
    pub fn reset(&mut self, id: StreamId, code: Code, why: &'static str) {
        self.reset_stream(id.0, code, why);
    }

    /// Ends a stream whose request is malformed (section 8.1.1); with too many of them, the connection. The peer is told also where it was the
    /// end of the request that broke it, behind the whole response.
    pub fn refuse_malformed(&mut self, id: StreamId) {
        if self.streams.get(&id.0).is_some_and(|stream| stream.reset.is_none() && stream.is_closed()) {
            frame::put_rst_stream(&mut self.control, id.0, Code::PROTOCOL_ERROR.0);
        }
        self.reset_stream(id.0, Code::PROTOCOL_ERROR, "its request is malformed");
        if let Err(error) = self.guard.count(Flood::Malformed) {
            self.fail_with(error);
        }
    }

    /// Nobody will ask for a stream again. If it is not over it is ended: without an error if our direction is.
    pub fn release(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id.0) else { return };
        stream.released = true;
        let unread = stream.drop_incoming();
        let sent = stream.sending == Direction::Ended || stream.out_end.is_some();
        let (own, closed, gone) = (stream.own, stream.is_closed(), stream.sending == Direction::Ended);
        // What ends a request may still be on its way out although the response is whole.
        let answered = own && stream.receiving == Direction::Ended;
        if !closed && ((own && !answered) || !sent) {
            self.reset_stream(id.0, Code::CANCEL, "no longer wanted");
        } else if !closed && gone {
            self.reset_rest(id.0);
        }
        // The stream itself still needs its window if the rest of it is awaited until our direction has gone out.
        self.consume(id.0, unread);
        self.after_change(id.0);
    }

    /// Asks for a sign of life, which [`Event::Pong`] tells.
    pub fn ping(&mut self, payload: [u8; 8]) {
        frame::put_ping(&mut self.control, 0, payload);
    }

    /// Warns the peer that the connection will end; a round trip later it is told which streams were the last, and
    /// [`is_done`](Self::is_done) says when they are over.
    pub fn shut_down(&mut self) {
        if self.going_away == GoingAway::No {
            self.going_away = GoingAway::Warned;
            frame::put_go_away(&mut self.control, STREAM_MAX, Code::NO_ERROR.0);
            frame::put_ping(&mut self.control, 0, SHUTDOWN_PING);
        }
    }

    /// Ends the connection for a reason that is not the peer's frames.
    pub fn fail(&mut self, code: Code, why: &'static str) {
        self.fail_with(Error::new(code, why));
    }

    /// Why the connection failed.
    #[must_use]
    pub const fn failure(&self) -> Option<Error> {
        self.failed
    }

    /// Whether nothing will come any more that anybody waits for: all that is to be done is to transmit what is left.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let left = self.config.role == Role::Client && self.peer_last.is_some();
        let over = left || matches!(self.going_away, GoingAway::Last(_));
        self.failed.is_some() || (over && self.streams.is_empty())
    }

    /// A period of `H2_FLOOD_PERIOD_SECONDS` is over.
    pub fn renew(&mut self) {
        self.guard.renew();
    }

    fn takes_body(stream: &Stream<T>) -> bool {
        stream.reset.is_none() && stream.sending == Direction::Body && stream.out_end.is_none()
    }

    /// Writes a header block, which must be put on its way before another is written.
    fn encode<E>(
        &mut self,
        encode: impl FnOnce(&mut Encoder, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.block.clear();
        encode(&mut self.encoder, &mut self.block)
    }

    fn put_head(&mut self, id: u32, ends: bool) {
        let payload_max = transmit::payload_max(&self.peer);
        frame::put_header_block(&mut self.control, id, &self.block, ends, payload_max);
        self.guard.earn_by_head();
    }

    fn stand_in_line(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.in_line
            && stream.can_send()
        {
            stream.in_line = true;
            self.line.push_back(id);
        }
    }

    fn consume(&mut self, id: u32, bytes: usize) {
        if let Some(increment) = self.receive_window.consume(bytes) {
            frame::put_window_update(&mut self.control, 0, increment);
        }
        if let Some(stream) = self.streams.get_mut(&id)
            && let Some(increment) = stream.receive_window.consume(bytes)
            && stream.receiving != Direction::Ended
            && stream.reset.is_none()
        {
            frame::put_window_update(&mut self.control, id, increment);
        }
    }

    fn reset_stream(&mut self, id: u32, code: Code, why: &'static str) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.is_closed() {
            return;
        }
        stream.reset = Some(Reset { code, by: By::Us, why });
        stream.drop_outgoing();
        frame::put_rst_stream(&mut self.control, id, code.0);
        self.after_change(id);
    }

    /// The response is complete, and the rest of the request is not wanted (section 8.1).
    fn reset_rest(&mut self, id: u32) {
        self.reset_stream(id, Code::NO_ERROR, "the rest is not wanted");
    }

    /// Forgets what is over: it no longer counts among the open streams, and if it was released it goes.
    fn after_change(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if !stream.is_closed() {
            return;
        }
        if std::mem::take(&mut stream.open) {
            let ended = match stream.reset {
                None => Ended::Cleanly,
                Some(Reset { by: By::Us, .. }) => Ended::ByUs,
                Some(_) => Ended::ByPeer,
            };
            self.closed.remember(id, ended);
            if stream.own {
                self.own_open -= 1;
                self.events.push_back(Event::Capacity);
            } else {
                self.peer_open -= 1;
            }
        }
        if stream.released {
            self.streams.remove(&id);
        }
    }

    fn fail_with(&mut self, error: Error) {
        if self.failed.is_none() {
            self.failed = Some(error);
            self.line.clear();
            frame::put_go_away(&mut self.control, self.peer_highest, error.code.0);
            self.last_words = Some(self.control.len());
        }
    }
}

/// Spreads stream numbers. They are the peer's choice, but so few are here at a time that no choice of them does harm.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, n: u32) {
        self.0 = (self.0 ^ u64::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}
