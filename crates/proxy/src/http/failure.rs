//! An exchange that failed: what a person reads of it, what the client is answered, and whether it may be tried again. No more
//! than tables: `service` acts on them.

use std::time::Duration;

use flowgate_flow::{FlowError, Phase, Side};
use flowgate_wire::http1::BodyError;
use flowgate_wire::http2::{By, Code, Reset};

use super::exchange::Exchange;
use super::side::SideError;
use super::slow_client::Waits;
use crate::clock;
use crate::limits::{CLIENT_PROGRESS_BYTES_MIN, CLIENT_TAKEN_BYTES_MIN};

/// Why an exchange ended before its end.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Whose fault it is.
    pub(crate) side: Side,
    /// How far it had come.
    pub(crate) phase: Phase,
    pub(crate) cause: Cause,
}

#[derive(Debug)]
pub(crate) enum Cause {
    /// One side failed.
    Side(SideError),
    /// Nothing moved for so long.
    Idle(Duration),
    /// That side's body is longer than so many bytes (mitmproxy: `body_size_limit`).
    TooLarge(u64),
    /// The client sends its body, or takes the response, so slowly that it all but stands still.
    TooSlow(Waits, Duration),
    /// The addon of this name panicked.
    Addon(String),
    /// An addon ended the flow.
    Killed,
    /// No failure: an addon answered instead of the server.
    Answered,
}

impl Failure {
    pub(crate) const fn on_server(phase: Phase, err: SideError) -> Self {
        let side = if err.is_ours() { Side::Proxy } else { Side::Server };
        Self { side, phase, cause: Cause::Side(err) }
    }

    pub(crate) const fn on_client(phase: Phase, err: SideError) -> Self {
        let side = if err.is_ours() { Side::Proxy } else { Side::Client };
        Self { side, phase, cause: Cause::Side(err) }
    }

    /// Whether there is nobody left to be answered.
    pub(crate) fn is_client_gone(&self) -> bool {
        self.side == Side::Client
            && !matches!(self.cause, Cause::TooLarge(_) | Cause::TooSlow(Waits::ToSend(_), _))
            && self.malformed_body().is_none()
    }

    /// Whether an addon ended the flow: the client is told nothing.
    pub(crate) const fn is_kill(&self) -> bool {
        matches!(self.cause, Cause::Killed)
    }

    /// Whether what was sent to the client may be all there is, and nobody knows.
    pub(crate) const fn is_doubt(&self) -> bool {
        matches!(self.cause, Cause::Side(SideError::Unclosed))
    }

    /// With which code the client is told, if it speaks HTTP/2.
    pub(crate) const fn code_for_client(&self) -> Code {
        match (&self.cause, self.side) {
            (Cause::Side(err), Side::Client) => err.code_for_itself(),
            (Cause::Side(err), _) => err.code(),
            (Cause::TooLarge(_), Side::Client) | (Cause::TooSlow(..) | Cause::Killed, _) => Code::CANCEL,
            (Cause::Idle(_) | Cause::TooLarge(_) | Cause::Addon(_) | Cause::Answered, _) => {
                Code::INTERNAL_ERROR
            }
        }
    }

    /// With which code the server is told, if it speaks HTTP/2.
    pub(crate) const fn code_for_server(&self) -> Code {
        match (&self.cause, self.side) {
            (Cause::Side(SideError::Reset(Reset { by: By::Peer, code, .. })), Side::Client) => *code,
            (Cause::Side(err), Side::Server) => err.code_for_itself(),
            _ => Code::CANCEL,
        }
    }

    /// The code with which the server reset the stream, if it did. One that it left out by GOAWAY it has not looked at, which a client
    /// learns so too (RFC 9113 section 8.7).
    pub(crate) fn carried_reset(&self) -> Option<Code> {
        match &self.cause {
            Cause::Side(SideError::Reset(reset)) if self.side == Side::Server => match reset.by {
                By::Peer => Some(reset.code),
                By::GoAway => Some(Code::REFUSED_STREAM),
                By::Us => None,
            },
            _ => None,
        }
    }

    /// Whether it is certain that the server did nothing with the request.
    pub(crate) fn was_unprocessed(&self) -> bool {
        self.side == Side::Server && matches!(&self.cause, Cause::Side(err) if err.was_unprocessed())
    }

    /// Whether the request is one that HTTP/2 calls malformed (RFC 9113 section 8.1.1).
    pub(crate) const fn is_malformed_request(&self) -> bool {
        matches!((&self.cause, self.side), (Cause::Side(SideError::Message(_)), Side::Client))
    }

    /// Whether the server will have HTTP/1.1 for this request.
    pub(crate) fn requires_http1(&self) -> bool {
        self.side == Side::Server && matches!(&self.cause, Cause::Side(err) if err.requires_http1())
    }

    /// The error of its flow; `answered` if the client was told anything yet.
    pub(crate) fn flow_error(&self, answered: bool) -> FlowError {
        let message = self.message(answered);
        FlowError { message, timestamp: clock::now(), side: Some(self.side), phase: Some(self.phase) }
    }

    /// The status that tells a client: 400 or 413 for its own fault, 502 for the server's, 504 after silence.
    pub(crate) const fn status(&self) -> u16 {
        match (&self.cause, self.side) {
            (Cause::TooLarge(_), Side::Client) => 413,
            (Cause::TooSlow(..), _) => 408,
            (_, Side::Client) if self.malformed_body().is_some() => 400,
            (Cause::Side(SideError::Unsendable(err)), _) => err.status(),
            (Cause::Idle(_), _) => 504,
            _ => 502,
        }
    }

    fn message(&self, answered: bool) -> String {
        match (&self.cause, self.side) {
            (Cause::Idle(limit), _) => format!("nothing was sent or received for {} s", limit.as_secs()),
            (Cause::TooSlow(Waits::ToSend(_), within), _) => format!(
                "The request was refused: within {} s less than {CLIENT_PROGRESS_BYTES_MIN} bytes of its body came.",
                within.as_secs()
            ),
            (Cause::TooSlow(Waits::ToTake, within), _) => format!(
                "client: within {} s it took less than {CLIENT_TAKEN_BYTES_MIN} bytes of what was sent to it",
                within.as_secs()
            ),
            (Cause::TooLarge(limit), Side::Client) => {
                format!("The request was refused: its body is longer than body_size_limit, {limit} bytes.")
            }
            (Cause::TooLarge(limit), _) => {
                format!("server: the response's body is longer than body_size_limit, {limit} bytes")
            }
            (Cause::Side(SideError::Message(err)), Side::Client) => {
                format!("The request was refused: {err}.")
            }
            (Cause::Side(SideError::Reset(reset)), Side::Client) => format!("client: {reset}"),
            (Cause::Side(_), Side::Client) => match self.malformed_body() {
                Some(err) => format!("The request was refused: {err}."),
                None => "Client disconnected.".to_owned(),
            },
            (Cause::Side(SideError::Closed), _) if answered => {
                "server closed the connection inside the response".to_owned()
            }
            (Cause::Side(SideError::Closed), _) => {
                "server closed the connection before it answered".to_owned()
            }
            (Cause::Addon(addon), _) => format!("addon {addon} failed on this flow (a panic)"),
            (Cause::Killed | Cause::Answered, _) => "Connection killed.".to_owned(),
            (Cause::Side(err), Side::Proxy) => err.to_string(),
            (Cause::Side(err @ SideError::Unsendable(_)), _) => err.to_string(),
            (Cause::Side(err), _) => format!("server: {err}"),
        }
    }

    /// What is wrong with a body that does not keep to its framing; its sender is still there to be told.
    const fn malformed_body(&self) -> Option<&BodyError> {
        match &self.cause {
            Cause::Side(SideError::Body(BodyError::Cut)) => None,
            Cause::Side(SideError::Body(err)) => Some(err),
            _ => None,
        }
    }
}

/// Whether a request that failed on a connection that was used before may be sent again, on a new one: the server may have
/// closed that connection while the request was on its way (RFC 9110 section 9.2.2). Only safe methods, with no body, of which
/// nothing came back; PUT and DELETE could be repeated by the letter of the RFC, but who looks on would see two.
pub(crate) fn may_try_again(exchange: &Exchange, failure: &Failure) -> bool {
    let safe = matches!(exchange.request.method.as_ref(), b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE");
    let lost = matches!(&failure.cause, Cause::Side(SideError::Closed | SideError::Io(_)));
    failure.side == Side::Server && failure.phase == Phase::Head && lost && safe && exchange.is_untouched()
}

#[cfg(test)]
mod tests;
