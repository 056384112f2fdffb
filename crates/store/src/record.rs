//! A flow as one record: its state as in a flow file (version 21), without what lies in records of its own.
//!
//! Bodies that are not small and certificates are taken out, so that equal ones are kept once and a body is read only when
//! somebody asks for it; connections that several flows have are, too. The record begins with its version and a list that says where
//! each of these parts lies.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use flowgate_filter::Filter;
use flowgate_flow::{Body, Flow, FlowId, FlowKind, RawFlow, Timestamp};
use flowgate_formats::{Connections, FlowWriter, HeadsReader};

use crate::body_reader::BodyReader;
use crate::body_writer::BodyWriter;
use crate::error::StoreError;
use crate::exchange;
use crate::limits::{BUFFER_KEPT_BYTES_MAX, BUFFERS_RETURNED_MAX, KNOWN_CHAINS_MAX, KNOWN_CONNECTIONS_MAX};
use crate::prepared::{self, Form, Prepared, is_large};
use crate::segment::{BodyRef, RecordKind, SegmentError};
use crate::texts::Needle;

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

/// Writes flows as records; keeps its memory from one to the next.
#[derive(Debug, Default)]
pub(crate) struct RecordWriter {
    writer: FlowWriter,
    parts: Vec<u8>,
    chains: KnownChains,
    connections: KnownConnections,
    /// Memory of flows that were written.
    written: Vec<Vec<u8>>,
    /// What [`BodyWriter::losses`] said when something was written here last.
    losses: u64,
}

impl RecordWriter {
    /// Appends the flow's parts and its record, all to one file; says where the record lies.
    pub(crate) fn append(
        &mut self,
        flow: Prepared,
        kind: RecordKind,
        bodies: &mut BodyWriter,
    ) -> Result<BodyRef, StoreError> {
        bodies.roll()?;
        if std::mem::replace(&mut self.losses, bodies.losses()) != bodies.losses() {
            // It may be one of those that are lost.
            self.chains.0.clear();
            self.connections.0.clear();
        }
        match flow.0 {
            Form::Whole(mut flow) => {
                let parts = self.take_parts(&mut flow, bodies)?;
                bodies.append_flow(kind, |record| {
                    record.extend_from_slice(&[WHOLE, parts]);
                    record.extend_from_slice(&self.parts);
                    Ok(self.writer.write_flow_but_certificates(record, &flow, STATES_MAX.into())?)
                })
            }
            Form::Encoded(flow) => {
                let connections = self.append_connections(&flow.connections, bodies)?;
                self.parts.clear();
                push_part(&mut self.parts, CONNECTIONS_KEY, &connections);
                let mut parts = 1;
                for (key, body) in [(0, &flow.request_body), (1, &flow.response_body)] {
                    if let Some(body) = body {
                        push_part(&mut self.parts, key, &append_body(body, bodies)?);
                        parts += 1;
                    }
                }
                let appended = bodies.append_flow(kind, |record| {
                    let version = if flow.is_exchange { EXCHANGE } else { WITHOUT_CONNECTIONS };
                    record.extend_from_slice(&[version, parts]);
                    record.extend_from_slice(&self.parts);
                    record.extend_from_slice(&flow.item);
                    Ok(())
                });
                if flow.item.capacity() <= BUFFER_KEPT_BYTES_MAX {
                    self.written.push(flow.item);
                    self.written.last_mut().map(Vec::clear);
                }
                if self.written.len() >= BUFFERS_RETURNED_MAX {
                    self.give_back();
                }
                appended
            }
        }
    }

    /// Gives the memory of flows that were written back to where flows are prepared.
    pub(crate) fn give_back(&mut self) {
        prepared::give_back(&mut self.written);
    }

    /// Appends what of the flow has records of its own, and makes the list of it; says how many there are.
    fn take_parts(&mut self, flow: &mut Flow, bodies: &mut BodyWriter) -> Result<u8, StoreError> {
        self.parts.clear();
        let mut parts = 0;
        let mut state = Some(flow);
        let mut depth = 0;
        while let Some(flow) = state.filter(|_| depth < STATES_MAX) {
            for (number, slot) in (0..).zip(SLOTS) {
                if let Some(at) = take_part(flow, slot, bodies, &mut self.chains)? {
                    push_part(&mut self.parts, depth * SLOTS.len() as u8 + number, &at);
                    parts += 1;
                }
            }
            depth += 1;
            state = flow.backup.as_deref_mut();
        }
        Ok(parts)
    }

    /// Appends connections, unless they lie in the file that is written to.
    fn append_connections(
        &mut self,
        connections: &Connections,
        bodies: &mut BodyWriter,
    ) -> Result<BodyRef, StoreError> {
        let segment = bodies.current().map(|(segment, _)| segment);
        if let Some(at) = self.connections.get(connections).filter(|at| Some(at.segment) == segment) {
            return Ok(at);
        }
        let (client, server) = (Arc::clone(&connections.0), Arc::clone(&connections.1));
        let nothing = FlowKind::Tcp(RawFlow::default());
        let mut carrier = Flow::new(FlowId::Uuid(0), client, server, nothing, Timestamp(0.0));
        let parts = self.take_parts(&mut carrier, bodies)?;
        let mut record = vec![WHOLE, parts];
        record.extend_from_slice(&self.parts);
        self.writer.write_flow_but_certificates(&mut record, &carrier, STATES_MAX.into())?;
        let at = bodies.append_part(&record)?;
        self.connections.insert(connections, at);
        Ok(at)
    }
}

/// Where connections lie, by where they are in memory. They are kept, so that nothing else can come to be there.
#[derive(Debug, Default)]
struct KnownConnections(HashMap<(usize, usize), (Connections, BodyRef)>);

impl KnownConnections {
    fn place((client, server): &Connections) -> (usize, usize) {
        (Arc::as_ptr(client).addr(), Arc::as_ptr(server).addr())
    }

    fn get(&self, connections: &Connections) -> Option<BodyRef> {
        self.0.get(&Self::place(connections)).map(|(_, at)| *at)
    }

    fn insert(&mut self, connections: &Connections, at: BodyRef) {
        if self.0.len() >= KNOWN_CONNECTIONS_MAX {
            // Those that nobody else has any more are of no use.
            self.0.retain(|_, ((client, _), _)| Arc::strong_count(client) > 1);
            if self.0.len() > KNOWN_CONNECTIONS_MAX / 2 {
                self.0.clear();
            }
        }
        self.0.insert(Self::place(connections), (connections.clone(), at));
    }
}

/// Where the certificates of connections lie. All flows of a connection have the same ones, in the same memory: so those that were
/// written already are known without a look at them.
#[derive(Debug, Default)]
struct KnownChains(HashMap<usize, (Vec<Bytes>, BodyRef)>);

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
    if needle.may_be_in(parts.item) || needle.may_be_encoded(parts.item) {
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

fn push_part(record: &mut Vec<u8>, key: u8, at: &BodyRef) {
    record.push(key);
    record.extend_from_slice(&at.segment.to_le_bytes());
    record.extend_from_slice(&at.offset.to_le_bytes());
    record.extend_from_slice(&at.len.to_le_bytes());
    record.extend_from_slice(&at.hash);
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

/// Appends a part of the flow, if there is one worth a record of its own. A body is taken out; certificates stay, and are not written
/// with the flow.
fn take_part(
    flow: &mut Flow,
    slot: Slot,
    bodies: &mut BodyWriter,
    chains: &mut KnownChains,
) -> Result<Option<BodyRef>, StoreError> {
    let http = match &mut flow.kind {
        FlowKind::Http(http) => Some(http),
        _ => None,
    };
    let body = match slot {
        Slot::RequestBody => http.map(|http| &mut http.request.body),
        Slot::ResponseBody => http.and_then(|http| http.response.as_mut()).map(|response| &mut response.body),
        Slot::ClientCertificates => return chains.append(&flow.client.connection.certificate_list, bodies),
        Slot::ServerCertificates => return chains.append(&flow.server.connection.certificate_list, bodies),
        Slot::Leaf => return chains.append(flow.client.leaf.as_slice(), bodies),
    };
    let Some(body) = body.filter(|body| is_large(body)) else { return Ok(None) };
    let at = append_body(body, bodies)?;
    *body = Body::Missing;
    Ok(Some(at))
}

fn append_body(body: &Body, bodies: &mut BodyWriter) -> Result<BodyRef, StoreError> {
    Ok(match body {
        Body::Bytes(bytes) => bodies.append_part(bytes)?,
        _ => bodies.append_stored(body)?,
    })
}

impl KnownChains {
    /// Appends certificates, unless they lie in the file that is written to; nothing if there are none.
    fn append(&mut self, chain: &[Bytes], bodies: &mut BodyWriter) -> Result<Option<BodyRef>, StoreError> {
        let Some(first) = chain.first() else { return Ok(None) };
        let segment = bodies.current().map(|(segment, _)| segment);
        if let Some((known, at)) = self.0.get(&first.as_ptr().addr())
            && Some(at.segment) == segment
            && known.len() == chain.len()
            && known.iter().zip(chain).all(|(a, b)| std::ptr::eq::<[u8]>(&raw const **a, &raw const **b))
        {
            return Ok(Some(*at));
        }
        let at = append_certificates(chain, bodies)?;
        if self.0.len() >= KNOWN_CHAINS_MAX {
            self.0.clear();
        }
        if let Some(at) = at {
            // Kept, so that nothing else can come to lie there.
            self.0.insert(first.as_ptr().addr(), (chain.to_vec(), at));
        }
        Ok(at)
    }
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

/// Certificates one after the other, each behind its length (4 bytes, little-endian).
fn append_certificates(list: &[Bytes], bodies: &mut BodyWriter) -> Result<Option<BodyRef>, StoreError> {
    if list.is_empty() {
        return Ok(None);
    }
    let mut all = Vec::with_capacity(list.iter().map(|der| der.len() + 4).sum());
    for der in list {
        // A certificate of 4 GiB cannot be: TLS bounds it.
        let Ok(len) = u32::try_from(der.len()) else { return Ok(None) };
        all.extend_from_slice(&len.to_le_bytes());
        all.extend_from_slice(der);
    }
    Ok(Some(bodies.append_part(&all)?))
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

    use super::*;

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
