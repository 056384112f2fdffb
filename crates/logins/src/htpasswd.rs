//! Files of names and hashed passwords as Apache's `htpasswd` writes them: `name:hash`, a line each. Empty lines, and those that
//! begin with `#`, say nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use aws_lc_rs::digest::{Digest, SHA256, digest};
use flowgate_net::Stamp;

use crate::error::{LineFault, LoginsError};
use crate::hash::Hash;
use crate::limits::HTPASSWD_BYTES_MAX;

/// Who is known, and by what.
#[derive(Debug)]
pub(crate) struct Htpasswd {
    known: HashMap<String, (Hash, usize)>,
    /// Checked for those who are not known, so that the time an answer takes does not tell who is.
    any: Hash,
    /// How the file looked before it was read.
    stamp: Option<Stamp>,
    /// What tells whether it says the same.
    digest: Digest,
}

impl Htpasswd {
    /// Reads a file as a whole.
    pub(crate) fn read(path: &Path) -> Result<Self, LoginsError> {
        let unreadable = |why: io::Error| LoginsError::File { path: path.to_owned(), why };
        let mut bytes = Vec::new();
        // Before it is read: what is written meanwhile shows.
        let stamp = Stamp::of(path);
        File::open(path)
            .and_then(|file| file.take(HTPASSWD_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        if bytes.len() as u64 > HTPASSWD_BYTES_MAX {
            return Err(LoginsError::TooLong { path: path.to_owned(), limit: HTPASSWD_BYTES_MAX });
        }
        match Self::parse(&bytes) {
            Ok(Some(file)) => Ok(Self { stamp, ..file }),
            Ok(None) => Err(LoginsError::Nobody { path: path.to_owned() }),
            Err((line, fault)) => Err(LoginsError::Line { path: path.to_owned(), line, fault }),
        }
    }

    /// `None` if nobody is named; else the line, from 1, that cannot be used.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, (usize, LineFault)> {
        let mut known: HashMap<String, (Hash, usize)> = HashMap::new();
        let mut any = None;
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let number = index + 1;
            let fails = |fault| (number, fault);
            let line = std::str::from_utf8(line).map_err(|_| fails(LineFault::NotText))?.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, rest) = line.split_once(':').ok_or_else(|| fails(LineFault::NoColon))?;
            if name.is_empty() {
                return Err(fails(LineFault::NoName));
            }
            // What may stand behind another colon is a remark.
            let hash = Hash::parse(rest.split(':').next().unwrap_or_default()).map_err(fails)?;
            any.get_or_insert_with(|| hash.clone());
            match known.entry(name.to_owned()) {
                Entry::Vacant(vacant) => {
                    vacant.insert((hash, number));
                }
                Entry::Occupied(there) => return Err(fails(LineFault::Twice { first: there.get().1 })),
            }
        }
        let digest = digest(&SHA256, bytes);
        Ok(any.map(|any| Self { known, any, stamp: None, digest }))
    }

    /// Whether this is the password of this name. Blocks for as long as the hash was made to take.
    pub(crate) fn is_right(&self, name: &str, password: &[u8]) -> bool {
        match self.known.get(name) {
            Some((hash, _)) => hash.is_of(password),
            None => {
                let _ = self.any.is_of(password);
                false
            }
        }
    }

    /// How the file looked before it was read.
    pub(crate) const fn stamp(&self) -> Option<&Stamp> {
        self.stamp.as_ref()
    }

    /// Whether the other says the same, to the byte.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.digest.as_ref() == other.digest.as_ref()
    }

    /// How many are known.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=";

    #[test]
    fn names_and_what_says_nothing() {
        let text = format!("# who may\r\n\nalice:{SHA}\r\n  bob:{SHA}:a remark\nä b:{SHA}\n\n");
        let file = Htpasswd::parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(file.len(), 3);
        for name in ["alice", "bob", "ä b"] {
            assert!(file.is_right(name, b"open sesame"), "{name}");
            assert!(!file.is_right(name, b"open"), "{name}");
        }
        assert!(!file.is_right("carol", b"open sesame"));
        assert!(!file.is_right("", b"open sesame"));
        assert!(Htpasswd::parse(b"# nobody\n").unwrap().is_none());
    }

    #[test]
    fn mistakes_name_the_line() {
        for (text, expected) in [
            ("alice\n".to_owned(), (1, LineFault::NoColon)),
            (format!("\n:{SHA}\n"), (2, LineFault::NoName)),
            (format!("a:{SHA}\nb:x\n"), (2, LineFault::Unknown)),
            (format!("a:{SHA}\n\na:{SHA}"), (3, LineFault::Twice { first: 1 })),
            ("#\n#\na:{SHA}x".to_owned(), (3, LineFault::Damaged)),
        ] {
            assert_eq!(Htpasswd::parse(text.as_bytes()).unwrap_err(), expected, "{text}");
        }
        assert_eq!(Htpasswd::parse(b"a:\xff").unwrap_err(), (1, LineFault::NotText));
    }

    #[test]
    fn a_file_is_so_long_and_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let line = format!("alice:{SHA}\n");
        let mut text = line.clone() + &"#".repeat(usize::try_from(HTPASSWD_BYTES_MAX).unwrap() - line.len());
        std::fs::write(&path, &text).unwrap();
        assert!(Htpasswd::read(&path).is_ok());
        text.push('#');
        std::fs::write(&path, &text).unwrap();
        assert!(matches!(Htpasswd::read(&path), Err(LoginsError::TooLong { .. })));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(bytes: Vec<u8>, text in "([a-z:#{}$/.\\n]|\\{SHA\\}|\\$2y\\$|\\$5\\$){0,40}") {
            let _ = Htpasswd::parse(&bytes);
            let _ = Htpasswd::parse(text.as_bytes());
        }
    }
}
