//! Certificates with which we log in to servers (mitmproxy: `client_certs`): one for all, or one for each host.
//!
//! Files of a folder are read when their host is met, and again when they have changed, so that one can be put there while the program
//! runs. What lies there at the start is read then as well, so that a mistake is told at once.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::IdentityError;
use crate::identity::Identity;
use crate::limits::CLIENT_CERTS_MAX;
use crate::option_error::{TlsOptionError, TlsOptionFault};

const OPTION: &str = "client_certs";

/// Who we are to servers.
#[derive(Debug, Default)]
pub struct ClientCerts(Kind);

#[derive(Debug, Default)]
enum Kind {
    /// Nobody.
    #[default]
    None,
    /// The same to all.
    One(Arc<Identity>),
    /// Somebody else to each host.
    Folder(Folder),
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    passphrase: Option<String>,
    /// By file name, those that were read last.
    kept: Mutex<HashMap<String, (Stamp, Arc<Identity>)>>,
}

/// What tells that a file is another one.
type Stamp = (Option<SystemTime>, u64, u64);

impl ClientCerts {
    /// Reads a file, or the files of a folder that end in `.pem`.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn read(path: &Path, passphrase: Option<&str>) -> Result<Self, TlsOptionError> {
        let identity_error = |error: IdentityError| TlsOptionError::of(OPTION, error);
        let unreadable =
            |source| TlsOptionError::of(OPTION, TlsOptionFault::Unreadable { path: path.to_owned(), source });
        if !fs::metadata(path).map_err(unreadable)?.is_dir() {
            let identity = Identity::read(path, passphrase).map_err(identity_error)?;
            return Ok(Self(Kind::One(Arc::new(identity))));
        }
        for entry in fs::read_dir(path).map_err(unreadable)?.take(CLIENT_CERTS_MAX) {
            let file = entry.map_err(unreadable)?.path();
            if file.extension().is_some_and(|extension| extension == "pem") {
                Identity::read(&file, passphrase).map_err(identity_error)?;
            }
        }
        let passphrase = passphrase.map(str::to_owned);
        Ok(Self(Kind::Folder(Folder { path: path.to_owned(), passphrase, kept: Mutex::default() })))
    }

    /// Who we are to every server.
    pub(crate) fn of_all(&self) -> Option<Arc<Identity>> {
        match &self.0 {
            Kind::One(identity) => Some(identity.clone()),
            Kind::None | Kind::Folder(_) => None,
        }
    }

    /// Who else we are to this host, a name or an address that TLS may ask for.
    ///
    /// # Errors
    /// When there is a file for it that cannot be used.
    pub(crate) fn of_host(&self, host: &str) -> Result<Option<Arc<Identity>>, IdentityError> {
        match &self.0 {
            Kind::None | Kind::One(_) => Ok(None),
            Kind::Folder(folder) => folder.of(host),
        }
    }
}

impl Folder {
    fn of(&self, host: &str) -> Result<Option<Arc<Identity>>, IdentityError> {
        // It stands in a path. Names and addresses have neither.
        if host.contains(['/', '\\', '\0']) {
            return Ok(None);
        }
        match self.file(&format!("{host}.pem"))? {
            None if host.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                self.file(&format!("{}.pem", host.to_ascii_lowercase()))
            }
            found => Ok(found),
        }
    }

    fn file(&self, name: &str) -> Result<Option<Arc<Identity>>, IdentityError> {
        let path = self.path.join(name);
        let facts = match fs::metadata(&path) {
            Ok(facts) if facts.is_file() => facts,
            Ok(_) => return Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename) => {
                return Ok(None);
            }
            Err(source) => return Err(IdentityError::Unreadable { path, source }),
        };
        let stamp = (facts.modified().ok(), facts.len(), facts.ino());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, identity)) = kept.get(name).filter(|(of, _)| *of == stamp) {
            return Ok(Some(identity.clone()));
        }
        let identity = Arc::new(Identity::read(&path, self.passphrase.as_deref())?);
        if kept.len() >= CLIENT_CERTS_MAX {
            kept.clear();
        }
        kept.insert(name.to_owned(), (stamp, identity.clone()));
        Ok(Some(identity))
    }
}
