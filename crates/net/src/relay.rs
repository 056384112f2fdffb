//! A pipe between two streams: bytes both ways as they come, half-closes kept, each direction with its own end.
//!
//! Nothing is looked at. Buffers are borrowed from a pool of the thread while there are bytes in hand, so an idle
//! connection holds none.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{BoxIo, Io};

/// The size of a relay buffer, in bytes.
const RELAY_BUFFER_BYTES: usize = 64 * 1024;
/// How many idle buffers a thread keeps.
const POOLED_BUFFERS_MAX: usize = 16;

/// Sees what is relayed.
pub trait Tap {
    /// A piece that was read, before it is written on.
    fn chunk(&mut self, from_client: bool, data: &[u8]);

    /// A side will send no more: all it sent was told before.
    fn ended(&mut self, _from_client: bool) {}
}

/// Sees nothing.
#[derive(Debug)]
pub struct NoTap;

impl Tap for NoTap {
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
    /// The error that ended it, and whether it was the client's side that had it; `None` if both sides closed.
    pub failure: Option<(bool, io::Error)>,
}

/// Relays until both directions have ended, or one side fails. Then both streams are closed; a failure is passed on to
/// the other side as a reset where it is a socket.
pub async fn relay(mut client: BoxIo, mut server: BoxIo, tap: &mut impl Tap) -> RelayEnd {
    let mut up = Direction::default();
    let mut down = Direction::default();
    let result = poll_fn(|cx| {
        // Both are polled each time: a direction that waits must not keep the other from moving.
        let first = up.poll(cx, &mut client, &mut server, true, tap);
        if let Poll::Ready(Err((reading, err))) = first {
            return Poll::Ready(Err((reading, err)));
        }
        let second = down.poll(cx, &mut server, &mut client, false, tap);
        match (first, second) {
            (_, Poll::Ready(Err((reading, err)))) => Poll::Ready(Err((!reading, err))),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    })
    .await;
    let failure = result.err();
    if let Some((client_failed, _)) = &failure {
        reset(if *client_failed { &server } else { &client });
    }
    RelayEnd { relayed: Relayed { up: up.bytes, down: down.bytes }, failure }
}

/// Makes the close that follows a reset (RST) instead of an orderly end.
fn reset(stream: &BoxIo) {
    if let Some(tcp) = stream.tcp() {
        // Best effort: if the socket is gone already there is nobody to tell.
        let _ = SockRef::from(tcp).set_linger(Some(std::time::Duration::ZERO));
    }
}

/// One direction: what was read and is not written yet, and where it stands.
#[derive(Default)]
struct Direction {
    buf: Option<Buffer>,
    bytes: u64,
    state: State,
}

struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

#[derive(Default, PartialEq)]
enum State {
    #[default]
    Open,
    /// The reader ended; the writer is to be told.
    Closing,
    Closed,
}

/// An error of the reading (`true`) or the writing (`false`) side.
type SideError = (bool, io::Error);

impl Direction {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut BoxIo,
        to: &mut BoxIo,
        from_client: bool,
        tap: &mut impl Tap,
    ) -> Poll<Result<(), SideError>> {
        loop {
            if let Some(buf) = &mut self.buf {
                while let Some(left) = buf.bytes.get(buf.start..buf.end).filter(|left| !left.is_empty()) {
                    let n = ready!(Pin::new(&mut *to).poll_write(cx, left)).map_err(|err| (false, err))?;
                    if n == 0 {
                        return Poll::Ready(Err((false, io::ErrorKind::WriteZero.into())));
                    }
                    buf.start += n;
                    self.bytes += n as u64;
                }
            }
            match self.state {
                State::Closed => return Poll::Ready(Ok(())),
                State::Closing => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(|err| (false, err))?;
                    self.give_back();
                    self.state = State::Closed;
                }
                State::Open => match self.poll_fill(cx, from) {
                    Poll::Ready(Ok(0)) => {
                        self.state = State::Closing;
                        tap.ended(from_client);
                    }
                    Poll::Ready(Ok(n)) => {
                        if let Some(read) = self.buf.as_ref().and_then(|buf| buf.bytes.get(..n)) {
                            tap.chunk(from_client, read);
                        }
                    }
                    Poll::Ready(Err(err)) => return Poll::Ready(Err((true, err))),
                    Poll::Pending => {
                        self.give_back();
                        ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(|err| (false, err))?;
                        return Poll::Pending;
                    }
                },
            }
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, from: &mut BoxIo) -> Poll<io::Result<usize>> {
        let buf = self.buf.get_or_insert_with(Buffer::borrow);
        let mut into = ReadBuf::new(&mut buf.bytes);
        ready!(Pin::new(from).poll_read(cx, &mut into))?;
        (buf.start, buf.end) = (0, into.filled().len());
        Poll::Ready(Ok(buf.end))
    }

    fn give_back(&mut self) {
        if let Some(buf) = self.buf.take() {
            POOL.with_borrow_mut(|pool| {
                if pool.len() < POOLED_BUFFERS_MAX {
                    pool.push(buf.bytes);
                }
            });
        }
    }
}

impl Drop for Direction {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Buffer {
    fn borrow() -> Self {
        let pooled = POOL.with_borrow_mut(Vec::pop);
        let bytes = pooled.unwrap_or_else(|| vec![0; RELAY_BUFFER_BYTES].into_boxed_slice());
        Self { bytes, start: 0, end: 0 }
    }
}

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    /// What each side sent, and who ended, in order.
    #[derive(Default)]
    struct Seen(Vec<u8>, Vec<u8>, Vec<bool>);

    impl Tap for Seen {
        fn chunk(&mut self, from_client: bool, data: &[u8]) {
            if from_client { &mut self.0 } else { &mut self.1 }.extend_from_slice(data);
        }

        fn ended(&mut self, from_client: bool) {
            self.2.push(from_client);
        }
    }

    #[tokio::test]
    async fn a_half_close_lets_the_answer_through() {
        let (mut client, client_end) = duplex(4096);
        let (mut server, server_end) = duplex(4096);
        let relay = tokio::spawn(async move {
            let mut seen = Seen::default();
            let end = relay(Box::new(client_end), Box::new(server_end), &mut seen).await;
            (end, seen)
        });
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = Vec::new();
        server.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"question");
        server.write_all(&[7; 1000]).await.unwrap();
        drop(server);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, [7; 1000]);
        let (end, seen) = relay.await.unwrap();
        assert_eq!(end.relayed, Relayed { up: 8, down: 1000 });
        assert!(end.failure.is_none());
        assert_eq!((seen.0, seen.1, seen.2), (b"question".to_vec(), vec![7; 1000], vec![true, false]));
    }

    #[tokio::test]
    async fn a_reset_reaches_the_other_side() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let pair = async || {
            let near = tokio::net::TcpStream::connect(addr).await.unwrap();
            (near, listener.accept().await.unwrap().0)
        };
        let (client, client_end) = pair().await;
        let (mut server, server_end) = pair().await;
        SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(client);
        let end = relay(Box::new(client_end), Box::new(server_end), &mut NoTap).await;
        assert!(matches!(end.failure, Some((true, _))), "{end:?}");
        let err = server.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::ConnectionReset);
    }
}
