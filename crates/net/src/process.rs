//! The limits of this process, its place among the threads of others, and its memory.

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

/// How much memory the process has, in bytes; `None` where the system does not say.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    // In pages; the second number (proc(5)).
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

/// Has the allocator give back what it keeps for nobody, where it can be asked to. Takes the longer the more that is.
pub fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[allow(unsafe_code, reason = "no library asks for this")]
        // SAFETY: it may be called by any thread at any time (malloc_trim(3): MT-Safe), and touches nothing that is in use.
        let _ = unsafe { nix::libc::malloc_trim(0) };
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

    /// 64 MiB in small pieces of which one in a thousand is still there held all of them.
    #[test]
    #[cfg(target_env = "gnu")]
    fn what_is_free_between_what_is_not_is_given_back() {
        const PIECE: usize = 4096;
        let before = resident_bytes().unwrap();
        let mut pieces: Vec<_> = (0..16_384).map(|_| vec![7_u8; PIECE]).collect();
        let full = resident_bytes().unwrap();
        assert!(full >= before + (48 << 20));
        let mut n = 0;
        pieces.retain(|_| {
            n += 1;
            n % 1000 == 0
        });
        give_memory_back();
        let after = resident_bytes().unwrap();
        assert!(after <= before + (16 << 20), "{before} {full} {after}");
        assert_eq!(pieces.len(), 16);
    }
}
