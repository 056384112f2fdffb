//! A certificate with its chain and its key, from a PEM file of the user's: to show to clients (`certs`), or to log in to servers with
//! (`client_certs`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use crate::authority_files as files;
use crate::key_file::{self, KeyFault};

/// Why a file gives no certificate with its key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is cut off or garbled.
    #[error("{} is damaged: it is not complete PEM text", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
    },
    /// It has no certificate.
    #[error("there is no certificate in {}", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// One of its certificates cannot be read.
    #[error("certificate {number} in {} cannot be read", path.display())]
    CertificateUnreadable {
        /// The file.
        path: PathBuf,
        /// Which, from 1.
        number: usize,
    },
    /// It has no key.
    #[error("there is no private key in {}", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Its key is protected, and there is no passphrase.
    #[error("the private key in {} is protected by a passphrase", path.display())]
    PassphraseMissing {
        /// The file.
        path: PathBuf,
    },
    /// Its key is protected by another passphrase.
    #[error("the passphrase does not open the private key in {}", path.display())]
    PassphraseWrong {
        /// The file.
        path: PathBuf,
    },
    /// Its key is protected by an algorithm that is not known here.
    #[error("the private key in {} is protected in a way that is not supported", path.display())]
    Protection {
        /// The file.
        path: PathBuf,
    },
    /// Its key is damaged or of a kind that TLS does not use.
    #[error("the private key in {} is damaged or of an unsupported kind", path.display())]
    KeyUnsupported {
        /// The file.
        path: PathBuf,
    },
    /// Its key belongs to another certificate.
    #[error("the private key in {} does not fit its first certificate", path.display())]
    KeyMismatch {
        /// The file.
        path: PathBuf,
    },
}

impl IdentityError {
    pub(crate) fn of_key(fault: KeyFault, path: &Path) -> Self {
        let path = path.to_owned();
        match fault {
            KeyFault::None => Self::NoKey { path },
            KeyFault::NotPem => Self::NotPem { path },
            KeyFault::PassphraseMissing => Self::PassphraseMissing { path },
            KeyFault::PassphraseWrong => Self::PassphraseWrong { path },
            KeyFault::Protection => Self::Protection { path },
        }
    }

    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unreadable { .. } => return None,
            Self::NotPem { .. }
            | Self::NoCertificate { .. }
            | Self::CertificateUnreadable { .. }
            | Self::NoKey { .. } => {
                "the file holds the private key, the certificate and then the certificates of its issuers, all as PEM \
                 text: `cat key.pem certificate.pem chain.pem`"
            }
            Self::PassphraseMissing { .. } => "give it with `cert_passphrase`",
            Self::PassphraseWrong { .. } => "there is one `cert_passphrase` for all files",
            Self::Protection { path } => {
                return Some(format!(
                    "protect it anew: `openssl pkcs8 -topk8 -in {} -out key.pem`",
                    path.display()
                ));
            }
            Self::KeyUnsupported { .. } => {
                "supported are RSA with 2048 to 8192 bits, EC on P-256, P-384 or P-521, and Ed25519"
            }
            Self::KeyMismatch { .. } => {
                "put the certificate that belongs to the key before those of its issuers"
            }
        };
        Some(hint.to_owned())
    }
}

/// A certificate, its chain, its key.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) certified_key: Arc<CertifiedKey>,
    /// The certificate says of itself that it is a CA's.
    pub(crate) is_ca: bool,
}

impl Identity {
    /// Reads a file that holds all of them.
    pub(crate) fn read(path: &Path, passphrase: Option<&str>) -> Result<Self, IdentityError> {
        let at = || path.to_owned();
        let text = files::read(path).map_err(|source| IdentityError::Unreadable { path: at(), source })?;
        let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|_| IdentityError::NotPem { path: at() })?;
        let key_der =
            key_file::read(&text, passphrase).map_err(|fault| IdentityError::of_key(fault, path))?;
        let is_protected = text.windows(9).any(|window| window == b"ENCRYPTED");
        let key = any_supported_type(&key_der).map_err(|_| match is_protected {
            // The padding was right by chance.
            true => IdentityError::PassphraseWrong { path: at() },
            false => IdentityError::KeyUnsupported { path: at() },
        })?;
        let unreadable = |certificate: &CertificateDer<'_>| X509Certificate::from_der(certificate).is_err();
        if let Some(index) = chain.iter().position(unreadable) {
            return Err(IdentityError::CertificateUnreadable { path: at(), number: index + 1 });
        }
        let Some(Ok((_, parsed))) = chain.first().map(|first| X509Certificate::from_der(first)) else {
            return Err(IdentityError::NoCertificate { path: at() });
        };
        if key.public_key().is_none_or(|public| *public != *parsed.public_key().raw) {
            return Err(IdentityError::KeyMismatch { path: at() });
        }
        let is_ca = parsed.extensions().iter().any(|extension| {
            matches!(extension.parsed_extension(), ParsedExtension::BasicConstraints(constraints) if constraints.ca)
        });
        let certified_key = Arc::new(CertifiedKey::new(chain.clone(), key));
        Ok(Self { certified_key, is_ca })
    }

    /// The certificate itself.
    pub(crate) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.certified_key.cert.first()
    }
}
