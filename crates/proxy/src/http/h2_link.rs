//! An HTTP/2 connection that several exchanges use: what they share, and their handles on its streams.
//!
//! Nothing is sent or received here: that is for the one [`Driver`](super::h2_driver::Driver) of the connection. An exchange that
//! waits leaves its waker with its stream.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use flowgate_flow::{Headers, ServerConnection};
use flowgate_wire::hpack::Encoder;
use flowgate_wire::http1::Framing;
use flowgate_wire::http2::semantics::{MessageError, check_trailers};
use flowgate_wire::http2::{self, Code, Config, Connection, Event, Incoming, OpenError, Role, StreamId};

use super::side::SideError;
use crate::limits::{
    H2_CONNECTION_WINDOW_BYTES, H2_HEADER_LIST_BYTES, H2_STREAM_WINDOW_BYTES, H2_STREAMS_MAX,
};

/// A connection.
#[derive(Clone)]
pub(crate) struct H2Link(Arc<Mutex<State>>);

/// What exchanges and the driver share.
pub(super) struct State {
    pub(super) connection: Connection<Slot>,
    /// Why there is no connection any more.
    pub(super) lost: Option<Lost>,
    /// To be woken when something is to be sent; `None` while the driver looks after it anyway.
    pub(super) driver: Option<Waker>,
    /// Who waits to open a stream.
    openers: Vec<Waker>,
    /// Nobody will open streams any more.
    pub(super) closing: bool,
    /// A head was taken from one of its streams: of a server, that it has answered.
    answered: bool,
    /// The facts of a server, once it has said what it says of itself.
    facts: Option<Arc<ServerConnection>>,
}

/// What is kept with each stream: who waits for it.
#[derive(Default)]
pub(super) struct Slot(Option<Waker>);

/// How a connection ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lost {
    /// The peer closed it, or we did when it was no longer wanted.
    Closed,
    /// The transport failed.
    Io(io::ErrorKind),
    /// The peer broke the protocol.
    Protocol(http2::Error),
}

impl From<Lost> for SideError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Closed => Self::Closed,
            Lost::Io(kind) => Self::Io(kind.into()),
            Lost::Protocol(error) => Self::H2(error),
        }
    }
}

impl H2Link {
    /// A connection of which we are this end.
    pub(super) fn new(role: Role) -> Self {
        let connection = Connection::new(Config {
            role,
            streams_max: H2_STREAMS_MAX,
            stream_window: H2_STREAM_WINDOW_BYTES,
            connection_window: H2_CONNECTION_WINDOW_BYTES,
            header_list_bytes_max: H2_HEADER_LIST_BYTES,
            connect_protocol: true,
        });
        let state = State {
            connection,
            lost: None,
            driver: None,
            openers: Vec::new(),
            closing: false,
            answered: false,
            facts: None,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked did so outside of the connection's own code, or ended the exchange that it was about.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when a stream can be opened, or with `false` if none ever will be.
    pub(super) fn poll_can_open(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        if state.lost.is_some() || state.closing {
            return Poll::Ready(false);
        }
        match state.connection.can_open() {
            Ok(()) => Poll::Ready(true),
            Err(OpenError::TooMany) => {
                state.openers.push(cx.waker().clone());
                Poll::Pending
            }
            Err(_) => Poll::Ready(false),
        }
    }

    /// Ready when it is known whether the peer takes an extended CONNECT (RFC 8441 section 3): with its SETTINGS, or never.
    pub(super) fn poll_connect_protocol(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        if state.lost.is_some() || state.closing {
            return Poll::Ready(false);
        }
        if state.connection.has_begun() {
            return Poll::Ready(state.connection.peer().connect_protocol);
        }
        // They are woken by SETTINGS, and by the end.
        state.openers.push(cx.waker().clone());
        Poll::Pending
    }

    /// Whether the server ever answered on this connection. One that closes it instead has seen what it was asked there.
    pub(super) fn has_answered(&self) -> bool {
        self.lock().answered
    }

    /// What is known of the server at the other end, who has these facts: also what it says of itself, once it has.
    pub(super) fn facts(&self, facts: &Arc<ServerConnection>) -> Arc<ServerConnection> {
        let mut state = self.lock();
        if state.facts.is_none() && state.answered {
            let mut told = ServerConnection::clone(facts);
            told.connection.http2 = Some(Box::new(state.connection.beginning().clone()));
            state.facts = Some(Arc::new(told));
        }
        Arc::clone(state.facts.as_ref().unwrap_or(facts))
    }

    /// Whether both are the same connection.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Lets the connection end when its streams have.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        state.notify();
    }

    /// A handle on a stream.
    pub(super) fn stream(&self, id: StreamId) -> H2Stream {
        H2Stream { link: self.clone(), id }
    }
}

impl State {
    /// Wakes whoever waits for what happened; gives the streams that the peer opened.
    pub(super) fn dispatch(&mut self, opened: &mut Vec<StreamId>) {
        while let Some(event) = self.connection.next_event() {
            match event {
                Event::Opened(id) => opened.push(id),
                Event::Changed(id) => {
                    if let Some(waker) = self.connection.user(id).and_then(|slot| slot.0.take()) {
                        waker.wake();
                    }
                }
                Event::Capacity | Event::GoAway { .. } => self.openers.drain(..).for_each(Waker::wake),
                _ => {}
            }
        }
    }

    /// The connection is no more: all who wait for it learn so.
    pub(super) fn lose(&mut self, lost: Lost) {
        self.lost.get_or_insert(lost);
        self.connection.users().filter_map(|slot| slot.0.take()).for_each(Waker::wake);
        self.openers.drain(..).for_each(Waker::wake);
    }

    /// Something is to be sent.
    pub(super) fn notify(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    fn wait(&mut self, id: StreamId, cx: &Context<'_>) {
        if let Some(slot) = self.connection.user(id)
            && !slot.0.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            slot.0 = Some(cx.waker().clone());
        }
    }
}

/// A stream. When dropped, it is released.
pub(super) struct H2Stream {
    pub(super) link: H2Link,
    id: StreamId,
}

impl H2Stream {
    /// What comes next. The window opens with it: the next piece is only asked for when there is room for it.
    pub(super) fn poll_take(&self, cx: &Context<'_>) -> Poll<Result<Incoming, SideError>> {
        let mut state = self.link.lock();
        match state.connection.take(self.id) {
            Ok(Some(incoming)) => {
                match &incoming {
                    Incoming::Data(data) => {
                        state.connection.consumed(self.id, data.len());
                        state.notify();
                    }
                    Incoming::Head { .. } => state.answered = true,
                    Incoming::End(_) => {}
                }
                Poll::Ready(Ok(incoming))
            }
            Err(reset) => Poll::Ready(Err(SideError::Reset(reset))),
            Ok(None) => {
                if let Some(lost) = state.lost {
                    return Poll::Ready(Err(lost.into()));
                }
                state.wait(self.id, cx);
                Poll::Pending
            }
        }
    }

    /// Sends a head; `ends` if nothing follows.
    pub(super) fn send_head(
        &self,
        encode: impl FnOnce(&mut Encoder, &mut Vec<u8>) -> Result<(), MessageError>,
        interim: bool,
        ends: bool,
    ) -> Result<(), SideError> {
        let mut state = self.link.lock();
        state.connection.send_head(self.id, encode, interim, ends)?;
        state.notify();
        Ok(())
    }

    /// Ready when another piece may be queued.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<Result<(), SideError>> {
        let mut state = self.link.lock();
        if let Some(lost) = state.lost {
            return Poll::Ready(Err(lost.into()));
        }
        match state.connection.has_room(self.id) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => {
                state.wait(self.id, cx);
                Poll::Pending
            }
            Err(reset) => Poll::Ready(Err(SideError::Reset(reset))),
        }
    }

    pub(super) fn send_data(&self, data: Bytes) {
        let mut state = self.link.lock();
        state.connection.send_data(self.id, data);
        state.notify();
    }

    pub(super) fn send_end(&self, trailers: Option<&Headers>) -> Result<(), SideError> {
        // Judged now: when their turn comes there is nobody left to tell.
        let trailers = trailers.map(check_trailers).transpose()?;
        let mut state = self.link.lock();
        state.connection.send_end(self.id, trailers.filter(|trailers| !trailers.is_empty()));
        state.notify();
        Ok(())
    }

    /// Ready when what is queued needs no more of the peer than that it reads.
    pub(super) fn poll_going_out(&self, cx: &Context<'_>) -> Poll<Result<(), SideError>> {
        let mut state = self.link.lock();
        if let Some(lost) = state.lost {
            return Poll::Ready(Err(lost.into()));
        }
        if state.connection.is_going_out(self.id) {
            return Poll::Ready(Ok(()));
        }
        state.wait(self.id, cx);
        Poll::Pending
    }

    /// Ready when nothing of what was queued is left, the end included.
    pub(super) fn poll_sent(&self, cx: &Context<'_>) -> Poll<Result<(), SideError>> {
        let mut state = self.link.lock();
        if state.connection.is_sent(self.id) {
            return Poll::Ready(state.connection.reset_of(self.id).map_or(
                Ok(()),
                |reset| match reset.code {
                    // The peer has all that it wants.
                    Code::NO_ERROR => Ok(()),
                    _ => Err(SideError::Reset(reset)),
                },
            ));
        }
        if let Some(lost) = state.lost {
            return Poll::Ready(Err(lost.into()));
        }
        state.wait(self.id, cx);
        Poll::Pending
    }

    /// Ready when the stream was reset, or the connection is no more.
    pub(super) fn poll_gone(&self, cx: &Context<'_>) -> Poll<SideError> {
        let mut state = self.link.lock();
        if let Some(reset) = state.connection.reset_of(self.id) {
            return Poll::Ready(SideError::Reset(reset));
        }
        if let Some(lost) = state.lost {
            return Poll::Ready(lost.into());
        }
        state.wait(self.id, cx);
        Poll::Pending
    }

    /// Ends the stream since its request is malformed; with too many of them, the connection.
    pub(super) fn refuse_malformed(&self) {
        let mut state = self.link.lock();
        state.connection.refuse_malformed(self.id);
        if let Some(error) = state.connection.failure() {
            state.lose(Lost::Protocol(error));
        }
        state.notify();
    }

    /// Ends the stream, if it has not ended.
    pub(super) fn reset(&self, code: Code) {
        let mut state = self.link.lock();
        state.connection.reset(self.id, code, "stream was given up");
        state.notify();
    }
}

impl Drop for H2Stream {
    fn drop(&mut self) {
        let mut state = self.link.lock();
        state.connection.release(self.id);
        state.notify();
    }
}

/// Opens a stream with a request's head.
pub(super) fn open(
    link: &H2Link,
    encode: impl FnOnce(&mut Encoder, &mut Vec<u8>) -> Result<(), SideError>,
    framing: Framing,
) -> Result<H2Stream, SideError> {
    let mut state = link.lock();
    if let Some(lost) = state.lost {
        return Err(lost.into());
    }
    let id = state.connection.open(encode, framing == Framing::None, Slot::default())?;
    state.notify();
    drop(state);
    Ok(link.stream(id))
}
