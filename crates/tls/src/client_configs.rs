//! The configurations with which we are a client to servers.
//!
//! One per list of ALPN protocols, all from one base, so that they share sessions and roots. The lists come from
//! clients: only a bounded number is kept.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::KeyLogWriter;
use crate::alpn_cache::AlpnCache;
use crate::authority_files as files;
use crate::limits::{ALPN_LISTS_MAX, SERVER_SESSIONS_MAX};
use crate::server_verifier::{AcceptAny, ServerVerifier, SystemRoots};

/// Lists that browsers and tools send, kept from the start and found without a lock.
const USUAL_LISTS: [&[&[u8]]; 4] = [&[b"h2", b"http/1.1"], &[b"http/1.1"], &[b"h2"], &[]];

/// Why no server can be asked over TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// A file or directory of trusted CAs cannot be read.
    #[error("cannot read the trusted CA certificates in {}", path.display())]
    Unreadable {
        /// What the option names.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file of trusted CAs is damaged.
    #[error("the trusted CA certificates in {} are not complete PEM text", path.display())]
    NotPem {
        /// What the option names.
        path: PathBuf,
    },
    /// The file or directory of trusted CAs holds none that can be used.
    #[error("there is no usable CA certificate in {}", path.display())]
    NoCertificate {
        /// What the option names.
        path: PathBuf,
    },
    /// rustls refuses the set-up.
    #[error("cannot set up TLS for servers")]
    Tls(#[source] rustls::Error),
}

impl TlsConfigError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => {
                "check `ssl_verify_upstream_trusted_ca` and `ssl_verify_upstream_trusted_confdir`".into()
            }
            Self::NotPem { .. } | Self::NoCertificate { .. } => "the file must be PEM text with one or more \
                `BEGIN CERTIFICATE` sections; `openssl x509 -inform der -in FILE` makes such text from DER"
                .into(),
            Self::Tls(_) => return None,
        })
    }
}

/// How servers are verified.
#[derive(Clone, Debug, Default)]
pub struct ServerVerification {
    /// Accept every certificate (mitmproxy: `ssl_insecure`).
    pub insecure: bool,
    /// Certificates to trust beside the system's roots (mitmproxy: `ssl_verify_upstream_trusted_ca`). Differs from
    /// mitmproxy: there they replace the roots.
    pub extra_ca_file: Option<PathBuf>,
    /// A directory of such files (mitmproxy: `ssl_verify_upstream_trusted_confdir`).
    pub extra_ca_dir: Option<PathBuf>,
    /// Where the secrets of server connections are written, if anywhere.
    pub key_log: Option<Arc<KeyLogWriter>>,
}

/// Configurations for connections to servers.
#[derive(Debug)]
pub struct ClientConfigs {
    base: ClientConfig,
    usual: Vec<Arc<ClientConfig>>,
    other: AlpnCache<ClientConfig, ALPN_LISTS_MAX>,
    verifier: Option<Arc<ServerVerifier>>,
}

impl ClientConfigs {
    /// Reads the user's trusted CAs. The system's are read when the first server is verified, or in
    /// [`ClientConfigs::load_roots`].
    ///
    /// # Errors
    /// When an option names certificates that cannot be used; also with `insecure`, because that may be a mistake
    /// the user wants to know.
    pub fn new(verification: ServerVerification) -> Result<Self, TlsConfigError> {
        Self::with_system_roots(verification, SystemRoots::Native)
    }

    pub(crate) fn with_system_roots(
        verification: ServerVerification,
        system_roots: SystemRoots,
    ) -> Result<Self, TlsConfigError> {
        let mut extra = Vec::new();
        if let Some(path) = &verification.extra_ca_file {
            extra.extend(usable(path, certificates_of_file(path)?)?);
        }
        if let Some(path) = &verification.extra_ca_dir {
            extra.extend(usable(path, certificates_of_dir(path)?)?);
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let lazy = || Arc::new(ServerVerifier::new(provider.clone(), extra, system_roots));
        let verifier = (!verification.insecure).then(lazy);
        let danger: Arc<dyn ServerCertVerifier> = match &verifier {
            Some(verifier) => verifier.clone(),
            None => Arc::new(AcceptAny(provider.clone())),
        };
        let mut base = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsConfigError::Tls)?
            .dangerous()
            .with_custom_certificate_verifier(danger)
            .with_no_client_auth();
        base.resumption = Resumption::in_memory_sessions(SERVER_SESSIONS_MAX);
        if let Some(key_log) = verification.key_log {
            base.key_log = key_log;
        }
        let usual = |list: &[&[u8]]| {
            let list = list.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(with_alpn(&base, list))
        };
        let usual = USUAL_LISTS.into_iter().map(usual).collect();
        Ok(Self { base, usual, other: AlpnCache::new(), verifier })
    }

    /// The configuration that offers these protocols to the server, best first. None: no ALPN extension.
    pub fn config(&self, alpn: &[impl AsRef<[u8]>]) -> Arc<ClientConfig> {
        let same = |config: &&Arc<ClientConfig>| {
            config.alpn_protocols.iter().map(Vec::as_slice).eq(alpn.iter().map(AsRef::as_ref))
        };
        let usual = self.usual.iter().find(same).cloned();
        usual.unwrap_or_else(|| self.other.get(alpn, |list| with_alpn(&self.base, list)))
    }

    /// Reads the system's roots now, which takes 5 ms at best, and says how many certificates are trusted. To be
    /// called off the hot path after the start; without it the first connection to a server pays.
    pub fn load_roots(&self) -> usize {
        self.verifier.as_ref().map_or(0, |verifier| verifier.roots_count())
    }
}

fn with_alpn(base: &ClientConfig, alpn_protocols: Vec<Vec<u8>>) -> ClientConfig {
    let mut config = base.clone();
    config.alpn_protocols = alpn_protocols;
    config
}

fn certificates_of_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let text =
        files::read(path).map_err(|source| TlsConfigError::Unreadable { path: path.to_owned(), source })?;
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>();
    certificates.map_err(|_| TlsConfigError::NotPem { path: path.to_owned() })
}

/// All certificates of a directory as `c_rehash` prepares it. Other files may lie there as well and are passed over.
fn certificates_of_dir(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    std::fs::read_dir(path).map_err(|source| TlsConfigError::Unreadable { path: path.to_owned(), source })?;
    Ok(rustls_native_certs::load_certs_from_paths(None, Some(path)).certs)
}

fn usable(
    path: &Path,
    certificates: Vec<CertificateDer<'static>>,
) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let (added, _) = RootCertStore::empty().add_parsable_certificates(certificates.iter().cloned());
    match added {
        0 => Err(TlsConfigError::NoCertificate { path: path.to_owned() }),
        _ => Ok(certificates),
    }
}
