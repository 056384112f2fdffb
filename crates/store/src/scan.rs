//! Asks a filter of flows that have to be read for it, on several threads; what is found comes in order.
//!
//! Not here: which flows have to be read. Threads are started only when there are more than a few.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope};

use flowgate_filter::{BodyDecoder, Filter};

use crate::body_reader::BodyReader;
use crate::error::StoreError;
use crate::limits::{SEARCH_FLOWS_AT_ONCE, SEARCH_THREADS_MAX};
use crate::reader::{Place, Searched, found_again};
use crate::record::{self, Searchable};
use crate::texts::Needle;

/// What is asked.
pub(crate) struct Asked<'a> {
    /// Of the store.
    pub(crate) directory: &'a Path,
    pub(crate) filter: &'a Filter,
    pub(crate) decoder: &'a (dyn BodyDecoder + Sync),
    /// What has to stand in bodies.
    pub(crate) needle: Option<Arc<Needle>>,
}

/// A flow that may be meant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) number: i64,
    pub(crate) place: Place,
    /// Its text is not as it crossed.
    pub(crate) is_dns: bool,
}

/// What became of a candidate.
#[derive(Debug)]
pub(crate) struct Finding {
    /// The flow if it is meant.
    pub(crate) read: Result<Option<Box<Searchable>>, StoreError>,
    /// A pattern took too many steps.
    pub(crate) gave_up: bool,
}

impl Asked<'_> {
    /// Reads a flow, as far as is needed, and asks the filter.
    pub(crate) fn ask(&self, at: &Candidate, bodies: &BodyReader) -> Finding {
        let mut gave_up = false;
        let read = found_again(self.directory, at.number, at.place, |place| {
            let record = bodies.read(place.0, place.1)?;
            if let Some(needle) = self.needle.as_ref().filter(|_| !at.is_dns)
                && !record::may_have(&record, needle, bodies)?
            {
                return Ok(None);
            }
            Searchable::read(&record, bodies).map(Some)
        });
        let read = read.map(|read| {
            read.and_then(|read| {
                let answer = self.filter.ask(read.flow(), self.decoder);
                gave_up = answer.gave_up;
                answer.matched.then(|| Box::new(read))
            })
        });
        Finding { read, gave_up }
    }

    fn ask_all(&self, batch: Batch, bodies: &BodyReader) -> Answers {
        batch.into_iter().map(|candidate| (candidate, self.ask(&candidate, bodies))).collect()
    }
}

/// Asks of all candidates, and hands each flow that is meant to `found`, in their order, until it breaks off.
pub(crate) fn scan<B>(
    asked: &Asked<'_>,
    searched: &mut Searched,
    mut next: impl FnMut() -> Result<Option<Candidate>, rusqlite::Error>,
    mut found: impl FnMut(&Candidate, Box<Searchable>) -> Result<ControlFlow<B>, StoreError>,
) -> Result<Option<B>, StoreError> {
    let mut tell = |searched: &mut Searched, at: &Candidate, finding: Finding| {
        searched.last = at.number;
        match searched.count(finding) {
            Some(read) => found(at, read),
            None => Ok(ControlFlow::Continue(())),
        }
    };
    let mut batch = || {
        let mut batch = Vec::with_capacity(SEARCH_FLOWS_AT_ONCE);
        while batch.len() < SEARCH_FLOWS_AT_ONCE
            && let Some(candidate) = next()?
        {
            batch.push(candidate);
        }
        Ok::<_, rusqlite::Error>(Some(batch).filter(|batch| !batch.is_empty()))
    };
    // The first few here.
    let bodies = BodyReader::reading_ahead(asked.directory);
    for candidate in batch()?.unwrap_or_default() {
        if let ControlFlow::Break(value) = tell(searched, &candidate, asked.ask(&candidate, &bodies))? {
            return Ok(Some(value));
        }
    }
    let Some(second) = batch()? else { return Ok(None) };
    thread::scope(|scope| {
        let threads = Threads::start(scope, asked);
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
                Some(Err(batch)) => asked.ask_all(batch, &bodies),
                None => return Ok(None),
            };
            for (candidate, finding) in answers {
                if let ControlFlow::Break(value) = tell(searched, &candidate, finding)? {
                    return Ok(Some(value));
                }
            }
        }
    })
}

type Batch = Vec<Candidate>;
type Answers = Vec<(Candidate, Finding)>;

/// The threads that ask; they end when this is dropped.
struct Threads {
    batches: SyncSender<(Batch, SyncSender<Answers>)>,
    /// How many batches may be on their way.
    batches_max: usize,
}

impl Threads {
    fn start<'scope>(scope: &'scope Scope<'scope, '_>, asked: &'scope Asked<'_>) -> Self {
        let count = thread::available_parallelism().map_or(1, usize::from).min(SEARCH_THREADS_MAX);
        let batches_max = count * 2;
        let (batches, receiver) = sync_channel::<(Batch, SyncSender<Answers>)>(batches_max);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..count {
            let receiver = Arc::clone(&receiver);
            let work = move || {
                let bodies = BodyReader::reading_ahead(asked.directory);
                loop {
                    let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((batch, answers)) = next else { return };
                    // Nobody waits for it if the search was broken off.
                    let _ = answers.send(asked.ask_all(batch, &bodies));
                }
            };
            // Fewer threads than wanted do it, too; without any the caller does.
            drop(thread::Builder::new().name("search".to_owned()).spawn_scoped(scope, work));
        }
        Self { batches, batches_max }
    }

    /// The answers to come, or the batch if there is no thread.
    fn ask(&self, batch: Batch) -> Result<Receiver<Answers>, Batch> {
        let (sender, answers) = sync_channel(1);
        match self.batches.send((batch, sender)) {
            Ok(()) => Ok(answers),
            Err(SendError((batch, _))) => Err(batch),
        }
    }
}
