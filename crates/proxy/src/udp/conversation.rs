//! One conversation, as the task that reads and the conversation's own share it: what waits, when something last crossed, and
//! what was decided.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use flowgate_wire::client_hello::ClientHello;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::limits::{UDP_IDLE_TIMEOUT, UDP_QUEUE_BYTES_MAX, UDP_QUEUE_DATAGRAMS_MAX, UDP_UNANSWERED_TIMEOUT};

/// What the reading task and the conversation's own share.
#[derive(Debug)]
pub(super) struct Conversation {
    /// What the client sent and the task has not seen yet. Closed when the conversation has ended.
    queue: mpsc::Sender<Bytes>,
    pub(super) queued_bytes: AtomicUsize,
    /// Where datagrams go at once, when nobody has to look at them.
    pub(super) direct: OnceLock<Arc<UdpSocket>>,
    pub(super) outcome: OnceLock<Outcome>,
    began: Instant,
    /// When something last crossed, in milliseconds since it began.
    last: AtomicU64,
    pub(super) answered: AtomicBool,
    pub(super) up_bytes: AtomicU64,
    pub(super) down_bytes: AtomicU64,
    /// For which there was no room.
    pub(super) dropped: AtomicU64,
}

/// What was decided about a conversation.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) course: Course,
    pub(super) hidden: bool,
    pub(super) reason: Option<Arc<str>>,
    pub(super) hello: Option<Arc<ClientHello>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Course {
    PassThrough,
    Record,
}

impl Conversation {
    /// A conversation in which nobody has said anything, and the other end of its queue.
    pub(super) fn new() -> (Self, mpsc::Receiver<Bytes>) {
        let (queue, received) = mpsc::channel(UDP_QUEUE_DATAGRAMS_MAX);
        let conversation = Self {
            queue,
            queued_bytes: AtomicUsize::new(0),
            direct: OnceLock::new(),
            outcome: OnceLock::new(),
            began: Instant::now(),
            last: AtomicU64::new(0),
            answered: AtomicBool::new(false),
            up_bytes: AtomicU64::new(0),
            down_bytes: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        };
        (conversation, received)
    }

    /// What was decided, if it was.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.outcome.get().cloned()
    }

    /// Takes a datagram of the client, or drops it where there is no room; `false` if the conversation has ended.
    pub(super) fn deliver(&self, datagram: &[u8]) -> bool {
        if self.queue.is_closed() {
            return false;
        }
        self.touch();
        if let Some(server) = self.direct.get() {
            if try_send(server, datagram).is_ok() {
                self.up_bytes.fetch_add(datagram.len() as u64, Ordering::Relaxed);
            } else {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            return true;
        }
        if self.queued_bytes.load(Ordering::Relaxed) + datagram.len() > UDP_QUEUE_BYTES_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        match self.queue.try_send(Bytes::copy_from_slice(datagram)) {
            Ok(()) => {
                self.queued_bytes.fetch_add(datagram.len(), Ordering::Relaxed);
            }
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return false,
        }
        true
    }

    pub(super) fn touch(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// Waits until nothing has crossed for as long as is allowed.
    pub(super) async fn silence(&self) {
        loop {
            let limit =
                if self.answered.load(Ordering::Relaxed) { UDP_IDLE_TIMEOUT } else { UDP_UNANSWERED_TIMEOUT };
            let due = self.began + Duration::from_millis(self.last.load(Ordering::Relaxed)) + limit;
            if Instant::now() >= due {
                return;
            }
            sleep_until(due).await;
        }
    }
}

/// The next datagram of the client.
pub(super) async fn next(queue: &mut mpsc::Receiver<Bytes>, conversation: &Conversation) -> Option<Bytes> {
    let datagram = queue.recv().await?;
    conversation.queued_bytes.fetch_sub(datagram.len(), Ordering::Relaxed);
    Some(datagram)
}

/// A datagram to the server. What an earlier one was answered with by the network (nobody listens there) is told when the
/// next is sent, which is not sent then.
pub(super) fn try_send(server: &UdpSocket, datagram: &[u8]) -> io::Result<()> {
    match server.try_send(datagram) {
        Err(err) if err.kind() == io::ErrorKind::ConnectionRefused => server.try_send(datagram).map(drop),
        sent => sent.map(drop),
    }
}

/// The same, waiting for room: what is recorded should have crossed.
pub(super) async fn send(server: &UdpSocket, datagram: &[u8]) -> io::Result<()> {
    match try_send(server, datagram) {
        Err(err) if err.kind() == io::ErrorKind::WouldBlock => server.send(datagram).await.map(drop),
        sent => sent,
    }
}
