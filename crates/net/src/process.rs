//! The limits of this process.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one; says what it is now (`None`: unlimited).
///
/// A proxy needs two descriptors a connection, and the usual soft limit of 1,024 is for programs that use `select`.
pub fn raise_descriptor_limit() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    if setrlimit(Resource::Nofile, limit).is_ok() { limit.current } else { before }
}

/// Lets all other threads go first, from now on and for as long as this thread lives: it runs when there is processor time to spare,
/// and next to nothing when there is none.
///
/// On Linux alone, where a thread has a priority of its own; elsewhere it does nothing.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    {
        // Of this thread. It fails for nobody: everyone may be nicer.
        let _ = rustix::process::setpriority_process(None, 19);
    }
}

/// How long a thread had to wait for a processor.
#[derive(Debug)]
pub struct ThreadWaits(File);

impl ThreadWaits {
    /// Of the thread that calls it; `None` where the system does not tell.
    pub fn of_this_thread() -> Option<Self> {
        let waits = Self(File::open("/proc/thread-self/schedstat").ok()?);
        waits.so_far().map(|_| waits)
    }

    /// How long all in all.
    pub fn so_far(&self) -> Option<Duration> {
        // Nanoseconds of having run, nanoseconds of having waited, and how often it ran.
        let mut text = [0; 96];
        let len = self.0.read_at(&mut text, 0).ok()?;
        let text = str::from_utf8(text.get(..len)?).ok()?;
        text.split_ascii_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_told_how_long_it_waited() {
        let waits = ThreadWaits::of_this_thread().unwrap();
        let before = waits.so_far().unwrap();
        std::thread::yield_now();
        assert!(waits.so_far().unwrap() >= before);
    }
}
