//! A certificate authority for the servers of a test, made anew for each.
//!
//! It stands for the public roots a real server chains to. It is not the CA of flowgate, and shares no code with it: a
//! fault in minting must not hide itself by being in the test as well.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;

/// A root that signs leaves for tests; its certificate lies in a file for programs to trust.
#[derive(Debug)]
pub struct TestCa {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate with its key, for one set of names.
#[derive(Debug)]
pub struct Leaf {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The private key, PEM (PKCS #8).
    pub key_pem: String,
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl TestCa {
    /// Makes a root and writes its certificate to [`TestCa::certificate_path`].
    #[must_use]
    #[expect(clippy::new_without_default, reason = "each is a different CA, which a default would hide")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "flowgate test root");
        let key = KeyPair::generate().expect("a key pair");
        let certificate = params.self_signed(&key).expect("a root certificate");
        let folder = TempDir::new().expect("a temporary folder");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("a certificate file");
        Self { issuer: Issuer::new(params, key), folder }
    }

    /// The file with the root's certificate, PEM. It goes with this value.
    #[must_use]
    pub fn certificate_path(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Signs a leaf for DNS names and IP addresses; the first one is its common name.
    #[must_use]
    pub fn leaf(&self, names: &[&str]) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).expect("names that fit a certificate");
        params.distinguished_name.push(DnType::CommonName, names.first().map_or("", String::as_str));
        let key = KeyPair::generate().expect("a key pair");
        let certificate = params.signed_by(&key, &self.issuer).expect("a leaf certificate");
        Leaf {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            certificate: certificate.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
        }
    }
}

impl Leaf {
    /// A rustls configuration that serves this leaf and offers `alpn` in that order.
    #[must_use]
    pub fn server_config(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], PrivateKeyDer::Pkcs8(self.key.clone_key()))
            .expect("the key fits the certificate");
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    /// Writes `leaf.pem` and `leaf.key` into `folder` and returns both paths.
    pub(crate) fn write_to(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.join("leaf.pem"), folder.join("leaf.key"));
        fs::write(&certificate, &self.certificate_pem).expect("a certificate file");
        fs::write(&key, &self.key_pem).expect("a key file");
        (certificate, key)
    }
}
