//! A pipe between two streams: bytes both ways as they come, half-closes kept, each direction with its own end.
//!
//! Nothing is looked at unless a [`Tap`] does. Between two TCP sockets large amounts are moved by the kernel
//! (`splice(2)`, Linux only); everything else is copied. What holds bytes, a buffer or a kernel pipe, is borrowed while
//! there are bytes in hand, so an idle connection holds neither.

mod buffer;
#[cfg_attr(not(target_os = "linux"), path = "relay/no_pipe.rs")]
mod pipe;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::time::timeout;

use crate::limits::LAST_WORDS_TIMEOUT;
use crate::{BoxIo, Io};
use buffer::Buffer;
use pipe::{Filled, PIPES, Pipe, Pipes};

/// A direction is spliced when so many bytes came, or last time came, without a wait between them. Measured with messages
/// to and fro: below this splicing costs up to a fifth more than copying, at twice this a third less
/// (`cargo run --release -p flowgate-net --example relay_cost`).
const SPLICE_FROM_BYTES: u64 = 64 * 1024;
/// How many bytes a direction may move before other connections have their turn.
const TURN_BYTES: u64 = 1024 * 1024;

/// Sees what is relayed.
pub trait Tap {
    /// Whether [`chunk`](Self::chunk) is to be called at all. If not, bytes may cross without passing through the memory
    /// of this process.
    const SEES: bool = true;

    /// A piece that was read, before it is written on.
    fn chunk(&mut self, from_client: bool, data: &[u8]);

    /// A side will send no more: all it sent was told before.
    fn ended(&mut self, _from_client: bool) {}
}

/// Sees nothing.
#[derive(Debug)]
pub struct NoTap;

impl Tap for NoTap {
    const SEES: bool = false;

    fn chunk(&mut self, _from_client: bool, _data: &[u8]) {}
}

/// How many bytes crossed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Relayed {
    /// From the client to the server.
    pub up: u64,
    /// From the server to the client.
    pub down: u64,
}

/// How a relay ended.
#[derive(Debug)]
pub struct RelayEnd {
    /// What crossed.
    pub relayed: Relayed,
    /// How much of that the kernel moved, without a copy.
    pub spliced: Relayed,
    /// The error that ended it, and whether it was the client's side that had it; `None` if both sides closed.
    pub failure: Option<(bool, io::Error)>,
}

/// Relays until both directions have ended, or one side fails. Then both streams are closed; a failure is passed on to
/// the other side as a reset where it is a socket. What a side said before it refused to take more is relayed first.
///
/// Both streams are asked for their socket ([`Io::tcp`]) again and again: one that first gives bytes read earlier is
/// spliced from when they are through.
pub async fn relay<T: Tap>(client: BoxIo, server: BoxIo, tap: &mut T) -> RelayEnd {
    relay_through(&PIPES, client, server, tap).await
}

async fn relay_through<T: Tap>(
    pipes: &'static Pipes,
    mut client: BoxIo,
    mut server: BoxIo,
    tap: &mut T,
) -> RelayEnd {
    let mut up = Direction::new(pipes, !T::SEES);
    let mut down = Direction::new(pipes, !T::SEES);
    let result = poll_fn(|cx| {
        // Both are polled each time: a direction that waits must not keep the other from moving.
        let first = up.poll(cx, &mut client, &mut server, true, tap);
        if let Poll::Ready(Err(failure)) = first {
            return Poll::Ready(Err((true, failure)));
        }
        let second = down.poll(cx, &mut server, &mut client, false, tap);
        if let Poll::Ready(Err(failure)) = second {
            return Poll::Ready(Err((false, failure)));
        }
        let both_ended = first.is_ready() && second.is_ready();
        let first = up.poll_close(cx, &mut server, both_ended).map_err(|err| (true, (false, err)))?;
        let second = down.poll_close(cx, &mut client, both_ended).map_err(|err| (false, (false, err)))?;
        if first.is_ready() && second.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await;
    let result = match result {
        // Who closes a socket in which something lies unread resets it, and what was said before may still be on its way to us: an
        // HTTP error, the last message of a WebSocket.
        Err((upwards, (false, err))) => {
            let last_words = poll_fn(|cx| match upwards {
                true => down.poll(cx, &mut server, &mut client, false, tap),
                false => up.poll(cx, &mut client, &mut server, true, tap),
            });
            // However they end, it is the failure before them that is told.
            let _ = timeout(LAST_WORDS_TIMEOUT, last_words).await;
            Err((!upwards, err))
        }
        Err((from_client, (true, err))) => Err((from_client, err)),
        Ok(()) => Ok(()),
    };
    let failure = result.err();
    if let Some((client_failed, _)) = &failure {
        if *client_failed { &server } else { &client }.reset_at_end();
    }
    let relayed = Relayed { up: up.bytes, down: down.bytes };
    let spliced = Relayed { up: up.spliced, down: down.spliced };
    RelayEnd { relayed, spliced, failure }
}

fn see<T: Tap>(tap: &mut T, from_client: bool, data: &[u8]) {
    if T::SEES {
        tap.chunk(from_client, data);
    }
}

/// One direction: what was read and is not written yet, and where it stands.
struct Direction {
    pipes: &'static Pipes,
    /// Whether the bytes may be moved unseen.
    splices: bool,
    state: State,
    /// What is in hand is in one of these.
    buffer: Option<Buffer>,
    pipe: Option<Pipe>,
    bytes: u64,
    spliced: u64,
    /// What came since there was last nothing to read.
    burst: u64,
    /// What came between the two waits before: likely what comes next.
    burst_before: u64,
}

#[derive(PartialEq)]
enum State {
    Open,
    /// The reader ended, and all it sent is written; the writer is to be told.
    Ended,
    /// It has been.
    Closed,
}

/// An error of the reading (`true`) or the writing (`false`) side.
type SideError = (bool, io::Error);

impl Direction {
    const fn new(pipes: &'static Pipes, splices: bool) -> Self {
        let (state, buffer, pipe) = (State::Open, None, None);
        Self { pipes, splices, state, buffer, pipe, bytes: 0, spliced: 0, burst: 0, burst_before: 0 }
    }

    /// Ready when the reader has ended and all it sent is written.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut BoxIo,
        to: &mut BoxIo,
        from_client: bool,
        tap: &mut impl Tap,
    ) -> Poll<Result<(), SideError>> {
        let turn_ends_at = self.bytes + TURN_BYTES;
        loop {
            ready!(self.poll_drain(cx, to)).map_err(|err| (false, err))?;
            match self.state {
                State::Ended | State::Closed => return Poll::Ready(Ok(())),
                State::Open if self.bytes >= turn_ends_at => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                State::Open => match self.poll_fill(cx, from, to) {
                    Poll::Ready(Ok(0)) => {
                        self.give_back();
                        self.state = State::Ended;
                        tap.ended(from_client);
                    }
                    Poll::Ready(Ok(n)) => {
                        self.burst += n as u64;
                        if let Some(buffer) = &self.buffer {
                            see(tap, from_client, buffer.left());
                        }
                    }
                    Poll::Ready(Err(err)) => return Poll::Ready(Err((true, err))),
                    Poll::Pending => {
                        self.give_back();
                        if self.burst > 0 {
                            self.burst_before = std::mem::take(&mut self.burst);
                        }
                        ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(|err| (false, err))?;
                        return Poll::Pending;
                    }
                },
            }
        }
    }

    /// Tells the writer that no more comes, once that is so. Where both directions have ended a socket need not be told: it is
    /// about to be closed, which says the same.
    fn poll_close(&mut self, cx: &mut Context<'_>, to: &mut BoxIo, both_ended: bool) -> Poll<io::Result<()>> {
        if self.state == State::Ended {
            if !(both_ended && to.tcp().is_some()) {
                ready!(Pin::new(to).poll_shutdown(cx))?;
            }
            self.state = State::Closed;
        }
        if self.state == State::Closed { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Writes all that is in hand.
    fn poll_drain(&mut self, cx: &mut Context<'_>, to: &mut BoxIo) -> Poll<io::Result<()>> {
        if let Some(buffer) = &mut self.buffer {
            while !buffer.left().is_empty() {
                let n = ready!(Pin::new(&mut *to).poll_write(cx, buffer.left()))?;
                if n == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                buffer.written(n);
                self.bytes += n as u64;
            }
        }
        while let Some(pipe) = self.pipe.as_mut().filter(|pipe| pipe.held() > 0) {
            // `Io::tcp` promises to go on giving the socket.
            let Some(socket) = to.tcp() else {
                return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
            };
            ready!(socket.poll_write_ready(cx))?;
            match pipe.drain(socket) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    self.bytes += n as u64;
                    self.spliced += n as u64;
                }
                // It is no longer ready: asking again waits.
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                Err(err) => return Poll::Ready(Err(err)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes what is there to read, when all that was in hand is written; 0 is the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>, from: &mut BoxIo, to: &BoxIo) -> Poll<io::Result<usize>> {
        if let Some(n) = ready!(self.poll_splice(cx, from, to))? {
            return Poll::Ready(Ok(n));
        }
        self.pipe = None;
        self.buffer.get_or_insert_with(Buffer::borrow).poll_fill(cx, from)
    }

    /// As [`Self::poll_fill`] by splicing; `None` if copying is to do it.
    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        from: &BoxIo,
        to: &BoxIo,
    ) -> Poll<io::Result<Option<usize>>> {
        if !self.splices || self.burst.max(self.burst_before) < SPLICE_FROM_BYTES {
            return Poll::Ready(Ok(None));
        }
        let (Some(socket), Some(_)) = (from.tcp(), to.tcp()) else { return Poll::Ready(Ok(None)) };
        ready!(socket.poll_read_ready(cx))?;
        let Some(mut pipe) = self.pipe.take().or_else(|| self.pipes.borrow()) else {
            // Not asked for again before as much was copied as makes it worth while.
            (self.burst, self.burst_before) = (0, 0);
            return Poll::Ready(Ok(None));
        };
        match pipe.fill(socket)? {
            Filled::Bytes(n) => {
                self.buffer = None;
                self.pipe = Some(pipe);
                Poll::Ready(Ok(Some(n)))
            }
            // Reading finds out what is there instead, and waits if need be.
            Filled::Nothing => Poll::Ready(Ok(None)),
            Filled::Unsupported => {
                self.splices = false;
                Poll::Ready(Ok(None))
            }
        }
    }

    /// Gives back what is empty now, so that idling takes nothing.
    fn give_back(&mut self) {
        (self.buffer, self.pipe) = (None, None);
    }
}
