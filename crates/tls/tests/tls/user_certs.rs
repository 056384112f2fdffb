//! Certificates that users bring: shown to clients in place of leaves, and used to log in to servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowgate_options::TlsVersion;
use flowgate_tls::{
    CertSpec, ClientCerts, ClientConfigs, LeafSpec, Leaves, LeavesOptions, OwnCerts, Protocol,
    ProtocolOptions, ServerVerification, Side,
};
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::common::{NO_ALPN, authority, client_trusting, handshake, openssl};

/// A CA that signs what users bring.
struct Issuing {
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Issuing {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Users");
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { root, issuer: Issuer::new(params, key) }
    }

    /// Key and certificate as PEM text.
    fn pem(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (key.serialize_pem(), certificate.pem())
    }

    fn file(&self, path: &Path, names: &[&str]) -> PathBuf {
        let (key, certificate) = self.pem(names);
        fs::write(path, key + &certificate).unwrap();
        path.to_owned()
    }
}

fn own(specs: &[(&str, &Path)], passphrase: Option<&str>) -> Result<OwnCerts, String> {
    let specs: Vec<_> = specs
        .iter()
        .enumerate()
        .map(|(index, (domain, path))| {
            let text = format!("{domain}{}", path.display());
            (CertSpec::parse(&text, index).unwrap(), (*path).to_owned())
        })
        .collect();
    OwnCerts::read(&specs, passphrase).map_err(|error| error.to_string())
}

#[test]
fn clients_get_the_users_certificate_for_its_names_and_ours_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let users = Issuing::new();
    let file = users.file(&dir.path().join("a.pem"), &["shop.test", "*.shop.test"]);
    let (_dir, authority) = authority();
    let own = own(&[("api.test=", &file)], None).unwrap();
    let leaves = Leaves::new(authority.clone(), LeavesOptions { own, ..LeavesOptions::default() }).unwrap();
    let leaf = |name: &str| {
        let spec = LeafSpec { server_name: Some(name), ..LeafSpec::default() };
        leaves.leaf(&spec).unwrap()
    };
    assert!(Arc::ptr_eq(&leaf("shop.test"), &leaf("www.shop.test")));
    assert!(Arc::ptr_eq(&leaf("shop.test"), &leaf("api.test")));
    let client = client_trusting(&users.root, NO_ALPN);
    handshake(client, "www.shop.test", leaf("www.shop.test").server_config(NO_ALPN)).unwrap();
    let ours = client_trusting(authority.certificate(), NO_ALPN);
    handshake(ours, "other.test", leaf("other.test").server_config(NO_ALPN)).unwrap();
    assert_eq!(leaves.stats().minted, 1);
}

#[test]
fn what_is_added_stands_behind_the_chain() {
    let (_dir, authority) = authority();
    let leaves = Leaves::new(authority.clone(), LeavesOptions::default()).unwrap();
    let leaf = leaves.leaf(&LeafSpec { server_name: Some("a.test"), ..LeafSpec::default() }).unwrap();
    let more = Issuing::new().root;
    let client = client_trusting(authority.certificate(), NO_ALPN);
    let (client, _) = handshake(client, "a.test", leaf.server_config_with(NO_ALPN, &[&more])).unwrap();
    assert_eq!(client.peer_certificates().unwrap(), [leaf.certificate().clone(), more]);
}

#[test]
fn files_that_do_not_work_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let users = Issuing::new();
    let (key, certificate) = users.pem(&["a.test"]);
    let (other_key, _) = users.pem(&["b.test"]);
    let path = dir.path().join("x.pem");
    let garbled = certificate.replacen("MII", "AAA", 1);
    for (text, expected) in [
        (String::new(), "certs[1]: there is no private key in FILE"),
        (key.clone(), "certs[1]: there is no certificate in FILE"),
        (certificate.clone(), "certs[1]: there is no private key in FILE"),
        (other_key + &certificate, "certs[1]: the private key in FILE does not fit its first certificate"),
        (
            key.clone() + certificate.split_once("-----END").unwrap().0,
            "certs[1]: FILE is damaged: it is not complete PEM text",
        ),
        (key + &certificate + &garbled, "certs[1]: certificate 2 in FILE cannot be read"),
    ] {
        fs::write(&path, &text).unwrap();
        let good = users.file(&dir.path().join("good.pem"), &["good.test"]);
        let error = own(&[("", &good), ("", &path)], None).unwrap_err();
        assert_eq!(error.replace(path.to_str().unwrap(), "FILE"), expected);
    }
    let missing = own(&[("", &dir.path().join("none.pem"))], None).unwrap_err();
    assert!(missing.starts_with("certs[0]: cannot read ") && missing.contains("none.pem: "), "{missing}");
}

#[test]
fn a_passphrase_opens_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let users = Issuing::new();
    let (key, certificate) = users.pem(&["a.test"]);
    let key_path = dir.path().join("key.pem");
    fs::write(&key_path, key).unwrap();
    let arguments = ["pkcs8", "-topk8", "-passout", "pass:secret", "-in", key_path.to_str().unwrap()];
    let Some(output) = openssl(&arguments) else { return };
    let path = dir.path().join("a.pem");
    let locked = String::from_utf8(output.stdout).unwrap();
    fs::write(&path, locked + &certificate).unwrap();
    assert!(own(&[("", &path)], Some("secret")).is_ok());
    let wrong = own(&[("", &path)], Some("Secret")).unwrap_err();
    assert!(wrong.starts_with("certs[0]: the passphrase does not open the private key in "), "{wrong}");
    assert!(!wrong.contains("Secret"));
    let none = own(&[("", &path)], None).unwrap_err();
    assert!(none.ends_with("a.pem is protected by a passphrase"), "{none}");
}

#[test]
fn a_certificate_authority_in_place_of_a_leaf_is_told() {
    let (dir, _authority) = authority();
    let own = own(&[("", &dir.path().join("flowgate-ca.pem"))], None).unwrap();
    assert!(own.notes()[0].starts_with("certs[0]: "), "{:?}", own.notes());
}

/// A server that lets in only those whom `users` vouches for.
fn server_for(users: &Issuing) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(users.root.clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(["a.test".to_owned()]).unwrap().signed_by(&key, &users.issuer).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.unwrap())
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        );
    Arc::new(config.unwrap())
}

fn configs(client_certs: ClientCerts) -> ClientConfigs {
    let verification = ServerVerification { insecure: true, ..Default::default() };
    ClientConfigs::with(verification, Protocol::default(), client_certs).unwrap()
}

#[test]
fn we_log_in_with_one_certificate_or_one_for_each_host() {
    let dir = tempfile::tempdir().unwrap();
    let users = Issuing::new();
    let server = server_for(&users);
    let one = users.file(&dir.path().join("one"), &["one.test"]);
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("README"), "not one").unwrap();
    users.file(&folder.join("a.test.pem"), &["for-a.test"]);
    let name = |client_certs: &ClientConfigs, host: &str| {
        let config = client_certs.config(host, NO_ALPN).unwrap();
        let outcome = handshake(config, host, server.clone());
        if outcome.server_error.is_some() {
            return None;
        }
        let certificate = outcome.server.peer_certificates().unwrap()[0].clone();
        Some(flowgate_tls::UpstreamNames::from_der(&certificate).sans()[0].to_string())
    };
    let nobody = configs(ClientCerts::default());
    assert_eq!(name(&nobody, "a.test"), None);
    let one = configs(ClientCerts::read(&one, None).unwrap());
    assert_eq!(name(&one, "a.test").as_deref(), Some("one.test"));
    let many = configs(ClientCerts::read(&folder, None).unwrap());
    assert_eq!(name(&many, "a.test").as_deref(), Some("for-a.test"));
    assert_eq!(name(&many, "A.test").as_deref(), Some("for-a.test"));
    assert_eq!(name(&many, "b.test"), None);
    // One that is put there while the program runs.
    users.file(&folder.join("b.test.pem"), &["for-b.test"]);
    assert_eq!(name(&many, "b.test").as_deref(), Some("for-b.test"));
    fs::write(folder.join("b.test.pem"), "").unwrap();
    let error = many.config("b.test", NO_ALPN).unwrap_err();
    assert!(error.to_string().starts_with("there is no private key in "), "{error}");
    let error = ClientCerts::read(&folder, None).unwrap_err().to_string();
    assert!(error.starts_with("client_certs: there is no private key in "), "{error}");
    let error = ClientCerts::read(&dir.path().join("none"), None).unwrap_err().to_string();
    assert!(error.starts_with("client_certs: cannot read "), "{error}");
}

/// A session that began under one name must not go on under another, or without any: the server would take the new one for the old.
#[test]
fn sessions_are_resumed_with_the_same_certificate_only() {
    let dir = tempfile::tempdir().unwrap();
    let users = Issuing::new();
    let server = server_for(&users);
    users.file(&dir.path().join("a.test.pem"), &["first.test"]);
    let many = configs(ClientCerts::read(dir.path(), None).unwrap());
    let kind = || {
        let config = many.config("a.test", NO_ALPN).unwrap();
        let (client, _) = handshake(config, "a.test", server.clone()).unwrap();
        client.handshake_kind()
    };
    assert_eq!(kind(), Some(HandshakeKind::Full));
    assert_eq!(kind(), Some(HandshakeKind::Resumed));
    let other = dir.path().join("other");
    users.file(&other, &["second.test", "and-a-longer-name.test"]);
    fs::rename(other, dir.path().join("a.test.pem")).unwrap();
    assert_eq!(kind(), Some(HandshakeKind::Full));
    assert_eq!(kind(), Some(HandshakeKind::Resumed));
}

#[test]
fn clients_are_asked_for_a_certificate_and_may_have_none() {
    let dir = tempfile::tempdir().unwrap();
    let users = Issuing::new();
    let one = users.file(&dir.path().join("one"), &["one.test"]);
    let (_dir, authority) = authority();
    let options = LeavesOptions { request_client_cert: true, ..LeavesOptions::default() };
    let leaves = Leaves::new(authority, options).unwrap();
    let leaf = leaves.leaf(&LeafSpec { server_name: Some("a.test"), ..LeafSpec::default() }).unwrap();
    let shown = |configs: &ClientConfigs| {
        let config = configs.config("a.test", NO_ALPN).unwrap();
        let (client, server) = handshake(config, "a.test", leaf.server_config(NO_ALPN)).unwrap();
        (client.handshake_kind().unwrap(), server.peer_certificates().map(<[_]>::len))
    };
    assert_eq!(shown(&configs(ClientCerts::default())), (HandshakeKind::Full, None));
    let client = configs(ClientCerts::read(&one, None).unwrap());
    assert_eq!(shown(&client), (HandshakeKind::Full, Some(1)));
    assert_eq!(shown(&client), (HandshakeKind::Resumed, Some(1)));
}

/// Clients of TLS 1.2 with RSA suites only cannot use a certificate with an elliptic curve.
#[test]
fn suites_of_rsa_alone_get_a_leaf_of_rsa() {
    let (_dir, authority) = authority();
    let protocol = |ciphers| {
        let (min, max) = (TlsVersion::Tls1_2, TlsVersion::Tls1_2);
        Protocol::new(Side::Client, ProtocolOptions { min, max, ciphers, curve: Some("secp384r1") }).unwrap()
    };
    let client = client_trusting(authority.certificate(), NO_ALPN);
    for (ciphers, expected) in [
        ("aRSA+AES256", "ECDHE-RSA-AES256-GCM-SHA384"),
        ("CHACHA20:AESGCM", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ("AES128", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ] {
        let options = LeavesOptions { protocol: protocol(Some(ciphers)), ..LeavesOptions::default() };
        let leaves = Leaves::new(authority.clone(), options).unwrap();
        let leaf = leaves.leaf(&LeafSpec { server_name: Some("a.test"), ..LeafSpec::default() }).unwrap();
        let (_, server) = handshake(client.clone(), "a.test", leaf.server_config(NO_ALPN)).unwrap();
        let suite = server.negotiated_cipher_suite().unwrap().suite();
        assert_eq!(flowgate_tls::openssl_cipher_name(suite), expected, "{ciphers}");
        assert_eq!(server.negotiated_key_exchange_group().unwrap().name(), rustls::NamedGroup::secp384r1);
    }
}
