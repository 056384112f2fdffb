//! Telling a store's index of the flows that were saved, and keeping what retention says, when there is processor time to spare.
//!
//! Saving a flow is writing it to a file; its row in the index costs several times as much, and nobody needs it at once. So a thread
//! that lets all others go first makes the rows, drops what is to go, and packs what was saved in haste. While flows come fast, or the
//! processors are busy, it waits, as long as it is not too far behind. When it is much too far behind, or somebody waits for what it has
//! not come to, the thread that saves helps: then traffic has to wait for the index, which is what bounds how far behind it can be.

mod rounds;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use flowgate_addons::Decoding;
use flowgate_store::limits::{
    INDEX_BEHIND_BYTES_MAX, INDEX_FLOWS_AT_ONCE, INDEX_PUT_OFF_BYTES_MAX, INDEX_PUT_OFF_MAX,
};
use flowgate_store::{Indexer, Retention, StoreError, Waits};
use tokio::sync::Notify;

/// Flows come fast if more of them come in one [`CALM_WINDOW`]: 3,000 a second.
const CALM_FLOWS_MAX: usize = 300;

/// Flows that are to go go no later than about this because the index is put off.
const TEND_LATE_MAX: Duration = Duration::from_secs(10);

/// How often the thread that saves looks whether anybody waits for the index: that costs some calls of the system.
const WAITS_LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How long the end of the program waits for the index and for what is to go. What is left then the next one to open the store makes up
/// for.
const INDEX_AT_END_MAX: Duration = Duration::from_secs(2);

/// A store's index, and the thread that tells it of flows.
#[derive(Debug)]
pub(crate) struct Indexing {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    waits_looked: Option<Instant>,
}

#[derive(Debug)]
struct Shared {
    indexer: Mutex<Indexer>,
    waits: Waits,
    /// Up to where the index has come, as [`Indexer::indexed_bytes`] says.
    indexed: AtomicU64,
    /// Up to where flows were saved, likewise.
    written: AtomicU64,
    /// How far behind the index may be before it stops to wait for a calm moment.
    put_off_bytes: AtomicU64,
    /// And for how long, in seconds.
    put_off_seconds: AtomicU64,
    /// How many flows were saved since the thread looked.
    came: AtomicUsize,
    task: Mutex<Task>,
    wake: Condvar,
    /// What is to be kept from now on, if the index was not told of it.
    wanted: Mutex<Option<Retention>>,
    health: Mutex<Health>,
    health_changed: Notify,
}

/// What the thread is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Task {
    Wait,
    Work,
    End,
}

/// What could not be done the last time.
#[derive(Debug, Default)]
struct Health {
    index: bool,
    tend: bool,
    /// Why, if it has not been said.
    unsaid: Option<StoreError>,
}

/// Changes what a store keeps, while it is written.
#[derive(Clone, Debug)]
pub struct RetentionControl {
    shared: Arc<Shared>,
    current: Arc<Mutex<Retention>>,
}

impl RetentionControl {
    /// This is to be kept from now on.
    pub(crate) fn set(&self, retention: Retention) {
        let mut current = lock(&self.current);
        if *current != retention {
            current.clone_from(&retention);
            *lock(&self.shared.wanted) = Some(retention);
            self.shared.tell(Task::Work);
        }
    }

    /// What is to be kept.
    #[cfg(test)]
    pub(crate) fn current(&self) -> Retention {
        lock(&self.current).clone()
    }
}

impl Indexing {
    /// Where nothing is told to the index but by [`Indexing::lock`] and [`Indexing::finish`].
    pub(crate) fn new(indexer: Indexer) -> Self {
        let shared = Shared {
            indexed: indexer.indexed_bytes().into(),
            written: AtomicU64::new(0),
            put_off_bytes: AtomicU64::new(INDEX_PUT_OFF_BYTES_MAX),
            put_off_seconds: AtomicU64::new(INDEX_PUT_OFF_MAX.as_secs()),
            came: AtomicUsize::new(0),
            waits: indexer.waits(),
            indexer: Mutex::new(indexer),
            task: Mutex::new(Task::Work),
            wake: Condvar::new(),
            wanted: Mutex::default(),
            health: Mutex::default(),
            health_changed: Notify::new(),
        };
        Self { shared: Arc::new(shared), thread: None, waits_looked: None }
    }

    /// Tells the index what is to be kept, and gives what changes it later.
    ///
    /// # Errors
    /// What the medium says.
    pub(crate) fn keep(&self, retention: Retention) -> Result<RetentionControl, StoreError> {
        self.shared.set_retention(&mut self.lock(), retention.clone())?;
        Ok(RetentionControl { shared: Arc::clone(&self.shared), current: Arc::new(Mutex::new(retention)) })
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
    pub(crate) fn saved(&mut self, flows: usize, written: u64) -> Result<(), StoreError> {
        if self.thread.is_none() {
            return self.lock().catch_up();
        }
        self.shared.written.store(written, Ordering::Relaxed);
        self.shared.came.fetch_add(flows, Ordering::Relaxed);
        if self.shared.behind() > INDEX_BEHIND_BYTES_MAX || self.is_anybody_waiting() {
            // Twice as many as came, so that it gets less.
            self.help(flows * 2);
        }
        self.shared.tell(Task::Work);
        Ok(())
    }

    /// Whether anybody waits for the index, who was not seen a moment ago already.
    fn is_anybody_waiting(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.waits_looked.is_none_or(|last| now.duration_since(last) >= WAITS_LOOK_INTERVAL);
        let waits = is_due && self.shared.waits.is_anybody();
        // Whoever waits is helped with each batch until it does no more.
        if is_due && !waits {
            self.waits_looked = Some(now);
        }
        waits
    }

    /// Ends the thread, tells the index what it can be told in a short time, and drops what is to go.
    pub(crate) fn finish(&mut self) {
        self.end();
        let begun = Instant::now();
        let is_time_left = || begun.elapsed() < INDEX_AT_END_MAX;
        let mut stepped = Ok(true);
        while is_time_left() && matches!(stepped, Ok(true)) {
            stepped = self.lock().step();
        }
        // It would lie there until somebody writes to the store again.
        while matches!(stepped, Ok(false)) && is_time_left() && self.shared.tend() == Some(Duration::ZERO) {}
    }

    /// Ends when something can be done no more.
    pub(crate) async fn health_changed(&self) {
        self.shared.health_changed.notified().await;
    }

    /// Whether the index is in order.
    ///
    /// # Errors
    /// Why it could not be written the last time, if that has not been said.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        lock(&self.shared.health).unsaid.take().map_or(Ok(()), Err)
    }

    fn end(&mut self) {
        self.shared.tell(Task::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn help(&self, flows: usize) {
        let mut indexer = self.lock();
        for _ in 0..=flows / INDEX_FLOWS_AT_ONCE {
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

    /// Whether the index may wait, as far as it goes by how far behind it is, and since when.
    fn may_be_behind(&self, since: Instant) -> bool {
        self.behind() <= self.put_off_bytes.load(Ordering::Relaxed)
            && since.elapsed().as_secs() <= self.put_off_seconds.load(Ordering::Relaxed)
            && !self.waits.is_anybody()
    }

    /// Whether flows come fast, and the index may wait for calm.
    fn may_wait(&self, since: Instant) -> bool {
        self.came.load(Ordering::Relaxed) > CALM_FLOWS_MAX && self.may_be_behind(since)
    }

    fn behind(&self) -> u64 {
        self.written.load(Ordering::Relaxed).saturating_sub(self.indexed.load(Ordering::Relaxed))
    }

    fn note(&self, stepped: &Result<bool, StoreError>, indexer: &Indexer) -> bool {
        self.indexed.store(indexer.indexed_bytes(), Ordering::Relaxed);
        matches!(stepped, Ok(true))
    }

    fn set_retention(&self, indexer: &mut Indexer, retention: Retention) -> Result<(), StoreError> {
        // What is kept too long for want of an index takes room, too.
        let put_off = retention.bytes_max().map_or(INDEX_PUT_OFF_BYTES_MAX, |bytes| bytes / 8);
        self.put_off_bytes.store(put_off.min(INDEX_PUT_OFF_BYTES_MAX), Ordering::Relaxed);
        let longest = if retention.keeps_everything() { INDEX_PUT_OFF_MAX } else { TEND_LATE_MAX };
        self.put_off_seconds.store(longest.as_secs(), Ordering::Relaxed);
        indexer.set_retention(retention, Box::new(Decoding))
    }

    /// Notes whether something could be done; of what can no more, the reason is to be said.
    fn judge(&self, of: impl FnOnce(&mut Health) -> &mut bool, error: Option<StoreError>) {
        let mut health = lock(&self.health);
        let failed_before = std::mem::replace(of(&mut health), error.is_some());
        if error.is_some() && !failed_before {
            health.unsaid = error;
            self.health_changed.notify_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
