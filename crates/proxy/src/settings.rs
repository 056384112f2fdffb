//! The options as the proxy needs them: one immutable snapshot, taken by each connection when it begins.

use std::net::IpAddr;
use std::time::Duration;

use flowgate_net::Lookup;
use flowgate_options::{ConnectionStrategy, Credentials};
use flowgate_policy::Rules;
use flowgate_wire::http1::Names;

use crate::addon::Addons;
use crate::limits::{CLIENT_PROGRESS_TIMEOUT, CONNECT_TIMEOUT, IDLE_TIMEOUT};

/// What connections are handled by. A change of options makes a new snapshot; connections keep the one they began with.
#[derive(Debug)]
pub struct Settings {
    /// Who is decrypted and who is not (mitmproxy: `ignore_hosts`, `allow_hosts`, `tcp_hosts`).
    pub rules: Rules,
    /// When a server is connected to (mitmproxy: `connection_strategy`).
    pub connection_strategy: ConnectionStrategy,
    /// Whether HTTP/2 is offered and accepted (mitmproxy: `http2`).
    pub http2: bool,
    /// After how long a silence an HTTP/2 server is sent a PING, if at all (mitmproxy: `http2_ping_keepalive`).
    pub http2_ping_keepalive: Option<Duration>,
    /// Whether what is not HTTP may cross as a TCP flow (mitmproxy: `rawtcp`).
    pub rawtcp: bool,
    /// Whether the messages of WebSockets are read; otherwise what follows the upgrade is a TCP flow (mitmproxy: `websocket`).
    pub websocket: bool,
    /// Whether leaf certificates carry the names of the server's (mitmproxy: `upstream_cert`).
    pub upstream_cert: bool,
    /// Whether clients get the server's certificates behind ours (mitmproxy: `add_upstream_certs_to_client_chain`).
    pub add_upstream_certs: bool,
    /// Whether mode `reverse:` leaves the Host field, and the name that TLS asks the server for, to the client
    /// (mitmproxy: `keep_host_header`).
    pub keep_host_header: bool,
    /// Whether connections that are passed through are recorded as TCP flows (mitmproxy: `show_ignored_hosts`).
    pub show_ignored_hosts: bool,
    /// How long a connection may be silent (mitmproxy: `tcp_timeout`).
    pub idle_timeout: Duration,
    /// How long a server may take to accept a connection (`connect_timeout`).
    pub connect_timeout: Duration,
    /// How long a client may all but stand still while an exchange waits for it (`slow_client_timeout`).
    pub slow_client_timeout: Option<Duration>,
    /// Larger bodies are not kept in flows (mitmproxy: `stream_large_bodies`).
    pub kept_body_bytes_max: u64,
    /// Whether header names of HTTP/1 have to be tokens (mitmproxy: `validate_inbound_headers`).
    pub validate_inbound_headers: bool,
    /// Larger bodies are refused (mitmproxy: `body_size_limit`).
    pub body_bytes_max: u64,
    /// The address from which servers are connected to (mitmproxy: `connect_addr`).
    pub connect_addr: Option<IpAddr>,
    /// Who is asked for the addresses of servers and of upstream proxies (mitmproxy: `dns_name_servers`, `dns_use_hosts_file`).
    pub lookup: Lookup,
    /// Who we are to the upstream proxy of mode `upstream:`, or to the server of mode `reverse:` (mitmproxy: `upstream_auth`).
    pub upstream_auth: Option<Credentials>,
    /// Whether CONNECT requests to an upstream proxy have a `Host` field (mitmproxy: `http_connect_send_host_header`).
    pub http_connect_send_host_header: bool,
    /// Whether clients with globally routable addresses are refused (mitmproxy: `block_global`).
    pub block_global: bool,
    /// Whether clients with private addresses are refused (mitmproxy: `block_private`).
    pub block_private: bool,
    /// Who acts on flows.
    pub addons: Addons,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            connection_strategy: ConnectionStrategy::Eager,
            http2: true,
            http2_ping_keepalive: Some(Duration::from_secs(58)),
            rawtcp: true,
            websocket: true,
            upstream_cert: true,
            add_upstream_certs: false,
            keep_host_header: false,
            show_ignored_hosts: false,
            idle_timeout: IDLE_TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
            slow_client_timeout: Some(CLIENT_PROGRESS_TIMEOUT),
            kept_body_bytes_max: u64::MAX,
            validate_inbound_headers: true,
            body_bytes_max: u64::MAX,
            connect_addr: None,
            lookup: Lookup::default(),
            upstream_auth: None,
            http_connect_send_host_header: true,
            block_global: true,
            block_private: false,
            addons: Addons::default(),
        }
    }
}

impl Settings {
    /// Which header names of HTTP/1 are taken and written.
    pub(crate) const fn header_names(&self) -> Names {
        if self.validate_inbound_headers { Names::Tokens } else { Names::Visible }
    }
}
