//! A body on its way through addons: its chunks changed as they cross, or held until it is whole.
//!
//! What is held is bounded: in memory by `BODY_MEMORY_BYTES`, on disk by what the exchange allows.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flowgate_flow::{Body, Headers};
use flowgate_wire::http1::BodyEvent;

use super::side::SideError;
use crate::addon::Transform;
use crate::limits::HELD_READ_BYTES;
use crate::record::BodyRecorder;

/// Where a body comes from.
pub(super) type Source<'a> = dyn FnMut(&mut Context<'_>) -> Poll<Result<BodyEvent, SideError>> + 'a;

/// One body's way.
#[derive(Default)]
pub(super) struct BodyWay {
    transforms: Vec<Box<dyn Transform>>,
    /// It is to be collected before any of it is sent.
    hold: Option<BodyRecorder>,
    /// How many bytes were collected.
    collected: u64,
    /// What was held and is sent now, before anything else.
    held: Option<BodyReader>,
    /// Chunks that are ready to be sent.
    ready: VecDeque<Bytes>,
    /// The source has ended, with these trailers.
    ended: Option<Option<Headers>>,
}

/// How collecting went.
pub(super) enum Collected {
    /// It is whole; nothing is left here.
    Whole(Body, Option<Headers>),
    /// It is too long: it streams from here on, beginning with what was held.
    TooLong,
}

impl BodyWay {
    /// Has chunks changed by these, in their order.
    pub(super) fn change_by(&mut self, transforms: Vec<Box<dyn Transform>>) {
        self.transforms = transforms;
    }

    /// Holds up to so many bytes.
    pub(super) fn hold(&mut self, bytes_max: u64) {
        self.hold = Some(BodyRecorder::new(bytes_max));
    }

    /// Whether its chunks are changed.
    pub(super) fn changes(&self) -> bool {
        !self.transforms.is_empty()
    }

    /// Sends this body, and then these trailers, instead of what the source has.
    pub(super) fn send(&mut self, body: Body, trailers: Option<Headers>) {
        self.held = Some(BodyReader::new(body));
        self.ended = Some(trailers);
    }

    /// The next piece to be sent.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Source<'_>,
    ) -> Poll<Result<BodyEvent, SideError>> {
        loop {
            if let Some(held) = &mut self.held {
                if let Some(chunk) = held.next().map_err(SideError::Held)? {
                    return Poll::Ready(Ok(BodyEvent::Data(chunk)));
                }
                self.held = None;
            }
            if let Some(chunk) = self.ready.pop_front() {
                return Poll::Ready(Ok(BodyEvent::Data(chunk)));
            }
            if let Some(trailers) = self.ended.take() {
                return Poll::Ready(Ok(BodyEvent::End(trailers)));
            }
            match ready!(source(cx))? {
                BodyEvent::NeedMore => return Poll::Ready(Ok(BodyEvent::NeedMore)),
                BodyEvent::Data(data) => self.change(data),
                BodyEvent::End(trailers) => {
                    self.finish();
                    self.ended = Some(trailers);
                }
            }
        }
    }

    /// Collects until the body is whole.
    pub(super) fn poll_collect(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Source<'_>,
    ) -> Poll<Result<Collected, SideError>> {
        loop {
            match ready!(self.poll(cx, source))? {
                BodyEvent::NeedMore => return Poll::Pending,
                BodyEvent::Data(data) => {
                    self.collected += data.len() as u64;
                    let Some(hold) = &mut self.hold else { continue };
                    if hold.has_room(data.len()) {
                        hold.push(&data);
                        if hold.has_failed() {
                            let full =
                                io::Error::other("there is no room for it in the folder of temporary files");
                            return Poll::Ready(Err(SideError::Held(full)));
                        }
                        continue;
                    }
                    self.held = Some(BodyReader::new(hold.finish()));
                    self.hold = None;
                    self.ready.push_front(data);
                    return Poll::Ready(Ok(Collected::TooLong));
                }
                BodyEvent::End(trailers) => {
                    let body = self.hold.take().map(|mut hold| hold.finish()).unwrap_or(Body::EMPTY);
                    return Poll::Ready(Ok(Collected::Whole(body, trailers)));
                }
            }
        }
    }

    /// How much was collected so far, in bytes.
    pub(super) const fn collected(&self) -> u64 {
        self.collected
    }

    fn change(&mut self, data: Bytes) {
        let mut chunks = vec![data];
        for transform in &mut self.transforms {
            let mut out = Vec::new();
            chunks.into_iter().for_each(|chunk| transform.chunk(chunk, &mut out));
            chunks = out;
        }
        self.ready.extend(chunks.into_iter().filter(|chunk| !chunk.is_empty()));
    }

    /// What was kept back passes those behind it.
    fn finish(&mut self) {
        let mut chunks = Vec::new();
        for transform in &mut self.transforms {
            let mut out = Vec::new();
            chunks.into_iter().for_each(|chunk| transform.chunk(chunk, &mut out));
            transform.finish(&mut out);
            chunks = out;
        }
        self.ready.extend(chunks.into_iter().filter(|chunk| !chunk.is_empty()));
    }
}

/// Reads a body in pieces of bounded size.
pub(super) struct BodyReader {
    body: Body,
    offset: u64,
}

impl BodyReader {
    pub(super) const fn new(body: Body) -> Self {
        Self { body, offset: 0 }
    }

    /// The next piece; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Bytes>> {
        match &mut self.body {
            Body::Missing | Body::Counted(_) => Ok(None),
            Body::Bytes(bytes) => {
                let piece = bytes.split_to(bytes.len().min(HELD_READ_BYTES));
                Ok((!piece.is_empty()).then_some(piece))
            }
            Body::Stored(stored) => {
                let left = stored.len().saturating_sub(self.offset);
                let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(HELD_READ_BYTES);
                if wanted == 0 {
                    return Ok(None);
                }
                let mut piece = vec![0; wanted];
                let n = stored.read_at(self.offset, &mut piece)?;
                if n == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                piece.truncate(n);
                self.offset += n as u64;
                Ok(Some(piece.into()))
            }
        }
    }
}
