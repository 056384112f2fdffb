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
use tokio::time::sleep;

use crate::flow_queue::{FlowSender, Waiting, queue};

/// How many flows are written at most before they are made to last, when they come faster than that takes.
pub const FLOWS_BATCH_MAX: usize = 256;

/// How long flows may gather before they are saved, after others were: to wake the thread for each of them costs more than to save it.
pub(crate) const GATHER: Duration = Duration::from_millis(4);

/// What flows are saved to.
pub trait Sink: Send + 'static {
    /// How a failure names what is saved to: `flows`, `flows in the store`.
    const WHAT: &'static str;

    /// Why it fails.
    type Error: std::error::Error;

    /// What a flow is made into before it is handed to the thread that saves. That is done where it ended: traffic waits for it.
    type Item: From<Flow> + Send + 'static;

    /// Takes one flow.
    ///
    /// # Errors
    /// What the medium says. The flow is lost, and all that were taken since the last [`Sink::settle`] if
    /// [`Sink::waiting`] says that none are left.
    fn take(&mut self, item: Self::Item) -> Result<(), Self::Error>;

    /// How many flows were taken that may still be lost; none where each is written as it is taken.
    fn waiting(&self) -> usize {
        0
    }

    /// Makes all that was taken last.
    ///
    /// # Errors
    /// What the medium says; then all that waited is lost.
    fn settle(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Finishes what is saved to, when no more flows come; gives what a user may want to read about it, a line each.
    ///
    /// # Errors
    /// What the medium says.
    fn end(&mut self) -> Result<Vec<String>, Self::Error> {
        Ok(Vec::new())
    }

    /// Whether all is well with what goes on behind it; asked when [`Sink::changed`] says so.
    ///
    /// # Errors
    /// What is not, once; no flow is lost by it.
    fn check(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Ends when there is something to check. May be asked and dropped at any time.
    fn changed(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// Saves flows on a thread of its own.
#[derive(Debug)]
pub struct Saver {
    flows: FlowSender,
    thread: JoinHandle<u64>,
}

impl Saver {
    /// Starts to save. `tell` gets a line when saving fails for the first time, when it works again, and at the end.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start<S: Sink>(sink: S, tell: impl Fn(Level, &str) + Send + 'static) -> io::Result<Self> {
        let (flows, waiting) = queue();
        // Its own, for it has to outlive that of the proxy.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let work = move || runtime.block_on(Work::new(sink, tell).run(waiting));
        let thread = std::thread::Builder::new().name("saver".into()).spawn(work)?;
        Ok(Self { flows, thread })
    }

    /// Where flows are handed in.
    #[must_use]
    pub fn sender(&self) -> FlowSender {
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
}

impl<S: Sink, T: Fn(Level, &str)> Work<S, T> {
    fn new(sink: S, tell: T) -> Self {
        Self { sink, tell, lost: 0, failing: false }
    }

    async fn run(mut self, mut flows: Waiting<S::Item>) -> u64 {
        loop {
            let first = select! {
                biased;
                flow = flows.recv() => flow,
                () = self.sink.changed() => {
                    self.check();
                    continue;
                }
            };
            let Some(first) = first else { return self.end() };
            self.save(first, &mut flows);
            // Nobody is woken to hand in more until then. If that many wait already, they do not wait longer.
            if flows.len() < FLOWS_BATCH_MAX / 2 && !flows.is_closed() {
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
    fn save(&mut self, first: S::Item, flows: &mut Waiting<S::Item>) {
        let mut taken = usize::from(self.take(first));
        for _ in 1..FLOWS_BATCH_MAX {
            let Some(next) = flows.try_recv() else { break };
            taken += usize::from(self.take(next));
        }
        let waiting = self.sink.waiting();
        let settled = self.sink.settle();
        flows.give_back();
        let concerned = if settled.is_ok() { taken } else { waiting };
        self.judge(settled, concerned);
    }

    fn check(&mut self) {
        // Nobody needs to be told that a medium which takes no flows cannot be put in order either.
        if let Err(error) = self.sink.check()
            && !self.failing
        {
            let (what, why) = (S::WHAT, causes(&error));
            (self.tell)(Level::Error, &format!("cannot keep {what} in order at the moment: {why}"));
        }
    }

    /// Says whether it was taken.
    fn take(&mut self, item: S::Item) -> bool {
        let before = self.sink.waiting();
        let taken = self.sink.take(item);
        let is_taken = taken.is_ok();
        if let Err(error) = taken {
            let lost = 1 + before.saturating_sub(self.sink.waiting());
            self.judge(Err(error), lost);
        }
        is_taken
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

    use tokio::sync::mpsc;

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
        type Item = Flow;

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
        let (sender, receiver) = queue();
        for _ in 0..flows {
            let room = sender.try_reserve(&flow()).unwrap();
            sender.send(room, flow());
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

    /// Says at each check what the test wrote down.
    struct Checked {
        answers: VecDeque<io::Result<()>>,
        changes: mpsc::UnboundedReceiver<()>,
    }

    impl Sink for Checked {
        const WHAT: &'static str = "flows";
        type Error = io::Error;
        type Item = Flow;

        fn take(&mut self, _flow: Flow) -> io::Result<()> {
            Ok(())
        }

        fn check(&mut self) -> io::Result<()> {
            self.answers.pop_front().unwrap_or(Ok(()))
        }

        async fn changed(&mut self) {
            if self.changes.recv().await.is_none() {
                std::future::pending().await
            }
        }
    }

    #[tokio::test]
    async fn what_goes_wrong_behind_it_is_told() {
        let (change, changes) = mpsc::unbounded_channel();
        let (flows, receiver) = queue();
        let answers = [Ok(()), Err(io::ErrorKind::StorageFull.into()), Ok(())];
        let (tell, mut told) = mpsc::unbounded_channel();
        let work = Work::new(Checked { answers: answers.into(), changes }, move |_: Level, line: &str| {
            tell.send(line.to_owned()).unwrap();
        });
        let saver = tokio::spawn(work.run(receiver));
        for _ in 0..3 {
            change.send(()).unwrap();
        }
        let line = "cannot keep flows in order at the moment: no storage space";
        assert_eq!(told.recv().await.as_deref(), Some(line));
        drop(flows);
        assert_eq!(saver.await.unwrap(), 0);
        assert_eq!(told.recv().await, None);
    }
}
