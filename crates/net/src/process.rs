//! The limits of this process.

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

/// How much processor time this thread has had.
pub fn thread_cpu_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(used).unwrap_or_default()
}
