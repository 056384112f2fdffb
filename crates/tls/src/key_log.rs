//! Writing TLS secrets to a file, for Wireshark (the NSS key log format). Off unless a user asks by variable.
//!
//! Both sides share one writer. Invariant: a line is one append, so lines of several connections and processes do not
//! mix.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::KeyLog;

/// The variables that name the file, the first one set wins (as in mitmproxy).
const VARIABLES: [&str; 2] = ["MITMPROXY_SSLKEYLOGFILE", "SSLKEYLOGFILE"];

/// The key log file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the TLS key log {}", path.display())]
pub struct KeyLogError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// A file that gets the secrets of every TLS connection, client and server side.
pub struct KeyLogWriter {
    file: File,
    lines_lost: AtomicU64,
}

impl KeyLogWriter {
    /// Opens the file that `MITMPROXY_SSLKEYLOGFILE` or `SSLKEYLOGFILE` names, if one does.
    ///
    /// # Errors
    /// When it cannot be opened for writing.
    pub fn from_env() -> Result<Option<Self>, KeyLogError> {
        let named = VARIABLES.iter().filter_map(std::env::var_os).find(|path| !path.is_empty());
        named.map(|path| Self::open(Path::new(&path))).transpose()
    }

    /// Opens a file to append to. A new one is for the owner only: it undoes the encryption of what is recorded.
    ///
    /// # Errors
    /// When it cannot be opened for writing.
    pub fn open(path: &Path) -> Result<Self, KeyLogError> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|source| KeyLogError { path: path.to_owned(), source })?;
        Ok(Self { file, lines_lost: AtomicU64::new(0) })
    }

    /// Lines that could not be written. Connections go on without.
    pub fn lines_lost(&self) -> u64 {
        self.lines_lost.load(Ordering::Relaxed)
    }
}

impl KeyLog for KeyLogWriter {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}\n", Hex(client_random), Hex(secret));
        if (&self.file).write_all(line.as_bytes()).is_err() {
            self.lines_lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for KeyLogWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLogWriter").field("lines_lost", &self.lines_lost()).finish_non_exhaustive()
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        for secret in [[1, 0xab], [2, 0xcd]] {
            KeyLogWriter::open(&path).unwrap().log("CLIENT_RANDOM", &[0, 255], &secret);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "CLIENT_RANDOM 00ff 01ab\nCLIENT_RANDOM 00ff 02cd\n");
    }

    #[test]
    fn an_error_names_the_file() {
        let error = KeyLogWriter::open(Path::new("/nonexistent/keys")).unwrap_err();
        assert_eq!(error.to_string(), "cannot open the TLS key log /nonexistent/keys");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_counted_and_harms_nobody() {
        let log = KeyLogWriter::open(Path::new("/dev/full")).unwrap();
        log.log("CLIENT_RANDOM", &[0], &[1]);
        assert_eq!(log.lines_lost(), 1);
    }
}
