//! Hooks on connections, with sockets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowgate_flow::{Address, Body, ClientConnection, Headers};
use flowgate_options::mode_spec::ModeSpec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::testing::{Flows, Log, Probe, context, probe, proxy, proxy_of, said};
use super::{Addon, Hook, HookFuture, LiveClient, LiveFlow, LiveServer, ServerFacts};
use crate::egress::Purpose;
use crate::server;
use crate::{Instance, Proxy, Settings};

const PATIENCE: Duration = Duration::from_secs(20);

/// Tells of every hook of connections, and does what it is told.
#[derive(Default)]
struct Asked {
    log: Log,
    refuses_clients: bool,
    refuses_servers: bool,
    panics: bool,
    sends_to: Option<Address>,
    /// Addresses that it does not allow.
    judges: Mutex<Vec<SocketAddr>>,
    forbids: Option<fn(SocketAddr) -> bool>,
}

impl Asked {
    fn say(&self, what: &str) {
        self.log.lock().unwrap().push(what.to_owned());
    }
}

impl Addon for Asked {
    fn name(&self) -> &str {
        "asked"
    }
    fn client_connected<'a>(&'a self, client: &'a mut LiveClient) -> HookFuture<'a> {
        self.say("client_connected");
        if self.refuses_clients {
            client.refuse("not you");
        }
        assert!(!self.panics, "told to");
        HookFuture::DONE
    }
    fn client_disconnected<'a>(&'a self, client: &'a ClientConnection) -> HookFuture<'a> {
        assert!(client.connection.timestamp_end.is_some());
        self.say("client_disconnected");
        HookFuture::DONE
    }
    fn server_connect<'a>(&'a self, server: &'a mut LiveServer) -> HookFuture<'a> {
        HookFuture::new(async {
            tokio::task::yield_now().await;
            self.say("server_connect");
            if self.refuses_servers {
                server.refuse("not there");
            }
            if let Some(to) = &self.sends_to {
                server.set_address(to.clone());
            }
        })
    }
    fn judge_address(&self, server: &ServerFacts, at: SocketAddr) -> Result<(), String> {
        assert!(server.server.address.is_some());
        self.judges.lock().unwrap().push(at);
        if self.forbids.is_some_and(|forbids| forbids(at)) {
            Err(format!("{at} is forbidden"))
        } else {
            Ok(())
        }
    }
    fn server_connected<'a>(&'a self, server: &'a ServerFacts) -> HookFuture<'a> {
        assert!(server.server.connection.peername.is_some());
        self.say("server_connected");
        HookFuture::DONE
    }
    fn server_connect_error<'a>(&'a self, server: &'a ServerFacts) -> HookFuture<'a> {
        assert!(server.server.connection.error.is_some());
        self.say("server_connect_error");
        HookFuture::DONE
    }
    fn server_disconnected<'a>(&'a self, server: &'a ServerFacts) -> HookFuture<'a> {
        assert!(server.server.connection.timestamp_end.is_some());
        self.say("server_disconnected");
        HookFuture::DONE
    }
}

/// Opens a connection to `localhost` and drops it; the error's status and text, and what was said.
async fn open(asked: Asked, port: u16) -> (Result<SocketAddr, (u16, String)>, String, Vec<SocketAddr>) {
    let asked = Arc::new(asked);
    let (proxy, _) = proxy_of(vec![Arc::<Asked>::clone(&asked)], Settings::default());
    let context = context(Arc::clone(&proxy), true);
    let address = Address { host: "localhost".into(), port };
    let opened = server::open(&context, &address, Purpose::Tunnel).await;
    let opened = match opened {
        Ok(open) => Ok(open.facts.connection.peername.unwrap()),
        Err(error) => Err((error.status, error.message)),
    };
    assert!(proxy.shut_down(PATIENCE).await);
    let judged = asked.judges.lock().unwrap().clone();
    (opened, said(&asked.log), judged)
}

#[tokio::test]
async fn servers_are_offered_before_and_told_after() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (opened, log, judged) = open(Asked::default(), at.port()).await;
    assert_eq!(opened, Ok(at));
    assert_eq!(log, "server_connect, server_connected, server_disconnected");
    assert!(judged.contains(&at), "{judged:?}");
    listener.accept().await.unwrap();
    let (opened, log, judged) = open(Asked { refuses_servers: true, ..Asked::default() }, at.port()).await;
    assert_eq!(opened, Err((403, "not there".to_owned())));
    assert_eq!((log.as_str(), judged.len()), ("server_connect, server_connect_error", 0));
}

#[tokio::test]
async fn addresses_are_judged_when_they_are_known_and_before_they_are_dialled() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let asked = Asked { forbids: Some(|at| at.ip().is_loopback()), ..Asked::default() };
    let (opened, log, _) = open(asked, at.port()).await;
    let (status, message) = opened.unwrap_err();
    assert_eq!((status, message.ends_with("is forbidden")), (403, true), "{message}");
    assert_eq!(log, "server_connect, server_connect_error");
    // One of a name's addresses is enough, and then it is that one.
    let asked = Asked { forbids: Some(|at| at.is_ipv6()), ..Asked::default() };
    assert_eq!(open(asked, at.port()).await.0, Ok(at));
    let (_, from) = listener.accept().await.unwrap();
    assert!(from.is_ipv4());
    let nobody = timeout(Duration::from_millis(1), listener.accept()).await;
    assert!(nobody.is_err(), "the forbidden one was dialled");
}

#[tokio::test]
async fn a_server_may_be_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let to = Address { host: at.ip().to_string(), port: at.port() };
    let asked = Asked { sends_to: Some(to), ..Asked::default() };
    assert_eq!(open(asked, 1).await.0, Ok(at));
}

/// A proxy that listens, and where.
async fn listening(proxy: &Arc<Proxy>) -> SocketAddr {
    let mode: ModeSpec = "regular".parse().unwrap();
    let instance = Instance::bind(proxy, &mode, "127.0.0.1", 0).await.unwrap();
    let at = instance.addresses()[0];
    instance.start();
    at
}

#[tokio::test]
async fn clients_may_be_refused() {
    for (refuses_clients, panics) in [(true, false), (false, true), (false, false)] {
        let asked = Arc::new(Asked { refuses_clients, panics, ..Asked::default() });
        let (proxy, _) = proxy_of(vec![Arc::<Asked>::clone(&asked)], Settings::default());
        let mut client = TcpStream::connect(listening(&proxy).await).await.unwrap();
        if !refuses_clients && !panics {
            client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            let mut answer = [0; 12];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 400");
        } else {
            let closed = timeout(PATIENCE, client.read(&mut [0])).await.unwrap();
            assert!(matches!(closed, Ok(0) | Err(_)));
        }
        drop(client);
        assert!(proxy.shut_down(PATIENCE).await);
        assert_eq!(said(&asked.log), "client_connected, client_disconnected");
    }
}

/// What a CONNECT is answered, and what is told of it.
async fn connect(addon: Probe, to: &str) -> (String, Arc<Flows>) {
    let (proxy, flows) = proxy(vec![addon], Settings::default());
    let mut client = TcpStream::connect(listening(&proxy).await).await.unwrap();
    let request = format!("CONNECT {to} HTTP/1.1\r\nProxy-Authorization: Basic x\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // One that is killed is reset.
    let _ = timeout(PATIENCE, client.read_to_end(&mut answer)).await.unwrap();
    assert!(proxy.shut_down(PATIENCE).await);
    (String::from_utf8(answer).unwrap(), flows)
}

#[tokio::test]
async fn tunnels_are_offered_before_anything_is_connected_to() {
    let asks = probe("a").on(Hook::HttpConnect, |flow| {
        assert_eq!(flow.request().method, "CONNECT");
        assert!(flow.request().headers.contains("proxy-authorization"));
        let headers: Headers = [("Proxy-Authenticate", "Basic")].into_iter().collect();
        flow.respond(LiveFlow::response_of(407, headers, Body::Bytes("who?".into()))).unwrap();
    });
    let (answer, flows) = connect(asks, "nobody.invalid:443").await;
    assert!(
        answer.starts_with("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\nwho?"), "{answer}");
    assert_eq!(flows.take()[0].error, None);

    let (answer, flows) =
        connect(probe("a").on(Hook::HttpConnect, LiveFlow::kill), "nobody.invalid:443").await;
    assert_eq!(
        (answer.as_str(), flows.take()[0].error.as_ref().unwrap().message.as_str()),
        ("", "Connection killed.")
    );

    let (answer, flows) =
        connect(probe("a").on(Hook::HttpConnect, |_| panic!("told to")), "nobody.invalid:443").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(flows.take()[0].error.as_ref().unwrap().message.starts_with("addon a failed"));
}

#[tokio::test]
async fn a_tunnel_may_lead_elsewhere() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let leads = probe("a").on(Hook::HttpConnect, move |flow| {
        let request = flow.request_mut();
        (request.host, request.port) = (at.ip().to_string(), at.port());
    });
    // It takes the tunnel and closes it.
    let accepting = tokio::spawn(async move { drop(listener.accept().await.unwrap()) });
    let (answer, _) = connect(leads, "nobody.invalid:443").await;
    assert!(answer.starts_with("HTTP/1.1 200 Connection established\r\n"), "{answer}");
    accepting.await.unwrap();
}
