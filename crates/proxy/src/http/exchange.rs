//! One request and its response, between any two versions: the body up and the body down at the same time, each piece
//! as soon as it is there and no faster than the other side takes it.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use flowgate_flow::{Phase, Request, Response, Side};
use flowgate_wire::http1::{BodyEvent, Framing};

use super::failure::{Cause, Failure};
use super::forward::remove_connection_fields;
use super::side::{ClientSide, ServerSide, SideError};
use crate::addon::Notes;
use crate::clock;
use crate::idle::IdleTimer;
use crate::record::BodyRecorder;

/// An exchange under way, and what is recorded of it.
pub(crate) struct Exchange {
    pub(crate) request: Request,
    request_framing: Framing,
    request_body: BodyRecorder,
    pub(crate) response: Option<Response>,
    response_body: BodyRecorder,
    /// A body of more bytes ends the exchange.
    pub(crate) body_bytes_max: u64,
    /// The raw bytes of what ended it, if it was a malformed message.
    pub(crate) refused: Bytes,
    /// What addons noted on the flow.
    pub(crate) notes: Notes,
    up: Up,
    down: Down,
    /// An interim response was passed on.
    interim: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Up {
    Body,
    Done,
    /// The server takes no more; what it has to say is still awaited.
    Refused,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Down {
    Head,
    Body,
    Done,
}

impl Exchange {
    /// An exchange that has not begun. Bodies up to `kept_max` bytes are recorded.
    pub(crate) fn new(request: Request, framing: Framing, kept_max: u64) -> Self {
        Self {
            request,
            request_framing: framing,
            request_body: BodyRecorder::new(kept_max),
            response: None,
            response_body: BodyRecorder::new(kept_max),
            body_bytes_max: u64::MAX,
            refused: Bytes::new(),
            notes: Notes::default(),
            up: if framing == Framing::None { Up::Done } else { Up::Body },
            down: Down::Head,
            interim: false,
        }
    }

    /// Whether nothing of the request's body was taken from the client and nothing came back: it could be sent once more.
    pub(crate) fn is_untouched(&self) -> bool {
        let nothing_came = self.response.is_none() && !self.interim && self.refused.is_empty();
        self.request_framing == Framing::None && nothing_came
    }

    /// Whether the client has the whole response.
    pub(crate) fn is_answered_whole(&self) -> bool {
        self.down == Down::Done
    }

    /// Fails if the request says that it is too large, so that no server is troubled with it.
    pub(crate) const fn check_announced_size(&self) -> Result<(), Failure> {
        match self.request_framing {
            Framing::Length(length) if length > self.body_bytes_max => {
                Err(self.too_large(Side::Client, Phase::Head))
            }
            _ => Ok(()),
        }
    }

    /// Whether the client was told anything yet.
    pub(crate) const fn has_answered(&self) -> bool {
        self.response.is_some()
    }

    /// Whether the request was not sent whole, although the response is complete.
    pub(crate) fn left_body_unread(&self) -> bool {
        self.up != Up::Done
    }

    /// Runs the exchange to its end.
    pub(crate) async fn run(
        &mut self,
        client: &mut impl ClientSide,
        server: &mut impl ServerSide,
        idle: &mut IdleTimer,
        idle_limit: Duration,
    ) -> Result<(), Failure> {
        server
            .send_request(&mut self.request, self.request_framing)
            .map_err(|err| Failure::on_server(Phase::Head, err))?;
        if self.up == Up::Done {
            self.request.timestamp_end = Some(clock::now());
            server.send_end(None).map_err(|err| Failure::on_server(Phase::Head, err))?;
        }
        idle.touch();
        let mut moved = false;
        let result = poll_fn(|cx| {
            let step = self.poll(cx, client, server, &mut moved);
            if std::mem::take(&mut moved) {
                idle.touch();
            }
            if step.is_pending() && idle.poll_idle(cx).is_ready() {
                let phase = if self.down == Down::Head { Phase::Head } else { Phase::Body };
                return Poll::Ready(Err(Failure {
                    side: Side::Server,
                    phase,
                    cause: Cause::Idle(idle_limit),
                }));
            }
            step
        })
        .await;
        self.keep_bodies();
        if let Err(failure) = &result {
            self.refused = match failure.side {
                Side::Client => client.take_refused(),
                _ => server.take_refused(),
            };
        }
        result
    }

    /// Puts what was recorded of the bodies into the messages.
    pub(crate) fn keep_bodies(&mut self) {
        self.request.body = self.request_body.finish();
        if let Some(response) = &mut self.response {
            response.body = self.response_body.finish();
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl ClientSide,
        server: &mut impl ServerSide,
        moved: &mut bool,
    ) -> Poll<Result<(), Failure>> {
        self.poll_up(cx, client, server, moved)?;
        self.poll_down(cx, client, server, moved)?;
        let flushed = client.poll_flush(cx).map_err(|err| Failure::on_client(self.phase_down(), err))?;
        if self.down == Down::Done {
            // Otherwise the rest of the request is still carried over, as the server let us expect that it reads on.
            let over = flushed.is_ready() && !self.carries_on(cx, client, server);
            return if over { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        if self.up != Up::Body
            && let Poll::Ready(err) = client.poll_gone(cx)
        {
            return Poll::Ready(Err(Failure::on_client(self.phase_down(), err)));
        }
        Poll::Pending
    }

    /// Whether the rest of a request is worth sending although its response is complete: a server that says nothing of closing
    /// reads it to its end (RFC 9110 section 10.1.1), and then both connections can be used again.
    fn carries_on(
        &self,
        cx: &mut Context<'_>,
        client: &impl ClientSide,
        server: &mut impl ServerSide,
    ) -> bool {
        self.up == Up::Body
            && !client.ends_with_response()
            && !self.waits_for_leave()
            && server.poll_declines(cx).is_pending()
    }

    /// Whether the client will send its body when it is asked to, which nobody did.
    fn waits_for_leave(&self) -> bool {
        let asks = |value: &[u8]| value.eq_ignore_ascii_case(b"100-continue");
        self.request_body.is_empty() && !self.interim && self.request.headers.get_all("expect").any(asks)
    }

    fn poll_up(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl ClientSide,
        server: &mut impl ServerSide,
        moved: &mut bool,
    ) -> Result<(), Failure> {
        while self.up == Up::Body {
            match server.poll_room(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(_)) => {
                    self.up = Up::Refused;
                    break;
                }
                Poll::Ready(Ok(())) => {}
            }
            let event = match client.poll_body(cx) {
                Poll::Pending => break,
                Poll::Ready(event) => event.map_err(|err| Failure::on_client(Phase::Body, err))?,
            };
            *moved = true;
            let sent = match event {
                BodyEvent::NeedMore => break,
                BodyEvent::Data(data) => {
                    self.request_body.push(&data);
                    if self.request_body.len() > self.body_bytes_max {
                        return Err(self.too_large(Side::Client, Phase::Body));
                    }
                    server.send_data(data)
                }
                BodyEvent::End(trailers) => {
                    self.request.timestamp_end = Some(clock::now());
                    let sent = server.send_end(trailers.as_ref());
                    self.request.trailers = trailers;
                    self.up = Up::Done;
                    sent
                }
            };
            if sent.is_err() {
                self.up = Up::Refused;
            }
        }
        // A server that closed its ears may still have spoken: what it says decides, not that it stopped listening.
        if let Poll::Ready(Err(_)) = server.poll_flush(cx)
            && self.up == Up::Body
        {
            self.up = Up::Refused;
        }
        Ok(())
    }

    fn poll_down(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl ClientSide,
        server: &mut impl ServerSide,
        moved: &mut bool,
    ) -> Result<(), Failure> {
        while self.down == Down::Head {
            let (mut head, framing) = match server.poll_response(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(head) => head.map_err(|err| Failure::on_server(Phase::Head, err))?,
            };
            *moved = true;
            remove_connection_fields(&mut head.headers);
            if head.status < 200 && head.status != 101 {
                client.send_interim(&head).map_err(|err| Failure::on_server(Phase::Head, err))?;
                self.interim = true;
                continue;
            }
            if head.status == 101 && self.up != Up::Done {
                // What is left of the request's body would be taken for the other protocol's.
                return Err(Failure::on_server(Phase::Head, SideError::EarlyUpgrade));
            }
            if matches!(framing, Framing::Length(length) if length > self.body_bytes_max) {
                return Err(self.too_large(Side::Server, Phase::Head));
            }
            client.send_response(&mut head, framing).map_err(|err| Failure::on_server(Phase::Head, err))?;
            self.response = Some(head);
            self.down = Down::Body;
            if framing == Framing::None {
                self.end_of_response(client, None)?;
            }
        }
        while self.down == Down::Body {
            match client.poll_room(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(room) => room.map_err(|err| Failure::on_client(Phase::Body, err))?,
            }
            let event = match server.poll_body(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(event) => event.map_err(|err| Failure::on_server(Phase::Body, err))?,
            };
            *moved = true;
            match event {
                BodyEvent::NeedMore => return Ok(()),
                BodyEvent::Data(data) => {
                    self.response_body.push(&data);
                    if self.response_body.len() > self.body_bytes_max {
                        return Err(self.too_large(Side::Server, Phase::Body));
                    }
                    client.send_data(data).map_err(|err| Failure::on_client(Phase::Body, err))?;
                }
                BodyEvent::End(trailers) => self.end_of_response(client, trailers)?,
            }
        }
        Ok(())
    }

    fn end_of_response(
        &mut self,
        client: &mut impl ClientSide,
        trailers: Option<flowgate_flow::Headers>,
    ) -> Result<(), Failure> {
        client.send_end(trailers.as_ref()).map_err(|err| Failure::on_server(Phase::Body, err))?;
        if let Some(response) = &mut self.response {
            response.trailers = trailers;
            response.timestamp_end = Some(clock::now());
        }
        self.down = Down::Done;
        Ok(())
    }

    const fn too_large(&self, side: Side, phase: Phase) -> Failure {
        Failure { side, phase, cause: Cause::TooLarge(self.body_bytes_max) }
    }

    const fn phase_down(&self) -> Phase {
        match self.down {
            Down::Head => Phase::Head,
            Down::Body | Down::Done => Phase::Body,
        }
    }
}

#[cfg(test)]
mod tests;
