//! What the peer's frames do (RFC 9113 section 6), and which error they are where they may not come (section 5.1).

use bytes::{Buf, Bytes, BytesMut};
use flowgate_flow::Priority;

use super::{BlockHead, Connection, Event, Fragment, GoingAway, Role, SHUTDOWN_PING};
use crate::hpack::FieldList;
use crate::http2::PREFACE;
use crate::http2::closed::Ended;
use crate::http2::error::{Code, Error};
use crate::http2::frame::{
    self, ACK, END_HEADERS, END_STREAM, FrameHeader, HEADER_BYTES, Kind, PADDED, PAYLOAD_BYTES_MAX, PRIORITY,
};
use crate::http2::guard::Flood;
use crate::http2::settings;
use crate::http2::stream::{By, Direction, Incoming, Reset, Stream, StreamId};
use crate::limits::{
    H2_BEGINNING_PRIORITIES_MAX, H2_BEGINNING_SETTINGS_MAX, H2_CONTINUATIONS_MAX, H2_HEADER_BLOCK_BYTES_MAX,
    H2_LATE_DATA_BYTES_MIN, INTERIM_RESPONSES_MAX,
};

/// What a server of HTTP/1 begins its answer with (RFC 9112 section 4), whatever it was sent.
const HTTP1_VERSION: &[u8] = b"HTTP/1.";
const ON_ITSELF: &str = "stream depends on itself";

/// What came for a stream that takes nothing any more.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Late {
    /// DATA with a payload of so many bytes.
    Data(usize),
    Headers,
}

impl<T: Default> Connection<T> {
    /// Takes whole frames from the front of `input` until there is none.
    ///
    /// # Errors
    /// The connection is over: what it has to say is to be transmitted, and then it is to be closed.
    pub fn receive(&mut self, input: &mut BytesMut) -> Result<(), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        loop {
            match self.receive_one(input) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    self.fail_with(error);
                    return Err(error);
                }
            }
        }
    }

    /// Takes one frame, if it is there whole.
    fn receive_one(&mut self, input: &mut BytesMut) -> Result<bool, Error> {
        if self.preface_left > 0 {
            return self.receive_preface(input);
        }
        let Some(header) = FrameHeader::read(input) else { return Ok(false) };
        if !self.settings_seen && self.config.role == Role::Client && input.starts_with(HTTP1_VERSION) {
            return Err(Error::new(Code::HTTP_1_1_REQUIRED, "the server answers in HTTP/1"));
        }
        if header.len > PAYLOAD_BYTES_MAX {
            return Err(Error::size("frame is too long"));
        }
        if !self.settings_seen && (header.kind != Kind::Settings || header.has(ACK)) {
            return Err(Error::protocol("the first frame is not SETTINGS"));
        }
        if let Some(fragment) = &self.fragment
            && (header.kind != Kind::Continuation || header.stream != fragment.head.stream)
        {
            return Err(Error::protocol("another frame inside a header block"));
        }
        let Some(payload) = input.get(HEADER_BYTES..HEADER_BYTES + header.len) else { return Ok(false) };
        if header.kind == Kind::Data {
            input.advance(HEADER_BYTES);
            let payload = input.split_to(header.len).freeze();
            self.on_data(header, payload)?;
            return Ok(true);
        }
        self.on_frame(header, payload)?;
        input.advance(HEADER_BYTES + header.len);
        Ok(true)
    }

    fn receive_preface(&mut self, input: &mut BytesMut) -> Result<bool, Error> {
        let expected = PREFACE.get(PREFACE.len() - self.preface_left..).unwrap_or_default();
        let len = expected.len().min(input.len());
        if input.get(..len) != expected.get(..len) {
            return Err(Error::protocol("the connection does not begin with the preface"));
        }
        input.advance(len);
        self.preface_left -= len;
        Ok(self.preface_left == 0)
    }

    fn on_frame(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Error> {
        match header.kind {
            // Taken before.
            Kind::Data => Ok(()),
            Kind::Headers => self.on_headers(header, payload),
            Kind::Continuation => self.on_continuation(header, payload),
            Kind::Priority => self.on_priority(header, payload),
            Kind::RstStream => self.on_rst_stream(header, payload),
            Kind::Settings => self.on_settings(header, payload),
            Kind::PushPromise => Err(Error::protocol("PUSH_PROMISE although push is off")),
            Kind::Ping => self.on_ping(header, payload),
            Kind::GoAway => self.on_go_away(header, payload),
            Kind::WindowUpdate => self.on_window_update(header, payload),
            Kind::Unknown => self.guard.count(Flood::Ignored),
        }
    }

    fn on_data(&mut self, header: FrameHeader, payload: Bytes) -> Result<(), Error> {
        if header.stream == 0 {
            return Err(Error::protocol("DATA on stream 0"));
        }
        let data = if header.has(PADDED) {
            match frame::without_padding(header, &payload) {
                Some(data) => payload.slice_ref(data),
                None => return Err(Error::protocol("padding is longer than its frame")),
            }
        } else {
            payload.clone()
        };
        if !self.receive_window.receive(payload.len()) {
            return Err(Error::new(Code::FLOW_CONTROL_ERROR, "more data than the connection's window"));
        }
        let ends = header.has(END_STREAM);
        if data.is_empty() && !ends {
            self.guard.count(Flood::EmptyData)?;
        }
        let padding = payload.len() - data.len();
        let Some(stream) = self.streams.get_mut(&header.stream) else {
            self.consume(0, payload.len());
            return self.on_missing(header.stream, Late::Data(payload.len()));
        };
        if let Some(reset) = stream.reset {
            self.consume(0, payload.len());
            return self.on_late(header.stream, reset, Late::Data(payload.len()));
        }
        let receiving = stream.receiving;
        if receiving != Direction::Body {
            if stream.is_closed() {
                return Err(Error::new(Code::STREAM_CLOSED, "DATA on a stream that is over"));
            }
            self.consume(0, payload.len());
            let (code, why) = match receiving {
                Direction::Ended => (Code::STREAM_CLOSED, "DATA behind the end of a stream"),
                _ => (Code::PROTOCOL_ERROR, "DATA before a head"),
            };
            return self.stream_error(header.stream, code, why);
        }
        if !stream.receive_window.receive(payload.len()) {
            self.consume(0, payload.len());
            let why = "more data than the stream's window";
            return self.stream_error(header.stream, Code::FLOW_CONTROL_ERROR, why);
        }
        let (released, len) = (stream.released, data.len());
        if !released {
            stream.push_data(data);
        }
        if ends {
            stream.receiving = Direction::Ended;
            if !released {
                stream.incoming.push_back(Incoming::End(None));
            }
        }
        self.consume(header.stream, if released { padding + len } else { padding });
        self.changed(header.stream);
        Ok(())
    }

    fn on_headers(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Error> {
        if header.stream == 0 {
            return Err(Error::protocol("HEADERS on stream 0"));
        }
        let Some(mut block) = frame::without_padding(header, payload) else {
            return Err(Error::protocol("padding is longer than its frame"));
        };
        let mut priority = None;
        if header.has(PRIORITY) {
            let Some((bytes, rest)) = block.split_first_chunk() else {
                return Err(Error::size("HEADERS is too short for its priority"));
            };
            priority = Some(Priority::from_wire(*bytes));
            block = rest;
        }
        let head = BlockHead { stream: header.stream, ends: header.has(END_STREAM), priority };
        if !header.has(END_HEADERS) {
            self.fragment = Some(Fragment { head, block: block.to_vec(), continuations: 0 });
            return Ok(());
        }
        self.on_block(head, block)
    }

    fn on_continuation(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Error> {
        let Some(fragment) = &mut self.fragment else {
            return Err(Error::protocol("CONTINUATION without a header block"));
        };
        fragment.continuations += 1;
        if fragment.block.len() + payload.len() > H2_HEADER_BLOCK_BYTES_MAX {
            return Err(Error::new(Code::ENHANCE_YOUR_CALM, "header block is too long"));
        }
        if fragment.continuations > H2_CONTINUATIONS_MAX {
            return Err(Error::new(Code::ENHANCE_YOUR_CALM, "header block is in too many pieces"));
        }
        fragment.block.extend_from_slice(payload);
        if !header.has(END_HEADERS) {
            return Ok(());
        }
        match self.fragment.take() {
            Some(Fragment { head, block, .. }) => self.on_block(head, &block),
            None => Ok(()),
        }
    }

    /// A header block is there whole.
    fn on_block(&mut self, head: BlockHead, block: &[u8]) -> Result<(), Error> {
        let BlockHead { stream: id, ends, priority } = head;
        self.is_beginning = false;
        // Read in any case: the tables have to stay the same on both sides.
        let fields = self.decoder.decode(block, self.config.header_list_bytes_max as usize)?;
        if fields.too_large {
            self.guard.count(Flood::LargeHeaders)?;
        }
        let Some(stream) = self.streams.get_mut(&id) else {
            return if self.config.role == Role::Server && id > self.peer_highest {
                self.on_opening(head, fields)
            } else {
                self.on_missing(id, Late::Headers)
            };
        };
        if let Some(reset) = stream.reset {
            return self.on_late(id, reset, Late::Headers);
        }
        if priority.is_some_and(|priority| priority.depends_on == id) {
            return self.stream_error(id, Code::PROTOCOL_ERROR, ON_ITSELF);
        }
        match stream.receiving {
            Direction::Ended if stream.is_closed() => {
                return Err(Error::new(Code::STREAM_CLOSED, "HEADERS on a stream that is over"));
            }
            Direction::Ended => {
                return self.stream_error(id, Code::STREAM_CLOSED, "HEADERS behind the end of a stream");
            }
            Direction::Body if !ends => {
                return self.stream_error(id, Code::PROTOCOL_ERROR, "trailers do not end their stream");
            }
            Direction::Body => {
                stream.receiving = Direction::Ended;
                if !stream.released {
                    stream.incoming.push_back(Incoming::End(Some(fields)));
                }
            }
            Direction::Head if is_interim(&fields) => {
                stream.interim += 1;
                if ends {
                    return self.stream_error(
                        id,
                        Code::PROTOCOL_ERROR,
                        "an interim response ends its stream",
                    );
                }
                if stream.interim > INTERIM_RESPONSES_MAX {
                    return self.stream_error(id, Code::ENHANCE_YOUR_CALM, "too many interim responses");
                }
                stream.incoming.push_back(Incoming::Head { fields, ends, priority });
            }
            Direction::Head => {
                stream.receiving = if ends { Direction::Ended } else { Direction::Body };
                stream.incoming.push_back(Incoming::Head { fields, ends, priority });
            }
        }
        self.changed(id);
        Ok(())
    }

    /// A client opens a stream.
    fn on_opening(&mut self, head: BlockHead, fields: FieldList) -> Result<(), Error> {
        let BlockHead { stream: id, ends, priority } = head;
        if id.is_multiple_of(2) {
            return Err(Error::protocol("client opens a stream of an even number"));
        }
        self.peer_highest = id;
        if matches!(self.going_away, GoingAway::Last(_)) {
            // Section 6.8: what comes behind the last stream is ignored.
            self.closed.remember(id, Ended::ByUs);
            return Ok(());
        }
        let max = self.config.streams_max;
        // Streams that are over and still worked on cost as much as open ones.
        if self.peer_open >= max || self.streams.len() >= max as usize * 2 {
            self.closed.remember(id, Ended::ByUs);
            frame::put_rst_stream(&mut self.control, id, Code::REFUSED_STREAM.0);
            return self.guard.count(Flood::ProvokedResets);
        }
        if priority.is_some_and(|priority| priority.depends_on == id) {
            // Nobody shall begin to work on it.
            return self.stream_error(id, Code::PROTOCOL_ERROR, ON_ITSELF);
        }
        let mut stream =
            Stream::new(false, self.peer.initial_window, self.config.stream_window, T::default());
        stream.receiving = if ends { Direction::Ended } else { Direction::Body };
        stream.incoming.push_back(Incoming::Head { fields, ends, priority });
        self.peer_open += 1;
        self.streams.insert(id, stream);
        self.events.push_back(Event::Opened(StreamId(id)));
        Ok(())
    }

    fn on_priority(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Error> {
        if header.stream == 0 {
            return Err(Error::protocol("PRIORITY on stream 0"));
        }
        self.guard.count(Flood::Ignored)?;
        let Ok(priority) = payload.try_into().map(Priority::from_wire) else {
            return self.stream_error(header.stream, Code::FRAME_SIZE_ERROR, "PRIORITY has not five bytes");
        };
        if priority.depends_on == header.stream {
            return self.stream_error(header.stream, Code::PROTOCOL_ERROR, ON_ITSELF);
        }
        if self.is_beginning && self.beginning.priorities.len() < H2_BEGINNING_PRIORITIES_MAX {
            self.beginning.priorities.push((header.stream, priority));
        }
        Ok(())
    }

    fn on_rst_stream(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Error> {
        let code = <[u8; 4]>::try_from(payload).map_err(|_| Error::size("RST_STREAM has not four bytes"))?;
        if self.is_idle(header.stream) {
            return Err(Error::protocol("RST_STREAM on a stream that was never opened"));
        }
        if self.config.role == Role::Server {
            self.guard.count(Flood::Resets)?;
        }
        let Some(stream) = self.streams.get_mut(&header.stream) else { return Ok(()) };
        if !stream.is_closed() {
            let code = Code(u32::from_be_bytes(code));
            stream.reset = Some(Reset { code, by: By::Peer, why: "" });
            stream.drop_outgoing();
            self.changed(header.stream);
        }
        Ok(())
    }

    fn on_settings(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Error> {
        if header.stream != 0 {
            return Err(Error::protocol("SETTINGS on a stream"));
        }
        if header.has(ACK) {
            self.settings_acknowledged = true;
            return if payload.is_empty() {
                self.guard.count(Flood::Settings)
            } else {
                Err(Error::size("acknowledgement of SETTINGS is not empty"))
            };
        }
        if !payload.len().is_multiple_of(6) {
            return Err(Error::size("SETTINGS has not a multiple of six bytes"));
        }
        self.guard.count(Flood::Settings)?;
        let window = i64::from(self.peer.initial_window);
        if !self.settings_seen {
            self.beginning.settings = settings::entries(payload).take(H2_BEGINNING_SETTINGS_MAX).collect();
        }
        self.peer.apply(payload, !self.settings_seen, self.config.role)?;
        self.settings_seen = true;
        self.encoder.set_table_bytes_max(self.peer.header_table_bytes as usize);
        let change = i64::from(self.peer.initial_window) - window;
        if change != 0 {
            let mut freed = Vec::new();
            for (id, stream) in &mut self.streams {
                if !stream.send_window.change(change) {
                    return Err(Error::new(Code::FLOW_CONTROL_ERROR, "SETTINGS makes a window too large"));
                }
                freed.push(*id);
            }
            for id in freed {
                self.stand_in_line(id);
            }
        }
        frame::put_settings_ack(&mut self.control);
        self.events.push_back(Event::Capacity);
        Ok(())
    }

    fn on_ping(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Error> {
        if header.stream != 0 {
            return Err(Error::protocol("PING on a stream"));
        }
        let payload = <[u8; 8]>::try_from(payload).map_err(|_| Error::size("PING has not eight bytes"))?;
        self.guard.count(Flood::Pings)?;
        if !header.has(ACK) {
            frame::put_ping(&mut self.control, ACK, payload);
        } else if payload == SHUTDOWN_PING && self.going_away == GoingAway::Warned {
            self.going_away = GoingAway::Last(self.peer_highest);
            frame::put_go_away(&mut self.control, self.peer_highest, Code::NO_ERROR.0);
        } else {
            self.events.push_back(Event::Pong);
        }
        Ok(())
    }

    fn on_go_away(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Error> {
        if header.stream != 0 {
            return Err(Error::protocol("GOAWAY on a stream"));
        }
        let Some((last, rest)) = payload.split_first_chunk::<4>() else {
            return Err(Error::size("GOAWAY has less than eight bytes"));
        };
        let Some(code) = rest.first_chunk::<4>() else {
            return Err(Error::size("GOAWAY has less than eight bytes"));
        };
        self.guard.count(Flood::Settings)?;
        let last = u32::from_be_bytes(*last) & 0x7fff_ffff;
        if self.peer_last.is_some_and(|before| last > before) {
            return Err(Error::protocol("GOAWAY takes in streams that one before left out"));
        }
        self.peer_last = Some(last);
        let code = Code(u32::from_be_bytes(*code));
        let left_out: Vec<u32> = self
            .streams
            .iter()
            .filter(|(id, stream)| stream.own && **id > last && !stream.is_closed())
            .map(|(id, _)| *id)
            .collect();
        for id in left_out {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.reset = Some(Reset { code, by: By::GoAway, why: "" });
                stream.drop_outgoing();
            }
            self.changed(id);
        }
        self.events.push_back(Event::GoAway { code });
        self.events.push_back(Event::Capacity);
        Ok(())
    }

    fn on_window_update(&mut self, header: FrameHeader, payload: &[u8]) -> Result<(), Error> {
        let bytes =
            <[u8; 4]>::try_from(payload).map_err(|_| Error::size("WINDOW_UPDATE has not four bytes"))?;
        let increment = u32::from_be_bytes(bytes) & 0x7fff_ffff;
        self.guard.count(Flood::WindowUpdates)?;
        if header.stream == 0 {
            if increment == 0 {
                return Err(Error::protocol("WINDOW_UPDATE of nothing"));
            }
            if !self.send_window.change(increment.into()) {
                return Err(Error::new(Code::FLOW_CONTROL_ERROR, "the connection's window is too large"));
            }
            if self.is_beginning {
                self.beginning.window_bytes = self.beginning.window_bytes.saturating_add(increment);
            }
            return Ok(());
        }
        if self.is_idle(header.stream) {
            return Err(Error::protocol("WINDOW_UPDATE on a stream that was never opened"));
        }
        let Some(stream) = self.streams.get_mut(&header.stream) else { return Ok(()) };
        if stream.is_closed() {
            return Ok(());
        }
        if increment == 0 {
            return self.stream_error(header.stream, Code::PROTOCOL_ERROR, "WINDOW_UPDATE of nothing");
        }
        if !stream.send_window.change(increment.into()) {
            let why = "the stream's window is too large";
            return self.stream_error(header.stream, Code::FLOW_CONTROL_ERROR, why);
        }
        self.stand_in_line(header.stream);
        Ok(())
    }

    /// Whether a stream of this number has never been.
    fn is_idle(&self, id: u32) -> bool {
        let is_own = id % 2 == u32::from(self.config.role == Role::Client);
        id == 0 || if is_own { id >= self.own_next } else { id > self.peer_highest }
    }

    /// A frame came for a stream that is not here.
    fn on_missing(&mut self, id: u32, late: Late) -> Result<(), Error> {
        if self.is_idle(id) {
            return Err(Error::protocol(match late {
                Late::Data(_) => "DATA on a stream that was never opened",
                Late::Headers => "HEADERS on a stream that cannot be opened",
            }));
        }
        match self.closed.find(id) {
            Some(Ended::ByUs) => self.pass_over(late),
            Some(Ended::ByPeer | Ended::ByPeerAndTold) => self.on_behind_own_reset(id),
            Some(Ended::Cleanly) => Err(Error::new(Code::STREAM_CLOSED, "frame on a stream that is over")),
            None if late == Late::Headers => {
                Err(Error::protocol("a stream's number is lower than one before"))
            }
            None => Err(Error::new(Code::STREAM_CLOSED, "frame on a stream that is over")),
        }
    }

    /// A frame came for a stream that was reset and that somebody still looks at.
    fn on_late(&mut self, id: u32, reset: Reset, late: Late) -> Result<(), Error> {
        if reset.by == By::Us { self.pass_over(late) } else { self.on_behind_own_reset(id) }
    }

    /// A frame came behind our reset. The peer may not have read that yet; what costs it less than us is counted all the same.
    fn pass_over(&mut self, late: Late) -> Result<(), Error> {
        match late {
            Late::Data(len) if len >= H2_LATE_DATA_BYTES_MIN => Ok(()),
            Late::Data(_) => self.guard.count(Flood::LateData),
            Late::Headers => self.guard.count(Flood::ProvokedResets),
        }
    }

    /// The peer reset a stream and sends more on it.
    fn on_behind_own_reset(&mut self, id: u32) -> Result<(), Error> {
        self.reset_what_is_over(id, Code::STREAM_CLOSED);
        self.guard.count(Flood::ProvokedResets)
    }

    /// Says RST_STREAM for a stream that is over, unless that was said: once is enough (RFC 9113 section 5.4.2).
    fn reset_what_is_over(&mut self, id: u32, code: Code) {
        let ended = match self.closed.find(id) {
            Some(Ended::ByUs | Ended::ByPeerAndTold) => return,
            Some(Ended::ByPeer) => Ended::ByPeerAndTold,
            Some(Ended::Cleanly) | None => Ended::ByUs,
        };
        self.closed.remember(id, ended);
        frame::put_rst_stream(&mut self.control, id, code.0);
    }

    /// The peer broke the protocol on one stream, which ends; the connection goes on.
    fn stream_error(&mut self, id: u32, code: Code, why: &'static str) -> Result<(), Error> {
        if self.is_idle(id) {
            return Err(Error::new(code, why));
        }
        self.guard.count(Flood::ProvokedResets)?;
        match self.streams.get_mut(&id) {
            Some(stream) if !stream.is_closed() => {
                self.reset_stream(id, code, why);
                self.changed(id);
            }
            _ => self.reset_what_is_over(id, code),
        }
        Ok(())
    }

    fn changed(&mut self, id: u32) {
        self.events.push_back(Event::Changed(StreamId(id)));
        self.after_change(id);
    }
}

/// Whether a head is of an interim response.
fn is_interim(fields: &FieldList) -> bool {
    let status =
        fields.iter().take_while(|field| field.name.starts_with(b":")).find(|f| f.name == b":status");
    status.is_some_and(|status| status.value.len() == 3 && status.value.starts_with(b"1"))
}
