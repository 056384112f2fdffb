//! Whether a file was changed since it was read, and whether somebody may be writing it at this moment.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// How a file looked when it was read. Two that look the same are taken for the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Stamp {
    /// `None` if there is no such file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(path).ok()?;
        Some(Self { modified: metadata.modified().ok(), bytes: metadata.len(), inode: metadata.ino() })
    }
}

/// Tells a change that is complete from one that goes on. A file that is being written is empty first, or cut short, and for
/// as long as that would be read, hosts that are exempt would be decrypted. So files count when they looked the same twice.
#[derive(Debug, Default)]
pub(crate) struct Settling(Option<Vec<Option<Stamp>>>);

impl Settling {
    /// Whether files look as they did when they were looked at the last time.
    pub(crate) fn is_settled(&mut self, looks: Vec<Option<Stamp>>) -> bool {
        let is_settled = self.0.as_ref() == Some(&looks);
        self.0 = Some(looks);
        is_settled
    }
}
