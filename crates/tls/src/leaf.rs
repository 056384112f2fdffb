//! A leaf, ready for handshakes: certificate, key, and the rustls configurations made from them.
//!
//! Invariant: all configurations of a run come from one base and share its tickets and sessions, so that a client can
//! resume whichever leaf it met.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;

use crate::alpn_cache::AlpnCache;
use crate::identity::Identity;
use crate::limits::ALPN_CHOICES_PER_LEAF_MAX;
use crate::own_certs::extended;
use crate::x509::Validity;

/// A certificate to show to clients: minted for one set of names, or the user's own.
pub struct Leaf {
    certificate: CertificateDer<'static>,
    base: Arc<ServerConfig>,
    /// Seconds since 1970: outside of this span a new leaf is minted. See [`Leaf::is_fresh`].
    fresh: Validity,
    configs: AlpnCache<ServerConfig, ALPN_CHOICES_PER_LEAF_MAX>,
    certified_key: Arc<CertifiedKey>,
}

impl Leaf {
    pub(crate) fn new(
        certified_key: CertifiedKey,
        certificate: CertificateDer<'static>,
        base: Arc<ServerConfig>,
        validity: Validity,
        now: u64,
    ) -> Self {
        // Half of its life, but at least an hour, so that an expired CA does not make us mint at each connection.
        let half_life = (validity.not_after.saturating_sub(now) / 2).max(3600);
        let fresh = Validity { not_before: validity.not_before, not_after: now.saturating_add(half_life) };
        Self { certificate, base, fresh, configs: AlpnCache::new(), certified_key: Arc::new(certified_key) }
    }

    /// A certificate of the user's own, which is shown as long as the user wants it.
    pub(crate) fn of_identity(identity: &Identity, base: Arc<ServerConfig>) -> Option<Self> {
        let certificate = identity.certificate()?.clone();
        let fresh = Validity { not_before: 0, not_after: u64::MAX };
        let certified_key = identity.certified_key.clone();
        Some(Self { certificate, base, fresh, configs: AlpnCache::new(), certified_key })
    }

    /// The certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Certificate, chain and key as rustls takes them.
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.certified_key
    }

    /// The configuration to answer a client with, for TLS 1.2 and 1.3.
    ///
    /// `alpn`: the protocols we are ready to speak, best first, usually the one the server chose. With an empty list
    /// ALPN is not answered; with a list that shares nothing with the client's, the handshake fails (RFC 7301 §3.2).
    pub fn server_config(&self, alpn: &[impl AsRef<[u8]>]) -> Arc<ServerConfig> {
        self.configs.get(alpn, |alpn_protocols| {
            let mut config = ServerConfig::clone(&self.base);
            config.alpn_protocols = alpn_protocols;
            config.cert_resolver = Arc::new(Always(self.certified_key.clone()));
            config
        })
    }

    /// The same, with more certificates behind the chain (mitmproxy: `add_upstream_certs_to_client_chain`). Made anew each time.
    pub fn server_config_with(
        &self,
        alpn: &[impl AsRef<[u8]>],
        more: &[impl AsRef<[u8]>],
    ) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&self.base);
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        let mut certified_key = CertifiedKey::clone(&self.certified_key);
        certified_key.cert = extended(&certified_key.cert, more);
        config.cert_resolver = Arc::new(Always(Arc::new(certified_key)));
        Arc::new(config)
    }

    /// Whether to hand it out still: not in the later half of its life, and not from a time that the clock has been
    /// set back from.
    pub(crate) fn is_fresh(&self, now: u64) -> bool {
        (self.fresh.not_before..self.fresh.not_after).contains(&now)
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf").field("fresh", &self.fresh).finish_non_exhaustive()
    }
}

/// Answers every hello with one leaf: which one was decided before the handshake began.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}
