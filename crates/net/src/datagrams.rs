//! UDP sockets: those that clients send to, and those that a server is sent from.
//!
//! A socket that listens on all addresses has to answer from the one that a datagram came to: left to itself, a machine with
//! several addresses answers from the one nearest to the client, and no client takes that for an answer. So such a socket
//! asks the system for each datagram's destination, and names it when it answers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use flowgate_flow::Address;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::connect::{ConnectError, resolve_judged};
use crate::listen::{BindError, bind_with};
use crate::lookup::Lookup;

/// The longest payload of a datagram (RFC 768; jumbograms are left out).
pub const DATAGRAM_BYTES_MAX: usize = 65_535;
/// How much the kernel may keep for us until we read it; as much of this as the system allows. A burst of a fast peer lasts
/// some milliseconds.
const RECEIVE_BUFFER_BYTES: usize = 1024 * 1024;

/// A UDP socket that clients send to.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    /// It listens on all addresses.
    is_wildcard: bool,
}

/// The address of ours that a datagram came to, if the socket could not be told otherwise to answer from it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LocalAddress(Option<(IpAddr, u32)>);

/// A datagram that was received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Received {
    /// How many bytes of the buffer it takes.
    pub len: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// Where it came to, to be answered from.
    pub to: LocalAddress,
}

impl LocalAddress {
    /// The address, if it is not the socket's own.
    #[must_use]
    pub fn ip(self) -> Option<IpAddr> {
        self.0.map(|(ip, _)| ip)
    }
}

/// Listens for datagrams at `host:port`; an empty host means all addresses, IPv4 and IPv6, on one port (mitmproxy:
/// `listen_host`). With port 0 the system chooses, the same for both families where it can.
///
/// # Errors
/// If nothing could be bound, or one of several addresses could not; what was bound is closed again.
pub async fn bind_datagrams(host: &str, port: u16) -> Result<Vec<Datagrams>, BindError> {
    let all = bind_with(host, port, Datagrams::bind, |datagrams| datagrams.local_addr().ok()).await?;
    for Datagrams { socket, .. } in &all {
        let at = socket.local_addr().unwrap_or_else(|_| SocketAddr::from(([0; 4], port)));
        ready(socket).await.map_err(|source| BindError::Bind { at, source })?;
    }
    Ok(all)
}

impl Datagrams {
    fn bind(at: SocketAddr) -> Result<Self, BindError> {
        let open = || {
            let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
            if at.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            socket.set_nonblocking(true)?;
            // Less is what the system allows.
            let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
            let is_wildcard = at.ip().is_unspecified() && destination::ask_for(&socket, at)?;
            socket.bind(&at.into())?;
            Ok(Self { socket: UdpSocket::from_std(socket.into())?, is_wildcard })
        };
        open().map_err(|source| BindError::Bind { at, source })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits for the next datagram. What does not fit `buffer` is cut off; [`DATAGRAM_BYTES_MAX`] is enough for all.
    ///
    /// # Errors
    /// What the system says.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        if self.is_wildcard {
            let receive = || destination::receive(&self.socket, buffer);
            return self.socket.async_io(tokio::io::Interest::READABLE, receive).await;
        }
        let (len, from) = self.socket.recv_from(buffer).await?;
        Ok(Received { len, from, to: LocalAddress::default() })
    }

    /// Sends a datagram, from the address that one of the receiver's came to. Does not wait.
    ///
    /// # Errors
    /// What the system says: [`io::ErrorKind::WouldBlock`] if there is no room at the moment, and then it is not sent.
    pub fn try_send(&self, datagram: &[u8], to: SocketAddr, from: LocalAddress) -> io::Result<()> {
        let sent = match from.0 {
            Some(from) => {
                let send = || destination::send(&self.socket, datagram, to, from);
                self.socket.try_io(tokio::io::Interest::WRITABLE, send)
            }
            None => self.socket.try_send_to(datagram, to),
        };
        sent.map(drop)
    }
}

/// A socket for datagrams to and from `to` alone, sent from the address `from` if one is given (mitmproxy: `connect_addr`).
/// Nothing is sent, so nobody is asked whether `to` listens. Of a name's addresses the first is taken that has a route.
///
/// # Errors
/// If the name has no address that `judge` allows, or none can be sent to, or that was not known `within` the time.
pub async fn connect_datagrams(
    to: &Address,
    from: Option<IpAddr>,
    lookup: &Lookup,
    within: Duration,
    judge: impl FnMut(SocketAddr) -> bool,
) -> Result<UdpSocket, ConnectError> {
    let found = timeout(within, resolve_judged(to, from, lookup, judge)).await;
    let found = found.map_err(|_| ConnectError::TimedOut { address: to.clone(), after: within })??;
    let mut last_error = ConnectError::NoAddress { host: to.host.clone() };
    for at in found {
        let opened = match connect_one(at, from) {
            Ok(socket) => ready(&socket).await.map(|()| socket),
            Err(err) => Err(err),
        };
        match opened {
            Ok(socket) => return Ok(socket),
            Err(source) => last_error = ConnectError::Connect { at, source },
        }
    }
    Err(last_error)
}

/// Until the runtime has heard of a socket for the first time, it says of everything that it would block.
async fn ready(socket: &UdpSocket) -> io::Result<()> {
    socket.writable().await
}

fn connect_one(at: SocketAddr, from: Option<IpAddr>) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if let Some(from) = from {
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    socket.connect(&at.into())?;
    let _ = SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    UdpSocket::from_std(socket.into())
}

/// Where datagrams came to, and from where they are answered (Linux: ip(7), ipv6(7)).
#[cfg(target_os = "linux")]
mod destination {
    use std::io::{self, IoSlice, IoSliceMut};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::os::fd::AsRawFd;

    use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
    use nix::sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
    };
    use socket2::Socket;
    use tokio::net::UdpSocket;

    use super::{LocalAddress, Received};

    /// Room for either kind of answer: a header of 16 bytes and at most 20 of content, aligned to 8.
    const CONTROL_BYTES: usize = 64;

    pub(super) fn ask_for(socket: &Socket, at: SocketAddr) -> io::Result<bool> {
        if at.is_ipv4() {
            setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
        } else {
            setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
        Ok(true)
    }

    pub(super) fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Received> {
        let mut control = [0; CONTROL_BYTES];
        let mut parts = [IoSliceMut::new(buffer)];
        let fd = socket.as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), MsgFlags::empty())?;
        let from = message.address.as_ref().and_then(address).ok_or(io::ErrorKind::InvalidData)?;
        let to = message.cmsgs().ok().and_then(|mut all| all.find_map(|control| local(&control)));
        Ok(Received { len: message.bytes, from, to: LocalAddress(to) })
    }

    fn local(control: &ControlMessageOwned) -> Option<(IpAddr, u32)> {
        match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some((Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into(), 0))
            }
            // The interface matters for link-local addresses, which mean nothing without one.
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                Some((ip.into(), if ip.is_unicast_link_local() { info.ipi6_ifindex } else { 0 }))
            }
            _ => None,
        }
    }

    pub(super) fn send(
        socket: &UdpSocket,
        datagram: &[u8],
        to: SocketAddr,
        (ip, interface): (IpAddr, u32),
    ) -> io::Result<usize> {
        let parts = [IoSlice::new(datagram)];
        let send = |control: ControlMessage<'_>| {
            let to = SockaddrStorage::from(to);
            sendmsg(socket.as_raw_fd(), &parts, &[control], MsgFlags::empty(), Some(&to))
        };
        let sent = match ip {
            IpAddr::V4(ip) => send(ControlMessage::Ipv4PacketInfo(&in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
                ipi_addr: in_addr { s_addr: 0 },
            })),
            IpAddr::V6(ip) => send(ControlMessage::Ipv6PacketInfo(&in6_pktinfo {
                ipi6_addr: in6_addr { s6_addr: ip.octets() },
                ipi6_ifindex: interface,
            })),
        };
        Ok(sent?)
    }

    fn address(found: &SockaddrStorage) -> Option<SocketAddr> {
        let v4 = found.as_sockaddr_in().map(|found| SocketAddr::V4((*found).into()));
        v4.or_else(|| found.as_sockaddr_in6().map(|found| SocketAddr::V6((*found).into())))
    }
}

#[cfg(not(target_os = "linux"))]
mod destination {
    use std::io;
    use std::net::{IpAddr, SocketAddr};

    use socket2::Socket;
    use tokio::net::UdpSocket;

    use super::Received;

    pub(super) fn ask_for(_: &Socket, _: SocketAddr) -> io::Result<bool> {
        Ok(false)
    }

    pub(super) fn receive(_: &UdpSocket, _: &mut [u8]) -> io::Result<Received> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn send(_: &UdpSocket, _: &[u8], _: SocketAddr, _: (IpAddr, u32)) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    fn to(at: SocketAddr) -> Address {
        Address { host: at.ip().to_string(), port: at.port() }
    }

    /// 127.0.0.2 is as much this machine as 127.0.0.1, which is what the system would answer from.
    #[tokio::test]
    async fn answers_come_from_where_the_question_went() {
        for (listen, asked) in [("", "127.0.0.2"), ("127.0.0.2", "127.0.0.2"), ("", "127.0.0.1"), ("", "::1")]
        {
            let sockets = bind_datagrams(listen, 0).await.unwrap();
            let asked: IpAddr = asked.parse().unwrap();
            let of_family = |socket: &&Datagrams| socket.local_addr().unwrap().is_ipv4() == asked.is_ipv4();
            let Some(socket) = sockets.iter().find(of_family) else { continue };
            let asked = SocketAddr::new(asked, socket.local_addr().unwrap().port());
            // Connected, so it takes no answer from elsewhere.
            let client =
                connect_datagrams(&to(asked), None, &Lookup::default(), SOON, |_| true).await.unwrap();
            client.send(b"question").await.unwrap();
            let mut buffer = [0; 64];
            let Received { len, from, to } = socket.receive(&mut buffer).await.unwrap();
            assert_eq!((&buffer[..len], from), (&b"question"[..], client.local_addr().unwrap()));
            socket.try_send(b"answer", from, to).unwrap();
            let len = timeout(SOON, client.recv(&mut buffer)).await.unwrap().unwrap();
            assert_eq!(&buffer[..len], b"answer", "{listen} {asked}");
        }
    }

    #[tokio::test]
    async fn all_addresses_share_one_port_and_a_taken_one_is_said() {
        let sockets = bind_datagrams("", 0).await.unwrap();
        let ports: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
        let err = bind_datagrams("127.0.0.1", ports[0]).await.unwrap_err();
        assert!(
            matches!(err, BindError::Bind { ref source, .. } if source.kind() == io::ErrorKind::AddrInUse),
            "{err:?}"
        );
    }

    #[tokio::test]
    async fn empty_and_the_longest_datagrams_cross() {
        let sockets = bind_datagrams("127.0.0.1", 0).await.unwrap();
        let client =
            connect_datagrams(&to(sockets[0].local_addr().unwrap()), None, &Lookup::default(), SOON, |_| {
                true
            })
            .await
            .unwrap();
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        // 65,507 is what IPv4 leaves of it.
        for length in [0, 1, 65_507] {
            // Sent without waiting, from a socket that is new.
            client.try_send(&vec![7; length]).unwrap();
            assert_eq!(sockets[0].receive(&mut buffer).await.unwrap().len, length);
        }
    }

    #[tokio::test]
    async fn a_socket_to_a_server_has_the_local_address_and_the_name_is_looked_up() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = Address { host: "localhost".into(), port: server.local_addr().unwrap().port() };
        let socket =
            connect_datagrams(&to, Some("127.0.0.9".parse().unwrap()), &Lookup::default(), SOON, |_| true)
                .await
                .unwrap();
        assert_eq!(socket.local_addr().unwrap().ip().to_string(), "127.0.0.9");
        assert_eq!(socket.peer_addr().unwrap(), server.local_addr().unwrap());
        let other = Address { host: "127.0.0.1".into(), port: 1 };
        let err = connect_datagrams(&other, Some("::1".parse().unwrap()), &Lookup::default(), SOON, |_| true)
            .await
            .unwrap_err();
        assert!(matches!(err, ConnectError::Connect { .. }), "{err:?}");
    }
}
