//! Ending TLS on both sides: first with the server, so that names and ALPN can mirror it, then with the client.

use std::sync::Arc;

use bytes::Bytes;
use flowgate_flow::ClientConnection;
use flowgate_net::{BoxIo, ReadAhead};
use flowgate_tls::{
    ClientHandshake, Explanation, HandshakeFailure, LeafSpec, UpstreamNames, explain_client_failure,
    openssl_cipher_name, version_name,
};
use flowgate_wire::client_hello::ClientHello;
use rustls::ServerConfig;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::clock;
use crate::context::{Context, fingerprints};
use crate::limits::{CLIENT_REGRET_MAX, TLS_HANDSHAKE_TIMEOUT};
use crate::raw;
use crate::server;
use crate::tls_io::{OnSilence, TlsIo};
use crate::tunnel::{self, Decrypted, ServerState, ServerTls, Target};
use flowgate_options::Level;
use flowgate_wire::fingerprint::Carrier;

/// Ends a tunnel's TLS and serves what is inside. With `raw` that is recorded as it comes, whatever it is.
pub(crate) async fn run(
    context: &Context,
    target: Target,
    client: BoxIo,
    hello: &ClientHello,
    server: ServerState,
    raw: bool,
) {
    let offers: Vec<Bytes> =
        hello.alpn.iter().filter(|offer| context.settings.http2 || *offer != "h2").cloned().collect();
    let mut decrypted = Decrypted { sni: hello.sni.clone(), offers, alpn: Bytes::new() };
    let plan = target.tls_plan(context, Some(&decrypted));
    let mut server = match (server, &plan) {
        (ServerState::Open(open), Some(plan)) => {
            match server::open_tls(context, *open, &plan.name, &plan.offers).await {
                Ok(open) => ServerState::Open(Box::new(open)),
                // The client is served all the same: it gets the reason as an answer to its requests.
                Err(error) => ServerState::Failed(error),
            }
        }
        (other, _) => other,
    };
    let (upstream, server_alpn) = match &server {
        ServerState::Open(open) => {
            let leaf = open.facts.connection.certificate_list.first();
            let upstream =
                leaf.filter(|_| context.settings.upstream_cert).map(|der| UpstreamNames::from_der(der));
            (upstream, open.facts.connection.alpn.clone())
        }
        _ => (None, None),
    };
    // In reverse mode it is we whom the client knows by address.
    let address = match (target.server_tls, context.client.connection.sockname) {
        (ServerTls::Never | ServerTls::Always(_), Some(own)) => own.ip().to_string(),
        _ => target.address.host.clone(),
    };
    let name = hello.sni.clone().unwrap_or_else(|| address.clone());
    let leaf = context.tls.leaves.leaf(&LeafSpec {
        server_name: hello.sni.as_deref(),
        address: Some(&address),
        upstream: upstream.as_ref(),
    });
    let leaf = match leaf {
        Ok(leaf) => leaf,
        Err(err) => return context.log(Level::Error, format_args!("no certificate for {name}: {err}")),
    };
    // Only what the server chose; where there is no server yet, what we like best of what the client offers.
    let alpn = match server_alpn {
        Some(chosen) => Some(chosen).filter(|chosen| !chosen.is_empty()),
        // Behind clear text can be anything.
        None if raw && target.server_tls == ServerTls::Never => None,
        None => {
            let known = |offer: &&Bytes| matches!(offer.as_ref(), b"h2" | b"http/1.1" | b"http/1.0");
            decrypted.offers.iter().find(known).cloned()
        }
    };
    let more = match &server {
        ServerState::Open(open) if context.settings.add_upstream_certs => {
            open.facts.connection.certificate_list.as_slice()
        }
        _ => &[],
    };
    let config = if more.is_empty() {
        leaf.server_config(alpn.as_slice())
    } else {
        leaf.server_config_with(alpn.as_slice(), more)
    };
    let port = Some(target.address.port);
    let Some((client, mut facts)) = accept(context, client, config, &name, port).await else { return };
    facts.connection.sni = hello.sni.clone();
    facts.connection.alpn_offers = hello.alpn.clone();
    facts.fingerprints = Some(fingerprints(hello, Carrier::Tcp));
    facts.leaf = Some(Bytes::copy_from_slice(leaf.certificate()));
    decrypted.alpn = facts.connection.alpn.clone().unwrap_or_default();
    let context = context.with_client(facts);
    if !raw {
        return tunnel::run(&context, target, client, server, Some(decrypted)).await;
    }
    if matches!(server, ServerState::NotYet) {
        let opened = tunnel::open(&context, &target, Some(&decrypted)).await;
        server = opened.map_or_else(ServerState::Failed, |open| ServerState::Open(Box::new(open)));
    }
    if let ServerState::Open(open) = server {
        let _guard = open.guard;
        raw::relay_recorded(&context, client, open.io, Arc::from(open.facts), raw::Pieces::Offered).await;
    }
}

/// The TLS handshake with a client; why it failed is logged. `name` is whom the client believes to talk to, `port` that of
/// the destination.
pub(crate) async fn accept(
    context: &Context,
    client: BoxIo,
    config: Arc<ServerConfig>,
    name: &str,
    port: Option<u16>,
) -> Option<(BoxIo, ClientConnection)> {
    let began = Instant::now();
    let stream: TlsStream<ReadAhead<BoxIo>> = match timeout(
        TLS_HANDSHAKE_TIMEOUT,
        TlsAcceptor::from(config).accept(ReadAhead::new(client)),
    )
    .await
    {
        Ok(Ok(stream)) => stream,
        Ok(Err(err)) => {
            let handshake = handshake(context, name, port, began);
            tell(context, Level::Warn, "Client TLS handshake", &explain_client_failure(&err, &handshake));
            return None;
        }
        Err(_) => {
            context.log(
                Level::Warn,
                format_args!("Client TLS handshake failed: the client did not finish it in time"),
            );
            return None;
        }
    };
    let session = stream.get_ref().1;
    let mut facts = ClientConnection::clone(&context.client);
    let connection = &mut facts.connection;
    connection.tls = true;
    connection.timestamp_tls_setup = Some(clock::now());
    connection.alpn = Some(session.alpn_protocol().map(Bytes::copy_from_slice).unwrap_or_default());
    connection.tls_version = session.protocol_version().map(|version| version_name(version).into_owned());
    connection.cipher =
        session.negotiated_cipher_suite().map(|suite| openssl_cipher_name(suite.suite()).into_owned());
    connection.sni = session.server_name().map(str::to_owned);
    // Only those who were asked for a certificate have one.
    let certificates = session.peer_certificates().unwrap_or_default();
    connection.certificate_list = certificates.iter().map(|der| Bytes::copy_from_slice(der)).collect();
    let shared = session.alpn_protocol() == Some(b"h2");
    let watched = TlsIo::watched(stream, when_silent(context, name.to_owned(), port, began));
    // What waits on a connection of HTTP/2 is that of many streams.
    Some((Box::new(if shared { watched } else { watched.sparing() }), facts))
}

/// What tells of a client that leaves as soon as its TLS stands. With TLS 1.3 as well as 1.2 many look at our certificate only
/// then; what they do not like they say in an alert, or not at all.
fn when_silent(context: &Context, name: String, port: Option<u16>, began: Instant) -> OnSilence {
    let context = context.clone();
    let stood = Instant::now();
    Box::new(move |error| {
        let handshake = ClientHandshake { finished: true, ..handshake(&context, &name, port, began) };
        let failure = error.map_or(HandshakeFailure::Closed, HandshakeFailure::from);
        match failure {
            HandshakeFailure::Tls(_) => {
                tell(&context, Level::Warn, "Client TLS", &explain_client_failure(failure, &handshake));
            }
            HandshakeFailure::Closed if is_regret(stood) => {
                tell(&context, Level::Info, "Client TLS", &explain_client_failure(failure, &handshake));
            }
            HandshakeFailure::Closed | HandshakeFailure::Io(_) => {}
        }
    })
}

/// Whether who leaves without a word now does so because of what it saw in the handshake, as far as one can tell.
fn is_regret(stood: Instant) -> bool {
    stood.elapsed() < CLIENT_REGRET_MAX
}

fn handshake<'a>(
    context: &'a Context,
    name: &'a str,
    port: Option<u16>,
    began: Instant,
) -> ClientHandshake<'a> {
    ClientHandshake {
        host: name,
        port,
        after: began.elapsed(),
        finished: false,
        ca_certificate: context.tls.leaves.authority().certificate_file(),
    }
}

fn tell(context: &Context, level: Level, what: &str, explanation: &Explanation) {
    context.log(level, format_args!("{what} failed: {explanation}"));
    if let Some(hint) = &explanation.hint {
        context.log(level, format_args!("hint: {hint}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn who_leaves_late_did_not_need_the_connection() {
        let stood = Instant::now();
        tokio::time::advance(CLIENT_REGRET_MAX - Duration::from_millis(1)).await;
        assert!(is_regret(stood));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!is_regret(stood));
    }
}
