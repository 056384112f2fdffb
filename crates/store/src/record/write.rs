//! Writing records: what of a flow has records of its own comes first, then its own.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use flowgate_flow::{Body, Flow, FlowId, FlowKind, RawFlow, Timestamp};
use flowgate_formats::{Connections, FlowWriter};

use super::{CONNECTIONS_KEY, EXCHANGE, SLOTS, STATES_MAX, Slot, WHOLE, WITHOUT_CONNECTIONS};
use crate::body_writer::BodyWriter;
use crate::error::StoreError;
use crate::limits::{BUFFER_KEPT_BYTES_MAX, BUFFERS_RETURNED_MAX, KNOWN_CHAINS_MAX, KNOWN_CONNECTIONS_MAX};
use crate::prepared::{self, Form, Prepared, is_large};
use crate::segment::{BodyRef, RecordKind};

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

fn push_part(record: &mut Vec<u8>, key: u8, at: &BodyRef) {
    record.push(key);
    record.extend_from_slice(&at.segment.to_le_bytes());
    record.extend_from_slice(&at.offset.to_le_bytes());
    record.extend_from_slice(&at.len.to_le_bytes());
    record.extend_from_slice(&at.hash);
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

/// Certificates one after the other, each behind its length (4 bytes, little-endian).
pub(super) fn append_certificates(
    list: &[Bytes],
    bodies: &mut BodyWriter,
) -> Result<Option<BodyRef>, StoreError> {
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
