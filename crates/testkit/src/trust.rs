//! What a client of TLS trusts in a test.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A client that trusts the certificates of this file (PEM) and no others, and offers these protocols (ALPN).
#[must_use]
pub fn client_config(roots: &Path, alpn: &[&[u8]]) -> ClientConfig {
    let mut trusted = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(roots).expect("a file of certificates") {
        trusted.add(root.expect("a certificate")).expect("a root");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_root_certificates(trusted)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config
}
