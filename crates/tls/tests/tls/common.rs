//! Handshakes in memory, and the peers for them.

use std::sync::Arc;

use flowgate_tls::{Authority, LeafSpec, Leaves, LeavesOptions};
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use tempfile::TempDir;

/// Neither offers nor answers ALPN.
pub(crate) const NO_ALPN: &[&[u8]] = &[];

/// A fresh CA in a directory of its own.
pub(crate) fn authority() -> (TempDir, Arc<Authority>) {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::load_or_create(dir.path()).unwrap();
    (dir, Arc::new(authority))
}

pub(crate) fn leaves(authority: &Arc<Authority>) -> Leaves {
    Leaves::new(authority.clone(), LeavesOptions::default()).unwrap()
}

pub(crate) fn named(name: &str) -> LeafSpec<'_> {
    LeafSpec { server_name: Some(name), ..LeafSpec::default() }
}

/// A client that trusts one root and nothing else.
pub(crate) fn client_trusting(root: &CertificateDer<'static>, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

/// A CA and a server that are not ours.
pub(crate) struct ForeignServer {
    pub(crate) root: CertificateDer<'static>,
    pub(crate) root_pem: String,
    pub(crate) config: Arc<ServerConfig>,
}

/// A server whose certificate is issued by a foreign CA.
pub(crate) fn foreign_server(ca_name: &str, params: CertificateParams) -> ForeignServer {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::default();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, ca_name);
    let root = ca.self_signed(&ca_key).unwrap();
    let (root, root_pem) = (root.der().clone(), root.pem());
    let certificate = params.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap().der().clone();
    ForeignServer { root, root_pem, config: server_config(certificate, &key) }
}

pub(crate) fn server_config(certificate: CertificateDer<'static>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    Arc::new(config)
}

/// How a handshake ended: both sides connected, or the error of the side that noticed first.
pub(crate) struct Outcome {
    pub(crate) client: ClientConnection,
    pub(crate) server: ServerConnection,
    pub(crate) client_error: Option<rustls::Error>,
    pub(crate) server_error: Option<rustls::Error>,
}

impl Outcome {
    pub(crate) fn unwrap(self) -> (ClientConnection, ServerConnection) {
        assert_eq!((self.client_error, self.server_error), (None, None));
        assert!(!self.client.is_handshaking() && !self.server.is_handshaking());
        (self.client, self.server)
    }
}

/// Lets a client and a server talk until both have nothing more to say.
pub(crate) fn handshake(client: Arc<ClientConfig>, name: &str, server: Arc<ServerConfig>) -> Outcome {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut outcome = Outcome {
        client: ClientConnection::new(client, name).unwrap(),
        server: ServerConnection::new(server).unwrap(),
        client_error: None,
        server_error: None,
    };
    let mut client = Connection::Client(outcome.client);
    let mut server = Connection::Server(outcome.server);
    while client.wants_write() || server.wants_write() {
        let (at_server, at_client) = (deliver(&mut client, &mut server), deliver(&mut server, &mut client));
        outcome.server_error = outcome.server_error.or(at_server);
        outcome.client_error = outcome.client_error.or(at_client);
    }
    let (Connection::Client(client), Connection::Server(server)) = (client, server) else { panic!() };
    outcome.client = client;
    outcome.server = server;
    outcome
}

/// Moves all that one side has to say; the error is the receiver's.
fn deliver(from: &mut Connection, to: &mut Connection) -> Option<rustls::Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        if let Err(error) = to.process_new_packets() {
            return Some(error);
        }
    }
    None
}

/// Runs openssl, if this machine has it. Otherwise says so and gives `None`.
pub(crate) fn openssl(arguments: &[&str]) -> Option<std::process::Output> {
    match std::process::Command::new("openssl").args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: openssl {} ({error})", arguments.join(" "));
            None
        }
    }
}
