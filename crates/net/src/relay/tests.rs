//! Relays between streams in memory, and between sockets by copying and by splicing.

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use proptest::prelude::*;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::Rewound;

#[derive(Default)]
struct Seen(Vec<u8>, Vec<u8>);

impl Tap for Seen {
    fn chunk(&mut self, from_client: bool, data: &[u8]) {
        if from_client { &mut self.0 } else { &mut self.1 }.extend_from_slice(data);
    }
}

/// Lends no pipe, as if the system had none to give.
static NO_PIPES: Pipes = Pipes::new(0);

const MOMENT: Duration = Duration::from_millis(1);

/// More than is copied before splicing begins.
const LARGE: usize = 8 * SPLICE_FROM_BYTES as usize;

/// Both ends of a connection.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

/// A client and a server with a relay between them.
struct Relaying {
    client: TcpStream,
    server: TcpStream,
    end: JoinHandle<RelayEnd>,
}

async fn relaying(pipes: &'static Pipes) -> Relaying {
    let (client, client_end) = connection().await;
    let (server, server_end) = connection().await;
    let end = tokio::spawn(async move {
        relay_through(pipes, Box::new(client_end), Box::new(server_end), &mut NoTap).await
    });
    Relaying { client, server, end }
}

fn reset_and_drop(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Takes nothing, and may have something to say all the same: a socket whose peer closed it with something unread.
struct Refuses(DuplexStream);

impl AsyncRead for Refuses {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Refuses {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Io for Refuses {}

/// Bytes that are nowhere the same.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(len).collect()
}

/// Sends `data` one way while it is received and compared; `cuts` are where it is sent in pieces.
async fn cross(from: &mut TcpStream, to: &mut TcpStream, data: &[u8], cuts: &[usize]) {
    let send = async {
        let mut rest = data;
        for cut in cuts {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            from.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
            rest = after;
        }
        from.write_all(rest).await.unwrap();
    };
    let mut got = vec![0; data.len()];
    let (_, received) = tokio::join!(send, to.read_exact(&mut got));
    received.unwrap();
    assert!(got == data, "{} bytes arrived, but not those that were sent", data.len());
}

#[tokio::test]
async fn a_half_close_lets_the_answer_through() {
    let (mut client, client_end) = duplex(64);
    let (mut server, server_end) = duplex(64);
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
    // More than fits on the way.
    let answering = async move { server.write_all(&[7; 1000]).await.unwrap() };
    let mut answer = Vec::new();
    let ((), read) = tokio::join!(answering, client.read_to_end(&mut answer));
    read.unwrap();
    assert_eq!(answer, [7; 1000]);
    let (end, seen) = relay.await.unwrap();
    assert_eq!(end.relayed, Relayed { up: 8, down: 1000 });
    assert!(end.failure.is_none());
    assert_eq!((seen.0, seen.1), (b"question".to_vec(), vec![7; 1000]));
}

#[tokio::test]
async fn streams_in_memory_are_copied() {
    let (mut client, client_end) = duplex(1 << 20);
    let (mut server, server_end) = duplex(1 << 20);
    let relay =
        tokio::spawn(async move { relay(Box::new(client_end), Box::new(server_end), &mut NoTap).await });
    let data = noise(1, LARGE);
    client.write_all(&data).await.unwrap();
    client.shutdown().await.unwrap();
    let mut got = Vec::new();
    server.read_to_end(&mut got).await.unwrap();
    assert!(got == data);
    drop(server);
    let end = relay.await.unwrap();
    assert_eq!((end.relayed.up, end.spliced), (LARGE as u64, Relayed::default()));
}

#[tokio::test]
async fn what_a_tap_sees_is_copied() {
    let (mut client, client_end) = connection().await;
    let (mut server, server_end) = connection().await;
    let relay = tokio::spawn(async move {
        let mut seen = Seen::default();
        (relay(Box::new(client_end), Box::new(server_end), &mut seen).await, seen)
    });
    let data = noise(2, LARGE);
    cross(&mut client, &mut server, &data, &[]).await;
    drop((client, server));
    let (end, seen) = relay.await.unwrap();
    assert_eq!(end.spliced, Relayed::default());
    assert!(seen.0 == data);
}

#[tokio::test]
async fn a_reset_reaches_the_other_side() {
    for client_resets in [true, false] {
        for before in [0, LARGE] {
            let Relaying { client, server, end } = relaying(&PIPES).await;
            let (mut first, mut second) = if client_resets { (client, server) } else { (server, client) };
            cross(&mut first, &mut second, &noise(3, before), &[]).await;
            reset_and_drop(first);
            let err = second.read(&mut [0; 1]).await.unwrap_err();
            assert_eq!(err.kind(), io::ErrorKind::ConnectionReset);
            let end = end.await.unwrap();
            assert!(matches!(end.failure, Some((client, _)) if client == client_resets), "{end:?}");
        }
    }
}

#[tokio::test]
async fn a_reset_by_a_reader_that_lags_reaches_the_writer() {
    let Relaying { mut client, server, end } = relaying(&PIPES).await;
    let piece = noise(4, LARGE);
    // Until nothing goes any more: all that can hold bytes holds some, the relay's pipe too.
    let stuffed = async { while client.write_all(&piece).await.is_ok() {} };
    let reset = async {
        let mut some = vec![0; LARGE];
        let mut server = server;
        server.read_exact(&mut some).await.unwrap();
        reset_and_drop(server);
    };
    tokio::join!(stuffed, reset);
    let end = end.await.unwrap();
    assert!(matches!(end.failure, Some((false, _))), "{end:?}");
}

/// A WebSocket server echoed a message and failed the connection over what came behind it; the echo was lost, since our next write
/// met the reset before the echo was read.
#[tokio::test(start_paused = true)]
async fn last_words_of_a_side_that_takes_nothing_are_relayed() {
    for client_refuses in [true, false] {
        for says_them_after in [Duration::ZERO, LAST_WORDS_TIMEOUT - MOMENT, LAST_WORDS_TIMEOUT + MOMENT] {
            let (mut speaker, speaker_end) = duplex(64);
            let (mut refuser, refuser_end) = duplex(64);
            let (speaker_end, refuser_end): (BoxIo, BoxIo) =
                (Box::new(speaker_end), Box::new(Refuses(refuser_end)));
            let (client, server) =
                if client_refuses { (refuser_end, speaker_end) } else { (speaker_end, refuser_end) };
            let end = tokio::spawn(async move { relay(client, server, &mut NoTap).await });
            speaker.write_all(b"more").await.unwrap();
            tokio::time::sleep(says_them_after).await;
            let said = refuser.write_all(b"last words").await.is_ok();
            drop(refuser);
            let mut heard = Vec::new();
            speaker.read_to_end(&mut heard).await.unwrap();
            let in_time = says_them_after < LAST_WORDS_TIMEOUT;
            assert_eq!(heard, if in_time { &b"last words"[..] } else { b"" }, "{says_them_after:?}");
            assert_eq!(said, in_time, "{says_them_after:?}");
            let end = end.await.unwrap();
            assert!(matches!(end.failure, Some((client, _)) if client == client_refuses), "{end:?}");
        }
    }
}

#[tokio::test]
async fn large_amounts_cross_both_ways_at_once() {
    for (pipes, splices, bytes) in [(&*PIPES, true, 64 << 20), (&NO_PIPES, false, 16 << 20)] {
        let Relaying { client, server, end } = relaying(pipes).await;
        let (client_read, client_write) = client.into_split();
        let (server_read, server_write) = server.into_split();
        let (up, down) = (noise(5, 1 << 20), noise(6, 1 << 20));
        let digests = tokio::join!(
            send_often(client_write, &up, bytes),
            send_often(server_write, &down, bytes),
            digest(server_read),
            digest(client_read)
        );
        assert!(digests.0 == digests.2 && digests.1 == digests.3, "{digests:?}");
        let end = end.await.unwrap();
        let all = Relayed { up: bytes as u64, down: bytes as u64 };
        assert_eq!((end.relayed, end.failure.is_none()), (all, true));
        let most = Relayed { up: all.up * 3 / 4, down: all.down * 3 / 4 };
        let moved = end.spliced.up > most.up && end.spliced.down > most.down;
        assert_eq!((moved, end.spliced != Relayed::default()), (splices, splices), "{end:?}");
    }
}

async fn send_often(mut to: impl AsyncWrite + Unpin, piece: &[u8], bytes: usize) -> (usize, u64) {
    let mut hasher = DefaultHasher::new();
    for _ in 0..bytes / piece.len() {
        hasher.write(piece);
        to.write_all(piece).await.unwrap();
    }
    to.shutdown().await.unwrap();
    (bytes, hasher.finish())
}

async fn digest(mut from: impl AsyncRead + Unpin) -> (usize, u64) {
    let (mut hasher, mut bytes, mut piece) = (DefaultHasher::new(), 0, vec![0; 1 << 20]);
    loop {
        match from.read(&mut piece).await.unwrap() {
            0 => return (bytes, hasher.finish()),
            n => {
                hasher.write(&piece[..n]);
                bytes += n;
            }
        }
    }
}

#[tokio::test]
async fn a_slow_reader_gets_everything() {
    let Relaying { mut client, mut server, end } = relaying(&PIPES).await;
    let data = noise(7, 16 << 20);
    let send = async {
        client.write_all(&data).await.unwrap();
        client.shutdown().await.unwrap();
    };
    let receive = async {
        let (mut got, mut piece) = (Vec::new(), vec![0; 30_000]);
        loop {
            // Others run first, so that the sender is always ahead.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            match server.read(&mut piece).await.unwrap() {
                0 => return got,
                n => got.extend_from_slice(&piece[..n]),
            }
        }
    };
    let ((), got) = tokio::join!(send, receive);
    assert!(got == data);
    drop(server);
    assert!(end.await.unwrap().spliced.up > 0);
}

#[tokio::test]
async fn an_idle_connection_holds_no_pipe() {
    static ONE: Pipes = Pipes::new(1);
    let mut first = relaying(&ONE).await;
    let mut second = relaying(&ONE).await;
    // In turn, and both through the one pipe there is.
    for seed in 0..4 {
        for Relaying { client, server, .. } in [&mut first, &mut second] {
            cross(client, server, &noise(seed, LARGE), &[]).await;
        }
    }
    for Relaying { client, server, end } in [first, second] {
        drop((client, server));
        assert!(end.await.unwrap().spliced.up > LARGE as u64);
    }
    assert!(ONE.borrow().is_some());
}

/// Whether it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_fast_connection_lets_others_run() {
    const BYTES: usize = 4 * TURN_BYTES as usize;
    let (mut client, client_end) = duplex(BYTES);
    let (mut server, server_end) = duplex(BYTES);
    client.write_all(&noise(8, BYTES)).await.unwrap();
    let mut tap = NoTap;
    let mut relay = std::pin::pin!(relay(Box::new(client_end), Box::new(server_end), &mut tap));
    let woken = Arc::<Woken>::default();
    assert!(relay.as_mut().poll(&mut Context::from_waker(&Arc::clone(&woken).into())).is_pending());
    assert!(woken.0.load(Ordering::Relaxed), "it has more to do at once");
    let mut got = vec![0; BYTES];
    let mut into = ReadBuf::new(&mut got);
    let read = Pin::new(&mut server).poll_read(&mut Context::from_waker(Waker::noop()), &mut into);
    assert!(read.is_ready());
    let moved = into.filled().len();
    assert!((TURN_BYTES as usize..BYTES / 2).contains(&moved), "{moved} bytes in one turn");
}

#[tokio::test]
async fn bytes_read_earlier_come_first_and_the_rest_is_spliced() {
    let (mut client, client_end) = connection().await;
    let (mut server, server_end) = connection().await;
    let prefix = noise(9, 1000);
    let rewound: BoxIo = Box::new(Rewound::new(prefix.clone(), Box::new(client_end) as BoxIo));
    let server_end: BoxIo = Box::new(Rewound::new(b"hello".to_vec(), server_end));
    assert!(rewound.tcp().is_none() && server_end.tcp().is_none());
    let end = tokio::spawn(async move { relay(Box::new(rewound), Box::new(server_end), &mut NoTap).await });
    let mut got = [0; 5];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hello");
    let mut got = [0; 1000];
    server.read_exact(&mut got).await.unwrap();
    assert!(got[..] == prefix[..]);
    cross(&mut client, &mut server, &noise(10, LARGE), &[]).await;
    cross(&mut server, &mut client, &noise(11, LARGE), &[]).await;
    drop((client, server));
    let end = end.await.unwrap();
    assert_eq!(end.relayed, Relayed { up: LARGE as u64 + 1000, down: LARGE as u64 + 5 });
    assert!(end.spliced.up > 0 && end.spliced.down > 0, "{end:?}");
}

#[tokio::test]
async fn urgent_data_does_not_hold_up_what_follows() {
    let Relaying { mut client, mut server, end } = relaying(&PIPES).await;
    let data = noise(12, LARGE);
    cross(&mut client, &mut server, &data, &[]).await;
    // The byte itself is not part of the stream; before it `splice` would stop for good.
    SockRef::from(&client).send_out_of_band(b"!").unwrap();
    cross(&mut client, &mut server, &data, &[]).await;
    drop((client, server));
    assert!(end.await.unwrap().failure.is_none());
}

/// One step of a conversation: which side, and what it does.
#[derive(Clone, Debug)]
enum Step {
    Send { client: bool, bytes: usize, seed: u64, cuts: Vec<usize> },
    Close { client: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![4 => 0..3000_usize, 2 => 0..100_000_usize, 1 => 0..600_000_usize];
    let cuts = proptest::collection::vec(0..60_000_usize, 0..6);
    let send = (any::<bool>(), bytes, any::<u64>(), cuts)
        .prop_map(|(client, bytes, seed, cuts)| Step::Send { client, bytes, seed, cuts });
    prop_oneof![8 => send, 1 => any::<bool>().prop_map(|client| Step::Close { client })]
}

/// Each step is seen by the other side before the next is taken, so that the order counts, too.
async fn converse(pipes: &'static Pipes, steps: &[Step]) {
    let Relaying { mut client, mut server, end } = relaying(pipes).await;
    let (mut sent, mut client_open, mut server_open) = (Relayed::default(), true, true);
    let last = [Step::Close { client: true }, Step::Close { client: false }];
    for step in steps.iter().chain(&last) {
        let (from, to, open, count) = match step {
            Step::Send { client: true, .. } | Step::Close { client: true } => {
                (&mut client, &mut server, &mut client_open, &mut sent.up)
            }
            _ => (&mut server, &mut client, &mut server_open, &mut sent.down),
        };
        match step {
            _ if !*open => {}
            Step::Send { bytes, seed, cuts, .. } => {
                cross(from, to, &noise(*seed, *bytes), cuts).await;
                *count += *bytes as u64;
            }
            Step::Close { .. } => {
                from.shutdown().await.unwrap();
                assert_eq!(to.read(&mut [0; 1]).await.unwrap(), 0);
                *open = false;
            }
        }
    }
    let end = end.await.unwrap();
    assert!(end.failure.is_none(), "{end:?}");
    assert_eq!(end.relayed, sent);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_conversation_crosses_as_it_was(
        pipes in any::<bool>(),
        steps in proptest::collection::vec(step(), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(converse(if pipes { &PIPES } else { &NO_PIPES }, &steps));
    }
}
