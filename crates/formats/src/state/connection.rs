//! Connections.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use bytes::Bytes;
use flowgate_flow::{Address, ClientConnection, Connection, ServerConnection, Timestamp, Transport, Via};

use super::beyond::Beyond;
use super::fields::{
    Fields, StateError, array, bool, bytes, int, items, list, optional, put_timestamp, text, timestamp,
};
use super::flow::{put_id, read_id};
use super::pem;
use crate::tnetstring::{Encoder, Value};

pub(super) fn read_client(value: Value<'_>) -> Result<ClientConnection, StateError> {
    let mut fields = Fields::new(value)?;
    let mut connection = read(&mut fields)?;
    // mitmproxy has no "unknown" here: its placeholders mean it.
    for end in [&mut connection.peername_text, &mut connection.sockname_text] {
        end.take_if(|address| is_placeholder(address));
    }
    connection.timestamp_start.take_if(|start| *start == Timestamp(0.0));
    Ok(ClientConnection {
        connection,
        leaf: fields.take("mitmcert", optional(pem::read))?,
        fingerprints: None,
        mode: fields.take("proxy_mode", text)?,
    })
}

pub(super) fn put_client(
    client: &ClientConnection,
    certificates: bool,
    beyond: &Beyond<'_>,
    to: &mut Encoder,
) {
    to.map(|to| {
        put(&client.connection, Role::Client, certificates, beyond.client_tls_version.is_some(), to);
        to.optional(client.leaf.as_ref().filter(|_| certificates), put_certificate).named("mitmcert");
        to.text(if beyond.mode.is_some() { "regular" } else { &client.mode }).named("proxy_mode");
    });
}

pub(super) fn read_server(value: Value<'_>) -> Result<ServerConnection, StateError> {
    let mut fields = Fields::new(value)?;
    Ok(ServerConnection {
        connection: read(&mut fields)?,
        address: fields.take("address", optional(address))?,
        timestamp_tcp_setup: fields.take("timestamp_tcp_setup", optional(timestamp))?,
        via: fields.take("via", optional(read_via))?,
    })
}

pub(super) fn put_server(
    server: &ServerConnection,
    certificates: bool,
    beyond: &Beyond<'_>,
    to: &mut Encoder,
) {
    to.map(|to| {
        put(&server.connection, Role::Server, certificates, beyond.server_tls_version.is_some(), to);
        to.optional(server.address.as_ref(), put_address).named("address");
        put_timestamp(server.timestamp_tcp_setup, to).named("timestamp_tcp_setup");
        let via = server.via.as_ref().filter(|_| beyond.via.is_none());
        to.optional(via, put_via).named("via");
    });
}

/// `[scheme, [host, port]]`
pub(super) fn read_via(value: Value<'_>) -> Result<Via, StateError> {
    let [scheme, proxy] = array(value, "a scheme and an address")?;
    Ok(Via {
        scheme: text(scheme).map_err(|error| error.under("[0]"))?,
        address: address(proxy).map_err(|error| error.under("[1]"))?,
    })
}

pub(super) fn put_via<'a>(to: &'a mut Encoder, via: &Via) -> &'a mut Encoder {
    to.backwards_list(|to| {
        put_address(to, &via.address);
        to.text(&via.scheme);
    })
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Role {
    Client,
    Server,
}

/// One end of a connection as it stands in a file.
enum End {
    Ip(SocketAddr),
    Text(Address),
}

fn read(fields: &mut Fields<'_>) -> Result<Connection, StateError> {
    let (peername, peername_text) = split(fields.take("peername", optional(end))?);
    let (sockname, sockname_text) = split(fields.take("sockname", optional(end))?);
    Ok(Connection {
        peername,
        peername_text,
        sockname,
        sockname_text,
        id: fields.take("id", read_id)?,
        transport: fields.take("transport_protocol", transport)?,
        error: fields.take("error", optional(text))?,
        tls: fields.take("tls", bool)?,
        certificate_list: fields.take("certificate_list", list(pem::read))?,
        alpn: fields.take("alpn", optional(bytes))?,
        alpn_offers: fields.take("alpn_offers", list(bytes))?,
        cipher: fields.take("cipher", optional(text))?,
        cipher_list: fields.take("cipher_list", list(text))?,
        tls_version: fields.take("tls_version", optional(text))?,
        sni: fields.take("sni", optional(text))?,
        http2: None,
        timestamp_start: fields.take("timestamp_start", optional(timestamp))?,
        timestamp_end: fields.take("timestamp_end", optional(timestamp))?,
        timestamp_tls_setup: fields.take("timestamp_tls_setup", optional(timestamp))?,
    })
}

fn put(connection: &Connection, role: Role, certificates: bool, hide_tls_version: bool, to: &mut Encoder) {
    put_end(connection.peername, connection.peername_text.as_ref(), role, to).named("peername");
    put_end(connection.sockname, connection.sockname_text.as_ref(), role, to).named("sockname");
    put_id(&connection.id, to).named("id");
    let transport = match connection.transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    to.text(transport).named("transport_protocol");
    to.optional(connection.error.as_deref(), Encoder::text).named("error");
    to.bool(connection.tls).named("tls");
    let chain = if certificates { connection.certificate_list.as_slice() } else { &[] };
    to.list(chain.iter(), |to, der| {
        put_certificate(to, der);
    })
    .named("certificate_list");
    to.optional(connection.alpn.as_deref(), Encoder::bytes).named("alpn");
    to.list(connection.alpn_offers.iter(), |to, offer| {
        to.bytes(offer);
    })
    .named("alpn_offers");
    to.optional(connection.cipher.as_deref(), Encoder::text).named("cipher");
    to.list(connection.cipher_list.iter(), |to, cipher| {
        to.text(cipher);
    })
    .named("cipher_list");
    let tls_version = connection.tls_version.as_deref().filter(|_| !hide_tls_version);
    to.optional(tls_version, Encoder::text).named("tls_version");
    to.optional(connection.sni.as_deref(), Encoder::text).named("sni");
    match (connection.timestamp_start, role) {
        (None, Role::Client) => to.float(0.0),
        (start, _) => put_timestamp(start, to),
    }
    .named("timestamp_start");
    put_timestamp(connection.timestamp_end, to).named("timestamp_end");
    put_timestamp(connection.timestamp_tls_setup, to).named("timestamp_tls_setup");
}

fn put_certificate<'a>(to: &'a mut Encoder, der: &Bytes) -> &'a mut Encoder {
    pem::put(der, to);
    to
}

fn transport(value: Value<'_>) -> Result<Transport, StateError> {
    let text = text(value)?;
    match text.as_str() {
        "tcp" => Ok(Transport::Tcp),
        "udp" => Ok(Transport::Udp),
        _ => Err(StateError::Unknown { key: String::new(), text }),
    }
}

fn address(value: Value<'_>) -> Result<Address, StateError> {
    let [host, port] = array(value, "a host and a port")?;
    Ok(Address {
        host: text(host).map_err(|error| error.under("[0]"))?,
        port: int(port).map_err(|error| error.under("[1]"))?,
    })
}

fn put_address<'a>(to: &'a mut Encoder, address: &Address) -> &'a mut Encoder {
    to.backwards_list(|to| {
        to.int(address.port.into());
        to.text(&address.host);
    })
}

/// Python's address of a socket: host and port, for IPv6 mostly flow information and scope besides.
fn end(value: Value<'_>) -> Result<End, StateError> {
    let mut parts = items(value)?.into_iter();
    let (Some(host), Some(port)) = (parts.next(), parts.next()) else {
        return Err(StateError::wrong_type("a host and a port", &Value::List(Vec::new())));
    };
    let host = text(host).map_err(|error| error.under("[0]"))?;
    let port = int(port).map_err(|error| error.under("[1]"))?;
    let mut number = |at: &str| parts.next().map_or(Ok(0), int).map_err(|error| error.under(at));
    let (flow_info, scope) = (number("[2]")?, number("[3]")?);
    Ok(match host.parse() {
        Ok(IpAddr::V4(ip)) => End::Ip((ip, port).into()),
        Ok(IpAddr::V6(ip)) => End::Ip(SocketAddrV6::new(ip, port, flow_info, scope).into()),
        Err(_) => End::Text(Address { host, port }),
    })
}

fn split(end: Option<End>) -> (Option<SocketAddr>, Option<Address>) {
    match end {
        None => (None, None),
        Some(End::Ip(address)) => (Some(address), None),
        Some(End::Text(address)) => (None, Some(address)),
    }
}

fn put_end<'a>(
    address: Option<SocketAddr>,
    text: Option<&Address>,
    role: Role,
    to: &'a mut Encoder,
) -> &'a mut Encoder {
    match (address, text) {
        (Some(SocketAddr::V4(address)), _) => to.backwards_list(|to| {
            to.int(address.port().into());
            to.display(address.ip());
        }),
        (Some(SocketAddr::V6(address)), _) => to.backwards_list(|to| {
            to.int(address.scope_id().into());
            to.int(address.flowinfo().into());
            to.int(address.port().into());
            to.display(address.ip());
        }),
        (None, Some(address)) => put_address(to, address),
        (None, None) if role == Role::Client => to.backwards_list(|to| {
            to.int(0);
            to.text("");
        }),
        (None, None) => to.none(),
    }
}

fn is_placeholder(address: &Address) -> bool {
    address.host.is_empty() && address.port == 0
}
