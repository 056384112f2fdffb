//! Opening connections to servers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use flowgate_flow::Address;
use socket2::SockRef;
use thiserror::Error;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::lookup::Lookup;

/// How long one address may take before the next is tried beside it (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// How many of a name's addresses are tried.
const ADDRESSES_MAX: usize = 16;
/// After how long without traffic the kernel asks whether a peer is still there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// Why no connection came about.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name could not be looked up.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// The name has no address (or none of the family of the local address).
    #[error("{host} has no address")]
    NoAddress {
        /// The name.
        host: String,
    },
    /// None of its addresses may be connected to: whoever was asked said so.
    #[error("no address of {host} is allowed")]
    NotAllowed {
        /// The name.
        host: String,
    },
    /// The last address that was tried refused, or was unreachable.
    #[error("cannot connect to {at}")]
    Connect {
        /// The address.
        at: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Nobody answered in time.
    #[error("no answer from {address} within {}", seconds(.after))]
    TimedOut {
        /// Where.
        address: Address,
        /// How long we waited.
        after: Duration,
    },
}

fn seconds(duration: &Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// Connects to `to`, from the address `from` if one is given (mitmproxy: `connect_addr`).
///
/// A name's addresses are tried in the resolver's order, the next one as soon as one failed or took long (RFC 8305).
///
/// # Errors
/// If no address could be connected to within `within`.
pub async fn connect(
    to: &Address,
    from: Option<IpAddr>,
    within: Duration,
) -> Result<TcpStream, ConnectError> {
    connect_judged(to, from, &Lookup::default(), within, |_| true).await
}

/// The same, to addresses of which `judge` allows it only. It is asked of each before any is tried, and no name is looked up twice;
/// `lookup` says who is asked for them.
///
/// # Errors
/// If no address could be connected to within `within`.
pub async fn connect_judged(
    to: &Address,
    from: Option<IpAddr>,
    lookup: &Lookup,
    within: Duration,
    judge: impl FnMut(SocketAddr) -> bool,
) -> Result<TcpStream, ConnectError> {
    let connecting = async {
        let candidates = resolve_judged(to, from, lookup, judge).await?;
        match candidates.as_slice() {
            [only] => connect_one(*only, from).await,
            _ => Box::pin(race(candidates, from)).await,
        }
    };
    let timed_out = |_| ConnectError::TimedOut { address: to.clone(), after: within };
    timeout(within, connecting).await.map_err(timed_out)?
}

/// The addresses of `to` that can be sent to from `from` and that `judge` allows; at least one.
pub(crate) async fn resolve_judged(
    to: &Address,
    from: Option<IpAddr>,
    lookup: &Lookup,
    mut judge: impl FnMut(SocketAddr) -> bool,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let mut found = resolve(to, from, lookup).await?;
    found.retain(|at| judge(*at));
    if found.is_empty() { Err(ConnectError::NotAllowed { host: to.host.clone() }) } else { Ok(found) }
}

async fn resolve(
    to: &Address,
    from: Option<IpAddr>,
    lookup: &Lookup,
) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(ip) = to.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, to.port)]);
    }
    let fits = |at: &SocketAddr| from.is_none_or(|from| from.is_ipv4() == at.is_ipv4());
    let found = lookup.addresses_of(to).await;
    let found = found.map_err(|source| ConnectError::Resolve { host: to.host.clone(), source })?;
    let found = found.into_iter().map(|ip| SocketAddr::new(ip, to.port));
    let found: Vec<_> = found.filter(fits).take(ADDRESSES_MAX).collect();
    if found.is_empty() { Err(ConnectError::NoAddress { host: to.host.clone() }) } else { Ok(found) }
}

async fn race(candidates: Vec<SocketAddr>, from: Option<IpAddr>) -> Result<TcpStream, ConnectError> {
    let mut attempts = JoinSet::new();
    let mut waiting = candidates.into_iter();
    let mut last_error = None;
    loop {
        let next = waiting.next();
        let delay = if next.is_some() { ATTEMPT_DELAY } else { Duration::MAX };
        if let Some(at) = next {
            attempts.spawn(connect_one(at, from));
        }
        // Until one is through, or it is time for the next.
        while let Ok(Some(done)) = timeout(delay, attempts.join_next()).await {
            match done {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(err)) => last_error = Some(err),
                // The attempt's task neither panics nor is it aborted while the set lives.
                Err(_) => {}
            }
            if waiting.len() > 0 {
                break;
            }
        }
        if waiting.len() == 0 && attempts.is_empty() {
            return Err(last_error.unwrap_or_else(|| ConnectError::NoAddress { host: String::new() }));
        }
    }
}

async fn connect_one(at: SocketAddr, from: Option<IpAddr>) -> Result<TcpStream, ConnectError> {
    let open = async {
        let stream = match from {
            None => TcpStream::connect(at).await?,
            Some(from) => {
                let socket = if at.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                socket.bind(SocketAddr::new(from, 0))?;
                socket.connect(at).await?
            }
        };
        prepare(&SockRef::from(&stream))?;
        Ok(stream)
    };
    open.await.map_err(|source| ConnectError::Connect { at, source })
}

/// Sets what every connection of ours has, accepted or opened: no delay from the first byte on (a delayed segment of a
/// handshake costs 40 ms), and the kernel notices peers that vanished.
pub(crate) fn prepare(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(KEEPALIVE_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn refused_is_said_with_the_address() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let to = Address { host: "127.0.0.1".into(), port: gone.port() };
        let err = connect(&to, None, SOON).await.unwrap_err();
        assert!(matches!(err, ConnectError::Connect { at, .. } if at == gone), "{err:?}");
    }

    #[tokio::test]
    async fn the_second_address_is_tried() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let stream = race(vec![refused, open], None).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
    }

    #[tokio::test]
    async fn the_last_error_is_told_when_all_fail() {
        let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(race(vec![refused, refused], None).await, Err(ConnectError::Connect { .. })));
    }

    #[tokio::test]
    async fn names_and_the_local_address_work() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = Address { host: "localhost".into(), port: listener.local_addr().unwrap().port() };
        let stream = connect(&to, Some("127.0.0.9".parse().unwrap()), SOON).await.unwrap();
        assert_eq!(stream.local_addr().unwrap().ip().to_string(), "127.0.0.9");
    }
}
