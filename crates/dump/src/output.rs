//! The writer of what was rendered: whole lines, in the order in which they were handed in, from any number of threads.
//!
//! One thread of its own writes, so that a slow terminal or pipe holds up nobody who prints until the bound is reached. It
//! takes all that is waiting at once and writes and flushes it in one go: a lone line is out at once, a fast stream is
//! batched. What was handed in as one chunk is never torn apart by another.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Where rendered text goes. Clones write to the same place.
///
/// Call [`Output::close`] before the program ends: what is still waiting then is lost otherwise.
#[derive(Clone, Debug)]
pub struct Output {
    shared: Arc<Shared>,
}

/// Why text was not written, or will not be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// Nobody reads standard output any more: the program should end with exit code 1.
    #[error("standard output is gone")]
    BrokenPipe,
    /// Writing failed otherwise (a full disk, say).
    #[error("cannot write to standard output: {0}")]
    Write(io::ErrorKind),
    /// [`Output::try_push`]: as much is waiting as may wait.
    #[error("standard output is too slow")]
    Full,
    /// [`Output::close`] was called.
    #[error("the output is closed")]
    Closed,
}

impl OutputError {
    /// What it means that standard output could not be written.
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            kind => Self::Write(kind),
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// There is something to write, or nothing more will be.
    filled: Condvar,
    /// There is room, or the end has come.
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: String,
    /// The writer is busy with what it took.
    writing: bool,
    /// Why nothing more is taken.
    end: Option<OutputError>,
    writer: Option<JoinHandle<()>>,
}

impl Output {
    /// Starts the thread that writes to `writer` (standard output, locked for each batch, if that is
    /// [`std::io::Stdout`]).
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(writer: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_writer = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("output".into()).spawn(move || of_writer.write_all_to(writer))?;
        shared.lock().writer = Some(thread);
        Ok(Self { shared })
    }

    /// Hands in a chunk of whole lines; a missing last LF is added. Blocks while more than [`Self::WAITING_BYTES_MAX`] are
    /// waiting: on an asynchronous runtime use [`Self::try_push`].
    ///
    /// # Errors
    /// If writing failed, now or at any time before; then this chunk is not written.
    pub fn push(&self, chunk: &str) -> Result<(), OutputError> {
        self.push_below(chunk, Self::WAITING_BYTES_MAX)
    }

    /// As [`Self::push`], but blocks while more than [`Self::WAITING_READ_BYTES_MAX`] are waiting: for what is read from a file, faster
    /// than it can be written, and need not be in memory before.
    ///
    /// # Errors
    /// As there.
    pub fn push_read(&self, chunk: &str) -> Result<(), OutputError> {
        self.push_below(chunk, Self::WAITING_READ_BYTES_MAX)
    }

    fn push_below(&self, chunk: &str, bytes_max: usize) -> Result<(), OutputError> {
        let mut queue = self.shared.lock();
        while queue.end.is_none() && !queue.has_room(chunk, bytes_max) {
            queue = wait(&self.shared.emptied, queue);
        }
        self.add(queue, chunk)
    }

    /// As [`Self::push`], but never blocks.
    ///
    /// # Errors
    /// [`OutputError::Full`] if it would have to wait; the chunk is then not written. Else as there.
    pub fn try_push(&self, chunk: &str) -> Result<(), OutputError> {
        let queue = self.shared.lock();
        if queue.end.is_none() && !queue.has_room(chunk, Self::WAITING_BYTES_MAX) {
            return Err(OutputError::Full);
        }
        self.add(queue, chunk)
    }

    /// Waits until all that was handed in has been written and flushed.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn flush(&self) -> Result<(), OutputError> {
        let mut queue = self.shared.lock();
        while queue.end.is_none() && (queue.writing || !queue.waiting.is_empty()) {
            queue = wait(&self.shared.emptied, queue);
        }
        queue.end.map_or(Ok(()), Err)
    }

    /// Writes what is waiting and ends; later chunks are refused.
    ///
    /// # Errors
    /// If writing failed, now or at any time before.
    pub fn close(&self) -> Result<(), OutputError> {
        let thread = {
            let mut queue = self.shared.lock();
            queue.end.get_or_insert(OutputError::Closed);
            self.shared.filled.notify_all();
            self.shared.emptied.notify_all();
            queue.writer.take()
        };
        if let Some(thread) = thread {
            // The thread ends by itself; that it panicked cannot be, and would lose nothing but this.
            let _ = thread.join();
        }
        match self.shared.lock().end {
            Some(OutputError::Closed) | None => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// How many bytes may wait to be written. One chunk may be longer if it is alone.
    pub const WAITING_BYTES_MAX: usize = 8 << 20;

    /// The same for what is read from a file.
    pub const WAITING_READ_BYTES_MAX: usize = 256 << 10;

    fn add(&self, mut queue: MutexGuard<'_, Queue>, chunk: &str) -> Result<(), OutputError> {
        if let Some(end) = queue.end {
            return Err(end);
        }
        if !chunk.is_empty() {
            queue.waiting.push_str(chunk);
            if !chunk.ends_with('\n') {
                queue.waiting.push('\n');
            }
            self.shared.filled.notify_one();
        }
        Ok(())
    }
}

impl Queue {
    const fn has_room(&self, chunk: &str, bytes_max: usize) -> bool {
        self.waiting.is_empty() || self.waiting.len() + chunk.len() < bytes_max
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer's thread.
    fn write_all_to(&self, mut writer: impl Write) {
        let mut batch = String::new();
        loop {
            let mut queue = self.lock();
            queue.writing = false;
            self.emptied.notify_all();
            while queue.waiting.is_empty() {
                if queue.end.is_some() {
                    return;
                }
                queue = wait(&self.filled, queue);
            }
            std::mem::swap(&mut batch, &mut queue.waiting);
            queue.writing = true;
            drop(queue);
            if let Err(error) = writer.write_all(batch.as_bytes()).and_then(|()| writer.flush()) {
                self.fail(&error);
                return;
            }
            batch.clear();
            batch.shrink_to(BATCH_BYTES_KEPT);
        }
    }

    fn fail(&self, error: &io::Error) {
        let mut queue = self.lock();
        queue.end = Some(OutputError::of(error));
        queue.waiting = String::new();
        queue.writing = false;
        self.emptied.notify_all();
    }
}

fn wait<'a>(condition: &Condvar, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
    condition.wait(queue).unwrap_or_else(PoisonError::into_inner)
}

/// How much memory a batch keeps for the next one.
const BATCH_BYTES_KEPT: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, SyncSender};

    use super::*;

    /// A writer that waits for leave before each write and tells what it wrote.
    struct Gated {
        leave: Receiver<io::Result<()>>,
        written: SyncSender<String>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.leave.recv().unwrap_or(Ok(()))?;
            self.written.send(String::from_utf8(bytes.to_vec()).unwrap()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Output, SyncSender<io::Result<()>>, Receiver<String>) {
        let (leave, may_write) = mpsc::sync_channel(99);
        let (written, seen) = mpsc::sync_channel(99);
        (Output::start(Gated { leave: may_write, written }).unwrap(), leave, seen)
    }

    #[test]
    fn a_line_is_out_at_once_and_a_stream_is_batched() {
        let (output, leave, seen) = gated();
        output.push("a\n").unwrap();
        leave.send(Ok(())).unwrap();
        assert_eq!(seen.recv().unwrap(), "a\n");
        output.flush().unwrap();
        // The writer is stuck in the first of these until it has leave; the others wait together.
        output.push("b\n").unwrap();
        while !output.shared.lock().writing {
            thread::yield_now();
        }
        output.push("c").unwrap();
        output.push("").unwrap();
        output.push("d\ne\n").unwrap();
        drop(leave);
        assert_eq!(seen.recv().unwrap(), "b\n");
        assert_eq!(seen.recv().unwrap(), "c\nd\ne\n");
        output.close().unwrap();
        assert_eq!(output.push("f"), Err(OutputError::Closed));
        assert_eq!(output.close(), Ok(()));
    }

    #[test]
    fn a_broken_pipe_is_told_apart() {
        for (kind, error) in [
            (io::ErrorKind::BrokenPipe, OutputError::BrokenPipe),
            (io::ErrorKind::StorageFull, OutputError::Write(io::ErrorKind::StorageFull)),
        ] {
            let (output, leave, _seen) = gated();
            output.push("a\n").unwrap();
            leave.send(Err(kind.into())).unwrap();
            assert_eq!(output.flush(), Err(error));
            assert_eq!(output.push("b"), Err(error));
            assert_eq!(output.try_push("b"), Err(error));
            assert_eq!(output.close(), Err(error));
        }
    }

    #[test]
    fn what_waits_is_bounded() {
        let (output, leave, seen) = gated();
        let long = "x".repeat(Output::WAITING_BYTES_MAX);
        output.push("a\n").unwrap();
        while !output.shared.lock().writing {
            thread::yield_now();
        }
        output.try_push(&long).unwrap();
        assert_eq!(output.try_push("b"), Err(OutputError::Full));
        let blocked = [Output::push, Output::push_read].map(|push| {
            let output = output.clone();
            thread::spawn(move || push(&output, "c"))
        });
        drop(leave);
        for blocked in blocked {
            assert_eq!(blocked.join().unwrap(), Ok(()));
        }
        output.close().unwrap();
        drop(output);
        let all: String = seen.iter().collect();
        assert_eq!(all.len(), "a\n".len() + long.len() + "\nc\nc\n".len());
    }

    #[test]
    fn what_is_read_waits_for_less() {
        let (output, leave, seen) = gated();
        output.push_read("a\n").unwrap();
        while !output.shared.lock().writing {
            thread::yield_now();
        }
        // Nothing is waiting, so it may be long; then what is read has to wait, and what comes has not.
        let long = "x".repeat(Output::WAITING_READ_BYTES_MAX);
        output.push_read(&long).unwrap();
        let of_blocked = output.clone();
        let blocked = thread::spawn(move || of_blocked.push_read("c"));
        output.try_push("b").unwrap();
        assert!(!blocked.is_finished());
        drop(leave);
        assert_eq!(blocked.join().unwrap(), Ok(()));
        output.close().unwrap();
        drop(output);
        assert_eq!(seen.iter().collect::<String>(), format!("a\n{long}\nb\nc\n"));
    }

    #[test]
    fn chunks_of_many_threads_stay_whole() {
        let (written, seen) = mpsc::sync_channel(99_999);
        let (_, leave) = mpsc::sync_channel(0);
        let output = Output::start(Gated { leave, written }).unwrap();
        thread::scope(|scope| {
            for name in ["a", "b", "c", "d"] {
                let output = &output;
                scope.spawn(move || {
                    for _ in 0..500 {
                        output.push(&format!("{name}1\n{name}2\n")).unwrap();
                    }
                });
            }
        });
        output.close().unwrap();
        drop(output);
        let all: String = seen.iter().collect();
        let lines: Vec<_> = all.lines().collect();
        assert_eq!(lines.len(), 4_000);
        for pair in lines.chunks(2) {
            assert_eq!(pair[0].replace('1', "2"), pair[1]);
        }
    }
}
