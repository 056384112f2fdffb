//! What is printed of messages inside bodies, and that it stays text whatever they hold.

mod flows;

use flowgate_dump::Dumper;
use flowgate_flow::{Body, BodyMessage, BodyMessageKind, Flow, Timestamp};
use proptest::prelude::*;

fn shown(detail: u8, flow: &Flow, message: &BodyMessage) -> String {
    let mut out = String::new();
    Dumper { flow_detail: detail, ..Dumper::default() }.body_message(flow, message, &mut out);
    out
}

fn flow(content_type: &str) -> Flow {
    flows::http(|request, response| {
        request.path = "/a.B/C".into();
        request.headers.set("content-type", content_type);
        response.headers.set("content-type", content_type);
        (request.body, response.body) = (Body::Missing, Body::Missing);
    })
}

fn grpc(from_client: bool, compressed: bool, content: &'static [u8], len: u32) -> BodyMessage {
    BodyMessage {
        from_client,
        timestamp: Timestamp(1.0),
        kind: BodyMessageKind::Grpc { compressed, trailers: false, len },
        truncated: u64::from(len) > content.len() as u64,
        content: content.into(),
    }
}

fn event(name: Option<&str>, data: &str, truncated: bool) -> BodyMessage {
    BodyMessage {
        from_client: false,
        timestamp: Timestamp(1.0),
        kind: BodyMessageKind::Event { name: name.map(str::to_owned), id: Some("7".to_owned()), retry: None },
        content: data.to_owned().into(),
        truncated,
    }
}

const EXPECTED: &str = r#"127.0.0.1:43648 -> gRPC message, 7b -> example.com:443/a.B/C
127.0.0.1:43648 <- gRPC message, 68.4k <- example.com:443/a.B/C
127.0.0.1:43648 <- gRPC-Web trailers, 15b <- example.com:443/a.B/C
127.0.0.1:43648 <- server-sent event add.[31m, 7b <- example.com:443/a.B/C
127.0.0.1:43648 <- server-sent event, more than 3b <- example.com:443/a.B/C
127.0.0.1:43648 -> gRPC message, 7b -> example.com:443/a.B/C

    1: hello

127.0.0.1:43648 <- gRPC message, 68.4k <- example.com:443/a.B/C
    (cut off)

127.0.0.1:43648 <- gRPC-Web trailers, 15b <- example.com:443/a.B/C

    grpc-status:0

127.0.0.1:43648 <- server-sent event add.[31m, 7b <- example.com:443/a.B/C

    {"a":1}

127.0.0.1:43648 <- server-sent event, more than 3b <- example.com:443/a.B/C

    cut
    (cut off)

"#;

#[test]
fn a_line_each_and_their_content() {
    let (grpc_flow, events) = (flow("application/grpc"), flow("text/event-stream"));
    let trailers = BodyMessage {
        kind: BodyMessageKind::Grpc { compressed: false, trailers: true, len: 15 },
        ..grpc(false, false, b"grpc-status:0\r\n", 15)
    };
    let mut all = String::new();
    for detail in [0, 2, 3] {
        // Field 1, a string.
        all += &shown(detail, &grpc_flow, &grpc(true, false, b"\x0a\x05hello", 7));
        all += &shown(detail, &grpc_flow, &grpc(false, false, b"\x0a\x05he", 70_000));
        all += &shown(detail, &grpc_flow, &trailers);
        all += &shown(detail, &events, &event(Some("add\x1b[31m"), "{\"a\":1}", false));
        all += &shown(detail, &events, &event(None, "cut", true));
    }
    let all: String = all.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    assert_eq!(all, EXPECTED);
}

/// What a server compressed is shown as it was.
#[test]
fn compressed_messages_are_shown_inflated() {
    // gzip of `\x0a\x05hello`.
    let content: &[u8] = &[
        31, 139, 8, 0, 0, 0, 0, 0, 2, 255, 227, 98, 205, 72, 205, 201, 201, 7, 0, 24, 64, 227, 153, 7, 0, 0,
        0,
    ];
    let mut flow = flow("application/grpc");
    flows::http_of(&mut flow).request.headers.set("grpc-encoding", "gzip");
    let len = u32::try_from(content.len()).unwrap();
    let shown = shown(3, &flow, &grpc(true, true, content, len));
    assert!(shown.contains("hello"), "{shown}");
}

proptest! {
    #[test]
    fn whatever_they_hold_it_stays_text(
        content in prop::collection::vec(any::<u8>(), 0..200), name in prop::option::of(".{0,20}"), is_grpc in any::<bool>(),
        flags in any::<(bool, bool, bool)>(), len in any::<u32>(), from_client in any::<bool>(),
    ) {
        let (compressed, trailers, truncated) = flags;
        let kind = if is_grpc {
            BodyMessageKind::Grpc { compressed, trailers, len }
        } else {
            BodyMessageKind::Event { name, id: None, retry: None }
        };
        let content = content.into();
        let message = BodyMessage { from_client, timestamp: Timestamp(1.0), kind, content, truncated };
        for content_type in ["application/grpc", "text/event-stream"] {
            for detail in [2, 3, 4] {
                let text = shown(detail, &flow(content_type), &message);
                prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{:?}", text);
                prop_assert_eq!(text.lines().next().is_some_and(|line| line.contains("message") || line.contains("event") || line.contains("trailers")), true);
            }
        }
    }
}
