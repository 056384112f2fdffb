//! Messages of WebSockets and raw connections on hooks, over in-memory pipes.

use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use flowgate_flow::{
    Body, ClientConnection, Flow, FlowKind, HttpFlow, HttpVersion, Request, Response, ServerConnection,
};
use flowgate_wire::websocket::{FrameHeader, Opcode, apply_mask};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::addon::testing::{Flows, context, proxy_of};
use crate::addon::{
    Addon, HookFuture, Injected, Injector, LiveConversation, LiveFlow, LiveMessage, no_request,
};
use crate::{Settings, clock, raw, websocket};

/// Changes `change`, discards `discard`, panics at `panic`, and lets all else cross.
#[derive(Default)]
struct Edits {
    said: Mutex<Vec<String>>,
    injector: Mutex<Option<Injector>>,
}

impl Edits {
    fn say(&self, what: &str) {
        self.said.lock().unwrap().push(what.to_owned());
    }

    fn start<'a>(&'a self, what: &str, conversation: &LiveConversation) -> HookFuture<'a> {
        self.say(what);
        *self.injector.lock().unwrap() = Some(conversation.injector());
        HookFuture::DONE
    }

    fn message<'a>(&'a self, message: &'a mut LiveMessage) -> HookFuture<'a> {
        HookFuture::new(async {
            tokio::task::yield_now().await;
            let who = if message.is_injected() { "injected" } else { "message" };
            self.say(&format!("{who} {}", String::from_utf8_lossy(message.content())));
            match message.content().as_ref() {
                b"change" => message.set_content(Bytes::from_static(b"changed")),
                b"discard" => message.discard(),
                b"panic" => panic!("told to"),
                _ => {}
            }
        })
    }
}

impl Addon for Edits {
    fn name(&self) -> &str {
        "edits"
    }
    fn messages(&self, _: &Flow) -> bool {
        true
    }
    fn websocket_start<'a>(&'a self, conversation: &'a mut LiveConversation) -> HookFuture<'a> {
        self.start("websocket_start", conversation)
    }
    fn websocket_message<'a>(&'a self, message: &'a mut LiveMessage) -> HookFuture<'a> {
        self.message(message)
    }
    fn websocket_end<'a>(&'a self, _: &'a Flow) -> HookFuture<'a> {
        self.say("websocket_end");
        HookFuture::DONE
    }
    fn tcp_start<'a>(&'a self, conversation: &'a mut LiveConversation) -> HookFuture<'a> {
        self.start("tcp_start", conversation)
    }
    fn tcp_message<'a>(&'a self, message: &'a mut LiveMessage) -> HookFuture<'a> {
        self.message(message)
    }
    fn tcp_end<'a>(&'a self, _: &'a Flow) -> HookFuture<'a> {
        self.say("tcp_end");
        HookFuture::DONE
    }
}

struct Between {
    client: DuplexStream,
    server: DuplexStream,
    edits: Arc<Edits>,
    flows: Arc<Flows>,
    serving: tokio::task::JoinHandle<()>,
}

/// A WebSocket whose response agreed to this extension, or a raw connection.
fn between(websocket_with: Option<&str>) -> Between {
    let edits = Arc::<Edits>::default();
    let (proxy, flows) = proxy_of(vec![Arc::<Edits>::clone(&edits)], Settings::default());
    let context = context(proxy, false);
    let (client, client_end) = duplex(64 * 1024);
    let (server, server_end) = duplex(64 * 1024);
    let extension = websocket_with.map(str::to_owned);
    let serving = tokio::spawn(async move {
        let facts = Arc::new(ServerConnection::new(clock::new_id(), None));
        match extension {
            Some(extension) => {
                let flow = agreed(&extension, Arc::clone(&context.client), facts);
                websocket::relay_recorded(&context, flow, Box::new(client_end), Box::new(server_end)).await;
            }
            None => {
                let offered = raw::Pieces::Offered;
                raw::relay_recorded(&context, Box::new(client_end), Box::new(server_end), facts, offered)
                    .await;
            }
        }
    });
    Between { client, server, edits, flows, serving }
}

fn agreed(extension: &str, client: Arc<ClientConnection>, server: Arc<ServerConnection>) -> Flow {
    let headers = [("Sec-WebSocket-Extensions", extension)].into_iter().collect();
    let response: Response =
        Response { version: HttpVersion::Http11, ..LiveFlow::response_of(101, headers, Body::EMPTY) };
    let request: Request = no_request();
    let http = HttpFlow { request, response: Some(response), websocket: None };
    Flow::new(clock::new_id(), client, server, FlowKind::Http(Box::new(http)), clock::now())
}

fn frame(fin: bool, opcode: Opcode, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    FrameHeader { fin, rsv1: false, opcode, len: payload.len() as u64, mask }.encode(&mut out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        apply_mask(&mut out[start..], key, 0);
    }
    out.to_vec()
}

/// From the server, whole.
fn text(payload: &str) -> Vec<u8> {
    frame(true, Opcode::Text, None, payload.as_bytes())
}

/// What a peer got until the end.
async fn rest(mut stream: DuplexStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    all
}

/// Both ends close; what each got, what was said.
async fn end(between: Between) -> (Vec<u8>, Vec<u8>, String, Flow) {
    let Between { mut client, mut server, edits, flows, serving } = between;
    client.shutdown().await.unwrap();
    server.shutdown().await.unwrap();
    let (client, server) = (rest(client).await, rest(server).await);
    serving.await.unwrap();
    *edits.injector.lock().unwrap() = None;
    let said = edits.said.lock().unwrap().join(", ");
    (client, server, said, flows.take().remove(0))
}

#[tokio::test(start_paused = true)]
async fn what_nobody_changes_crosses_as_it_came() {
    let key = Some([1, 2, 3, 4]);
    let mut up = frame(false, Opcode::Text, key, b"He");
    up.extend(frame(true, Opcode::Ping, key, b"alive"));
    up.extend(frame(false, Opcode::Continuation, key, b""));
    up.extend(frame(true, Opcode::Continuation, key, b"llo"));
    up.extend(frame(true, Opcode::Close, key, &1000_u16.to_be_bytes()));
    // RFC 7692 section 7.2.3.2: the second refers to the first.
    let down = [&b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"[..], b"\xc1\x05\xf2\x00\x11\x00\x00"].concat();
    for cut in [1, 3, 1000] {
        let mut between = between(Some("permessage-deflate"));
        for piece in up.chunks(cut) {
            between.client.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        for piece in down.chunks(cut) {
            between.server.write_all(piece).await.unwrap();
        }
        let (client, server, said, flow) = end(between).await;
        assert_eq!(client, down);
        // The control frame inside of a message that is held goes before it.
        let (ping, close) = (
            frame(true, Opcode::Ping, key, b"alive"),
            frame(true, Opcode::Close, key, &1000_u16.to_be_bytes()),
        );
        let mut expected = ping;
        expected.extend(frame(false, Opcode::Text, key, b"He"));
        expected.extend(frame(false, Opcode::Continuation, key, b""));
        expected.extend(frame(true, Opcode::Continuation, key, b"llo"));
        expected.extend(close);
        assert_eq!(server, expected, "{cut}");
        let mut said: Vec<_> = said.split(", ").collect();
        assert_eq!((said.remove(0), said.pop()), ("websocket_start", Some("websocket_end")));
        assert_eq!(said, ["message Hello"; 3]);
        let FlowKind::Http(http) = flow.kind else { panic!("an HTTP flow") };
        assert_eq!(http.websocket.unwrap().messages.len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn messages_are_changed_discarded_and_injected() {
    let mut between = between(Some(""));
    for message in ["a", "change", "discard", "panic", "b"] {
        between.server.write_all(&text(message)).await.unwrap();
    }
    let mut got = vec![0; [text("a"), text("changed"), text("b")].concat().len()];
    between.client.read_exact(&mut got).await.unwrap();
    assert_eq!(got, [text("a"), text("changed"), text("b")].concat());
    let injector = between.edits.injector.lock().unwrap().clone().unwrap();
    assert!(injector.inject(false, Injected { text: true, content: "down".into() }).await);
    let mut got = vec![0; text("down").len()];
    between.client.read_exact(&mut got).await.unwrap();
    assert_eq!(got, text("down"));
    assert!(injector.inject(true, Injected { text: false, content: "up".into() }).await);
    let mut got = vec![0; 8];
    between.server.read_exact(&mut got).await.unwrap();
    let key: [u8; 4] = got[2..6].try_into().unwrap();
    assert_eq!(got, frame(true, Opcode::Binary, Some(key), b"up"));
    drop(injector);
    let (.., flow) = end(between).await;
    let FlowKind::Http(http) = flow.kind else { panic!("an HTTP flow") };
    let messages = http.websocket.unwrap().messages;
    let told: Vec<_> = messages
        .iter()
        .map(|message| {
            (String::from_utf8_lossy(&message.content).into_owned(), message.dropped, message.injected)
        })
        .collect();
    let row = |content: &str, dropped, injected| (content.to_owned(), dropped, injected);
    assert_eq!(
        told,
        [
            row("a", false, false),
            row("changed", false, false),
            row("discard", true, false),
            row("panic", true, false),
            row("b", false, false),
            row("down", false, true),
            row("up", false, true),
        ]
    );
}

/// Its receiver never saw the message that the next ones may refer to: they are sent so that it need not.
#[tokio::test(start_paused = true)]
async fn behind_a_discarded_message_nothing_refers_to_it() {
    // "discard" in a stored block, then "Hello" and again "Hello".
    let discard = b"\xc1\x0d\x00\x07\x00\xf8\xffdiscard\x00";
    let hello = [&b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"[..], b"\xc1\x05\xf2\x00\x11\x00\x00"].concat();
    for (extension, kept) in
        [("permessage-deflate", false), ("permessage-deflate; server_no_context_takeover", true)]
    {
        let mut between = between(Some(extension));
        between.server.write_all(discard).await.unwrap();
        between.server.write_all(&hello[..9]).await.unwrap();
        let (client, ..) = end(between).await;
        assert_eq!(client, if kept { hello[..9].to_vec() } else { text("Hello") });
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_frame_crosses_all_the_same() {
    let mut between = between(Some(""));
    between.server.write_all(&text("change")).await.unwrap();
    between.server.write_all(b"\xff\xff nonsense").await.unwrap();
    let (client, ..) = end(between).await;
    assert_eq!(client, [text("changed"), b"\xff\xff nonsense".to_vec()].concat());
}

#[tokio::test(start_paused = true)]
async fn raw_bytes_are_changed_discarded_and_injected() {
    let mut between = between(None);
    for piece in ["change", "discard", "b"] {
        between.client.write_all(piece.as_bytes()).await.unwrap();
        // Each is a piece of its own once it was read.
        while !between.edits.said.lock().unwrap().iter().any(|said| said.ends_with(piece)) {
            tokio::task::yield_now().await;
        }
    }
    let injector = between.edits.injector.lock().unwrap().take().unwrap();
    assert!(injector.inject(false, Injected { text: false, content: "down".into() }).await);
    let mut got = [0; 4];
    between.client.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"down");
    let (_, server, said, flow) = end(between).await;
    assert_eq!(server, b"changedb");
    assert_eq!(said, "tcp_start, message change, message discard, message b, injected down, tcp_end");
    let FlowKind::Tcp(raw) = flow.kind else { panic!("a TCP flow") };
    let told: Vec<_> = raw.messages.iter().map(|message| message.content.as_ref()).collect();
    assert_eq!(told, [&b"changed"[..], b"b", b"down"]);
}

/// Both sides write more than any buffer holds before they read: neither waits for the other.
#[tokio::test(start_paused = true)]
async fn directions_do_not_wait_for_each_other() {
    let Between { mut client, mut server, serving, .. } = between(None);
    let len = 4 << 20;
    let reads = async {
        let mut got = vec![0; len];
        tokio::join!(async { client.write_all(&vec![1; len]).await.unwrap() }, async {
            server.read_exact(&mut got).await.unwrap();
        });
        got
    };
    assert!(reads.await.iter().all(|byte| *byte == 1));
    drop((client, server));
    serving.await.unwrap();
}

/// Sends on what comes.
struct AsItCame;

impl super::Way for AsItCame {
    async fn received(&mut self, data: &[u8], out: &mut BytesMut) {
        out.extend_from_slice(data);
    }

    async fn injected(&mut self, _: Injected, _: &mut BytesMut) {}

    fn ended(&mut self, _: &mut BytesMut) {}
}

#[tokio::test(start_paused = true)]
async fn last_words_of_a_side_that_takes_nothing_are_relayed() {
    for client_refuses in [true, false] {
        let (mut speaker, speaker_end) = duplex(64);
        let (mut refuser, refuser_end) = duplex(64);
        // A pipe whose other end is gone takes nothing, and still has what was said before.
        refuser.write_all(b"last words").await.unwrap();
        drop(refuser);
        speaker.write_all(b"more").await.unwrap();
        let (client, server) =
            if client_refuses { (refuser_end, speaker_end) } else { (speaker_end, refuser_end) };
        let nothing = || tokio::sync::mpsc::channel(1).1;
        let ways = (AsItCame, AsItCame);
        let activity = std::sync::atomic::AtomicU64::new(0);
        let injections = (nothing(), nothing());
        let end = super::run(Box::new(client), Box::new(server), ways, injections, &activity).await;
        assert!(matches!(end.failure, Some((client, _)) if client == client_refuses), "{end:?}");
        assert_eq!(rest(speaker).await, b"last words");
    }
}
