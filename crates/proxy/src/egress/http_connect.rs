//! A tunnel through an HTTP proxy: CONNECT and its answer (RFC 9110 section 9.3.6).
//!
//! Of the answer only the status counts. What follows a 2xx head is the server's already, whatever length the head
//! announces; what follows another is not read, since the connection goes with it.

use bytes::{Bytes, BytesMut};
use flowgate_flow::{Address, Headers, HttpVersion};
use flowgate_net::{BoxIo, Rewound};
use flowgate_wire::http1::{HeadScanner, Scan, encode_request, parse_response};
use flowgate_wire::limits::INTERIM_RESPONSES_MAX;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::EgressError;
use crate::limits::HEAD_READ_BYTES;

/// Asks for a tunnel to `server`; the stream that is given begins with the server's first byte.
pub(super) async fn open_tunnel(
    mut io: BoxIo,
    server: &Address,
    authorization: Option<&[u8]>,
    send_host: bool,
) -> Result<BoxIo, EgressError> {
    let target = server.to_string();
    let mut headers = Headers::new();
    if send_host {
        headers.push("Host", &target);
    }
    if let Some(authorization) = authorization {
        headers.push("Proxy-Authorization", authorization);
    }
    let mut request = BytesMut::new();
    encode_request(b"CONNECT", target.as_bytes(), &HttpVersion::Http11, &headers, &mut request)?;
    io.write_all(&request).await?;
    io.flush().await?;

    let mut read = BytesMut::with_capacity(HEAD_READ_BYTES);
    let mut scanner = HeadScanner::default();
    // Interim responses come before the final one.
    for _ in 0..=INTERIM_RESPONSES_MAX {
        let head = read_head(&mut io, &mut read, &mut scanner).await?;
        let head = parse_response(head)?;
        match head.status {
            100..200 if head.status != 101 => {}
            200..300 if read.is_empty() => return Ok(io),
            200..300 => return Ok(Box::new(Rewound::new(read.into(), io))),
            status => return Err(EgressError::Status { status, reason: head.reason }),
        }
    }
    Err(EgressError::TooManyInterim)
}

async fn read_head(
    io: &mut BoxIo,
    read: &mut BytesMut,
    scanner: &mut HeadScanner,
) -> Result<Bytes, EgressError> {
    loop {
        if let Scan::Head(len) = scanner.scan(read)? {
            return Ok(read.split_to(len).freeze());
        }
        read.reserve(HEAD_READ_BYTES);
        if io.read_buf(read).await? == 0 {
            return Err(EgressError::Closed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    /// What is sent, and what comes of this answer: what follows the tunnel's begin, or the error.
    async fn asked(answer: &[u8], authorization: Option<&[u8]>, send_host: bool) -> (String, String) {
        let (ours, mut theirs) = duplex(256 * 1024);
        theirs.write_all(answer).await.unwrap();
        theirs.shutdown().await.unwrap();
        let server = Address { host: "::1".into(), port: 443 };
        let tunnel = open_tunnel(Box::new(ours), &server, authorization, send_host).await;
        let outcome = match tunnel {
            Err(error) => format!("error: {error}"),
            Ok(mut io) => {
                let mut rest = String::new();
                io.read_to_string(&mut rest).await.unwrap();
                rest
            }
        };
        let mut sent = String::new();
        theirs.read_to_string(&mut sent).await.unwrap();
        (sent, outcome)
    }

    #[tokio::test]
    async fn what_is_sent() {
        let ok = b"HTTP/1.1 200 OK\r\n\r\n";
        let sent = asked(ok, Some(b"Basic eA=="), true).await.0;
        assert_eq!(
            sent,
            "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\nProxy-Authorization: Basic eA==\r\n\r\n"
        );
        assert_eq!(asked(ok, None, false).await.0, "CONNECT [::1]:443 HTTP/1.1\r\n\r\n");
    }

    #[tokio::test]
    async fn what_is_made_of_answers() {
        let table: &[(&[u8], &str)] = &[
            (b"HTTP/1.1 200 Connection established\r\n\r\n", ""),
            (b"HTTP/1.0 299 \r\nContent-Length: 5\r\n\r\n220 hello", "220 hello"),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx", "x"),
            (b"HTTP/1.1 407 Who?\r\n\r\npage", "error: answered CONNECT with 407 Who?"),
            (b"HTTP/1.1 503\r\n\r\n", "error: answered CONNECT with 503"),
            (b"HTTP/1.1 101 Switching\r\n\r\n", "error: answered CONNECT with 101 Switching"),
            (b"HTTP/1.1 200", "error: closed the connection before it answered"),
            (b"", "error: closed the connection before it answered"),
            (
                b"SSH-2.0-x\r\n\r\n",
                "error: its answer to CONNECT is not HTTP/1: HTTP version is not 1.0 or 1.1",
            ),
        ];
        for (answer, expected) in table {
            assert_eq!(asked(answer, None, true).await.1, *expected, "{}", String::from_utf8_lossy(answer));
        }
        let long = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 70_000]].concat();
        let outcome = asked(&long, None, true).await.1;
        assert_eq!(outcome, "error: its answer to CONNECT is not HTTP/1: head longer than 65536 bytes");
        let interim = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(INTERIM_RESPONSES_MAX + 1);
        assert_eq!(asked(&interim, None, true).await.1, "error: sent too many interim responses");
    }
}
