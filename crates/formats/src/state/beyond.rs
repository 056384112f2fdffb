//! What our flows have beyond mitmproxy's: it goes into the metadata under keys of our own.
//!
//! mitmproxy refuses a whole file for one mode, TLS version or proxy scheme that it does not know, so these are judged by
//! its rules (12.2); where it would refuse, the usual place holds a harmless value and the metadata the true one. Reading
//! puts everything back and takes the keys away again. They are reserved: metadata that others put there is not written.

use std::sync::Arc;

use flowgate_flow::{
    Body, Fingerprints, Flow, FlowKind, Http2Beginning, MetadataValue, Phase, Priority, PseudoField,
    PseudoOrder, Request, Side, Via,
};

use super::connection::{put_via, read_via};
use crate::tnetstring::{Encoder, Value};

/// What of one flow has no place of its own.
#[derive(Default)]
pub(super) struct Beyond<'a> {
    side: Option<Side>,
    phase: Option<Phase>,
    pub(super) mode: Option<&'a str>,
    pub(super) client_tls_version: Option<&'a str>,
    pub(super) server_tls_version: Option<&'a str>,
    fingerprints: Option<&'a Fingerprints>,
    pub(super) via: Option<&'a Via>,
    client_http2: Option<&'a Http2Beginning>,
    server_http2: Option<&'a Http2Beginning>,
    pseudo_order: Option<&'a PseudoOrder>,
    priority: Option<Priority>,
    request_bytes: Option<i64>,
    response_bytes: Option<i64>,
}

/// Of its connections nothing unless they are written, too.
pub(super) fn of(flow: &Flow, with_connections: bool) -> Beyond<'_> {
    let (request, response) = match &flow.kind {
        FlowKind::Http(flow) => (Some(&flow.request), flow.response.as_ref()),
        _ => (None, None),
    };
    let pseudo = request.map(|request| &request.pseudo);
    let beyond = Beyond {
        side: flow.error.as_ref().and_then(|error| error.side),
        phase: flow.error.as_ref().and_then(|error| error.phase),
        request_bytes: request.and_then(|request| counted(&request.body)),
        response_bytes: response.and_then(|response| counted(&response.body)),
        pseudo_order: pseudo.map(|pseudo| &pseudo.order).filter(|order| **order != PseudoOrder::default()),
        priority: pseudo.and_then(|pseudo| pseudo.priority),
        ..Beyond::default()
    };
    if !with_connections {
        return beyond;
    }
    let (client, server) = (&flow.client.connection, &flow.server.connection);
    let unknown = |version: &&str| !TLS_VERSIONS.contains(version);
    Beyond {
        mode: Some(flow.client.mode.as_str()).filter(|mode| !mode_loads(mode)),
        client_tls_version: client.tls_version.as_deref().filter(unknown),
        server_tls_version: server.tls_version.as_deref().filter(unknown),
        fingerprints: flow.client.fingerprints.as_ref(),
        client_http2: client.http2.as_deref(),
        server_http2: server.http2.as_deref(),
        via: flow.server.via.as_ref().filter(|via| !SCHEMES.contains(&via.scheme.as_str())),
        ..beyond
    }
}

/// Whether metadata under this key is ours.
pub(super) fn is_own_key(key: &str) -> bool {
    key.starts_with(PREFIX) && OWN_KEYS.contains(&key)
}

impl Beyond<'_> {
    /// Puts entries of a map.
    pub(super) fn put(&self, to: &mut Encoder) {
        if let Some(side) = self.side {
            to.display(side).named(ERROR_SIDE);
        }
        if let Some(phase) = self.phase {
            to.display(phase).named(ERROR_PHASE);
        }
        if let Some(mode) = self.mode {
            to.text(mode).named(CLIENT_MODE);
        }
        if let Some(version) = self.client_tls_version {
            to.text(version).named(CLIENT_TLS_VERSION);
        }
        if let Some(version) = self.server_tls_version {
            to.text(version).named(SERVER_TLS_VERSION);
        }
        if let Some(Fingerprints { ja3, ja4 }) = self.fingerprints {
            to.text(ja3).named(CLIENT_JA3);
            to.text(ja4).named(CLIENT_JA4);
        }
        for (http2, key) in [(self.client_http2, CLIENT_HTTP2), (self.server_http2, SERVER_HTTP2)] {
            if let Some(http2) = http2 {
                to.display(http2).named(key);
            }
        }
        if let Some(order) = self.pseudo_order {
            to.text(&names(order)).named(REQUEST_PSEUDO_ORDER);
        }
        if let Some(priority) = self.priority {
            to.display(priority).named(REQUEST_PRIORITY);
        }
        if let Some(via) = self.via {
            put_via(to, via).named(SERVER_VIA);
        }
        if let Some(bytes) = self.request_bytes {
            to.int(bytes).named(REQUEST_BYTES);
        }
        if let Some(bytes) = self.response_bytes {
            to.int(bytes).named(RESPONSE_BYTES);
        }
    }
}

/// Takes our entries out of a flow's metadata and puts what they say in its place.
pub(super) fn restore(flow: &mut Flow) {
    if !flow.metadata.iter().any(|(key, _)| is_own_key(key)) {
        return;
    }
    let (own, others) = std::mem::take(&mut flow.metadata).into_iter().partition(|(key, _)| is_own_key(key));
    flow.metadata = others;
    for (key, value) in own {
        match (key.as_str(), value) {
            (ERROR_SIDE, MetadataValue::Text(text)) => {
                if let Some(error) = &mut flow.error {
                    error.side = SIDES.into_iter().find(|side| side.to_string() == text);
                }
            }
            (ERROR_PHASE, MetadataValue::Text(text)) => {
                if let Some(error) = &mut flow.error {
                    error.phase = PHASES.into_iter().find(|phase| phase.to_string() == text);
                }
            }
            (CLIENT_MODE, MetadataValue::Text(text)) => Arc::make_mut(&mut flow.client).mode = text,
            (CLIENT_TLS_VERSION, MetadataValue::Text(text)) => {
                Arc::make_mut(&mut flow.client).connection.tls_version = Some(text);
            }
            (SERVER_TLS_VERSION, MetadataValue::Text(text)) => {
                Arc::make_mut(&mut flow.server).connection.tls_version = Some(text);
            }
            (CLIENT_JA3, MetadataValue::Text(text)) => fingerprints(flow).ja3 = text,
            (CLIENT_JA4, MetadataValue::Text(text)) => fingerprints(flow).ja4 = text,
            (CLIENT_HTTP2, MetadataValue::Text(text)) => {
                Arc::make_mut(&mut flow.client).connection.http2 = text.parse().ok().map(Box::new);
            }
            (SERVER_HTTP2, MetadataValue::Text(text)) => {
                Arc::make_mut(&mut flow.server).connection.http2 = text.parse().ok().map(Box::new);
            }
            (REQUEST_PSEUDO_ORDER, MetadataValue::Text(text)) => {
                if let (Some(request), Some(order)) = (request(flow), order(&text)) {
                    request.pseudo.order = order;
                }
            }
            (REQUEST_PRIORITY, MetadataValue::Text(text)) => {
                if let Some(request) = request(flow) {
                    request.pseudo.priority = text.parse().ok();
                }
            }
            (SERVER_VIA, MetadataValue::List(parts)) => {
                if let Some(via) = via(&parts) {
                    Arc::make_mut(&mut flow.server).via = Some(via);
                }
            }
            (REQUEST_BYTES, MetadataValue::Int(bytes)) => {
                if let Some(request) = request(flow) {
                    count(&mut request.body, bytes);
                }
            }
            (RESPONSE_BYTES, MetadataValue::Int(bytes)) => {
                if let FlowKind::Http(flow) = &mut flow.kind
                    && let Some(response) = &mut flow.response
                {
                    count(&mut response.body, bytes);
                }
            }
            // Someone else's idea of our keys.
            _ => {}
        }
    }
}

const PREFIX: &str = "flowgate.";
const ERROR_SIDE: &str = "flowgate.error.side";
const ERROR_PHASE: &str = "flowgate.error.phase";
const CLIENT_MODE: &str = "flowgate.client.mode";
const CLIENT_TLS_VERSION: &str = "flowgate.client.tls_version";
const SERVER_TLS_VERSION: &str = "flowgate.server.tls_version";
const CLIENT_JA3: &str = "flowgate.client.ja3";
const CLIENT_JA4: &str = "flowgate.client.ja4";
const SERVER_VIA: &str = "flowgate.server.via";
const CLIENT_HTTP2: &str = "flowgate.client.http2";
const SERVER_HTTP2: &str = "flowgate.server.http2";
const REQUEST_PSEUDO_ORDER: &str = "flowgate.request.pseudo_order";
const REQUEST_PRIORITY: &str = "flowgate.request.priority";
const REQUEST_BYTES: &str = "flowgate.request.body_bytes";
const RESPONSE_BYTES: &str = "flowgate.response.body_bytes";
const OWN_KEYS: [&str; 14] = [
    ERROR_SIDE,
    ERROR_PHASE,
    CLIENT_MODE,
    CLIENT_TLS_VERSION,
    SERVER_TLS_VERSION,
    CLIENT_JA3,
    CLIENT_JA4,
    SERVER_VIA,
    CLIENT_HTTP2,
    SERVER_HTTP2,
    REQUEST_PSEUDO_ORDER,
    REQUEST_PRIORITY,
    REQUEST_BYTES,
    RESPONSE_BYTES,
];

const SIDES: [Side; 3] = [Side::Client, Side::Server, Side::Proxy];
const PHASES: [Phase; 5] = [Phase::Resolve, Phase::Connect, Phase::Tls, Phase::Head, Phase::Body];

/// What mitmproxy takes for a TLS version.
const TLS_VERSIONS: [&str; 9] =
    ["SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "DTLSv0.9", "DTLSv1", "DTLSv1.2", "QUICv1"];
/// What mitmproxy takes for the scheme of a server or proxy.
const SCHEMES: [&str; 9] = ["http", "https", "http3", "tls", "dtls", "tcp", "udp", "dns", "quic"];
/// Those of them that need no port.
const SCHEMES_WITH_PORT: [&str; 5] = ["http", "https", "quic", "http3", "dns"];

/// Whether mitmproxy parses this mode: `name[:data][@[host:]port]`.
fn mode_loads(spec: &str) -> bool {
    let (head, listen) = match spec.rsplit_once('@') {
        Some((head, listen)) if !head.is_empty() => (head, listen),
        _ => (spec, ""),
    };
    let listen_port = listen.rsplit_once(':').map_or(listen, |(_, port)| port);
    if !listen.is_empty() && listen_port.parse::<u16>().is_err() {
        return false;
    }
    let (name, data) = head.split_once(':').unwrap_or((head, ""));
    match name.to_ascii_lowercase().as_str() {
        "regular" | "transparent" | "socks5" | "dns" => data.is_empty(),
        "upstream" => server_loads(data, "http", &["http", "https"]),
        "reverse" => server_loads(data, "https", &SCHEMES),
        "wireguard" => true,
        "tun" => true,
        // A list of process names and ids, each perhaps with a `!` before it.
        "local" => {
            data.is_empty() || data.split(',').all(|part| !part.trim_start_matches('!').trim().is_empty())
        }
        _ => false,
    }
}

/// Whether mitmproxy parses this server: `[scheme://]host[:port][/]`.
fn server_loads(spec: &str, scheme_default: &str, schemes: &[&str]) -> bool {
    let (scheme, rest) = spec.split_once("://").unwrap_or((scheme_default, spec));
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, port),
        Some(_) => return false,
        None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
    };
    let port_loads = match port.strip_prefix(':') {
        None => port.is_empty() && SCHEMES_WITH_PORT.contains(&scheme),
        Some(port) => port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok(),
    };
    schemes.contains(&scheme) && port_loads && host_loads(host)
}

/// Names of labels up to 63 bytes, IPv4 among them; names beyond ASCII are not tried.
fn host_loads(host: &str) -> bool {
    let label_loads = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    host.contains(':')
        || (host.len() <= 255 && host.strip_suffix('.').unwrap_or(host).split('.').all(label_loads))
}

/// The size of a body of which nothing else is known.
fn counted(body: &Body) -> Option<i64> {
    let Body::Counted(bytes) = body else { return None };
    Some(i64::try_from(*bytes).unwrap_or(i64::MAX))
}

fn request(flow: &mut Flow) -> Option<&mut Request> {
    match &mut flow.kind {
        FlowKind::Http(flow) => Some(&mut flow.request),
        _ => None,
    }
}

/// Names of pseudo-header fields in their order, without colons: `method,path,scheme,authority,protocol`.
fn names(order: &PseudoOrder) -> String {
    let names: Vec<_> = order.iter().map(|field| field.name().trim_start_matches(':')).collect();
    names.join(",")
}

/// Reads what [`names`] made.
fn order(text: &str) -> Option<PseudoOrder> {
    let field = |name: &str| PseudoField::from_name(format!(":{name}").as_bytes());
    let came: Vec<_> = text.split(',').map(field).collect::<Option<_>>()?;
    Some(PseudoOrder::new(&came))
}

fn fingerprints(flow: &mut Flow) -> &mut Fingerprints {
    let none = || Fingerprints { ja3: String::new(), ja4: String::new() };
    Arc::make_mut(&mut flow.client).fingerprints.get_or_insert_with(none)
}

fn count(body: &mut Body, bytes: i64) {
    if let (Body::Missing, Ok(bytes)) = (&*body, u64::try_from(bytes)) {
        *body = Body::Counted(bytes);
    }
}

fn via(parts: &[MetadataValue]) -> Option<Via> {
    let [MetadataValue::Text(scheme), MetadataValue::List(address)] = parts else { return None };
    let [MetadataValue::Text(host), MetadataValue::Int(port)] = address.as_slice() else { return None };
    let address = Value::List(vec![Value::Text(host.as_str().into()), Value::Int(*port)]);
    read_via(Value::List(vec![Value::Text(scheme.as_str().into()), address])).ok()
}
