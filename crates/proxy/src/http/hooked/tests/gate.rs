//! The gate behind the hooks: whatever an addon does, what goes out is strictly valid HTTP or nothing.

use bytes::{Bytes, BytesMut};
use flowgate_flow::{Body, Headers};
use flowgate_wire::http1::{
    BodyDecoder, BodyEvent, Framing, HeadScanner, Scan, parse_request, parse_response, request_framing,
    response_framing,
};
use proptest::prelude::*;

use crate::addon::testing::{Came, GET, OK, POST, probe, run};
use crate::addon::{BodyNeed, Hook, LiveFlow};

/// Bytes among which those that end lines and fields are not rare.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => proptest::sample::select(&b"aZ0-/ "[..]),
        1 => proptest::sample::select(&b"\r\n\0: \t,;\x7f"[..]),
        1 => any::<u8>(),
    ];
    proptest::collection::vec(byte, 0..8)
}

fn fields() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let known = proptest::sample::select(vec![
        &b"Content-Length"[..],
        b"transfer-encoding",
        b"Connection",
        b"Host",
        b"X",
    ]);
    let name = prop_oneof![2 => known.prop_map(<[u8]>::to_vec), 1 => bytes()];
    let value = prop_oneof![
        2 => bytes(),
        1 => proptest::sample::select(vec![&b"0"[..], b"7", b"chunked", b"close", b"a"]).prop_map(<[u8]>::to_vec),
    ];
    proptest::collection::vec((name, value), 0..4)
}

/// What an addon does to a message.
#[derive(Clone, Debug)]
struct Mess {
    line: Vec<u8>,
    path: Option<Vec<u8>>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    trailers: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    body: Option<Vec<u8>>,
    status: u16,
    whole: bool,
    hook_first: bool,
}

fn mess() -> impl Strategy<Value = Mess> {
    let line = prop_oneof![1 => Just(b"GET".to_vec()), 1 => bytes()];
    let path = proptest::option::of(bytes());
    let trailers = proptest::option::of(fields());
    (
        line,
        path,
        fields(),
        trailers,
        proptest::option::of(bytes()),
        90_u16..1010,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(line, path, fields, trailers, body, status, whole, hook_first)| Mess {
            line,
            path,
            fields,
            trailers,
            body,
            status,
            whole,
            hook_first,
        })
}

fn headers(fields: &[(Vec<u8>, Vec<u8>)]) -> Headers {
    fields.iter().map(|(name, value)| (name, value)).collect()
}

/// Takes a message's body; whether all of it was there.
fn take_body(framing: Framing, buf: &mut BytesMut) -> bool {
    let mut decoder = BodyDecoder::new(framing);
    loop {
        match decoder.decode(buf, true) {
            Ok(BodyEvent::Data(_)) => {}
            Ok(BodyEvent::End(_)) => return true,
            Ok(BodyEvent::NeedMore) | Err(flowgate_wire::http1::BodyError::Cut) => return false,
            Err(err) => panic!("a malformed body: {err}"),
        }
    }
}

fn take_head(buf: &mut BytesMut) -> Option<Bytes> {
    match HeadScanner::default().scan(buf).expect("a head") {
        Scan::Head(len) => Some(buf.split_to(len).freeze()),
        Scan::NeedMore => {
            assert!(buf.is_empty(), "half a head: {buf:?}");
            None
        }
    }
}

fn check(came: &Came) {
    let mut seen = BytesMut::from(&came.raw.1[..]);
    if let Some(head) = take_head(&mut seen) {
        let head = parse_request(head).expect("a request");
        let framing = request_framing(&head.version, &head.headers).expect("a body");
        if take_body(framing, &mut seen) {
            assert!(seen.is_empty(), "two requests: {seen:?}");
        }
    }
    let mut answer = BytesMut::from(&came.raw.0[..]);
    if let Some(head) = take_head(&mut answer) {
        let head = parse_response(head).expect("a response");
        let framing = response_framing(&head.version, head.status, &head.headers, b"GET").expect("a body");
        if take_body(framing, &mut answer) {
            assert!(answer.is_empty(), "two responses: {answer:?}");
        }
    }
}

fn runs(future: impl Future<Output = Came>) -> Came {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

fn meddle_with_request(flow: &mut LiveFlow, mess: &Mess) {
    let request = flow.request_mut();
    request.method = mess.line.clone().into();
    if let Some(path) = &mess.path {
        request.path = path.clone().into();
    }
    request.headers = headers(&mess.fields);
    request.trailers = mess.trailers.as_deref().map(headers);
    if let Some(body) = &mess.body {
        request.body = Body::Bytes(body.clone().into());
    }
}

fn meddle_with_response(flow: &mut LiveFlow, mess: &Mess) {
    let Some(response) = flow.response_mut() else { return };
    response.reason = mess.line.clone().into();
    response.status = mess.status;
    response.headers = headers(&mess.fields);
    response.trailers = mess.trailers.as_deref().map(headers);
    if let Some(body) = &mess.body {
        response.body = Body::Bytes(body.clone().into());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_hook_sends_an_illegal_request(mess in mess(), post in any::<bool>()) {
        let hook = if mess.hook_first { Hook::RequestHeaders } else { Hook::Request };
        let whole = mess.whole;
        let need = move || if whole { BodyNeed::Whole } else { BodyNeed::Nothing };
        let addon = probe("a").request_body(need).on(hook, move |flow| meddle_with_request(flow, &mess));
        check(&runs(run(vec![addon], if post { POST } else { GET }, OK)));
    }

    #[test]
    fn no_hook_sends_an_illegal_response(mess in mess(), own in any::<bool>(), chunked in any::<bool>()) {
        let hook = if mess.hook_first { Hook::ResponseHeaders } else { Hook::Response };
        let whole = mess.whole;
        let need = move || if whole { BodyNeed::Whole } else { BodyNeed::Nothing };
        let mut addon = probe("a").response_body(need).on(hook, move |flow| meddle_with_response(flow, &mess));
        if own {
            addon = addon.on(Hook::Request, |flow| {
                flow.respond(LiveFlow::response_of(200, Headers::new(), Body::Bytes("own".into()))).unwrap();
            });
        }
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        check(&runs(run(vec![addon], GET, if chunked { chunks } else { OK })));
    }
}
