//! Saving flows as they end: one writer on a thread of its own, whatever it writes to.
//!
//! When writing fails (a full disk), traffic goes on: what cannot be saved is counted and told once, and saving resumes with
//! the first flow for which there is room again.

use std::io;
use std::thread::JoinHandle;

use flowgate_flow::Flow;
use flowgate_options::Level;
use tokio::sync::mpsc;

/// How many flows may wait to be written. Their larger bodies lie in files already, so it bounds memory.
pub const FLOWS_WAITING_MAX: usize = 64;

/// How many flows are written at most before they are made to last, when they come faster than that takes.
pub const FLOWS_BATCH_MAX: usize = 256;

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
        let work = move || Work { sink, tell, lost: 0, failing: false }.run(waiting);
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
}

impl<S: Sink, T: Fn(Level, &str)> Work<S, T> {
    fn run(mut self, mut flows: mpsc::Receiver<Flow>) -> u64 {
        // Nobody waits for a batch to fill: it ends as soon as nothing more is there.
        while let Some(first) = flows.blocking_recv() {
            self.take(first);
            while self.sink.waiting() < FLOWS_BATCH_MAX
                && let Ok(next) = flows.try_recv()
            {
                self.take(next);
            }
            let waiting = self.sink.waiting();
            let settled = self.sink.settle();
            self.judge(settled, waiting);
        }
        match self.sink.end() {
            Ok(lines) => lines.iter().for_each(|line| (self.tell)(Level::Alert, line)),
            Err(error) => self.judge(Err(error), 0),
        }
        self.lost
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

    use flowgate_flow::{
        ClientConnection, Connection, FlowId, FlowKind, RawFlow, ServerConnection, Timestamp,
    };

    use super::*;

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

    fn flow() -> Flow {
        let connection = Connection::new(FlowId::from_random(1));
        let client = ClientConnection {
            connection: connection.clone(),
            leaf: None,
            fingerprints: None,
            mode: String::new(),
        };
        let server = ServerConnection { connection, address: None, timestamp_tcp_setup: None, via: None };
        let kind = FlowKind::Tcp(RawFlow::default());
        Flow::new(FlowId::from_random(2), client.into(), server.into(), kind, Timestamp(0.0))
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
        let lost = Work { sink, tell, lost: 0, failing: false }.run(receiver);
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
}
