//! Kernel pipes, through which `splice(2)` moves bytes from socket to socket without copying them.
//!
//! Not here: when to splice. A [`Pipe`] knows how many bytes are in it: an empty one goes back to the pool of the thread
//! when dropped, one with bytes in it is closed, so nobody ever gets another connection's bytes.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice};
use rustix::process::{Resource, getrlimit};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// How many bytes a pipe is to hold. Measured as CPU time a byte, least of nine or more runs in turn: copying 1, 16 KiB 1.3,
/// 64 KiB 0.85, 128 KiB 0.7, 256 KiB 0.5, 512 KiB and 1 MiB hardly less.
const PIPE_BYTES: usize = 256 * 1024;
/// With less room, as the kernel gives users who have too many pipes, copying is cheaper.
const PIPE_BYTES_MIN: usize = 64 * 1024;
/// How many empty pipes a thread keeps (two descriptors each).
const IDLE_PIPES_MAX: usize = 8;
/// How many pipes connections may hold at once, in the whole process: with [`PIPE_BYTES`] each, half of what Linux grants
/// an unprivileged user (`pipe-user-pages-soft`), for the user's other programs want some, too.
const PIPES_IN_USE_MAX: usize = 128;
/// Pipes may hold this part of the descriptors the process may have (two each); the rest is for connections.
const DESCRIPTORS_SHARE: u64 = 8;

/// Who lends pipes, and how many at once.
pub(crate) struct Pipes {
    in_use: AtomicUsize,
    in_use_max: usize,
}

/// The pipes of this process.
pub(crate) static PIPES: LazyLock<Pipes> = LazyLock::new(|| {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let affordable = usize::try_from(descriptors / DESCRIPTORS_SHARE / 2).unwrap_or(usize::MAX);
    Pipes::new(affordable.min(PIPES_IN_USE_MAX))
});

impl Pipes {
    pub(crate) const fn new(in_use_max: usize) -> Self {
        Self { in_use: AtomicUsize::new(0), in_use_max }
    }

    /// An empty pipe; `None` if too many are in use, or the system has none to give.
    pub(crate) fn borrow(&'static self) -> Option<Pipe> {
        if self.in_use.fetch_add(1, Ordering::Relaxed) < self.in_use_max {
            let idle = IDLE.try_with(|idle| idle.borrow_mut().pop()).ok().flatten();
            if let Some(ends) = idle.or_else(Ends::open) {
                return Some(Pipe { ends: Some(ends), held: 0, pipes: self });
            }
        }
        self.in_use.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

struct Ends {
    read: OwnedFd,
    write: OwnedFd,
    room: usize,
}

impl Ends {
    fn open() -> Option<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // Refused (EPERM) if the user has too many pipes already; then the size is what it was.
        let room = fcntl_setpipe_size(&write, PIPE_BYTES).or_else(|_| fcntl_getpipe_size(&write)).ok()?;
        (room >= PIPE_BYTES_MIN).then_some(Self { read, write, room })
    }
}

/// A borrowed pipe.
pub(crate) struct Pipe {
    /// `None` only while it is dropped.
    ends: Option<Ends>,
    held: usize,
    pipes: &'static Pipes,
}

/// What became of an attempt to fill a pipe.
pub(crate) enum Filled {
    /// So many bytes are in the pipe now; 0 is the end of the stream.
    Bytes(usize),
    /// Nothing that can be spliced is there. Whether that is nothing at all, only reading tells: `splice` stops for ever
    /// before urgent data.
    Nothing,
    /// This kind of socket, or this kernel, does not splice.
    Unsupported,
}

impl Pipe {
    /// How many bytes are in the pipe.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// Takes what `from` has. The pipe must be empty, so that the only thing there can be too little of is bytes.
    pub(crate) fn fill(&mut self, from: &TcpStream) -> io::Result<Filled> {
        debug_assert_eq!(self.held, 0, "a pipe is filled when it is empty");
        let Some(ends) = &self.ends else { return Ok(Filled::Unsupported) };
        match retried(|| splice(from, None, &ends.write, None, ends.room, flags())) {
            Ok(n) => {
                self.held = n;
                Ok(Filled::Bytes(n))
            }
            Err(Errno::AGAIN) => Ok(Filled::Nothing),
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => Ok(Filled::Unsupported),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Writes what is in the pipe, which must not be empty, so that the only thing there can be too little of is room in
    /// the socket: then its readiness is cleared.
    pub(crate) fn drain(&mut self, to: &TcpStream) -> io::Result<usize> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let n = to.try_io(Interest::WRITABLE, || {
            // Not with MORE: what is in the pipe may be all there is for long, and must not wait for company.
            Ok(retried(|| splice(&ends.read, None, to, None, self.held, flags()))?)
        })?;
        self.held -= n;
        Ok(n)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.pipes.in_use.fetch_sub(1, Ordering::Relaxed);
        let ends = self.ends.take().filter(|_| self.held == 0);
        // Fails only when the thread ends, and its idle pipes with it.
        let _ = IDLE.try_with(|idle| {
            let mut idle = idle.borrow_mut();
            if idle.len() < IDLE_PIPES_MAX {
                idle.extend(ends);
            }
        });
    }
}

thread_local! {
    static IDLE: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

fn flags() -> SpliceFlags {
    SpliceFlags::NONBLOCK | SpliceFlags::MOVE
}

fn retried<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle() -> usize {
        IDLE.with_borrow(Vec::len)
    }

    #[test]
    fn no_more_are_lent_than_allowed() {
        static TWO: Pipes = Pipes::new(2);
        let first = TWO.borrow().unwrap();
        let _second = TWO.borrow().unwrap();
        assert!(TWO.borrow().is_none());
        drop(first);
        assert!(TWO.borrow().is_some());
    }

    #[test]
    fn few_empty_ones_are_kept() {
        static MANY: Pipes = Pipes::new(IDLE_PIPES_MAX + 3);
        let borrowed: Vec<_> = std::iter::from_fn(|| MANY.borrow()).collect();
        assert_eq!((borrowed.len(), idle()), (IDLE_PIPES_MAX + 3, 0));
        drop(borrowed);
        assert_eq!(idle(), IDLE_PIPES_MAX);
        let _again = MANY.borrow().unwrap();
        assert_eq!(idle(), IDLE_PIPES_MAX - 1);
    }

    #[tokio::test]
    async fn one_with_bytes_in_it_is_closed() {
        use tokio::io::AsyncWriteExt;
        static ONE: Pipes = Pipes::new(1);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let far = listener.accept().await.unwrap().0;
        near.write_all(b"left").await.unwrap();
        far.readable().await.unwrap();
        let mut pipe = ONE.borrow().unwrap();
        assert!(matches!(pipe.fill(&far).unwrap(), Filled::Bytes(4)));
        drop(pipe);
        assert_eq!(idle(), 0);
        drop(ONE.borrow().unwrap());
        assert_eq!(idle(), 1);
    }

    #[test]
    fn a_pipe_has_the_room_it_should() {
        assert!(Ends::open().unwrap().room >= PIPE_BYTES_MIN);
    }
}
