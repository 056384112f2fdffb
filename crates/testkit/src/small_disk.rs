//! A file system with little room, for tests of a full disk. It lies in memory and goes when it is dropped.

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

use crate::need::unavailable;

/// A small disk.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// A disk of so many bytes, or `None` after a line that says that only root can have one.
    ///
    /// # Panics
    ///
    /// Under `CI`, when there can be none.
    #[must_use]
    pub fn new(bytes: usize) -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        let size = CString::new(format!("size={bytes},mode=700")).expect("no NUL");
        match mount("flowgate-test", folder.path(), "tmpfs", MountFlags::NOSUID, size.as_c_str()) {
            Ok(()) => Some(Self { folder }),
            Err(error) => {
                unavailable(&format!("a small disk needs root to mount it ({error})"));
                None
            }
        }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes all the room that is left; says which file took it.
    #[must_use]
    pub fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let full = fs::write(&path, vec![0; 1 << 30]);
        assert!(full.is_err(), "it holds a gigabyte");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has a file open keeps it until then.
        let _ = unmount(self.path(), UnmountFlags::DETACH);
    }
}
