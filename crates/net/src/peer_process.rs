//! Which program of this machine is at the other end of a connection (Linux: through `/proc`).
//!
//! Slow for what it is: it reads the kernel's table of sockets, and the descriptors of processes until one has the socket.
//! So it is asked for only where a rule wants to know, off the runtime's threads. Blocking.

use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

/// Why nobody can say which program it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum PeerProcessError {
    /// The other end is on another machine (or in another network namespace).
    #[error("the client is on another machine")]
    Remote,
    /// No process has the socket: it is closed already, or its process is out of sight.
    #[error("no process was found that has the client's socket")]
    NotFound,
    /// Some processes may not be looked at, and none of the others has the socket.
    #[error("no permission to look at other users' processes")]
    NotPermitted,
    /// This system does not tell.
    #[error("this system does not tell")]
    Unsupported,
}

/// The executable behind a connection that `peer` opened; `ours` are the addresses that it may have connected to: those of
/// our end of it, and the original ones if it was redirected. A program whose file cannot be seen is given by its name.
///
/// # Errors
/// If that cannot be found out.
pub fn peer_process(peer: SocketAddr, ours: &[SocketAddr]) -> Result<PathBuf, PeerProcessError> {
    #[cfg(target_os = "linux")]
    return linux::peer_process(peer, ours);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (peer, ours);
        Err(PeerProcessError::Unsupported)
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::io;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::path::{Path, PathBuf};
    use std::sync::{Mutex, PoisonError};

    use super::PeerProcessError;
    use crate::original::is_of_this_machine;

    /// How many processes are remembered that had the socket that was looked for: whoever connected once is likely to
    /// connect again, and its descriptors are looked at first. What is remembered is only where to look.
    const REMEMBERED_MAX: usize = 32;

    static REMEMBERED: Mutex<Vec<u32>> = Mutex::new(Vec::new());

    pub(super) fn peer_process(peer: SocketAddr, ours: &[SocketAddr]) -> Result<PathBuf, PeerProcessError> {
        let Some(inode) = inode(peer, ours) else {
            let local = is_of_this_machine(peer.ip());
            return Err(if local { PeerProcessError::NotFound } else { PeerProcessError::Remote });
        };
        let process = owner(&format!("socket:[{inode}]"))?;
        executable(process).ok_or(PeerProcessError::NotFound)
    }

    /// The number of the socket that is bound to `peer`.
    fn inode(peer: SocketAddr, ours: &[SocketAddr]) -> Option<u64> {
        let tables =
            ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
        choose(tables.iter().flat_map(|table| table.lines()).filter_map(row), peer, ours)
    }

    /// Of the sockets bound to `peer`, the one that is connected to us, or else the only one.
    fn choose(rows: impl Iterator<Item = Row>, peer: SocketAddr, ours: &[SocketAddr]) -> Option<u64> {
        let peer = canonical(peer);
        let mut others = Vec::new();
        for row in rows.filter(|row| row.local == peer && row.inode != 0) {
            if ours.iter().any(|ours| canonical(*ours) == row.remote) {
                return Some(row.inode);
            }
            others.push(row.inode);
        }
        match others[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    #[derive(Debug, PartialEq)]
    struct Row {
        local: SocketAddr,
        remote: SocketAddr,
        inode: u64,
    }

    /// One line of `/proc/net/tcp` (proc(5)).
    fn row(line: &str) -> Option<Row> {
        let mut words = line.split_ascii_whitespace();
        let local = address(words.nth(1)?)?;
        let remote = address(words.next()?)?;
        Some(Row { local, remote, inode: words.nth(6)?.parse().ok()? })
    }

    /// `0100007F:1F90`: words of four bytes as this machine orders them, and the port.
    fn address(text: &str) -> Option<SocketAddr> {
        let (ip, port) = text.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
        let ip = match ip.len() {
            8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
            32 => {
                let mut octets = [0; 16];
                for (index, slot) in octets.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    *slot = word(index * 8)?;
                }
                IpAddr::from(Ipv6Addr::from(octets))
            }
            _ => return None,
        };
        Some(canonical(SocketAddr::new(ip, port)))
    }

    fn canonical(addr: SocketAddr) -> SocketAddr {
        SocketAddr::new(addr.ip().to_canonical(), addr.port())
    }

    /// The process that has a descriptor of this name.
    fn owner(socket: &str) -> Result<u32, PeerProcessError> {
        let remembered = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let all = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let mut denied = false;
        for process in remembered.iter().rev().copied().chain(all) {
            match has_descriptor(process, socket) {
                Ok(true) => {
                    remember(process);
                    return Ok(process);
                }
                Ok(false) => {}
                Err(err) => denied |= err.kind() == io::ErrorKind::PermissionDenied,
            }
        }
        Err(if denied { PeerProcessError::NotPermitted } else { PeerProcessError::NotFound })
    }

    fn has_descriptor(process: u32, socket: &str) -> io::Result<bool> {
        for entry in fs::read_dir(format!("/proc/{process}/fd"))? {
            // A descriptor may be closed while we look.
            let name = entry.and_then(|entry| fs::read_link(entry.path()));
            if name.is_ok_and(|name| name == Path::new(socket)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn remember(process: u32) {
        let mut remembered = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.retain(|other| *other != process);
        if remembered.len() == REMEMBERED_MAX {
            remembered.remove(0);
        }
        remembered.push(process);
    }

    /// The file that a process runs, or its name.
    fn executable(process: u32) -> Option<PathBuf> {
        match fs::read_link(format!("/proc/{process}/exe")) {
            // A file that was replaced while it runs, as by an update.
            Ok(path) => Some(match path.to_str().and_then(|path| path.strip_suffix(" (deleted)")) {
                Some(path) => PathBuf::from(path),
                None => path,
            }),
            Err(_) => {
                let name = fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
                Some(PathBuf::from(name.trim_end_matches('\n')))
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use proptest::prelude::*;

        const LINE: &str = "   1: 0100007F:1F90 0200007F:C350 01 00000000:00000000 02:000AC1E5 00000000  1000        0 41953 2 0000000000000000 20 4 30 10 -1";

        #[test]
        #[cfg(target_endian = "little")]
        fn rows_are_read() {
            let of = |local: &str, remote: &str, inode| {
                Some(Row { local: local.parse().unwrap(), remote: remote.parse().unwrap(), inode })
            };
            assert_eq!(row(LINE), of("127.0.0.1:8080", "127.0.0.2:50000", 41953));
            let mapped = LINE.replace("0100007F", "0000000000000000FFFF00000100007F");
            assert_eq!(row(&mapped), of("127.0.0.1:8080", "127.0.0.2:50000", 41953));
            let v6 = LINE.replace("0200007F", "B80D0120000000000000000001000000");
            assert_eq!(row(&v6), of("127.0.0.1:8080", "[2001:db8::1]:50000", 41953));
            let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
            assert_eq!(row(head), None);
        }

        #[test]
        fn the_right_one_of_several_is_chosen() {
            let at = |text: &str| text.parse::<SocketAddr>().unwrap();
            let peer = at("127.0.0.1:50000");
            let row = |remote: &str, inode| Row { local: peer, remote: at(remote), inode };
            let rows = |remotes: &[(&str, u64)]| {
                remotes.iter().map(|(remote, inode)| row(remote, *inode)).collect::<Vec<_>>()
            };
            let ours = [at("127.0.0.1:8080")];
            let chosen = |remotes: &[(&str, u64)]| choose(rows(remotes).into_iter(), peer, &ours);
            assert_eq!(chosen(&[("192.0.2.1:443", 1), ("127.0.0.1:8080", 2)]), Some(2));
            // One that was redirected to us, and whose original destination nobody knows.
            assert_eq!(chosen(&[("192.0.2.1:443", 1)]), Some(1));
            assert_eq!(chosen(&[("192.0.2.1:443", 1), ("192.0.2.2:443", 2)]), None);
            // Closed already: it belongs to nobody.
            assert_eq!(chosen(&[("127.0.0.1:8080", 0)]), None);
            assert_eq!(choose(rows(&[("127.0.0.1:8080", 1)]).into_iter(), at("127.0.0.1:1"), &ours), None);
        }

        proptest! {
            #[test]
            fn no_line_panics(line: String, words in "([0-9A-F:]{0,40} ){0,12}") {
                let _ = (row(&line), row(&words));
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn this_program_is_found_at_the_other_end() {
        let own = std::env::current_exe().unwrap();
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(host) else { continue };
            let ours = listener.local_addr().unwrap();
            let client = std::net::TcpStream::connect(ours).unwrap();
            let peer = client.local_addr().unwrap();
            // Twice: the second time it is remembered.
            assert_eq!(peer_process(peer, &[ours]), Ok(own.clone()));
            assert_eq!(peer_process(peer, &[ours]), Ok(own.clone()));
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        let ours = ["127.0.0.1:1".parse().unwrap()];
        assert_eq!(peer_process("192.0.2.1:1".parse().unwrap(), &ours), Err(PeerProcessError::Remote));
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(peer_process(free, &ours), Err(PeerProcessError::NotFound));
    }
}
