//! Noticing that nothing happens, without touching a timer each time something does.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Fires when nothing happened for a while.
///
/// A timer is armed once and looks, when it fires, whether something happened since; so activity costs a reading of the
/// clock and no more.
#[derive(Debug)]
pub(crate) struct IdleTimer {
    limit: Duration,
    last: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl IdleTimer {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, last: Instant::now(), sleep: None }
    }

    /// Something happened.
    pub(crate) fn touch(&mut self) {
        self.last = Instant::now();
    }

    /// Ready when nothing happened for as long as the limit.
    pub(crate) fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = self.last + self.limit;
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }

    /// Forgets whom it would wake: who can be woken stays in memory, be it long since over.
    pub(crate) fn let_go(&mut self) {
        if let Some(sleep) = &mut self.sleep {
            let _ = sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::task::Wake;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn fires_only_after_quiet() {
        let mut timer = IdleTimer::new(Duration::from_secs(10));
        let started = Instant::now();
        for _ in 0..5 {
            advance(Duration::from_secs(6)).await;
            assert!(poll_fn(|cx| Poll::Ready(timer.poll_idle(cx))).await.is_pending());
            timer.touch();
        }
        poll_fn(|cx| timer.poll_idle(cx)).await;
        assert_eq!((Instant::now() - started).as_secs(), 40);
    }

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    /// The timers of exchanges that were over kept what these had taken, on every connection that once had many at a time.
    #[tokio::test(start_paused = true)]
    async fn who_is_let_go_is_not_kept() {
        let whom = Arc::new(Nobody);
        let mut timer = IdleTimer::new(Duration::from_secs(10));
        let waker = Waker::from(Arc::clone(&whom));
        assert!(timer.poll_idle(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        assert_eq!(Arc::strong_count(&whom), 2);
        timer.let_go();
        assert_eq!(Arc::strong_count(&whom), 1);
    }
}
