//! What goes out: control frames and heads at once, bodies in turns of one frame for each stream that has something to send
//! and a window for it.

use bytes::Bytes;

use super::{Connection, Sink};
use crate::hpack::FieldRef;
use crate::http2::connection::Event;
use crate::http2::frame;
use crate::http2::settings::PeerSettings;
use crate::http2::stream::{Direction, End};
use crate::limits::H2_STREAM_QUEUE_BYTES;

/// The longest payload we send. Peers may take longer ones; but the longer a frame, the longer others wait for their turn.
pub(super) fn payload_max(peer: &PeerSettings) -> usize {
    (peer.frame_bytes_max as usize).min(frame::PAYLOAD_BYTES_MAX)
}

impl<T> Connection<T> {
    /// Writes what may go out now, until the sink is full.
    pub fn transmit(&mut self, sink: &mut impl Sink) {
        self.transmit_control(sink);
        self.transmit_bodies(sink);
        self.transmit_control(sink);
    }

    fn transmit_control(&mut self, sink: &mut impl Sink) {
        if let Some(left) = &mut self.last_words {
            self.control.truncate(std::mem::take(left));
        }
        if self.control.is_empty() {
            return;
        }
        let tail = sink.tail();
        if tail.is_empty() {
            std::mem::swap(tail, &mut self.control);
        } else {
            tail.extend_from_slice(&self.control);
            self.control.clear();
        }
    }

    fn transmit_bodies(&mut self, sink: &mut impl Sink) {
        if self.failed.is_some() {
            return;
        }
        let payload_max = payload_max(&self.peer);
        while !sink.is_full() {
            let Some(id) = self.line.pop_front() else { return };
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.in_line = false;
            if !stream.can_send() {
                continue;
            }
            if let Some(piece) = stream.out.front_mut() {
                let room = self.send_window.available().min(stream.send_window.available());
                let len = piece.len().min(room).min(payload_max);
                if len == 0 {
                    // The connection's window is empty: all have to wait.
                    stream.in_line = true;
                    self.line.push_front(id);
                    return;
                }
                let data: Bytes = piece.split_to(len);
                if piece.is_empty() {
                    stream.out.pop_front();
                }
                stream.out_bytes -= len;
                stream.send_window.take(len);
                self.send_window.take(len);
                self.guard.earn();
                let ends = stream.out.is_empty() && matches!(stream.out_end, Some(End::Plain));
                if ends {
                    stream.out_end = None;
                    stream.sending = Direction::Ended;
                }
                frame::put_header(sink.tail(), len, 0, u8::from(ends), id);
                sink.push(data);
            } else if let Some(end) = stream.out_end.take() {
                stream.sending = Direction::Ended;
                match end {
                    End::Plain => frame::put_header(sink.tail(), 0, 0, frame::END_STREAM, id),
                    End::Trailers(trailers) => {
                        self.block.clear();
                        let fields = trailers.iter().map(|field| FieldRef {
                            name: field.name,
                            value: field.value,
                            sensitive: false,
                        });
                        self.encoder.encode(fields, &mut self.block);
                        frame::put_header_block(sink.tail(), id, &self.block, true, payload_max);
                    }
                }
            }
            if stream.awaited && stream.out_bytes < H2_STREAM_QUEUE_BYTES {
                stream.awaited = false;
                self.events.push_back(Event::Changed(super::StreamId(id)));
            }
            if stream.can_send() {
                stream.in_line = true;
                self.line.push_back(id);
            } else if stream.sending == Direction::Ended {
                if stream.released && stream.receiving != Direction::Ended {
                    self.reset_rest(id);
                }
                self.after_change(id);
            }
        }
    }
}
