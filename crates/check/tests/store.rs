//! A store that is walked once for all checks says what each flow says when it is held against them alone: any flows, any checks.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flowgate_check::{Checks, Outcome, Report, Tally, human};
use flowgate_filter::{Case, NoDecoding};
use flowgate_flow::{
    Address, Body, ClientConnection, Connection, DnsFlow, DnsMessage, DnsQuestion, Flow, FlowError, FlowId,
    FlowKind, HttpFlow, HttpVersion, MetadataValue, PseudoFields, RawFlow, RawMessage, Replay, Request,
    Response, ServerConnection, Timestamp, WebSocketData, WebSocketMessage,
};
use flowgate_store::{StoreReader, StoreWriter};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;

const HOSTS: [&str; 5] = ["api.test", "cdn.api.test", "evil.example", "192.0.2.7", "b\u{fc}cher.test"];

fn fields() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let field = select(vec![
        ("Authorization", "Bearer aaaa"),
        ("cookie", "a=b"),
        ("Content-Type", "text/css"),
        ("content-type", "application/json"),
        ("Content-Encoding", "identity"),
        ("X-Note", "authorization: no"),
        ("", ""),
        ("Host", "evil.example"),
    ]);
    vec(field, 0..5)
}

/// Not kept, small, or with a record of its own.
fn body() -> impl Strategy<Value = Body> {
    let long = format!("{{\"id\": 1, \"text\": \"{}\"}}", "needle ".repeat(400));
    prop_oneof![
        Just(Body::Missing),
        Just(Body::Counted(99)),
        select(vec!["", "{\"id\": 1}", "{\"id\": \"secret\"}", "needle"])
            .prop_map(|text| Body::Bytes(text.into())),
        Just(Body::Bytes(long.into())),
    ]
}

prop_compose! {
    fn request()(
        method in select(vec!["GET", "POST"]),
        host in select(HOSTS.to_vec()),
        // One is longer than its column.
        path in prop_oneof![8 => "/[ab]{0,2}(\\?[ab])?", 1 => Just(format!("/{}needle", "x".repeat(17_000)))],
        fields in fields(),
        body in body(),
    ) -> Request {
        Request {
            version: HttpVersion::Http11,
            method: method.into(),
            scheme: "https".into(),
            host: host.into(),
            port: 443,
            authority: Bytes::new(),
            path: path.into(),
            pseudo: PseudoFields::default(),
            headers: fields.into_iter().collect(),
            body,
            trailers: None,
            timestamp_start: Timestamp(100.0),
            timestamp_end: Some(Timestamp(100.0)),
        }
    }
}

prop_compose! {
    fn response()(
        status in select(vec![200_u16, 204, 304, 404, 500]),
        seconds in of(select(vec![0.0, 0.25, 0.5, 3.0])),
        fields in fields(),
        body in body(),
    ) -> Response {
        Response {
            version: HttpVersion::Http11,
            status,
            reason: Bytes::new(),
            headers: fields.into_iter().collect(),
            body,
            trailers: None,
            timestamp_start: Timestamp(100.0),
            timestamp_end: seconds.map(|seconds| Timestamp(100.0 + seconds)),
        }
    }
}

fn websocket(texts: Vec<&'static str>) -> WebSocketData {
    let message = |text: &'static str| WebSocketMessage {
        opcode: 1,
        from_client: text.len().is_multiple_of(2),
        content: text.into(),
        timestamp: Timestamp(101.0),
        dropped: false,
        injected: false,
    };
    WebSocketData {
        messages: texts.into_iter().map(message).collect(),
        timestamp_end: Some(Timestamp(107.0)),
        ..WebSocketData::default()
    }
}

fn raw(texts: Vec<&'static str>) -> RawFlow {
    let message = |text: &'static str| RawMessage {
        from_client: text.len().is_multiple_of(2),
        content: text.into(),
        timestamp: Timestamp(102.0),
    };
    RawFlow { messages: texts.into_iter().map(message).collect() }
}

fn dns(name: &str) -> DnsMessage {
    let question = DnsQuestion { name: name.into(), kind: 1, class: 1 };
    DnsMessage { timestamp: Some(Timestamp(100.0)), ..DnsMessage::query(1, question) }
}

fn kind() -> impl Strategy<Value = FlowKind> {
    let texts = || vec(select(vec!["needle", "other", "authorization: x"]), 0..3);
    prop_oneof![
        8 => (request(), of(response()), of(texts())).prop_map(|(request, response, texts)| {
            let websocket = texts.filter(|texts| texts.len() > 1).map(websocket);
            FlowKind::Http(Box::new(HttpFlow { request, response, websocket }))
        }),
        1 => texts().prop_map(|texts| FlowKind::Tcp(raw(texts))),
        1 => texts().prop_map(|texts| FlowKind::Udp(raw(texts))),
        1 => select(HOSTS.to_vec()).prop_map(|name| {
            FlowKind::Dns(Box::new(DnsFlow { request: dns(name), response: None }))
        }),
    ]
}

prop_compose! {
    fn flow()(
        kind in kind(),
        (address, sni) in (of(select(HOSTS.to_vec())), of(select(HOSTS.to_vec()))),
        client_port in 1000_u16..1003,
        error in any::<bool>(),
        replay in select(vec![None, None, Some(Replay::Request), Some(Replay::Response)]),
        (marked, comment, note) in (select(vec!["", ":x:"]), select(vec!["", "needle"]), of(select(vec!["needle", "b"]))),
    ) -> Flow {
        let mut connection = Connection::new(FlowId::Uuid(7));
        connection.peername = Some(([127, 0, 0, 1], client_port).into());
        connection.sni = sni.map(str::to_owned);
        // Kept apart from the flow.
        connection.certificate_list = vec![Bytes::from_static(b"certificate")];
        let client = ClientConnection { connection: connection.clone(), leaf: None, fingerprints: None, mode: "regular".into() };
        let address = address.map(|host| Address { host: host.into(), port: 443 });
        let server = ServerConnection { connection, address, timestamp_tcp_setup: None, via: None };
        let mut flow = Flow::new(FlowId::Uuid(0), client.into(), server.into(), kind, Timestamp(99.0));
        flow.error = error.then(|| FlowError { message: "reset".into(), timestamp: Timestamp(104.0), side: None, phase: None });
        flow.replay = replay;
        (flow.marked, flow.comment) = (marked.into(), comment.into());
        flow.metadata = note.map(|note| ("flowgate.reason".to_owned(), MetadataValue::Text(note.into()))).into_iter().collect();
        flow
    }
}

/// Every operator, with something that some flows have.
fn filter() -> impl Strategy<Value = String> {
    let test = select(vec![
        "~all",
        "~a",
        "~e",
        "~marked",
        "~http",
        "~websocket",
        "~tcp",
        "~udp",
        "~dns",
        "~q",
        "~s",
        "~replay",
        "~replayq",
        "~replays",
        "~b needle",
        "~bq needle",
        "~bs \"id|needle\"",
        "~h authorization",
        "~hq ^authorization:",
        "~hs css",
        "~t json",
        "~tq css",
        "~ts json",
        "~m POST",
        "~d api",
        "~d evil",
        "~u needle",
        "~u a",
        "~src :1001",
        "~dst cdn",
        "~meta needle",
        "~marker x",
        "~comment needle",
        "~c 2xx",
        "~c 500",
        "~size >10",
        "~sizeq =0",
        "~sizes >100",
        "~duration >300ms",
        "~duration <1s",
        "~sni api",
        "~reason needle",
    ]);
    test.prop_map(str::to_owned).prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" & "))),
            vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" | "))),
            inner.prop_map(|part| format!("!{part}")),
        ]
    })
}

fn assertion() -> impl Strategy<Value = String> {
    let per = select(vec!["", "per = \"host\"", "per = \"url\"", "per = \"endpoint\"", "per = \"client\""]);
    let quoted = |filter: String| format!("{filter:?}");
    prop_oneof![
        (0..3_u32, per).prop_map(|(count, per)| format!("at_most = {count}\n{per}")),
        select(vec!["at_least = 2", "exactly = 1", "at_least = 2\nper = \"host\""]).prop_map(str::to_owned),
        filter().prop_map(move |filter| format!("forbid = {}", quoted(filter))),
        filter().prop_map(move |filter| format!("require = {}", quoted(filter))),
        Just("only_hosts = [\".api.test\", \"192.0.2.0/24\"]".to_owned()),
        Just(
            "header_only_to = { header = [\"Authorization\", \"Cookie\"], hosts = [\"api.test\"] }"
                .to_owned()
        ),
        Just("status = [\"2xx\", 304]".to_owned()),
        Just("duration = { max = \"1s\", p50 = \"250ms\" }".to_owned()),
        Just("schema = \"user.json\"".to_owned()),
        Just("request_schema = \"user.json\"".to_owned()),
    ]
}

fn checks() -> impl Strategy<Value = String> {
    vec((of(filter()), assertion()), 1..6).prop_map(|checks| {
        let mut text = String::new();
        for (number, (filter, assertion)) in checks.into_iter().enumerate() {
            text += &format!("[[check]]\nname = \"{number}\"\n{assertion}\n");
            if let Some(filter) = filter {
                text += &format!("filter = {filter:?}\n");
            }
        }
        text
    })
}

fn parse(text: &str) -> Arc<Checks> {
    let schema = |_: &str| {
        Ok::<_, io::Error>(r#"{"type":"object","properties":{"id":{"type":"integer"}}}"#.to_owned())
    };
    Arc::new(Checks::parse(text, "checks.toml", Case::Ignored, &schema).unwrap())
}

fn one_by_one(checks: &Arc<Checks>, flows: &[Flow]) -> Report {
    let mut tally = Tally::new(Arc::clone(checks));
    (1..).zip(flows).for_each(|(number, flow)| tally.flow(number, flow, &NoDecoding));
    tally.report(Duration::ZERO)
}

fn from_store(checks: &Arc<Checks>, store: &StoreReader) -> Report {
    let mut tally = Tally::new(Arc::clone(checks));
    tally.store(store, &NoDecoding).unwrap();
    tally.report(Duration::ZERO)
}

/// A store with these flows, whose ids are their numbers; also with their bodies in its index.
fn stored(flows: &[Flow], index_bodies: bool) -> (tempfile::TempDir, StoreReader) {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::open(folder.path()).unwrap();
    if index_bodies {
        writer.index_bodies(Box::new(NoDecoding));
    }
    flows.iter().for_each(|flow| writer.add(flow.clone()).unwrap());
    writer.commit().unwrap();
    drop(writer);
    let reader = StoreReader::open(folder.path()).unwrap();
    (folder, reader)
}

fn numbered(flows: Vec<Flow>) -> Vec<Flow> {
    (1..).zip(flows).map(|(number, flow)| Flow { id: FlowId::Uuid(number), ..flow }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_store_answers_as_its_flows_do(flows in vec(flow(), 0..20), texts in vec(checks(), 1..8), index_bodies: bool) {
        let flows = numbered(flows);
        let (_folder, store) = stored(&flows, index_bodies);
        for text in texts {
            let checks = parse(&text);
            let (here, there) = (one_by_one(&checks, &flows), from_store(&checks, &store));
            prop_assert_eq!(&here, &there, "{}\n{}{}", text, human(&here), human(&there));
        }
    }
}

/// So many flows, the same in each run.
fn some_flows(count: usize) -> Vec<Flow> {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    numbered(vec(flow(), count).new_tree(&mut runner).unwrap().current())
}

/// More flows than one thread takes at once come in their order, too: the first violations are those that are shown.
#[test]
fn many_flows_come_in_order() {
    let flows = some_flows(3000);
    let (_folder, store) = stored(&flows, false);
    let checks = parse(
        "[[check]]\nname = \"a\"\nforbid = \"~h nothing | ~all\"\n[[check]]\nname = \"b\"\nat_most = 2000",
    );
    let report = from_store(&checks, &store);
    assert_eq!(report, one_by_one(&checks, &flows));
    let Outcome::Violated { count, violations } = &report.checks[0].outcome else { panic!("{report:?}") };
    assert_eq!(*count, 3000);
    let ids: Vec<_> =
        violations.iter().map(|violation| violation.flow.as_ref().unwrap().id.clone()).collect();
    let expected: Vec<_> = (1..=100).map(|number| FlowId::Uuid(number).to_string()).collect();
    assert_eq!(ids, expected);
}

/// More questions than SQLite takes columns are asked in several passes.
#[test]
fn as_many_checks_as_a_file_may_have() {
    let flows = some_flows(3);
    let (_folder, store) = stored(&flows, false);
    let check = |number| {
        format!(
            "[[check]]\nname = \"{number}\"\nfilter = \"~u n{number} | ~u a\"\nrequire = \"~c {}\"\nforbid = \"~hq b{number}\"\n",
            200 + number % 300
        )
    };
    let checks = parse(&(0..1000).map(check).collect::<String>());
    assert_eq!(from_store(&checks, &store), one_by_one(&checks, &flows));
}

/// What cannot be read leaves those checks without a verdict that would have to read it, and no others.
#[test]
fn damaged_flows_are_told() {
    let flows = some_flows(3);
    let (folder, store) = stored(&flows, false);
    let bodies = folder.path().join("bodies-000000");
    let mut bytes = std::fs::read(&bodies).unwrap();
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    std::fs::write(&bodies, bytes).unwrap();
    let checks = parse(
        "[[check]]\nname = \"a\"\nat_most = 3\n[[check]]\nname = \"b\"\nforbid = \"~meta nothing\"\n\
         [[check]]\nname = \"c\"\nfilter = \"~meta nothing\"\nschema = \"user.json\"",
    );
    let report = from_store(&checks, &store);
    let outcomes: Vec<_> = report.checks.into_iter().map(|check| check.outcome).collect();
    let damaged = Outcome::Undecided("some flows are damaged and could not be read".to_owned());
    assert_eq!(outcomes, [Outcome::Holds, damaged.clone(), damaged]);
}
