//! A whole HTTP/2 connection in memory: what a fuzzer drives. Whatever a client and its servers send, everybody reads frames and
//! messages that are well made, and a server of HTTP/1 no request that was not asked for on a stream.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::BytesMut;
use flowgate_flow::Address;
use flowgate_wire::http1::{HeadScanner, Scan, parse_request, request_framing};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::body;
use super::listener::Listener;
use super::network::{Network, PIPE_BYTES};
use crate::context::Context;
use crate::context::tests::context;
use crate::egress::{Egress, Purpose};
use crate::http::{Origin, Route, Servers, Service, serve_h2};

/// After how long nothing more is expected; the clock is paused.
const QUIET: Duration = Duration::from_secs(1);
/// What a client says before what is tried: preface, SETTINGS, their acknowledgement.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";
/// What a server says before.
const SERVER_HELLO: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";

/// Plays a client and servers: the first byte says which version the servers speak, the second where the client's bytes end.
///
/// # Panics
/// If anybody read something malformed, or a server of HTTP/1 more requests than there were streams.
#[cfg_attr(not(fuzzing), expect(unreachable_pub, reason = "the fuzz target is outside"))]
pub fn check_http2_connection(input: &[u8]) {
    static CONTEXT: OnceLock<Context> = OnceLock::new();
    let [version, share, rest @ ..] = input else { return };
    let (sent, answer) = rest.split_at(rest.len() * usize::from(*share) / 255);
    let http2 = version & 1 != 0;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let context = CONTEXT.get_or_init(|| context(Egress::Direct)).clone();
    let answer = if http2 { [SERVER_HELLO, answer].concat() } else { answer.to_vec() };
    let crossed =
        runtime.expect("a runtime").block_on(carry(context, &[HELLO, sent].concat(), answer, http2));
    let mut client = Listener::new();
    client.hear(&crossed.0);
    let mut requests = 0;
    for read in crossed.1.lock().expect("nobody panicked").iter() {
        if http2 {
            Listener::new().hear(read);
        } else {
            requests += count_requests(read);
        }
    }
    // Streams are told of by the bytes of a client: no more HEADERS than a ninth of them.
    assert!(requests <= sent.len() / 9, "{requests} requests");
}

/// What the client read, and what was read on each connection to a server.
type Crossed = (Vec<u8>, Arc<Mutex<Vec<Vec<u8>>>>);

async fn carry(context: Context, sent: &[u8], answer: Vec<u8>, http2: bool) -> Crossed {
    let (pipe, ours) = duplex(PIPE_BYTES);
    let address = Address { host: "server".to_owned(), port: 80 };
    let route = Route { address, tls_name: None, purpose: Purpose::Tunnel, egress: None };
    let (network, accepting) = Network::new();
    let mut servers = Servers::new(Vec::new());
    servers.connect_by(network);
    servers.leave_driving_to_client();
    if http2 {
        servers.speak_http2_in_the_clear(route.clone());
    }
    let origin = Origin::Fixed { route, host: None };
    let serving =
        tokio::spawn(serve_h2(Service { context, servers: Arc::new(servers), origin }, Box::new(ours)));
    let read = Arc::default();
    let playing = tokio::spawn(play(accepting, answer, Arc::clone(&read)));
    let heard = exchange(pipe, sent).await;
    serving.await.expect("no panic");
    // Servers are let go in tasks of their own.
    tokio::time::sleep(QUIET * 100).await;
    playing.abort();
    (heard, read)
}

/// Says its answer on every connection and keeps what it reads.
async fn play(
    mut connections: UnboundedReceiver<DuplexStream>,
    answer: Vec<u8>,
    read: Arc<Mutex<Vec<Vec<u8>>>>,
) {
    while let Some(pipe) = connections.recv().await {
        let at = {
            let mut read = read.lock().expect("nobody panicked");
            read.push(Vec::new());
            read.len() - 1
        };
        let (answer, read) = (answer.clone(), Arc::clone(&read));
        tokio::spawn(async move {
            let (mut reading, mut writing) = split(pipe);
            tokio::spawn(async move { writing.write_all(&answer).await.map(|()| writing) });
            let mut buf = vec![0; 4096];
            while let Ok(count @ 1..) = reading.read(&mut buf).await {
                if let Some(all) = read.lock().expect("nobody panicked").get_mut(at) {
                    all.extend_from_slice(buf.get(..count).unwrap_or_default());
                }
            }
        });
    }
}

/// Sends it all, and gives what comes until nothing more does.
async fn exchange(pipe: DuplexStream, sent: &[u8]) -> Vec<u8> {
    let (mut reading, mut writing) = split(pipe);
    let mut heard = Vec::new();
    let hearing = async { while let Ok(Ok(1..)) = timeout(QUIET, reading.read_buf(&mut heard)).await {} };
    // Nobody may listen any more.
    let saying = timeout(QUIET, async { writing.write_all(sent).await.is_ok() });
    let _ = tokio::join!(hearing, saying);
    heard
}

/// Reads requests strictly; the last one may be cut.
fn count_requests(read: &[u8]) -> usize {
    let mut buf = BytesMut::from(read);
    let mut count = 0;
    loop {
        let Scan::Head(len) = HeadScanner::default().scan(&mut buf).expect("a head") else { return count };
        let head = parse_request(buf.split_to(len).freeze()).expect("a request");
        count += 1;
        let framing = request_framing(&head.version, &head.headers).expect("a body");
        if !body(framing, &mut buf) {
            return count;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Frames of a conversation on streams 1 to 7, mostly well made.
    fn frames() -> impl Strategy<Value = Vec<u8>> {
        let heads: Vec<Vec<u8>> = [
            &b"\x82\x86\x84\x41\x01a"[..],
            b"\x83\x86\x84\x41\x01a",
            b"\x83\x86\x84\x41\x01a\x0f\x0d\x013",
            b"\x88",
            b"\x88\x0f\x0d\x013",
            b"\x08\x03103",
            b"\x00\x01x\x01y",
            b"\x40\x01x\x01y",
            b"\x00\x01X\x01y",
            b"\x82\x86\x84\x41\x01a\xbe",
            b"",
        ]
        .map(<[u8]>::to_vec)
        .to_vec();
        let payload = prop_oneof![
            6 => prop::sample::select(heads),
            2 => Just(b"abc".to_vec()),
            2 => Just(vec![0, 0, 0, 8]),
            1 => Just(vec![0, 4, 0, 0, 0, 5]),
            1 => prop::collection::vec(any::<u8>(), 0..20),
        ];
        let one = (
            prop_oneof![5 => Just(1_u8), 4 => Just(0_u8), 1 => 0_u8..12],
            prop::sample::select(vec![0_u8, 1, 4, 5, 5, 0xd]),
            0_u8..8,
            payload,
        );
        prop::collection::vec(one, 0..12).prop_map(|frames| {
            frames
                .into_iter()
                .flat_map(|(kind, flags, stream, payload)| {
                    let len = u8::try_from(payload.len()).unwrap();
                    [&[0, 0, len, kind, flags, 0, 0, 0, stream][..], &payload].concat()
                })
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        #[test]
        fn whatever_is_sent_everybody_reads_what_is_well_made(
            version in 0_u8..2, sent in frames(), answer in frames(), text in any::<bool>(),
        ) {
            let answer = if version == 0 && text { b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".repeat(4) } else { answer };
            let share = u8::try_from(sent.len() * 255 / (sent.len() + answer.len()).max(1)).unwrap();
            check_http2_connection(&[&[version, share][..], &sent, &answer].concat());
        }
    }

    #[test]
    fn a_request_crosses() {
        let get = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a";
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
        let (heard, read) =
            runtime.block_on(carry(context(Egress::Direct), &[HELLO, get].concat(), answer, false));
        assert_eq!(count_requests(&read.lock().unwrap()[0]), 1);
        let mut client = Listener::new();
        client.hear(&heard);
        assert_eq!(client.summary(u32::MAX), "1=200");
    }
}
