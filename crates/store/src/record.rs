//! A flow as one record: its state as in a flow file (version 21), without what lies in records of its own.
//!
//! Bodies that are not small and certificates are taken out, so that equal ones are kept once and a body is read only when
//! somebody asks for it; connections that several flows have are, too. The record begins with its version and a list that says where
//! each of these parts lies.

mod write;

use std::sync::Arc;

use bytes::Bytes;
use flowgate_filter::Filter;
use flowgate_flow::{Body, Flow, FlowKind};
use flowgate_formats::{Connections, HeadsReader};

use crate::body_reader::BodyReader;
use crate::error::StoreError;
use crate::exchange;
use crate::segment::{BodyRef, SegmentError};
use crate::texts::Needle;

pub(crate) use write::RecordWriter;

/// A record of a flow with all it has.
const WHOLE: u8 = 1;

/// A record of a flow whose connections lie in a part of their own, which many flows refer to.
const WITHOUT_CONNECTIONS: u8 = 2;

/// The same, of an [`exchange`].
const EXCHANGE: u8 = 3;

/// Bytes of one entry in the list of parts.
const PART_BYTES: usize = 1 + 4 + 8 + 8 + 32;

/// How many states of one flow, each the `backup` of the one before, have their parts taken out; later ones stay whole.
const STATES_MAX: u8 = 4;

/// What a part is of its state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Slot {
    RequestBody,
    ResponseBody,
    ClientCertificates,
    ServerCertificates,
    Leaf,
}

impl Slot {
    const fn is_body(self) -> bool {
        matches!(self, Self::RequestBody | Self::ResponseBody)
    }
}

const SLOTS: [Slot; 5] =
    [Slot::RequestBody, Slot::ResponseBody, Slot::ClientCertificates, Slot::ServerCertificates, Slot::Leaf];

/// The key of a part that is no slot: the connections, as a whole record of a flow that has nothing but them.
const CONNECTIONS_KEY: u8 = u8::MAX;

/// Reads the flow of a record. Its bodies are opened, not read, unless they are compressed.
pub(crate) fn read(record: &[u8], bodies: &BodyReader) -> Result<Flow, StoreError> {
    Searchable::read(record, Depth::State, bodies)?.complete(bodies)
}

/// Reads no more than the heads of a record's flow ([`HeadsReader`]); `None` if that cannot be.
pub(crate) fn heads(record: &[u8], reader: &HeadsReader) -> Result<Option<Flow>, StoreError> {
    let parts = Parts::of(record)?;
    if parts.is_exchange {
        return parts.exchange(reader.connections()).map(Some);
    }
    Ok(reader.read(parts.item))
}

/// How much of a flow is read.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Depth {
    /// Its heads ([`HeadsReader`]), or its state if it has none.
    Heads,
    /// All but the parts with records of their own.
    State,
    /// Its bodies, too, though not its certificates.
    Bodies,
}

impl Depth {
    /// What a filter looks at.
    pub(crate) fn of(filter: &Filter) -> Self {
        if filter.reads_heads_only() {
            Self::Heads
        } else if filter.reads_bodies() {
            Self::Bodies
        } else {
            Self::State
        }
    }
}

/// A flow as far as filters look at it: some of its parts are not read yet.
#[derive(Debug)]
pub(crate) struct Searchable {
    flow: Flow,
    missing: Vec<(usize, Slot, BodyRef)>,
}

impl Searchable {
    /// Reads that much of a record, and its state at least.
    pub(crate) fn read(record: &[u8], depth: Depth, bodies: &BodyReader) -> Result<Self, StoreError> {
        Self::of(&Parts::of(record)?, depth, bodies)
    }

    fn of(parts: &Parts<'_>, depth: Depth, bodies: &BodyReader) -> Result<Self, StoreError> {
        let mut read = Self { flow: parts.flow(bodies)?, missing: Vec::new() };
        for part in parts.iter() {
            let (state, slot, at) = part?;
            if slot.is_body() && depth == Depth::Bodies {
                read.put(state, slot, bodies.open(&at)?)?;
            } else {
                read.missing.push((state, slot, at));
            }
        }
        Ok(read)
    }

    /// The flow of a record with bodies that are counted and no more: enough for what a list shows.
    pub(crate) fn outline(record: &[u8], bodies: &BodyReader) -> Result<Flow, StoreError> {
        let parts = Parts::of(record)?;
        let mut read = Self { flow: parts.flow(bodies)?, missing: Vec::new() };
        for part in parts.iter() {
            let (depth, slot, at) = part?;
            if slot.is_body() {
                read.put(depth, slot, Body::Counted(at.len))?;
            }
        }
        Ok(read.flow)
    }

    pub(crate) const fn flow(&self) -> &Flow {
        &self.flow
    }

    /// The whole flow.
    pub(crate) fn complete(mut self, bodies: &BodyReader) -> Result<Flow, StoreError> {
        for (depth, slot, at) in std::mem::take(&mut self.missing) {
            self.put(depth, slot, bodies.open(&at)?)?;
        }
        Ok(self.flow)
    }

    fn put(&mut self, depth: usize, slot: Slot, part: Body) -> Result<(), StoreError> {
        let mut state = &mut self.flow;
        for _ in 0..depth {
            state = state.backup.as_deref_mut().ok_or(StoreError::Decode(None))?;
        }
        put_part(state, slot, part).ok_or(StoreError::Decode(None))
    }
}

/// Whether a text that `needle` finds may stand in the bodies of a record's flow, which is no DNS flow. Costs less than reading the
/// flow, and is never wrong where it says no.
pub(crate) fn may_have(record: &[u8], needle: &Needle, bodies: &BodyReader) -> Result<bool, StoreError> {
    let parts = Parts::of(record)?;
    // Messages and small bodies stand there as they are, unless they are encoded.
    if needle.may_be_of(parts.item) {
        return Ok(true);
    }
    for part in parts.iter() {
        let (depth, slot, at) = part?;
        // What was before an edit is not searched.
        if depth > 0 || !slot.is_body() {
            continue;
        }
        let body = bodies.open(&at)?;
        let whole = body.prefix(NEEDLE_BODY_BYTES_MAX).map_err(SegmentError::from)?.unwrap_or_default();
        if body.len() > Some(NEEDLE_BODY_BYTES_MAX as u64) || needle.may_be_in(&whole) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Larger bodies are searched by the filter itself.
const NEEDLE_BODY_BYTES_MAX: usize = 1024 * 1024;

/// A record, taken apart.
struct Parts<'a> {
    /// Where the flow's connections lie, if not with it.
    connections: Option<BodyRef>,
    list: &'a [u8],
    /// Whether `item` is an [`exchange`], otherwise it is the flow's state.
    is_exchange: bool,
    item: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(record: &'a [u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::Decode(None);
        let ([version, count], rest) = record.split_first_chunk::<2>().ok_or_else(damaged)?;
        let (mut list, item) = rest.split_at_checked(usize::from(*count) * PART_BYTES).ok_or_else(damaged)?;
        let connections = match *version {
            WHOLE => None,
            WITHOUT_CONNECTIONS | EXCHANGE => {
                let (first, others) = list.split_at_checked(PART_BYTES).ok_or_else(damaged)?;
                list = others;
                let part = parse_part(first).filter(|(key, _)| *key == CONNECTIONS_KEY);
                Some(part.ok_or_else(damaged)?.1)
            }
            _ => return Err(damaged()),
        };
        Ok(Self { connections, list, is_exchange: *version == EXCHANGE, item })
    }

    fn flow(&self, bodies: &BodyReader) -> Result<Flow, StoreError> {
        let connections = self.connections.map(|at| connections(&at, bodies)).transpose()?;
        if self.is_exchange {
            return self.exchange(connections.ok_or(StoreError::Decode(None))?);
        }
        flowgate_formats::read_state(self.item, connections.as_ref())
            .map_err(|error| StoreError::Decode(Some(error)))
    }

    fn exchange(&self, connections: Connections) -> Result<Flow, StoreError> {
        exchange::read(&Bytes::copy_from_slice(self.item), connections).ok_or(StoreError::Decode(None))
    }

    /// Of which state each is, what it is of it, and where it lies.
    fn iter(&self) -> impl Iterator<Item = Result<(usize, Slot, BodyRef), StoreError>> {
        self.list.chunks_exact(PART_BYTES).map(|part| {
            let (key, at) = parse_part(part).ok_or(StoreError::Decode(None))?;
            let (depth, number) = (usize::from(key) / SLOTS.len(), usize::from(key) % SLOTS.len());
            Ok((depth, *SLOTS.get(number).ok_or(StoreError::Decode(None))?, at))
        })
    }
}

/// The connections that lie there.
fn connections(at: &BodyRef, bodies: &BodyReader) -> Result<Connections, StoreError> {
    bodies.connections(at, |record| {
        let parts = Parts::of(&record)?;
        // Nobody writes a record that leads to another one, and to itself.
        if parts.connections.is_some() {
            return Err(StoreError::Decode(None));
        }
        let flow = Searchable::of(&parts, Depth::State, bodies)?.complete(bodies)?;
        Ok((flow.client, flow.server))
    })
}

fn parse_part(part: &[u8]) -> Option<(u8, BodyRef)> {
    let ([key], rest) = part.split_first_chunk::<1>()?;
    let (segment, rest) = rest.split_first_chunk::<4>()?;
    let (offset, rest) = rest.split_first_chunk::<8>()?;
    let (len, rest) = rest.split_first_chunk::<8>()?;
    let (hash, _) = rest.split_first_chunk::<32>()?;
    let at = BodyRef {
        segment: u32::from_le_bytes(*segment),
        offset: u64::from_le_bytes(*offset),
        len: u64::from_le_bytes(*len),
        hash: *hash,
    };
    Some((*key, at))
}

/// Gives a flow a part back; `None` if it has no place for it.
fn put_part(flow: &mut Flow, slot: Slot, part: Body) -> Option<()> {
    let certificates = |part: &Body| {
        let len = usize::try_from(part.len()?).ok()?;
        parse_certificates(part.prefix(len).ok()??)
    };
    match slot {
        Slot::RequestBody => {
            let FlowKind::Http(http) = &mut flow.kind else { return None };
            http.request.body = part;
        }
        Slot::ResponseBody => {
            let FlowKind::Http(http) = &mut flow.kind else { return None };
            http.response.as_mut()?.body = part;
        }
        Slot::ClientCertificates => {
            Arc::make_mut(&mut flow.client).connection.certificate_list = certificates(&part)?;
        }
        Slot::ServerCertificates => {
            Arc::make_mut(&mut flow.server).connection.certificate_list = certificates(&part)?;
        }
        Slot::Leaf => Arc::make_mut(&mut flow.client).leaf = certificates(&part)?.pop(),
    }
    Some(())
}

fn parse_certificates(mut all: Bytes) -> Option<Vec<Bytes>> {
    let mut list = Vec::new();
    while !all.is_empty() {
        let (len, _) = all.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        let _ = all.split_to(4);
        if all.len() < len {
            return None;
        }
        list.push(all.split_to(len));
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::write::append_certificates;
    use super::*;
    use crate::body_writer::BodyWriter;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..300), version in 0..4_u8, parts in 0..4_u8) {
            let directory = std::env::temp_dir();
            if let [first, second, ..] = bytes.as_mut_slice() && version > 0 {
                (*first, *second) = (version, parts);
            }
            prop_assert!(read(&bytes, &BodyReader::new(&directory)).is_err());
        }

        #[test]
        fn certificates_come_back(list in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5), cut in 0..40_usize) {
            let list: Vec<Bytes> = list.into_iter().map(Bytes::from).collect();
            let directory = tempfile::tempdir()?;
            let mut bodies = BodyWriter::open(directory.path())?;
            let at = append_certificates(&list, &mut bodies)?;
            bodies.flush()?;
            let at = at.map(|at| BodyReader::new(directory.path()).open(&at));
            let all = at.transpose()?.and_then(|body| body.prefix(9999).ok().flatten()).unwrap_or_default();
            prop_assert_eq!(parse_certificates(all.clone()), Some(list.clone()));
            // A cut never gives other certificates: fewer whole ones, or none.
            if let Some(fewer) = parse_certificates(all.slice(..all.len().saturating_sub(cut + 1))) {
                prop_assert!(list.starts_with(&fewer) && fewer.len() < list.len());
            }
        }
    }
}
