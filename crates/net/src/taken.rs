//! How much of what was written to a socket its peer has taken.
//!
//! Not what the socket took of us: between the two are buffers of the system's own, which may be megabytes.

use tokio::net::TcpStream;

/// How many bytes the peer has acknowledged since the connection began; `None` where the system does not say.
#[cfg(target_os = "linux")]
pub(crate) fn bytes_taken(socket: &TcpStream) -> Option<u64> {
    use std::os::fd::AsRawFd;

    use nix::libc;

    // `struct tcp_info` (linux/tcp.h, it only ever grows): `tcpi_bytes_acked` is its sixteenth eight bytes, since Linux 4.1.
    let mut info = [0_u64; 16];
    let whole = libc::socklen_t::try_from(size_of_val(&info)).ok()?;
    let mut len = whole;
    #[allow(unsafe_code, reason = "no library asks for this")]
    // SAFETY: the descriptor is open as long as `socket` is borrowed; the kernel writes at most `len` bytes to `info`, which has as
    // many, and how many these were to `len`. Any bytes are valid numbers.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    let [.., acknowledged] = info;
    (result == 0 && len == whole).then_some(acknowledged)
}

/// How many bytes the peer has acknowledged since the connection began; `None` where the system does not say.
#[cfg(not(target_os = "linux"))]
pub(crate) fn bytes_taken(_socket: &TcpStream) -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn what_the_peer_has_is_counted_and_what_waits_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut ours, (mut theirs, _)) = (ours.unwrap(), theirs.unwrap());
        let before = bytes_taken(&ours).unwrap();
        ours.write_all(&[7; 5000]).await.unwrap();
        theirs.read_exact(&mut [0; 5000]).await.unwrap();
        // An answer carries the acknowledgement, if that has not come by itself.
        theirs.write_all(b"x").await.unwrap();
        ours.read_u8().await.unwrap();
        assert_eq!(bytes_taken(&ours).unwrap() - before, 5000);
        // More than both buffers hold.
        let mut written = 5000;
        while let Ok(count) = ours.try_write(&[7; 65_536]) {
            written += count as u64;
        }
        let taken = bytes_taken(&ours).unwrap() - before;
        assert!((5000..written).contains(&taken), "{taken} of {written}");
    }
}
