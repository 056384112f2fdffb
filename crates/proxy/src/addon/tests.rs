//! One request on hooks, over an in-memory client and a real server.

use std::sync::Mutex;

use flowgate_flow::{Address, Flow, FlowKind, RawMessage, WebSocketMessage};
use flowgate_options::Level;
use flowgate_tls::{Authority, ClientConfigs, Leaves, LeavesOptions, ServerVerification};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::context::Context;
use crate::egress::{Egress, Purpose};
use crate::events::Events;
use crate::http::{Origin, Route, Servers, Service, serve_h1};
use crate::{Proxy, Settings};

#[derive(Default)]
struct Flows(Mutex<Vec<Flow>>);

impl Events for Flows {
    fn logs(&self, _: Level) -> bool {
        false
    }
    fn log(&self, _: Level, _: Option<std::net::SocketAddr>, _: fmt::Arguments<'_>) {}
    fn keeps_bodies(&self) -> bool {
        true
    }
    fn raw_message(&self, _: &Flow, _: &RawMessage) {}
    fn websocket_started(&self, _: &Flow) {}
    fn websocket_message(&self, _: &Flow, _: &WebSocketMessage) {}
    fn flow(&self, flow: Flow) -> Result<(), Flow> {
        self.0.lock().unwrap().push(flow);
        Ok(())
    }
    fn flow_when_free<'a>(&'a self, _: Flow) -> HookFuture<'a> {
        Box::pin(std::future::ready(()))
    }
}

struct Hook<F>(&'static str, F);

impl<F: Fn(&mut LiveRequest) + Send + Sync> Addon for Hook<F> {
    fn name(&self) -> &str {
        self.0
    }
    fn requestheaders<'a>(&'a self, flow: &'a mut LiveRequest) -> HookFuture<'a> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            (self.1)(flow);
        })
    }
}

fn hook(name: &'static str, act: impl Fn(&mut LiveRequest) + Send + Sync + 'static) -> Arc<dyn Addon> {
    Arc::new(Hook(name, act))
}

/// A service with one destination, and what is told of its flows.
fn service(addons: Vec<Arc<dyn Addon>>, address: Address, hidden: bool) -> (Service, Arc<Flows>) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::load_or_create(folder.path()).unwrap());
    let leaves = Leaves::new(authority, LeavesOptions::default()).unwrap();
    let configs = ClientConfigs::new(ServerVerification::default()).unwrap();
    let flows = Arc::new(Flows::default());
    let events: Arc<dyn Events> = Arc::<Flows>::clone(&flows);
    let proxy = Proxy::with_addons(Settings::default(), leaves, configs, events, addons);
    let client = ClientConnection::new(clock::new_id(), "reverse".into());
    let context = Context {
        hidden,
        reason: None,
        process: None,
        egress: Arc::new(Egress::Direct),
        mode_egress: Arc::new(Egress::Direct),
        settings: proxy.settings(),
        client: Arc::new(client),
        peer: ([127, 0, 0, 1], 1).into(),
        stop: proxy.stop.child_token(),
        proxy,
    };
    let route = Route { address, tls_name: None, purpose: Purpose::Tunnel, egress: None };
    let service = Service {
        context,
        servers: Arc::new(Servers::new(Vec::new())),
        origin: Origin::Fixed { route, host: None },
    };
    (service, flows)
}

/// What the client and the server got, and the flow. The server answers the first request with 200 and closes.
async fn run(addons: Vec<Arc<dyn Addon>>, request: &str, hidden: bool) -> (String, String, Vec<Flow>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let address = Address { host: at.ip().to_string(), port: at.port() };
    let server = tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        let mut got = vec![0; 4096];
        let mut len = 0;
        while !got[..len].ends_with(b"\r\n\r\n") && !got[..len].ends_with(b"body") {
            match io.read(&mut got[len..]).await.unwrap() {
                0 => break,
                more => len += more,
            }
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        // One that is gone already needs no answer.
        let _ = io.write_all(answer).await;
        String::from_utf8_lossy(&got[..len]).into_owned()
    });
    let (service, flows) = service(addons, address, hidden);
    let (mut client, end) = duplex(4096);
    client.write_all(request.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    serve_h1(&service, Box::new(end)).await;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    // If the proxy did not connect, this is the first connection that the server accepts.
    if !server.is_finished() {
        // Refused if the server was through in the meantime.
        if let Ok(mut probe) = TcpStream::connect(at).await {
            let _ = probe.write_all(PROBE.as_bytes()).await;
        }
    }
    let seen = server.await.unwrap();
    let flows = std::mem::take(&mut *flows.0.lock().unwrap());
    (answer, seen, flows)
}

/// What the server sees if the proxy never connected to it.
const PROBE: &str = "PROBE\r\n\r\n";

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn http(flow: &Flow) -> &flowgate_flow::HttpFlow {
    let FlowKind::Http(http) = &flow.kind else { panic!("an HTTP flow") };
    http
}

#[tokio::test]
async fn addons_change_a_head_in_their_order() {
    let first = hook("first", |flow| {
        flow.headers_mut().push("X", "1");
        flow.set_path(Bytes::from_static(b"/one"));
        flow.mark(":red_circle:");
    });
    let second = hook("second", |flow| {
        assert_eq!(flow.request().path, "/one");
        flow.headers_mut().set("X", "2");
        flow.comment("seen");
        flow.note("n", MetadataValue::Int(7));
    });
    let (answer, seen, flows) = run(vec![first, second], GET, false).await;
    assert!(answer.ends_with("ok"), "{answer}");
    assert_eq!(seen, "GET /one HTTP/1.1\r\nHost: a\r\nX: 2\r\n\r\n");
    let flow = &flows[0];
    assert_eq!((flow.marked.as_str(), flow.comment.as_str()), (":red_circle:", "seen"));
    assert_eq!(flow.metadata, [("n".to_owned(), MetadataValue::Int(7))]);
    assert_eq!(http(flow).request.path, "/one");
}

#[tokio::test]
async fn what_delimits_the_body_is_put_back() {
    let meddler = hook("meddler", |flow| {
        flow.headers_mut().set("Content-Length", "1");
        flow.headers_mut().push("Transfer-Encoding", "chunked");
    });
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    let (_, seen, _) = run(vec![meddler], post, false).await;
    assert_eq!(seen, post);
}

#[tokio::test]
async fn an_answer_or_a_kill_is_the_last_word() {
    let answers = hook("answers", |flow| {
        assert_eq!(flow.respond(199, Headers::new(), Bytes::new()), Err(199));
        let headers = [("A", "b"), ("Content-Length", "9")].into_iter().collect();
        flow.respond(418, headers, Bytes::from_static(b"tea")).unwrap();
    });
    let never = || hook("never", |_| panic!("asked after an answer"));
    let (answer, seen, flows) = run(vec![answers, never()], GET, false).await;
    assert!(answer.starts_with("HTTP/1.1 418 "), "{answer}");
    assert!(answer.ends_with("\r\nA: b\r\nConnection: close\r\nContent-Length: 3\r\n\r\ntea"), "{answer}");
    assert_eq!(seen, PROBE);
    assert_eq!(http(&flows[0]).response.as_ref().unwrap().body.len(), Some(3));
    assert_eq!(flows[0].error, None);

    let (answer, seen, flows) = run(vec![hook("kills", LiveRequest::kill), never()], GET, false).await;
    assert_eq!((answer.as_str(), seen.as_str()), ("", PROBE));
    assert_eq!(flows[0].error.as_ref().unwrap().message, "Connection killed.");
}

#[tokio::test]
async fn a_panic_fails_its_own_flow() {
    let (answer, seen, flows) = run(vec![hook("bad", |_| panic!("oops"))], GET, false).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(seen, PROBE);
    assert!(flows[0].error.as_ref().unwrap().message.starts_with("addon bad failed"));
}

#[tokio::test]
async fn the_encoder_is_the_last_gate() {
    let path = hook("path", |flow| flow.set_path(Bytes::from_static(b"/ HTTP/1.1\r\nEvil: 1")));
    let (answer, seen, _) = run(vec![path], GET, false).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(seen, "");
    let headers = hook("headers", |flow| {
        let headers = [("A", "b\r\nEvil: 1")].into_iter().collect();
        flow.respond(200, headers, Bytes::new()).unwrap();
    });
    let (answer, seen, flows) = run(vec![headers], GET, false).await;
    assert_eq!(answer, "");
    assert_eq!(seen, PROBE);
    assert!(flows[0].error.is_some());
    assert!(http(&flows[0]).response.is_none());
}

#[tokio::test]
async fn hidden_flows_are_offered_to_nobody() {
    let (answer, _, flows) = run(vec![hook("never", |_| panic!("asked"))], GET, true).await;
    assert!(answer.ends_with("ok"), "{answer}");
    assert!(flows.is_empty());
}

/// Says that it began, and never ends.
struct Endless(tokio::sync::Notify);

impl Addon for Endless {
    fn name(&self) -> &str {
        "endless"
    }
    fn requestheaders<'a>(&'a self, _: &'a mut LiveRequest) -> HookFuture<'a> {
        Box::pin(async {
            self.0.notify_one();
            std::future::pending().await
        })
    }
}

#[tokio::test]
async fn a_client_that_resets_ends_the_hook() {
    let endless = Arc::new(Endless(tokio::sync::Notify::new()));
    let address = Address { host: "127.0.0.1".into(), port: 1 };
    let (service, flows) = service(vec![Arc::<Endless>::clone(&endless)], address, false);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (end, _) = listener.accept().await.unwrap();
    let serving = tokio::spawn(async move { serve_h1(&service, Box::new(end)).await });
    client.write_all(GET.as_bytes()).await.unwrap();
    endless.0.notified().await;
    client.set_zero_linger().unwrap();
    drop(client);
    serving.await.unwrap();
    let flows = flows.0.lock().unwrap();
    assert_eq!(flows[0].error.as_ref().unwrap().message, "Client disconnected.");
}
