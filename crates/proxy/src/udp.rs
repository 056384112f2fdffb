//! UDP: datagrams instead of connections. What belongs together is a *conversation*, with a socket of its own to the server.
//!
//! One task reads all that clients send to an address and hands it to conversations (`routes`); each of those has a task that
//! asks policy (`decision`, to which `learned` brings facts) and then passes through or records what crosses (`task`). What is passed
//! through goes from the reading task straight to the server's socket: nothing is allocated, and nobody is woken for it.
//!
//! Datagrams may be lost, and where there is no room they are: no queue here is without a bound, and nobody waits for one.
//!
//! QUIC and DTLS are not ended here yet. What policy would have decrypted is recorded as it is, and the event log and the
//! flow say so.

mod conversation;
mod decision;
mod down;
mod learned;
mod routes;
mod task;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use flowgate_flow::Transport;
use flowgate_net::{DATAGRAM_BYTES_MAX, Datagrams, Received};
use flowgate_options::Level;
use flowgate_options::mode_spec::{Mode, ModeSpec};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::client;
use crate::context::Proxy;
use crate::instance::{ACCEPT_FAILURE_REPEAT, ACCEPT_PAUSE, guarded};
use crate::limits::UDP_CONVERSATIONS_MAX;
use crate::reverse;
use crate::tunnel::Target;
use conversation::{Conversation, Outcome};
use routes::{Ending, Note, Route, Routes};
use task::Task;

/// Serves what is sent to a socket until nothing new is to be taken.
pub(crate) async fn serve(proxy: Arc<Proxy>, mode: Arc<ModeSpec>, socket: Datagrams) {
    serve_bounded(proxy, mode, socket, UDP_CONVERSATIONS_MAX).await;
}

async fn serve_bounded(proxy: Arc<Proxy>, mode: Arc<ModeSpec>, socket: Datagrams, conversations_max: usize) {
    // The options let no other mode through.
    let Mode::Reverse(server) = &mode.mode else { return };
    let target = Arc::new(reverse::target(server, false));
    let stop = proxy.stop.child_token();
    let mut stopped = std::pin::pin!(stop.cancelled());
    // Bounded by its senders: a conversation tells its end once, and some IDs.
    let (notes, mut told) = mpsc::unbounded_channel();
    let socket = Arc::new(socket);
    let mut listener = Listener {
        proxy,
        mode: Arc::clone(&mode),
        target,
        socket: Arc::clone(&socket),
        routes: Routes::default(),
        notes,
        told: None,
        conversations_max,
    };
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX].into_boxed_slice();
    loop {
        let received = tokio::select! {
            biased;
            () = &mut stopped => return,
            Some(note) = told.recv() => {
                listener.routes.note(note);
                continue;
            }
            received = socket.receive(&mut buffer) => received,
        };
        match received {
            Ok(received) => listener.deliver(buffer.get(..received.len).unwrap_or_default(), received),
            Err(err) => {
                listener.tell_failure(&err);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What the reading task has.
struct Listener {
    proxy: Arc<Proxy>,
    mode: Arc<ModeSpec>,
    target: Arc<Target>,
    socket: Arc<Datagrams>,
    routes: Routes,
    notes: mpsc::UnboundedSender<Note>,
    /// When a lasting failure was last told.
    told: Option<Instant>,
    conversations_max: usize,
}

impl Listener {
    fn deliver(&mut self, datagram: &[u8], received: Received) {
        let like = match self.routes.find(received.from, datagram) {
            Route::Known(conversation) if conversation.deliver(datagram) => return,
            // It ended just now.
            Route::Known(_) => None,
            Route::New { like } => like.and_then(|known| known.outcome()),
        };
        self.begin(datagram, received, like);
    }

    /// Begins a conversation with its first datagram. `like` is what was decided about it when it had another address.
    fn begin(&mut self, datagram: &[u8], received: Received, like: Option<Outcome>) {
        let max = self.conversations_max;
        if self.routes.len() >= max {
            let message =
                format!("no room for more than {max} UDP conversations at a time: new ones are dropped");
            return self.tell(Level::Warn, &message);
        }
        let sockname = self
            .socket
            .local_addr()
            .ok()
            .map(|own| received.to.ip().map_or(own, |ip| SocketAddr::new(ip, own.port())));
        let context = client::context(&self.proxy, &self.mode, Transport::Udp, received.from, sockname);
        let (conversation, queue) = Conversation::new();
        conversation.deliver(datagram);
        let conversation = Arc::new(conversation);
        let id = self.routes.add(received.from, datagram, Arc::clone(&conversation));
        let peer = context.peer;
        let task = Task {
            conversation,
            context,
            target: Arc::clone(&self.target),
            socket: Arc::clone(&self.socket),
            client: received.from,
            local: received.to,
            notes: Ending { notes: self.notes.clone(), id },
            like,
        };
        self.proxy.tasks.spawn(guarded(Arc::clone(&self.proxy), peer, task.run(queue)));
    }

    fn tell_failure(&mut self, err: &io::Error) {
        self.tell(Level::Error, &format!("cannot receive datagrams at the moment: {err}"));
    }

    /// Tells what may go on for long, once in a while.
    fn tell(&mut self, level: Level, message: &str) {
        let now = Instant::now();
        if self.told.is_none_or(|at| now - at >= ACCEPT_FAILURE_REPEAT) {
            self.told = Some(now);
            if self.proxy.events.logs(level) {
                self.proxy.events.log(level, None, format_args!("{message}"));
            }
        }
    }
}
