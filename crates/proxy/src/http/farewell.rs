//! How a connection ends: the last words, and the wait until they have arrived at a peer that may still be sending. A socket that is closed
//! on bytes that nobody read is reset, and the reset overtakes (RFC 9112 section 9.6).
//!
//! Nothing else of the connection is left by then: those whom we send away come back at once, and each would be held for as long as we
//! wait for it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flowgate_net::BoxIo;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::write_queue::WriteQueue;
use crate::limits::{FAREWELL_READ_BYTES, FAREWELLS_MAX, LINGER_SILENCE_MAX, LINGER_TIMEOUT};

/// What is left of a connection that ends.
pub(crate) struct Farewell {
    io: BoxIo,
    last_words: WriteQueue,
}

impl Farewell {
    pub(super) fn new(io: BoxIo, mut last_words: WriteQueue) -> Self {
        last_words.leave_memory();
        Self { io, last_words }
    }

    /// With these last words, of whatever protocol.
    pub(crate) fn of(io: BoxIo, last_words: &[u8]) -> Self {
        let mut queue = WriteQueue::default();
        queue.push(Bytes::copy_from_slice(last_words));
        Self { io, last_words: queue }
    }

    /// Says the last words, ends our direction, and reads on for a while, but no more than so many bytes. Nobody is waited for when
    /// `stop` is cancelled.
    pub(crate) async fn say(mut self, bytes_max: usize, stop: &CancellationToken) {
        let ending = async {
            poll_fn(|cx| self.last_words.poll_write(cx, &mut self.io)).await?;
            poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await
        };
        // However it ends, and be it because the time is up, there is nothing more to be done.
        if !matches!(timeout(LINGER_SILENCE_MAX, ending).await, Ok(Ok(()))) {
            return;
        }
        let io = &mut self.io;
        let reading = async {
            let mut left = bytes_max;
            while left > 0
                && let Ok(Ok(count @ 1..)) =
                    timeout(LINGER_SILENCE_MAX, poll_fn(|cx| poll_discard(io, cx))).await
            {
                left = left.saturating_sub(count);
            }
        };
        tokio::select! {
            biased;
            _ = timeout(LINGER_TIMEOUT, reading) => {}
            () = stop.cancelled() => {}
        }
    }

    /// Says the last words to a peer that floods us, and lets it wait: not reading costs us nothing, and once its buffers are full it
    /// can do no more. It is not told the end before, as it would only connect anew the sooner.
    pub(super) async fn leave_unread(mut self, stop: &CancellationToken) {
        let waiting = async {
            let said = poll_fn(|cx| self.last_words.poll_write(cx, &mut self.io)).await;
            // TLS and what else stands on the socket are not needed for that.
            if said.is_ok()
                && let Some(socket) = self.io.into_tcp()
            {
                hung_up(&socket).await;
            }
        };
        tokio::select! {
            biased;
            _ = timeout(LINGER_SILENCE_MAX, waiting) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Reads once and throws it away.
fn poll_discard(io: &mut BoxIo, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let mut sink = [MaybeUninit::uninit(); FAREWELL_READ_BYTES];
    let mut into = ReadBuf::uninit(&mut sink);
    ready!(Pin::new(io).poll_read(cx, &mut into))?;
    Poll::Ready(Ok(into.filled().len()))
}

/// Waits until the peer has ended its direction. Nothing is read.
async fn hung_up(socket: &TcpStream) {
    while let Ok(ready) = socket.ready(Interest::READABLE).await {
        if ready.is_read_closed() {
            return;
        }
        // That there is something to read is forgotten: only what comes next wakes us.
        let _ = socket.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    }
}

/// The farewells to peers that broke the rules, of which nobody waits for the end: at most [`FAREWELLS_MAX`] at a time.
#[derive(Debug, Default)]
pub(crate) struct Farewells {
    /// The oldest first.
    under_way: Mutex<VecDeque<AbortHandle>>,
}

impl Farewells {
    /// Lets one take its time, in a task of its own. For one too many the oldest is cut short: its last words have gone out by then, or
    /// its peer does not take them.
    pub(crate) fn begin(&self, tasks: &TaskTracker, farewell: impl Future<Output = ()> + Send + 'static) {
        let farewell = tasks.spawn(farewell).abort_handle();
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|before| !before.is_finished());
        if under_way.len() >= FAREWELLS_MAX
            && let Some(oldest) = under_way.pop_front()
        {
            oldest.abort();
        }
        under_way.push_back(farewell);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn the_oldest_of_too_many_is_cut_short() {
        let (farewells, tasks) = (Farewells::default(), TaskTracker::new());
        let begin = || {
            let (held, cut) = oneshot::channel::<()>();
            farewells.begin(&tasks, async move {
                std::future::pending::<()>().await;
                drop(held);
            });
            cut
        };
        // Those that came to their end make room.
        for _ in 0..FAREWELLS_MAX {
            farewells.begin(&tasks, std::future::ready(()));
        }
        tasks.close();
        tasks.wait().await;
        tasks.reopen();
        let mut all: Vec<_> = (0..FAREWELLS_MAX).map(|_| begin()).collect();
        tokio::task::yield_now().await;
        assert_eq!(tasks.len(), FAREWELLS_MAX);
        all.push(begin());
        all.remove(0).await.unwrap_err();
        assert_eq!(tasks.len(), FAREWELLS_MAX);
        assert!(all.iter_mut().all(|cut| cut.try_recv() == Err(oneshot::error::TryRecvError::Empty)));
    }
}
