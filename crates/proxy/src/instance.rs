//! One running mode: its listeners, and the loop that accepts.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flowgate_flow::Transport;
use flowgate_net::{Accepts, BindError, Datagrams, bind, bind_datagrams};
use futures_util::FutureExt;
use tokio::net::TcpListener;

use crate::client;
use crate::context::Proxy;
use crate::udp;
use flowgate_options::Level;
use flowgate_options::mode_spec::{Mode, ModeSpec};

/// How long accepting rests when the system has no descriptor or memory for another connection.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How often a lasting failure to accept is told.
pub(crate) const ACCEPT_FAILURE_REPEAT: Duration = Duration::from_secs(10);

/// A mode that is bound to its addresses and does not accept yet.
#[derive(Debug)]
pub struct Instance {
    proxy: Arc<Proxy>,
    mode: Arc<ModeSpec>,
    listeners: Listeners,
}

/// By what it is reached.
#[derive(Debug)]
enum Listeners {
    Tcp(Vec<TcpListener>),
    Udp(Vec<Datagrams>),
}

impl Instance {
    /// Binds a mode to `host:port`, which take the place of what its spec says; an empty host is all addresses.
    ///
    /// # Errors
    /// If an address cannot be bound; then none is.
    pub async fn bind(proxy: &Arc<Proxy>, mode: &ModeSpec, host: &str, port: u16) -> Result<Self, BindError> {
        let mode = Arc::new(mode.clone());
        if mode.takes_datagrams() {
            let listeners = Listeners::Udp(bind_datagrams(host, port).await?);
            return Ok(Self { proxy: Arc::clone(proxy), mode, listeners });
        }
        let accepts = if mode.mode == Mode::Transparent { Accepts::Foreign } else { Accepts::Own };
        let listeners = Listeners::Tcp(bind(host, port, accepts).await?);
        Ok(Self { proxy: Arc::clone(proxy), mode, listeners })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        match &self.listeners {
            Listeners::Tcp(all) => all.iter().filter_map(|listener| listener.local_addr().ok()).collect(),
            Listeners::Udp(all) => all.iter().filter_map(|socket| socket.local_addr().ok()).collect(),
        }
    }

    /// Whether connections or datagrams come in there.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match self.listeners {
            Listeners::Tcp(_) => Transport::Tcp,
            Listeners::Udp(_) => Transport::Udp,
        }
    }

    /// Begins to accept; returns at once. Ends with [`Proxy::shut_down`].
    pub fn start(self) {
        for addr in self.addresses() {
            self.proxy.now_listening(self.transport(), addr);
        }
        let proxy = &self.proxy;
        match self.listeners {
            Listeners::Tcp(all) => {
                for listener in all {
                    proxy.tasks.spawn(accept(Arc::clone(proxy), Arc::clone(&self.mode), listener));
                }
            }
            Listeners::Udp(all) => {
                for socket in all {
                    proxy.tasks.spawn(udp::serve(Arc::clone(proxy), Arc::clone(&self.mode), socket));
                }
            }
        }
    }
}

impl Proxy {
    /// Stops accepting, lets what is in flight end, and returns when all is done or `grace` is over; says whether all
    /// was done.
    pub async fn shut_down(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        let all_done = tokio::time::timeout(grace, self.tasks.wait()).await.is_ok();
        let panics = self.panics();
        if panics > 0 && self.events.logs(Level::Error) {
            let message =
                format_args!("flowgate itself failed {panics} times in this run (please report it)");
            self.events.log(Level::Error, None, message);
        }
        all_done
    }

    /// How many connections, streams or requests ended because flowgate itself failed on them (a panic). Zero is what is
    /// expected.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Counts and tells a panic that was caught.
    pub(crate) fn count_panic(&self, peer: SocketAddr, panic: &(dyn Any + Send)) {
        self.panics.fetch_add(1, Ordering::Relaxed);
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?");
        let message = format_args!("flowgate itself failed on this connection (please report it): {text}");
        self.events.log(Level::Error, Some(peer), message);
    }
}

async fn accept(proxy: Arc<Proxy>, mode: Arc<ModeSpec>, listener: TcpListener) {
    let stop = proxy.stop.child_token();
    let mut told = None;
    let bound = listener.local_addr().ok();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let client = client::serve(Arc::clone(&proxy), Arc::clone(&mode), stream, peer, bound);
                proxy.tasks.spawn(guarded(Arc::clone(&proxy), peer, client));
            }
            Err(err) if is_of_one_connection(&err) => {}
            Err(err) => {
                let now = tokio::time::Instant::now();
                if told.is_none_or(|at| now - at >= ACCEPT_FAILURE_REPEAT) {
                    told = Some(now);
                    if proxy.events.logs(Level::Error) {
                        let message = format_args!("cannot accept connections at the moment: {err}");
                        proxy.events.log(Level::Error, None, message);
                    }
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A panic ends its own task (a connection, or one stream of it) and no other, and is told.
pub(crate) async fn guarded(proxy: Arc<Proxy>, peer: SocketAddr, task: impl Future<Output = ()>) {
    if let Err(panic) = std::panic::AssertUnwindSafe(task).catch_unwind().await {
        proxy.count_panic(peer, &*panic);
    }
}

/// Failures of the connection that was about to be accepted, not of accepting.
fn is_of_one_connection(err: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(err.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
