//! A body that crosses more slowly than it could, or breaks off: what addons ask of it, carried out where it is passed on.
//!
//! Only its own flow waits: nobody is asked for more than is due.

use std::num::NonZeroU64;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use flowgate_wire::http1::BodyEvent;
use tokio::time::{Instant, Sleep, sleep_until};

use super::body_way::Source;
use super::side::SideError;
use crate::limits::CUT_GRACE;

/// Into how many pieces the bytes of a second are divided.
const PIECES_PER_SECOND: u64 = 20;

/// What is asked of a body.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Limits {
    /// So many bytes a second.
    pub(crate) bytes_per_second: Option<NonZeroU64>,
    /// So many bytes, and then it breaks off.
    pub(crate) cut_after: Option<u64>,
}

/// A body that is held to its limits.
pub(super) struct Pace {
    limits: Limits,
    passed: u64,
    /// What came and is not due yet.
    rest: Bytes,
    /// When the next piece is due.
    due: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
    /// It is about to break off.
    cutting: bool,
}

impl Pace {
    /// Asks this of a body from here on; nothing, and none is made.
    pub(super) fn hold_to(pace: &mut Option<Box<Self>>, limits: Limits) {
        match pace {
            Some(pace) => pace.limits = limits,
            None if limits == Limits::default() => {}
            None => {
                let due = Instant::now();
                let new = Self { limits, passed: 0, rest: Bytes::new(), due, sleep: None, cutting: false };
                *pace = Some(Box::new(new));
            }
        }
    }

    /// The next piece, when it is due.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Source<'_>,
    ) -> Poll<Result<BodyEvent, SideError>> {
        ready!(self.poll_due(cx));
        if let Some(limit) = self.limits.cut_after.filter(|limit| self.passed >= *limit) {
            if !std::mem::replace(&mut self.cutting, true) {
                // What was passed on shall arrive before its end does.
                self.due = Instant::now() + CUT_GRACE;
                ready!(self.poll_due(cx));
            }
            return Poll::Ready(Err(SideError::CutOff(limit)));
        }
        if self.rest.is_empty() {
            match ready!(source(cx))? {
                BodyEvent::Data(data) => self.rest = data,
                other => return Poll::Ready(Ok(other)),
            }
        }
        let mut most = self.limits.cut_after.map_or(u64::MAX, |limit| limit - self.passed);
        if let Some(rate) = self.limits.bytes_per_second {
            most = most.min(rate.get().div_ceil(PIECES_PER_SECOND));
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let piece = self.rest.split_to(self.rest.len().min(most));
        self.passed += piece.len() as u64;
        if let Some(rate) = self.limits.bytes_per_second {
            let seconds = piece.len() as f64 / rate.get() as f64;
            self.due = self.due.max(Instant::now()) + Duration::from_secs_f64(seconds);
        }
        Poll::Ready(Ok(BodyEvent::Data(piece)))
    }

    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.due {
            return Poll::Ready(());
        }
        let due = self.due;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() != due {
            sleep.as_mut().reset(due);
        }
        sleep.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::future::poll_fn;

    /// How long a body of these pieces takes, in milliseconds, how much of it passes, and how it ends.
    async fn pass(limits: Limits, pieces: &[usize]) -> (u128, u64, Option<String>) {
        let mut left: VecDeque<_> = pieces.iter().map(|len| Bytes::from(vec![0; *len])).collect();
        let mut pace = None;
        Pace::hold_to(&mut pace, limits);
        let mut pace = pace.unwrap();
        let (start, mut passed) = (Instant::now(), 0);
        loop {
            let mut source = |_: &mut Context<'_>| {
                Poll::Ready(Ok(left.pop_front().map_or(BodyEvent::End(None), BodyEvent::Data)))
            };
            match poll_fn(|cx| pace.poll(cx, &mut source)).await {
                Ok(BodyEvent::Data(data)) => passed += data.len() as u64,
                Ok(_) => return (start.elapsed().as_millis(), passed, None),
                Err(err) => return (start.elapsed().as_millis(), passed, Some(err.to_string())),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_bytes_a_second_and_no_more() {
        let rate = |rate| Limits { bytes_per_second: NonZeroU64::new(rate), cut_after: None };
        for (limits, pieces, millis) in [
            (rate(1000), &[1000][..], 1000),
            (rate(1000), &[1; 1000], 1000),
            (rate(1000), &[5000, 5000], 10_000),
            (rate(1), &[3], 3000),
            (rate(u64::MAX), &[1 << 20], 0),
        ] {
            let (took, passed, error) = pass(limits, pieces).await;
            // Timers count whole milliseconds.
            assert!((millis..=millis + pieces.len() as u128 + 25).contains(&took), "{limits:?}: {took}");
            assert_eq!((passed, error), (pieces.iter().sum::<usize>() as u64, None));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_bytes_and_then_the_end() {
        let cut = |cut_after| Limits { bytes_per_second: None, cut_after: Some(cut_after) };
        for (after, pieces, passed, breaks) in [
            (0, &[10][..], 0, true),
            (4, &[3, 3], 4, true),
            (6, &[3, 3], 6, true),
            (7, &[3, 3], 6, false),
            (0, &[], 0, true),
        ] {
            let (took, found, error) = pass(cut(after), pieces).await;
            assert_eq!((found, error.is_some()), (passed, breaks), "{after} {pieces:?}");
            assert!(!breaks || took >= CUT_GRACE.as_millis());
        }
    }
}
