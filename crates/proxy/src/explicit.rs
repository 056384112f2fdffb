//! Mode `regular`: the client knows that it talks to a proxy (RFC 9112 section 3.2.2, RFC 9110 section 9.3.6).

mod connect_hook;

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use flowgate_flow::{Flow, FlowError, FlowKind, HttpFlow, Phase, Request, ServerConnection, Side};
use flowgate_net::{BoxIo, Rewound};
use flowgate_policy::Entry;
use flowgate_tls::LeafSpec;
use tokio::time::timeout;

use crate::clock;
use crate::context::Context;
use crate::decrypt;
use crate::early;
use crate::http::{
    self, Allowed, Connect, Ended, H1Client, Origin, OwnResponse, Servers, Service, connect_established,
    connect_refusal,
};
use crate::peek::Peeked;
use crate::server::ServerError;
use crate::tunnel::{self, ServerState, Target};
use flowgate_options::Level;

/// The first byte of a TLS handshake record (RFC 8446 section 5.1); no method begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// Serves a client until it is gone.
pub(crate) async fn serve(context: &Context, client: BoxIo) {
    let mut client = Peeked::new(client);
    let first = tokio::select! {
        read = timeout(context.settings.idle_timeout, poll_fn(|cx| client.poll_more(cx))) => read,
        () = context.stop.cancelled() => return,
    };
    if !matches!(first, Ok(Ok(()))) {
        return;
    }
    let is_tls = client.bytes().first() == Some(&TLS_HANDSHAKE);
    let client = client.rewind();
    // Boxed apart, so that a connection's task is as large as what it does and not as what it might.
    if is_tls { Box::pin(serve_tls(context, client)).await } else { serve_http(context, client, false).await }
}

/// TLS to the proxy itself ("secure web proxy"): HTTP/1.1 inside, as browsers speak it to proxies.
async fn serve_tls(context: &Context, client: BoxIo) {
    let own_address = context.client.connection.sockname.map(|at| at.ip().to_string()).unwrap_or_default();
    let Some((client, hello)) = tunnel::peek_hello(context, client).await else { return };
    let spec =
        LeafSpec { server_name: hello.sni.as_deref(), address: Some(own_address.as_str()), upstream: None };
    let leaf = match context.tls.leaves.leaf(&spec) {
        Ok(leaf) => leaf,
        Err(err) => return context.log(Level::Error, format_args!("no certificate for this proxy: {err}")),
    };
    let http11 = Bytes::from_static(b"http/1.1");
    let alpn = hello.alpn.contains(&http11).then_some(http11);
    let config = leaf.server_config(alpn.as_slice());
    let name = hello.sni.as_deref().unwrap_or(&own_address);
    let Some((client, mut facts)) = decrypt::accept(context, client, config, name, None).await else {
        return;
    };
    facts.leaf = Some(Bytes::copy_from_slice(leaf.certificate()));
    let context = context.with_client(facts);
    serve_http(&context, client, true).await;
}

async fn serve_http(context: &Context, client: BoxIo, over_tls: bool) {
    let service = Service {
        context: context.clone(),
        servers: Arc::new(Servers::new(http::offers(context.settings.http2))),
        origin: Origin::Explicit { over_tls },
    };
    if let Ended::Connect(connect) = http::serve_h1(&service, client).await {
        // The idle connections of earlier requests are of no use any more.
        drop(service);
        Box::pin(serve_connect(context, *connect)).await;
    }
}

/// A tunnel was asked for: connect first (unless lazy), so that a failure can be told, then answer.
async fn serve_connect(context: &Context, connect: Connect) {
    let connect = if context.settings.addons.is_empty() {
        connect
    } else {
        match Box::pin(connect_hook::offer(context, connect)).await {
            Some(connect) => *connect,
            None => return,
        }
    };
    let Connect { mut client, request, destination } = connect;
    if let (Allowed::No(why), _) = http::explicit_allowed(context, &destination, Entry::Tunnel) {
        let error = FlowError {
            message: why.to_string(),
            timestamp: clock::now(),
            side: Some(Side::Proxy),
            phase: Some(Phase::Connect),
        };
        let facts = Arc::new(ServerConnection::new(clock::new_id(), Some(destination)));
        let refusal = connect_refusal(403, &why);
        return Box::pin(refuse_connect(context, client, request, facts, refusal, error)).await;
    }
    let (context, server) = early::open(context, &destination).await;
    let server = match server {
        Ok(open) => ServerState::from(open),
        Err(error) => {
            let refusal = connect_refusal(error.status, &refusal_text(&error));
            let facts = Arc::clone(&error.facts);
            let error = error.flow_error();
            return Box::pin(refuse_connect(&context, client, request, facts, refusal, error)).await;
        }
    };
    if client.send_own_response(&connect_established(), Bytes::new()).is_err()
        || client.flush().await.is_err()
    {
        return;
    }
    let (io, read) = client.into_parts();
    let client: BoxIo = if read.is_empty() { io } else { Box::new(Rewound::new(read, io)) };
    tunnel::run(&context, Target::anything(destination), client, server, None).await;
}

/// Tells the client that there is no tunnel for it, and reports the flow.
async fn refuse_connect(
    context: &Context,
    mut client: H1Client,
    request: Request,
    server: Arc<ServerConnection>,
    answer: OwnResponse,
    error: FlowError,
) {
    let told = client.send_own_response(&answer.head, answer.body).is_ok() && client.flush().await.is_ok();
    let http = HttpFlow { request, response: None, websocket: None };
    let created = http.request.timestamp_start;
    let kind = FlowKind::Http(Box::new(http));
    let mut flow = Flow::new(clock::new_id(), Arc::clone(&context.client), server, kind, created);
    flow.error = Some(error);
    context.report(flow).await;
    if told {
        client.close(&context.stop).await;
    }
}

fn refusal_text(error: &ServerError) -> String {
    format!(
        "{}. If you plan to redirect requests away from this server, consider setting `connection_strategy` to `lazy`.",
        error.message
    )
}
