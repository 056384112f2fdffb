//! What is wrong with an option about TLS: which one, which entry of its list, at which character, and why.

use std::fmt;
use std::path::PathBuf;

use flowgate_options::place_in_option;

use crate::IdentityError;

/// An option that cannot be put into effect; its `Display` is one line.
#[derive(Debug, thiserror::Error)]
pub struct TlsOptionError {
    /// The option.
    pub option: &'static str,
    /// Which entry of its list, from 0; `None` if it is no list.
    pub entry: Option<usize>,
    /// At which character, from 1, if it is one place.
    pub column: Option<usize>,
    /// What.
    pub fault: TlsOptionFault,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsOptionFault {
    /// A version that is not spoken.
    #[error("{word} is not spoken: flowgate has TLS 1.2 and 1.3")]
    Version {
        /// The word for it.
        word: &'static str,
    },
    /// The lowest version is above the highest.
    #[error("no version is left between {min} and {max}")]
    NoVersion {
        /// The word for the lowest.
        min: &'static str,
        /// The word for the highest.
        max: &'static str,
    },
    /// A word that is neither a cipher suite nor a group of them in OpenSSL.
    #[error("`{word}` is no cipher suite, and no group of them, in OpenSSL")]
    UnknownCipher {
        /// The word.
        word: String,
    },
    /// A command that cipher lists do not have.
    #[error(
        "`{word}` is no command of cipher lists; they are `@STRENGTH` and `@SECLEVEL=0` to `@SECLEVEL=5`"
    )]
    UnknownCommand {
        /// The word.
        word: String,
    },
    /// All suites were left out.
    #[error("no cipher suite that is spoken is left")]
    NoCipher,
    /// Not a curve we have.
    #[error("`{word}` is no curve for the key exchange here")]
    Curve {
        /// The word.
        word: String,
    },
    /// A domain that no certificate can be for.
    #[error("`{domain}` is no host name, address or `*.` and a host name")]
    Domain {
        /// What stands before `=`.
        domain: String,
    },
    /// Nothing where a path should be.
    #[error("the path is missing")]
    NoPath,
    /// A certificate with its key that cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl TlsOptionError {
    pub(crate) fn of(option: &'static str, fault: impl Into<TlsOptionFault>) -> Self {
        Self { option, entry: None, column: None, fault: fault.into() }
    }

    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match &self.fault {
            TlsOptionFault::Version { .. } => {
                "TLS1_2 is the lowest; peers that know only older versions can be passed through with `ignore_hosts`"
            }
            TlsOptionFault::NoVersion { .. } => "UNBOUNDED, TLS1_2 and TLS1_3 are what can be said",
            TlsOptionFault::UnknownCipher { .. } => {
                "`openssl ciphers -s -tls1_2 LIST` shows what a list means; divide entries with `:`"
            }
            TlsOptionFault::NoCipher => {
                "of TLS 1.2, ECDHE with ECDSA or RSA and AES-GCM or CHACHA20-POLY1305 is spoken; to leave TLS 1.2 out set \
                 the lowest version to TLS1_3"
            }
            TlsOptionFault::Curve { .. } => "prime256v1, secp384r1 and X25519 are there",
            TlsOptionFault::Domain { .. } | TlsOptionFault::NoPath => {
                "write `shop.test=/path/file.pem`, or the path alone for every domain"
            }
            TlsOptionFault::Identity(error) => return error.hint(),
            TlsOptionFault::UnknownCommand { .. } | TlsOptionFault::Unreadable { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

impl fmt::Display for TlsOptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", place_in_option(self.option, self.entry, self.column), self.fault)
    }
}
