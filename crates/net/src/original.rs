//! Where a connection was going before the operating system redirected it to us.
//!
//! Not here: setting up the redirection, which is the user's (`docs/guides/transparent.md`), and whether the answer is
//! one of our own listeners.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use socket2::SockRef;
use thiserror::Error;
use tokio::net::TcpStream;

/// Why a connection has no original destination.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OriginalError {
    /// The client connected to us on its own account.
    #[error("it was not redirected: the client connected to {0} itself")]
    NotRedirected(SocketAddr),
    /// The socket does not say where it is; usually the client is gone.
    #[error("cannot read the socket's address")]
    Socket(#[source] io::Error),
}

/// The address that a client connected to, for a stream accepted by `listener`.
///
/// A TPROXY rule leaves the address on the socket; a REDIRECT rule (NAT) changes it, and the kernel's connection tracking
/// knows what it was.
///
/// # Errors
/// If neither happened to this connection.
pub fn original_destination(stream: &TcpStream, listener: SocketAddr) -> Result<SocketAddr, OriginalError> {
    let local = canonical(stream.local_addr().map_err(OriginalError::Socket)?);
    match before_nat(stream, local) {
        Ok(original) if canonical(original) != local => return Ok(canonical(original)),
        // Either nothing tracked it or nothing changed it: TPROXY, or no redirection at all.
        Ok(_) | Err(_) => {}
    }
    if local.port() != listener.port() || !is_of_this_machine(local.ip()) {
        return Ok(local);
    }
    Err(OriginalError::NotRedirected(local))
}

#[cfg(target_os = "linux")]
fn before_nat(stream: &TcpStream, local: SocketAddr) -> io::Result<SocketAddr> {
    let socket = SockRef::from(stream);
    let found = if local.is_ipv4() { socket.original_dst_v4()? } else { socket.original_dst_v6()? };
    found.as_socket().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(not(target_os = "linux"))]
fn before_nat(_stream: &TcpStream, _local: SocketAddr) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Only addresses of this machine can be bound to without special rights.
pub(crate) fn is_of_this_machine(ip: IpAddr) -> bool {
    UdpSocket::bind(SocketAddr::new(ip, 0)).is_ok()
}

/// Without the flow label and the scope of IPv6, which the two sources fill differently.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_direct_connection_has_none() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = tokio::net::TcpListener::bind(host).await else { continue };
            let at = listener.local_addr().unwrap();
            let _client = TcpStream::connect(at).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let err = original_destination(&stream, at).unwrap_err();
            assert!(matches!(err, OriginalError::NotRedirected(found) if found == at), "{err:?}");
        }
    }

    #[test]
    fn own_addresses_are_told_from_others() {
        assert!(is_of_this_machine("127.0.0.1".parse().unwrap()));
        assert!(!is_of_this_machine("192.0.2.1".parse().unwrap()));
    }
}
