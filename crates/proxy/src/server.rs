//! Opening connections to servers: TCP, then TLS, with what flows tell of them.

mod asked;

use std::sync::Arc;

use bytes::Bytes;
use flowgate_flow::{Address, FlowError, Phase, ServerConnection, Side, Transport, Via};
use flowgate_net::{BoxIo, ConnectError, ReadAhead, connect_datagrams, connect_judged};
use flowgate_tls::{Explanation, IdentityError, explain_server_failure, openssl_cipher_name, version_name};
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::context::Context;
use crate::egress::{EgressError, Purpose};
use crate::limits::TLS_HANDSHAKE_TIMEOUT;
use crate::settings::Settings;
use crate::tls_io::TlsIo;
use asked::Judge;
use flowgate_options::Level;

/// An open connection to a server.
pub(crate) struct OpenServer {
    pub(crate) io: BoxIo,
    /// Boxed: they are handed on many times.
    pub(crate) facts: Box<ServerConnection>,
    /// Says in the log when the connection is gone.
    pub(crate) guard: ServerGuard,
}

#[cfg(any(test, fuzzing))]
impl OpenServer {
    /// A connection that was not opened here.
    pub(crate) fn in_memory(context: &Context, address: &Address, io: BoxIo) -> Self {
        let facts = Box::new(ServerConnection::new(clock::new_id(), Some(address.clone())));
        Self { io, facts, guard: ServerGuard::start(context, || address.to_string()) }
    }
}

/// Why there is no connection to a server, in words for the client and the flow.
#[derive(Clone, Debug)]
pub(crate) struct ServerError {
    pub(crate) phase: Phase,
    pub(crate) message: String,
    /// 502, or 504 if nobody answered.
    pub(crate) status: u16,
    /// What the system said, if it was the system.
    pub(crate) io_kind: Option<std::io::ErrorKind>,
    /// What can be told of the connection all the same.
    pub(crate) facts: Arc<ServerConnection>,
}

impl ServerError {
    pub(crate) fn flow_error(&self) -> FlowError {
        FlowError {
            message: self.message.clone(),
            timestamp: clock::now(),
            side: Some(Side::Server),
            phase: Some(self.phase),
        }
    }
}

/// Logs the end of a server connection when dropped.
pub(crate) struct ServerGuard {
    tasks: TaskTracker,
    /// `None` if nobody is told.
    end: Option<Box<End>>,
}

/// Who is told that a server connection is gone.
struct End {
    context: Context,
    /// `None` if nobody reads it.
    name: Option<String>,
    /// What addons are told the end of; `None` if there are none.
    told: Option<Box<ServerConnection>>,
}

impl ServerGuard {
    /// Says that the connection is there, if anybody listens; `name` is asked only then.
    pub(crate) fn start(context: &Context, name: impl FnOnce() -> String) -> Self {
        let end = context.logs(Level::Info).then(|| {
            let name = name();
            context.log(Level::Info, format_args!("server connect {name}"));
            Box::new(End { context: context.clone(), name: Some(name), told: None })
        });
        Self { tasks: context.proxy.tasks.clone(), end }
    }

    /// Has addons told the end, too.
    fn tell_end(&mut self, context: &Context, server: Box<ServerConnection>) {
        let nobody = || Box::new(End { context: context.clone(), name: None, told: None });
        self.end.get_or_insert_with(nobody).told = Some(server);
    }

    /// Where tasks belong that outlive the client connection.
    pub(crate) fn tasks(&self) -> TaskTracker {
        self.tasks.clone()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            self.context.log(Level::Info, format_args!("server disconnect {name}"));
        }
        if let Some(server) = self.told.take() {
            asked::disconnected(&self.context, *server);
        }
    }
}

/// Connects to a server's port by the connection's way out.
pub(crate) async fn open(
    context: &Context,
    address: &Address,
    purpose: Purpose,
) -> Result<OpenServer, ServerError> {
    let via = context.egress.via();
    let facts = ServerConnection { via, ..ServerConnection::new(clock::new_id(), Some(address.clone())) };
    let facts = Box::new(facts);
    ask_and_open(context, address, facts, async |address, facts| dial(context, address, purpose, facts).await)
        .await
}

/// What [`ask_and_open`] opens.
trait Opened {
    fn facts(&self) -> &ServerConnection;

    fn guard(&mut self) -> &mut ServerGuard;
}

/// Opens a way to a server, which addons may lead elsewhere or refuse before, and are told of afterwards.
async fn ask_and_open<T: Opened>(
    context: &Context,
    address: &Address,
    facts: Box<ServerConnection>,
    dial: impl AsyncFnOnce(&Address, Box<ServerConnection>) -> Result<T, ServerError>,
) -> Result<T, ServerError> {
    if context.settings.addons.is_empty() {
        return dial(address, facts).await;
    }
    // Boxed: without addons there is no room for it.
    Box::pin(async {
        let facts = asked::server_connect(context, facts).await?;
        let address = asked::address_of(&facts, address);
        let mut opened = dial(&address, facts).await;
        match &mut opened {
            Ok(open) => {
                asked::connected(context, open.facts()).await;
                let told = Box::new(open.facts().clone());
                open.guard().tell_end(context, told);
            }
            Err(error) => asked::failed_to_connect(context, error).await,
        }
        opened
    })
    .await
}

async fn dial(
    context: &Context,
    address: &Address,
    purpose: Purpose,
    mut facts: Box<ServerConnection>,
) -> Result<OpenServer, ServerError> {
    let first_hop = context.egress.upstream_proxy().map_or(address, |proxy| &proxy.address);
    let Settings { connect_addr: from, lookup, connect_timeout: within, .. } = &*context.settings;
    let deadline = Instant::now() + *within;
    facts.connection.timestamp_start = Some(clock::now());
    let mut judge = Judge::new(context, &facts);
    let stream = match connect_judged(first_hop, *from, lookup, *within, |at| judge.allows(at)).await {
        Ok(stream) => stream,
        Err(ConnectError::NotAllowed { .. }) if let Some(error) = judge.refusal(&facts) => return Err(error),
        Err(err) => return Err(connect_failed(context, address, facts, &err)),
    };
    facts.timestamp_tcp_setup = Some(clock::now());
    facts.connection.sockname = stream.local_addr().ok();
    let peer = stream.peer_addr().ok();
    if let (Some(local), Some(peer)) = (facts.connection.sockname, peer)
        && context.proxy.is_own_listener(Transport::Tcp, local, peer)
    {
        let message = match &facts.via {
            Some(via) => format!("{} is this proxy itself: nothing would ever leave it", shown(via)),
            None => format!("{address} is this proxy itself: the request would come back for ever"),
        };
        return Err(failed(context, facts, Phase::Connect, 502, message));
    }
    if facts.via.is_none() {
        // Behind an upstream proxy the server's address is not known: the peer would be the proxy's.
        facts.connection.peername = peer;
    }
    let mut io: BoxIo = Box::new(stream);
    if facts.via.is_some() {
        // Boxed: who leaves straight does not carry it along.
        io = match Box::pin(context.egress.lead(context, io, address, purpose, deadline)).await {
            Ok(io) => io,
            Err(err) => return Err(egress_failed(context, address, facts, &err)),
        };
    }
    let guard = ServerGuard::start(context, || match (&facts.via, peer) {
        (Some(via), _) => format!("{address} via {}", shown(via)),
        (None, Some(peer)) if peer.ip().to_string() != address.host => format!("{address} ({peer})"),
        _ => address.to_string(),
    });
    Ok(OpenServer { io, facts, guard })
}

impl Opened for OpenServer {
    fn facts(&self) -> &ServerConnection {
        &self.facts
    }

    fn guard(&mut self) -> &mut ServerGuard {
        &mut self.guard
    }
}

/// The error for a host that exists only in this proxy, where something else than requests is asked of it.
pub(crate) fn not_a_server(address: &Address) -> ServerError {
    let facts = Box::new(ServerConnection::new(clock::new_id(), Some(address.clone())));
    let message = format!("{} is a page of this proxy and no server", address.host);
    failed_quietly(facts, Phase::Connect, 502, message)
}

/// A socket for a server's datagrams.
pub(crate) struct OpenDatagrams {
    pub(crate) socket: UdpSocket,
    pub(crate) facts: Box<ServerConnection>,
    /// Says in the log when the conversation is over.
    pub(crate) guard: ServerGuard,
}

impl Opened for OpenDatagrams {
    fn facts(&self) -> &ServerConnection {
        &self.facts
    }

    fn guard(&mut self) -> &mut ServerGuard {
        &mut self.guard
    }
}

/// Opens a socket for a server's datagrams, straight: no way through an upstream proxy takes them yet. Nothing is sent.
pub(crate) async fn open_datagrams(
    context: &Context,
    address: &Address,
) -> Result<OpenDatagrams, ServerError> {
    let mut facts = Box::new(ServerConnection::new(clock::new_id(), Some(address.clone())));
    facts.connection.transport = Transport::Udp;
    ask_and_open(context, address, facts, async |address, facts| {
        dial_datagrams(context, address, facts).await
    })
    .await
}

async fn dial_datagrams(
    context: &Context,
    address: &Address,
    mut facts: Box<ServerConnection>,
) -> Result<OpenDatagrams, ServerError> {
    facts.connection.timestamp_start = Some(clock::now());
    let mut judge = Judge::new(context, &facts);
    let Settings { connect_addr: from, lookup, connect_timeout: within, .. } = &*context.settings;
    let socket = match connect_datagrams(address, *from, lookup, *within, |at| judge.allows(at)).await {
        Ok(socket) => socket,
        Err(ConnectError::NotAllowed { .. }) if let Some(error) = judge.refusal(&facts) => return Err(error),
        Err(err) => return Err(connect_failed(context, address, facts, &err)),
    };
    facts.connection.sockname = socket.local_addr().ok();
    facts.connection.peername = socket.peer_addr().ok();
    if let (Some(local), Some(peer)) = (facts.connection.sockname, facts.connection.peername)
        && context.proxy.is_own_listener(Transport::Udp, local, peer)
    {
        let message = format!("{address} is this proxy itself: datagrams would come back for ever");
        return Err(failed(context, facts, Phase::Connect, 502, message));
    }
    let guard = ServerGuard::start(context, || match facts.connection.peername {
        Some(peer) if peer.ip().to_string() != address.host => format!("{address} ({peer})"),
        _ => address.to_string(),
    });
    Ok(OpenDatagrams { socket, facts, guard })
}

/// An upstream proxy as users read it.
fn shown(via: &Via) -> String {
    format!("upstream proxy {}://{}", via.scheme, via.address)
}

/// Speaks TLS on an open connection. `name` is whom we ask for; `offers` are the ALPN protocols offered.
pub(crate) async fn open_tls(
    context: &Context,
    server: OpenServer,
    name: &str,
    offers: &[Bytes],
) -> Result<OpenServer, ServerError> {
    let OpenServer { io, mut facts, guard } = server;
    facts.connection.tls = true;
    facts.connection.alpn_offers = offers.to_vec();
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    facts.connection.sni = (!is_address).then(|| name.to_owned());
    let stream = match connect_tls(context, io, name, offers).await {
        Ok(stream) => stream,
        Err(err) => {
            let status = if matches!(err, TlsError::TimedOut { .. }) { 504 } else { 502 };
            let error = failed(context, facts, Phase::Tls, status, err.to_string());
            if let Some(hint) = err.hint() {
                context.log(Level::Warn, format_args!("hint: {hint}"));
            }
            return Err(error);
        }
    };
    let session = stream.get_ref().1;
    let connection = &mut facts.connection;
    connection.timestamp_tls_setup = Some(clock::now());
    connection.alpn = Some(session.alpn_protocol().map(Bytes::copy_from_slice).unwrap_or_default());
    connection.tls_version = session.protocol_version().map(|version| version_name(version).into_owned());
    connection.cipher =
        session.negotiated_cipher_suite().map(|suite| openssl_cipher_name(suite.suite()).into_owned());
    let certificates = session.peer_certificates().unwrap_or_default();
    connection.certificate_list = certificates.iter().map(|cert| Bytes::copy_from_slice(cert)).collect();
    Ok(OpenServer { io: Box::new(TlsIo::new(stream)), facts, guard })
}

/// Why there is no TLS with a server or an upstream proxy.
#[derive(Debug, Error)]
pub(crate) enum TlsError {
    #[error("`{name}` is no name that TLS could ask a server for")]
    Name { name: String },
    #[error("{0}")]
    Handshake(Explanation),
    #[error("{name} did not finish the TLS handshake in time")]
    TimedOut { name: String },
    #[error("client_certs: {0}")]
    ClientCertificate(#[from] IdentityError),
}

impl TlsError {
    /// What can be done about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Handshake(explanation) => explanation.hint.clone(),
            Self::ClientCertificate(error) => error.hint(),
            Self::Name { .. } | Self::TimedOut { .. } => None,
        }
    }
}

/// The TLS handshake with whoever is to prove that it is `name`.
pub(crate) async fn connect_tls(
    context: &Context,
    io: BoxIo,
    name: &str,
    offers: &[Bytes],
) -> Result<TlsStream<ReadAhead<BoxIo>>, TlsError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let server_name =
        ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name { name: name.to_owned() })?;
    let config = context.tls.client_configs.config(name, offers)?;
    let handshake = TlsConnector::from(config).connect(server_name, ReadAhead::new(io));
    match timeout(TLS_HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(err)) => Err(TlsError::Handshake(explain_server_failure(&err, name))),
        Err(_) => Err(TlsError::TimedOut { name: name.to_owned() }),
    }
}

/// An upstream proxy was reached and did not let us through.
fn egress_failed(
    context: &Context,
    address: &Address,
    facts: Box<ServerConnection>,
    err: &EgressError,
) -> ServerError {
    let proxy = facts.via.as_ref().map(shown).unwrap_or_default();
    let chosen_by = context.egress.upstream_proxy().map(|proxy| proxy.chosen_by).unwrap_or_default();
    let hint = err.hint(chosen_by).map(|hint| format!(" ({hint})")).unwrap_or_default();
    let message = format!("{proxy}: {err}{hint}");
    context.log(Level::Info, format_args!("error establishing server connection to {address}: {message}"));
    failed_quietly(facts, err.phase(), err.status(), message)
}

fn connect_failed(
    context: &Context,
    address: &Address,
    facts: Box<ServerConnection>,
    err: &ConnectError,
) -> ServerError {
    let (phase, status) = match err {
        ConnectError::Resolve { .. } | ConnectError::NoAddress { .. } => (Phase::Resolve, 502),
        ConnectError::TimedOut { .. } => (Phase::Connect, 504),
        _ => (Phase::Connect, 502),
    };
    let cause = std::error::Error::source(err).map(|cause| format!(": {cause}")).unwrap_or_default();
    let proxy = facts.via.as_ref().map(|via| format!("{}: ", shown(via))).unwrap_or_default();
    let message = format!("{proxy}{err}{cause}");
    context.log(Level::Info, format_args!("error establishing server connection to {address}: {message}"));
    let io_kind = match err {
        ConnectError::Connect { source, .. } => Some(source.kind()),
        _ => None,
    };
    ServerError { io_kind, ..failed_quietly(facts, phase, status, message) }
}

fn failed(
    context: &Context,
    facts: Box<ServerConnection>,
    phase: Phase,
    status: u16,
    message: String,
) -> ServerError {
    let address = facts.address.clone();
    let error = failed_quietly(facts, phase, status, message);
    if let Some(address) = address {
        context.log(Level::Warn, format_args!("server connection to {address} failed: {}", error.message));
    }
    error
}

fn failed_quietly(
    mut facts: Box<ServerConnection>,
    phase: Phase,
    status: u16,
    message: String,
) -> ServerError {
    facts.connection.error = Some(message.clone());
    ServerError { phase, message, status, io_kind: None, facts: Arc::from(facts) }
}
