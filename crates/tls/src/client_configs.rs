//! The configurations with which we are a client to servers.
//!
//! One per list of ALPN protocols, all from one base, so that they share sessions and roots. The lists come from
//! clients: only a bounded number is kept. Where hosts are logged in to with certificates of their own, each certificate has a base of
//! its own: no session of one is resumed with another.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::alpn_cache::AlpnCache;
use crate::authority_files as files;
use crate::identity::Identity;
use crate::limits::{ALPN_LISTS_MAX, CLIENT_CERTS_MAX, SERVER_SESSIONS_MAX, SESSIONS_PER_CLIENT_CERT_MAX};
use crate::server_verifier::{AcceptAny, ServerVerifier, SystemRoots};
use crate::{ClientCerts, IdentityError, KeyLogWriter, Protocol};

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
    /// Who we are to servers for which nothing else is said.
    usual: Configs,
    client_certs: ClientCerts,
    /// Who we are to single hosts.
    by_identity: Mutex<Vec<(Arc<Identity>, Arc<Configs>)>>,
    verifier: Option<Arc<ServerVerifier>>,
}

/// Configurations with one certificate of ours, or none.
#[derive(Debug)]
struct Configs {
    base: ClientConfig,
    usual: Vec<Arc<ClientConfig>>,
    other: AlpnCache<ClientConfig, ALPN_LISTS_MAX>,
}

impl ClientConfigs {
    /// Reads the user's trusted CAs. The system's are read when the first server is verified, or in
    /// [`ClientConfigs::load_roots`].
    ///
    /// # Errors
    /// When an option names certificates that cannot be used; also with `insecure`, because that may be a mistake
    /// the user wants to know.
    pub fn new(verification: ServerVerification) -> Result<Self, TlsConfigError> {
        Self::with(verification, Protocol::default(), ClientCerts::default())
    }

    /// The same, with what is spoken with servers, and who we are to those that ask (mitmproxy: `client_certs`).
    ///
    /// # Errors
    /// As [`ClientConfigs::new`].
    pub fn with(
        verification: ServerVerification,
        protocol: Protocol,
        client_certs: ClientCerts,
    ) -> Result<Self, TlsConfigError> {
        let mut extra = Vec::new();
        if let Some(path) = &verification.extra_ca_file {
            extra.extend(usable(path, certificates_of_file(path)?)?);
        }
        if let Some(path) = &verification.extra_ca_dir {
            extra.extend(usable(path, certificates_of_dir(path)?)?);
        }
        let provider = &protocol.provider;
        let lazy = || Arc::new(ServerVerifier::new(provider.clone(), extra, SystemRoots::Native));
        let verifier = (!verification.insecure).then(lazy);
        let danger: Arc<dyn ServerCertVerifier> = match &verifier {
            Some(verifier) => verifier.clone(),
            None => Arc::new(AcceptAny(provider.clone())),
        };
        let mut base = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&protocol.versions)
            .map_err(TlsConfigError::Tls)?
            .dangerous()
            .with_custom_certificate_verifier(danger)
            .with_no_client_auth();
        if let Some(key_log) = verification.key_log {
            base.key_log = key_log;
        }
        let usual = Configs::new(base, client_certs.of_all().as_deref(), SERVER_SESSIONS_MAX);
        Ok(Self { usual, client_certs, by_identity: Mutex::default(), verifier })
    }

    /// The configuration for a host, a name or an address that TLS may ask for. It offers these protocols to the server, best
    /// first. None: no ALPN extension.
    ///
    /// # Errors
    /// When there is a certificate for the host that cannot be used.
    pub fn config(&self, host: &str, alpn: &[impl AsRef<[u8]>]) -> Result<Arc<ClientConfig>, IdentityError> {
        match self.client_certs.of_host(host)? {
            None => Ok(self.usual.config(alpn)),
            Some(identity) => Ok(self.of_identity(identity).config(alpn)),
        }
    }

    /// The configuration for hosts that are not logged in to with a certificate of their own.
    pub fn usual_config(&self, alpn: &[impl AsRef<[u8]>]) -> Arc<ClientConfig> {
        self.usual.config(alpn)
    }

    fn of_identity(&self, identity: Arc<Identity>) -> Arc<Configs> {
        let mut all = self.by_identity.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, configs)) = all.iter().find(|(of, _)| Arc::ptr_eq(of, &identity)) {
            return configs.clone();
        }
        let base = self.usual.base.clone();
        let made = Arc::new(Configs::new(base, Some(&identity), SESSIONS_PER_CLIENT_CERT_MAX));
        if all.len() >= CLIENT_CERTS_MAX {
            all.clear();
        }
        all.push((identity, made.clone()));
        made
    }

    /// Reads the system's roots now, which takes 5 ms at best, and says how many certificates are trusted. To be
    /// called off the hot path after the start; without it the first connection to a server pays.
    pub fn load_roots(&self) -> usize {
        self.verifier.as_ref().map_or(0, |verifier| verifier.roots_count())
    }
}

impl Configs {
    /// Configurations like `base`, with sessions and a certificate of their own.
    fn new(mut base: ClientConfig, identity: Option<&Identity>, sessions: usize) -> Self {
        if let Some(identity) = identity {
            let certified_key = CertifiedKey::clone(&identity.certified_key);
            base.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified_key));
        }
        base.resumption = Resumption::in_memory_sessions(sessions);
        let usual = |list: &[&[u8]]| {
            let list = list.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(with_alpn(&base, list))
        };
        let usual = USUAL_LISTS.into_iter().map(usual).collect();
        Self { base, usual, other: AlpnCache::new() }
    }

    fn config(&self, alpn: &[impl AsRef<[u8]>]) -> Arc<ClientConfig> {
        let same = |config: &&Arc<ClientConfig>| {
            config.alpn_protocols.iter().map(Vec::as_slice).eq(alpn.iter().map(AsRef::as_ref))
        };
        let usual = self.usual.iter().find(same).cloned();
        usual.unwrap_or_else(|| self.other.get(alpn, |list| with_alpn(&self.base, list)))
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
