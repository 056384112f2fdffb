//! A file that has its name only when it is whole: until then it lies beside, and goes if anything fails.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;

/// A file cannot be made.
#[derive(Debug, Error)]
#[error("cannot write flows to {}", path.display())]
pub struct NewFileError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl NewFileError {
    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self.source.kind() {
            io::ErrorKind::AlreadyExists => {
                Some("name another file, or let it be replaced with `--overwrite`".to_owned())
            }
            io::ErrorKind::NotFound => Some("the folder has to exist".to_owned()),
            _ => None,
        }
    }
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Existing {
    /// It stays, and the new one is not made.
    Keep,
    /// The new one takes its place, when it is whole.
    Replace,
}

/// A file on its way. Dropped, it is gone.
#[derive(Debug)]
pub struct NewFile {
    place: Place,
    path: PathBuf,
    existing: Existing,
}

#[derive(Debug)]
enum Place {
    Beside(NamedTempFile),
    /// A device or a pipe, which has no other place.
    There(File),
}

impl NewFile {
    /// Begins a file that is to be `path`.
    ///
    /// # Errors
    /// If it is there and must not be replaced, or cannot be made.
    pub fn begin(path: &Path, existing: Existing) -> Result<Self, NewFileError> {
        let begin = || {
            let there = match fs::metadata(path) {
                Ok(there) => Some(there),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            if let Some(there) = &there {
                if there.is_dir() {
                    return Err(io::ErrorKind::IsADirectory.into());
                }
                if !there.is_file() {
                    let file = OpenOptions::new().write(true).open(path)?;
                    return Ok(Self { place: Place::There(file), path: path.to_owned(), existing });
                }
                if existing == Existing::Keep {
                    return Err(already_there());
                }
            }
            // What is behind a link is replaced, and the link stays.
            let path = if there.is_some() { path.canonicalize()? } else { path.to_owned() };
            // As `open` makes files, less what the process must not; a file that is replaced leaves its mode.
            let mode = there.map_or(0o666, |there| there.permissions().mode());
            let mut prefix = OsString::from(".");
            prefix.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
            prefix.push(".");
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or_else(|| Path::new("."));
            // Said of the folder: nobody knows of the temporary file.
            fs::metadata(folder)?;
            let file = tempfile::Builder::new()
                .prefix(&prefix)
                .suffix(".partial")
                .permissions(Permissions::from_mode(mode))
                .tempfile_in(folder)?;
            Ok(Self { place: Place::Beside(file), path, existing })
        };
        begin().map_err(|source| NewFileError { path: path.to_owned(), source })
    }

    /// Where it lies until it is whole, if that is another place.
    #[must_use]
    pub fn temporary_path(&self) -> Option<&Path> {
        match &self.place {
            Place::Beside(file) => Some(file.path()),
            Place::There(_) => None,
        }
    }

    /// It is whole, and gets its name.
    ///
    /// # Errors
    /// If there is such a file by now that must not be replaced, or the system refuses.
    pub fn finish(self) -> Result<(), NewFileError> {
        let Place::Beside(file) = self.place else { return Ok(()) };
        let named = match self.existing {
            Existing::Keep => file.persist_noclobber(&self.path),
            Existing::Replace => file.persist(&self.path),
        };
        named.map(drop).map_err(|error| {
            let source = match error.error.kind() {
                io::ErrorKind::AlreadyExists => already_there(),
                _ => error.error,
            };
            NewFileError { path: self.path, source }
        })
    }
}

fn already_there() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of this name already")
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::Beside(file) => file.as_file_mut().write(bytes),
            Place::There(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn has_its_name_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut file = NewFile::begin(&path, Existing::Keep).unwrap();
        file.write_all(b"new").unwrap();
        assert!(!path.exists());
        assert_eq!(file.temporary_path().and_then(Path::parent), Some(folder.path()));
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["x"]);
        // As any other file of this process.
        let other = folder.path().join("other");
        File::create(&other).unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&other));
    }

    #[test]
    fn leaves_nothing_if_it_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        NewFile::begin(&path, Existing::Keep).unwrap().write_all(b"new").unwrap();
        assert!(names(folder.path()).is_empty());
        // Somebody else was faster.
        let file = NewFile::begin(&path, Existing::Keep).unwrap();
        fs::write(&path, "theirs").unwrap();
        assert!(file.finish().is_err());
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        assert_eq!(names(folder.path()), ["x"]);
    }

    #[test]
    fn replaces_what_is_there_only_if_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let [path, link] = ["x", "link"].map(|name| folder.path().join(name));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let error = NewFile::begin(&path, Existing::Keep).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
        let mut file = NewFile::begin(&link, Existing::Replace).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        file.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["link", "x"]);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_folder_is_no_file_and_a_device_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let error = NewFile::begin(folder.path(), Existing::Replace).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::IsADirectory);
        let error = NewFile::begin(&folder.path().join("none/x"), Existing::Keep).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
        let mut file = NewFile::begin(Path::new("/dev/null"), Existing::Keep).unwrap();
        file.write_all(b"x").unwrap();
        assert_eq!(file.temporary_path(), None);
        file.finish().unwrap();
    }
}
