//! The waker of a task that looks after many things in turns: what is woken during a turn is seen in the same turn, without
//! asking the scheduler for another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;

/// Whether a turn is under way, and whether anything was woken.
#[derive(Default)]
pub(super) struct Turn {
    under_way: AtomicBool,
    woken: AtomicBool,
    task: AtomicWaker,
}

impl Turn {
    /// Begins a turn of the task with this waker.
    pub(super) fn begin(&self, task: &Waker) {
        self.task.register(task);
        self.under_way.store(true, Ordering::SeqCst);
    }

    /// Whether anything was woken since it was last asked.
    pub(super) fn take_woken(&self) -> bool {
        self.woken.swap(false, Ordering::SeqCst)
    }

    /// Ends the turn, unless something was woken meanwhile.
    pub(super) fn end(&self) -> bool {
        self.under_way.store(false, Ordering::SeqCst);
        // Between the two lines others may have woken the task as well: once more does no harm.
        !self.take_woken()
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        if !self.under_way.load(Ordering::SeqCst) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_task_is_woken_between_turns_only() {
        let count = Arc::new(Count(AtomicU32::new(0)));
        let task = Waker::from(Arc::clone(&count));
        let turn = Arc::new(Turn::default());
        let waker = Waker::from(Arc::clone(&turn));
        turn.begin(&task);
        waker.wake_by_ref();
        assert!(!turn.end(), "something was woken");
        turn.begin(&task);
        assert!(turn.end());
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        waker.wake_by_ref();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }
}
