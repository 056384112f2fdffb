//! WebSockets through every pair of versions: the handshake in the words of each side (RFC 6455, RFC 8441), the bytes behind it as
//! they are, the end as it was, and the flow that tells of it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use flowgate_flow::{Flow, FlowKind, WebSocketData};
use flowgate_wire::http2::Code;
use flowgate_wire::websocket::{FrameHeader, Opcode, apply_mask, handshake_accept};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::clients::{get, hello};
use super::fixture::{Proxy, Raw, Served, Version};
use super::script::{block, frame};
use crate::addon::{Addon, HookFuture, LiveMessage};
use crate::http::in_memory::listener::{Fields, Listener, value};
use crate::limits::RELAY_STOP_TIMEOUT;
use crate::settings::Settings;

use Version::{H1, H2};

const PAIRS: [(Version, Version); 4] = [(H1, H1), (H1, H2), (H2, H1), (H2, H2)];
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The stream of every WebSocket: a request stands before it.
const STREAM: u32 = 3;
const DEFLATE: &str = "permessage-deflate; client_no_context_takeover";

/// One end of a WebSocket.
struct End {
    raw: Raw,
    /// What the peer of an HTTP/2 connection heard.
    listener: Option<Listener>,
    /// All that came behind the handshake.
    heard: Vec<u8>,
}

impl End {
    fn new(raw: Raw, version: Version) -> Self {
        Self { raw, listener: (version == H2).then(Listener::new), heard: Vec::new() }
    }

    /// Sends bytes of the connection; gives those that came, if it is of HTTP/1.
    async fn raw(&mut self, bytes: &[u8]) -> Vec<u8> {
        let heard = self.raw.say(bytes).await;
        match &mut self.listener {
            Some(listener) => {
                listener.hear(&heard);
                self.heard =
                    listener.streams.get(&STREAM).map(|stream| stream.body.clone()).unwrap_or_default();
                Vec::new()
            }
            None => heard,
        }
    }

    /// Sends bytes of the WebSocket, and hears what comes.
    async fn say(&mut self, bytes: &[u8]) {
        let sent = match (&self.listener, bytes.is_empty()) {
            (Some(_), false) => frame(0, 0, STREAM, bytes),
            _ => bytes.to_vec(),
        };
        let heard = self.raw(&sent).await;
        self.heard.extend(heard);
    }

    /// Ends its direction.
    async fn finish(&mut self) {
        if self.listener.is_some() {
            self.raw(&frame(0, 1, STREAM, b"")).await;
        } else {
            self.raw.close().await;
            self.say(b"").await;
        }
    }

    /// Breaks off: a reset, or in HTTP/1 the end of the connection.
    async fn cut(self, code: Code) -> Option<Self> {
        let mut this = self;
        this.listener.as_ref()?;
        this.raw(&frame(3, 0, STREAM, &code.0.to_be_bytes())).await;
        Some(this)
    }

    /// How the other direction stands.
    fn state(&self) -> String {
        let Some(listener) = &self.listener else {
            return if self.raw.ended { "ended".to_owned() } else { "open".to_owned() };
        };
        match listener.streams.get(&STREAM) {
            Some(stream) if stream.reset.is_some() => format!("{}", stream.reset.unwrap()),
            Some(stream) if stream.ended => "ended".to_owned(),
            _ => "open".to_owned(),
        }
    }

    fn head(&self) -> Option<&Fields> {
        self.listener.as_ref()?.streams.get(&STREAM)?.blocks.first()
    }
}

/// A request for a WebSocket has been sent and not answered.
struct Asked {
    client: End,
    server: End,
    served: Served,
    /// The proof that the server of HTTP/1 owes.
    proof: String,
}

fn upgrade(fields: &str) -> Vec<u8> {
    format!(
        "GET /chat?x HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
    .into_bytes()
}

fn connect(protocol: &str, ends: bool) -> Vec<u8> {
    let list = block(&[
        (":method", "CONNECT"),
        (":protocol", protocol),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/chat?x"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-extensions", DEFLATE),
    ]);
    frame(1, 4 | u8::from(ends), STREAM, &list)
}

/// Has a request answered on a connection of HTTP/2 to the server, which announces this of extended CONNECT.
async fn prime(client: &mut End, served: &mut Served, announces: u8) -> End {
    let request = match client.listener {
        Some(_) => get(1, "/before"),
        None => b"GET /before HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
    };
    client.raw(&request).await;
    let mut server = End::new(Raw::new(served.servers.recv().await.unwrap()), H2);
    let settings = if announces == 0 { Vec::new() } else { vec![0, 8, 0, 0, 0, announces] };
    server.raw(&[frame(4, 0, 0, &settings), frame(4, 1, 0, b"")].concat()).await;
    server.raw(&frame(1, 5, 1, &block(&[(":status", "200")]))).await;
    client.raw(b"").await;
    server
}

/// Has a client ask for a WebSocket, up to where the server read the request.
async fn ask(proxy: &Proxy, (client, server): (Version, Version)) -> Asked {
    ask_one(proxy, client, server, 1).await
}

async fn ask_one(proxy: &Proxy, client: Version, server: Version, announces: u8) -> Asked {
    let mut served = proxy.serve(client, server);
    let (pipe, _) = tokio::io::duplex(1);
    let mut end = End::new(Raw::new(std::mem::replace(&mut served.client, pipe)), client);
    if client == H2 {
        end.raw(&hello()).await;
        assert!(end.listener.as_ref().unwrap().settings[0].contains(&(8, 1)), "we announce that we take it");
    }
    let multiplexed = if server == H2 { Some(prime(&mut end, &mut served, announces).await) } else { None };
    let fields = format!("Sec-WebSocket-Extensions: {DEFLATE}\r\n");
    let asked = if client == H2 { connect("websocket", false) } else { upgrade(&fields) };
    end.raw(&asked).await;
    if let Some(mut server) = multiplexed {
        server.raw(b"").await;
        if announces == 1 {
            let head = server.head().expect("a request");
            assert_eq!(value(head, ":method"), Some(&b"CONNECT"[..]));
            assert_eq!(value(head, ":protocol"), Some(&b"websocket"[..]));
            assert_eq!(
                (value(head, ":scheme"), value(head, ":path")),
                (Some(&b"http"[..]), Some(&b"/chat?x"[..]))
            );
            assert_eq!(value(head, "sec-websocket-extensions"), Some(DEFLATE.as_bytes()));
            assert_eq!((value(head, "sec-websocket-key"), value(head, "upgrade")), (None, None));
            return Asked { client: end, server, served, proof: String::new() };
        }
        assert!(server.head().is_none(), "it does not take it");
    }
    let mut server = End::new(Raw::new(served.servers.recv().await.unwrap()), H1);
    let request = String::from_utf8(server.raw(b"").await).unwrap();
    assert!(request.starts_with("GET /chat?x HTTP/1.1\r\nHost: a\r\n"), "{request}");
    let field = |name: &str| {
        let mut lines = request.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    assert_eq!(field("upgrade").as_deref(), Some("websocket"));
    assert_eq!(field("connection").as_deref(), Some("Upgrade"));
    assert_eq!(field("sec-websocket-version").as_deref(), Some("13"));
    assert_eq!(field("sec-websocket-extensions").as_deref(), Some(DEFLATE));
    let key = field("sec-websocket-key").unwrap();
    assert_eq!(key == KEY, client == H1, "{key}");
    Asked { client: end, server, served, proof: handshake_accept(key.as_bytes()) }
}

/// Has the server agree, up to where the client knows.
async fn agree(asked: Asked) -> (End, End, Served) {
    let Asked { mut client, mut server, served, proof } = asked;
    let answer = match server.listener {
        Some(_) => frame(
            1,
            4,
            STREAM,
            &block(&[(":status", "200"), ("sec-websocket-extensions", DEFLATE), ("x", "y")]),
        ),
        None => format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {proof}\r\nSec-WebSocket-Extensions: {DEFLATE}\r\nX: y\r\n\r\n"
        )
        .into_bytes(),
    };
    server.raw(&answer).await;
    let heard = String::from_utf8(client.raw(b"").await).unwrap().to_ascii_lowercase();
    if client.listener.is_some() {
        let head = client.head().expect("an answer");
        let fields: Fields = [(":status", "200"), ("sec-websocket-extensions", DEFLATE), ("x", "y")]
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        assert_eq!(*head, fields);
        assert_eq!(client.state(), "open");
    } else {
        let proof = format!("sec-websocket-accept: {}\r\n", handshake_accept(KEY.as_bytes()));
        let deflate = format!("sec-websocket-extensions: {DEFLATE}\r\n");
        for part in [
            "http/1.1 101 switching protocols\r\n",
            "upgrade: websocket\r\n",
            "connection: upgrade\r\n",
            "x: y\r\n",
        ]
        .into_iter()
        .chain([proof.to_ascii_lowercase().as_str(), deflate.as_str()])
        {
            assert!(heard.contains(part), "{part} in {heard}");
        }
    }
    (client, server, served)
}

fn ws_frame(fin: bool, rsv1: bool, opcode: Opcode, from_client: bool, payload: &[u8]) -> Vec<u8> {
    let mask = from_client.then_some([1, 2, 3, 4]);
    let mut out = BytesMut::new();
    FrameHeader { fin, rsv1, opcode, len: payload.len() as u64, mask }.encode(&mut out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        apply_mask(&mut out[start..], key, 0);
    }
    out.to_vec()
}

/// The close frame with code 1000 and this reason.
fn close(from_client: bool, reason: &str) -> Vec<u8> {
    ws_frame(true, false, Opcode::Close, from_client, &[&1000_u16.to_be_bytes(), reason.as_bytes()].concat())
}

fn data(flow: &Flow) -> Option<&WebSocketData> {
    match &flow.kind {
        FlowKind::Http(http) => http.websocket.as_ref(),
        other => panic!("{other:?}"),
    }
}

/// What the flow of the only WebSocket says, in one line.
fn told(proxy: &Proxy) -> String {
    let flows = proxy.told.take_flows();
    let mut websockets = flows.iter().filter_map(|flow| Some((flow, data(flow)?)));
    let (flow, data) = websockets.next().unwrap_or_else(|| panic!("{flows:?}"));
    assert!(websockets.next().is_none());
    let FlowKind::Http(http) = &flow.kind else { unreachable!() };
    assert_eq!((&http.request.scheme[..], &http.request.path[..]), (&b"http"[..], &b"/chat?x"[..]));
    let mut out = String::new();
    for message in &data.messages {
        let arrow = if message.from_client { "->" } else { "<-" };
        write!(out, "{arrow} {} ", message.content.escape_ascii()).unwrap();
    }
    let who = data.closed_by_client.map_or("nobody", |client| if client { "client" } else { "server" });
    write!(out, "{who} {}", data.close_code.unwrap_or_default()).unwrap();
    if let Some(error) = &flow.error {
        write!(out, " error: {}", error.message).unwrap();
    }
    out
}

#[tokio::test(start_paused = true)]
async fn a_conversation_crosses_between_any_two_versions() {
    let proxy = Proxy::new();
    for pair in PAIRS {
        let (mut client, mut server, served) = agree(ask(&proxy, pair).await).await;
        let up = [
            ws_frame(false, false, Opcode::Text, true, b"in "),
            ws_frame(true, false, Opcode::Ping, true, b"alive?"),
            ws_frame(true, false, Opcode::Continuation, true, b"pieces"),
            // `Hello` as RFC 7692 section 7.2.3.1 compresses it.
            ws_frame(true, true, Opcode::Text, true, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
        ]
        .concat();
        client.say(&up).await;
        server.say(b"").await;
        assert_eq!(server.heard, up, "{pair:?}");
        let down = ws_frame(true, false, Opcode::Binary, false, b"\x00\xff");
        server.say(&down).await;
        client.say(&close(true, "bye")).await;
        assert_eq!(client.heard, down, "{pair:?}");
        server.say(&close(false, "bye")).await;
        assert_eq!(server.heard, [up, close(true, "bye")].concat(), "{pair:?}");
        server.finish().await;
        client.say(b"").await;
        assert_eq!(client.heard, [down, close(false, "bye")].concat(), "{pair:?}");
        assert_eq!(client.state(), "ended", "{pair:?}");
        assert_eq!(server.state(), "open", "{pair:?}: half-closes cross");
        client.finish().await;
        server.say(b"").await;
        assert_eq!(server.state(), "ended", "{pair:?}");
        if let Some(listener) = &client.listener {
            // Nothing was reset, and the connection takes another request.
            assert_eq!(listener.streams[&STREAM].reset, None);
            client.raw(&get(5, "/after")).await;
        }
        assert_eq!(told(&proxy), "-> in pieces -> Hello <- \\x00\\xff client 1000", "{pair:?}");
        drop((client, server));
        served.serving.await.unwrap();
        proxy.told.take_flows();
    }
}

/// What each side sees of the other's cut.
#[tokio::test(start_paused = true)]
async fn a_cut_is_a_cut_on_the_other_side() {
    let proxy = Proxy::new();
    for (pair, client_cuts, seen, said) in [
        ((H1, H1), true, "ended", "client 1006"),
        ((H1, H1), false, "ended", "server 1006"),
        ((H1, H2), true, "ended", "client 1006"),
        ((H1, H2), false, "ended", "server 1006 error: server: stream was reset with ENHANCE_YOUR_CALM"),
        ((H2, H1), true, "ended", "client 1006 error: client: stream was reset with ENHANCE_YOUR_CALM"),
        ((H2, H1), false, "ended", "server 1006"),
        (
            (H2, H2),
            true,
            "ENHANCE_YOUR_CALM",
            "client 1006 error: client: stream was reset with ENHANCE_YOUR_CALM",
        ),
        (
            (H2, H2),
            false,
            "ENHANCE_YOUR_CALM",
            "server 1006 error: server: stream was reset with ENHANCE_YOUR_CALM",
        ),
    ] {
        let (client, server, served) = agree(ask(&proxy, pair).await).await;
        let (cutting, mut other) = if client_cuts { (client, server) } else { (server, client) };
        let left = cutting.cut(Code::ENHANCE_YOUR_CALM).await;
        other.say(b"").await;
        assert_eq!(other.state(), seen, "{pair:?} {client_cuts}");
        if seen == "ended" {
            // There may be more to say the other way.
            other.finish().await;
        }
        drop((left, other));
        served.serving.await.unwrap();
        assert_eq!(told(&proxy), said, "{pair:?} {client_cuts}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_of_http2_ends_its_websockets() {
    let proxy = Proxy::new();
    let (mut client, mut server, served) = agree(ask(&proxy, (H2, H2)).await).await;
    // A server that goes away keeps the streams that it has taken.
    let go_away = |last: u32| frame(7, 0, 0, &[last.to_be_bytes(), [0; 4]].concat());
    server.raw(&go_away(STREAM)).await;
    client.say(&ws_frame(true, false, Opcode::Text, true, b"still here")).await;
    server.say(b"").await;
    assert_eq!(server.heard, ws_frame(true, false, Opcode::Text, true, b"still here"));
    // One that left it out after all has cut it.
    server.raw(&go_away(1)).await;
    client.say(b"").await;
    assert_eq!(client.state(), "CANCEL");
    assert_eq!(told(&proxy), "-> still here server 1006 error: server: stream was left out by GOAWAY");
    // The client's connection itself.
    let (client, mut server, _served) = {
        drop((client, server));
        served.serving.await.unwrap();
        agree(ask(&proxy, (H2, H2)).await).await
    };
    drop(client);
    server.say(b"").await;
    assert_eq!(server.state(), "CANCEL");
    assert!(told(&proxy).starts_with("client 1006 error: client: "));
}

/// What is still open when we are stopped is cut in time to be told.
#[tokio::test(start_paused = true)]
async fn what_is_open_when_we_stop_is_told() {
    let moment = Duration::from_millis(1);
    for pair in PAIRS {
        let proxy = Proxy::new();
        let (mut client, mut server, _served) = agree(ask(&proxy, pair).await).await;
        server.say(&ws_frame(true, false, Opcode::Text, false, b"hello")).await;
        client.say(b"").await;
        proxy.told.take_flows();
        proxy.context.proxy.stop.cancel();
        tokio::time::sleep(RELAY_STOP_TIMEOUT - moment).await;
        assert!(proxy.told.take_flows().is_empty(), "{pair:?}");
        tokio::time::sleep(moment * 2).await;
        assert_eq!(told(&proxy), "<- hello nobody 1006 error: flowgate was stopped", "{pair:?}");
    }
}

/// A server that does not announce extended CONNECT is asked in HTTP/1.1, on a connection of its own.
#[tokio::test(start_paused = true)]
async fn a_server_of_http2_that_does_not_take_websockets_is_asked_in_http1() {
    let proxy = Proxy::new();
    for client in [H1, H2] {
        let (mut client, mut server, served) = agree(ask_one(&proxy, client, H2, 0).await).await;
        assert!(server.listener.is_none());
        server.say(&close(false, "")).await;
        client.say(b"").await;
        assert_eq!(client.heard, close(false, ""));
        drop((client, server));
        served.serving.await.unwrap();
        assert_eq!(told(&proxy), "server 1000");
    }
}

/// The first request of all is for a WebSocket: there is no connection yet whose server could have announced anything.
#[tokio::test(start_paused = true)]
async fn the_first_connection_of_http2_may_be_for_a_websocket() {
    let proxy = Proxy::new();
    for announces in [true, false] {
        let mut served = proxy.serve(H2, H2);
        let (pipe, _) = tokio::io::duplex(1);
        let mut client = End::new(Raw::new(std::mem::replace(&mut served.client, pipe)), H2);
        client.raw(&[hello(), connect("websocket", false)].concat()).await;
        let mut server = End::new(Raw::new(served.servers.recv().await.unwrap()), H2);
        let settings = if announces { vec![0, 8, 0, 0, 0, 1] } else { Vec::new() };
        server.raw(&[frame(4, 0, 0, &settings), frame(4, 1, 0, b"")].concat()).await;
        if announces {
            let blocks = &server.listener.as_ref().unwrap().streams[&1].blocks;
            assert_eq!(value(&blocks[0], ":protocol"), Some(&b"websocket"[..]));
        } else {
            let mut second = Raw::new(served.servers.recv().await.unwrap());
            let request = String::from_utf8(second.say(b"").await).unwrap();
            assert!(request.starts_with("GET /chat?x HTTP/1.1\r\n"), "{request}");
        }
        drop((client, server));
        served.serving.await.unwrap();
    }
}

/// What a client is told where a server does not agree, in each pair: `answer` is the server's in HTTP/1 and in HTTP/2.
#[tokio::test(start_paused = true)]
async fn what_is_no_agreement_is_none() {
    let proxy = Proxy::new();
    let forbidden = "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope";
    let not_found =
        [frame(1, 4, STREAM, &block(&[(":status", "403")])), frame(0, 1, STREAM, b"nope")].concat();
    for (pair, answer, seen) in [
        ((H1, H1), forbidden.into(), "403"),
        ((H2, H1), forbidden.into(), "403"),
        ((H1, H2), not_found.clone(), "403"),
        ((H2, H2), not_found, "403"),
        // A client of HTTP/2 would take a 2xx for an agreement.
        ((H2, H1), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(), "502"),
        ((H1, H1), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(), "200"),
        (
            (H2, H1),
            b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
                .to_vec(),
            "502",
        ),
        ((H2, H1), b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".to_vec(), "502"),
        ((H2, H1), b"HTTP/1.1 101 S\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n".to_vec(), "502"),
        ((H1, H2), frame(3, 0, STREAM, &[0, 0, 0, 8]), "502"),
        ((H2, H2), frame(3, 0, STREAM, &[0, 0, 0, 8]), "CANCEL"),
        ((H2, H2), frame(1, 4, STREAM, &block(&[(":status", "101")])), "502"),
    ] {
        let Asked { mut client, mut server, served, .. } = ask(&proxy, pair).await;
        server.raw(&answer).await;
        let heard = String::from_utf8(client.raw(b"").await).unwrap();
        let status = match client.head() {
            Some(head) => String::from_utf8(value(head, ":status").unwrap().to_vec()).unwrap(),
            None => heard.get(9..12).map_or_else(|| client.state(), str::to_owned),
        };
        assert_eq!(status, seen, "{pair:?}: {}", answer.escape_ascii());
        drop((client, server));
        served.serving.await.unwrap();
        let flows = proxy.told.take_flows();
        assert!(flows.iter().all(|flow| data(flow).is_none()), "{flows:?}");
        assert_eq!(
            flows.iter().any(|flow| flow.error.is_some()),
            !matches!(seen, "403" | "200"),
            "{flows:?}"
        );
    }
}

/// A client that gives up before the answer is there troubles nobody further.
#[tokio::test(start_paused = true)]
async fn a_client_may_take_its_connect_back() {
    let proxy = Proxy::new();
    for server in [H1, H2] {
        let Asked { client, mut server, served, .. } = ask(&proxy, (H2, server)).await;
        let left = client.cut(Code::CANCEL).await;
        server.say(b"").await;
        assert_ne!(server.state(), "open");
        drop((left, server));
        served.serving.await.unwrap();
        let flows = proxy.told.take_flows();
        assert!(flows.iter().any(|flow| flow.error.is_some()), "{flows:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_slows_the_other_end() {
    let proxy = Proxy::new();
    for pair in PAIRS {
        let (client, mut server, _served) = agree(ask(&proxy, pair).await).await;
        // The client's window is 65,535 bytes in HTTP/2, and the pipe holds as many in HTTP/1; it reads nothing more.
        let payload = vec![7; 16_000];
        let message = ws_frame(true, false, Opcode::Binary, false, &payload);
        let mut taken = 0;
        for _ in 0..400 {
            let window = server.listener.as_ref().map_or(u64::MAX, |listener| {
                let stream = listener.streams.get(&STREAM).map_or(0, |stream| stream.window);
                // Ours begins with 1 MiB.
                (1 << 20) + stream
            });
            if taken + message.len() as u64 > window {
                break;
            }
            let Ok(()) = server
                .raw
                .say_now(&if server.listener.is_some() {
                    frame(0, 0, STREAM, &message)
                } else {
                    message.clone()
                })
                .await
            else {
                break;
            };
            taken += message.len() as u64;
        }
        assert!(taken <= (2 << 20), "{pair:?}: {taken} bytes were taken for a client that reads none");
        drop(client);
    }
}

/// Adds to what is said.
struct Louder;

impl Addon for Louder {
    fn name(&self) -> &str {
        "louder"
    }

    fn messages(&self, _: &Flow) -> bool {
        true
    }

    fn websocket_message<'a>(&'a self, message: &'a mut LiveMessage) -> HookFuture<'a> {
        let louder = message.content().to_ascii_uppercase();
        message.set_content(louder.into());
        HookFuture::DONE
    }
}

#[tokio::test(start_paused = true)]
async fn addons_have_the_messages_whatever_the_versions() {
    let mut proxy = Proxy::new();
    let addons: Vec<Arc<dyn Addon>> = vec![Arc::new(Louder)];
    proxy.context.settings = Arc::new(Settings { addons: addons.into(), ..Settings::default() });
    for pair in PAIRS {
        let (mut client, mut server, served) = agree(ask(&proxy, pair).await).await;
        server.say(&ws_frame(true, false, Opcode::Text, false, b"hello")).await;
        client.say(b"").await;
        assert_eq!(client.heard, ws_frame(true, false, Opcode::Text, false, b"HELLO"), "{pair:?}");
        drop((client, server));
        served.serving.await.unwrap();
        assert!(told(&proxy).starts_with("<- HELLO "), "{pair:?}");
    }
}

/// What one side says at once: frames of whole messages, with control frames between.
#[derive(Clone, Debug)]
struct Said {
    from_client: bool,
    frames: Vec<u8>,
    messages: Vec<Vec<u8>>,
    /// Where its bytes are cut, in percent.
    cut: usize,
}

fn said() -> impl Strategy<Value = Said> {
    let payload = prop::collection::vec(any::<u8>(), 0..400);
    let message = (any::<bool>(), prop::collection::vec(payload, 1..4), any::<bool>());
    (any::<bool>(), prop::collection::vec(message, 1..3), 0..100_usize).prop_map(
        |(from_client, messages, cut)| {
            let (mut frames, mut whole) = (Vec::new(), Vec::new());
            for (text, fragments, ping) in messages {
                for (at, fragment) in fragments.iter().enumerate() {
                    let opcode = match (at, text) {
                        (0, true) => Opcode::Text,
                        (0, false) => Opcode::Binary,
                        _ => Opcode::Continuation,
                    };
                    frames.extend(ws_frame(at + 1 == fragments.len(), false, opcode, from_client, fragment));
                    if ping {
                        frames.extend(ws_frame(true, false, Opcode::Pong, from_client, b"?"));
                    }
                }
                whole.push(fragments.concat());
            }
            Said { from_client, frames, messages: whole, cut }
        },
    )
}

async fn converse(proxy: &Proxy, pair: (Version, Version), conversation: &[Said]) {
    let (mut client, mut server, served) = agree(ask(proxy, pair).await).await;
    let (mut up, mut down, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    for said in conversation {
        let (front, back) = said.frames.split_at(said.frames.len() * said.cut / 100);
        let (end, all) = if said.from_client { (&mut client, &mut up) } else { (&mut server, &mut down) };
        end.say(front).await;
        end.say(back).await;
        all.extend_from_slice(&said.frames);
        messages.extend(said.messages.iter().map(|message| (said.from_client, message.clone())));
    }
    client.finish().await;
    server.finish().await;
    client.say(b"").await;
    assert_eq!(server.heard, up);
    assert_eq!(client.heard, down);
    assert_eq!((client.state(), server.state()), ("ended".to_owned(), "ended".to_owned()));
    drop((client, server));
    served.serving.await.unwrap();
    let flows = proxy.told.take_flows();
    let data = flows.iter().find_map(data).expect("a WebSocket");
    let recorded: Vec<_> = data.messages.iter().map(|m| (m.from_client, m.content.to_vec())).collect();
    assert_eq!(recorded, messages);
    assert_eq!((data.close_code, data.closed_by_client), (Some(1006), Some(true)));
}

#[test]
fn random_conversations_arrive_as_they_were_said() {
    let proxy = Proxy::new();
    let all = (prop::sample::select(PAIRS.to_vec()), prop::collection::vec(said(), 0..8));
    let mut runner = TestRunner::new(Config::with_cases(300));
    runner
        .run(&all, |(pair, conversation)| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_time().start_paused(true).build().unwrap();
            runtime.block_on(converse(&proxy, pair, &conversation));
            Ok(())
        })
        .unwrap();
}
