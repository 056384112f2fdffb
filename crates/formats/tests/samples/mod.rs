//! Flows of our own with every field set somewhere, what mitmproxy cannot express included.
#![allow(dead_code, reason = "each test file uses a part of them")]

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use flowgate_flow::*;

/// A certificate as DER.
pub(crate) fn certificate() -> Bytes {
    let pem = include_str!("../data/cert.pem");
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD.decode(base64).unwrap().into()
}

pub(crate) fn flows() -> Vec<Flow> {
    let mut plain = flow(FlowKind::Http(Box::new(HttpFlow {
        request: request(),
        response: Some(response()),
        websocket: None,
    })));

    let mut rich = plain.clone();
    rich.backup = Some(Box::new(plain.clone()));
    let client = Arc::make_mut(&mut rich.client);
    client.mode = "upstream:socks5://proxy.example:1080".into();
    client.leaf = Some(certificate());
    client.fingerprints = Some(Fingerprints { ja3: "ada7".into(), ja4: "t13d".into() });
    client.connection.tls = true;
    client.connection.peername = Some("[2001:db8::1]:50000".parse().unwrap());
    client.connection.sockname = Some("[::ffff:127.0.0.1]:8080".parse().unwrap());
    client.connection.tls_version = Some("TLSv1.4".into());
    client.connection.alpn_offers = vec!["h2".into(), "http/1.1".into()];
    client.connection.timestamp_start = None;
    client.connection.http2 = "1:65536;4:131072|12517377|3:0:0:201".parse().ok().map(Box::new);
    let server = Arc::make_mut(&mut rich.server);
    server.connection.http2 = Some(Box::default());
    server.via = Some(via("socks5"));
    server.connection.certificate_list = vec![certificate(), certificate()];
    server.connection.tls_version = Some("TLSv0.1".into());
    server.connection.alpn = Some(Bytes::new());
    server.connection.cipher = Some("TLS_AES_128_GCM_SHA256".into());
    server.connection.cipher_list = vec!["TLS_AES_128_GCM_SHA256".into(), "AES128-SHA".into()];
    server.connection.error = Some("no route to host".into());
    rich.error = Some(FlowError {
        message: "reset by the server".into(),
        timestamp: Timestamp(1767225603.25),
        side: Some(Side::Server),
        phase: Some(Phase::Body),
    });
    rich.intercepted = true;
    rich.replay = Some(Replay::Request);
    rich.marked = ":grapes:".into();
    rich.comment = "“quoted”\nand more".into();
    rich.metadata = metadata();
    let FlowKind::Http(http) = &mut rich.kind else { unreachable!() };
    http.request.version = HttpVersion::Http2;
    http.request.pseudo.order = PseudoOrder::new(&[PseudoField::Path, PseudoField::Protocol]);
    http.request.pseudo.priority = Some(Priority { depends_on: 3, exclusive: true, weight: 256 });
    http.request.trailers = Some([("x-checksum", "1")].into_iter().collect());
    http.request.body = Body::Counted(1 << 40);
    http.request.timestamp_end = None;
    let answer = http.response.as_mut().unwrap();
    answer.version = HttpVersion::Other("HTTP/0.9".into());
    answer.trailers = Some(Headers::new());
    answer.body = Body::Bytes((0..=255).cycle().take(20_000).collect());

    plain.replay = Some(Replay::Response);
    let client = Arc::make_mut(&mut plain.client);
    client.connection.peername = None;
    client.connection.sockname = None;
    client.connection.sockname_text = Some(Address { host: "fe80::1%eth0".into(), port: 8080 });
    let server = Arc::make_mut(&mut plain.server);
    *server = ServerConnection::new(FlowId::Text("no uuid".into()), None);
    server.via = Some(via("https"));
    server.connection.peername_text = Some(Address { host: String::new(), port: 0 });

    let mut unanswered = flow(FlowKind::Http(Box::new(HttpFlow {
        request: Request { body: Body::Missing, ..request() },
        response: None,
        websocket: None,
    })));
    unanswered.error = Some(FlowError {
        message: "refused".into(),
        timestamp: Timestamp(1e9),
        side: None,
        phase: Some(Phase::Connect),
    });

    let websocket = flow(FlowKind::Http(Box::new(HttpFlow {
        request: request(),
        response: Some(Response { status: 101, body: Body::Counted(0), ..response() }),
        websocket: Some(WebSocketData {
            messages: vec![websocket_message(1, b"text", true), websocket_message(2, &[0xff; 5000], false)],
            closed_by_client: Some(true),
            close_code: Some(1000),
            close_reason: Some("done".into()),
            timestamp_end: Some(Timestamp(1767225604.125)),
        }),
    })));

    let open_websocket = flow(FlowKind::Http(Box::new(HttpFlow {
        request: request(),
        response: None,
        websocket: Some(WebSocketData::default()),
    })));

    let messages = RawFlow {
        messages: (0..9)
            .map(|n| RawMessage {
                from_client: n % 2 == 0,
                content: vec![n; usize::from(n) * 1000].into(),
                timestamp: Timestamp(1767225600.0 + f64::from(n) / 7.0),
            })
            .collect(),
    };
    let dns = DnsFlow { request: dns_message(true), response: Some(dns_message(false)) };
    let unanswered_dns = DnsFlow { request: dns_message(true), response: None };

    let mut all = vec![plain, rich, unanswered, websocket, open_websocket];
    all.push(flow(FlowKind::Tcp(messages.clone())));
    all.push(flow(FlowKind::Udp(messages)));
    all.push(flow(FlowKind::Tcp(RawFlow::default())));
    all.push(flow(FlowKind::Dns(Box::new(dns))));
    all.push(flow(FlowKind::Dns(Box::new(unanswered_dns))));
    for (n, flow) in all.iter_mut().enumerate() {
        flow.id = FlowId::from_random(n as u128);
    }
    all
}

/// Compares all there is to the flows; says where they differ first.
pub(crate) fn assert_same(left: &[Flow], right: &[Flow]) {
    assert_eq!(left.len(), right.len());
    for (n, (left, right)) in left.iter().zip(right).enumerate() {
        let (left, right) = (format!("{left:#?}"), format!("{right:#?}"));
        for (line, (left, right)) in left.lines().zip(right.lines()).enumerate() {
            assert!(left == right, "flow {n}, line {line}: {left:.200} is not {right:.200}");
        }
        assert_eq!(left.len(), right.len());
    }
}

pub(crate) fn flow(kind: FlowKind) -> Flow {
    let mut client = ClientConnection::new(FlowId::from_random(1 << 70), "regular".into());
    client.connection.peername = Some(SocketAddr::from(([192, 0, 2, 1], 50000)));
    client.connection.sockname = Some(SocketAddr::from(([127, 0, 0, 1], 8080)));
    client.connection.timestamp_start = Some(Timestamp(1767225600.5));
    client.connection.timestamp_end = Some(Timestamp(1767225609.5));
    let address = Address { host: "example.com".into(), port: 443 };
    let mut server = ServerConnection::new(FlowId::from_random(2 << 70), Some(address));
    server.connection.peername = Some(SocketAddr::from(([192, 0, 2, 2], 443)));
    server.connection.sockname = Some(SocketAddr::from(([192, 0, 2, 3], 50001)));
    server.connection.transport = Transport::Udp;
    server.connection.tls = true;
    server.connection.tls_version = Some("TLSv1.3".into());
    server.connection.sni = Some("example.com".into());
    server.connection.timestamp_start = Some(Timestamp(1767225600.75));
    server.timestamp_tcp_setup = Some(Timestamp(1767225600.8));
    server.connection.timestamp_tls_setup = Some(Timestamp(1767225600.9));
    let id = FlowId::from_random(3 << 70);
    Flow::new(id, Arc::new(client), Arc::new(server), kind, Timestamp(1767225600.123456))
}

pub(crate) fn request() -> Request {
    Request {
        version: HttpVersion::Http11,
        method: "POST".into(),
        scheme: "https".into(),
        host: "example.com".into(),
        port: 443,
        authority: "example.com".into(),
        path: "/a?b=c".into(),
        pseudo: PseudoFields::default(),
        headers: [(&b"Host"[..], &b"example.com"[..]), (b"x-A", b"\xe4"), (b"X-a", b"")]
            .into_iter()
            .collect(),
        body: Body::Bytes("content".into()),
        trailers: None,
        timestamp_start: Timestamp(1767225601.0),
        timestamp_end: Some(Timestamp(1767225601.1)),
    }
}

pub(crate) fn response() -> Response {
    Response {
        version: HttpVersion::Http11,
        status: 200,
        reason: "OK".into(),
        headers: [("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2")]
            .into_iter()
            .collect(),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: Timestamp(1767225602.0),
        timestamp_end: Some(Timestamp(1767225602.1)),
    }
}

fn metadata() -> Vec<(String, MetadataValue)> {
    use MetadataValue::*;
    let entries = [
        ("z", None),
        ("bool", Bool(true)),
        ("least", Int(i64::MIN)),
        ("tiny", Float(5e-324)),
        ("huge", Float(-1.7976931348623157e308)),
        ("infinite", Float(f64::INFINITY)),
        ("flowgate.note", Text("ours, but not reserved".into())),
        ("bytes", Bytes(vec![0; 5000].into())),
        ("list", List(vec![Int(1), List(vec![]), Text(String::new())])),
        ("map", Map(vec![("b".into(), Int(1)), ("a".into(), Map(vec![]))])),
    ];
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn via(scheme: &str) -> Via {
    Via { scheme: scheme.into(), address: Address { host: "proxy.example".into(), port: 1080 } }
}

fn websocket_message(opcode: u8, content: &[u8], ours: bool) -> WebSocketMessage {
    WebSocketMessage {
        opcode,
        from_client: !ours,
        content: Bytes::copy_from_slice(content),
        timestamp: Timestamp(1767225603.0625),
        dropped: !ours,
        injected: ours,
    }
}

fn dns_message(query: bool) -> DnsMessage {
    let record = DnsRecord {
        name: "example.com".into(),
        kind: 1,
        class: 1,
        ttl: u32::MAX,
        data: vec![192, 0, 2, 2].into(),
    };
    let answers = if query { vec![] } else { vec![record.clone(), record.clone()] };
    DnsMessage {
        id: 0xffff,
        query,
        op_code: 15,
        authoritative_answer: !query,
        truncation: !query,
        recursion_desired: query,
        recursion_available: !query,
        reserved: 7,
        response_code: 3,
        questions: vec![DnsQuestion { name: "bücher.example".into(), kind: 28, class: 3 }],
        answers: answers.clone(),
        authorities: answers,
        additionals: vec![DnsRecord { kind: 41, ..record }],
        timestamp: query.then_some(Timestamp(1767225600.25)),
    }
}
