//! Saving flows as they end: one writer on a thread of its own, whatever it writes to.
//!
//! When writing fails (a full disk), traffic goes on: what cannot be saved is counted and told once, and saving resumes with
//! the first flow for which there is room again.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use flowgate_flow::Flow;
use flowgate_options::Level;
use tokio::select;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

/// How many flows may wait to be written. Their larger bodies lie in files already, so it bounds memory.
pub const FLOWS_WAITING_MAX: usize = 256;

/// How many flows are written at most before they are made to last, when they come faster than that takes.
pub const FLOWS_BATCH_MAX: usize = 256;

/// How long flows may gather before they are saved, after others were: to wake the thread for each of them costs more than to save it.
pub(crate) const GATHER: Duration = Duration::from_millis(1);

/// A sink that is to be tended in longer than this is tended then.
pub(crate) const TEND_INTERVAL_MAX: Duration = Duration::from_secs(3600);

/// A sink that is to be tended is left alone for this long when flows come one by one.
pub(crate) const TEND_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// After tending failed, it is tried again in this time.
pub(crate) const TEND_RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// What flows are saved to.
pub trait Sink: Send + 'static {
    /// How a failure names what is saved to: `flows`, `flows in the store`.
    const WHAT: &'static str;

    /// Why it fails.
    type Error: std::error::Error;

    /// Takes one flow.
    ///
    /// # Errors
    /// What the medium says. The flow is lost, and all that were taken since the last [`Sink::settle`] if
    /// [`Sink::waiting`] says that none are left.
    fn take(&mut self, flow: Flow) -> Result<(), Self::Error>;

    /// How many flows were taken that may still be lost.
    fn waiting(&self) -> usize;

    /// Makes all that was taken last.
    ///
    /// # Errors
    /// What the medium says; then all that waited is lost.
    fn settle(&mut self) -> Result<(), Self::Error>;

    /// Finishes what is saved to, when no more flows come; gives what a user may want to read about it, a line each.
    ///
    /// # Errors
    /// What the medium says.
    fn end(&mut self) -> Result<Vec<String>, Self::Error> {
        Ok(Vec::new())
    }

    /// Does a piece of what keeps it in order, and says when the next one is due.
    ///
    /// # Errors
    /// What the medium says; no flow is lost by it.
    fn tend(&mut self) -> Result<Tend, Self::Error> {
        Ok(Tend::Never)
    }

    /// Ends when there is something to tend to that was not there before. May be asked and dropped at any time.
    fn changed(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// When a sink is to be tended next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tend {
    /// After the next batch, or at once if there is none.
    Again,
    /// When this time has passed, or some flows were saved.
    In(Duration),
    /// When [`Sink::changed`] says so.
    Never,
}

/// Saves flows on a thread of its own.
#[derive(Debug)]
pub struct Saver {
    flows: mpsc::Sender<Flow>,
    thread: JoinHandle<u64>,
}

impl Saver {
    /// Starts to save. `tell` gets a line when saving fails for the first time, when it works again, and at the end.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start<S: Sink>(sink: S, tell: impl Fn(Level, &str) + Send + 'static) -> io::Result<Self> {
        let (flows, waiting) = mpsc::channel(FLOWS_WAITING_MAX);
        // Its own, for it has to outlive that of the proxy.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let work = move || runtime.block_on(Work::new(sink, tell).run(waiting));
        let thread = std::thread::Builder::new().name("saver".into()).spawn(work)?;
        Ok(Self { flows, thread })
    }

    /// Where flows are handed in.
    #[must_use]
    pub fn sender(&self) -> mpsc::Sender<Flow> {
        self.flows.clone()
    }

    /// Waits until all that was handed in is written, once every sender is gone; says how many flows were lost. Blocks.
    #[must_use]
    pub fn finish(self) -> u64 {
        drop(self.flows);
        self.thread.join().unwrap_or(0)
    }
}

/// What the thread has.
struct Work<S, T> {
    sink: S,
    tell: T,
    lost: u64,
    failing: bool,
    /// When the sink is tended next.
    due: Option<Instant>,
    /// How many flows were taken since it was tended.
    untended: usize,
    /// Whether tending failed the last time.
    untidy: bool,
}

impl<S: Sink, T: Fn(Level, &str)> Work<S, T> {
    fn new(sink: S, tell: T) -> Self {
        Self { sink, tell, lost: 0, failing: false, due: Some(Instant::now()), untended: 0, untidy: false }
    }

    async fn run(mut self, mut flows: mpsc::Receiver<Flow>) -> u64 {
        loop {
            let due = self.due;
            let first = select! {
                biased;
                flow = flows.recv() => {
                    let Some(flow) = flow else { return self.end() };
                    Some(flow)
                }
                () = self.sink.changed() => {
                    self.due = Some(Instant::now());
                    None
                }
                () = until(due) => None,
            };
            let came = first.is_some();
            if let Some(first) = first {
                self.save(first, &mut flows);
            }
            if self.due.is_some_and(|due| due <= Instant::now()) {
                self.tend();
            }
            // Nobody is woken to hand in more until then. If that many wait already, they do not wait longer.
            if came && flows.len() < FLOWS_WAITING_MAX / 2 && !flows.is_closed() {
                sleep(GATHER).await;
            }
        }
    }

    /// Finishes when no more flows come; says how many were lost.
    fn end(mut self) -> u64 {
        match self.sink.end() {
            Ok(lines) => lines.iter().for_each(|line| (self.tell)(Level::Alert, line)),
            Err(error) => self.judge(Err(error), 0),
        }
        self.lost
    }

    /// Saves a flow and those behind it. Nobody waits for a batch to fill: it ends as soon as nothing more is there.
    fn save(&mut self, first: Flow, flows: &mut mpsc::Receiver<Flow>) {
        self.take(first);
        for _ in 1..FLOWS_BATCH_MAX {
            let Ok(next) = flows.try_recv() else { break };
            self.take(next);
        }
        let waiting = self.sink.waiting();
        let settled = self.sink.settle();
        self.judge(settled, waiting);
        self.untended += waiting;
        let soon = if self.untended < FLOWS_BATCH_MAX { TEND_INTERVAL_MIN } else { Duration::ZERO };
        if !self.untidy {
            self.due = self.due.map(|due| due.min(Instant::now() + soon));
        }
    }

    fn tend(&mut self) {
        let tended = self.sink.tend();
        self.untended = 0;
        let pause = match &tended {
            Ok(Tend::Again) => Some(Duration::ZERO),
            Ok(Tend::In(pause)) => Some((*pause).clamp(TEND_INTERVAL_MIN, TEND_INTERVAL_MAX)),
            Ok(Tend::Never) => None,
            Err(_) => Some(TEND_RETRY_INTERVAL),
        };
        self.due = pause.map(|pause| Instant::now() + pause);
        match tended {
            Ok(_) => self.untidy = false,
            // Nobody needs to be told that a medium which takes no flows cannot be put in order either.
            Err(error) => {
                if !std::mem::replace(&mut self.untidy, true) && !self.failing {
                    let (what, why) = (S::WHAT, causes(&error));
                    (self.tell)(Level::Error, &format!("cannot keep {what} in order at the moment: {why}"));
                }
            }
        }
    }

    fn take(&mut self, flow: Flow) {
        let before = self.sink.waiting();
        if let Err(error) = self.sink.take(flow) {
            let lost = 1 + before.saturating_sub(self.sink.waiting());
            self.judge(Err(error), lost);
        }
    }

    fn judge(&mut self, outcome: Result<(), S::Error>, concerned: usize) {
        match outcome {
            Ok(()) if concerned > 0 && self.failing => {
                self.failing = false;
                let (what, lost) = (S::WHAT, self.lost);
                (self.tell)(
                    Level::Error,
                    &format!("saving {what} works again; {lost} were not saved so far"),
                );
            }
            Ok(()) => {}
            Err(error) => {
                self.lost += concerned as u64;
                if !std::mem::replace(&mut self.failing, true) {
                    let (what, why) = (S::WHAT, causes(&error));
                    (self.tell)(
                        Level::Error,
                        &format!("cannot save {what} at the moment, traffic goes on: {why}"),
                    );
                }
            }
        }
    }
}

/// Ends at that time, or never.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// An error and what led to it, in a line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line += &format!(": {error}");
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::testing::flow;

    /// Says of each call what the test wrote down.
    struct Scripted {
        answers: VecDeque<bool>,
        waiting: usize,
        saved: Arc<Mutex<usize>>,
    }

    impl Scripted {
        fn answer(&mut self) -> io::Result<()> {
            if self.answers.pop_front().unwrap_or(true) {
                Ok(())
            } else {
                Err(io::ErrorKind::StorageFull.into())
            }
        }
    }

    impl Sink for Scripted {
        const WHAT: &'static str = "flows";
        type Error = io::Error;

        fn take(&mut self, _flow: Flow) -> io::Result<()> {
            self.answer().inspect_err(|_| self.waiting = 0)?;
            self.waiting += 1;
            Ok(())
        }

        fn waiting(&self) -> usize {
            self.waiting
        }

        fn settle(&mut self) -> io::Result<()> {
            let waiting = std::mem::take(&mut self.waiting);
            if waiting > 0 {
                self.answer()?;
                *self.saved.lock().unwrap() += waiting;
            }
            Ok(())
        }
    }

    /// What was saved, lost and told, of so many flows that come at once.
    fn run(flows: usize, answers: &[bool]) -> (usize, u64, Vec<String>) {
        let saved = Arc::new(Mutex::new(0));
        let sink =
            Scripted { answers: answers.iter().copied().collect(), waiting: 0, saved: Arc::clone(&saved) };
        let told = Mutex::new(Vec::new());
        let (sender, receiver) = mpsc::channel(999);
        for _ in 0..flows {
            sender.try_send(flow()).unwrap();
        }
        drop(sender);
        let tell = |_: Level, line: &str| told.lock().unwrap().push(line.to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let lost = runtime.block_on(async { Work::new(sink, tell).run(receiver).await });
        let saved = *saved.lock().unwrap();
        (saved, lost, told.into_inner().unwrap())
    }

    const FAILS: &str = "cannot save flows at the moment, traffic goes on: no storage space";
    const WORKS: &str = "saving flows works again; 2 were not saved so far";

    #[test]
    fn what_fails_is_counted_and_told_once() {
        assert_eq!(run(3, &[]), (3, 0, vec![]));
        // The second and with it the first is lost, the third is saved.
        assert_eq!(run(3, &[true, false]), (1, 2, vec![FAILS.into(), WORKS.into()]));
        // All three are taken, and lost as a whole.
        assert_eq!(run(3, &[true, true, true, false]), (0, 3, vec![FAILS.into()]));
        assert_eq!(run(2, &[false, false]), (0, 2, vec![FAILS.into()]));
    }

    #[test]
    fn batches_are_bounded() {
        // The first batch is lost; the one flow more is in a batch of its own.
        let mut answers = vec![true; FLOWS_BATCH_MAX];
        answers.push(false);
        let (saved, lost, _) = run(FLOWS_BATCH_MAX + 1, &answers);
        assert_eq!((saved, lost), (1, FLOWS_BATCH_MAX as u64));
    }

    /// Says of each call of `tend` what the test wrote down, and tells when it was called.
    struct Tended {
        answers: VecDeque<io::Result<Tend>>,
        called: mpsc::UnboundedSender<Instant>,
        changes: mpsc::UnboundedReceiver<()>,
    }

    impl Sink for Tended {
        const WHAT: &'static str = "flows";
        type Error = io::Error;

        fn take(&mut self, _flow: Flow) -> io::Result<()> {
            Ok(())
        }

        fn waiting(&self) -> usize {
            1
        }

        fn settle(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn tend(&mut self) -> io::Result<Tend> {
            self.called.send(Instant::now()).unwrap();
            self.answers.pop_front().unwrap_or(Ok(Tend::Never))
        }

        async fn changed(&mut self) {
            if self.changes.recv().await.is_none() {
                std::future::pending().await
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_tended_when_that_is_due() {
        let (called, mut calls) = mpsc::unbounded_channel();
        let (change, changes) = mpsc::unbounded_channel();
        let (flows, receiver) = mpsc::channel(9);
        let hour = Duration::from_secs(3600);
        let answers = [
            Ok(Tend::Again),
            Ok(Tend::In(hour / 2)),
            Ok(Tend::In(hour * 9)),
            Ok(Tend::In(hour)),
            Ok(Tend::In(Duration::ZERO)),
            Err(io::ErrorKind::StorageFull.into()),
            Err(io::ErrorKind::StorageFull.into()),
        ];
        let sink = Tended { answers: answers.into(), called, changes };
        let (tell, mut told) = mpsc::unbounded_channel();
        let work = Work::new(sink, move |_: Level, line: &str| tell.send(line.to_owned()).unwrap());
        let saver = tokio::spawn(work.run(receiver));
        let mut at = Instant::now();
        let mut after = async |calls: &mut mpsc::UnboundedReceiver<Instant>| {
            let call = calls.recv().await.unwrap();
            call.saturating_duration_since(std::mem::replace(&mut at, call)).as_secs()
        };
        assert_eq!(after(&mut calls).await, 0);
        assert_eq!(after(&mut calls).await, 0, "there was more to do");
        assert_eq!(after(&mut calls).await, 1800, "when it was due");
        assert_eq!(after(&mut calls).await, 3600, "no later than that");
        flows.send(flow()).await.unwrap();
        assert_eq!(after(&mut calls).await, 1, "soon after a flow");
        assert_eq!(after(&mut calls).await, 1, "not at once, and it failed");
        flows.send(flow()).await.unwrap();
        assert_eq!(after(&mut calls).await, 30, "flows or not, and it failed again");
        assert_eq!(after(&mut calls).await, 30, "never more");
        flows.send(flow()).await.unwrap();
        change.send(()).unwrap();
        assert_eq!(after(&mut calls).await, 0, "something has changed");
        drop(flows);
        assert_eq!(saver.await.unwrap(), 0);
        assert_eq!(calls.recv().await, None);
        let line = "cannot keep flows in order at the moment: no storage space";
        assert_eq!((told.recv().await.as_deref(), told.recv().await), (Some(line), None));
    }
}
