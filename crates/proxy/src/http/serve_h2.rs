//! A client connection that speaks HTTP/2: each stream is served by a task of its own and is a flow of its own.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use flowgate_net::BoxIo;
use flowgate_wire::http1::Framing;
use h2::RecvStream;
use h2::server::SendResponse;

use super::forward::name_host;
use super::h2_client::H2ClientStream;
use super::service::{Next, Origin, Service};
use super::translate;
use crate::idle::IdleTimer;
use crate::instance::guarded;
use crate::limits::{
    H2_CONNECTION_WINDOW_BYTES, H2_HEADER_LIST_BYTES, H2_STREAM_WINDOW_BYTES, H2_STREAMS_MAX,
    TLS_HANDSHAKE_TIMEOUT,
};
use flowgate_options::Level;

/// Serves a client until it is done.
pub(crate) async fn serve(service: Service, io: BoxIo) {
    let handshake = h2::server::Builder::new()
        .max_concurrent_streams(H2_STREAMS_MAX)
        .initial_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_header_list_size(H2_HEADER_LIST_BYTES)
        .handshake::<_, Bytes>(io);
    let mut connection = match tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(err)) => {
            return service.context.log(Level::Warn, format_args!("client speaks malformed HTTP/2: {err}"));
        }
        Err(_) => {
            return service.context.log(Level::Warn, format_args!("client did not begin HTTP/2 in time"));
        }
    };
    let service = Arc::new(service);
    let mut stop = std::pin::pin!(service.context.stop.cancelled());
    let mut stopping = false;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = poll_fn(|cx| connection.poll_accept(cx)) => accepted,
            () = &mut stop, if !stopping => {
                stopping = true;
                connection.graceful_shutdown();
                continue;
            }
        };
        match accepted {
            None => return,
            Some(Err(err)) => {
                if !err.is_io() {
                    service.context.log(Level::Warn, format_args!("HTTP/2 with the client failed: {err}"));
                }
                return;
            }
            Some(Ok((request, respond))) => {
                let task = serve_stream(Arc::clone(&service), request, respond);
                let guarded = guarded(Arc::clone(&service.context.proxy), service.context.peer, task);
                service.context.proxy.tasks.spawn(guarded);
            }
        }
    }
}

async fn serve_stream(
    service: Arc<Service>,
    request: http::Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let (parts, body) = request.into_parts();
    let framing = if body.is_end_stream() {
        Framing::None
    } else {
        translate::announced_length(&parts.headers).map_or(Framing::Chunked, Framing::Length)
    };
    let mut request = translate::request_from_http2(parts);
    let mut client = H2ClientStream::new(body, respond);
    let Origin::Fixed { route, host } = &service.origin else {
        // HTTP/2 to the proxy itself is not offered (ALPN says http/1.1), so nobody comes here.
        return client.reset(h2::Reason::HTTP_1_1_REQUIRED);
    };
    request.scheme = Bytes::from_static(if route.tls_name.is_some() { b"https" } else { b"http" });
    (request.host, request.port) = (route.address.host.clone(), route.address.port);
    if let Some(host) = host {
        name_host(&mut request, host);
    }
    if request.method.as_ref() == b"CONNECT" {
        return service.refuse(&mut client, request, 501, "CONNECT inside HTTP/2 is not supported.").await;
    }
    let mut idle = IdleTimer::new(service.context.settings.idle_timeout);
    match service.serve(&mut client, request, framing, route, &mut idle).await {
        Next::Continue | Next::Close => {}
        // The h1 side refuses 101 unless an upgrade was asked for, which HTTP/2 requests cannot.
        Next::Upgrade(upgrade) => {
            client.reset(h2::Reason::HTTP_1_1_REQUIRED);
            service.context.report(upgrade.flow).await;
        }
    }
}
