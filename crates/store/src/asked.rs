//! A filter that is asked of a flow in its record: no more of it is read than the filter looks at.
//!
//! Not here: which flows are asked about ([`query`](crate::query)), and on which thread ([`scan`](crate::scan)).

use std::path::Path;
use std::sync::Arc;

use flowgate_filter::{Answer, BodyDecoder, Filter};
use flowgate_flow::Flow;

use crate::error::StoreError;
use crate::reader::{Place, found_again};
use crate::record::{self, Depth, Searchable};
use crate::scan::{Hands, Work};
use crate::texts::Needle;

/// A filter, and what is known of the flows that it can mean.
pub(crate) struct Asked<'a> {
    filter: &'a Filter,
    decoder: &'a (dyn BodyDecoder + Sync),
    /// What has to stand in bodies.
    needle: Option<Arc<Needle>>,
    depth: Depth,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(
        filter: &'a Filter,
        decoder: &'a (dyn BodyDecoder + Sync),
        needle: Option<Arc<Needle>>,
    ) -> Self {
        Self { filter, decoder, needle, depth: Depth::of(filter) }
    }

    /// Asks of a record; `is_dns` if its text is not as it crossed.
    pub(crate) fn ask(&self, opened: &mut Opened<'_>, is_dns: bool) -> Result<Answer, StoreError> {
        let hands = opened.hands;
        if let Some(needle) = self.needle.as_ref().filter(|_| !is_dns)
            && !record::may_have(opened.record()?, needle, &hands.bodies)?
        {
            return Ok(Answer::default());
        }
        Ok(self.filter.ask(opened.flow(self.depth)?, self.decoder))
    }
}

/// A record, and what was read of its flow. Nothing is before somebody asks.
pub(crate) struct Opened<'h> {
    hands: &'h Hands,
    place: Place,
    record: Option<Vec<u8>>,
    heads: Option<Box<Flow>>,
    read: Option<(Depth, Box<Searchable>)>,
}

impl<'h> Opened<'h> {
    pub(crate) const fn new(place: Place, hands: &'h Hands) -> Self {
        Self { hands, place, record: None, heads: None, read: None }
    }

    fn record(&mut self) -> Result<&[u8], StoreError> {
        let record = match self.record.take() {
            Some(record) => record,
            None => self.hands.bodies.read(self.place.0, self.place.1)?,
        };
        Ok(self.record.insert(record))
    }

    /// The flow, read at least to this depth.
    pub(crate) fn flow(&mut self, depth: Depth) -> Result<&Flow, StoreError> {
        let hands = self.hands;
        if depth == Depth::Heads && self.read.is_none() && self.heads.is_none() {
            self.heads = record::heads(self.record()?, &hands.heads)?.map(Box::new);
        }
        let wanted = depth.max(Depth::State);
        let has_heads = depth == Depth::Heads && self.heads.is_some();
        let has_it = has_heads || self.read.as_ref().is_some_and(|(read, _)| *read >= wanted);
        if !has_it {
            let read = Searchable::read(self.record()?, wanted, &hands.bodies)?;
            self.read = Some((wanted, Box::new(read)));
        }
        let heads = self.heads.as_deref().filter(|_| has_heads);
        let read = self.read.as_ref().map(|(_, read)| read.flow());
        heads.or(read).ok_or(StoreError::Decode(None))
    }

    /// What was read, if it was more than its heads.
    pub(crate) fn into_read(self) -> Option<Box<Searchable>> {
        self.read.map(|(_, read)| read)
    }
}

/// One filter, asked of each flow of a search.
pub(crate) struct Search<'a> {
    /// Of the store.
    pub(crate) directory: &'a Path,
    pub(crate) asked: Asked<'a>,
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
    /// The flow if it is meant, as far as it was read.
    pub(crate) read: Result<Option<Option<Box<Searchable>>>, StoreError>,
    /// A pattern took too many steps.
    pub(crate) gave_up: bool,
}

impl Work for Search<'_> {
    type Candidate = Candidate;
    type Finding = Finding;

    fn directory(&self) -> &Path {
        self.directory
    }

    fn ask(&self, at: &Candidate, hands: &Hands) -> Finding {
        let asked = found_again(self.directory, at.number, at.place, |place| {
            let mut opened = Opened::new(place, hands);
            let answer = self.asked.ask(&mut opened, at.is_dns)?;
            Ok((answer, opened.into_read()))
        });
        match asked {
            Ok((answer, read)) => {
                Finding { read: Ok(answer.matched.then_some(read)), gave_up: answer.gave_up }
            }
            Err(error) => Finding { read: Err(error), gave_up: false },
        }
    }
}
