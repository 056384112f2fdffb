//! A connection from a client, from being accepted to being gone.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flowgate_flow::{ClientConnection, Transport};
use flowgate_net::{PeerProcessError, original_destination, peer_process};
use tokio::net::TcpStream;

use crate::addon::LiveClient;
use crate::clock;
use crate::context::{Context, InForce, Proxy};
use crate::egress::Egress;
use crate::{explicit, reverse, socks5, transparent};
use flowgate_options::Level;
use flowgate_options::mode_spec::{Mode, ModeSpec};

/// Serves a client that an instance accepted. `bound` is where its listener listens.
pub(crate) async fn serve(
    proxy: Arc<Proxy>,
    mode: Arc<ModeSpec>,
    stream: TcpStream,
    peer: SocketAddr,
    bound: Option<SocketAddr>,
) {
    let mut context = context(&proxy, &mode, Transport::Tcp, peer, own_address(&mode.mode, &stream, bound));
    if context.settings.rules.ask_process() {
        let found = Box::pin(process(&mode.mode, &stream, context.peer, bound)).await;
        context.process = Some(Arc::new(found.map_err(|err| {
            if err == PeerProcessError::NotPermitted
                && !proxy.told_no_permission.swap(true, Ordering::Relaxed)
            {
                let message = format_args!("rules with `process` miss some clients: {err}");
                proxy.events.log(Level::Warn, Some(context.peer), message);
            }
            err.to_string()
        })));
    }
    context.log(Level::Info, format_args!("client connect"));
    if admit(&context) && (context.settings.addons.is_empty() || Box::pin(admitted(&context)).await) {
        // Boxed, so that a task is as large as its own mode.
        match &mode.mode {
            Mode::Regular | Mode::Upstream(_) => Box::pin(explicit::serve(&context, Box::new(stream))).await,
            Mode::Socks5 => Box::pin(socks5::serve(&context, Box::new(stream))).await,
            Mode::Transparent => Box::pin(transparent::serve(&context, stream, bound)).await,
            Mode::Reverse(server) => Box::pin(reverse::serve(&context, server, Box::new(stream))).await,
            Mode::Dns | Mode::Local(_) | Mode::Wireguard(_) | Mode::Tun(_) => {
                context.log(Level::Error, format_args!("mode {mode} does not take TCP connections"));
            }
        }
    }
    context.log(Level::Info, format_args!("client disconnect"));
    if !context.settings.addons.is_empty() {
        Box::pin(gone(&context)).await;
    }
}

/// The address that the client connected to. Only where that may be another one than its listener's does the system have to be
/// asked for it.
fn own_address(mode: &Mode, stream: &TcpStream, bound: Option<SocketAddr>) -> Option<SocketAddr> {
    match bound {
        Some(bound) if !bound.ip().is_unspecified() && !matches!(mode, Mode::Transparent) => Some(bound),
        _ => stream.local_addr().ok(),
    }
}

/// Whether no addon refuses this client; says why one does.
pub(crate) async fn admitted(context: &Context) -> bool {
    let mut live = LiveClient::new(Arc::clone(&context.client));
    context.settings.addons.client_connected(&mut live).await;
    if let Some(why) = live.refused() {
        context.log(Level::Warn, format_args!("Client connection from {} refused: {why}", context.peer.ip()));
    }
    live.refused().is_none()
}

/// Tells addons that a client is gone.
pub(crate) async fn gone(context: &Context) {
    let mut client = ClientConnection::clone(&context.client);
    client.connection.timestamp_end = Some(clock::now());
    context.settings.addons.client_disconnected(&client).await;
}

/// The program that is the client, if it is one of this machine's.
async fn process(
    mode: &Mode,
    stream: &TcpStream,
    peer: SocketAddr,
    bound: Option<SocketAddr>,
) -> Result<String, PeerProcessError> {
    let mut ours: Vec<_> = stream.local_addr().ok().into_iter().collect();
    if let (Mode::Transparent, Some(bound)) = (mode, bound) {
        ours.extend(original_destination(stream, bound).ok());
    }
    // Reading takes as long as there are sockets and processes.
    let looked = tokio::task::spawn_blocking(move || peer_process(peer, &ours)).await;
    let path = looked.unwrap_or(Err(PeerProcessError::NotFound))?;
    Ok(path.to_string_lossy().into_owned())
}

/// What there is to know of a client at the beginning. `sockname` is the address of ours that it sent to.
pub(crate) fn context(
    proxy: &Arc<Proxy>,
    mode: &ModeSpec,
    transport: Transport,
    peer: SocketAddr,
    sockname: Option<SocketAddr>,
) -> Context {
    let canonical = |at: SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port());
    let peer = canonical(peer);
    let mut client = ClientConnection::new(clock::new_id(), mode.to_string());
    client.connection.transport = transport;
    client.connection.peername = Some(peer);
    client.connection.sockname = sockname.map(canonical);
    client.connection.timestamp_start = Some(clock::now());
    let InForce { settings, tls } = proxy.in_force();
    let egress = Arc::new(Egress::of_mode(&mode.mode, &settings));
    Context {
        process: None,
        mode_egress: Arc::clone(&egress),
        egress,
        settings,
        tls,
        stop: proxy.stop.child_token(),
        client: Arc::new(client),
        peer,
        hidden: false,
        replay_of: None,
        reason: None,
        proxy: Arc::clone(proxy),
    }
}

/// Whether this client may be served; says why not.
pub(crate) fn admit(context: &Context) -> bool {
    let Some(option) = blocked(context) else { return true };
    let ip = context.peer.ip();
    context.log(Level::Warn, format_args!("Client connection from {ip} killed by {option} option."));
    false
}

/// The option that keeps this client out, if one does (mitmproxy: addon `block`).
fn blocked(context: &Context) -> Option<&'static str> {
    let ip = context.peer.ip();
    if ip.is_loopback() {
        return None;
    }
    let global = is_global(ip);
    if context.settings.block_global && global {
        return Some("block_global");
    }
    (context.settings.block_private && !global && !is_shared(ip)).then_some("block_private")
}

/// Whether an address is of a provider's own network, neither private nor global (RFC 6598): no option keeps it out, as in mitmproxy.
fn is_shared(ip: IpAddr) -> bool {
    let IpAddr::V4(ip) = ip.to_canonical() else { return false };
    let [a, b, ..] = ip.octets();
    a == 100 && (b & 0xc0) == 64
}

/// Whether an address is reachable from everywhere (IANA special-purpose registries, RFC 6890).
fn is_global(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_broadcast()
                || ip.is_documentation()
                || a == 0
                || a >= 240
                || is_shared(ip.into())
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (b & 0xfe) == 18))
        }
        IpAddr::V6(ip) => {
            let [a, b, ..] = ip.segments();
            !(ip.is_unspecified()
                || ip.is_loopback()
                || (a & 0xfe00) == 0xfc00
                || (a & 0xffc0) == 0xfe80
                || (a == 0x2001 && b == 0xdb8)
                || a == 0x100)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_addresses_are_neither() {
        for (text, shared) in [
            ("100.63.255.255", false),
            ("100.64.0.0", true),
            ("::ffff:100.127.255.255", true),
            ("100.128.0.0", false),
            ("2001:db8::1", false),
        ] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(is_shared(ip), shared, "{text}");
            assert!(!(shared && is_global(ip)), "{text}");
        }
    }

    #[test]
    fn global_addresses_are_told_from_others() {
        let check = |text: &str, global: bool| assert_eq!(is_global(text.parse().unwrap()), global, "{text}");
        for text in ["8.8.8.8", "1.1.1.1", "192.0.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "100.128.0.1"] {
            check(text, true);
        }
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "fe80::1",
            "fd00::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
        ] {
            check(text, false);
        }
    }
}
