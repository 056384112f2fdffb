//! Flows for tests.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use flowgate_flow::{
    Body, ClientConnection, Connection, Flow, FlowId, FlowKind, Headers, HttpFlow, HttpVersion, PseudoFields,
    Request, Response, ServerConnection, Timestamp, Transport,
};

fn connection() -> Connection {
    Connection {
        id: FlowId::from_random(1),
        peername: Some(SocketAddr::from(([127, 0, 0, 1], 50_000))),
        peername_text: None,
        sockname: Some(SocketAddr::from(([127, 0, 0, 1], 8080))),
        sockname_text: None,
        transport: Transport::Tcp,
        error: None,
        tls: false,
        certificate_list: Vec::new(),
        alpn: None,
        alpn_offers: Vec::new(),
        cipher: None,
        cipher_list: Vec::new(),
        tls_version: None,
        sni: None,
        http2: None,
        timestamp_start: None,
        timestamp_tls_setup: None,
        timestamp_end: None,
    }
}

/// A flow of a request such as `GET http://example.com:81/a?b`, without a response.
pub(crate) fn flow(line: &str, headers: &[(&str, &str)]) -> Flow {
    let (method, url) = line.split_once(' ').unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let default = if scheme == "https" { 443 } else { 80 };
    let (host, port) =
        authority.split_once(':').map_or((authority, default), |(host, port)| (host, port.parse().unwrap()));
    let request = Request {
        version: HttpVersion::Http11,
        method: Bytes::copy_from_slice(method.as_bytes()),
        scheme: Bytes::copy_from_slice(scheme.as_bytes()),
        host: host.to_owned(),
        port,
        authority: Bytes::new(),
        path: Bytes::copy_from_slice(path.as_bytes()),
        pseudo: PseudoFields::default(),
        headers: headers.iter().copied().collect(),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: Timestamp(1.0),
        timestamp_end: None,
    };
    let client = ClientConnection {
        connection: connection(),
        leaf: None,
        fingerprints: None,
        mode: "regular".to_owned(),
    };
    let server = ServerConnection::new(FlowId::from_random(2), None);
    let http = HttpFlow { request, response: None, websocket: None };
    let kind = FlowKind::Http(Box::new(http));
    Flow::new(FlowId::from_random(3), Arc::new(client), Arc::new(server), kind, Timestamp(1.0))
}

/// The request of a flow.
pub(crate) fn request(flow: &Flow) -> &Request {
    let FlowKind::Http(http) = &flow.kind else { panic!("no HTTP flow") };
    &http.request
}

/// The same flow with an empty response.
pub(crate) fn answered(mut flow: Flow, status: u16) -> Flow {
    let FlowKind::Http(http) = &mut flow.kind else { panic!("no HTTP flow") };
    http.response = Some(Response {
        version: HttpVersion::Http11,
        status,
        reason: Bytes::new(),
        headers: Headers::new(),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: Timestamp(2.0),
        timestamp_end: Some(Timestamp(3.0)),
    });
    flow
}
