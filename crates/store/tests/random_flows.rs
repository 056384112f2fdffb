//! Any flows there may be, of all kinds and with everything on them: into a store, out of it, through a flow file and into another
//! store, they stay what they were.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use flowgate_filter::NoDecoding;
use flowgate_flow::{
    Address, Body, ClientConnection, Connection, DnsFlow, DnsMessage, DnsQuestion, DnsRecord, Fingerprints,
    Flow, FlowError, FlowId, FlowKind, Headers, Http2Beginning, HttpFlow, HttpVersion, MetadataValue, Phase,
    Priority, PseudoField, PseudoFields, PseudoOrder, RawFlow, RawMessage, Replay, Request, Response,
    ServerConnection, Side, Timestamp, Transport, Via, WebSocketData, WebSocketMessage,
};
use flowgate_formats::{FlowReader, write_flow};
use flowgate_store::{StoreReader, StoreWriter};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

fn bytes(max: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..max).prop_map(Bytes::from)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z./:]{0,12}", any::<String>()]
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0.0..2e9).prop_map(Timestamp)
}

fn address() -> impl Strategy<Value = Address> {
    ("[a-z0-9.:%]{0,20}", any::<u16>()).prop_map(|(host, port)| Address { host, port })
}

/// Names that may come again, values of any bytes.
fn headers() -> impl Strategy<Value = Headers> {
    let name = prop_oneof![select(vec![&b"Cookie"[..], b"cookie", b"X-A"]).prop_map(Bytes::from), bytes(9)];
    vec((name, bytes(30)), 0..4).prop_map(|fields| fields.into_iter().collect())
}

/// Not kept, small, or large enough for a record of its own; often the same as another.
fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        4 => Just(Body::Missing),
        4 => (0..1_u64 << 60).prop_map(Body::Counted),
        12 => bytes(40).prop_map(Body::Bytes),
        12 => (any::<u8>(), 1000..3000_usize).prop_map(|(byte, len)| Body::Bytes(vec![byte % 3; len].into())),
        1 => Just(Body::Bytes(vec![9; 1_100_000].into())),
    ]
}

fn version() -> impl Strategy<Value = HttpVersion> {
    prop_oneof![
        Just(HttpVersion::Http11),
        Just(HttpVersion::Http2),
        "HTTP/[4-9]".prop_map(|name: String| HttpVersion::Other(name.into())),
    ]
}

prop_compose! {
    fn request()(
        version in version(),
        (method, scheme, authority, path) in (bytes(8), bytes(6), bytes(9), bytes(30)),
        (host, port) in (text(), any::<u16>()),
        (headers, trailers, body) in (headers(), of(headers()), body()),
        (timestamp_start, timestamp_end) in (time(), of(time())),
        (order, weight) in (vec(select(vec![PseudoField::Method, PseudoField::Path, PseudoField::Protocol]), 0..4), of(1..=256_u16)),
    ) -> Request {
        let order = PseudoOrder::new(&order);
        let priority = weight.map(|weight| Priority { depends_on: port.into(), exclusive: weight == 7, weight });
        let pseudo = PseudoFields { order, priority, ..PseudoFields::default() };
        Request { version, method, scheme, host, port, authority, path, pseudo, headers, body, trailers, timestamp_start, timestamp_end }
    }
}

prop_compose! {
    fn response()(
        version in version(),
        (status, reason) in (100..600_u16, bytes(9)),
        (headers, trailers, body) in (headers(), of(headers()), body()),
        (timestamp_start, timestamp_end) in (time(), of(time())),
    ) -> Response {
        Response { version, status, reason, headers, body, trailers, timestamp_start, timestamp_end }
    }
}

prop_compose! {
    fn websocket()(
        messages in vec((1..3_u8, any::<bool>(), bytes(60), time(), any::<bool>(), any::<bool>()), 0..4),
        (closed_by_client, close_code, close_reason) in (of(any::<bool>()), of(any::<u16>()), of(text())),
        timestamp_end in of(time()),
    ) -> WebSocketData {
        let message = |(opcode, from_client, content, timestamp, dropped, injected)| {
            WebSocketMessage { opcode, from_client, content, timestamp, dropped, injected }
        };
        let messages = messages.into_iter().map(message).collect();
        WebSocketData { messages, closed_by_client, close_code, close_reason, timestamp_end }
    }
}

prop_compose! {
    fn dns_message()(
        (id, query, op_code, reserved, response_code) in (any::<u16>(), any::<bool>(), 0..16_u8, 0..8_u8, 0..16_u16),
        [authoritative_answer, truncation, recursion_desired, recursion_available] in any::<[bool; 4]>(),
        questions in vec((text(), any::<u16>(), any::<u16>()), 0..3),
        records in vec((text(), any::<[u16; 2]>(), any::<u32>(), bytes(20)), 0..3),
        timestamp in of(time()),
    ) -> DnsMessage {
        let questions = questions.into_iter().map(|(name, kind, class)| DnsQuestion { name, kind, class }).collect();
        let record = |(name, [kind, class], ttl, data): (_, [u16; 2], _, _)| DnsRecord { name, kind, class, ttl, data };
        let answers: Vec<_> = records.into_iter().map(record).collect();
        let (authorities, additionals) = (answers.clone(), answers.iter().rev().cloned().collect());
        DnsMessage {
            id, query, op_code, authoritative_answer, truncation, recursion_desired, recursion_available, reserved,
            response_code, questions, answers, authorities, additionals, timestamp,
        }
    }
}

fn kind() -> impl Strategy<Value = FlowKind> {
    let http = (request().boxed(), of(response().boxed()), of(websocket().boxed())).prop_map(
        |(request, response, websocket)| FlowKind::Http(Box::new(HttpFlow { request, response, websocket })),
    );
    let raw = || {
        vec((any::<bool>(), bytes(2000), time()), 0..5).prop_map(|messages| {
            let message = |(from_client, content, timestamp)| RawMessage { from_client, content, timestamp };
            RawFlow { messages: messages.into_iter().map(message).collect() }
        })
    };
    let dns = (dns_message().boxed(), of(dns_message().boxed()));
    prop_oneof![
        3 => http,
        1 => raw().prop_map(FlowKind::Tcp),
        1 => raw().prop_map(FlowKind::Udp),
        1 => dns.prop_map(|(request, response)| FlowKind::Dns(Box::new(DnsFlow { request, response }))),
    ]
}

prop_compose! {
    fn connection()(
        id in any::<u128>(),
        (peername, sockname, sockname_text) in (of(any::<([u8; 4], u16)>()), of(any::<([u16; 8], u16)>()), of(address())),
        (is_udp, tls, error) in (any::<bool>(), any::<bool>(), of(text())),
        certificates in vec(bytes(40), 0..3),
        (alpn, alpn_offers) in (of(bytes(6)), vec(bytes(6), 0..3)),
        (cipher, cipher_list, tls_version, sni) in (of(text()), vec(text(), 0..3), of(select(vec!["TLSv1.2", "TLSv1.3"])), of(text())),
        (timestamp_start, timestamp_tls_setup, timestamp_end) in (of(time()), of(time()), of(time())),
    ) -> Connection {
        let mut connection = Connection::new(FlowId::from_random(id));
        connection.peername = peername.map(Into::into);
        connection.sockname = sockname.map(Into::into);
        // What is an address is read as one.
        let is_text = |address: &Address| address.host.parse::<IpAddr>().is_err();
        connection.sockname_text = sockname_text.filter(|address| sockname.is_none() && is_text(address));
        connection.transport = if is_udp { Transport::Udp } else { Transport::Tcp };
        connection.certificate_list = certificates.into_iter().map(certificate).collect();
        connection.tls_version = tls_version.map(str::to_owned);
        let settings = cipher_list.iter().map(|name| (name.len() as u16, 7)).collect();
        connection.http2 = tls.then(|| Box::new(Http2Beginning { settings, window_bytes: 9, priorities: Vec::new() }));
        Connection { tls, error, alpn, alpn_offers, cipher, cipher_list, sni, timestamp_start, timestamp_tls_setup, timestamp_end, ..connection }
    }
}

/// Flow files hold certificates as text, which has to hold something.
fn certificate(mut der: Bytes) -> Bytes {
    if der.is_empty() {
        der = Bytes::from_static(b"0");
    }
    der
}

fn metadata() -> impl Strategy<Value = Vec<(String, MetadataValue)>> {
    let value = prop_oneof![
        Just(MetadataValue::None),
        any::<bool>().prop_map(MetadataValue::Bool),
        any::<i64>().prop_map(MetadataValue::Int),
        (-1e300..1e300).prop_map(MetadataValue::Float),
        text().prop_map(MetadataValue::Text),
        bytes(2000).prop_map(MetadataValue::Bytes),
    ];
    let value = value.prop_recursive(2, 6, 3, |inner| vec(inner, 0..3).prop_map(MetadataValue::List));
    vec(("[a-z.]{1,12}", value), 0..4).prop_map(|mut entries| {
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        entries.dedup_by(|one, other| one.0 == other.0);
        entries
    })
}

prop_compose! {
    fn one_state()(
        id in any::<u128>(),
        (client, leaf, fingerprints) in (connection().boxed(), of(bytes(40)), any::<bool>()),
        (server, address, setup, via) in (connection().boxed(), of(address()), of(time()), of(address())),
        kind in kind().boxed(),
        error in of((text(), time(), any::<bool>())),
        (intercepted, replay) in (any::<bool>(), select(vec![None, Some(Replay::Request), Some(Replay::Response)])),
        (marked, comment, metadata, created) in (text(), text(), metadata(), time()),
    ) -> Flow {
        let client = ClientConnection {
            connection: client,
            leaf: leaf.map(certificate),
            fingerprints: fingerprints.then(|| Fingerprints { ja3: "ada7".into(), ja4: "t13d".into() }),
            mode: "regular".into(),
        };
        let via = via.map(|address| Via { scheme: "http".into(), address });
        let server = ServerConnection { connection: server, address, timestamp_tcp_setup: setup, via };
        let mut flow = Flow::new(FlowId::from_random(id), Arc::new(client), Arc::new(server), kind, created);
        flow.error = error.map(|(message, timestamp, told)| FlowError {
            message,
            timestamp,
            side: told.then_some(Side::Server),
            phase: told.then_some(Phase::Connect),
        });
        (flow.intercepted, flow.replay) = (intercepted, replay);
        (flow.marked, flow.comment, flow.metadata) = (marked, comment, metadata);
        flow
    }
}

/// A flow, perhaps edited since.
fn flow() -> impl Strategy<Value = Flow> {
    (one_state().boxed(), of(one_state().boxed())).prop_map(|(mut flow, before)| {
        flow.backup = before.map(|before| Box::new(Flow { id: flow.id.clone(), ..before }));
        flow
    })
}

/// All there is to a flow, with its bodies.
fn shown(flow: &Flow) -> String {
    fn load(flow: &mut Flow) {
        if let FlowKind::Http(http) = &mut flow.kind {
            let response = http.response.as_mut().map(|response| &mut response.body);
            for body in [Some(&mut http.request.body), response].into_iter().flatten() {
                if let Body::Stored(stored) = &*body {
                    *body = Body::Bytes(body.prefix(stored.len() as usize).unwrap().unwrap());
                }
            }
        }
        if let Some(before) = flow.backup.as_deref_mut() {
            load(before);
        }
    }
    let mut flow = flow.clone();
    load(&mut flow);
    format!("{flow:#?}")
}

fn stored(directory: &Path, flows: &[Flow], in_batches_of: usize) -> Vec<Flow> {
    let mut writer = StoreWriter::open(directory).unwrap();
    for (at, flow) in flows.iter().enumerate() {
        let mut flow = flow.clone();
        // Connections that nobody else has are written with the flow, others apart.
        if at % 2 == 1 {
            flow.client = Arc::new((*flow.client).clone());
            flow.server = Arc::new((*flow.server).clone());
        }
        writer.add(flow).unwrap();
        if writer.uncommitted() >= in_batches_of {
            writer.commit().unwrap();
        }
    }
    writer.commit().unwrap();
    let reader = StoreReader::open(directory).unwrap();
    let mut back = Vec::new();
    let each = |hit: flowgate_store::Hit<'_>| {
        back.push(hit.flow().unwrap());
        ControlFlow::<()>::Continue(())
    };
    reader.search(None, 0, &NoDecoding, each).unwrap();
    back
}

fn assert_same(back: &[Flow], flows: &[Flow]) -> Result<(), TestCaseError> {
    prop_assert_eq!(back.len(), flows.len());
    for (back, flow) in back.iter().zip(flows) {
        let (back, flow) = (shown(back), shown(flow));
        for (back, flow) in back.lines().zip(flow.lines()) {
            prop_assert!(back == flow, "{back:.300} was {flow:.300}");
        }
        prop_assert_eq!(back.len(), flow.len());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_flows_come_back_through_stores_and_files(flows in vec(flow(), 1..5), batch in 1..4_usize) {
        let (one, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let back = stored(one.path(), &flows, batch);
        assert_same(&back, &flows)?;
        let mut file = Vec::new();
        back.iter().for_each(|flow| write_flow(&mut file, flow).unwrap());
        let read: Vec<_> = FlowReader::new(&file[..]).map(Result::unwrap).collect();
        assert_same(&read, &flows)?;
        assert_same(&stored(other.path(), &read, batch), &flows)?;
    }
}
