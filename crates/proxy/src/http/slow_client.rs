//! A client that keeps its exchange waiting: what was recorded leaves memory, and a client that all but stands still is given up.
//!
//! Only for clients that keep *us* waiting. Nobody is kept waiting by an event stream, a long poll, a WebSocket or a stream of messages in
//! which nothing is said: those end by [`IdleTimer`](crate::idle::IdleTimer) or not at all. And whoever took a part of a response may
//! take their time for the rest: downloads are paused, and people read what they scroll through.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits::{CLIENT_PROGRESS_BYTES_MIN, CLIENT_TAKEN_BYTES_MIN, SLOW_CLIENT_DELAY};

/// What an exchange waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Waits {
    /// The client has to send more of the body whose length it announced; so much of it came.
    ToSend(u64),
    /// The client has to take what is sent to it.
    ToTake,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Due {
    /// What was recorded is to leave memory: this may take long.
    LeaveMemory,
    /// The client is too slow.
    GiveUp,
}

/// Looks at the clock while a client keeps its exchange waiting.
#[derive(Default)]
pub(super) struct SlowClient {
    waiting: Option<Waiting>,
    timer: Option<Pin<Box<Sleep>>>,
}

struct Waiting {
    since: Instant,
    /// What was waited for then.
    first: Waits,
    /// It was said that what is recorded is to leave memory.
    said: bool,
}

impl SlowClient {
    /// The client keeps nobody waiting.
    pub(super) fn rest(&mut self) {
        self.waiting = None;
    }

    /// Ready when something is to be done about a client that keeps its exchange waiting; nobody is given up without a `timeout`.
    /// `taken` says how many bytes of this connection the client has, if that is known; it is asked only when the time is up, for it
    /// costs a call of the system.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: Waits,
        timeout: Option<Duration>,
        taken: impl Fn() -> Option<u64>,
    ) -> Poll<Due> {
        let is_same =
            |waiting: &Waiting| std::mem::discriminant(&waiting.first) == std::mem::discriminant(&now);
        if !self.waiting.as_ref().is_some_and(is_same) {
            self.waiting = None;
        }
        loop {
            let waiting = self.waiting.get_or_insert_with(|| Waiting {
                since: Instant::now(),
                first: now,
                said: false,
            });
            let due = match (waiting.said, timeout) {
                (false, _) => waiting.since + SLOW_CLIENT_DELAY,
                (true, Some(timeout)) => waiting.since + timeout.max(SLOW_CLIENT_DELAY),
                (true, None) => return Poll::Pending,
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() < due {
                timer.as_mut().reset(due);
            } else if !std::mem::replace(&mut waiting.said, true) {
                return Poll::Ready(Due::LeaveMemory);
            } else if is_too_slow(waiting.first, now, &taken) {
                return Poll::Ready(Due::GiveUp);
            } else {
                self.waiting = None;
            }
        }
    }
}

/// Whether a client did too little within the time.
fn is_too_slow(first: Waits, now: Waits, taken: impl Fn() -> Option<u64>) -> bool {
    match (first, now) {
        (Waits::ToSend(first), Waits::ToSend(now)) => now - first < CLIENT_PROGRESS_BYTES_MIN,
        (_, Waits::ToTake) => taken().is_some_and(|taken| taken < CLIENT_TAKEN_BYTES_MIN),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::limits::CLIENT_PROGRESS_TIMEOUT;

    const MIN: u64 = CLIENT_PROGRESS_BYTES_MIN;
    const TAKEN: u64 = CLIENT_TAKEN_BYTES_MIN;

    /// After how many seconds a client is given up that comes on by so much each second, if it is within five minutes.
    async fn given_up(step: impl Fn(u64) -> Waits, taken: Option<u64>) -> Option<u64> {
        given_up_by(Some(CLIENT_PROGRESS_TIMEOUT), step, taken).await
    }

    async fn given_up_by(
        timeout: Option<Duration>,
        step: impl Fn(u64) -> Waits,
        taken: Option<u64>,
    ) -> Option<u64> {
        let (mut slow, start) = (SlowClient::default(), Instant::now());
        for second in 0..300 {
            let poll = poll_fn(|cx| match slow.poll(cx, step(second), timeout, || taken) {
                Poll::Ready(Due::LeaveMemory) => slow.poll(cx, step(second), timeout, || taken),
                other => other,
            });
            if tokio::time::timeout_at(start + Duration::from_secs(second + 1), poll).await.is_ok() {
                return Some(start.elapsed().as_secs());
            }
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn who_all_but_stands_still_is_given_up() {
        let limit = CLIENT_PROGRESS_TIMEOUT.as_secs();
        // Bodies that come in drops: those of the first period count.
        for (bytes_each, expected) in
            [(0, Some(limit)), (1, Some(limit)), (MIN / limit, Some(limit)), (MIN / limit + 1, None)]
        {
            let found = given_up(|second| Waits::ToSend(1000 + second * bytes_each), None).await;
            assert_eq!(found, expected, "{bytes_each} a second");
        }
        // What was taken once is enough for ever.
        for (taken, expected) in [(0, Some(limit)), (TAKEN - 1, Some(limit)), (TAKEN, None)] {
            assert_eq!(given_up(|_| Waits::ToTake, Some(taken)).await, expected, "{taken}");
        }
        assert_eq!(given_up(|_| Waits::ToTake, None).await, None);
        // Another time, or none at all.
        let given_up =
            |seconds: Option<u64>| given_up_by(seconds.map(Duration::from_secs), |_| Waits::ToSend(0), None);
        assert_eq!((given_up(Some(7)).await, given_up(None).await), (Some(7), None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_ends_begins_anew() {
        let mut slow = SlowClient::default();
        let (start, timeout) = (Instant::now(), Some(CLIENT_PROGRESS_TIMEOUT));
        for kept_waiting in [true, false, true] {
            if kept_waiting {
                assert_eq!(
                    poll_fn(|cx| slow.poll(cx, Waits::ToSend(0), timeout, || None)).await,
                    Due::LeaveMemory
                );
                tokio::time::advance(CLIENT_PROGRESS_TIMEOUT / 2).await;
            } else {
                slow.rest();
            }
        }
        // A wait of another kind is another one, too.
        assert_eq!(poll_fn(|cx| slow.poll(cx, Waits::ToTake, timeout, || Some(0))).await, Due::LeaveMemory);
        assert_eq!(start.elapsed(), CLIENT_PROGRESS_TIMEOUT + 3 * SLOW_CLIENT_DELAY);
    }
}
