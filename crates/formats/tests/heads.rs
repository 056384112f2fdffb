//! Heads alone: of HTTP flows what the whole flow says of its messages' heads, of other kinds none.
#![allow(clippy::unwrap_used, reason = "tests")]

use flowgate_flow::{Body, Flow, FlowKind};
use flowgate_formats::{FlowReader, HeadsReader, write_flow};

/// Flows of every kind, as mitmproxy wrote them.
const FLOWS: &[u8] = include_bytes!("data/mitmproxy-12.2.3-v21.flows");

/// What is read of a flow.
fn said(mut flow: Flow) -> Option<String> {
    let FlowKind::Http(http) = &mut flow.kind else { return None };
    (http.request.body, http.request.trailers) = (Body::Missing, None);
    if let Some(response) = &mut http.response {
        (response.body, response.trailers) = (Body::Missing, None);
    }
    let ended = http.websocket.as_ref().map(|websocket| websocket.timestamp_end);
    http.websocket = None;
    let Flow { error, replay, marked, comment, created, .. } = flow;
    Some(format!("{http:#?} {ended:?} {error:?} {replay:?} {marked} {comment} {created:?}"))
}

#[test]
fn heads_are_what_the_flows_say() {
    let reader = HeadsReader::default();
    let flows = FlowReader::new(FLOWS).map(Result::unwrap);
    let mut count = 0;
    for flow in flows {
        let mut item = Vec::new();
        write_flow(&mut item, &flow).unwrap();
        let (heads, expected) = (reader.read(&item).and_then(said), said(flow));
        assert_eq!(heads, expected);
        count += usize::from(heads.is_some());
        item.push(b'x');
        assert!(reader.read(&item).is_none());
    }
    assert_eq!(count, 8);
}
