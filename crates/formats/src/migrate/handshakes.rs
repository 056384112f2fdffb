//! WebSockets of versions up to 11, which were two flows: the handshake, and later one with the messages.
//!
//! Now they are one. The handshake is read first, and as a flow of its own since its file may end before the messages come;
//! it is kept for them in a bounded store. So its flow comes twice, as in mitmproxy, the second time with the messages.

use std::cell::OnceCell;
use std::collections::VecDeque;

use bytes::Bytes;

use super::entries::Entries as _;
use super::{Map, WEBSOCKET_STEP, first_step, run};
use crate::tnetstring::{self, Limits, Value};

/// The handshakes whose messages have not come yet, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    items: VecDeque<(String, Bytes)>,
    bytes: usize,
}

impl Handshakes {
    /// The step from 11 to 12: keeps a handshake, makes one flow of messages and their handshake.
    pub(super) fn join<'a>(&mut self, flow: &mut Map<'a>, item: &Bytes, shelf: &'a OnceCell<Bytes>) {
        let Some(metadata) = flow.child("metadata") else { return };
        if let Some(id) = metadata.value("websocket_handshake").and_then(text) {
            let kept = self.take(&id).map(|kept| shelf.get_or_init(|| kept));
            let messages = std::mem::take(flow);
            let handshake = kept.and_then(reread);
            *flow = joined(handshake, messages);
        } else if metadata.value("websocket").is_some()
            && let Some(id) = flow.value("id").and_then(text)
        {
            self.keep(id, item.clone());
        }
    }

    fn keep(&mut self, id: String, item: Bytes) {
        self.bytes += item.len();
        self.items.push_back((id, item));
        while self.bytes > HANDSHAKES_BYTES_MAX || self.items.len() > HANDSHAKES_MAX {
            let Some((_, oldest)) = self.items.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }

    fn take(&mut self, id: &str) -> Option<Bytes> {
        let at = self.items.iter().position(|(kept, _)| kept == id)?;
        let (_, item) = self.items.remove(at)?;
        self.bytes -= item.len();
        Some(item)
    }
}

/// Handshakes that wait for their messages at once; of those beyond, the oldest is given up.
const HANDSHAKES_MAX: usize = 4096;
/// Bytes of their flows.
const HANDSHAKES_BYTES_MAX: usize = 64 << 20;

/// The handshake's flow again, at the version where it is joined.
fn reread(item: &Bytes) -> Option<Map<'_>> {
    let Ok(Value::Map(mut flow)) = tnetstring::parse(item, b'}', 0, &Limits::default()) else { return None };
    let first = first_step(&flow)?;
    run(&mut flow, first..WEBSOCKET_STEP);
    Some(flow)
}

fn joined<'a>(handshake: Option<Map<'a>>, mut messages: Map<'a>) -> Map<'a> {
    let mut flow = handshake.unwrap_or_else(|| without_handshake(&mut messages));
    if let Some(metadata) = flow.child("metadata") {
        metadata.put("duplicated", Value::Text(NOTE.into()));
    }
    // Differs from mitmproxy: an error on the WebSocket is kept.
    if let (None | Some(Value::None), Some(error)) = (flow.value("error"), messages.take("error")) {
        flow.put("error", error);
    }
    let ended = flow.child("server_conn").and_then(|server| server.value("timestamp_end")).cloned();
    let by_client = messages.value("close_sender").and_then(text).is_some_and(|sender| sender == "client");
    let mut take = |key| messages.take(key).unwrap_or(Value::None);
    let websocket = [
        ("messages", take("messages")),
        ("closed_by_client", Value::Bool(by_client)),
        ("close_code", take("close_code")),
        ("close_reason", take("close_reason")),
        ("timestamp_end", ended.unwrap_or(Value::None)),
    ];
    let websocket = websocket.into_iter().map(|(key, value)| (Value::Text(key.into()), value)).collect();
    flow.put("websocket", Value::Map(websocket));
    flow
}

const NOTE: &str =
    "converted from an older flow file, which has the handshake of this WebSocket as a flow of its own";

/// A flow for messages whose handshake is not in the file.
fn without_handshake<'a>(messages: &mut Map<'a>) -> Map<'a> {
    let time = messages.child("client_conn").and_then(|client| client.value("timestamp_start")).cloned();
    let time = time.filter(|time| *time != Value::None).unwrap_or(Value::Float(0.0));
    let bytes = |text: &'static str| Value::Bytes(text.as_bytes().into());
    let request = [
        ("authority", bytes("")),
        ("content", Value::None),
        ("headers", Value::List(Vec::new())),
        ("host", Value::Text("unknown".into())),
        ("http_version", bytes("HTTP/1.1")),
        ("method", bytes("GET")),
        ("path", bytes("/")),
        ("port", Value::Int(80)),
        ("scheme", bytes("http")),
        ("timestamp_start", time.clone()),
        ("timestamp_end", time),
        ("trailers", Value::None),
    ];
    let request = request.into_iter().map(|(key, value)| (Value::Text(key.into()), value)).collect();
    let mut flow = Map::new();
    for key in ["client_conn", "server_conn", "error", "id", "intercepted", "is_replay", "marked", "version"]
    {
        if let Some(value) = messages.take(key) {
            flow.put(key, value);
        }
    }
    flow.put("metadata", Value::Map(Vec::new()));
    flow.put("request", Value::Map(request));
    flow.put("response", Value::None);
    flow.put("type", Value::Text("http".into()));
    flow
}

fn text(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.to_string()),
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}
