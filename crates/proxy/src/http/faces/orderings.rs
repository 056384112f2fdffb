//! Orderings of HTTP/2 that go wrong seldom and badly: limits that change under way, ends that overtake each other, readers that do not
//! read, peers that go away. All by hand, with a paused clock.

use std::time::Duration;

use flowgate_flow::{FlowKind, HttpFlow, Side};
use flowgate_wire::http2::{Code, PREFACE};
use tokio::io::AsyncWriteExt;

use super::clients::{get, hello};
use super::fixture::{Proxy, Raw, Served, Version};
use super::script::{block, frame};
use crate::http::in_memory::listener::{Listener, value};
use crate::http::in_memory::network::PIPE_BYTES;
use crate::limits::{
    CLIENT_HEADER_TIMEOUT, CLIENT_PROGRESS_TIMEOUT, H2_LINGER_BYTES_MAX, H2_STREAM_WINDOW_BYTES,
    IDLE_TIMEOUT, LINGER_TIMEOUT, REST_SILENCE_MAX,
};

use Version::{H1, H2};

/// One end of a connection.
struct End {
    raw: Raw,
    /// What was heard, in HTTP/2.
    listener: Listener,
    /// And in HTTP/1.
    text: Vec<u8>,
    version: Version,
}

impl End {
    fn new(raw: Raw, version: Version) -> Self {
        Self { raw, listener: Listener::new(), text: Vec::new(), version }
    }

    /// Sends bytes, and hears what comes.
    async fn say(&mut self, bytes: &[u8]) {
        let heard = self.raw.say(bytes).await;
        match self.version {
            H1 => self.text.extend(heard),
            H2 => drop(self.listener.hear(&heard)),
        }
    }

    async fn hear(&mut self) {
        self.say(b"").await;
    }

    /// What was heard of a stream, or of the one exchange of HTTP/1: the status, the bytes of the body, the end.
    fn told(&self, stream: u32) -> String {
        if self.version == H1 {
            let text = String::from_utf8_lossy(&self.text);
            let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
            let status = head.get(9..12).unwrap_or("nothing");
            let end = if self.raw.ended { " closed" } else { "" };
            return format!("{status} {}{end}", body.len());
        }
        let Some(heard) = self.listener.streams.get(&stream) else { return "nothing".to_owned() };
        let status = heard.blocks.first().and_then(|head| value(head, ":status")).unwrap_or(b"-").to_vec();
        let end = match heard.reset {
            Some(code) => format!(" {code}"),
            None if heard.ended => " end".to_owned(),
            None => String::new(),
        };
        format!("{} {}{end}", String::from_utf8(status).unwrap(), heard.body.len())
    }

    /// The streams on which a request came, and did not end in a reset.
    fn asked(&self) -> Vec<u32> {
        let live = self
            .listener
            .streams
            .iter()
            .filter(|(_, heard)| heard.reset.is_none() && !heard.blocks.is_empty());
        live.map(|(id, _)| *id).collect()
    }
}

/// A client that has said hello, with its servers still to come.
async fn begin(proxy: &Proxy, client: Version, server: Version) -> (End, Served) {
    let mut served = proxy.serve(client, server);
    let pipe = std::mem::replace(&mut served.client, tokio::io::duplex(1).0);
    let mut end = End::new(Raw::new(pipe), client);
    if client == H2 {
        end.say(&hello()).await;
    }
    (end, served)
}

/// The next connection to a server, which announces these settings.
async fn accept(served: &mut Served, version: Version, settings: &[u8]) -> End {
    let mut end = End::new(Raw::new(served.servers.recv().await.unwrap()), version);
    match version {
        H1 => end.hear().await,
        H2 => end.say(&[frame(4, 0, 0, settings), frame(4, 1, 0, b"")].concat()).await,
    }
    end
}

fn setting(id: u8, value: u32) -> Vec<u8> {
    [&[0, id][..], &value.to_be_bytes()].concat()
}

/// A response without a body.
fn ok(stream: u32) -> Vec<u8> {
    frame(1, 5, stream, &block(&[(":status", "200")]))
}

fn post(stream: u32, path: &str) -> Vec<u8> {
    frame(
        1,
        4,
        stream,
        &block(&[(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", path)]),
    )
}

/// MAX_CONCURRENT_STREAMS is lowered while requests wait for a stream: those that wait go on waiting, whatever ends, until there are
/// fewer than the new limit.
#[tokio::test(start_paused = true)]
async fn streams_wait_for_a_limit_that_is_lowered_meanwhile() {
    let proxy = Proxy::new();
    let (mut client, mut served) = begin(&proxy, H2, H2).await;
    client.say(&get(1, "/1")).await;
    let mut server = accept(&mut served, H2, &setting(3, 3)).await;
    client.say(&[get(3, "/3"), get(5, "/5"), get(7, "/7"), get(9, "/9")].concat()).await;
    server.hear().await;
    assert_eq!(server.asked(), [1, 3, 5]);
    server.say(&frame(4, 0, 0, &setting(3, 1))).await;
    for (ends, asked) in [
        (1, &[1, 3, 5][..]),
        (3, &[1, 3, 5]),
        (5, &[1, 3, 5, 7]),
        (7, &[1, 3, 5, 7, 9]),
        (9, &[1, 3, 5, 7, 9]),
    ] {
        server.say(&ok(ends)).await;
        server.hear().await;
        assert_eq!(server.asked(), asked, "after {ends}");
    }
    // Raised from nothing.
    server.say(&frame(4, 0, 0, &setting(3, 0))).await;
    client.say(&[get(11, "/11"), get(13, "/13")].concat()).await;
    server.hear().await;
    assert_eq!(server.asked().len(), 5);
    server.say(&frame(4, 0, 0, &setting(3, 2))).await;
    server.hear().await;
    assert_eq!(server.asked().len(), 7);
    server.say(&[ok(11), ok(13)].concat()).await;
    client.hear().await;
    for stream in [1, 3, 5, 7, 9, 11, 13] {
        assert_eq!(client.told(stream), "200 0 end", "{stream}");
    }
    assert!(served.servers.try_recv().is_err(), "one connection carries all");
}

/// A client that gives up while it waits for a stream leaves its place to the next.
#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_holds_nobody_up() {
    let proxy = Proxy::new();
    let (mut client, mut served) = begin(&proxy, H2, H2).await;
    client.say(&get(1, "/1")).await;
    let mut server = accept(&mut served, H2, &setting(3, 1)).await;
    client.say(&[get(3, "/3"), get(5, "/5")].concat()).await;
    client.say(&frame(3, 0, 3, &Code::CANCEL.0.to_be_bytes())).await;
    server.say(&ok(1)).await;
    server.hear().await;
    // Whoever comes next is the one that still wants it; what was given up is at most a stream that is reset at once.
    let paths: Vec<_> = server
        .listener
        .streams
        .iter()
        .filter(|(_, heard)| heard.reset.is_none())
        .filter_map(|(_, heard)| {
            heard.blocks.first().and_then(|head| value(head, ":path")).map(<[u8]>::to_vec)
        })
        .collect();
    if paths.len() < 2 {
        // The one that was given up took its turn first.
        server.hear().await;
    }
    let last = *server.asked().last().unwrap();
    server.say(&ok(last)).await;
    client.hear().await;
    assert_eq!(client.told(5), "200 0 end");
}

/// The response is whole before the request is: a server may read on, or say that it does not want the rest.
#[tokio::test(start_paused = true)]
async fn a_response_may_be_whole_before_its_request() {
    let proxy = Proxy::new();
    for reads_on in [true, false] {
        let (mut client, mut served) = begin(&proxy, H2, H2).await;
        client.say(&[post(1, "/a"), frame(0, 0, 1, b"half")].concat()).await;
        let mut server = accept(&mut served, H2, b"").await;
        server.say(&ok(1)).await;
        client.hear().await;
        if reads_on {
            assert_eq!(client.told(1), "200 0 end");
            client.say(&frame(0, 1, 1, b" and half")).await;
            server.hear().await;
            assert_eq!(server.told(1), "- 13 end");
        } else {
            server.say(&frame(3, 0, 1, &Code::NO_ERROR.0.to_be_bytes())).await;
            client.hear().await;
            assert_eq!(client.told(1), "200 0 NO_ERROR");
        }
        client.say(&get(3, "/b")).await;
        server.hear().await;
        server.say(&ok(3)).await;
        client.hear().await;
        assert_eq!(client.told(3), "200 0 end", "the connections go on");
        drop((client, server));
        served.serving.await.unwrap();
        let flows = proxy.told.take_flows();
        assert_eq!(flows.len(), 2);
        assert!(flows.iter().all(|flow| flow.error.is_none()), "{flows:?}");
    }
}

/// curl stops sending when it sees an error, says nothing of that, and waits for the end of the stream: it waited for ever, the server
/// for the rest.
#[tokio::test(start_paused = true)]
async fn a_client_that_stops_when_it_is_answered_is_let_go() {
    let proxy = Proxy::new();
    let (mut client, mut served) = begin(&proxy, H2, H2).await;
    client.say(&[post(1, "/a"), frame(0, 0, 1, b"half")].concat()).await;
    let mut server = accept(&mut served, H2, b"").await;
    server.say(&ok(1)).await;
    client.hear().await;
    assert_eq!(client.told(1), "200 0 end");
    tokio::time::sleep(REST_SILENCE_MAX).await;
    client.hear().await;
    server.hear().await;
    assert_eq!((client.told(1).as_str(), server.told(1).as_str()), ("200 0 NO_ERROR", "- 4 CANCEL"));
    client.say(&get(3, "/b")).await;
    server.hear().await;
    server.say(&ok(3)).await;
    client.hear().await;
    assert_eq!(client.told(3), "200 0 end", "the connections go on");
}

/// Where an exchange stands when a connection ends.
#[derive(Clone, Copy, Debug)]
enum At {
    /// Half of the request was sent.
    Request,
    /// The request is whole.
    Between,
    /// Half of the response came.
    Response,
}

/// A connection that ends in the middle of an exchange: what the other side sees, and whose fault the flow says it is.
#[tokio::test(start_paused = true)]
async fn an_end_in_each_half_is_told() {
    let proxy = Proxy::new();
    for (pair, at, client_ends, seen, side) in [
        ((H2, H2), At::Request, true, "- 4 CANCEL", Side::Client),
        ((H2, H2), At::Between, true, "- 4 CANCEL", Side::Client),
        ((H2, H2), At::Response, true, "- 4 CANCEL", Side::Client),
        ((H2, H2), At::Request, false, "502", Side::Server),
        ((H2, H2), At::Between, false, "502", Side::Server),
        ((H2, H2), At::Response, false, "200 4 INTERNAL_ERROR", Side::Server),
        ((H1, H2), At::Request, true, "- 4 CANCEL", Side::Client),
        ((H1, H2), At::Request, false, "502", Side::Server),
        ((H1, H2), At::Between, false, "502", Side::Server),
        // Cut inside its chunks.
        ((H1, H2), At::Response, false, "200 9 closed", Side::Server),
        ((H2, H1), At::Request, false, "502", Side::Server),
        ((H2, H1), At::Between, false, "502", Side::Server),
        ((H2, H1), At::Response, false, "200 4 INTERNAL_ERROR", Side::Server),
    ] {
        let case = format!("{pair:?} {at:?} client: {client_ends}");
        let (mut client, mut served) = begin(&proxy, pair.0, pair.1).await;
        let (head, piece, rest) = match pair.0 {
            H2 => (post(1, "/a"), frame(0, 0, 1, b"half"), frame(0, 1, 1, b"")),
            H1 => (
                b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
                b"4\r\nhalf\r\n".to_vec(),
                b"0\r\n\r\n".to_vec(),
            ),
        };
        client.say(&[head, piece].concat()).await;
        let mut server = accept(&mut served, pair.1, b"").await;
        if !matches!(at, At::Request) {
            client.say(&rest).await;
        }
        if matches!(at, At::Response) {
            let half = match pair.1 {
                H2 => [frame(1, 4, 1, &block(&[(":status", "200")])), frame(0, 0, 1, b"half")].concat(),
                H1 => b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf".to_vec(),
            };
            server.say(&half).await;
        }
        let mut left = if client_ends {
            drop(client);
            server
        } else {
            client.hear().await;
            drop(server);
            client
        };
        left.hear().await;
        let told = left.told(1);
        assert!(told == seen || (seen == "502" && told.starts_with("502 ")), "{case}: {told}");
        drop(left);
        served.serving.await.unwrap();
        let flows = proxy.told.take_flows();
        let errors: Vec<_> = flows.iter().filter_map(|flow| flow.error.as_ref()?.side).collect();
        assert_eq!(errors, [side], "{case}");
    }
}

/// A client that opens no window gets no more than it has room for, and the server is stopped: what lies here is at most a window.
#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_stops_its_server() {
    let proxy = Proxy::new();
    for version in [H1, H2] {
        let (mut client, mut served) = begin(&proxy, H2, version).await;
        client.say(&get(1, "/large")).await;
        let mut server = accept(&mut served, version, b"").await;
        let head = match version {
            H2 => frame(1, 4, 1, &block(&[(":status", "200")])),
            H1 => b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n".to_vec(),
        };
        server.say(&head).await;
        let mut taken = 0_u64;
        // Sixteen KiB at a time, for as long as the window is open; HTTP/1 has no other than the pipe.
        while taken < 8 << 20 {
            let window = server.listener.streams.get(&1).map_or(0, |heard| heard.window);
            if version == H2 && taken + 16_384 > u64::from(H2_STREAM_WINDOW_BYTES) + window {
                break;
            }
            let piece = if version == H2 { frame(0, 0, 1, &[7; 16_384]) } else { vec![7; 16_384] };
            if server.raw.say_now(&piece).await.is_err() {
                break;
            }
            taken += 16_384;
            if taken.is_multiple_of(1 << 18) && version == H2 {
                server.hear().await;
            }
        }
        client.hear().await;
        assert_eq!(client.told(1), "200 65535");
        let held = taken - 65_535;
        assert!(held <= (1 << 20) + (64 << 10), "{version:?}: {held} bytes wait here");
        // A neighbour is none the worse for it.
        client.say(&get(3, "/small")).await;
        if version == H2 {
            server.say(&ok(3)).await;
        } else {
            let mut second = accept(&mut served, H1, b"").await;
            second.say(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
        client.hear().await;
        assert!(client.told(3).ends_with(" 0 end"), "{}", client.told(3));
    }
}

/// A client that neither reads nor leaves held its connection for ever: what was queued for it had to go out first.
#[tokio::test(start_paused = true)]
async fn who_takes_nothing_is_let_go_of() {
    for version in [H1, H2] {
        let proxy = Proxy::new();
        let mut served = proxy.serve(version, H1);
        if version == H1 {
            served.client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        } else {
            // Windows that nothing fills.
            let settings = frame(4, 0, 0, &setting(4, 0x7fff_ffff));
            let window = frame(8, 0, 0, &0x7000_0000_u32.to_be_bytes());
            let hello = [&PREFACE[..], &settings, &frame(4, 1, 0, b""), &window, &get(1, "/")].concat();
            served.client.write_all(&hello).await.unwrap();
        }
        let mut server = accept(&mut served, H1, b"").await;
        server.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n").await;
        let mut sent = 0;
        while server.raw.say_now(&[7; 65_536]).await.is_ok() {
            sent += 65_536;
        }
        assert!(sent < 8 << 20, "{sent}");
        let late = 2 * IDLE_TIMEOUT + LINGER_TIMEOUT;
        assert!(tokio::time::timeout(late, &mut served.serving).await.is_ok(), "{version:?}");
        let flow = proxy.told.take_flows().remove(0);
        assert!(flow.error.is_some(), "{version:?}");
    }
}

/// A request whose body comes in drops is answered, and its flow says why.
#[tokio::test(start_paused = true)]
async fn a_body_in_drops_is_answered() {
    for version in [H1, H2] {
        let proxy = Proxy::new();
        let (mut client, mut served) = begin(&proxy, version, H1).await;
        if version == H1 {
            client.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx").await;
        } else {
            let head = [
                (":method", "POST"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "/"),
                ("content-length", "1000"),
            ];
            client.say(&[frame(1, 4, 1, &block(&head)), frame(0, 0, 1, b"x")].concat()).await;
        }
        let mut server = accept(&mut served, H1, b"").await;
        tokio::time::sleep(CLIENT_PROGRESS_TIMEOUT).await;
        client.hear().await;
        server.hear().await;
        assert!(client.told(1).starts_with("408 "), "{version:?}: {}", client.told(1));
        assert!(server.raw.ended, "the server is not kept waiting");
        let error = proxy.told.take_flows().remove(0).error.unwrap();
        assert_eq!(error.side, Some(Side::Client));
        assert!(error.message.contains("of its body came"), "{}", error.message);
    }
}

/// A client that sends on is told why its connection ends, and then no longer read.
#[tokio::test(start_paused = true)]
async fn who_broke_the_rules_is_not_read_for_long() {
    let proxy = Proxy::new();
    let (mut client, served) = begin(&proxy, H2, H2).await;
    client.say(&frame(6, 0, 0, &[0; 7])).await;
    assert_eq!(client.listener.go_aways.last().map(|(_, code)| *code), Some(Code::FRAME_SIZE_ERROR));
    let piece = frame(0xbb, 0, 0, &[0; 16_384 - 9]);
    let mut taken = 0;
    while client.raw.say_now(&piece).await.is_ok() {
        taken += piece.len();
        assert!(taken < 8 << 20, "it is read on and on");
    }
    assert!((H2_LINGER_BYTES_MAX..=H2_LINGER_BYTES_MAX + PIPE_BYTES).contains(&taken), "{taken}");
    served.serving.await.unwrap();
}

/// A server that has vanished answers no PING: what waits for it learns so before it would for silence, and the connection is not
/// used again.
#[tokio::test(start_paused = true)]
async fn a_server_that_answers_no_ping_is_given_up() {
    let proxy = Proxy::new();
    let keepalive = proxy.context.settings.http2_ping_keepalive.unwrap();
    assert!(keepalive * 2 < IDLE_TIMEOUT);
    let (mut client, mut served) = begin(&proxy, H2, H2).await;
    client.say(&get(1, "/a")).await;
    let mut server = accept(&mut served, H2, b"").await;
    // One that answers them is left alone, however long it takes.
    for _ in 0..3 {
        tokio::time::sleep(keepalive).await;
        server.hear().await;
        let asked = std::mem::take(&mut server.listener.pings);
        assert_eq!(asked.len(), 1);
        server.say(&frame(6, 1, 0, &asked[0])).await;
    }
    assert_eq!(client.told(1), "nothing");
    // So is one that says something else meanwhile.
    tokio::time::sleep(keepalive).await;
    server.say(&frame(8, 0, 0, &1_u32.to_be_bytes())).await;
    tokio::time::sleep(keepalive - Duration::from_secs(5)).await;
    client.hear().await;
    assert_eq!(client.told(1), "nothing");
    tokio::time::sleep(keepalive * 2 + Duration::from_secs(5)).await;
    client.hear().await;
    assert!(client.told(1).starts_with("502 "), "{}", client.told(1));
    client.say(&get(3, "/b")).await;
    let mut second = accept(&mut served, H2, b"").await;
    second.say(&ok(1)).await;
    client.hear().await;
    assert_eq!(client.told(3), "200 0 end");
    let flows = proxy.told.take_flows();
    let error = flows[0].error.as_ref().unwrap();
    assert_eq!(error.side, Some(Side::Server));
    assert!(error.message.contains("PING"), "{}", error.message);
}

/// A head in drops, between frames or inside of one, was waited for as long as anybody may be silent, and longer if more drops came.
#[tokio::test(start_paused = true)]
async fn a_head_in_drops_is_not_waited_for() {
    let proxy = Proxy::new();
    let path = "/".repeat(100);
    let block = block(&[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", &path)]);
    let second = Duration::from_secs(1);
    for inside in [false, true] {
        let (mut client, _served) = begin(&proxy, H2, H1).await;
        let head = frame(1, if inside { 5 } else { 1 }, 1, &block);
        let began = tokio::time::Instant::now();
        client.say(if inside { &head[..10] } else { &head }).await;
        for at in 10..50 {
            tokio::time::sleep(second).await;
            client.say(&if inside { vec![head[at % head.len()]] } else { frame(9, 0, 1, b"") }).await;
            if !client.listener.go_aways.is_empty() {
                break;
            }
        }
        assert_eq!(client.listener.go_aways, [(0, Code::NO_ERROR)], "{inside}");
        let took = began.elapsed();
        assert!((CLIENT_HEADER_TIMEOUT..CLIENT_HEADER_TIMEOUT + 3 * second).contains(&took), "{took:?}");
    }
    // One that is whole in time begins anew with the next.
    let (mut client, mut served) = begin(&proxy, H2, H1).await;
    for stream in [1, 3] {
        client.say(&frame(1, 1, stream, &block)).await;
        tokio::time::sleep(CLIENT_HEADER_TIMEOUT - second).await;
        client.say(&frame(9, 4, stream, b"")).await;
    }
    let mut server = accept(&mut served, H1, b"").await;
    server.say(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    client.hear().await;
    assert_eq!(client.told(1), "204 0 end");
}

/// Streams above the last of a GOAWAY were not looked at: those that can be asked again go to a new connection, and a client is
/// told of the others that they were not processed.
#[tokio::test(start_paused = true)]
async fn streams_above_the_last_of_goaway_go_elsewhere() {
    let proxy = Proxy::new();
    let (mut client, mut served) = begin(&proxy, H2, H2).await;
    client.say(&get(1, "/1")).await;
    let mut server = accept(&mut served, H2, b"").await;
    client.say(&[get(3, "/3"), post(5, "/5"), frame(0, 0, 5, b"half")].concat()).await;
    server.hear().await;
    assert_eq!(server.asked(), [1, 3, 5]);
    server.say(&frame(7, 0, 0, &[1_u32.to_be_bytes(), [0; 4]].concat())).await;
    let mut second = accept(&mut served, H2, b"").await;
    assert_eq!(second.asked(), [1]);
    assert_eq!(value(&second.listener.streams[&1].blocks[0], ":path"), Some(&b"/3"[..]));
    second.say(&ok(1)).await;
    server.say(&ok(1)).await;
    client.hear().await;
    assert_eq!((client.told(1), client.told(3)), ("200 0 end".to_owned(), "200 0 end".to_owned()));
    // Half of its body is gone; but the client may ask again (RFC 9113 section 8.7).
    assert_eq!(client.told(5), "- 0 REFUSED_STREAM");
}

/// HTTP/1 has no room for trailers behind a length. Where they are announced, chunks take its place; where they are not, they are dropped
/// (RFC 9110 section 6.5.1). In either case the body is whole, the connections go on, and the flow has them. They were dropped always.
#[tokio::test(start_paused = true)]
async fn trailers_behind_a_length_cross_if_they_are_announced() {
    let proxy = Proxy::new();
    let chunks = "transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nchecksum: x\r\n\r\n";
    for (announced, wanted) in [(false, "content-length: 4\r\n\r\nbody"), (true, chunks)] {
        let message = |stream, pseudo: &[(&'static str, &'static str)]| {
            let mut fields = pseudo.to_vec();
            fields.push(("content-length", "4"));
            if announced {
                fields.push(("trailer", "checksum"));
            }
            let trailers = frame(1, 5, stream, &block(&[("checksum", "x")]));
            [frame(1, 4, stream, &block(&fields)), frame(0, 0, stream, b"body"), trailers].concat()
        };
        let trailer = if announced { "trailer: checksum\r\n" } else { "" };
        let (mut client, mut served) = begin(&proxy, H1, H2).await;
        client.say(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut server = accept(&mut served, H2, b"").await;
        server.say(&message(1, &[(":status", "200")])).await;
        client.hear().await;
        client.say(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n").await;
        server.say(&message(3, &[(":status", "200")])).await;
        client.hear().await;
        let expected = format!("HTTP/1.1 200 OK\r\n{trailer}{wanted}").repeat(2);
        assert_eq!(String::from_utf8_lossy(&client.text), expected);
        let flows = proxy.told.take_flows();
        assert_eq!(flows.len(), 2);
        for flow in &flows {
            let FlowKind::Http(http) = &flow.kind else { unreachable!() };
            let HttpFlow { response: Some(response), .. } = &**http else { unreachable!() };
            let trailers = response.trailers.as_ref().expect("trailers");
            assert_eq!(trailers.get("checksum"), Some(&b"x"[..]));
        }
        // And the other way.
        let (mut client, mut served) = begin(&proxy, H2, H1).await;
        let pseudo = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/a")];
        client.say(&message(1, &pseudo)).await;
        let mut server = accept(&mut served, H1, b"").await;
        let expected = format!("POST /a HTTP/1.1\r\nHost: a\r\n{trailer}{wanted}");
        assert_eq!(String::from_utf8_lossy(&server.text), expected);
        server.say(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        client.hear().await;
        assert_eq!(client.told(1), "204 0 end");
        proxy.told.take_flows();
    }
}
