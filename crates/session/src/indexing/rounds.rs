//! What the thread does: when it tells the index, and when it lets others go first.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flowgate_flow::Timestamp;
use flowgate_net::ThreadWaits;
use flowgate_store::Tended;
use flowgate_store::limits::INDEX_PUT_OFF_BYTES_MAX;

use super::{Shared, Task, lock};

/// How long the index waits for more flows before it is told of some.
const INDEX_PAUSE: Duration = Duration::from_millis(10);

/// How long traffic is watched to see whether flows come fast, and how long the thread waits when the processors are busy.
const CALM_WINDOW: Duration = Duration::from_millis(100);

/// The processors are busy if a step has to wait for one for more than this part of the time that it takes.
const BUSY_PART: u32 = 2;

/// How long it waits after it could not be written.
const INDEX_RETRY_INTERVAL: Duration = Duration::from_secs(1);

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

    pub(super) fn work(&self) {
        let waits = ThreadWaits::of_this_thread();
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
            match self.index(begun, waits.as_ref()) {
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
            // Where room is short, load that never ends is no reason to keep what is to go.
            let may_tend =
                since.is_none() || self.put_off_bytes.load(Ordering::Relaxed) < INDEX_PUT_OFF_BYTES_MAX;
            if changed || may_tend && due.is_some_and(|due| due <= Instant::now()) {
                untended = 0;
                due = self.tend().map(|pause| Instant::now() + pause);
                if self.behind() == 0 {
                    since = None;
                }
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
    fn index(&self, since: Instant, waits: Option<&ThreadWaits>) -> Round {
        let waited = || waits.and_then(ThreadWaits::so_far).unwrap_or_default();
        loop {
            let mut indexer = lock(&self.indexer);
            let (begun, waited_before) = (Instant::now(), waited());
            let stepped = indexer.step();
            let (took, lost) = (begun.elapsed(), waited().saturating_sub(waited_before));
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
            let pause = if lost * BUSY_PART > took && self.may_be_behind(since) {
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
    pub(super) fn tend(&self) -> Option<Duration> {
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
