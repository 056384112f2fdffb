//! What both sides of HTTP/1 share: a buffered stream, heads out of it, bodies out of it, a queue into it.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use flowgate_flow::Headers;
use flowgate_net::BoxIo;
use flowgate_wire::http1::{
    BodyDecoder, BodyEvent, EncodeError, Framing, HeadScanner, Scan, push_chunk, push_last_chunk,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::farewell::Farewell;
use super::side::SideError;
use super::spare;
use super::write_queue::WriteQueue;
use crate::limits::{
    BODY_FIRST_BYTES, BODY_FIRST_READ_BYTES, BODY_READ_BYTES, BODY_START_BYTES, BODY_START_READ_BYTES,
    COPIED_PIECE_BYTES_MAX, FIRST_WRITE_QUEUE_BYTES, HEAD_READ_BYTES, REFUSED_BYTES_MAX, WRITE_QUEUE_BYTES,
};

/// One HTTP/1 connection, either side.
pub(super) struct H1Stream {
    io: BoxIo,
    read: BytesMut,
    eof: bool,
    scanner: HeadScanner,
    decoder: BodyDecoder,
    /// Whether the incoming message's body was read to its end.
    pub(super) body_read: bool,
    /// How much was read for it.
    body_bytes: u64,
    /// How much was queued of the outgoing message's body.
    sent_bytes: u64,
    /// How much the peer had taken before this: what TLS began with.
    taken_before: u64,
    queue: WriteQueue,
    outgoing: Outgoing,
    /// The peer takes the outgoing message slowly: no more than one piece is to wait for it.
    sparing: bool,
}

/// How the body that is being sent is delimited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outgoing {
    /// So many bytes are still to go.
    Length(u64),
    /// By the end of the connection.
    UntilClose,
    /// In chunks.
    Chunked,
}

impl H1Stream {
    pub(super) fn new(io: BoxIo) -> Self {
        // In the clear there was next to nothing, and it costs a question to the kernel.
        let taken_before = if io.tcp().is_some() { 0 } else { io.bytes_taken().unwrap_or(0) };
        Self {
            io,
            taken_before,
            read: BytesMut::new(),
            eof: false,
            scanner: HeadScanner::default(),
            decoder: BodyDecoder::new(Framing::None),
            body_read: true,
            body_bytes: 0,
            sent_bytes: 0,
            queue: WriteQueue::default(),
            outgoing: Outgoing::Length(0),
            sparing: false,
        }
    }

    /// The next head; `None` if the stream ended before its first byte.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, SideError>> {
        loop {
            if !self.read.is_empty()
                && let Scan::Head(len) = self.scanner.scan(&mut self.read)?
            {
                // Copied, so that a recorded head does not keep the whole read buffer alive.
                let head = Bytes::copy_from_slice(self.read.get(..len).unwrap_or_default());
                self.read.advance(len);
                spare::give_back(&mut self.read);
                return Poll::Ready(Ok(Some(head)));
            }
            if self.eof {
                let clean = self.read.is_empty();
                return Poll::Ready(if clean { Ok(None) } else { Err(SideError::Closed) });
            }
            ready!(self.poll_fill(cx, HEAD_READ_BYTES))?;
        }
    }

    /// Whether bytes of something that follows are here already.
    pub(super) fn has_buffered(&self) -> bool {
        !self.read.is_empty()
    }

    /// Whether the peer's direction has ended, as far as was read.
    pub(super) const fn has_ended(&self) -> bool {
        self.eof
    }

    /// What was received and not understood, for the record: `head`, if that was taken already, and what stands behind it.
    pub(super) fn refused(&self, head: &[u8]) -> Bytes {
        let head = head.get(..head.len().min(REFUSED_BYTES_MAX)).unwrap_or_default();
        let room = (REFUSED_BYTES_MAX - head.len()).min(self.read.len());
        [head, self.read.get(..room).unwrap_or_default()].concat().into()
    }

    /// Ready when there is something to read, or the stream has ended.
    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() && !self.eof {
            ready!(self.poll_fill(cx, HEAD_READ_BYTES))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready if an idle connection turns out to be useless: it ended, failed, or something came that nobody asked for.
    pub(super) fn poll_stale(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.eof || self.has_buffered() {
            return Poll::Ready(());
        }
        self.poll_fill(cx, HEAD_READ_BYTES).map(|_| ())
    }

    /// Ready if reading fails. What comes meanwhile is kept for later; an end is none of this one's business.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        while !self.eof && self.read.len() < HEAD_READ_BYTES {
            if let Err(err) = ready!(self.poll_fill_by_stack(cx)) {
                return Poll::Ready(err);
            }
        }
        Poll::Pending
    }

    /// Begins to read a body.
    pub(super) fn expect_body(&mut self, framing: Framing) {
        self.decoder = BodyDecoder::new(framing);
        self.body_read = framing == Framing::None;
        self.body_bytes = 0;
    }

    /// The next piece of the body.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, SideError>> {
        loop {
            match self.decoder.decode(&mut self.read, self.eof)? {
                BodyEvent::NeedMore => {
                    let want = body_read_bytes(self.body_bytes);
                    self.body_bytes += ready!(self.poll_fill(cx, want))? as u64;
                }
                BodyEvent::End(_)
                    if matches!(self.decoder, BodyDecoder::UntilClose) && self.io.ended_cut() =>
                {
                    return Poll::Ready(Err(SideError::Unclosed));
                }
                BodyEvent::Data(data) if data.len() <= COPIED_PIECE_BYTES_MAX => {
                    let copied = Bytes::copy_from_slice(&data);
                    drop(data);
                    spare::give_back(&mut self.read);
                    return Poll::Ready(Ok(BodyEvent::Data(copied)));
                }
                event => {
                    if matches!(event, BodyEvent::End(_)) {
                        self.body_read = true;
                        // However long it was: the connection may rest now.
                        spare::give_back(&mut self.read);
                    }
                    return Poll::Ready(Ok(event));
                }
            }
        }
    }

    /// Queues a head that `encode` writes.
    pub(super) fn send_head<E>(
        &mut self,
        outgoing: Outgoing,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<(), E> {
        self.outgoing = outgoing;
        self.sparing = false;
        self.sent_bytes = 0;
        encode(self.queue.tail())
    }

    /// Queues a piece of a body. One that is longer than its head says would be read as the next message.
    pub(super) fn send_data(&mut self, data: Bytes) -> Result<(), SideError> {
        self.sent_bytes += data.len() as u64;
        match &mut self.outgoing {
            Outgoing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(EncodeError::BodyLength)?;
                self.queue.push(data);
            }
            Outgoing::UntilClose => self.queue.push(data),
            Outgoing::Chunked => push_chunk(&data, self.queue.tail()),
        }
        Ok(())
    }

    pub(super) fn send_end(&mut self, trailers: Option<&Headers>) -> Result<(), SideError> {
        match self.outgoing {
            Outgoing::Length(0) | Outgoing::UntilClose => Ok(()),
            Outgoing::Length(_) => Err(EncodeError::BodyLength.into()),
            Outgoing::Chunked => {
                push_last_chunk(trailers, self.queue.tail())?;
                // Whatever is sent behind it is an error.
                self.outgoing = Outgoing::Length(0);
                Ok(())
            }
        }
    }

    /// How many bytes the peer has taken, if the system says.
    pub(super) fn bytes_taken(&self) -> Option<u64> {
        Some(self.io.bytes_taken()?.saturating_sub(self.taken_before))
    }

    /// Gives back what memory it can, since nothing may move for long. What follows of the messages under way is read in small pieces
    /// and waits one at a time, as at their beginning, until much of it has gone.
    pub(super) fn leave_memory(&mut self) {
        self.sparing = true;
        (self.body_bytes, self.sent_bytes) = (0, 0);
        self.queue.leave_memory();
        if self.read.is_empty() {
            self.read = BytesMut::new();
        }
    }

    /// Whether nothing stands between the messages and the socket, as TLS would.
    pub(super) fn is_in_the_clear(&self) -> bool {
        self.io.tcp().is_some()
    }

    /// Makes the connection end with a reset if a body is being sent that ends with the connection: an orderly end would say
    /// that it is complete.
    pub(super) fn break_off(&self) {
        if self.outgoing == Outgoing::UntilClose {
            self.io.reset_at_end();
        }
    }

    /// Ready when the queue is short enough for another piece. At the beginning of a body none is asked for while one waits.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        let one_waits = self.queue.is_blocked() || (self.sparing && self.queue.len() > 0);
        let wait = self.queue.len() >= write_queue_bytes(self.sent_bytes)
            || (one_waits && self.sent_bytes < BODY_FIRST_BYTES);
        if wait { self.poll_flush(cx) } else { Poll::Ready(Ok(())) }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        if self.queue.is_clean() {
            return Poll::Ready(Ok(()));
        }
        let written = ready!(self.queue.poll_write(cx, &mut self.io));
        self.queue.spare_tail();
        Poll::Ready(written.map_err(SideError::Io))
    }

    /// Ends our direction; what was queued goes out before.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SideError>> {
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx).map_err(SideError::Io)
    }

    /// What is left when it is to end: nothing more is read, and what was queued is still to go out.
    pub(super) fn into_farewell(self) -> Farewell {
        Farewell::new(self.io, self.queue)
    }

    /// The stream itself, and the bytes that were read but belong to what follows HTTP.
    pub(super) fn into_parts(self) -> (BoxIo, Vec<u8>) {
        (self.io, self.read.into())
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<io::Result<usize>> {
        if want == HEAD_READ_BYTES && self.read.capacity() == 0 {
            return self.poll_fill_by_stack(cx);
        }
        if self.read.is_empty() && self.read.capacity() < want {
            // What was read before may still be on its way elsewhere: a fresh buffer then, instead of waiting for it. After a long body
            // the buffer is too large for heads.
            if !self.read.try_reclaim(want) || self.read.capacity() > 2 * want {
                self.read = BytesMut::with_capacity(want);
            }
        } else if self.read.capacity() - self.read.len() < HEAD_READ_BYTES {
            self.read.reserve(want);
        }
        let n = ready!(poll_read_buf(Pin::new(&mut self.io), cx, &mut self.read))?;
        self.eof |= n == 0;
        Poll::Ready(Ok(n))
    }

    /// Reads up to [`HEAD_READ_BYTES`] by way of the stack: nobody knows for how long nothing comes, and until then there is no buffer.
    fn poll_fill_by_stack(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut piece = [MaybeUninit::uninit(); HEAD_READ_BYTES];
        let mut into = ReadBuf::uninit(&mut piece);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut into))?;
        let came = into.filled();
        self.eof |= came.is_empty();
        if self.read.capacity() == 0 && !came.is_empty() {
            self.read = spare::take();
        }
        self.read.extend_from_slice(came);
        Poll::Ready(Ok(came.len()))
    }
}

/// How much may wait to be written of a body of which so much was queued.
const fn write_queue_bytes(queued: u64) -> usize {
    if queued < BODY_FIRST_BYTES { FIRST_WRITE_QUEUE_BYTES } else { WRITE_QUEUE_BYTES }
}

/// How much to read at a time of a body of which so much was read.
const fn body_read_bytes(read: u64) -> usize {
    if read < BODY_START_BYTES {
        BODY_START_READ_BYTES
    } else if read < BODY_FIRST_BYTES {
        BODY_FIRST_READ_BYTES
    } else {
        BODY_READ_BYTES
    }
}

#[cfg(test)]
mod tests;
