//! Telling a store's index of the flows that were saved, when there is processor time to spare for it.
//!
//! Saving a flow is writing it to a file; its row in the index costs several times as much, and nobody needs it at once. So a thread
//! that lets all others go first makes the rows. When it is too far behind, or somebody waits for what it has not come to, the thread
//! that saves helps: then traffic has to wait for the index, which is what bounds how far behind it can be.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use flowgate_store::limits::{INDEX_BEHIND_BYTES_MAX, INDEX_PUT_OFF_BYTES_MAX};
use flowgate_store::{Indexer, StoreError, Waits};
use tokio::sync::Notify;

/// How long the index waits for more flows before it is told of some.
const INDEX_PAUSE: Duration = Duration::from_millis(10);

/// How long traffic is watched to see whether flows come fast.
const CALM_WINDOW: Duration = Duration::from_millis(100);

/// Flows come fast if more of them come in one [`CALM_WINDOW`]: 3,000 a second.
const CALM_FLOWS_MAX: usize = 300;

/// How long it waits after it could not be written.
const INDEX_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How long the end of the program waits for the index. What is missing then the next one to open the store makes up for.
const INDEX_AT_END_MAX: Duration = Duration::from_secs(2);

/// A store's index, and the thread that tells it of flows.
#[derive(Debug)]
pub(crate) struct Indexing {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    indexer: Mutex<Indexer>,
    waits: Waits,
    /// Up to where the index has come, as [`Indexer::indexed_bytes`] says.
    indexed: AtomicU64,
    /// Up to where flows were saved, likewise.
    written: AtomicU64,
    /// How many flows were saved since the thread looked.
    came: AtomicUsize,
    task: Mutex<Task>,
    wake: Condvar,
    failed: Mutex<Option<StoreError>>,
    failure: Notify,
}

/// What the thread is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Task {
    Wait,
    Work,
    End,
}

impl Indexing {
    /// Where nothing is told to the index but by [`Indexing::lock`] and [`Indexing::finish`].
    pub(crate) fn new(indexer: Indexer) -> Self {
        let shared = Shared {
            indexed: indexer.indexed_bytes().into(),
            written: AtomicU64::new(0),
            came: AtomicUsize::new(0),
            waits: indexer.waits(),
            indexer: Mutex::new(indexer),
            task: Mutex::new(Task::Work),
            wake: Condvar::new(),
            failed: Mutex::default(),
            failure: Notify::new(),
        };
        Self { shared: Arc::new(shared), thread: None }
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// If there can be none.
    pub(crate) fn start(&mut self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let work = move || {
            flowgate_net::give_way();
            shared.work();
        };
        self.thread = Some(thread::Builder::new().name("indexer".to_owned()).spawn(work)?);
        Ok(())
    }

    /// The index itself. Whoever has it keeps the thread from it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Indexer> {
        lock(&self.shared.indexer)
    }

    /// So many flows were saved, up to this place.
    ///
    /// # Errors
    /// Without a thread of its own what the medium says.
    pub(crate) fn saved(&self, flows: usize, written: u64) -> Result<(), StoreError> {
        if self.thread.is_none() {
            return self.lock().catch_up();
        }
        self.shared.written.store(written, Ordering::Relaxed);
        self.shared.came.fetch_add(flows, Ordering::Relaxed);
        if self.shared.behind() > INDEX_BEHIND_BYTES_MAX || self.shared.waits.is_anybody() {
            // Twice as many as came, so that it gets less.
            self.help(flows * 2);
        }
        self.shared.tell(Task::Work);
        Ok(())
    }

    /// Ends the thread, and tells the index what it can be told in a short time.
    pub(crate) fn finish(&mut self) {
        self.end();
        let begun = Instant::now();
        let mut indexer = self.lock();
        while begun.elapsed() < INDEX_AT_END_MAX && matches!(indexer.step(), Ok(true)) {}
    }

    /// Ends when the index could not be written.
    pub(crate) async fn failed(&self) {
        self.shared.failure.notified().await;
    }

    /// Why the index could not be written the last time, if it has not been said.
    pub(crate) fn take_failure(&self) -> Option<StoreError> {
        lock(&self.shared.failed).take()
    }

    fn end(&mut self) {
        self.shared.tell(Task::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn help(&self, flows: usize) {
        let mut indexer = self.lock();
        for _ in 0..=flows / flowgate_store::limits::INDEX_FLOWS_AT_ONCE {
            // The thread meets the same failure and tells it.
            if !self.shared.note(&indexer.step(), &indexer) {
                return;
            }
        }
    }
}

impl Drop for Indexing {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn tell(&self, task: Task) {
        let mut now = lock(&self.task);
        // While it works nobody has to wake it.
        if *now != task && *now != Task::End {
            *now = task;
            self.wake.notify_all();
        }
    }

    /// Waits, unless it is to end, which is said.
    fn pause(&self, pause: Duration) -> bool {
        let task = lock(&self.task);
        let not_ended = |task: &mut Task| *task != Task::End;
        let waited = self.wake.wait_timeout_while(task, pause, not_ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == Task::End
    }

    /// Whether flows come fast, and the index may wait for calm.
    fn may_wait(&self) -> bool {
        self.came.load(Ordering::Relaxed) > CALM_FLOWS_MAX
            && self.behind() <= INDEX_PUT_OFF_BYTES_MAX
            && !self.waits.is_anybody()
    }

    fn behind(&self) -> u64 {
        self.written.load(Ordering::Relaxed).saturating_sub(self.indexed.load(Ordering::Relaxed))
    }

    fn note(&self, stepped: &Result<bool, StoreError>, indexer: &Indexer) -> bool {
        self.indexed.store(indexer.indexed_bytes(), Ordering::Relaxed);
        matches!(stepped, Ok(true))
    }

    fn work(&self) {
        loop {
            {
                let task = lock(&self.task);
                let task = self.wake.wait_while(task, |task| *task == Task::Wait);
                let mut task = task.unwrap_or_else(PoisonError::into_inner);
                if *task == Task::End {
                    return;
                }
                // What comes from now on is work of its own.
                *task = Task::Wait;
            }
            // What the index is told now costs what traffic could have, if not of processor time then of its caches.
            let mut pause = INDEX_PAUSE;
            loop {
                if self.pause(pause) {
                    return;
                }
                // The first look tells how many came since the last one, however long ago that was.
                let may_wait = self.may_wait();
                self.came.store(0, Ordering::Relaxed);
                pause = CALM_WINDOW;
                if !may_wait {
                    break;
                }
            }
            loop {
                let mut indexer = lock(&self.indexer);
                let stepped = indexer.step();
                let more = self.note(&stepped, &indexer);
                drop(indexer);
                if let Err(error) = stepped {
                    *lock(&self.failed) = Some(error);
                    self.failure.notify_one();
                    self.tell(Task::Work);
                    if self.pause(INDEX_RETRY_INTERVAL) {
                        return;
                    }
                    break;
                }
                if !more || self.may_wait() || *lock(&self.task) == Task::End {
                    break;
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::path::Path;

    use flowgate_addons::Decoding;
    use flowgate_flow::FlowId;
    use flowgate_store::{StoreReader, StoreWriter};

    use super::*;
    use crate::testing::flow;

    fn numbers(directory: &Path) -> Vec<i64> {
        let mut numbers = Vec::new();
        let each = |hit: flowgate_store::Hit<'_>| {
            numbers.push(hit.row.number);
            ControlFlow::<()>::Continue(())
        };
        StoreReader::open(directory).unwrap().search(None, 0, &Decoding, each).unwrap();
        numbers
    }

    #[test]
    fn whoever_opens_the_store_finds_what_was_saved() {
        let directory = tempfile::tempdir().unwrap();
        let (mut capture, indexer) = StoreWriter::open(directory.path()).unwrap().split();
        let mut indexing = Indexing::new(indexer);
        indexing.start().unwrap();
        for number in 1..=30 {
            let mut flow = flow();
            flow.id = FlowId::from_random(number);
            capture.add(flow).unwrap();
            capture.commit().unwrap();
            indexing.saved(1, capture.written_bytes()).unwrap();
            // The thread does its part while the reader waits.
            assert_eq!(numbers(directory.path()).len() as u128, number);
        }
        // Saved and not told: it is for the end, or for who comes later.
        let mut last = flow();
        last.id = FlowId::from_random(31);
        capture.add(last).unwrap();
        capture.commit().unwrap();
        indexing.finish();
        assert_eq!(indexing.lock().indexed_bytes(), capture.written_bytes());
        drop((capture, indexing));
        assert_eq!(numbers(directory.path()), (1..=31).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn an_index_that_cannot_be_written_is_told_of_and_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let (mut capture, indexer) = StoreWriter::open(directory.path()).unwrap().split();
        let mut indexing = Indexing::new(indexer);
        indexing.start().unwrap();
        assert!(indexing.take_failure().is_none());
        capture.add(flow()).unwrap();
        capture.commit().unwrap();
        // Another program changed what is none of its business.
        let index = rusqlite::Connection::open(directory.path().join("flows.sqlite")).unwrap();
        index.execute_batch("ALTER TABLE flows RENAME TO elsewhere").unwrap();
        indexing.saved(1, capture.written_bytes()).unwrap();
        indexing.failed().await;
        assert!(indexing.take_failure().is_some());
        // Nobody waits for that.
        let reader = StoreReader::open(directory.path()).unwrap();
        let behind = reader.by_id("", 1).map(|hits| hits.len());
        assert!(matches!(behind, Err(StoreError::Behind | StoreError::Index(_))), "{behind:?}");
        drop(reader);
        index.execute_batch("ALTER TABLE elsewhere RENAME TO flows").unwrap();
        drop(index);
        while indexing.lock().indexed_bytes() < capture.written_bytes() {
            thread::yield_now();
        }
        assert_eq!(numbers(directory.path()), [1]);
    }
}
