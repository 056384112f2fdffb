//! One request and its response, between any two versions: the body up and the body down at the same time, each piece
//! as soon as it is there and no faster than the other side takes it.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use flowgate_flow::{Phase, Request, Response, Side};
use flowgate_wire::http1::{BodyEvent, Framing};

use super::body_way::Collected;
use super::failure::{Cause, Failure};
use super::forward::remove_connection_fields;
use super::hooked::Hooked;
use super::side::{ClientSide, ServerSide, SideError};
use super::slow_client::{Due, SlowClient, Waits};
use super::telling::Telling;
use crate::clock;
use crate::idle::IdleTimer;
use crate::limits::{CLIENT_PROGRESS_TIMEOUT, REST_SILENCE_MAX, UNSENT_REST_SILENCE_MAX};
use crate::record::BodyRecorder;

/// An exchange under way, and what is recorded of it.
pub(crate) struct Exchange {
    pub(crate) request: Request,
    /// How the request's body is delimited when it is sent.
    pub(super) request_framing: Framing,
    request_body: BodyRecorder,
    pub(crate) response: Option<Response>,
    response_body: BodyRecorder,
    /// A body of more bytes ends the exchange.
    pub(crate) body_bytes_max: u64,
    /// The raw bytes of what ended it, if it was a malformed message.
    pub(crate) refused: Bytes,
    /// What addons have to do with it, if there are any.
    pub(super) hooked: Option<Box<Hooked>>,
    /// Who is told of messages inside the bodies.
    pub(super) telling: Option<Box<Telling>>,
    pub(super) up: Up,
    pub(super) down: Down,
    /// An interim response was passed on.
    interim: bool,
    /// The client was told something of the response.
    answered: bool,
    /// What the client was told is that another protocol follows.
    switched: bool,
    /// A hook is due before anything moves on.
    pause: Option<Pause>,
    /// What there is to be waited for of the client.
    keeps_waiting: KeepsWaiting,
    /// How much of the request's body came.
    came: u64,
    /// How long a client may all but stand still.
    pub(crate) slow_client_timeout: Option<Duration>,
    /// Looks after a client that keeps us waiting, once one did.
    slow: Option<Box<SlowClient>>,
    /// How long we still wait for the rest of a request that was answered already, if we wait for it.
    rest: Option<Box<IdleTimer>>,
}

/// What a client does that the exchange waits for.
#[derive(Clone, Copy, Eq, PartialEq)]
enum KeepsWaiting {
    Nothing,
    /// It sends its body.
    Sends,
    /// It takes the response.
    Takes,
}

/// Why an exchange stands still.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pause {
    /// It is over.
    Over,
    /// The request was sent but for its end.
    RequestEnd,
    /// The head of the response is there.
    ResponseHead,
    /// The response is there, or was sent but for its end.
    ResponseEnd,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Up {
    Body,
    /// Only the end is to be sent; a hook comes before.
    End,
    Done,
    /// The server takes no more; what it has to say is still awaited.
    Refused,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Down {
    Head,
    /// An addon needs the whole body before the head is sent.
    Collect,
    /// The head is to be sent; a hook comes before.
    Send,
    Body,
    /// Only the end is to be sent; a hook comes before.
    End,
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
            hooked: None,
            telling: None,
            keeps_waiting: KeepsWaiting::Nothing,
            came: 0,
            slow_client_timeout: Some(CLIENT_PROGRESS_TIMEOUT),
            slow: None,
            rest: None,
            up: if framing == Framing::None { Up::Done } else { Up::Body },
            down: Down::Head,
            interim: false,
            answered: false,
            switched: false,
            pause: None,
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
        self.answered
    }

    /// Whether both sides have switched to another protocol.
    pub(crate) const fn has_switched(&self) -> bool {
        self.switched
    }

    /// Whether the request was not sent whole, although the response is complete.
    pub(crate) fn left_body_unread(&self) -> bool {
        self.up != Up::Done
    }

    /// Runs an exchange without hooks to its end.
    pub(crate) async fn run(
        &mut self,
        client: &mut impl ClientSide,
        server: &mut impl ServerSide,
        idle: &mut IdleTimer,
        idle_limit: Duration,
    ) -> Result<(), Failure> {
        self.begin(server)?;
        let result = self.run_on(client, server, idle, idle_limit).await.map(|_| ());
        self.settle(&result, client, server);
        result
    }

    /// Sends the request's head.
    pub(super) fn begin(&mut self, server: &mut impl ServerSide) -> Result<(), Failure> {
        server
            .send_request(&mut self.request, self.request_framing)
            .map_err(|err| Failure::on_server(Phase::Head, err))?;
        if self.up == Up::Done {
            self.request.timestamp_end = self.request.timestamp_end.or_else(|| Some(clock::now()));
            server.send_end(None).map_err(|err| Failure::on_server(Phase::Head, err))?;
        }
        Ok(())
    }

    /// Keeps what was recorded, when all is over.
    pub(super) fn settle(
        &mut self,
        result: &Result<(), Failure>,
        client: &mut impl ClientSide,
        server: &mut impl ServerSide,
    ) {
        self.keep_bodies();
        if let Err(failure) = result {
            self.refused = match failure.side {
                Side::Client => client.take_refused(),
                _ => server.take_refused(),
            };
        }
    }

    /// Runs until it is over, or a hook is due.
    pub(super) async fn run_on(
        &mut self,
        client: &mut impl ClientSide,
        server: &mut impl ServerSide,
        idle: &mut IdleTimer,
        idle_limit: Duration,
    ) -> Result<Pause, Failure> {
        idle.touch();
        let mut moved = false;
        poll_fn(|cx| {
            let step = self.poll(cx, client, server, &mut moved);
            if step.is_pending() && std::mem::take(&mut moved) {
                idle.touch();
            }
            if step.is_pending()
                && let Poll::Ready(failure) = self.poll_slow(cx, client, server)
            {
                return Poll::Ready(Err(failure));
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
        .await
    }

    /// Ready if the client is so slow that it all but stands still.
    fn poll_slow(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl ClientSide,
        server: &mut impl ServerSide,
    ) -> Poll<Failure> {
        let is_announced = matches!(self.request_framing, Framing::Length(_));
        let waits = match self.keeps_waiting {
            KeepsWaiting::Takes => Some(Waits::ToTake),
            // A response that has begun may be a conversation's.
            KeepsWaiting::Sends if is_announced && self.down == Down::Head => Some(Waits::ToSend(self.came)),
            KeepsWaiting::Sends | KeepsWaiting::Nothing => None,
        };
        let Some(waits) = waits else {
            if let Some(slow) = &mut self.slow {
                slow.rest();
            }
            return Poll::Pending;
        };
        while let Poll::Ready(due) =
            self.slow
                .get_or_insert_default()
                .poll(cx, waits, self.slow_client_timeout, || client.bytes_taken())
        {
            match due {
                Due::LeaveMemory => {
                    self.request_body.leave_memory();
                    self.response_body.leave_memory();
                    client.leave_memory();
                    server.leave_memory();
                }
                Due::GiveUp if self.waits_for_leave() => {
                    self.slow.get_or_insert_default().rest();
                    return Poll::Pending;
                }
                Due::GiveUp => {
                    let within = self.slow_client_timeout.unwrap_or_default();
                    let cause = Cause::TooSlow(waits, within);
                    return Poll::Ready(Failure { side: Side::Client, phase: Phase::Body, cause });
                }
            }
        }
        Poll::Pending
    }

    /// Puts what was recorded of the bodies into the messages. What was held is there already.
    pub(crate) fn keep_bodies(&mut self) {
        let kept = self.hooked.as_ref().map(|hooked| hooked.taken()).unwrap_or_default();
        if !kept.request {
            self.request.body = self.request_body.finish();
        }
        if let Some(response) = &mut self.response
            && !kept.response
        {
            response.body = self.response_body.finish();
        }
        if let Some(hooked) = &mut self.hooked {
            hooked.keep(&mut self.request, self.response.as_mut());
        }
    }

    /// What was recorded of the request's body, which has ended.
    pub(super) fn take_request_body(&mut self) -> flowgate_flow::Body {
        self.request_body.finish()
    }

    /// What was recorded of the response's body, which has ended.
    pub(super) fn take_response_body(&mut self) -> flowgate_flow::Body {
        self.response_body.finish()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl ClientSide,
        server: &mut impl ServerSide,
        moved: &mut bool,
    ) -> Poll<Result<Pause, Failure>> {
        self.keeps_waiting = KeepsWaiting::Nothing;
        self.poll_up(cx, client, server, moved)?;
        if self.pause.is_none() {
            self.poll_down(cx, client, server, moved)?;
        }
        let flushed = client.poll_flush(cx).map_err(|err| Failure::on_client(self.phase_down(), err))?;
        if flushed.is_pending() {
            self.keeps_waiting = KeepsWaiting::Takes;
        }
        if let Some(pause) = self.pause.take() {
            return Poll::Ready(Ok(pause));
        }
        if self.down == Down::Done {
            // Otherwise the rest of the request is still carried over, as the server let us expect that it reads on.
            let over = flushed.is_ready()
                && (!self.carries_on(cx, client, server) || self.has_stopped(cx, client, server, *moved));
            return if over { Poll::Ready(Ok(Pause::Over)) } else { Poll::Pending };
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

    /// Whether the client seems to have stopped sending when it saw the response, without a word: curl does if that is an error, and
    /// then waits for the stream's end. On a connection of HTTP/1 it would end that.
    fn has_stopped(
        &mut self,
        cx: &mut Context<'_>,
        client: &impl ClientSide,
        server: &mut impl ServerSide,
        moved: bool,
    ) -> bool {
        if !client.declines_by_itself() {
            return false;
        }
        // It is not the client that we wait for if the server has no room.
        let moved = moved || server.poll_room(cx).is_pending();
        let limit = if server.is_own() { UNSENT_REST_SILENCE_MAX } else { REST_SILENCE_MAX };
        let timer = self.rest.get_or_insert_with(|| Box::new(IdleTimer::new(limit)));
        if moved {
            timer.touch();
        }
        timer.poll_idle(cx).is_ready()
    }

    /// Whether the client will send its body when it is asked to, which nobody did.
    pub(super) fn waits_for_leave(&self) -> bool {
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
        if self.up == Up::End {
            let sent = server.send_end(self.request.trailers.as_ref());
            self.up = if sent.is_ok() { Up::Done } else { Up::Refused };
        }
        while self.up == Up::Body {
            match server.poll_room(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(_)) => {
                    self.up = Up::Refused;
                    break;
                }
                Poll::Ready(Ok(())) => {}
            }
            let (came, keeps_waiting) = (&mut self.came, &mut self.keeps_waiting);
            let mut source = |cx: &mut Context<'_>| {
                let event = client.poll_body(cx);
                match &event {
                    Poll::Pending => *keeps_waiting = KeepsWaiting::Sends,
                    Poll::Ready(Ok(BodyEvent::Data(data))) => *came += data.len() as u64,
                    Poll::Ready(_) => {}
                }
                event
            };
            let event = match &mut self.hooked {
                None => source(cx),
                Some(hooked) => hooked.poll_up(cx, &mut source),
            };
            let event = match event {
                Poll::Pending => break,
                Poll::Ready(event) => event.map_err(|err| Failure::on_client(Phase::Body, err))?,
            };
            *moved = true;
            let sent = match event {
                BodyEvent::NeedMore => break,
                BodyEvent::Data(data) => {
                    if !self.hooked.as_ref().is_some_and(|hooked| hooked.whole().request) {
                        self.request_body.push(&data);
                    }
                    if let Some(telling) = &mut self.telling {
                        telling.data(true, &data, &self.request, self.response.as_ref());
                    }
                    if self.request_body.len() > self.body_bytes_max {
                        return Err(self.too_large(Side::Client, Phase::Body));
                    }
                    server.send_data(data)
                }
                BodyEvent::End(trailers) => {
                    self.request.timestamp_end = self.request.timestamp_end.or_else(|| Some(clock::now()));
                    self.request.trailers = trailers;
                    if self.hooked.as_mut().is_some_and(|hooked| hooked.due.take_request()) {
                        (self.up, self.pause) = (Up::End, Some(Pause::RequestEnd));
                        break;
                    }
                    self.up = Up::Done;
                    server.send_end(self.request.trailers.as_ref())
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
            if !self.hooked.as_ref().is_some_and(|hooked| hooked.has_own_response()) {
                remove_connection_fields(&mut head.headers);
            }
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
            if let Some(hooked) = &mut self.hooked {
                hooked.has_response(framing, &head);
                self.response = Some(head);
                self.down = Down::Send;
                if hooked.due.take_response_head() {
                    self.pause = Some(Pause::ResponseHead);
                    return Ok(());
                }
                break;
            }
            self.switched = server.has_switched();
            let sent = if self.switched {
                client.send_switch(&mut head)
            } else {
                client.send_response(&mut head, framing)
            };
            sent.map_err(|err| Failure::on_server(Phase::Head, err))?;
            self.answered = true;
            if let Some(telling) = &mut self.telling {
                telling.response(&head);
            }
            self.response = Some(head);
            self.down = Down::Body;
            if framing == Framing::None {
                self.end_of_response(client)?;
            }
        }
        if matches!(self.down, Down::Collect | Down::Send | Down::End) {
            self.poll_held(cx, client, server, moved)?;
        }
        while self.down == Down::Body {
            match client.poll_room(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(room) => room.map_err(|err| Failure::on_client(Phase::Body, err))?,
            }
            let event = match &mut self.hooked {
                None => server.poll_body(cx),
                Some(hooked) => hooked.poll_down(cx, &mut |cx| server.poll_body(cx)),
            };
            let event = match event {
                Poll::Pending => return Ok(()),
                Poll::Ready(event) => event.map_err(|err| Failure::on_server(Phase::Body, err))?,
            };
            *moved = true;
            match event {
                BodyEvent::NeedMore => return Ok(()),
                BodyEvent::Data(data) => {
                    if !self.hooked.as_ref().is_some_and(|hooked| hooked.whole().response) {
                        self.response_body.push(&data);
                    }
                    if let Some(telling) = &mut self.telling {
                        telling.data(false, &data, &self.request, self.response.as_ref());
                    }
                    if self.response_body.len() > self.body_bytes_max {
                        return Err(self.too_large(Side::Server, Phase::Body));
                    }
                    client.send_data(data).map_err(|err| Failure::on_client(Phase::Body, err))?;
                }
                BodyEvent::End(trailers) => {
                    if let Some(response) = &mut self.response {
                        response.trailers = trailers;
                    }
                    if self.hooked.as_mut().is_some_and(|hooked| hooked.due.take_response()) {
                        (self.down, self.pause) = (Down::End, Some(Pause::ResponseEnd));
                        return Ok(());
                    }
                    self.end_of_response(client)?;
                }
            }
        }
        Ok(())
    }

    /// What there is to do about a response that addons hold, or held.
    fn poll_held(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl ClientSide,
        server: &mut impl ServerSide,
        moved: &mut bool,
    ) -> Result<(), Failure> {
        let Some(hooked) = &mut self.hooked else { return Ok(()) };
        if self.down == Down::Collect {
            let before = hooked.down.collected();
            let collected = hooked.down.poll_collect(cx, &mut |cx| server.poll_body(cx));
            let held = hooked.down.collected();
            *moved |= held != before || collected.is_ready();
            if held > self.body_bytes_max {
                return Err(self.too_large(Side::Server, Phase::Body));
            }
            match collected.map_err(|err| Failure::on_server(Phase::Body, err))? {
                Poll::Pending => return Ok(()),
                Poll::Ready(Collected::TooLong) => hooked.streams_response(self.response.as_mut()),
                Poll::Ready(Collected::Whole(body, trailers)) => {
                    if let Some(response) = &mut self.response {
                        (response.body, response.trailers) = (body, trailers);
                        response.timestamp_end = Some(clock::now());
                    }
                    hooked.holds_response();
                    (self.down, self.pause) = (Down::Send, Some(Pause::ResponseEnd));
                    return Ok(());
                }
            }
            self.down = Down::Send;
        }
        if self.down == Down::Send {
            let framing = hooked.response_framing;
            let Some(head) = &mut self.response else { return Ok(()) };
            // An addon may have made another answer of it.
            self.switched = server.has_switched() && is_switch(head.status);
            let sent =
                if self.switched { client.send_switch(head) } else { client.send_response(head, framing) };
            sent.map_err(|err| Failure::on_server(Phase::Head, err))?;
            self.answered = true;
            if let Some(telling) = &mut self.telling {
                telling.response(head);
            }
            self.down = if framing == Framing::None { Down::End } else { Down::Body };
        }
        if self.down == Down::End { self.end_of_response(client) } else { Ok(()) }
    }

    fn end_of_response(&mut self, client: &mut impl ClientSide) -> Result<(), Failure> {
        let trailers = self.response.as_ref().and_then(|response| response.trailers.as_ref());
        if !self.switched {
            client.send_end(trailers).map_err(|err| Failure::on_server(Phase::Body, err))?;
        }
        if let Some(response) = &mut self.response {
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
            Down::Head | Down::Send => Phase::Head,
            Down::Collect | Down::Body | Down::End | Down::Done => Phase::Body,
        }
    }
}

/// Whether a response of this status is how a server agrees to another protocol: 101, or 2xx to a CONNECT.
const fn is_switch(status: u16) -> bool {
    matches!(status, 101 | 200..=299)
}

#[cfg(test)]
mod tests;
