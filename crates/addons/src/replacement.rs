//! What stands in the place of something: text with Python's escapes, or `@path`, a file that is read each time it is needed.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flowgate_options::expand_home;
use flowgate_pattern::unescape;

use crate::error::{FeatureError, FeatureFault};
use crate::limits::REPLACEMENT_BYTES_MAX;
use crate::spec::{Entry, Part};

/// A replacement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Replacement {
    Literal(Vec<u8>),
    File(PathBuf),
}

impl Replacement {
    /// Reads a part of an entry. A file has to be readable now, too.
    pub(crate) fn parse(
        entry: &Entry<'_>,
        part: Part<'_>,
        home: Option<&Path>,
    ) -> Result<Self, FeatureError> {
        let Some(path) = part.text.strip_prefix('@') else {
            return match unescape(part.text) {
                Ok(bytes) => Ok(Self::Literal(bytes)),
                Err(error) => {
                    Err(entry.error(part.column + error.position, FeatureFault::Replacement(error.fault)))
                }
            };
        };
        let path = expand_home(path, home).ok_or_else(|| entry.error(part.column, FeatureFault::NoHome))?;
        match read_bounded(&path) {
            Ok(Some(_)) => Ok(Self::File(path)),
            Ok(None) => {
                let fault = FeatureFault::FileTooLong { path, limit: REPLACEMENT_BYTES_MAX };
                Err(entry.error(part.column, fault))
            }
            Err(why) => Err(entry.error(part.column, FeatureFault::File { path, why })),
        }
    }

    /// What it is now. Blocks if it is a file.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        match self {
            Self::Literal(bytes) => Ok(bytes.clone()),
            Self::File(path) => read_bounded(path)?.ok_or_else(|| io::ErrorKind::FileTooLarge.into()),
        }
    }

    /// The file it is read from.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Literal(_) => None,
            Self::File(path) => Some(path),
        }
    }
}

/// A file's bytes; `None` if it is longer than it may be.
fn read_bounded(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    file.take(REPLACEMENT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= REPLACEMENT_BYTES_MAX);
    Ok(fits.then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn text_or_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("new"), "from the file\n").unwrap();
        let read = |text: &str| {
            let entry = Entry { option: "modify_headers", index: 0, text };
            Replacement::parse(&entry, Part { text, column: 5 }, Some(folder.path()))
        };
        assert_eq!(read(r"a\x41\n").unwrap().read().unwrap(), b"aA\n");
        assert_eq!(read("").unwrap(), Replacement::Literal(Vec::new()));
        assert_eq!(read("@~/new").unwrap().read().unwrap(), b"from the file\n");
        let absent = folder.path().join("absent");
        for (text, told) in [
            (r"ab\x1", "modify_headers[0] at column 7: incomplete \\x escape".to_owned()),
            (
                "@~/absent",
                format!(
                    "modify_headers[0] at column 5: cannot read {}: No such file or directory (os error 2)",
                    absent.display()
                ),
            ),
            (
                "@~",
                format!(
                    "modify_headers[0] at column 5: cannot read {}: is a directory",
                    folder.path().display()
                ),
            ),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), told);
        }
        let gone = read("@~/new").unwrap();
        fs::remove_file(folder.path().join("new")).unwrap();
        assert_eq!(gone.read().unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_may_be_so_long_and_no_longer() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (length, fits) in [(REPLACEMENT_BYTES_MAX, true), (REPLACEMENT_BYTES_MAX + 1, false)] {
            file.as_file().set_len(length).unwrap();
            assert_eq!(read_bounded(file.path()).unwrap().is_some(), fits);
        }
    }
}
