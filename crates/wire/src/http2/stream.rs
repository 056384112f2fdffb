//! One stream: its two directions (RFC 9113 section 5.1), what came on it and waits to be taken, what waits to be sent.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use flowgate_flow::{Headers, Priority};

use super::error::Code;
use super::flow::{ReceiveWindow, SendWindow};
use crate::hpack::FieldList;

/// Pieces up to this many bytes are copied, so that they do not keep a whole read buffer alive, and are put together.
const COPIED_BYTES_MAX: usize = 1024;
/// Up to how many bytes small pieces are put together.
const MERGED_BYTES_MAX: usize = 4096;

/// The number of a stream.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamId(pub(super) u32);

impl StreamId {
    /// As it stands in frames.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What came on a stream.
#[derive(Debug)]
pub enum Incoming {
    /// A head: a request's, an interim response's or a response's.
    Head {
        /// Its fields.
        fields: FieldList,
        /// Whether nothing follows.
        ends: bool,
        /// The priority that stands with it (section 6.2).
        priority: Option<Priority>,
    },
    /// Bytes of a body; never empty. To be given back to the window by `consumed`.
    Data(Bytes),
    /// The end, with trailers if there are any. Not told after a head that ends the stream.
    End(Option<FieldList>),
}

/// That a stream ended before its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reset {
    /// Why.
    pub code: Code,
    /// Who ended it.
    pub by: By,
    /// What a person is told, if it was us.
    pub why: &'static str,
}

/// Who ended a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum By {
    /// The peer, by RST_STREAM.
    Peer,
    /// The peer, by a GOAWAY that leaves it out.
    GoAway,
    /// We did, since the peer broke the protocol on it, or since we were told to.
    Us,
}

impl Reset {
    /// Whether the peer promises that it did nothing with the request (section 8.7).
    #[must_use]
    pub fn was_unprocessed(&self) -> bool {
        self.by == By::GoAway || (self.by == By::Peer && self.code == Code::REFUSED_STREAM)
    }
}

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            By::Peer => write!(f, "stream was reset with {}", self.code),
            By::GoAway => f.write_str("stream was left out by GOAWAY"),
            By::Us => write!(f, "{} ({})", self.why, self.code),
        }
    }
}

impl std::error::Error for Reset {}

/// One direction of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Direction {
    /// Its head is still to come.
    Head,
    /// Its body.
    Body,
    /// It has ended.
    Ended,
}

/// What ends our direction.
#[derive(Debug)]
pub(super) enum End {
    Plain,
    Trailers(Headers),
}

#[derive(Debug)]
pub(super) struct Stream<T> {
    /// Whether we opened it.
    pub(super) own: bool,
    pub(super) receiving: Direction,
    pub(super) sending: Direction,
    pub(super) reset: Option<Reset>,
    /// It counts among those that are open.
    pub(super) open: bool,
    /// Nobody will ask for it again.
    pub(super) released: bool,
    pub(super) send_window: SendWindow,
    pub(super) receive_window: ReceiveWindow,
    pub(super) incoming: VecDeque<Incoming>,
    /// Heads of interim responses that came.
    pub(super) interim: usize,
    pub(super) out: VecDeque<Bytes>,
    pub(super) out_bytes: usize,
    pub(super) out_end: Option<End>,
    /// It stands in the line of those that may send.
    pub(super) in_line: bool,
    /// Somebody waits until what is queued has gone out.
    pub(super) awaited: bool,
    pub(super) user: T,
}

impl<T> Stream<T> {
    pub(super) fn new(own: bool, send_window: u32, receive_window: u32, user: T) -> Self {
        Self {
            own,
            receiving: Direction::Head,
            sending: Direction::Head,
            reset: None,
            open: true,
            released: false,
            send_window: SendWindow::new(send_window),
            receive_window: ReceiveWindow::new(receive_window),
            incoming: VecDeque::new(),
            interim: 0,
            out: VecDeque::new(),
            out_bytes: 0,
            out_end: None,
            in_line: false,
            awaited: false,
            user,
        }
    }

    /// Whether both directions are over.
    pub(super) fn is_closed(&self) -> bool {
        self.reset.is_some() || (self.receiving == Direction::Ended && self.sending == Direction::Ended)
    }

    /// Whether it has something that could be sent now, as far as it depends on itself.
    pub(super) fn can_send(&self) -> bool {
        self.reset.is_none()
            && if self.out.is_empty() { self.out_end.is_some() } else { self.send_window.available() > 0 }
    }

    /// Keeps a piece of a body that came.
    pub(super) fn push_data(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        if data.len() > COPIED_BYTES_MAX {
            self.incoming.push_back(Incoming::Data(data));
            return;
        }
        match self.incoming.back_mut() {
            Some(Incoming::Data(last)) if last.len() + data.len() <= MERGED_BYTES_MAX => {
                *last = [&last[..], &data[..]].concat().into();
            }
            _ => self.incoming.push_back(Incoming::Data(Bytes::copy_from_slice(&data))),
        }
    }

    /// Drops what came and was not taken; says how many bytes of bodies that was.
    pub(super) fn drop_incoming(&mut self) -> usize {
        let bytes = |incoming: &Incoming| match incoming {
            Incoming::Data(data) => data.len(),
            Incoming::Head { .. } | Incoming::End(_) => 0,
        };
        self.incoming.drain(..).map(|incoming| bytes(&incoming)).sum()
    }

    /// Drops what was to be sent.
    pub(super) fn drop_outgoing(&mut self) {
        self.out.clear();
        (self.out_bytes, self.out_end) = (0, None);
    }
}
