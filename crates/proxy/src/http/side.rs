//! The two sides of an HTTP exchange, whatever version they speak.
//!
//! An exchange reads and writes both sides from one task, without splitting streams or handing messages through
//! channels: so the traits are poll-based, and `send_*` only queues what `poll_flush` carries out.

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use flowgate_flow::{Headers, Request, Response};
use flowgate_wire::http1::{BodyError, BodyEvent, EncodeError, Framing, HeadError};
use flowgate_wire::http2::semantics::MessageError;
use flowgate_wire::http2::{self, By, Code, OpenError, Reset};
use thiserror::Error;

use crate::limits::CLIENT_HEADER_TIMEOUT;

/// The side that connected to us: gives a request's body, takes a response.
pub(crate) trait ClientSide {
    /// The next piece of the request's body.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, SideError>>;
    /// Queues an interim (1xx) response.
    fn send_interim(&mut self, head: &Response) -> Result<(), SideError>;
    /// Queues the head of the final response. `framing` is how its body comes from the server; fields that delimit a body
    /// are changed in `head` where this side needs others.
    fn send_response(&mut self, head: &mut Response, framing: Framing) -> Result<(), SideError>;
    /// Queues the head of a response that switches to another protocol, which the server agreed to ([`ServerSide::has_switched`]):
    /// what follows is no body, and no end of the response is sent.
    fn send_switch(&mut self, head: &mut Response) -> Result<(), SideError> {
        self.send_response(head, Framing::None)
    }
    /// Ready when another piece may be queued.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>>;
    /// Queues a piece of the response's body.
    fn send_data(&mut self, data: Bytes) -> Result<(), SideError>;
    /// Queues the end of the response.
    fn send_end(&mut self, trailers: Option<&Headers>) -> Result<(), SideError>;
    /// Ready when all that was queued is with the operating system.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>>;
    /// Queues a response of our own, whole. No body for HEAD.
    fn send_own(&mut self, head: &Response, body: Bytes) -> Result<(), SideError>;
    /// Ready if the client is known to be gone, so that nobody waits for the response. A half-closed client is not.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<SideError>;
    /// How many bytes of its connection the client has taken, if that is known and nobody else's bytes are among them.
    fn bytes_taken(&self) -> Option<u64> {
        None
    }
    /// Gives back what memory it can: the client keeps us waiting, maybe for long.
    fn leave_memory(&mut self) {}
    /// Whether the client sees the end of the response by the end of its connection only, so that nothing may follow.
    fn ends_with_response(&self) -> bool;
    /// Whether the rest of a request can be declined without harm to anything else (HTTP/2, RFC 9113 section 8.1).
    fn declines_by_itself(&self) -> bool {
        false
    }
    /// Whether a reset of the server's can be carried across to it.
    fn takes_resets(&self) -> bool {
        false
    }
    /// Makes it visible that the response broke off: never a clean end. `code` is why, where that can be said.
    fn abort(&mut self, code: Code);
    /// The same where it is not certain that something is missing: what was sent shall arrive.
    fn leave_unclosed(&mut self);
    /// The raw bytes of what was refused, at most `REFUSED_BYTES_MAX` of them; empty if nothing was.
    fn take_refused(&mut self) -> Bytes;
}

/// The side we connect to: takes a request, gives a response.
pub(crate) trait ServerSide {
    /// Queues a request's head; `framing` is how its body comes from the client.
    fn send_request(&mut self, head: &mut Request, framing: Framing) -> Result<(), SideError>;
    /// Ready when another piece may be queued.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>>;
    /// Queues a piece of the request's body.
    fn send_data(&mut self, data: Bytes) -> Result<(), SideError>;
    /// Queues the end of the request.
    fn send_end(&mut self, trailers: Option<&Headers>) -> Result<(), SideError>;
    /// Ready when all that was queued is with the operating system.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>>;
    /// The next head: interim ones, then the final one, with how its body is delimited.
    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Response, Framing), SideError>>;
    /// Whether the response that came agrees to another protocol, as was asked.
    fn has_switched(&self) -> bool {
        false
    }
    /// The next piece of the final response's body.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, SideError>>;
    /// Whether it is no server but an answer of our own.
    fn is_own(&self) -> bool {
        false
    }
    /// Gives back what memory it can: the client keeps us waiting, maybe for long.
    fn leave_memory(&mut self) {}
    /// Ready if the server, which has answered, will not read the rest of the request: it said so, or ended.
    fn poll_declines(&mut self, cx: &mut Context<'_>) -> Poll<()>;
    /// Ends the request before its end, so that the server notices; `code` is why, where that can be said.
    fn abort(&mut self, code: Code);
    /// The raw bytes of what was refused, at most `REFUSED_BYTES_MAX` of them; empty if nothing was.
    fn take_refused(&mut self) -> Bytes;
}

/// What went wrong on one side.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum SideError {
    /// The peer closed where it should not have.
    #[error("connection closed")]
    Closed,
    /// TLS ended without `close_notify` under a body that ends with the connection: nobody knows if it is whole (RFC 9112
    /// section 9.8).
    #[error("TLS ended without close_notify, so the body may not be whole")]
    Unclosed,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What should be a head is none, or an ambiguous one.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The body cannot be delimited, or broke off.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// What we were to send may not be sent.
    #[error("refused to send: {0}")]
    Encode(#[from] EncodeError),
    /// The HTTP/2 connection failed.
    #[error(transparent)]
    H2(#[from] http2::Error),
    /// The HTTP/2 stream was reset.
    #[error(transparent)]
    Reset(Reset),
    /// The HTTP/2 connection took no other stream after all.
    #[error(transparent)]
    NotOpened(#[from] OpenError),
    /// An HTTP/2 message is malformed, or would be.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The server's version of HTTP has no words for the request.
    #[error("the request cannot be sent: {0}")]
    Unsendable(MessageError),
    /// More interim responses than `INTERIM_RESPONSES_MAX`.
    #[error("too many interim responses")]
    TooManyInterim,
    /// 101 before the request was sent whole.
    #[error("switched protocols inside the request")]
    EarlyUpgrade,
    /// A head was begun and not finished within `CLIENT_HEADER_TIMEOUT`.
    #[error("the request was not sent within {} s", CLIENT_HEADER_TIMEOUT.as_secs())]
    HeadTimeout,
    /// A body that was held, or one of our own, cannot be stored or read.
    #[error("a body that was held: {0}")]
    Held(io::Error),
    /// An addon cuts the body off after so many bytes.
    #[error("cut off after {0} bytes, as an addon asked")]
    CutOff(u64),
    /// 101 although no upgrade was asked for (RFC 9110 section 15.2.2).
    #[error("switched to a protocol that nobody asked for")]
    UnexpectedUpgrade,
    /// 101 whose `Sec-WebSocket-Accept` does not answer our key: not from who read the request (RFC 6455 section 4.1).
    #[error("did not prove that it read the handshake of the WebSocket (Sec-WebSocket-Accept)")]
    UnprovenUpgrade,
    /// 2xx to an upgrade that was an extended CONNECT, where it would mean that the server agreed.
    #[error("answered {0} instead of switching to a WebSocket")]
    NoUpgrade(u16),
}

impl SideError {
    /// Whether the peer sent what may not be sent, so that its bytes say more than the error does.
    pub(crate) const fn is_malformed(&self) -> bool {
        match self {
            Self::Body(BodyError::Cut) => false,
            Self::Head(_)
            | Self::Body(_)
            | Self::TooManyInterim
            | Self::UnexpectedUpgrade
            | Self::UnprovenUpgrade
            | Self::NoUpgrade(_)
            | Self::Message(_)
            | Self::EarlyUpgrade => true,
            Self::Io(_)
            | Self::Closed
            | Self::Unclosed
            | Self::Encode(_)
            | Self::H2(_)
            | Self::Reset(_)
            | Self::NotOpened(_)
            | Self::Held(_)
            | Self::CutOff(_)
            | Self::Unsendable(_)
            | Self::HeadTimeout => false,
        }
    }

    /// Whether neither peer has anything to do with it.
    pub(crate) const fn is_ours(&self) -> bool {
        matches!(self, Self::Held(_) | Self::CutOff(_))
    }

    /// With which code the other side is told, if it speaks HTTP/2.
    pub(crate) const fn code(&self) -> Code {
        match self {
            Self::Reset(Reset { by: By::Peer, code, .. }) => *code,
            Self::Reset(Reset { by: By::GoAway, .. }) => Code::REFUSED_STREAM,
            _ => Code::INTERNAL_ERROR,
        }
    }

    /// With which code the side itself is told.
    pub(crate) const fn code_for_itself(&self) -> Code {
        match self {
            Self::Message(_) => Code::PROTOCOL_ERROR,
            _ => Code::CANCEL,
        }
    }

    /// Whether a server will have HTTP/1.1: it says so (RFC 9113 section 7), or it speaks nothing else.
    pub(crate) fn requires_http1(&self) -> bool {
        match self {
            Self::Reset(reset) => reset.by == By::Peer && reset.code == Code::HTTP_1_1_REQUIRED,
            Self::H2(error) => error.code == Code::HTTP_1_1_REQUIRED,
            _ => false,
        }
    }

    /// Whether it is certain that a server did nothing with the request (RFC 9113 section 8.7).
    pub(crate) fn was_unprocessed(&self) -> bool {
        match self {
            Self::Reset(reset) => reset.was_unprocessed(),
            Self::NotOpened(_) => true,
            _ => false,
        }
    }
}
