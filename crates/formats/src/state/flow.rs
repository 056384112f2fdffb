//! What every flow has.

use std::sync::Arc;

use bytes::Bytes;
use flowgate_flow::{ClientConnection, Flow, FlowError, FlowId, FlowKind, Replay, ServerConnection};

use super::fields::{Fields, StateError, bool, optional, text, timestamp};
use super::{KnownConnections, beyond, connection, dns, http, metadata, raw};
use crate::tnetstring::{Encoder, Limits, Value, WriteError};
use crate::version::{VERSION, require_current};

/// The connections of a flow, where they do not stand with it.
pub type Connections = (Arc<ClientConnection>, Arc<ServerConnection>);

/// What of a flow is not written, for who keeps it elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Elsewhere {
    /// The certificates of so many of its states: the flow, what it was before an edit, and so on.
    pub(crate) certificates: usize,
    /// The connections of the flow itself, and all that is said of them.
    pub(crate) connections: bool,
}

/// Reads a flow from its value. `item` is the memory the value borrows from; large contents stay in it. Connections that are `given`
/// are not looked for.
pub(crate) fn read(value: Value<'_>, item: &Bytes, given: Option<&Connections>) -> Result<Flow, StateError> {
    let mut fields = Fields::new(value)?;
    require_current(&mut fields)?;
    let kind = fields.take("type", text)?;
    let kind = match kind.as_str() {
        "http" => FlowKind::Http(Box::new(http::read(&mut fields, item)?)),
        "tcp" => FlowKind::Tcp(raw::read(&mut fields, item)?),
        "udp" => FlowKind::Udp(raw::read(&mut fields, item)?),
        "dns" => FlowKind::Dns(Box::new(dns::read(&mut fields)?)),
        _ => return Err(StateError::Unknown { key: "type".to_owned(), text: kind }),
    };
    let (client, server) = match given {
        Some((client, server)) => (Arc::clone(client), Arc::clone(server)),
        None => (
            Arc::new(fields.take("client_conn", connection::read_client)?),
            Arc::new(fields.take("server_conn", connection::read_server)?),
        ),
    };
    let mut flow = Flow {
        id: fields.take("id", read_id)?,
        error: fields.take("error", optional(error))?,
        client,
        server,
        kind,
        intercepted: fields.take("intercepted", bool)?,
        replay: fields.take("is_replay", optional(replay))?,
        marked: fields.take("marked", text)?,
        metadata: fields.take("metadata", metadata::read)?,
        comment: fields.take("comment", text)?,
        created: fields.take("timestamp_created", timestamp)?,
        // mitmproxy itself does without.
        backup: optional(|value| read(value, item, None))(fields.take_if_there("backup"))
            .map_err(|error| error.under("backup"))?
            .map(Box::new),
    };
    beyond::restore(&mut flow);
    Ok(flow)
}

/// Puts a flow into the encoder, which must be empty, without what is elsewhere.
pub(crate) fn write(
    flow: &Flow,
    elsewhere: Elsewhere,
    known: &mut KnownConnections,
    to: &mut Encoder,
) -> Result<(), WriteError> {
    check_nesting(flow)?;
    put(flow, elsewhere, known, to)
}

fn put(
    flow: &Flow,
    elsewhere: Elsewhere,
    known: &mut KnownConnections,
    to: &mut Encoder,
) -> Result<(), WriteError> {
    let beyond = beyond::of(flow, !elsewhere.connections);
    let certificates = elsewhere.certificates == 0;
    let mut outcome = Ok(());
    to.map(|to| {
        to.int(VERSION).named("version");
        let kind = match &flow.kind {
            FlowKind::Http(_) => "http",
            FlowKind::Tcp(_) => "tcp",
            FlowKind::Udp(_) => "udp",
            FlowKind::Dns(_) => "dns",
            _ => {
                outcome = Err(WriteError::FlowKind);
                return;
            }
        };
        to.text(kind).named("type");
        put_id(&flow.id, to).named("id");
        match &flow.error {
            None => to.none(),
            Some(error) => to.map(|to| {
                to.text(&error.message).named("msg");
                to.float(error.timestamp.0).named("timestamp");
            }),
        }
        .named("error");
        if !elsewhere.connections {
            known.clients.put(&flow.client, certificates, to, |to| {
                connection::put_client(&flow.client, certificates, &beyond, to);
            });
            to.named("client_conn");
            known.servers.put(&flow.server, certificates, to, |to| {
                connection::put_server(&flow.server, certificates, &beyond, to);
            });
            to.named("server_conn");
        }
        to.bool(flow.intercepted).named("intercepted");
        match flow.replay {
            None => to.none(),
            Some(Replay::Request) => to.text("request"),
            Some(Replay::Response) => to.text("response"),
        }
        .named("is_replay");
        to.text(&flow.marked).named("marked");
        metadata::put(&flow.metadata, &beyond, to);
        to.named("metadata");
        to.text(&flow.comment).named("comment");
        to.float(flow.created.0).named("timestamp_created");
        match &flow.backup {
            None => {
                to.none();
            }
            Some(backup) => {
                let certificates = elsewhere.certificates.saturating_sub(1);
                outcome = put(backup, Elsewhere { certificates, connections: false }, known, to);
            }
        }
        to.named("backup");
        match &flow.kind {
            FlowKind::Http(flow) => http::put(flow, to),
            FlowKind::Tcp(flow) | FlowKind::Udp(flow) => raw::put(flow, to),
            FlowKind::Dns(flow) => dns::put(flow, to),
            _ => {}
        }
    });
    outcome
}

/// Refuses what readers would not follow, ours included.
fn check_nesting(flow: &Flow) -> Result<(), WriteError> {
    let limit = Limits::NESTING_MAX;
    let too_deep = || Err(WriteError::Nesting { limit });
    let mut depth_left = limit;
    let mut next = Some(flow);
    while let Some(flow) = next {
        if depth_left < FLOW_DEPTH || metadata::is_deeper(&flow.metadata, depth_left - 2) {
            return too_deep();
        }
        depth_left -= 1;
        next = flow.backup.as_deref();
    }
    Ok(())
}

/// Lists and maps within each other in a flow without metadata: flow, request, headers, header.
const FLOW_DEPTH: usize = 4;

pub(super) fn read_id(value: Value<'_>) -> Result<FlowId, StateError> {
    text(value).map(|text| text.parse().unwrap_or_else(|never: std::convert::Infallible| match never {}))
}

/// As the id displays, without the detour of formatting.
pub(super) fn put_id<'a>(id: &FlowId, to: &'a mut Encoder) -> &'a mut Encoder {
    match id {
        FlowId::Text(text) => to.text(text),
        FlowId::Uuid(number) => {
            let mut text = [b'-'; 36];
            let mut shift = 128;
            for (at, slot) in text.iter_mut().enumerate() {
                if !matches!(at, 8 | 13 | 18 | 23) {
                    shift -= 4;
                    let digit = (number >> shift) as u8 & 0xf;
                    *slot = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
                }
            }
            to.text(str::from_utf8(&text).unwrap_or_default())
        }
    }
}

pub(crate) fn error(value: Value<'_>) -> Result<FlowError, StateError> {
    let mut fields = Fields::new(value)?;
    Ok(FlowError {
        message: fields.take("msg", text)?,
        timestamp: fields.take("timestamp", timestamp)?,
        side: None,
        phase: None,
    })
}

pub(crate) fn replay(value: Value<'_>) -> Result<Replay, StateError> {
    let text = text(value)?;
    match text.as_str() {
        "request" => Ok(Replay::Request),
        "response" => Ok(Replay::Response),
        _ => Err(StateError::Unknown { key: String::new(), text }),
    }
}
