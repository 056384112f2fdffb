//! Types that were taken lightly: older programs wrote text for bytes and bytes for text in many places, and mitmproxy
//! converts them as it loads a flow. The reader of the current version is exact, so they are put right before it.

use super::Map;
use super::entries::{Entries as _, to_bytes, to_text};
use crate::tnetstring::Value;

pub(super) fn settle(flow: &mut Map<'_>) {
    each(flow, &["type", "id", "comment"], to_text);
    if let Some(error) = flow.child("error") {
        each(error, &["msg"], to_text);
    }
    for side in ["client_conn", "server_conn"] {
        if let Some(connection) = flow.child(side) {
            settle_connection(connection);
        }
    }
    if let Some(request) = flow.child("request") {
        each(request, &["host"], to_text);
        each(request, &["method", "scheme", "authority", "path", "http_version", "content"], to_bytes);
    }
    if let Some(response) = flow.child("response") {
        each(response, &["reason", "http_version", "content"], to_bytes);
    }
    if let Some(websocket) = flow.child("websocket") {
        each(websocket, &["close_reason"], to_text);
        each(websocket, &["messages"], |messages| {
            let Value::List(messages) = messages else { return };
            for message in messages {
                if let Value::List(parts) = message
                    && let Some(content) = parts.get_mut(2)
                {
                    to_bytes(content);
                }
            }
        });
    }
}

fn settle_connection(connection: &mut Map<'_>) {
    each(connection, &["id", "sni", "cipher", "tls_version", "error"], to_text);
    each(connection, &["alpn", "mitmcert"], to_bytes);
    for key in ["alpn_offers", "certificate_list"] {
        each(connection, &[key], |list| each_item(list, to_bytes));
    }
    each(connection, &["cipher_list"], |list| each_item(list, to_text));
    each(connection, &["peername", "sockname", "address"], |address| {
        let Value::List(parts) = address else { return };
        if let Some(host) = parts.first_mut() {
            to_text(host);
        }
    });
    // Of an address, unlike of a socket, IPv6 has no more parts than others.
    each(connection, &["address"], |address| {
        if let Value::List(parts) = address {
            parts.truncate(2);
        }
    });
    // Not known is nothing, not an empty name.
    each(connection, &["sni"], |sni| {
        if matches!(sni, Value::Bool(_)) {
            *sni = Value::None;
        }
    });
}

fn each<'a>(map: &mut Map<'a>, keys: &[&'static str], change: impl Fn(&mut Value<'a>)) {
    for key in keys {
        if let Some(mut value) = map.take(key) {
            change(&mut value);
            map.put(key, value);
        }
    }
}

fn each_item<'a>(list: &mut Value<'a>, change: impl Fn(&mut Value<'a>)) {
    if let Value::List(items) = list {
        items.iter_mut().for_each(change);
    }
}
