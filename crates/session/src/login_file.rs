//! The htpasswd file that `proxyauth` names: read again when it has changed.

use std::path::PathBuf;

use flowgate_addons::Features;
use flowgate_net::Stamp;
use flowgate_options::Level;

use crate::settling::Settling;

/// The file, and how it looked before it was read.
#[derive(Debug, Default)]
pub(crate) struct LoginFile {
    path: Option<PathBuf>,
    read: Option<Stamp>,
    /// It was so new when it was read that a change right after that may look the same: hashes of a kind are of one length.
    is_in_doubt: bool,
    settling: Settling,
}

impl LoginFile {
    /// The one that is in force.
    pub(crate) fn of(features: &Features) -> Self {
        let logins = features.logins();
        let path = logins.as_ref().and_then(|logins| logins.file().map(ToOwned::to_owned));
        let read = logins.as_ref().and_then(|logins| logins.stamp());
        let is_in_doubt = read.as_ref().is_some_and(Stamp::is_fresh);
        Self { path, read, is_in_doubt, settling: Settling::default() }
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
        let is_fresh = looks.as_ref().is_some_and(Stamp::is_fresh);
        let may_differ = looks != self.read || (self.is_in_doubt && !is_fresh);
        if !may_differ || !self.settling.is_settled(vec![looks.clone()]) {
            return None;
        }
        // Told once; the next change is another chance.
        self.read = looks;
        self.is_in_doubt = is_fresh;
        match logins.read_again() {
            Ok(None) => None,
            Ok(Some(names)) => {
                Some((Level::Info, format!("proxyauth: {} read again, names: {names}", path.display())))
            }
            Err(error) => {
                let line = format!("proxyauth: not read again, those known before stay: {error}");
                Some((Level::Error, line))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Nobody;
    use flowgate_filter::Case;
    use flowgate_options::{Options, Source};
    use std::fs;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    /// A change in the same tick of the file system's clock, of the same length: all that tells is what the file says.
    #[test]
    fn a_change_that_looks_like_none_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let write = |name: &str, age: Duration| {
            fs::write(&path, format!("{name}:{{SHA}}W8r/fyL/UzygmbNAjq2HbA67qac=\n")).unwrap();
            let file = fs::File::options().append(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
            file.metadata().unwrap().modified().unwrap()
        };
        let begin = write("alice", Duration::ZERO);
        let mut options = Options::default();
        options.set(Source::Set, "proxyauth", &[&format!("@{}", path.display())]).unwrap();
        let features = Features::new(Case::Ignored, None, Arc::new(Nobody));
        let _ = features.addons(options.values()).unwrap();
        let mut file = LoginFile::of(&features);
        assert!(file.is_in_doubt);
        write("carol", Duration::ZERO);
        fs::File::options().append(true).open(&path).unwrap().set_modified(begin).unwrap();
        assert_eq!(Stamp::of(&path), file.read, "it looks the same");
        assert_eq!(file.look(&features), None, "somebody may still be writing");
        // As time goes by.
        file.is_in_doubt = true;
        let old = SystemTime::now() - Duration::from_secs(60);
        fs::File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
        file.read = Stamp::of(&path);
        assert_eq!(file.look(&features), None, "looked at twice");
        let (level, line) = file.look(&features).unwrap();
        assert!(level == Level::Info && line.ends_with("users read again, names: 1"), "{line}");
        assert_eq!(file.look(&features), None);
        assert!(!file.is_in_doubt);
    }
}
