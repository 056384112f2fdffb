//! How a file looks, to tell whether it was changed since it was read.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How a file looked. Take it before the file is read: then what is written meanwhile shows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

/// The coarsest clock of file systems that are in use (FAT's). Two changes within one of its ticks look the same.
const TICK_MAX: Duration = Duration::from_secs(2);

impl Stamp {
    /// `None` if there is no such file.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(path).ok()?;
        Some(Self { modified: metadata.modified().ok(), bytes: metadata.len(), inode: metadata.ino() })
    }

    /// Whether the file was changed so short a time ago that another change could look the same.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        // A time to come says nothing.
        let age = |modified: SystemTime| modified.elapsed().unwrap_or_default();
        self.modified.is_none_or(|modified| age(modified) < TICK_MAX)
    }
}
