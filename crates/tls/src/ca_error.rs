//! What can be wrong with the CA's files, in words that name the file and the next step.
//!
//! No variant carries a byte of a file: one of them holds the key.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::MintError;

/// Why there is no CA to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// The config dir is missing and cannot be made.
    #[error("cannot create the config dir {}", path.display())]
    DirNotCreated {
        /// The config dir.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The CA file is there, but cannot be read.
    #[error("cannot read the CA file {}", path.display())]
    Unreadable {
        /// The CA file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A new CA file cannot be written.
    #[error("cannot write the CA file {}", path.display())]
    NotWritten {
        /// The CA file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not PEM, or PEM that is cut off or garbled.
    #[error("the CA file {} is damaged: it is not complete PEM text", path.display())]
    NotPem {
        /// The CA file.
        path: PathBuf,
    },
    /// No private key in the file.
    #[error("the CA file {} has no private key", path.display())]
    NoKey {
        /// The CA file.
        path: PathBuf,
    },
    /// The key is protected by a passphrase, and none was given (mitmproxy: `cert_passphrase`).
    #[error("the private key in the CA file {} is encrypted", path.display())]
    KeyEncrypted {
        /// The CA file.
        path: PathBuf,
    },
    /// The key is protected by another passphrase.
    #[error("the passphrase does not open the private key in the CA file {}", path.display())]
    PassphraseWrong {
        /// The CA file.
        path: PathBuf,
    },
    /// The key is protected by an algorithm that is not known here.
    #[error("the private key in the CA file {} is encrypted in a way that is not supported", path.display())]
    KeyProtection {
        /// The CA file.
        path: PathBuf,
    },
    /// No such RSA keys are made.
    #[error("option `key_size`: no RSA keys of {bits} bits are made")]
    KeySize {
        /// What was asked for.
        bits: u32,
    },
    /// A damaged key, or one of a kind that cannot sign here.
    #[error("the private key in the CA file {} is damaged or of an unsupported kind", path.display())]
    KeyUnsupported {
        /// The CA file.
        path: PathBuf,
    },
    /// No certificate in the file.
    #[error("the CA file {} has no certificate", path.display())]
    NoCertificate {
        /// The CA file.
        path: PathBuf,
    },
    /// The first certificate is damaged.
    #[error("the certificate in the CA file {} cannot be read", path.display())]
    CertificateUnreadable {
        /// The CA file.
        path: PathBuf,
    },
    /// The first certificate belongs to another key.
    #[error("the private key in the CA file {} does not fit its first certificate", path.display())]
    KeyMismatch {
        /// The CA file.
        path: PathBuf,
    },
    /// The certificate says of itself that it is none of a CA.
    #[error("the certificate in the CA file {} is not a CA's (basicConstraints has no CA:TRUE)", path.display())]
    NotACa {
        /// The CA file.
        path: PathBuf,
    },
    /// No new key could be made.
    #[error("the system could not make a key for the CA")]
    KeyNotMade,
    /// No new certificate could be made.
    #[error("cannot make the CA's certificate")]
    CertificateNotMade(#[source] MintError),
}

impl CaError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        let move_away = |path: &Path| {
            format!(
                "restore {} from a backup, or move it away: a new CA is then made, which clients must trust anew",
                path.display()
            )
        };
        Some(match self {
            Self::DirNotCreated { source, .. } if source.kind() == ErrorKind::AlreadyExists => {
                "there is a file of that name: choose another directory with `--set confdir=PATH`".into()
            }
            Self::DirNotCreated { .. } | Self::NotWritten { .. } => {
                "choose a directory you can write to with `--set confdir=PATH`".into()
            }
            Self::Unreadable { path, source } if source.kind() == ErrorKind::PermissionDenied => format!(
                "{} must be readable by the user who runs flowgate: change its owner, or choose another directory \
                 with `--set confdir=PATH`",
                path.display()
            ),
            Self::Unreadable { .. } | Self::KeyNotMade | Self::CertificateNotMade(_) => return None,
            Self::NotPem { path } | Self::NoCertificate { path } | Self::CertificateUnreadable { path } => {
                move_away(path)
            }
            Self::NoKey { path } => format!(
                "{} must hold the private key and then the certificate; clients get the certificate alone, from \
                 the file that ends in -ca-cert.pem",
                path.display()
            ),
            Self::KeyEncrypted { .. } => "give its passphrase with `cert_passphrase`".into(),
            Self::PassphraseWrong { .. } => "check `cert_passphrase`".into(),
            Self::KeyProtection { path } => format!(
                "remove the passphrase: `openssl pkey -in {0} -out key.pem`, then put key.pem and the certificate \
                 into {0}",
                path.display()
            ),
            Self::KeySize { .. } => "2048, 3072, 4096 and 8192 are there".into(),
            Self::KeyUnsupported { .. } => {
                "supported are RSA with 2048 to 8192 bits, EC on P-256, P-384 or P-521, and Ed25519".into()
            }
            Self::KeyMismatch { path } => {
                format!("in {}, put the CA's own certificate before those of its issuers", path.display())
            }
            Self::NotACa { .. } => {
                "issue the certificate with basicConstraints CA:TRUE; clients accept nothing else as a CA"
                    .into()
            }
        })
    }
}

/// Something about a CA that works, but that somebody should look after.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaWarning {
    /// No client will accept what this CA signs.
    #[error("the CA in {} expired on {on}: remove it and start again to make a new one", path.display())]
    Expired {
        /// The CA file.
        path: PathBuf,
        /// The day, as `2026-11-23`.
        on: String,
    },
    /// Other users can read the key and then pose as any server.
    #[error("other users can access the CA's key in {0} (mode {mode:03o}): `chmod 600 {0}`", path.display())]
    KeyExposed {
        /// The CA file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file with the certificate alone is missing or out of date, and cannot be written.
    #[error("cannot write the CA's certificate to {}", path.display())]
    CertificateFileNotWritten {
        /// The file for clients.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
