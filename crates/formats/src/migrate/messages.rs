//! The steps that change messages, and what a flow itself has.

use super::Map;
use super::entries::{Entries as _, holds};
use crate::tnetstring::Value;

const HALVES: [&str; 2] = ["request", "response"];

/// `httpversion` was two numbers.
pub(super) fn name_as_0_14(flow: &mut Map<'_>) {
    for half in HALVES {
        let Some(message) = flow.child(half) else { continue };
        if let Some(Value::List(numbers)) = message.take("httpversion") {
            let numbers: Vec<String> = numbers
                .iter()
                .map(|n| if let Value::Int(n) = n { n.to_string() } else { String::new() })
                .collect();
            message
                .put("http_version", Value::Bytes(format!("HTTP/{}", numbers.join(".")).into_bytes().into()));
        }
    }
    if let Some(response) = flow.child("response") {
        response.rename("code", "status_code");
    }
}

pub(super) fn name_as_0_16(flow: &mut Map<'_>) {
    for half in HALVES {
        let Some(message) = flow.child(half) else { continue };
        message.rename("body", "content");
    }
    if let Some(response) = flow.child("response") {
        response.rename("msg", "reason");
    }
}

pub(super) fn add_what_0_19_has(flow: &mut Map<'_>) {
    if let Some(client) = flow.child("client_conn") {
        for key in ["sni", "alpn_proto_negotiated", "cipher_name", "tls_version"] {
            client.put(key, Value::None);
        }
    }
    if let Some(server) = flow.child("server_conn") {
        server.put("alpn_proto_negotiated", Value::None);
    }
    if flow.value("marked").is_none() {
        flow.put("marked", Value::Bool(false));
    }
    flow.put("metadata", Value::Map(Vec::new()));
}

pub(super) fn add_trailers(flow: &mut Map<'_>) {
    for half in HALVES {
        if let Some(message) = flow.child(half) {
            message.put("trailers", Value::None);
        }
    }
}

pub(super) fn add_authority(flow: &mut Map<'_>) {
    let mut replay = Value::None;
    for half in ["response", "request"] {
        let Some(message) = flow.child(half) else { continue };
        if message.take("is_replay").is_some_and(|is_replay| holds(Some(&is_replay))) {
            replay = Value::Text(half.into());
        }
    }
    flow.put("is_replay", replay);
    if let Some(request) = flow.child("request") {
        request.put("authority", Value::Bytes((&b""[..]).into()));
    }
}

/// Only HTTP flows have one, but the key harms no other.
pub(super) fn add_websocket(flow: &mut Map<'_>) {
    if flow.value("websocket").is_none() {
        flow.put("websocket", Value::None);
    }
}

pub(super) fn say_mark_in_words(flow: &mut Map<'_>) {
    let mark = if holds(flow.value("marked")) { ":default:" } else { "" };
    flow.put("marked", Value::Text(mark.into()));
}

/// Besides, flows of some versions had responses without times (mitmproxy issue 4576).
pub(super) fn add_comment(flow: &mut Map<'_>) {
    flow.put("comment", Value::Text("".into()));
    let asked = flow.child("request").and_then(|request| {
        [request.value("timestamp_end"), request.value("timestamp_start")]
            .into_iter()
            .flatten()
            .find_map(seconds)
    });
    let Some(response) = flow.child("response") else { return };
    if let (None | Some(Value::None), Some(asked)) = (response.value("timestamp_start"), asked) {
        response.put("timestamp_start", Value::Float(asked));
        response.put("timestamp_end", Value::Float(asked + 1.0));
    }
}

pub(super) fn say_whether_injected(flow: &mut Map<'_>) {
    let Some(websocket) = flow.child("websocket") else { return };
    if let Some(Value::List(mut messages)) = websocket.take("messages") {
        for message in &mut messages {
            if let Value::List(parts) = message {
                parts.push(Value::Bool(false));
            }
        }
        websocket.put("messages", Value::List(messages));
    }
}

pub(super) fn add_creation_time(flow: &mut Map<'_>) {
    let created = ["request", "client_conn"].into_iter().find_map(|key| {
        let holder = flow.child(key)?;
        // A DNS request has but one time.
        holder.value("timestamp_start").or_else(|| holder.value("timestamp")).and_then(seconds)
    });
    flow.put("timestamp_created", Value::Float(created.unwrap_or_default()));
}

fn seconds(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Float(seconds) => Some(*seconds),
        Value::Int(seconds) => Some(*seconds as f64),
        _ => None,
    }
}
