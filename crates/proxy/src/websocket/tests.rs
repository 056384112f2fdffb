//! Conversations over in-memory pipes: what crosses, and what is told of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flowgate_flow::{
    Body, ClientConnection, FlowId, HttpVersion, MetadataValue, PseudoFields, RawMessage, Request, Response,
    ServerConnection, Timestamp, WebSocketData, WebSocketMessage,
};
use flowgate_tls::{Authority, ClientConfigs, Leaves, LeavesOptions, ServerVerification};
use flowgate_wire::websocket::{FrameHeader, Opcode, apply_mask};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::context::Proxy;
use crate::egress::Egress;
use crate::limits::WEBSOCKET_RECORD_BYTES_MAX;
use crate::settings::Settings;
use flowgate_options::Level;

/// Writes down what it is told.
struct Listener {
    keep: bool,
    lines: Mutex<String>,
    flows: Mutex<Vec<Flow>>,
}

impl Listener {
    fn new(keep: bool) -> Arc<Self> {
        Arc::new(Self { keep, lines: Mutex::default(), flows: Mutex::default() })
    }

    fn only_flow(&self) -> Flow {
        let mut flows = self.flows.lock().unwrap();
        assert_eq!(flows.len(), 1);
        flows.remove(0)
    }
}

impl Events for Listener {
    fn logs(&self, _: Level) -> bool {
        false
    }

    fn log(&self, _: Level, _: Option<SocketAddr>, _: std::fmt::Arguments<'_>) {}

    fn keeps_bodies(&self) -> bool {
        self.keep
    }

    fn raw_message(&self, _: &Flow, _: &RawMessage) {}

    fn websocket_started(&self, flow: &Flow) {
        assert!(data(flow).is_some());
        self.lines.lock().unwrap().push_str("started\n");
    }

    fn websocket_message(&self, flow: &Flow, message: &WebSocketMessage) {
        assert!(data(flow).is_some());
        writeln!(self.lines.lock().unwrap(), "{}", line(message)).unwrap();
    }

    fn flow(&self, flow: Flow) -> Result<(), Flow> {
        self.flows.lock().unwrap().push(flow);
        Ok(())
    }

    fn flow_when_free<'a>(&'a self, flow: Flow) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        panic!("there was room: {flow:?}");
    }
}

fn data(flow: &Flow) -> Option<&WebSocketData> {
    match &flow.kind {
        FlowKind::Http(http) => http.websocket.as_ref(),
        other => panic!("{other:?}"),
    }
}

fn line(message: &WebSocketMessage) -> String {
    let arrow = if message.from_client { "->" } else { "<-" };
    let beginning = message.content.slice(..message.content.len().min(100));
    format!("{arrow} {} {beginning:?}", message.opcode)
}

/// What a flow says of its WebSocket, a line each.
fn told(flow: &Flow) -> Vec<String> {
    let data = data(flow).unwrap();
    assert!(data.timestamp_end.is_some());
    let mut lines: Vec<String> = data.messages.iter().map(line).collect();
    lines.push(match data.closed_by_client {
        Some(true) => format!("client {:?} {:?}", data.close_code, data.close_reason),
        Some(false) => format!("server {:?} {:?}", data.close_code, data.close_reason),
        None => format!("nobody {:?} {:?}", data.close_code, data.close_reason),
    });
    lines.extend(flow.error.iter().map(|error| format!("error: {}", error.message)));
    for (name, value) in &flow.metadata {
        match value {
            MetadataValue::Text(text) => lines.push(format!("{name}: {text}")),
            other => lines.push(format!("{name}: {other:?}")),
        }
    }
    lines
}

fn upgrade(request: &[(&str, &str)], status: u16, response: &[(&str, &str)]) -> Flow {
    let at = Timestamp(1.0);
    let request = Request {
        version: HttpVersion::Http11,
        method: Bytes::from_static(b"GET"),
        scheme: Bytes::from_static(b"http"),
        host: "ws.test".into(),
        port: 80,
        authority: Bytes::new(),
        path: Bytes::from_static(b"/chat"),
        pseudo: PseudoFields::default(),
        headers: request.iter().copied().collect(),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: at,
        timestamp_end: Some(at),
    };
    let response = Response {
        version: HttpVersion::Http11,
        status,
        reason: Bytes::new(),
        headers: response.iter().copied().collect(),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: at,
        timestamp_end: Some(at),
    };
    let kind = FlowKind::Http(Box::new(HttpFlow { request, response: Some(response), websocket: None }));
    let server = Arc::new(ServerConnection::new(FlowId::from_random(2), None));
    Flow::new(FlowId::from_random(3), client_facts(), server, kind, at)
}

fn client_facts() -> Arc<ClientConnection> {
    Arc::new(ClientConnection::new(FlowId::from_random(1), "regular".into()))
}

fn agreed(extensions: &str) -> Flow {
    let upgrade_to = ("Upgrade", "websocket");
    upgrade(
        &[upgrade_to, ("Sec-WebSocket-Version", "13")],
        101,
        &[upgrade_to, ("Sec-WebSocket-Extensions", extensions)],
    )
}

/// Starts a relay between the two ends.
fn start(listener: &Arc<Listener>, flow: Flow) -> (DuplexStream, DuplexStream, JoinHandle<()>) {
    let dir = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::load_or_create(dir.path()).unwrap());
    let leaves = Leaves::new(authority, LeavesOptions::default()).unwrap();
    let configs = ClientConfigs::new(ServerVerification::default()).unwrap();
    let events: Arc<dyn Events> = Arc::<Listener>::clone(listener);
    let proxy = Proxy::new(Settings::default(), leaves, configs, events);
    let context = Context {
        hidden: false,
        replay_of: None,
        reason: None,
        process: None,
        egress: Arc::new(Egress::Direct),
        mode_egress: Arc::new(Egress::Direct),
        settings: proxy.settings(),
        tls: proxy.in_force().tls,
        client: client_facts(),
        peer: ([127, 0, 0, 1], 1).into(),
        stop: proxy.stop.child_token(),
        proxy,
    };
    let (client, client_end) = duplex(1024);
    let (server, server_end) = duplex(1024);
    let relay = tokio::spawn(async move {
        relay_recorded(&context, flow, Box::new(client_end), Box::new(server_end)).await;
    });
    (client, server, relay)
}

/// A frame as the client (masked) or the server sends it.
fn frame(from_client: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mask = from_client.then_some([1, 2, 3, 4]);
    let mut bytes = Vec::new();
    FrameHeader { fin: true, rsv1: false, opcode, len: payload.len() as u64, mask }.encode(&mut bytes);
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    if let Some(key) = mask {
        apply_mask(&mut bytes[start..], key, 0);
    }
    bytes
}

/// Sends, and checks that the other side gets just that.
async fn send(from: &mut DuplexStream, to: &mut DuplexStream, bytes: &[u8]) {
    from.write_all(bytes).await.unwrap();
    let mut got = vec![0; bytes.len()];
    to.read_exact(&mut got).await.unwrap();
    assert_eq!(got, bytes);
}

async fn assert_ended(stream: &mut DuplexStream) {
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_conversation_is_recorded_while_it_crosses() {
    let listener = Listener::new(true);
    let (mut client, mut server, relay) = start(&listener, agreed("permessage-deflate"));
    send(&mut client, &mut server, &frame(true, Opcode::Text, b"hi")).await;
    assert_eq!(*listener.lines.lock().unwrap(), "started\n-> 1 b\"hi\"\n");
    send(&mut server, &mut client, &frame(false, Opcode::Ping, b"?")).await;
    send(&mut server, &mut client, b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00").await;
    send(&mut client, &mut server, &frame(true, Opcode::Binary, &[0; 3])).await;
    send(&mut client, &mut server, &frame(true, Opcode::Close, b"\x03\xe8bye")).await;
    send(&mut server, &mut client, &frame(false, Opcode::Close, b"\x03\xe9")).await;
    drop(server);
    assert_ended(&mut client).await;
    drop(client);
    relay.await.unwrap();
    let messages = ["-> 1 b\"hi\"", "<- 1 b\"Hello\"", "-> 2 b\"\\0\\0\\0\""];
    assert_eq!(*listener.lines.lock().unwrap(), format!("started\n{}\n", messages.join("\n")));
    assert_eq!(told(&listener.only_flow()), [&messages[..], &["client Some(1000) Some(\"bye\")"]].concat());
}

#[tokio::test]
async fn a_close_without_a_code() {
    let listener = Listener::new(true);
    let (mut client, mut server, relay) = start(&listener, agreed(""));
    send(&mut server, &mut client, &frame(false, Opcode::Close, b"")).await;
    send(&mut client, &mut server, &frame(true, Opcode::Close, b"")).await;
    drop((client, server));
    relay.await.unwrap();
    assert_eq!(told(&listener.only_flow()), ["server Some(1005) None"]);
}

#[tokio::test]
async fn a_cut_without_a_close_frame() {
    let listener = Listener::new(true);
    let (mut client, mut server, relay) = start(&listener, agreed(""));
    client.shutdown().await.unwrap();
    assert_ended(&mut server).await;
    // What the other side still says is recorded.
    send(&mut server, &mut client, &frame(false, Opcode::Text, b"late")).await;
    drop(server);
    relay.await.unwrap();
    assert_eq!(told(&listener.only_flow()), ["<- 1 b\"late\"", "client Some(1006) None"]);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_it() {
    let listener = Listener::new(true);
    let (mut client, mut server, relay) = start(&listener, agreed(""));
    for _ in 0..3 {
        tokio::time::advance(Settings::default().idle_timeout * 2 / 3).await;
        send(&mut server, &mut client, &frame(false, Opcode::Ping, b"")).await;
    }
    relay.await.unwrap();
    assert_ended(&mut client).await;
    assert_eq!(told(&listener.only_flow()), ["nobody Some(1006) None", "error: closed for inactivity"]);
}

#[tokio::test]
async fn what_cannot_be_read_crosses_all_the_same() {
    let listener = Listener::new(true);
    let (mut client, mut server, relay) = start(&listener, agreed(""));
    send(&mut client, &mut server, &frame(true, Opcode::Text, b"good")).await;
    send(&mut client, &mut server, b"\xff\xff no frame").await;
    send(&mut client, &mut server, &frame(true, Opcode::Text, b"unseen")).await;
    send(&mut server, &mut client, &frame(false, Opcode::Text, b"seen")).await;
    drop((client, server));
    relay.await.unwrap();
    assert_eq!(
        told(&listener.only_flow()),
        [
            "-> 1 b\"good\"",
            "<- 1 b\"seen\"",
            // Nobody can tell whether there was a close frame.
            "client None None",
            "flowgate.websocket_error: client: reserved bits 0x70 without an extension that uses them, \
             in the frame at byte 10",
        ]
    );
}

#[tokio::test]
async fn extensions_that_are_not_known_are_named() {
    for (extensions, want) in [
        ("x-mystery", "extension x-mystery is not known: what it does to messages is not undone"),
        (
            "permessage-deflate; oops",
            "permessage-deflate with a parameter oops that is unknown, repeated or malformed",
        ),
    ] {
        let listener = Listener::new(true);
        let (mut client, mut server, relay) = start(&listener, agreed(extensions));
        send(&mut client, &mut server, &frame(true, Opcode::Close, b"\x03\xe8")).await;
        drop((client, server));
        relay.await.unwrap();
        let want = format!("flowgate.websocket_error: {want}");
        assert_eq!(told(&listener.only_flow()), ["client Some(1000) None".to_owned(), want]);
    }
}

#[tokio::test]
async fn contents_that_nobody_keeps_are_not_read() {
    let listener = Listener::new(false);
    let (mut client, mut server, relay) = start(&listener, agreed("permessage-deflate"));
    send(&mut client, &mut server, &frame(true, Opcode::Text, b"secret")).await;
    // Damaged, but nobody looks.
    send(&mut server, &mut client, b"\xc2\x01\xff").await;
    send(&mut client, &mut server, &frame(true, Opcode::Close, b"\x03\xe8")).await;
    drop((client, server));
    relay.await.unwrap();
    assert_eq!(*listener.lines.lock().unwrap(), "started\n-> 1 b\"\"\n<- 2 b\"\"\n");
    assert_eq!(told(&listener.only_flow()), ["client Some(1000) None"]);
}

#[test]
fn the_record_is_bounded() {
    for len in [1000, WEBSOCKET_MESSAGE_BYTES_MAX] {
        let listener = Listener::new(true);
        let mut recording = Recording::new(&*listener, agreed(""), false);
        let message = frame(false, Opcode::Binary, &vec![0; len]);
        let cost = len + size_of::<WebSocketMessage>();
        let fitting = WEBSOCKET_RECORD_BYTES_MAX / cost;
        for _ in 0..=fitting {
            recording.chunk(false, &message);
        }
        let flow = recording.finish(Ended::Idle);
        assert_eq!(data(&flow).unwrap().messages.len(), fitting);
        assert_eq!(flow.metadata, [("flowgate.truncated".into(), MetadataValue::Bool(true))]);
    }
}

#[test]
fn a_message_that_is_cut_marks_its_flow() {
    let listener = Listener::new(true);
    let mut recording = Recording::new(&*listener, agreed(""), false);
    recording.chunk(false, &frame(false, Opcode::Binary, &vec![0; WEBSOCKET_MESSAGE_BYTES_MAX + 1]));
    let flow = recording.finish(Ended::Idle);
    assert_eq!(data(&flow).unwrap().messages[0].content.len(), WEBSOCKET_MESSAGE_BYTES_MAX);
    assert_eq!(flow.metadata, [("flowgate.truncated".into(), MetadataValue::Bool(true))]);
}

#[test]
fn only_what_both_sides_agreed_on_is_a_websocket() {
    let (to, version) = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"));
    assert!(is_agreed(&upgrade(&[to, version], 101, &[to])));
    assert!(is_agreed(&upgrade(&[("upgrade", "h2c, WebSocket"), version], 101, &[("UPGRADE", "WebSocket")])));
    assert!(!is_agreed(&upgrade(&[to, version], 200, &[to])));
    assert!(!is_agreed(&upgrade(&[to, version], 101, &[])));
    assert!(!is_agreed(&upgrade(&[to, version], 101, &[("Upgrade", "h2c")])));
    assert!(!is_agreed(&upgrade(&[version], 101, &[to])));
    assert!(!is_agreed(&upgrade(&[to], 101, &[to])));
    assert!(!is_agreed(&upgrade(&[to, ("Sec-WebSocket-Version", "8")], 101, &[to])));
}
