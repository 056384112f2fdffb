//! The htpasswd file that `proxyauth` names: read again when it has changed.

use std::path::PathBuf;

use flowgate_addons::Features;
use flowgate_options::Level;

use crate::settling::Settling;
use flowgate_net::Stamp;

/// The file, and how it looked when it was read.
#[derive(Debug, Default)]
pub(crate) struct LoginFile {
    path: Option<PathBuf>,
    read: Option<Stamp>,
    settling: Settling,
}

impl LoginFile {
    /// The one that is in force.
    pub(crate) fn of(features: &Features) -> Self {
        let path = features.logins().and_then(|logins| logins.file().map(ToOwned::to_owned));
        let read = path.as_deref().and_then(Stamp::of);
        Self { path, read, settling: Settling::default() }
    }

    /// Reads it again if it is another than before; says what came of that.
    pub(crate) fn look(&mut self, features: &Features) -> Option<(Level, String)> {
        let logins = features.logins();
        let path = logins.as_ref().and_then(|logins| logins.file());
        if path != self.path.as_deref() {
            *self = Self::of(features);
            return None;
        }
        let (logins, path) = (logins.as_ref()?, path?);
        let looks = Stamp::of(path);
        if looks == self.read || !self.settling.is_settled(vec![looks.clone()]) {
            return None;
        }
        // Told once; the next change is another chance.
        self.read = looks;
        Some(match logins.read_again() {
            Ok(names) => (Level::Info, format!("proxyauth: {} read again, names: {names}", path.display())),
            Err(error) => {
                (Level::Error, format!("proxyauth: not read again, those known before stay: {error}"))
            }
        })
    }
}
