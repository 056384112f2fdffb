//! Listening sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use thiserror::Error;
use tokio::net::TcpListener;

use crate::connect::prepare;

/// How many connections the kernel keeps for us until we accept them.
const BACKLOG: i32 = 4096;

/// Why an address could not be listened at.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// The host is neither an address nor a name that resolves to one.
    #[error("cannot resolve listen host `{host}`")]
    Host {
        /// What was given.
        host: String,
        /// What the resolver said, if it was asked.
        #[source]
        source: io::Error,
    },
    /// The system refused the address.
    #[error("cannot listen at {at}")]
    Bind {
        /// Which address.
        at: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What a listener is to accept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Accepts {
    /// Connections to its own address.
    #[default]
    Own,
    /// Those to other machines' addresses as well that TPROXY rules hand over, where the system lets us (Linux with
    /// `CAP_NET_ADMIN`). Without that permission the listener is an ordinary one, which REDIRECT rules are content with.
    Foreign,
}

/// Listens at `host:port`; an empty host means all addresses, IPv4 and IPv6, on one port (mitmproxy: `listen_host`).
///
/// With port 0 the system chooses, the same for both families where it can. A machine without IPv6 gets IPv4 only.
///
/// # Errors
/// If nothing could be bound, or one of several addresses could not; what was bound is closed again.
pub async fn bind(host: &str, port: u16, accepts: Accepts) -> Result<Vec<TcpListener>, BindError> {
    bind_with(host, port, |at| listen(at, accepts), |listener| listener.local_addr().ok()).await
}

/// Opens a socket with `open` at each address that `host:port` means; `address` tells where one is.
pub(crate) async fn bind_with<T>(
    host: &str,
    port: u16,
    open: impl Fn(SocketAddr) -> Result<T, BindError>,
    address: impl Fn(&T) -> Option<SocketAddr>,
) -> Result<Vec<T>, BindError> {
    if host.is_empty() || host == "*" {
        let v4 = open(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
        let chosen = address(&v4).map_or(port, |at| at.port());
        return match open(SocketAddr::from((Ipv6Addr::UNSPECIFIED, chosen))) {
            Ok(v6) => Ok(vec![v6, v4]),
            Err(BindError::Bind { source, .. }) if lacks_ipv6(&source) => Ok(vec![v4]),
            Err(err) => Err(err),
        };
    }
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let found = match host.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        Err(_) => tokio::net::lookup_host((host, port))
            .await
            .map_err(|source| BindError::Host { host: host.to_owned(), source })?
            .collect(),
    };
    let sockets = found.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
    if sockets.is_empty() {
        let source = io::Error::from(io::ErrorKind::AddrNotAvailable);
        return Err(BindError::Host { host: host.to_owned(), source });
    }
    Ok(sockets)
}

fn lacks_ipv6(err: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL]
        .iter()
        .any(|errno| err.raw_os_error() == Some(errno.raw_os_error()))
}

fn listen(at: SocketAddr, accepts: Accepts) -> Result<TcpListener, BindError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
        if at.is_ipv6() {
            // The IPv4 half has a socket of its own, so that clients' addresses look as they are.
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // What is accepted inherits these (Linux: tcp(7)), which saves three calls for each connection.
        prepare(&SockRef::from(&socket))?;
        if accepts == Accepts::Foreign {
            accept_foreign(&socket, at);
        }
        socket.bind(&at.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|source| BindError::Bind { at, source })
}

#[cfg(target_os = "linux")]
fn accept_foreign(socket: &Socket, at: SocketAddr) {
    // Refused without CAP_NET_ADMIN; then there are no TPROXY rules that would need it either.
    let _ =
        if at.is_ipv4() { socket.set_ip_transparent_v4(true) } else { socket.set_ip_transparent_v6(true) };
}

#[cfg(not(target_os = "linux"))]
const fn accept_foreign(_socket: &Socket, _at: SocketAddr) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_addresses_share_one_port() {
        let listeners = bind("", 0, Accepts::Own).await.unwrap();
        let ports: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
    }

    #[tokio::test]
    async fn a_taken_port_is_said() {
        let taken = bind("127.0.0.1", 0, Accepts::Foreign).await.unwrap();
        let port = taken[0].local_addr().unwrap().port();
        let err = bind("127.0.0.1", port, Accepts::Own).await.unwrap_err();
        assert!(
            matches!(err, BindError::Bind { ref source, .. } if source.kind() == io::ErrorKind::AddrInUse),
            "{err:?}"
        );
    }

    #[tokio::test]
    async fn accepted_sockets_inherit_what_the_listener_was_given() {
        let listeners = bind("127.0.0.1", 0, Accepts::Own).await.unwrap();
        let _client = std::net::TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap();
        let (stream, _) = listeners[0].accept().await.unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(SockRef::from(&stream).keepalive().unwrap());
    }
}
