//! Messages inside bodies are told when they cross, not when their body ends: gRPC both ways, and server-sent events, through every
//! pair of versions; with the id of the flow that comes in the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flowgate_flow::{BodyMessageKind, FlowId, FlowKind, HttpFlow};

use super::clients::hello;
use super::fixture::{Proxy, Raw, Version};
use super::script::{block, frame};
use crate::addon::{Addon, BodyNeed, LiveFlow};
use crate::http::in_memory::listener::Listener;
use crate::limits::BODY_DECODERS_BYTES_MAX;
use crate::settings::Settings;

use Version::{H1, H2};

const PAIRS: [(Version, Version); 4] = [(H1, H1), (H1, H2), (H2, H1), (H2, H2)];

/// One side of one exchange, by hand.
struct Peer {
    raw: Raw,
    listener: Option<Listener>,
    /// What came on the connection, in HTTP/1.
    heard: Vec<u8>,
}

impl Peer {
    fn new(raw: Raw, version: Version) -> Self {
        Self { raw, listener: (version == H2).then(Listener::new), heard: Vec::new() }
    }

    async fn raw(&mut self, bytes: &[u8]) {
        let heard = self.raw.say(bytes).await;
        match &mut self.listener {
            Some(listener) => drop(listener.hear(&heard)),
            None => self.heard.extend(heard),
        }
    }

    /// Sends the head of a message with a body of this type.
    async fn head(&mut self, start: &str, pseudo: &[(&str, &str)], content_type: &str) {
        let bytes = if self.listener.is_some() {
            let fields: Vec<_> = pseudo.iter().copied().chain([("content-type", content_type)]).collect();
            frame(1, 4, 1, &block(&fields))
        } else {
            format!("{start}\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n")
                .into_bytes()
        };
        self.raw(&bytes).await;
    }

    /// Sends a piece of the body.
    async fn data(&mut self, data: &[u8]) {
        let bytes = if self.listener.is_some() {
            frame(0, 0, 1, data)
        } else {
            [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
        };
        self.raw(&bytes).await;
    }

    async fn end(&mut self) {
        let end = if self.listener.is_some() { frame(0, 1, 1, b"") } else { b"0\r\n\r\n".to_vec() };
        self.raw(&end).await;
    }

    /// Whether these bytes came.
    fn has(&self, data: &[u8]) -> bool {
        let all = match &self.listener {
            Some(listener) => &listener.streams[&1].body,
            None => &self.heard,
        };
        all.windows(data.len()).any(|window| window == data)
    }
}

/// What was told since this was last asked, a line each, and of which flow.
fn told(proxy: &Proxy) -> (Vec<String>, Option<FlowId>) {
    let (mut lines, mut id) = (Vec::new(), None);
    for (flow, message) in proxy.told.take_messages() {
        let FlowKind::Http(http) = &flow.kind else { unreachable!() };
        let HttpFlow { request, response, .. } = &**http;
        assert_eq!(&request.path[..], b"/a");
        let what = match message.kind {
            BodyMessageKind::Grpc { len, .. } => format!("grpc {len}"),
            BodyMessageKind::Event { name, .. } => format!("event {}", name.unwrap_or_default()),
            other => panic!("{other:?}"),
        };
        let arrow = if message.from_client { "->" } else { "<-" };
        let answered = if response.is_some() { "" } else { " (no response yet)" };
        lines.push(format!("{arrow} {what} {}{answered}", message.content.escape_ascii()));
        id = Some(flow.id);
    }
    (lines, id)
}

async fn converse(proxy: &Proxy, (client, server): (Version, Version), content_type: &str) -> FlowId {
    let mut served = proxy.serve(client, server);
    let (pipe, _) = tokio::io::duplex(1);
    let mut asking = Peer::new(Raw::new(std::mem::replace(&mut served.client, pipe)), client);
    if client == H2 {
        asking.raw(&hello()).await;
    }
    let pseudo = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/a")];
    asking.head("POST /a HTTP/1.1\r\nHost: a", &pseudo, "application/grpc").await;
    let mut answering = Peer::new(Raw::new(served.servers.recv().await.unwrap()), server);
    let greeting = [frame(4, 0, 0, b""), frame(4, 1, 0, b"")].concat();
    answering.raw(if server == H2 { &greeting } else { b"" }).await;
    assert_eq!(told(proxy).0, [""; 0]);
    // A message in two pieces: told with the second.
    asking.data(b"\0\0\0\0\x05he").await;
    assert_eq!(told(proxy).0, [""; 0]);
    asking.data(b"llo\0\0\0\0\0").await;
    let (lines, id) = told(proxy);
    assert_eq!(lines, ["-> grpc 5 hello (no response yet)", "-> grpc 0  (no response yet)"]);
    answering.raw(b"").await;
    assert!(answering.has(b"llo"), "it crosses at once");
    answering.head("HTTP/1.1 200 OK", &[(":status", "200")], content_type).await;
    let (first, second) = if content_type == "application/grpc" {
        (&b"\0\0\0\0\x01a"[..], &b"\0\0\0\0\x01b"[..])
    } else {
        (&b"event: add\ndata: a\n\n"[..], &b"data: b\n\n"[..])
    };
    answering.data(first).await;
    let expected = if content_type == "application/grpc" { "<- grpc 1 a" } else { "<- event add a" };
    assert_eq!(told(proxy).0, [expected]);
    asking.raw(b"").await;
    assert!(asking.has(first));
    answering.data(second).await;
    let (lines, later) = told(proxy);
    assert_eq!((lines.len(), &later), (1, &id));
    // Both bodies are still open, and no flow has ended.
    assert!(proxy.told.take_flows().is_empty());
    asking.end().await;
    answering.end().await;
    asking.raw(b"").await;
    let flows = proxy.told.take_flows();
    let [flow] = &flows[..] else { panic!("{flows:?}") };
    assert!(flow.error.is_none(), "{flow:?}");
    assert_eq!(Some(&flow.id), id.as_ref());
    drop((asking, answering));
    served.serving.await.unwrap();
    flow.id.clone()
}

#[tokio::test(start_paused = true)]
async fn messages_are_told_as_they_cross() {
    let proxy = Proxy::new();
    for pair in PAIRS {
        for content_type in ["application/grpc", "text/event-stream"] {
            converse(&proxy, pair, content_type).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_rule_hides_is_not_told() {
    let mut proxy = Proxy::new();
    proxy.context = proxy.context.hide();
    let mut served = proxy.serve(H1, H1);
    let mut asking = Raw::new(std::mem::replace(&mut served.client, tokio::io::duplex(1).0));
    asking.say(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut answering = Raw::new(served.servers.recv().await.unwrap());
    answering
        .say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9\r\n\r\ndata: a\n\n")
        .await;
    let heard = asking.say(b"").await;
    assert!(heard.ends_with(b"data: a\n\n"));
    assert!(proxy.told.take_messages().is_empty());
}

/// The head of a gzip stream.
const GZIP: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\xff";

/// A block of a gzip stream that holds this as it is.
fn stored(content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap();
    [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes(), content].concat()
}

/// Sends an event stream with this content encoding in two pieces; what was told, and whether it crossed as it was.
async fn encoded(proxy: &Proxy, encoding: &str, pieces: [&[u8]; 2]) -> Vec<String> {
    let mut served = proxy.serve(H1, H1);
    let mut asking = Raw::new(std::mem::replace(&mut served.client, tokio::io::duplex(1).0));
    asking.say(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut answering = Raw::new(served.servers.recv().await.unwrap());
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: {encoding}\r\n\r\n");
    answering.say(head.as_bytes()).await;
    let mut lines = Vec::new();
    for piece in pieces {
        answering.say(piece).await;
        assert!(asking.say(b"").await.ends_with(piece), "it crosses at once, and as it is");
        lines.extend(told(proxy).0);
    }
    drop((asking, answering));
    served.serving.await.unwrap();
    proxy.told.take_flows();
    lines
}

#[tokio::test(start_paused = true)]
async fn events_with_a_content_encoding_are_told_as_they_cross() {
    let proxy = Proxy::new();
    let first = [GZIP, &stored(b"data: a\n\ndata: ")].concat();
    let pieces = [&first[..], &stored(b"b\n\n")];
    let both = ["<- event  a", "<- event  b"];
    assert_eq!(encoded(&proxy, "gzip", pieces).await, both);
    assert_eq!(encoded(&proxy, "identity", [b"data: a\n\n", b"data: b\n\n"]).await, both);
    // Nothing is told of what is not known, nor from where it turns out to be something else.
    assert_eq!(encoded(&proxy, "gzip, br", pieces).await, [""; 0]);
    assert_eq!(encoded(&proxy, "gzip", [b"data: a\n\n", b"data: b\n\n"]).await, [""; 0]);
    assert_eq!(encoded(&proxy, "gzip", [&first, b"\xff\xff"]).await, both[..1]);
}

#[tokio::test(start_paused = true)]
async fn decoders_take_no_more_than_their_limit() {
    let proxy = Proxy::new();
    let content = [GZIP, &stored(b"data: a\n\n")].concat();
    let taken = &proxy.context.proxy.body_decoders_bytes;
    let needed = flowgate_contentview::StreamDecoder::new(b"gzip").unwrap().memory_bytes_max();
    for (before, expected) in [
        (BODY_DECODERS_BYTES_MAX - needed, &["<- event  a"][..]),
        (BODY_DECODERS_BYTES_MAX - needed + 1, &[]),
    ] {
        taken.store(before, Ordering::Relaxed);
        assert_eq!(encoded(&proxy, "gzip", [&content, b""]).await, expected);
        assert_eq!(taken.load(Ordering::Relaxed), before, "given back");
    }
}

/// Looks on.
struct Looks;

impl Addon for Looks {
    fn name(&self) -> &str {
        "looks"
    }

    fn request_body(&self, _: &LiveFlow) -> BodyNeed {
        BodyNeed::Nothing
    }
}

/// With addons the flow has its id from the start.
#[tokio::test(start_paused = true)]
async fn hooks_and_messages_tell_of_the_same_flow() {
    let mut proxy = Proxy::new();
    let addons: Vec<Arc<dyn Addon>> = vec![Arc::new(Looks)];
    proxy.context.settings = Arc::new(Settings { addons: addons.into(), ..Settings::default() });
    for pair in PAIRS {
        converse(&proxy, pair, "text/event-stream").await;
    }
}
