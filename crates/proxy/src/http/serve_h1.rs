//! A client connection that speaks HTTP/1: requests one after the other, pipelined ones in order.

use bytes::Bytes;
use flowgate_flow::{Address, Body, Headers, HttpVersion, PseudoFields, Request, Timestamp};
use flowgate_net::{BoxIo, Rewound};
use flowgate_wire::http1::{
    BodyError, Framing, HeadError, RequestHead, Target, TargetError, is_token, parse_authority, parse_target,
};
use flowgate_wire::limits::TARGET_BYTES_MAX;

use super::forward::{asks_to_upgrade, name_host};
use super::h1_client::{H1Client, NextRequest, Unreadable};
use super::h2_tunnel::Cut;
use super::servers::Route;
use super::service::{Allowed, Next, Origin, Service};
use super::side::SideError;
use super::upgrade::Upgrade;
use crate::egress::Purpose;
use crate::idle::IdleTimer;
use flowgate_options::Level;

/// What the connection turned into, if it did not simply end.
pub(crate) enum Ended {
    Closed,
    /// A client of an explicit proxy asked for a tunnel: the connection as it is behind the request's head.
    Connect(Box<Connect>),
}

/// A request for a tunnel that is not answered yet.
pub(crate) struct Connect {
    pub(crate) client: H1Client,
    pub(crate) request: Request,
    pub(crate) destination: Address,
}

/// Serves a client until it is done, or wants something other than HTTP.
pub(crate) async fn serve(service: &Service, io: BoxIo) -> Ended {
    let settings = &service.context.settings;
    let mut client = H1Client::new(io, settings.header_names());
    let mut idle = IdleTimer::new(settings.idle_timeout);
    let mut stop = std::pin::pin!(service.context.stop.cancelled());
    let mut broke_rules = false;
    loop {
        let next = tokio::select! {
            biased;
            next = client.next_request(&mut idle) => next,
            // Between requests there is nothing the client could still be sending that we would answer.
            () = &mut stop => {
                client.hang_up().await;
                return Ended::Closed;
            }
        };
        let (head, framing, times) = match next {
            NextRequest::Request { head, framing, times } => (head, framing, times),
            NextRequest::Closed => return Ended::Closed,
            NextRequest::Unreadable(unreadable) => {
                Box::pin(refuse_unreadable(service, &mut client, *unreadable)).await;
                broke_rules = true;
                break;
            }
        };
        let (request, mut route) = match resolve(&service.origin, head, framing, times.started) {
            Ok(Resolved::Request(mut request, route)) => {
                request.timestamp_end = (framing == Framing::None).then_some(times.ended);
                (request, route)
            }
            Ok(Resolved::Connect(request, destination)) => {
                return Ended::Connect(Box::new(Connect { client, request, destination }));
            }
            Err(refused) => {
                let Refused { request, status, message } = *refused;
                service.context.log(Level::Warn, format_args!("refused a request: {message}"));
                let bytes = client.received();
                Box::pin(service.refuse_bytes(&mut client, request, status, message, bytes)).await;
                broke_rules = true;
                break;
            }
        };
        let hidden;
        let service = match (service.allowed(&mut route), &service.origin) {
            (Allowed::No(why), _) => {
                // The body it may have is not waited for.
                Box::pin(service.refuse(&mut client, request, 403, &why)).await;
                break;
            }
            (Allowed::Hidden, Origin::Explicit { over_tls }) => {
                hidden = service.hide(*over_tls);
                &hidden
            }
            _ => service,
        };
        let mut exchange = service.exchange(request, framing);
        match service.serve(&mut client, &mut exchange, &route, &mut idle).await {
            Next::Continue if client.can_continue() => {}
            // What it is still told goes out when it is closed, which waits for nobody for long.
            Next::Continue | Next::Close => break,
            Next::Upgrade(upgrade) => {
                Box::pin(switch_protocols(service, client, *upgrade)).await;
                return Ended::Closed;
            }
        }
    }
    if broke_rules {
        let (proxy, stop) = (&service.context.proxy, service.context.stop.clone());
        proxy.farewells.begin(&proxy.tasks, async move { client.close(&stop).await });
    } else {
        client.close(&service.context.stop).await;
    }
    Ended::Closed
}

enum Resolved {
    Request(Request, Route),
    Connect(Request, Address),
}

/// A request that goes nowhere, and why.
struct Refused {
    request: Request,
    status: u16,
    message: &'static str,
}

impl Refused {
    fn new(request: Request, message: &'static str) -> Box<Self> {
        Box::new(Self { request, status: 400, message })
    }
}

/// Where a request goes, or the status and words with which it is refused. `framing` is how its body is delimited.
fn resolve(
    origin: &Origin,
    head: RequestHead,
    framing: Framing,
    started: Timestamp,
) -> Result<Resolved, Box<Refused>> {
    let mut request = Request {
        version: head.version,
        method: head.method,
        scheme: Bytes::new(),
        host: String::new(),
        port: 0,
        authority: Bytes::new(),
        path: head.target.clone(),
        pseudo: PseudoFields::default(),
        headers: head.headers,
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: started,
        timestamp_end: None,
    };
    let target = match parse_target(&request.method, &head.target) {
        Ok(target) => target,
        Err(err) => return Err(Refused::new(request, explain_target(err))),
    };
    let known = if let Target::Absolute { authority, .. } = &target { authority } else { &Bytes::new() };
    if let Some(message) = refuses_host(&request, known) {
        return Err(Refused::new(request, message));
    }
    let (tls, asked) = match target {
        Target::Authority(destination) => {
            request.authority = head.target;
            request.path = Bytes::new();
            (request.host, request.port) = (destination.host.clone(), destination.port);
            return match origin {
                // It has none (RFC 9110 section 9.3.6), so to some that is the beginning of what goes through the tunnel, and others take it
                // out.
                _ if !matches!(framing, Framing::None | Framing::Length(0)) => Err(Refused::new(
                    request,
                    "CONNECT with a body, which could also be meant for the server.",
                )),
                Origin::Explicit { .. } => Ok(Resolved::Connect(request, destination)),
                Origin::Fixed { .. } | Origin::Blocked(..) => {
                    Err(Refused::new(request, "CONNECT inside a connection that has its destination."))
                }
            };
        }
        Target::Absolute { scheme, authority, address, path } => {
            // A Host that says otherwise crosses as it is, although RFC 9112 section 3.2.2 has proxies replace it: people
            // who look through a proxy ask one address for another host's pages on purpose (mitmproxy likewise).
            request.authority = authority;
            request.path = path;
            (scheme == "https", Some(address))
        }
        Target::Origin | Target::Asterisk => (matches!(origin, Origin::Explicit { over_tls: true }), None),
    };
    // An upgrade is for the server: proxies in between would take it out (RFC 9110 section 7.8).
    let purpose = if tls || asks_to_upgrade(&request.headers) { Purpose::Tunnel } else { Purpose::Requests };
    let route = match (origin, asked) {
        (Origin::Fixed { route, .. } | Origin::Blocked(route, _), _) => route.clone(),
        (Origin::Explicit { .. }, Some(address)) => {
            Route { tls_name: tls.then(|| address.host.clone()), address, purpose, egress: None }
        }
        (Origin::Explicit { .. }, None) => {
            let default_port = if tls { 443 } else { 80 };
            let host =
                request.headers.get("host").and_then(|host| parse_authority(host, Some(default_port)).ok());
            match host {
                Some(address) => {
                    Route { tls_name: tls.then(|| address.host.clone()), address, purpose, egress: None }
                }
                None => return Err(Refused::new(request, "The request does not say which host it is for.")),
            }
        }
    };
    request.scheme = Bytes::from_static(if route.tls_name.is_some() { b"https" } else { b"http" });
    (request.host, request.port) = (route.address.host.clone(), route.address.port);
    if let Origin::Fixed { host: Some(host), .. } = origin {
        name_host(&mut request, host);
    }
    Ok(Resolved::Request(request, route))
}

/// Why a request's `Host` is not acceptable (RFC 9112 section 3.2), if it is not; `known` is an authority that is.
fn refuses_host(request: &Request, known: &[u8]) -> Option<&'static str> {
    let mut hosts = request.headers.get_all("host");
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => Some("The request names two hosts (RFC 9112 section 3.2)."),
        (Some(host), None) => {
            let is_well_formed = host.is_empty() || host == known || parse_authority(host, Some(80)).is_ok();
            (!is_well_formed).then_some("The request's Host field is malformed (RFC 9112 section 3.2).")
        }
        // Where it goes is known by other means, and the server judges the rest, as with mitmproxy.
        (None, _) => None,
    }
}

const fn explain_target(err: TargetError) -> &'static str {
    match err {
        TargetError::Scheme => "The request target's scheme is neither http nor https.",
        TargetError::Host => "The request target's host is malformed.",
        TargetError::Port => "The request target's port is missing or malformed.",
        TargetError::UserInfo => "The request target holds user information.",
        _ => "The request target is malformed.",
    }
}

async fn refuse_unreadable(service: &Service, client: &mut H1Client, unreadable: Unreadable) {
    let Unreadable { error, head, received, started } = unreadable;
    // No more than the request line: fields and bodies may be secrets, and those stand in no log.
    let line = first_line(&received);
    let start = line.get(..80).unwrap_or(line).escape_ascii();
    service.context.log(Level::Warn, format_args!("refused a request: {error}; it begins \"{start}\""));
    let request = match head.map(|head| resolve(&service.origin, head, Framing::None, started)) {
        Some(Ok(Resolved::Request(request, _) | Resolved::Connect(request, _))) => request,
        Some(Err(refused)) => refused.request,
        None => guessed(&received, started),
    };
    let message = match error {
        SideError::Closed => "The request was refused: the connection was closed inside its head.".to_owned(),
        ref error => format!("The request was refused: {error}."),
    };
    service.refuse_bytes(client, request, status_of(&error), &message, received).await;
}

/// The first line that is not empty, without its end.
fn first_line(received: &[u8]) -> &[u8] {
    received.split(|b| matches!(b, b'\r' | b'\n')).find(|line| !line.is_empty()).unwrap_or_default()
}

/// What a user is shown of a request that is none: the words of its first line, as far as they could be a method and a target.
fn guessed(received: &Bytes, started: Timestamp) -> Request {
    let mut words = first_line(received).split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty());
    let method = words.next().filter(|word| is_token(word)).unwrap_or_default();
    let path = if method.is_empty() { &[][..] } else { words.next().unwrap_or_default() };
    Request {
        version: HttpVersion::Http11,
        method: Bytes::copy_from_slice(method),
        scheme: Bytes::new(),
        host: String::new(),
        port: 0,
        authority: Bytes::new(),
        path: Bytes::copy_from_slice(path.get(..path.len().min(TARGET_BYTES_MAX)).unwrap_or_default()),
        pseudo: PseudoFields::default(),
        headers: Headers::new(),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: started,
        timestamp_end: None,
    }
}

const fn status_of(error: &SideError) -> u16 {
    match error {
        SideError::Head(HeadError::TooLong | HeadError::TooManyFields) => 431,
        SideError::Head(HeadError::TargetTooLong) => 414,
        SideError::Head(HeadError::Version) => 505,
        SideError::Body(BodyError::UnknownEncoding) => 501,
        SideError::HeadTimeout => 408,
        _ => 400,
    }
}

/// After 101: what follows is another protocol's.
async fn switch_protocols(service: &Service, mut client: H1Client, upgrade: Upgrade) {
    if client.flush().await.is_err() {
        return service.context.report(upgrade.flow).await;
    }
    let (io, read) = client.into_parts();
    service.switch_protocols(Box::new(Rewound::new(read, io)), Cut::default(), upgrade).await;
}
