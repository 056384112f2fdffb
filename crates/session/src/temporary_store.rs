//! A store for as long as the program needs it, where nobody named one to keep.
//!
//! It lies among the system's temporary files, for its owner alone, and goes when it is dropped. Who is killed leaves it behind; the
//! next one to make one finds it, sees that nobody writes to it, and removes it.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use flowgate_store::{StoreError, WRITER_LOCK};
use tempfile::TempDir;

use crate::flow_store::{FlowStore, FlowStoreError};

const PREFIX: &str = "flowgate-";
const SUFFIX: &str = ".store";

/// A folder without a lock may be one whose maker has not come so far, unless it is as old as this.
const EMPTY_FOR: Duration = Duration::from_secs(60);

/// A store that goes when it is dropped.
#[derive(Debug)]
pub(crate) struct TemporaryStore {
    // Dropped first: its lock says that the folder is in use.
    store: FlowStore,
    folder: TempDir,
}

impl TemporaryStore {
    /// Makes an empty one, and removes those that nobody uses any more.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn make() -> Result<Self, FlowStoreError> {
        Self::make_in(&std::env::temp_dir())
    }

    fn make_in(place: &Path) -> Result<Self, FlowStoreError> {
        let failed = |source| FlowStoreError { path: place.to_owned(), source: StoreError::Io(source) };
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX).permissions(Permissions::from_mode(0o700));
        let folder = builder.tempdir_in(place).map_err(failed)?;
        let store = FlowStore::open(folder.path())?;
        // What cannot be removed is somebody else's to tell of.
        let _ = remove_left_behind(place, folder.path());
        Ok(Self { store, folder })
    }

    pub(crate) const fn store(&mut self) -> &mut FlowStore {
        &mut self.store
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn remove_left_behind(place: &Path, ours: &Path) -> io::Result<()> {
    let owner = fs::metadata(ours)?.uid();
    for entry in fs::read_dir(place)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Of the entry itself, and never of what a link leads to.
        let Ok(about) = entry.metadata() else { continue };
        let is_one = name.starts_with(PREFIX) && name.ends_with(SUFFIX) && about.is_dir();
        if !is_one || about.uid() != owner {
            continue;
        }
        let lock = File::open(entry.path().join(WRITER_LOCK));
        let left = match &lock {
            Ok(lock) => lock.try_lock().is_ok(),
            Err(_) => about.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > EMPTY_FOR)),
        };
        if left {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(place: &Path) -> usize {
        fs::read_dir(place).unwrap().count()
    }

    #[test]
    fn goes_when_it_is_dropped() {
        let place = tempfile::tempdir().unwrap();
        let made = TemporaryStore::make_in(place.path()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(made.path()), 0o700);
        for file in fs::read_dir(made.path()).unwrap() {
            assert_eq!(mode(&file.unwrap().path()), 0o600);
        }
        drop(made);
        assert_eq!(names(place.path()), 0);
    }

    #[test]
    fn what_a_killed_program_left_goes_with_the_next_one() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        let used = TemporaryStore::make_in(place.path()).unwrap();
        // A store without its writer, and folders that look like one or are somewhere else.
        drop(FlowStore::open(&path("flowgate-dead.store")).unwrap());
        drop(FlowStore::open(&path("flowgate-kept")).unwrap());
        drop(FlowStore::open(&path("elsewhere")).unwrap());
        symlink(path("elsewhere"), path("flowgate-link.store")).unwrap();
        fs::create_dir(path("flowgate-young.store")).unwrap();
        let next = TemporaryStore::make_in(place.path()).unwrap();
        assert!(!path("flowgate-dead.store").exists());
        for name in ["flowgate-kept", "elsewhere", "flowgate-link.store", "flowgate-young.store"] {
            assert!(path(name).exists(), "{name}");
        }
        assert!(used.path().exists() && next.path().exists());
    }
}
