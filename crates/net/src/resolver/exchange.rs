//! One question to one name server, and its answer: by UDP, and by TCP if a datagram is too small for it (RFC 1035 section 4.2).
//!
//! Each question has a socket of its own that takes datagrams from the server alone, and a number that cannot be guessed: whoever
//! wants to answer in the server's place has to guess both that and the port (RFC 5452).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use flowgate_flow::{DnsMessage, DnsQuestion};
use flowgate_wire::dns::{DnsEncodeError, DnsError, decode, encode};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::answer::Answer;

/// The class of the Internet.
pub(super) const IN: u16 = 1;
/// How long an answer by UDP may be. We do not offer to take more than 512 bytes (RFC 1035 section 4.2.1); some send more.
const DATAGRAM_BYTES_MAX: usize = 4096;

/// A question.
#[derive(Debug)]
pub(super) struct Query {
    message: DnsMessage,
    bytes: Vec<u8>,
}

/// Why a server did not answer.
#[derive(Debug, Error)]
pub(super) enum AskError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] DnsError),
    #[error("what it answers is no answer to the question")]
    Other,
}

impl Query {
    pub(super) fn new(name: &str, kind: u16) -> Result<Self, DnsEncodeError> {
        let question = DnsQuestion { name: name.to_owned(), kind, class: IN };
        let message = DnsMessage::query(random_id(), question);
        let bytes = encode(&message)?;
        // Spelled as it will be in the answer.
        let message = decode(&bytes).unwrap_or(message);
        Ok(Self { message, bytes })
    }

    pub(super) const fn id(&self) -> u16 {
        self.message.id
    }

    pub(super) fn name(&self) -> &str {
        self.message.questions.first().map_or("", |question| &question.name)
    }

    pub(super) fn kind(&self) -> u16 {
        self.message.questions.first().map_or(0, |question| question.kind)
    }
}

/// A number from 0 to 65,535 that nobody can guess.
fn random_id() -> u16 {
    let mut bytes = [0; 2];
    // The system has random numbers from the time that it starts programs.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u16::from_ne_bytes(bytes)
}

/// Asks, and waits for the answer for as long as the caller does.
pub(super) async fn ask(server: SocketAddr, query: &Query) -> Result<Answer, AskError> {
    let answer = ask_udp(server, query).await?;
    if answer.is_cut() { ask_tcp(server, query).await } else { Ok(answer) }
}

async fn ask_udp(server: SocketAddr, query: &Query) -> Result<Answer, AskError> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(&query.bytes).await?;
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let len = socket.recv(&mut buffer).await?;
        // What is no answer may be from somebody who wants to keep us from waiting for it.
        let message = buffer.get(..len).and_then(|bytes| decode(bytes).ok());
        if let Some(answer) = message.and_then(|message| Answer::to(query, message)) {
            return Ok(answer);
        }
    }
}

async fn ask_tcp(server: SocketAddr, query: &Query) -> Result<Answer, AskError> {
    let mut stream = TcpStream::connect(server).await?;
    // A question is far from 65,535 bytes long.
    let length = (query.bytes.len() as u16).to_be_bytes();
    stream.write_all(&[&length[..], &query.bytes].concat()).await?;
    let mut message = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut message).await?;
    Answer::to(query, decode(&message)?).ok_or(AskError::Other)
}
