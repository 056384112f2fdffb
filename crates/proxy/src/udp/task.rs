//! What a conversation does, from the first datagram to the end of a silence: decide, then pass through or record.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use flowgate_flow::{Flow, FlowError, FlowKind, Phase, RawFlow, Side};
use flowgate_net::{Datagrams, LocalAddress};
use flowgate_options::Level;
use flowgate_wire::fingerprint::Carrier;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::conversation::{Conversation, Course, Outcome, next, send, try_send};
use super::decision::{self, Decided};
use super::down::Down;
use super::routes::Ending;
use crate::client;
use crate::clock;
use crate::context::Context;
use crate::limits::UDP_REFUSED_PAUSE;
use crate::raw::Recording;
use crate::server::{self, OpenDatagrams};
use crate::tunnel::Target;

/// The task of a conversation.
pub(super) struct Task {
    pub(super) conversation: Arc<Conversation>,
    pub(super) context: Context,
    pub(super) target: Arc<Target>,
    pub(super) socket: Arc<Datagrams>,
    /// The client's address as the socket wants it.
    pub(super) client: SocketAddr,
    /// From where the client is answered.
    pub(super) local: LocalAddress,
    pub(super) notes: Ending,
    /// What was decided when the client had another address.
    pub(super) like: Option<Outcome>,
}

impl Task {
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Bytes>) {
        self.context.log(Level::Info, format_args!("client connect"));
        if self.serve(&mut queue).await.is_none() {
            // So that what follows is not one more conversation each time.
            let stop = self.context.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(UDP_REFUSED_PAUSE) => {}
            }
        }
        let dropped = self.conversation.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            self.context.log(Level::Debug, format_args!("no room for {dropped} datagrams"));
        }
        self.context.log(Level::Info, format_args!("client disconnect"));
        if !self.context.settings.addons.is_empty() {
            Box::pin(client::gone(&self.context)).await;
        }
    }

    /// Serves the conversation to its end; `None` if nothing may cross.
    async fn serve(&mut self, queue: &mut mpsc::Receiver<Bytes>) -> Option<()> {
        client::admit(&self.context).then_some(())?;
        if !self.context.settings.addons.is_empty() {
            Box::pin(client::admitted(&self.context)).await.then_some(())?;
        }
        if self.context.settings.rules.ask_process() {
            self.context.process = Some(Arc::new(Err("it is not looked for behind datagrams".to_owned())));
        }
        let Decided { outcome, server, held } = match self.like.take() {
            Some(outcome) => {
                let reason = outcome.reason.as_deref().unwrap_or("as decided");
                self.context.log(Level::Debug, format_args!("{reason}; goes on from another address"));
                let server = server::open_datagrams(&self.context, &self.target.address).await.ok()?;
                Decided { outcome, server, held: Vec::new() }
            }
            None => decision::ask(&self.context, &self.target, &self.conversation, queue).await?,
        };
        self.context.hidden |= outcome.hidden;
        self.context.reason.clone_from(&outcome.reason);
        if let Some(hello) = &outcome.hello {
            self.context = self.context.with_hello(hello, Carrier::Quic);
        }
        let course = outcome.course;
        let _ = self.conversation.outcome.set(outcome);
        match course {
            Course::PassThrough => self.pass_through(server, held, queue).await,
            Course::Record => self.record(server, held, queue).await,
        }
        Some(())
    }

    /// Passes datagrams through until there is silence.
    async fn pass_through(&self, server: OpenDatagrams, held: Vec<Bytes>, queue: &mut mpsc::Receiver<Bytes>) {
        let conversation = Arc::clone(&self.conversation);
        let socket = Arc::new(server.socket);
        let up = |datagram: &Bytes| {
            if try_send(&socket, datagram).is_ok() {
                conversation.up_bytes.fetch_add(datagram.len() as u64, Ordering::Relaxed);
            }
        };
        held.iter().for_each(up);
        drop(held);
        while let Ok(datagram) = queue.try_recv() {
            up(&datagram);
        }
        let _ = conversation.direct.set(Arc::clone(&socket));
        let stop = self.context.stop.clone();
        let mut silence = std::pin::pin!(conversation.silence());
        let mut down = Down::new(&socket);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = &mut silence => break,
                // What was on its way when the direct one was opened.
                Some(datagram) = queue.recv() => up(&datagram),
                () = down.forward(self, |_| {}) => {}
            }
        }
        let (up, down) = (&conversation.up_bytes, &conversation.down_bytes);
        let (up, down) = (up.load(Ordering::Relaxed), down.load(Ordering::Relaxed));
        self.context.log(Level::Debug, format_args!("passed through {up} bytes up, {down} bytes down"));
    }

    /// Records what crosses until there is silence, and reports it.
    async fn record(&self, server: OpenDatagrams, held: Vec<Bytes>, queue: &mut mpsc::Receiver<Bytes>) {
        let OpenDatagrams { socket, facts, guard: _guard } = server;
        let kind = FlowKind::Udp(RawFlow::default());
        let client = Arc::clone(&self.context.client);
        let flow = Flow::new(clock::new_id(), client, Arc::from(facts), kind, clock::now());
        let context = self.context.clone();
        let mut recording = Recording::new(&context, flow);
        let conversation = Arc::clone(&self.conversation);
        let stop = context.stop.clone();
        let mut silence = std::pin::pin!(conversation.silence());
        let mut down = Down::new(&socket);
        let mut held = held.into_iter();
        loop {
            let datagram = match held.next() {
                Some(datagram) => Some(datagram),
                None => tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    () = &mut silence => break,
                    datagram = next(queue, &conversation) => datagram,
                    () = down.forward(self, |datagram| recording.record(false, datagram)) => None,
                },
            };
            if let Some(datagram) = datagram {
                match send(&socket, &datagram).await {
                    Ok(()) => recording.record(true, &datagram),
                    Err(_) => {
                        conversation.dropped.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        let error = down.failure.filter(|_| !conversation.answered.load(Ordering::Relaxed));
        let error = error.map(|err| FlowError {
            message: format!("server: {err}"),
            timestamp: clock::now(),
            side: Some(Side::Server),
            phase: Some(Phase::Body),
        });
        context.report(recording.finish(error)).await;
    }
}
