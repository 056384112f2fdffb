//! Mode `socks5`: the client says in RFC 1928 messages where its connection is to go.
//!
//! Not here: what the messages look like (`flowgate_wire::socks5`), and what follows them (`tunnel`).

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use flowgate_flow::{Address, Phase};
use flowgate_net::BoxIo;
use flowgate_options::Level;
use flowgate_policy::Entry;
use flowgate_wire::socks5::{
    Credentials, Method, Parsed, Reply, Socks5Error, encode_credentials_answer, parse_credentials,
    parse_greeting, parse_request,
};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::addon::LiveLogin;
use crate::context::Context;
use crate::early;
use crate::http::{self, Allowed, Farewell};
use crate::limits::{CLIENT_HEADER_TIMEOUT, CONNECT_TIMEOUT};
use crate::peek::Peeked;
use crate::server::ServerError;
use crate::tunnel::{self, Target};

/// The bound address of a reply when there is none.
const NOT_BOUND: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Serves a client until it is gone.
pub(crate) async fn serve(context: &Context, client: BoxIo) {
    let deadline = Instant::now() + CLIENT_HEADER_TIMEOUT;
    let mut handshake = Handshake { client: Peeked::new(client) };
    let asked = tokio::select! {
        asked = timeout_at(deadline, handshake.destination(context)) => asked,
        () = context.stop.cancelled() => return,
    };
    let destination = match asked {
        Ok(Ok(destination)) => destination,
        Ok(Err(failure)) => return handshake.fail(context, failure).await,
        Err(_) => {
            return context
                .log(Level::Warn, format_args!("the client did not finish its SOCKS request in time"));
        }
    };
    if let (Allowed::No(_), _) = http::explicit_allowed(context, &destination, Entry::Tunnel) {
        // Before anybody is connected to; why was logged (RFC 1928 section 6: not allowed by ruleset).
        return handshake.refuse(context, Reply::NotAllowed).await;
    }
    let (context, server) = early::open(context, &destination).await;
    let server = match server {
        Ok(server) => server,
        Err(error) => return handshake.refuse(&context, reply_for(&error)).await,
    };
    let bound = server.as_ref().and_then(|open| open.facts.connection.sockname);
    let mut client = handshake.client.rewind();
    if !send(&mut client, &Reply::Succeeded.encode(bound.unwrap_or(NOT_BOUND))).await {
        return;
    }
    tunnel::run(&context, Target::anything(destination), client, server.into(), None).await;
}

/// A client that has not said yet where it wants to go.
struct Handshake {
    client: Peeked,
}

/// Why there is no destination.
enum Failure {
    /// The client is gone.
    Gone,
    /// It speaks, but not as we can.
    Refused(Socks5Error),
    /// It does not offer the method by which it has to say who it is, or that it need not.
    NoMethod(Method),
    /// Nobody knows it. Why was logged.
    NotLetIn,
}

impl Handshake {
    async fn destination(&mut self, context: &Context) -> Result<Address, Failure> {
        let asks = context.settings.addons.ask_who();
        let method = if asks { Method::UserPassword } else { Method::NoAuthentication };
        let greeting = self.message(parse_greeting).await?;
        if !greeting.offers(method) {
            return Err(Failure::NoMethod(method));
        }
        if !send(self.client.io(), &method.encode()).await {
            return Err(Failure::Gone);
        }
        if asks {
            Box::pin(self.log_in(context)).await?;
        }
        self.message(parse_request).await
    }

    /// Lets the client say who it is (RFC 1929).
    async fn log_in(&mut self, context: &Context) -> Result<(), Failure> {
        let Credentials { user, password } = self.message(parse_credentials).await?;
        let mut live = LiveLogin::new(Arc::clone(&context.client), user, password);
        context.settings.addons.socks5_auth(&mut live).await;
        if !live.is_valid() {
            return Err(Failure::NotLetIn);
        }
        if send(self.client.io(), &encode_credentials_answer(true)).await {
            Ok(())
        } else {
            Err(Failure::Gone)
        }
    }

    /// Waits for a message and takes it; what follows stays.
    async fn message<T>(&mut self, parse: impl Fn(&[u8]) -> Parsed<T>) -> Result<T, Failure> {
        loop {
            if let Some((message, len)) = parse(self.client.bytes()).map_err(Failure::Refused)? {
                self.client.consume(len);
                return Ok(message);
            }
            if self.client.ended() || poll_fn(|cx| self.client.poll_more(cx)).await.is_err() {
                return Err(Failure::Gone);
            }
        }
    }

    async fn fail(self, context: &Context, failure: Failure) {
        match failure {
            Failure::Gone => {}
            Failure::NotLetIn => self.answer(context, &encode_credentials_answer(false)).await,
            Failure::NoMethod(wanted) => {
                let why = match wanted {
                    Method::UserPassword => "the SOCKS client does not offer to say its name and password",
                    _ => "the SOCKS client wants to authenticate, and no method it offers is known here",
                };
                context.log(Level::Warn, format_args!("{why}"));
                self.answer(context, &Method::NoneAcceptable.encode()).await;
            }
            Failure::Refused(error) => {
                let hint = version_hint(error, self.client.bytes());
                context.log(Level::Warn, format_args!("Invalid SOCKS request: {error}.{hint}"));
                if let Some(reply) = error.reply() {
                    self.refuse(context, reply).await;
                }
            }
        }
    }

    async fn refuse(self, context: &Context, reply: Reply) {
        self.answer(context, &reply.encode(NOT_BOUND)).await;
    }

    /// Says a last thing, and closes so that it arrives although the client may still be sending.
    async fn answer(self, context: &Context, bytes: &[u8]) {
        Farewell::of(self.client.rewind(), bytes).say(usize::MAX, &context.stop).await;
    }
}

/// Sends a short message; says whether the client is still there.
async fn send(io: &mut BoxIo, bytes: &[u8]) -> bool {
    let sending = async {
        io.write_all(bytes).await?;
        io.flush().await
    };
    matches!(timeout(CONNECT_TIMEOUT, sending).await, Ok(Ok(())))
}

/// What is probably spoken instead.
fn version_hint(error: Socks5Error, received: &[u8]) -> &'static str {
    match error {
        Socks5Error::Version { found: 4 } => " SOCKS4 is not supported; set the client to SOCKS5.",
        Socks5Error::Version { .. } if received.iter().take(3).all(u8::is_ascii_uppercase) => {
            " Probably not a SOCKS request but a regular HTTP request."
        }
        _ => "",
    }
}

/// What the client is told of a server that cannot be had (RFC 1928 section 6).
fn reply_for(error: &ServerError) -> Reply {
    match (error.phase, error.io_kind) {
        (_, Some(io::ErrorKind::NetworkUnreachable)) => Reply::NetworkUnreachable,
        (_, Some(io::ErrorKind::PermissionDenied)) => Reply::NotAllowed,
        // As mitmproxy, a port that nobody listens at is answered like a host that is not there: 04 and not 05.
        (_, Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable)) => {
            Reply::HostUnreachable
        }
        (Phase::Resolve, _) => Reply::HostUnreachable,
        _ if error.status == 504 => Reply::HostUnreachable,
        _ => Reply::GeneralFailure,
    }
}
