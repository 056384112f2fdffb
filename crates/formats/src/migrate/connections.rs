//! The steps that change connections.
//!
//! Until version 18 a server's `via` was a connection of its own; it is dropped on the way, so no step looks at it.

use super::Map;
use super::entries::{Entries as _, holds, to_text};
use crate::ids::IdHash;
use crate::tnetstring::Value;

const SIDES: [&str; 2] = ["client_conn", "server_conn"];

pub(super) fn name_as_0_18(flow: &mut Map<'_>) {
    if let Some(server) = flow.child("server_conn") {
        server.rename("peer_address", "ip_address");
    }
}

/// `{address: [host, port], use_ipv6: false}` is `[host, port]`.
pub(super) fn unwrap_addresses(flow: &mut Map<'_>) {
    for side in SIDES {
        let Some(connection) = flow.child(side) else { continue };
        for key in ["address", "source_address", "ip_address"] {
            if let Some(inner) = connection.child(key).and_then(|wrapped| wrapped.take("address")) {
                connection.put(key, inner);
            }
        }
    }
}

pub(super) fn add_mitmcert(flow: &mut Map<'_>) {
    if let Some(client) = flow.child("client_conn") {
        client.put("mitmcert", Value::None);
    }
    if let Some(server) = flow.child("server_conn") {
        server.put("tls_version", Value::None);
    }
}

/// Flows of one connection get the same id, and the same one each time that a file is read.
pub(super) fn add_ids(flow: &mut Map<'_>) {
    for (side, own) in [("client_conn", "address"), ("server_conn", "source_address")] {
        let Some(connection) = flow.child(side) else { continue };
        let mut hash = IdHash::of(side);
        for key in ["timestamp_start", own] {
            mix_in(connection.value(key).unwrap_or(&Value::None), &mut hash);
        }
        connection.put("id", Value::Text(hash.id().to_string().into()));
    }
}

pub(super) fn say_tls_for_ssl(flow: &mut Map<'_>) {
    for side in SIDES {
        let Some(connection) = flow.child(side) else { continue };
        connection.rename("ssl_established", "tls_established");
        connection.rename("timestamp_ssl_setup", "timestamp_tls_setup");
    }
}

pub(super) fn add_offers(flow: &mut Map<'_>) {
    if let Some(client) = flow.child("client_conn") {
        client.put("sockname", Value::List(vec![Value::Text("".into()), Value::Int(0)]));
        list_certificate(client, "clientcert");
        offer_what_was_taken(client);
    }
    if let Some(server) = flow.child("server_conn") {
        list_certificate(server, "cert");
        server.put("cipher_name", Value::None);
        server.put("via2", Value::None);
        offer_what_was_taken(server);
    }
}

fn list_certificate(connection: &mut Map<'_>, key: &str) {
    let certificate = connection.take(key).filter(|certificate| holds(Some(certificate)));
    connection.put("certificate_list", Value::List(certificate.into_iter().collect()));
}

fn offer_what_was_taken(connection: &mut Map<'_>) {
    connection.put("error", Value::None);
    let tls = holds(connection.value("tls_established"));
    connection.put("tls", Value::Bool(tls));
    for (taken, offered) in [("alpn_proto_negotiated", "alpn_offers"), ("cipher_name", "cipher_list")] {
        let taken = connection.value(taken).filter(|taken| holds(Some(taken))).cloned();
        connection.put(offered, Value::List(taken.into_iter().collect()));
    }
}

pub(super) fn name_alpn(flow: &mut Map<'_>) {
    for side in SIDES {
        let Some(connection) = flow.child(side) else { continue };
        connection.rename("alpn_proto_negotiated", "alpn");
        for key in ["alpn_offers", "cipher_list"] {
            if !holds(connection.value(key)) {
                connection.put(key, Value::List(Vec::new()));
            }
        }
    }
}

pub(super) fn add_mode(flow: &mut Map<'_>) {
    if let Some(client) = flow.child("client_conn") {
        client.put("proxy_mode", Value::Text("regular".into()));
    }
}

pub(super) fn name_as_19(flow: &mut Map<'_>) {
    if let Some(client) = flow.child("client_conn") {
        client.rename("address", "peername");
        if !holds(client.value("timestamp_start")) {
            client.put("timestamp_start", Value::Float(0.0));
        }
    }
    if let Some(server) = flow.child("server_conn") {
        server.rename("ip_address", "peername");
        server.rename("source_address", "sockname");
        let via = server.take("via2").unwrap_or(Value::None);
        server.put("via", via);
        if server.value("sni") == Some(&Value::Bool(true)) {
            let host = match server.value("address") {
                Some(Value::List(parts)) => parts.first().cloned(),
                _ => None,
            };
            server.put("sni", host.unwrap_or(Value::None));
        }
    }
    for side in SIDES {
        let Some(connection) = flow.child(side) else { continue };
        connection.rename("cipher_name", "cipher");
        if connection.value("transport_protocol").is_none() {
            connection.put("transport_protocol", Value::Text("tcp".into()));
        }
    }
}

pub(super) fn number_quic(flow: &mut Map<'_>) {
    for side in SIDES {
        let Some(connection) = flow.child(side) else { continue };
        if connection.value("tls_version") == Some(&Value::Text("QUIC".into())) {
            connection.put("tls_version", Value::Text("QUICv1".into()));
        }
    }
}

fn mix_in(value: &Value<'_>, hash: &mut IdHash) {
    match value {
        Value::Float(seconds) => hash.bytes(&seconds.to_bits().to_be_bytes()),
        Value::Int(number) => hash.bytes(&number.to_be_bytes()),
        Value::List(parts) => parts.iter().for_each(|part| mix_in(part, hash)),
        text => {
            let mut text = text.clone();
            to_text(&mut text);
            if let Value::Text(text) = text {
                hash.bytes(text.as_bytes());
            }
        }
    }
}
