//! Moves the bytes of one HTTP/2 connection between its transport and its [`H2Link`].
//!
//! Whoever owns a driver polls it: the task of a client's connection polls its servers' too, so that an exchange between two
//! HTTP/2 connections stays in one task.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use flowgate_net::BoxIo;
use flowgate_wire::http2::{self, Code, Role, StreamId};
use flowgate_wire::limits::H2_FLOOD_PERIOD_SECONDS;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::io::poll_read_buf;
use tokio_util::sync::CancellationToken;

use super::farewell::Farewell;
use super::h2_link::{H2Link, Lost};
use super::write_queue::WriteQueue;
use crate::limits::{
    CLIENT_HEADER_TIMEOUT, H2_LINGER_BYTES_MAX, H2_READ_BYTES, H2_SETTINGS_TIMEOUT, WRITE_QUEUE_BYTES,
};
use crate::server::ServerGuard;

/// One end of a connection.
pub(super) struct Driver {
    pub(super) link: H2Link,
    io: BoxIo,
    read: BytesMut,
    queue: WriteQueue,
    role: Role,
    /// When its flood counters were last renewed.
    renewed: Instant,
    /// When something last came.
    heard: Instant,
    began: Instant,
    /// Since when a client has been in the middle of a head.
    head_began: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// How long a client may rest.
    idle_timeout: Duration,
    /// After how long a silence a server is sent a PING; one that is silent for as long again is given up.
    keepalive: Option<Duration>,
    /// It was sent one, and has said nothing since.
    pinged: bool,
    /// It was not read from, since too much waited to be written.
    held_back: bool,
    over: bool,
    /// Logs the end of a server connection.
    guard: Option<ServerGuard>,
}

impl Driver {
    /// The end towards a client, which may rest for so long.
    pub(super) fn for_client(io: BoxIo, idle_timeout: Duration) -> Self {
        Self::new(io, Role::Server, idle_timeout, None, None)
    }

    /// The end towards a server, which is sent a PING when it was silent for as long as `keepalive`.
    pub(super) fn for_server(io: BoxIo, guard: ServerGuard, keepalive: Option<Duration>) -> Self {
        Self::new(io, Role::Client, Duration::MAX, keepalive, Some(guard))
    }

    fn new(
        io: BoxIo,
        role: Role,
        idle_timeout: Duration,
        keepalive: Option<Duration>,
        guard: Option<ServerGuard>,
    ) -> Self {
        let now = Instant::now();
        Self {
            link: H2Link::new(role),
            io,
            read: BytesMut::new(),
            queue: WriteQueue::default(),
            role,
            renewed: now,
            heard: now,
            began: now,
            head_began: None,
            timer: None,
            idle_timeout,
            keepalive,
            pinged: false,
            held_back: false,
            over: false,
            guard,
        }
    }

    /// Whether nothing is to be read or written any more.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// Reads once; says whether anything came. Streams that the peer opened are appended to `opened`.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, opened: &mut Vec<StreamId>) -> bool {
        if self.over || self.link.lock().lost.is_some() {
            return false;
        }
        // A peer that does not take our answers is not listened to.
        self.held_back = self.queue.len() > WRITE_QUEUE_BYTES;
        if self.held_back {
            return false;
        }
        if self.read.capacity() - self.read.len() < H2_READ_BYTES / 4 {
            self.read.reserve(H2_READ_BYTES);
        }
        let result = match poll_read_buf(Pin::new(&mut self.io), cx, &mut self.read) {
            Poll::Pending => {
                if self.read.is_empty() && self.link.lock().connection.streams() == 0 {
                    self.read = BytesMut::new();
                }
                return false;
            }
            Poll::Ready(result) => result,
        };
        let now = Instant::now();
        (self.heard, self.pinged) = (now, false);
        let mut state = self.link.lock();
        match result {
            Ok(0) => state.lose(Lost::Closed),
            Err(err) => state.lose(Lost::Io(err.kind())),
            Ok(_) => {
                if now - self.renewed >= Duration::from_secs(H2_FLOOD_PERIOD_SECONDS) {
                    self.renewed = now;
                    state.connection.renew();
                }
                let received = state.connection.receive(&mut self.read);
                let in_head = self.role == Role::Server && state.connection.is_in_head(&self.read);
                self.head_began = in_head.then(|| self.head_began.unwrap_or(now));
                state.dispatch(opened);
                if let Err(error) = received {
                    state.lose(Lost::Protocol(error));
                }
            }
        }
        true
    }

    /// Writes what there is, until the transport takes no more; says whether there is reason to read again.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        while !self.over {
            let (lost, done) = {
                let mut state = self.link.lock();
                state.connection.transmit(&mut self.queue);
                state.dispatch(&mut Vec::new());
                let wanted = !state.closing || state.connection.streams() > 0;
                (state.lost, state.connection.is_done() || !wanted)
            };
            if self.queue.is_clean() {
                self.over = done || lost.is_some();
                return std::mem::take(&mut self.held_back);
            }
            match self.queue.poll_write(cx, &mut self.io) {
                // The rest is for `close`, which waits for nobody for long.
                Poll::Pending if lost.is_some() => self.over = true,
                Poll::Pending => return false,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(err)) => {
                    self.link.lock().lose(Lost::Io(err.kind()));
                    self.over = true;
                }
            }
        }
        false
    }

    /// Looks at the clock; says whether there was something to do.
    pub(super) fn poll_time(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let mut state = self.link.lock();
            if state.lost.is_some() {
                return false;
            }
            let acknowledged = state.connection.is_acknowledged();
            let rests = self.role == Role::Server && state.connection.streams() == 0;
            let due = match (acknowledged, rests, self.keepalive) {
                (false, ..) => Some(self.began + H2_SETTINGS_TIMEOUT),
                (true, true, _) => Some(self.heard + self.idle_timeout),
                (true, false, Some(keepalive)) => Some(self.heard + keepalive),
                (true, false, None) => None,
            };
            let head_due = self.head_began.map(|began| began + CLIENT_HEADER_TIMEOUT);
            let Some(due) = due.into_iter().chain(head_due).min() else { return false };
            // A timer that fires too early is moved on then: most never fire.
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return false;
            }
            if Instant::now() < due {
                timer.as_mut().reset(due);
                continue;
            }
            if head_due == Some(due) {
                state.connection.fail(Code::NO_ERROR, "a request was not sent in time");
                let error = state.connection.failure();
                state.lose(error.map_or(Lost::Closed, Lost::Protocol));
                return true;
            }
            if acknowledged && self.keepalive.is_some() {
                if std::mem::replace(&mut self.pinged, true) {
                    let why = "a PING was not answered in time";
                    state.connection.fail(Code::NO_ERROR, why);
                    let error = state.connection.failure();
                    state.lose(error.map_or(Lost::Closed, Lost::Protocol));
                    return true;
                }
                state.connection.ping(*b"flowgate");
                self.heard = Instant::now();
            } else if acknowledged {
                state.connection.fail(Code::NO_ERROR, "idle");
                state.lose(Lost::Closed);
            } else {
                let why = "SETTINGS were not acknowledged in time";
                state.connection.fail(Code::SETTINGS_TIMEOUT, why);
                let error = state.connection.failure();
                state.lose(error.map_or(Lost::Closed, Lost::Protocol));
            }
            return true;
        }
    }

    /// Gives memory back while nothing is on its way.
    pub(super) fn rest(&mut self) {
        if self.link.lock().connection.streams() == 0 {
            self.queue.rest();
        }
    }

    /// How the connection failed, if the peer broke the protocol.
    pub(super) fn failure(&self) -> Option<http2::Error> {
        match self.link.lock().lost {
            Some(Lost::Protocol(error)) => Some(error),
            _ => None,
        }
    }

    /// Whether the peer had too much of us: what it asked for meanwhile is not worth the work.
    pub(super) fn is_flooded(&self) -> bool {
        self.failure().is_some_and(|error| error.code == Code::ENHANCE_YOUR_CALM)
    }

    /// Drives the connection to its end, in a task of its own.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        poll_fn(|cx| {
            loop {
                self.link.lock().driver = None;
                let mut moved = self.poll_read(cx, &mut Vec::new()) || self.poll_time(cx);
                moved |= self.poll_write(cx);
                if self.over {
                    return Poll::Ready(());
                }
                if !moved {
                    self.rest();
                    self.link.lock().driver = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        })
        .await;
        self.close(stop).await;
    }

    /// Says goodbye and closes, so that what was said arrives although the peer may still be sending. Nobody is waited for when
    /// `stop` is cancelled. All else of the connection is gone when this returns.
    pub(super) fn close(mut self, stop: CancellationToken) -> impl Future<Output = ()> + Send + 'static {
        let lost = {
            let mut state = self.link.lock();
            state.connection.fail(Code::NO_ERROR, "no longer needed");
            state.connection.transmit(&mut self.queue);
            state.lose(Lost::Closed);
            state.lost
        };
        let is_flooded = self.is_flooded();
        let Self { io, queue, guard, .. } = self;
        let farewell = (!matches!(lost, Some(Lost::Io(_)))).then(|| Farewell::new(io, queue));
        async move {
            // Until the end is the end.
            let _guard = guard;
            let Some(farewell) = farewell else { return };
            if is_flooded {
                return farewell.leave_unread(&stop).await;
            }
            // Who broke the rules is not read for long: it would cost us more than it costs them.
            let broke = matches!(lost, Some(Lost::Protocol(_)));
            farewell.say(if broke { H2_LINGER_BYTES_MAX } else { usize::MAX }, &stop).await;
        }
    }
}
