//! Files of the config dir: reading with a bound, creating so that nobody sees half a file.
//!
//! Invariant: a file that may hold a key is 0600 from the moment it exists.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;

use crate::limits::PEM_FILE_BYTES_MAX;

/// Who may read a file we create.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Readers {
    /// The owner only.
    Owner,
    /// Everyone the umask allows.
    Everyone,
}

/// Reads a file of at most [`PEM_FILE_BYTES_MAX`].
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(PEM_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PEM_FILE_BYTES_MAX {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Creates a directory and its parents, for the owner only. One that exists keeps its mode.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Puts a new file for the owner in place. `AlreadyExists`: another process was first, and its file is complete.
pub(crate) fn create_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = Temporary::write(path, contents, Readers::Owner)?;
    match fs::hard_link(&temporary.path, path) {
        // FAT and some network and shared folders have no links. There the file is created in place; a second
        // start in the same instant may then find it half written and says so.
        Err(error) if error.kind() != ErrorKind::AlreadyExists => write_new(path, contents, Readers::Owner),
        outcome => outcome,
    }
}

/// Puts a file that everyone may read in place, instead of the one that is there.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = Temporary::write(path, contents, Readers::Everyone)?;
    fs::rename(&temporary.path, path)
}

fn write_new(path: &Path, contents: &[u8], readers: Readers) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if readers == Readers::Owner { 0o600 } else { 0o644 });
    }
    // Elsewhere the directory's access list is inherited.
    let mut file = options.open(path)?;
    file.write_all(contents)?;
    match readers {
        Readers::Owner => file.sync_all(),
        Readers::Everyone => Ok(()), // lost in a crash, it is made again
    }
}

/// A complete file under a name nobody else uses. Goes with its owner.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn write(beside: &Path, contents: &[u8], readers: Readers) -> io::Result<Self> {
        let mut random = [0; 8];
        rand::fill(&mut random).map_err(|_| io::Error::other("the system has no random numbers"))?;
        let mut name = std::ffi::OsString::from(".");
        name.push(beside.file_name().unwrap_or_default());
        name.push(format!(".{:016x}", u64::from_ne_bytes(random)));
        let temporary = Self { path: beside.with_file_name(name) };
        write_new(&temporary.path, contents, readers)?;
        Ok(temporary)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove; a file that cannot be removed harms nobody.
        drop(fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_file_never_replaces_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        create_new(&path, b"first").unwrap();
        assert_eq!(create_new(&path, b"second").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(write_new(&path, b"third", Readers::Owner).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(read(&path).unwrap(), b"first");
        assert_eq!(names(dir.path()), ["key"], "no temporary file is left");
    }

    #[test]
    fn replacing_leaves_the_new_content_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cert");
        replace(&path, b"first").unwrap();
        replace(&path, b"second").unwrap();
        assert_eq!(read(&path).unwrap(), b"second");
        assert_eq!(names(dir.path()), ["cert"]);
    }

    #[cfg(unix)]
    #[test]
    fn modes() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let dir = tempfile::tempdir().unwrap();
        let private = dir.path().join("a/b");
        create_private_dir(&private).unwrap();
        create_private_dir(&private).unwrap();
        assert_eq!(mode(&private), 0o700);
        create_new(&private.join("key"), b"").unwrap();
        assert_eq!(mode(&private.join("key")), 0o600);
        write_new(&private.join("fallback"), b"", Readers::Owner).unwrap();
        assert_eq!(mode(&private.join("fallback")), 0o600);
    }

    #[test]
    fn endless_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big");
        File::create(&path).unwrap().set_len(PEM_FILE_BYTES_MAX + 1).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }
}
