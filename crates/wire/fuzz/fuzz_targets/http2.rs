//! Any bytes to either end of an HTTP/2 connection: nothing panics, and its streams stay bounded.
#![no_main]

use bytes::{Bytes, BytesMut};
use flowgate_wire::hpack::FieldRef;
use flowgate_wire::http2::{Config, Connection, Event, OpenError, PREFACE, Role, Sink};
use libfuzzer_sys::fuzz_target;

struct Sent(BytesMut);

impl Sink for Sent {
    fn tail(&mut self) -> &mut BytesMut {
        &mut self.0
    }

    fn push(&mut self, data: Bytes) {
        self.0.extend_from_slice(&data);
    }

    fn is_full(&self) -> bool {
        self.0.len() > 50_000
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((first, frames)) = input.split_first() else { return };
    let role = if first & 1 == 0 { Role::Server } else { Role::Client };
    let cut = usize::from(first >> 1) + 1;
    let mut connection = Connection::<()>::new(Config {
        role,
        streams_max: 8,
        stream_window: 70_000,
        connection_window: 100_000,
        header_list_bytes_max: 4096,
        connect_protocol: true,
    });
    let field = |name, value| FieldRef { name, value, sensitive: false };
    if role == Role::Client {
        for _ in 0..3 {
            let head = [field(b":method", b"GET"), field(b":path", b"/")];
            let opened = connection.open::<OpenError>(
                |encoder, out| {
                    encoder.encode(head.into_iter(), out);
                    Ok(())
                },
                false,
                (),
            );
            assert!(opened.is_ok());
        }
    }
    // What every connection begins with need not be found.
    let mut buf = BytesMut::new();
    if role == Role::Server {
        buf.extend_from_slice(PREFACE);
    }
    buf.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    for piece in frames.chunks(cut) {
        buf.extend_from_slice(piece);
        if connection.receive(&mut buf).is_err() {
            break;
        }
        while let Some(event) = connection.next_event() {
            let (Event::Opened(id) | Event::Changed(id)) = event else { continue };
            let taken = connection.take(id);
            let sent = connection.send_head::<OpenError>(
                id,
                |encoder, out| {
                    encoder.encode([field(b":status", b"200")].into_iter(), out);
                    Ok(())
                },
                false,
                false,
            );
            assert!(sent.is_ok());
            connection.send_data(id, Bytes::from_static(&[0; 3000]));
            if !matches!(taken, Ok(Some(_))) {
                connection.send_end(id, None);
                connection.release(id);
            }
        }
        assert!(connection.streams() <= 19);
        connection.transmit(&mut Sent(BytesMut::new()));
    }
});
