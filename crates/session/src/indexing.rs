//! Telling a store's index of the flows that were saved, and keeping what retention says, when there is processor time to spare.
//!
//! Saving a flow is writing it to a file; its row in the index costs several times as much, and nobody needs it at once. So a thread
//! that lets all others go first makes the rows, drops what is to go, and packs what was saved in haste. While flows come fast, or the processors are busy, it waits,
//! as long as it is not too far behind. When it is much too far behind, or somebody waits for what it has not come to, the thread that
//! saves helps: then traffic has to wait for the index, which is what bounds how far behind it can be.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flowgate_addons::Decoding;
use flowgate_flow::Timestamp;
use flowgate_store::limits::{
    INDEX_BEHIND_BYTES_MAX, INDEX_FLOWS_AT_ONCE, INDEX_PUT_OFF_BYTES_MAX, INDEX_PUT_OFF_MAX,
};
use flowgate_store::{Indexer, Retention, StoreError, Tended, Waits};
use tokio::sync::Notify;

/// How long the index waits for more flows before it is told of some.
const INDEX_PAUSE: Duration = Duration::from_millis(10);

/// How long traffic is watched to see whether flows come fast, and how long the thread waits when the processors are busy.
const CALM_WINDOW: Duration = Duration::from_millis(100);

/// Flows come fast if more of them come in one [`CALM_WINDOW`]: 3,000 a second.
const CALM_FLOWS_MAX: usize = 300;

/// The processors are busy if a step takes more than so many times its own processor time.
const BUSY_FACTOR: u32 = 2;

/// How long it waits after it could not be written.
const INDEX_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How often the thread that saves looks whether anybody waits for the index: that costs some calls of the system.
const WAITS_LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How long the end of the program waits for the index. What is missing then the next one to open the store makes up for.
const INDEX_AT_END_MAX: Duration = Duration::from_secs(2);

/// The store is looked through for flows that are to go no less often than this.
const TEND_INTERVAL_MAX: Duration = Duration::from_secs(3600);

/// When flows come one by one it is left alone for this long.
const TEND_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// After so many flows it is not.
const TEND_FLOWS: usize = 256;

/// After that failed, it is tried again in this time.
const TEND_RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// While nothing else is to be done, flows that were saved in haste are packed, some of them this often.
const PACK_INTERVAL: Duration = Duration::from_millis(10);

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

    /// Ends the thread, and tells the index what it can be told in a short time.
    pub(crate) fn finish(&mut self) {
        self.end();
        let begun = Instant::now();
        let mut indexer = self.lock();
        while begun.elapsed() < INDEX_AT_END_MAX && matches!(indexer.step(), Ok(true)) {}
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

/// How a round of the thread ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Round {
    /// The index knows of all flows.
    Done,
    /// There is more, and time for it later.
    PutOff,
    /// It failed, and is to be tried again.
    Failed,
    /// The thread is to end.
    End,
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

    /// Waits until there is something to do, or that time has come; takes it.
    fn await_task(&self, due: Option<Instant>) -> Task {
        let task = lock(&self.task);
        let pause = due.map_or(TEND_INTERVAL_MAX, |due| due.saturating_duration_since(Instant::now()));
        let waited = self.wake.wait_timeout_while(task, pause, |task| *task == Task::Wait);
        let mut task = waited.unwrap_or_else(PoisonError::into_inner).0;
        let taken = *task;
        if taken != Task::End {
            // What comes from now on is work of its own.
            *task = Task::Wait;
        }
        taken
    }

    /// Whether the index may wait, as far as it goes by how far behind it is, and since when.
    fn may_be_behind(&self, since: Instant) -> bool {
        self.behind() <= self.put_off_bytes.load(Ordering::Relaxed)
            && since.elapsed() <= INDEX_PUT_OFF_MAX
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

    fn work(&self) {
        // When the store is to be tended, and how many flows came since it was.
        let mut due = Some(Instant::now());
        let mut untended = 0;
        // Since when the index is behind, and whether flows may be there that are to be packed.
        let (mut since, mut packs) = (None, true);
        loop {
            let next = if packs { Some(Instant::now() + PACK_INTERVAL) } else { None };
            if self.await_task(next.into_iter().chain(due).min()) == Task::End {
                return;
            }
            let begun = *since.get_or_insert_with(Instant::now);
            let Some(came) = self.await_calm(begun) else { return };
            untended += came;
            match self.index(begun) {
                Round::Done => since = None,
                Round::PutOff => self.tell(Task::Work),
                Round::Failed if self.pause(INDEX_RETRY_INTERVAL) => return,
                Round::Failed => self.tell(Task::Work),
                Round::End => return,
            }
            if came > 0 && !lock(&self.health).tend {
                let soon = if untended < TEND_FLOWS { TEND_INTERVAL_MIN } else { Duration::ZERO };
                due = due.map(|due| due.min(Instant::now() + soon));
            }
            let changed = lock(&self.wanted).is_some();
            if changed || since.is_none() && due.is_some_and(|due| due <= Instant::now()) {
                untended = 0;
                due = self.tend().map(|pause| Instant::now() + pause);
            } else if packs && came == 0 && since.is_none() {
                packs = self.pack();
            }
            packs |= came > 0;
        }
    }

    /// Waits for a moment in which what the index is told does not cost what traffic could have, if not of processor time then of its
    /// caches; says how many flows came meanwhile. `None` if the thread is to end.
    fn await_calm(&self, since: Instant) -> Option<usize> {
        let mut all = 0;
        let mut pause = INDEX_PAUSE;
        loop {
            if self.pause(pause) {
                return None;
            }
            // The first look tells how many came since the last one, however long ago that was.
            let may_wait = self.may_wait(since);
            all += self.came.swap(0, Ordering::Relaxed);
            pause = CALM_WINDOW;
            if !may_wait {
                return Some(all);
            }
        }
    }

    /// Tells the index of flows, until it knows of all or may wait.
    fn index(&self, since: Instant) -> Round {
        loop {
            let mut indexer = lock(&self.indexer);
            let (begun, used) = (Instant::now(), flowgate_net::thread_cpu_time());
            let stepped = indexer.step();
            let took = begun.elapsed();
            let used = flowgate_net::thread_cpu_time().saturating_sub(used);
            let more = self.note(&stepped, &indexer);
            drop(indexer);
            let failed = stepped.is_err();
            self.judge(|health| &mut health.index, stepped.err());
            if failed {
                return Round::Failed;
            }
            if !more {
                return Round::Done;
            }
            if self.may_wait(since) {
                return Round::PutOff;
            }
            // Who is let go first leaves little: it is not taken from them bit by bit.
            let pause = if took > used * BUSY_FACTOR && self.may_be_behind(since) {
                CALM_WINDOW
            } else {
                Duration::ZERO
            };
            if self.pause(pause) {
                return Round::End;
            }
        }
    }

    /// Does a piece of what retention asks for; says when the next one is due.
    fn tend(&self) -> Option<Duration> {
        let mut indexer = lock(&self.indexer);
        let wanted = lock(&self.wanted).take();
        let told = match wanted {
            Some(retention) => self.set_retention(&mut indexer, retention.clone()).inspect_err(|_| {
                // Unless there is a later one.
                lock(&self.wanted).get_or_insert(retention);
            }),
            None => Ok(()),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let tended = told.and_then(|()| indexer.tend(Timestamp(now)));
        let keeps_everything = indexer.retention().keeps_everything();
        self.indexed.store(indexer.indexed_bytes(), Ordering::Relaxed);
        drop(indexer);
        let pause = match &tended {
            Ok(tended) => pause_after(*tended, keeps_everything, now),
            Err(_) => Some(TEND_RETRY_INTERVAL),
        };
        self.judge(|health| &mut health.tend, tended.err());
        pause
    }

    /// Packs some flows; says whether there may be more.
    fn pack(&self) -> bool {
        let packed = lock(&self.indexer).pack();
        let more = matches!(packed, Ok(true));
        self.judge(|health| &mut health.tend, packed.err());
        more
    }

    fn set_retention(&self, indexer: &mut Indexer, retention: Retention) -> Result<(), StoreError> {
        // What is kept too long for want of an index takes room, too.
        let put_off = retention.bytes_max().map_or(INDEX_PUT_OFF_BYTES_MAX, |bytes| bytes / 8);
        self.put_off_bytes.store(put_off.min(INDEX_PUT_OFF_BYTES_MAX), Ordering::Relaxed);
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

/// When the store is to be tended after it was, which was at this time in seconds since 1970; `None` if not before something changes.
fn pause_after(tended: Tended, keeps_everything: bool, now: f64) -> Option<Duration> {
    match tended {
        Tended::More => Some(Duration::ZERO),
        Tended::Until(_) if keeps_everything => None,
        Tended::Until(next) => {
            let next = next.and_then(|next| Duration::try_from_secs_f64(next.0 - now).ok());
            Some(next.unwrap_or(TEND_INTERVAL_MAX).clamp(TEND_INTERVAL_MIN, TEND_INTERVAL_MAX))
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
        assert!(indexing.check().is_ok());
        capture.add(flow()).unwrap();
        capture.commit().unwrap();
        // Another program changed what is none of its business.
        let index = rusqlite::Connection::open(directory.path().join("flows.sqlite")).unwrap();
        index.execute_batch("ALTER TABLE flows RENAME TO elsewhere").unwrap();
        indexing.saved(1, capture.written_bytes()).unwrap();
        indexing.health_changed().await;
        assert!(indexing.check().is_err());
        assert!(indexing.check().is_ok(), "it is said once");
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
