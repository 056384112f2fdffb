//! `http_connect`: a tunnel that was asked for, offered to addons before anything is decided or connected to.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use flowgate_flow::{Address, Flow, FlowError, FlowKind, Phase, RawFlow, Response, Side};
use flowgate_options::Level;
use flowgate_wire::http2::Code;

use crate::addon::{Hook, Lent, LiveFlow, Outcome, Standing, no_server};
use crate::clock;
use crate::context::Context;
use crate::http::{ClientSide, Connect, connect_refusal};
use crate::limits::BODY_MEMORY_BYTES;

/// The tunnel as addons leave it; `None` if there is to be none, which the client was told.
pub(super) async fn offer(context: &Context, connect: Connect) -> Option<Box<Connect>> {
    let Connect { mut client, request, .. } = connect;
    let created = request.timestamp_start;
    let kind = FlowKind::Tcp(RawFlow::default());
    let flow = Flow::new(clock::new_id(), Arc::clone(&context.client), no_server(&request), kind, created);
    let mut live = LiveFlow::new(flow, Lent { request, response: None }, Standing::default());
    let addons = &context.settings.addons;
    let gone = tokio::select! {
        biased;
        () = addons.run(Hook::HttpConnect, &mut live) => false,
        _ = poll_fn(|cx| client.poll_gone(cx)) => true,
    };
    let is_answered = live.is_answered();
    let (lent, outcome, flow) = live.into_parts();
    let Lent { request, response } = lent;
    let opens = response.as_ref().is_none_or(|response| (200..300).contains(&response.status));
    if !gone && opens && matches!(outcome, Outcome::Continue | Outcome::Answered) {
        let destination = Address { host: request.host.clone(), port: request.port };
        return Some(Box::new(Connect { client, request, destination }));
    }
    let fails = |message: String, side| {
        Some(FlowError { message, timestamp: clock::now(), side: Some(side), phase: Some(Phase::Connect) })
    };
    let (answer, error) = match outcome {
        _ if gone => (None, fails("Client disconnected.".to_owned(), Side::Client)),
        Outcome::Panicked(addon) => {
            context.proxy.panics.fetch_add(1, Ordering::Relaxed);
            let message = format!("addon {addon} failed on this flow (a panic)");
            context.log(Level::Error, format_args!("{message}"));
            let page = connect_refusal(502, &message);
            (Some((page.head, page.body)), fails(message, Side::Proxy))
        }
        _ if is_answered => (response.clone().map(refusal), None),
        _ => (None, fails("Connection killed.".to_owned(), Side::Proxy)),
    };
    let mut told = false;
    if let Some((head, body)) = answer {
        // A client that is gone cannot be told; the flow tells it.
        told = client.send_own_response(&head, body).is_ok() && client.flush().await.is_ok();
    }
    if !told {
        client.abort(Code::CANCEL);
    }
    let mut live = LiveFlow::new(flow, Lent { request, response }, Standing::default());
    live.fail(error);
    if live.flow().error.is_some() {
        addons.run(Hook::Error, &mut live).await;
    }
    context.report(live.into_flow()).await;
    if told {
        client.close(&context.stop).await;
    }
    None
}

/// An addon's answer as it is sent: whole, with its length, and the last one on its connection.
fn refusal(mut response: Response) -> (Response, Bytes) {
    // What refuses a tunnel is a page at most; a body that cannot be read is none.
    let body = response.body.prefix(BODY_MEMORY_BYTES).ok().flatten().unwrap_or_default();
    let headers = &mut response.headers;
    for name in ["content-length", "transfer-encoding", "connection"] {
        headers.remove(name);
    }
    headers.push("Connection", "close");
    if !matches!(response.status, 204 | 304) {
        headers.push("Content-Length", body.len().to_string());
    }
    (response, body)
}
