//! Who is there: one writer of a store at most, and readers that wait for it. Locks of files, which end with whoever holds them.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use crate::limits::{INDEX_WAIT_INTERVAL, READER_AT_INDEX_MAX};
use crate::segment::SegmentError;

/// The file in a store's folder that is locked while somebody writes there.
pub const WRITER_LOCK: &str = "writer.lock";

/// The file that is locked by all who wait for flows that the index does not know of yet.
const WAITING_LOCK: &str = "waiting.lock";

/// Takes the writer's place until it is dropped, if it is free.
pub(crate) fn be_writer_at_once(directory: &Path) -> Result<File, SegmentError> {
    let lock = open(directory, WRITER_LOCK)?;
    match lock.try_lock() {
        Ok(()) => {
            // Whoever was here before may have failed to the end.
            show_failing(&lock, false);
            Ok(lock)
        }
        Err(TryLockError::WouldBlock) => Err(SegmentError::Locked),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Takes the writer's place until it is dropped. A reader that has it for a moment, to tell the index what a writer left behind, is
/// waited for.
pub(crate) fn be_writer(directory: &Path) -> Result<File, SegmentError> {
    let begun = Instant::now();
    loop {
        match be_writer_at_once(directory) {
            Err(SegmentError::Locked)
                if is_anybody_waiting(directory) && begun.elapsed() < READER_AT_INDEX_MAX =>
            {
                thread::park_timeout(INDEX_WAIT_INTERVAL);
            }
            taken => return taken,
        }
    }
}

/// Shows readers whether the index can be told of anything: the file of the lock is one byte long if not. A disk that is full has room
/// for that.
pub(crate) fn show_failing(lock: &File, failing: bool) {
    let _ = lock.set_len(failing.into());
}

/// Whether the writer shows that the index can be told of nothing.
pub(crate) fn is_failing(directory: &Path) -> bool {
    fs::metadata(directory.join(WRITER_LOCK)).is_ok_and(|lock| lock.len() > 0)
}

/// Shows that somebody waits, until it is dropped.
pub(crate) fn wait(directory: &Path) -> Result<File, SegmentError> {
    let lock = open(directory, WAITING_LOCK)?;
    // Who looks whether anybody waits has it for an instant.
    lock.lock_shared()?;
    Ok(lock)
}

/// Says whether anybody waits for flows that the index of a store does not know of.
#[derive(Debug)]
pub struct Waits(PathBuf);

impl Waits {
    pub(crate) fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// Whether anybody waits now. Costs a few calls of the system.
    #[must_use]
    pub fn is_anybody(&self) -> bool {
        is_anybody_waiting(&self.0)
    }
}

/// Whether a reader waits.
fn is_anybody_waiting(directory: &Path) -> bool {
    // Without the file nobody ever has.
    File::open(directory.join(WAITING_LOCK))
        .is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

fn open(directory: &Path, name: &str) -> Result<File, SegmentError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    Ok(options.open(directory.join(name))?)
}
