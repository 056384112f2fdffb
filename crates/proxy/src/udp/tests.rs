//! Conversations over loopback, on a clock that stands still while anything is going on.

use std::fmt;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use flowgate_flow::{Flow, FlowKind, MetadataValue, RawMessage, WebSocketMessage};
use flowgate_net::bind_datagrams;
use flowgate_options::parse_rules;
use flowgate_policy::{RuleListSource, Rules, RulesSource};
use flowgate_testkit::QuicHello;
use flowgate_tls::{Authority, ClientConfigs, Leaves, LeavesOptions, ServerVerification};
use proptest::prelude::*;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::*;
use crate::limits::{
    QUIC_HELLO_TIMEOUT, UDP_IDLE_TIMEOUT, UDP_QUEUE_BYTES_MAX, UDP_QUEUE_DATAGRAMS_MAX,
    UDP_UNANSWERED_TIMEOUT,
};
use crate::{Events, Settings};

/// Flows and lines as they are told.
struct Told {
    flows: mpsc::UnboundedSender<Flow>,
    lines: Mutex<Vec<String>>,
}

impl Events for Told {
    fn logs(&self, _: Level) -> bool {
        true
    }
    fn log(&self, level: Level, _: Option<SocketAddr>, message: fmt::Arguments<'_>) {
        self.lines.lock().unwrap().push(format!("{level:?} {message}"));
    }
    fn keeps_bodies(&self) -> bool {
        true
    }
    fn raw_message(&self, _: &Flow, _: &RawMessage) {}
    fn websocket_started(&self, _: &Flow) {}
    fn websocket_message(&self, _: &Flow, _: &WebSocketMessage) {}
    fn flow(&self, flow: Flow) -> Result<(), Flow> {
        let _ = self.flows.send(flow);
        Ok(())
    }
    fn flow_when_free<'a>(&'a self, _: Flow) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(std::future::ready(()))
    }
}

/// A proxy in mode `reverse:SCHEME://` before a server that a test plays.
struct Setup {
    proxy: Arc<Proxy>,
    told: Arc<Told>,
    flows: mpsc::UnboundedReceiver<Flow>,
    server: UdpSocket,
    at: SocketAddr,
}

/// How many conversations [`Setup`] allows.
const CONVERSATIONS: usize = 3;

fn ignoring(patterns: &[&str]) -> RulesSource {
    RulesSource {
        ignore_hosts: patterns.iter().map(|&pattern| pattern.to_owned()).collect(),
        ..RulesSource::default()
    }
}

fn rules(text: &str) -> RulesSource {
    let rules = parse_rules(text, "r.toml").unwrap();
    RulesSource { rules: RuleListSource { rules, ..RuleListSource::default() }, ..RulesSource::default() }
}

async fn setup(scheme: &str, rules: &RulesSource) -> Setup {
    setup_with(scheme, Settings { rules: Rules::compile(rules).unwrap(), ..Settings::default() }).await
}

async fn setup_with(scheme: &str, settings: Settings) -> Setup {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mode = format!("reverse:{scheme}://{}", server.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::load_or_create(folder.path()).unwrap());
    let leaves = Leaves::new(authority, LeavesOptions::default()).unwrap();
    let configs = ClientConfigs::new(ServerVerification::default()).unwrap();
    let (sender, flows) = mpsc::unbounded_channel();
    let told = Arc::new(Told { flows: sender, lines: Mutex::default() });
    let events: Arc<dyn Events> = Arc::<Told>::clone(&told);
    let proxy = Proxy::new(settings, leaves, configs, events);
    let socket = bind_datagrams("127.0.0.1", 0).await.unwrap().remove(0);
    let at = socket.local_addr().unwrap();
    proxy.now_listening(Transport::Udp, at);
    let mode = Arc::new(mode.parse().unwrap());
    proxy.tasks.spawn(serve_bounded(Arc::clone(&proxy), mode, socket, CONVERSATIONS));
    Setup { proxy, told, flows, server, at }
}

impl Setup {
    async fn client(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(self.at).await.unwrap();
        socket
    }

    /// What the server gets next, and from where; `None` if nothing comes for a while.
    async fn got_within(&self, within: Duration) -> Option<(Vec<u8>, SocketAddr)> {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        let (len, from) = timeout(within, self.server.recv_from(&mut buffer)).await.ok()?.unwrap();
        buffer.truncate(len);
        Some((buffer, from))
    }

    async fn got(&self) -> (Vec<u8>, SocketAddr) {
        self.got_within(Duration::from_secs(1)).await.expect("a datagram")
    }

    /// Everything ends; gives the flows that were not taken yet.
    async fn end(mut self) -> Vec<Flow> {
        assert!(self.proxy.shut_down(Duration::from_secs(1)).await);
        let mut flows = Vec::new();
        while let Ok(flow) = self.flows.try_recv() {
            flows.push(flow);
        }
        flows
    }

    fn said(&self, text: &str) -> usize {
        self.told.lines.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }
}

async fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let received = timeout(Duration::from_secs(1), client.recv(&mut buffer)).await;
    buffer.truncate(received.expect("a datagram").unwrap());
    buffer
}

fn messages(flow: &Flow) -> Vec<(bool, &[u8])> {
    let FlowKind::Udp(raw) = &flow.kind else { panic!("not a UDP flow: {flow:?}") };
    raw.messages.iter().map(|message| (message.from_client, &message.content[..])).collect()
}

fn reason(flow: &Flow) -> &str {
    match flow.metadata.iter().find(|(key, _)| key == "flowgate.reason") {
        Some((_, MetadataValue::Text(reason))) => reason,
        other => panic!("no reason: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_exempt_crosses_from_the_first_datagram_and_is_no_flow() {
    let setup = setup("udp", &ignoring(&["^127"])).await;
    let client = setup.client().await;
    for datagram in [&b"p"[..], b"", b"a datagram of more than thirteen bytes", &[7; 60_000]] {
        client.send(datagram).await.unwrap();
        let (got, from) = setup.got().await;
        assert_eq!(got, datagram);
        setup.server.send_to(datagram, from).await.unwrap();
        assert_eq!(receive(&client).await, datagram);
    }
    assert_eq!(setup.said("pass through: ignore_hosts[0] /^127/ matched 127.0.0.1:"), 1);
    assert!(setup.end().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_exempt_is_a_flow_with_both_sides() {
    let setup = setup("udp", &ignoring(&["pinned"])).await;
    let client = setup.client().await;
    client.send(b"ping").await.unwrap();
    let (_, from) = setup.got().await;
    for answer in [&b"pong"[..], b"", b"more"] {
        setup.server.send_to(answer, from).await.unwrap();
        assert_eq!(receive(&client).await, answer);
    }
    let (own, server) = (client.local_addr().unwrap(), setup.server.local_addr().unwrap());
    let flows = setup.end().await;
    let [flow] = &flows[..] else { panic!("{flows:?}") };
    assert_eq!(messages(flow), [(true, &b"ping"[..]), (false, b"pong"), (false, b""), (false, b"more")]);
    assert_eq!(
        (flow.client.connection.transport, flow.client.connection.peername),
        (Transport::Udp, Some(own))
    );
    let connection = &flow.server.connection;
    assert_eq!((connection.transport, connection.peername), (Transport::Udp, Some(server)));
    assert!(reason(flow).starts_with("record raw: the mode says so; no ignore_hosts"), "{}", reason(flow));
    assert!(flow.error.is_none());
}

#[tokio::test(start_paused = true)]
async fn ignored_conversations_are_shown_if_that_is_wanted() {
    let rules = Rules::compile(&ignoring(&["^127"])).unwrap();
    let setup = setup_with("udp", Settings { rules, show_ignored_hosts: true, ..Settings::default() }).await;
    let client = setup.client().await;
    client.send(b"ping").await.unwrap();
    setup.got().await;
    let flows = setup.end().await;
    assert_eq!(messages(&flows[0]), [(true, &b"ping"[..])]);
    assert!(reason(&flows[0]).starts_with("pass through: ignore_hosts[0]"), "{}", reason(&flows[0]));
}

#[tokio::test(start_paused = true)]
async fn a_name_in_a_quic_hello_counts_wherever_its_pieces_are() {
    for (count, reversed) in [(1, false), (2, false), (2, true), (5, true)] {
        for scheme in ["udp", "quic", "http3"] {
            let setup = setup(scheme, &ignoring(&["^pinned\\.test:"])).await;
            let client = setup.client().await;
            let mut datagrams = QuicHello::new("pinned.test").datagrams(count);
            if reversed {
                datagrams.reverse();
            }
            for (number, datagram) in datagrams.iter().enumerate() {
                assert_eq!(
                    setup.server.try_recv(&mut []).map_err(|err| err.kind()),
                    Err(io::ErrorKind::WouldBlock)
                );
                assert_eq!(setup.said("pass through"), 0, "before datagram {number}");
                client.send(datagram).await.unwrap();
            }
            for datagram in &datagrams {
                assert_eq!(setup.got().await.0, *datagram, "in the order in which they came");
            }
            assert_eq!(setup.said("matched pinned.test:"), 1);
            assert!(setup.end().await.is_empty(), "{scheme}, {count} datagrams");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_would_be_decrypted_is_recorded_and_that_is_said() {
    let dtls = [&[22, 0xfe, 0xfd][..], &[0; 20]].concat();
    let hello = QuicHello::new("other.test").datagrams(1).remove(0);
    for (scheme, datagram, problem) in [
        ("quic", &hello, "flowgate does not decrypt QUIC yet"),
        ("http3", &hello, "flowgate does not decrypt QUIC yet"),
        ("udp", &dtls, "flowgate does not decrypt DTLS yet"),
        ("http3", &b"not QUIC".to_vec(), "it does not begin as QUIC"),
    ] {
        let setup = setup(scheme, &ignoring(&["^pinned\\.test:"])).await;
        setup.client().await.send(datagram).await.unwrap();
        assert_eq!(setup.got().await.0, *datagram);
        assert_eq!(
            setup.said(&format!("Warn {}: recorded raw: {problem}", setup.server.local_addr().unwrap())),
            1
        );
        let flows = setup.end().await;
        assert_eq!(messages(&flows[0]), [(true, &datagram[..])]);
        assert!(
            reason(&flows[0]).ends_with(&format!("; recorded raw instead: {problem}")),
            "{}",
            reason(&flows[0])
        );
        if *datagram == hello {
            let client = &flows[0].client.connection;
            assert_eq!(
                (client.sni.as_deref(), &client.alpn_offers[..]),
                (Some("other.test"), &[Bytes::from("h3")][..])
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_hello_is_waited_for_no_longer_than_the_limit() {
    let setup = setup("quic", &ignoring(&["^pinned\\.test:"])).await;
    let half = QuicHello::new("pinned.test").datagrams(2).remove(0);
    setup.client().await.send(&half).await.unwrap();
    let almost = QUIC_HELLO_TIMEOUT - Duration::from_millis(10);
    assert_eq!(setup.got_within(almost).await, None);
    assert_eq!(setup.got_within(Duration::from_millis(20)).await.expect("the datagram").0, half);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_conversation_later_if_it_was_answered() {
    for (answered, limit) in [(false, UDP_UNANSWERED_TIMEOUT), (true, UDP_IDLE_TIMEOUT)] {
        let mut setup = setup("udp", &RulesSource::default()).await;
        let client = setup.client().await;
        client.send(b"ping").await.unwrap();
        let (_, first) = setup.got().await;
        if answered {
            setup.server.send_to(b"pong", first).await.unwrap();
            receive(&client).await;
        }
        // Just before the end there is another datagram, which counts.
        tokio::time::sleep(limit - Duration::from_millis(50)).await;
        client.send(b"still there").await.unwrap();
        assert_eq!(setup.got().await.1, first, "the same conversation");
        let began = Instant::now();
        let flow = setup.flows.recv().await.unwrap();
        assert_eq!(messages(&flow).len(), if answered { 3 } else { 2 });
        let took = began.elapsed();
        assert!(took <= limit && took >= limit - Duration::from_millis(50), "{took:?}");
        client.send(b"again").await.unwrap();
        assert_ne!(setup.got().await.1, first, "a new conversation");
    }
}

#[tokio::test(start_paused = true)]
async fn conversations_are_bounded_and_that_is_said() {
    let setup = setup("udp", &ignoring(&["^127"])).await;
    let mut clients = Vec::new();
    for _ in 0..CONVERSATIONS {
        clients.push(setup.client().await);
        clients.last().unwrap().send(b"ping").await.unwrap();
        setup.got().await;
    }
    let late = setup.client().await;
    for _ in 0..2 {
        late.send(b"too many").await.unwrap();
        assert_eq!(setup.got_within(Duration::from_millis(1)).await, None);
    }
    assert_eq!(setup.said("no room for more than 3 UDP conversations at a time"), 1, "once in a while");
    clients[0].send(b"still served").await.unwrap();
    setup.got().await;
    // They go, and others have their room.
    tokio::time::sleep(UDP_UNANSWERED_TIMEOUT).await;
    late.send(b"now").await.unwrap();
    assert_eq!(setup.got().await.0, b"now");
}

#[test]
fn what_waits_for_a_conversation_is_bounded() {
    let (conversation, mut queue) = Conversation::new();
    for _ in 0..UDP_QUEUE_DATAGRAMS_MAX + 1 {
        assert!(conversation.deliver(b""));
    }
    assert_eq!(queue.len(), UDP_QUEUE_DATAGRAMS_MAX);
    let (conversation, queue_of_bytes) = Conversation::new();
    assert!(conversation.deliver(&vec![0; UDP_QUEUE_BYTES_MAX - 1]));
    assert!(conversation.deliver(b"a"));
    assert!(conversation.deliver(b"b"));
    assert_eq!(queue_of_bytes.len(), 2);
    queue.close();
    drop(queue_of_bytes);
    assert!(!conversation.deliver(b"c"), "one that has ended takes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_from_elsewhere_is_handled_as_before() {
    let setup = setup("quic", &ignoring(&["^pinned\\.test:"])).await;
    let client = setup.client().await;
    client.send(&QuicHello::new("pinned.test").datagrams(1)[0]).await.unwrap();
    let (_, first) = setup.got().await;
    // A Handshake packet, as far as it is not protected: from `server id` to a client without an ID.
    let answer = [&[0xe0, 0, 0, 0, 1, 0, 9][..], b"server id", b"protected"].concat();
    setup.server.send_to(&answer, first).await.unwrap();
    assert_eq!(receive(&client).await, answer);
    let moved = setup.client().await;
    moved.send(b"\x40server id, protected").await.unwrap();
    let (got, second) = setup.got().await;
    assert_eq!(got, b"\x40server id, protected");
    assert_ne!(second, first, "the server has to see that the address is another");
    setup.server.send_to(b"\x40to the new address", second).await.unwrap();
    assert_eq!(receive(&moved).await, b"\x40to the new address");
    setup.server.send_to(b"\x40to the old address", first).await.unwrap();
    assert_eq!(receive(&client).await, b"\x40to the old address");
    assert_eq!(setup.said("goes on from another address"), 1);
    assert!(setup.end().await.is_empty(), "neither is a flow");
}

#[tokio::test(start_paused = true)]
async fn two_connections_on_one_socket_are_decided_each_by_its_name() {
    let setup = setup("quic", &ignoring(&["^pinned\\.test:"])).await;
    let client = setup.client().await;
    let named = |name: &str, destination: &[u8]| {
        QuicHello { destination: destination.to_vec(), ..QuicHello::new(name) }.datagrams(1).remove(0)
    };
    let (pinned, other) = (named("pinned.test", b"pinned01"), named("other.test", b"other001"));
    client.send(&pinned).await.unwrap();
    let (_, first) = setup.got().await;
    client.send(&other).await.unwrap();
    let (_, second) = setup.got().await;
    assert_ne!(first, second);
    client.send(&pinned).await.unwrap();
    assert_eq!(setup.got().await.1, first);
    let flows = setup.end().await;
    let [flow] = &flows[..] else { panic!("{flows:?}") };
    assert_eq!(messages(flow), [(true, &other[..])]);
}

#[tokio::test(start_paused = true)]
async fn nobody_listening_is_told_in_the_flow() {
    let mut setup = setup("udp", &RulesSource::default()).await;
    // Connected to somebody else it takes nothing of others, and nobody gets its port meanwhile: once another test's server did, and answered.
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    setup.server.connect(other.local_addr().unwrap()).await.unwrap();
    let client = setup.client().await;
    client.send(b"anybody?").await.unwrap();
    let flow = setup.flows.recv().await.unwrap();
    assert_eq!(messages(&flow), [(true, &b"anybody?"[..])]);
    let error = flow.error.expect("an error").message;
    assert!(error.starts_with("server: Connection refused"), "{error}");
    assert_eq!(setup.said("Info datagrams do not reach 127.0.0.1:"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rule_may_block_and_that_is_not_asked_again_with_each_datagram() {
    let setup = setup("udp", &rules("[[rule]]\naction = 'block'\nport = '1-65535'\n")).await;
    let client = setup.client().await;
    for _ in 0..3 {
        client.send(b"ping").await.unwrap();
        assert_eq!(setup.got_within(Duration::from_millis(10)).await, None);
    }
    assert_eq!(setup.said("Debug refuse: "), 1);
    assert!(setup.end().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_way_out_that_takes_no_datagrams_lets_none_through() {
    // Whatever the name in the hello is, or only for one.
    for (rule, crosses) in [
        ("action = 'pass'\nport = '1-65535'\nvia = 'socks5://proxy.test'", false),
        ("action = 'pass'\ndomain = 'pinned.test'\nvia = 'socks5://proxy.test'", false),
        ("action = 'pass'\ndomain = 'other.test'\nvia = 'socks5://proxy.test'", true),
        ("action = 'pass'\nport = '1-65535'\nvia = 'direct'", true),
    ] {
        let setup = setup("quic", &rules(&format!("[[rule]]\n{rule}\n"))).await;
        setup.client().await.send(&QuicHello::new("pinned.test").datagrams(1)[0]).await.unwrap();
        assert_eq!(setup.got_within(Duration::from_millis(10)).await.is_some(), crosses, "{rule}");
        let told = setup.said("dropped: datagrams cannot leave through socks5://proxy.test:1080 yet");
        assert_eq!(told, usize::from(!crosses), "{rule}: {:?}", setup.told.lines);
    }
}

#[tokio::test(start_paused = true)]
async fn rules_know_quic_clients_by_fingerprint() {
    let setup = setup("quic", &rules("[[rule]]\naction = 'pass'\nja4 = 'q13*'\n")).await;
    setup.client().await.send(&QuicHello::new("a.test").datagrams(1)[0]).await.unwrap();
    setup.got().await;
    assert_eq!(setup.said("Debug pass through: rule r.toml:1"), 1, "{:?}", setup.told.lines);
    assert!(setup.end().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_mode_that_leads_to_itself_sends_nothing() {
    let mut setup = setup("udp", &ignoring(&["^127"])).await;
    setup.proxy.now_listening(Transport::Udp, setup.server.local_addr().unwrap());
    setup.client().await.send(b"ping").await.unwrap();
    assert_eq!(setup.got_within(Duration::from_millis(10)).await, None);
    assert_eq!(setup.said("is this proxy itself: datagrams would come back for ever"), 1);
    assert!(setup.flows.try_recv().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is passed through has the bytes, the bounds and the order that it had.
    #[test]
    fn any_datagrams_cross_as_they_were(
        datagrams in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..1500)), 1..30),
        recorded in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rules = if recorded { RulesSource::default() } else { ignoring(&["^127"]) };
            let setup = setup("udp", &rules).await;
            let client = setup.client().await;
            client.send(b"first").await.unwrap();
            let (_, from) = setup.got().await;
            let mut expected = vec![(true, b"first".to_vec())];
            for (up, datagram) in datagrams {
                if up {
                    client.send(&datagram).await.unwrap();
                    assert_eq!(setup.got().await, (datagram.clone(), from));
                } else {
                    setup.server.send_to(&datagram, from).await.unwrap();
                    assert_eq!(receive(&client).await, datagram);
                }
                expected.push((up, datagram));
            }
            let flows = setup.end().await;
            assert_eq!(flows.len(), usize::from(recorded));
            for flow in &flows {
                let seen: Vec<_> = messages(flow).into_iter().map(|(up, bytes)| (up, bytes.to_vec())).collect();
                assert_eq!(seen, expected);
            }
        });
    }
}
