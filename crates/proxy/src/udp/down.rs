//! The way of datagrams from a server to a client.

use std::io;
use std::sync::atomic::Ordering;

use flowgate_net::DATAGRAM_BYTES_MAX;
use flowgate_options::Level;
use flowgate_wire::quic::LongHeader;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::task::Task;
use crate::limits::UDP_CONNECTION_IDS_MAX;

/// How many datagrams of one server are forwarded before others have their turn.
const BATCH_MAX: usize = 64;

/// The way from the server to the client.
pub(super) struct Down<'a> {
    server: &'a UdpSocket,
    /// How many of the server's connection IDs were told.
    ids: usize,
    /// What the network said when datagrams did not arrive.
    pub(super) failure: Option<io::Error>,
}

impl<'a> Down<'a> {
    pub(super) const fn new(server: &'a UdpSocket) -> Self {
        Self { server, ids: 0, failure: None }
    }

    /// Waits for datagrams of the server and hands those that are there on to the client.
    pub(super) async fn forward(&mut self, task: &Task, mut crossed: impl FnMut(&[u8])) {
        let Ok(ready) = self.server.ready(Interest::READABLE | Interest::ERROR).await else { return };
        if ready.is_error() {
            // What the network answered to a datagram. Nothing left makes the socket wait for the next.
            let error = || match self.server.take_error()? {
                Some(err) => Err(err),
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
            match self.server.try_io(Interest::ERROR, error) {
                Err(err) if err.kind() != io::ErrorKind::WouldBlock => self.tell(task, err),
                Ok(()) | Err(_) => {}
            }
        }
        with_buffer(|buffer| {
            for _ in 0..BATCH_MAX {
                match self.server.try_recv(buffer) {
                    Ok(len) => self.hand_on(task, buffer.get(..len).unwrap_or_default(), &mut crossed),
                    Err(err) if err.kind() == io::ErrorKind::WouldBlock => break,
                    Err(err) => {
                        self.tell(task, err);
                        break;
                    }
                }
            }
        });
    }

    fn hand_on(&mut self, task: &Task, datagram: &[u8], crossed: &mut impl FnMut(&[u8])) {
        let conversation = &task.conversation;
        conversation.touch();
        conversation.answered.store(true, Ordering::Relaxed);
        if self.ids < UDP_CONNECTION_IDS_MAX
            && let Some(header) = LongHeader::read(datagram)
        {
            self.ids += 1;
            task.notes.server_is_called(header.source);
        }
        if task.socket.try_send(datagram, task.client, task.local).is_ok() {
            conversation.down_bytes.fetch_add(datagram.len() as u64, Ordering::Relaxed);
            crossed(datagram);
        } else {
            conversation.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn tell(&mut self, task: &Task, err: io::Error) {
        if self.failure.is_none() {
            let address = &task.target.address;
            task.context.log(Level::Info, format_args!("datagrams do not reach {address}: {err}"));
            self.failure = Some(err);
        }
    }
}

/// Lends a buffer of the thread, so that a thousand silent conversations have none.
fn with_buffer(use_it: impl FnOnce(&mut [u8])) {
    thread_local! {
        static BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    let mut buffer = BUFFER.take();
    buffer.resize(DATAGRAM_BYTES_MAX, 0);
    use_it(&mut buffer);
    BUFFER.set(buffer);
}
