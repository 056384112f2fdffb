//! A client connection that speaks HTTP/2: each stream is a flow of its own.
//!
//! One task moves it all in turns: what has come from the client and from its HTTP/2 servers, the exchanges that this woke,
//! what they have to say. So an exchange costs no task and no queue; a panic in one is caught around it.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use flowgate_flow::{Body, ClientConnection, HttpVersion, PseudoFields, Request};
use flowgate_net::BoxIo;
use flowgate_options::Level;
use flowgate_wire::hpack::FieldList;
use flowgate_wire::http1::Framing;
use flowgate_wire::http2::semantics::{EndStream, ExtendedConnect, is_websocket_connect, read_request};
use flowgate_wire::http2::{Code, Incoming, StreamId};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

use super::forward::name_host;
use super::h2_body::shown;
use super::h2_client::H2ClientStream;
use super::h2_driver::Driver;
use super::h2_link::H2Stream;
use super::h2_tunnel::Cut;
use super::service::{Next, Origin, Service};
use super::side::ClientSide;
use super::turn::Turn;
use crate::clock;
use crate::idle::IdleTimer;

/// Serves a client until it is done.
pub(crate) async fn serve(mut service: Service, io: BoxIo) {
    let client = Driver::for_client(io, service.context.settings.idle_timeout);
    let mut drivers = Drivers { client, servers: Vec::new() };
    let opened = begin(&service, &mut drivers).await;
    let mut told = ClientConnection::clone(&service.context.client);
    told.connection.http2 = Some(Box::new(drivers.client.link.lock().connection.beginning().clone()));
    service.context = service.context.with_client(told);
    carry(&service, &mut drivers, opened).await;
    let Drivers { client, servers } = drivers;
    let failure = client.failure();
    if let Some(error) = failure {
        service.context.log(Level::Warn, format_args!("HTTP/2 with the client failed: {error}"));
    }
    let (proxy, stop) = (Arc::clone(&service.context.proxy), service.context.stop.clone());
    for server in servers {
        proxy.tasks.spawn(server.close(stop.clone()));
    }
    drop(service);
    let farewell = client.close(stop);
    if failure.is_some() {
        proxy.farewells.begin(&proxy.tasks, farewell);
    } else {
        farewell.await;
    }
}

/// The connections that the task of a client moves.
struct Drivers {
    client: Driver,
    servers: Vec<Driver>,
}

impl Drivers {
    /// Reads from all of them, and looks at the time; appends the streams that the client opened. Whether anything was done.
    fn poll_read(&mut self, cx: &mut Context<'_>, opened: &mut Vec<StreamId>) -> bool {
        let mut moved = self.client.poll_read(cx, opened) || self.client.poll_time(cx);
        for server in &mut self.servers {
            moved |= server.poll_read(cx, &mut Vec::new()) || server.poll_time(cx);
        }
        moved
    }

    /// Writes to all of them. Whether anything was done.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = self.client.poll_write(cx);
        for server in &mut self.servers {
            moved |= server.poll_write(cx);
        }
        moved
    }

    /// There is nothing to do until something comes.
    fn rest(&mut self) {
        self.client.rest();
        self.servers.iter_mut().for_each(Driver::rest);
    }
}

/// Serves a client, whose first streams are `opened`, as long as there is something to do.
async fn carry(service: &Service, drivers: &mut Drivers, mut opened: Vec<StreamId>) {
    let turn = Arc::new(Turn::default());
    let waker = Waker::from(Arc::clone(&turn));
    let mut exchanges = FuturesUnordered::new();
    // Those of exchanges that ended, so that not each of them has to set up its own.
    let mut timers: Vec<IdleTimer> = Vec::new();
    let mut stop = pin!(service.context.stop.cancelled());
    let mut stopping = false;
    poll_fn(|task| {
        turn.begin(task.waker());
        let cx = &mut Context::from_waker(&waker);
        // As many turns as there is something to do, but others want to be served too: reading uses up what tokio lets a task
        // do at a time, and is pending then.
        loop {
            let mut moved = turn.take_woken();
            if !stopping && stop.as_mut().poll(cx).is_ready() {
                stopping = true;
                drivers.client.link.lock().connection.shut_down();
            }
            moved |= drivers.poll_read(cx, &mut opened);
            if !opened.is_empty() && drivers.client.is_flooded() {
                // Beginning them would cost us more than opening them did. The log has the one line that tells of it.
                opened.clear();
            }
            for id in opened.drain(..) {
                let timer =
                    timers.pop().unwrap_or_else(|| IdleTimer::new(service.context.settings.idle_timeout));
                exchanges.push(serve_stream(service, drivers.client.link.stream(id), id, timer));
            }
            while let Poll::Ready(Some(timer)) = exchanges.poll_next_unpin(cx) {
                timers.extend(timer);
                moved = true;
            }
            service.servers.take_drivers(&mut drivers.servers);
            moved |= drivers.poll_write(cx);
            let over = drivers.servers.extract_if(.., |server| server.is_over());
            for server in over {
                service.context.proxy.tasks.spawn(server.close(service.context.stop.clone()));
            }
            if drivers.client.is_over() && exchanges.is_empty() {
                return Poll::Ready(());
            }
            if !moved && turn.end() {
                drivers.rest();
                return Poll::Pending;
            }
            turn.begin(task.waker());
        }
    })
    .await;
}

/// Waits for the client's first streams. By then it has said what it says of itself, which stands with the flows of all of them.
async fn begin(service: &Service, drivers: &mut Drivers) -> Vec<StreamId> {
    let mut opened = Vec::new();
    let mut stop = pin!(service.context.stop.cancelled());
    poll_fn(|cx| {
        // One that was connected to ahead may speak first.
        service.servers.take_drivers(&mut drivers.servers);
        loop {
            let mut moved = drivers.poll_read(cx, &mut opened);
            if !opened.is_empty() {
                return Poll::Ready(());
            }
            moved |= drivers.poll_write(cx);
            if drivers.client.is_over() || stop.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if !moved {
                drivers.rest();
                return Poll::Pending;
            }
        }
    })
    .await;
    opened
}

/// Serves one stream; gives its timer back.
async fn serve_stream(
    service: &Service,
    stream: H2Stream,
    id: StreamId,
    mut timer: IdleTimer,
) -> Option<IdleTimer> {
    let exchange = AssertUnwindSafe(serve_request(service, stream, id, &mut timer)).catch_unwind();
    match exchange.await {
        Ok(()) => {
            timer.let_go();
            Some(timer)
        }
        Err(panic) => {
            service.context.proxy.count_panic(service.context.peer, &*panic);
            None
        }
    }
}

async fn serve_request(service: &Service, stream: H2Stream, id: StreamId, timer: &mut IdleTimer) {
    // A stream is opened by its head, so that is there.
    let head = poll_fn(|cx| Poll::Ready(stream.poll_take(cx))).await;
    let Poll::Ready(Ok(Incoming::Head { fields, ends, priority })) = head else { return };
    let ends = if ends { EndStream::Yes } else { EndStream::No };
    let read = read_request(&fields, ends, ExtendedConnect::Enabled, clock::now());
    let (mut request, framing) = match read {
        Ok(read) => read,
        Err(error) => {
            let message = format!("The request was refused: {error}.");
            service.context.log(Level::Warn, format_args!("refused a request on stream {id}: {error}"));
            let status = error.status();
            let mut client = if status == 400 {
                H2ClientStream::malformed(stream)
            } else {
                H2ClientStream::new(stream, Bytes::new(), Framing::None)
            };
            let request = guessed(&fields);
            let bytes = shown(&fields);
            // Boxed, as all that is rare: an exchange has no room for it.
            return Box::pin(service.refuse_bytes(&mut client, request, status, &message, bytes)).await;
        }
    };
    drop(fields);
    request.pseudo.priority = priority;
    let mut client = H2ClientStream::new(stream, request.method.clone(), framing);
    let Origin::Fixed { route, host } = &service.origin else {
        // HTTP/2 to the proxy itself is not offered (ALPN says http/1.1), so nobody comes here.
        return client.reset(Code::HTTP_1_1_REQUIRED);
    };
    request.scheme = Bytes::from_static(if route.tls_name.is_some() { b"https" } else { b"http" });
    (request.host, request.port) = (route.address.host.clone(), route.address.port);
    if let Some(host) = host {
        name_host(&mut request, host);
    }
    if let Poll::Ready(gone) = poll_fn(|cx| Poll::Ready(client.poll_gone(cx))).await {
        // Nobody waits for it any more, so no server is troubled with it.
        return Box::pin(service.given_up(&mut client, request, gone)).await;
    }
    let websocket = is_websocket_connect(&request);
    if request.method.as_ref() == b"CONNECT" && !websocket {
        let message = match &request.pseudo.protocol {
            Some(protocol) => format!(
                "CONNECT for another protocol than WebSocket is not supported: {}.",
                protocol.escape_ascii()
            ),
            None => "CONNECT inside HTTP/2 is not supported.".to_owned(),
        };
        return Box::pin(service.refuse(&mut client, request, 501, &message)).await;
    }
    // What follows an extended CONNECT is no body.
    let framing = if websocket { Framing::None } else { framing };
    let mut exchange = service.exchange(request, framing);
    match service.serve(&mut client, &mut exchange, route, timer).await {
        Next::Continue | Next::Close => {}
        Next::Upgrade(upgrade) => {
            let cut = Cut::default();
            let client = Box::new(client.into_tunnel(cut.clone()));
            Box::pin(service.switch_protocols(client, cut, *upgrade)).await;
        }
    }
}

/// What a user is shown of a request that is none: what is there of it.
fn guessed(fields: &FieldList) -> Request {
    let value = |name: &[u8]| {
        let field = fields.iter().find(|field| field.name == name);
        Bytes::copy_from_slice(field.map_or(&[], |field| field.value))
    };
    let pseudo = fields.iter().take_while(|field| field.name.starts_with(b":")).count();
    Request {
        version: HttpVersion::Http2,
        method: value(b":method"),
        scheme: value(b":scheme"),
        host: String::new(),
        port: 0,
        authority: value(b":authority"),
        path: value(b":path"),
        pseudo: PseudoFields::default(),
        headers: fields.headers(pseudo),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: clock::now(),
        timestamp_end: None,
    }
}

#[cfg(test)]
mod tests;
