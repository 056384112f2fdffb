//! Reads many flows on several threads; what each gives comes in order.
//!
//! Not here: which flows have to be read, and what is done with them. Threads are started only when there are more than a few.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope};

use flowgate_formats::HeadsReader;

use crate::body_reader::BodyReader;
use crate::error::StoreError;
use crate::limits::{SEARCH_FLOWS_AT_ONCE, SEARCH_THREADS_MAX};

/// What a thread reads with.
pub(crate) struct Hands {
    pub(crate) bodies: BodyReader,
    pub(crate) heads: HeadsReader,
}

impl Hands {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { bodies: BodyReader::reading_ahead(directory), heads: HeadsReader::default() }
    }
}

/// What is asked of each flow.
pub(crate) trait Work: Sync {
    /// A flow that is to be read.
    type Candidate: Send;
    /// What it gives.
    type Finding: Send;

    /// The folder of the store.
    fn directory(&self) -> &Path;

    /// Reads a flow, as far as is needed.
    fn ask(&self, at: &Self::Candidate, hands: &Hands) -> Self::Finding;
}

/// Asks of all candidates, and hands what each gives to `tell`, in their order, until it breaks off.
pub(crate) fn scan<W: Work, B>(
    work: &W,
    mut next: impl FnMut() -> Result<Option<W::Candidate>, StoreError>,
    mut tell: impl FnMut(W::Candidate, W::Finding) -> Result<ControlFlow<B>, StoreError>,
) -> Result<Option<B>, StoreError> {
    let mut batch = || {
        let mut batch = Vec::with_capacity(SEARCH_FLOWS_AT_ONCE);
        while batch.len() < SEARCH_FLOWS_AT_ONCE
            && let Some(candidate) = next()?
        {
            batch.push(candidate);
        }
        Ok::<_, StoreError>(Some(batch).filter(|batch| !batch.is_empty()))
    };
    // The first few here.
    let hands = Hands::new(work.directory());
    for candidate in batch()?.unwrap_or_default() {
        let finding = work.ask(&candidate, &hands);
        if let ControlFlow::Break(value) = tell(candidate, finding)? {
            return Ok(Some(value));
        }
    }
    let Some(second) = batch()? else { return Ok(None) };
    thread::scope(|scope| {
        let threads = Threads::start(scope, work);
        let mut asking = VecDeque::from([threads.ask(second)]);
        loop {
            // Enough that no thread waits while what one found is told.
            while asking.len() < threads.batches_max
                && let Some(batch) = batch()?
            {
                asking.push_back(threads.ask(batch));
            }
            let answers = match asking.pop_front() {
                Some(Ok(coming)) => coming.recv().unwrap_or_default(),
                Some(Err(batch)) => ask_all(work, batch, &hands),
                None => return Ok(None),
            };
            for (candidate, finding) in answers {
                if let ControlFlow::Break(value) = tell(candidate, finding)? {
                    return Ok(Some(value));
                }
            }
        }
    })
}

fn ask_all<W: Work>(work: &W, batch: Batch<W>, hands: &Hands) -> Answers<W> {
    let ask = |candidate| {
        let finding = work.ask(&candidate, hands);
        (candidate, finding)
    };
    batch.into_iter().map(ask).collect()
}

type Batch<W> = Vec<<W as Work>::Candidate>;
type Answers<W> = Vec<(<W as Work>::Candidate, <W as Work>::Finding)>;

/// The threads that ask; they end when this is dropped.
struct Threads<W: Work> {
    batches: SyncSender<(Batch<W>, SyncSender<Answers<W>>)>,
    /// How many batches may be on their way.
    batches_max: usize,
}

impl<W: Work> Threads<W> {
    fn start<'scope>(scope: &'scope Scope<'scope, '_>, work: &'scope W) -> Self {
        let count = thread::available_parallelism().map_or(1, usize::from).min(SEARCH_THREADS_MAX);
        let batches_max = count * 2;
        let (batches, receiver) = sync_channel::<(Batch<W>, SyncSender<Answers<W>>)>(batches_max);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..count {
            let receiver = Arc::clone(&receiver);
            let run = move || {
                let hands = Hands::new(work.directory());
                loop {
                    let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((batch, answers)) = next else { return };
                    // Nobody waits for it if the scan was broken off.
                    let _ = answers.send(ask_all(work, batch, &hands));
                }
            };
            // Fewer threads than wanted do it, too; without any the caller does.
            drop(thread::Builder::new().name("search".to_owned()).spawn_scoped(scope, run));
        }
        Self { batches, batches_max }
    }

    /// The answers to come, or the batch if there is no thread.
    fn ask(&self, batch: Batch<W>) -> Result<Receiver<Answers<W>>, Batch<W>> {
        let (sender, answers) = sync_channel(1);
        match self.batches.send((batch, sender)) {
            Ok(()) => Ok(answers),
            Err(SendError((batch, _))) => Err(batch),
        }
    }
}
