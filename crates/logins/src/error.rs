//! Why nobody could be asked for a name and a password. Nothing of what files and options hold is shown but names of files.

use std::io;
use std::path::PathBuf;

use flowgate_tls::TlsConfigError;
use thiserror::Error;

use crate::limits::{BCRYPT_COST_MAX, SHA_CRYPT_ROUNDS_MAX};

/// What is wrong.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoginsError {
    /// `~` in a path, and no home directory.
    #[error("there is no home directory for `~`")]
    NoHome,
    /// The file cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// A file of absurd size.
    #[error("{} is longer than {limit} bytes", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
        /// As many as are read.
        limit: u64,
    },
    /// A line that cannot be used.
    #[error("{} line {line}: {fault}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What.
        fault: LineFault,
    },
    /// Nobody would be let in.
    #[error("{} names nobody", path.display())]
    Nobody {
        /// Which file.
        path: PathBuf,
    },
    /// A directory cannot be asked over TLS.
    #[error("{why}")]
    Tls {
        /// Why.
        why: TlsConfigError,
    },
}

/// What is wrong with a line of an htpasswd file.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum LineFault {
    /// Not UTF-8.
    #[error("not UTF-8 text")]
    NotText,
    /// Nothing divides name and password.
    #[error("expected `name:hash`")]
    NoColon,
    /// There is no name.
    #[error("there is no name before the colon")]
    NoName,
    /// A name that stands there already.
    #[error("this name stands on line {first} already")]
    Twice {
        /// Where.
        first: usize,
    },
    /// DES crypt, a password in clear text, or something else.
    #[error("the password is not hashed in a way that is taken here")]
    Unknown,
    /// It begins like a hash and is none.
    #[error("the hash is damaged")]
    Damaged,
    /// Checking it would take too long.
    #[error(
        "the hash would take too long to check: costs up to {BCRYPT_COST_MAX} (bcrypt) and {SHA_CRYPT_ROUNDS_MAX} rounds (SHA-2) are taken"
    )]
    TooCostly,
}

impl LoginsError {
    /// The next step for the user, when there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoHome => Some("give the path as an absolute one".into()),
            Self::Line { fault: LineFault::Unknown, .. } => Some(
                "`htpasswd -B FILE NAME` writes bcrypt hashes; those of `-5`, `-2`, `-m` and `-s` are taken, too"
                    .into(),
            ),
            Self::Tls { why } => why.hint(),
            _ => None,
        }
    }
}
