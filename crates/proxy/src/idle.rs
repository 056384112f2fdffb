//! Noticing that nothing happens, without touching a timer each time something does.

use std::pin::Pin;
use std::task::{Context, Poll};
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
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
}
