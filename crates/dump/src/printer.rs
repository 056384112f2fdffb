//! Where a session's events become lines: renders them and hands them to the output and to the flow file.

use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use flowgate_flow::{Body, BodyMessage, Flow, FlowKind, RawMessage, Timestamp, WebSocketMessage};
use flowgate_options::Level;
use flowgate_proxy::Events;
use flowgate_session::{FlowSender, NoRoom, Room};
use smallvec::SmallVec;
use tokio::sync::Notify;

use crate::filters::Filters;
use crate::tool::Watcher;
use crate::{Dumper, Event, Output, OutputError, TermLog};

/// From this `flow_detail` on messages inside bodies are printed as they come.
const BODY_MESSAGE_DETAIL: u8 = 2;
/// From this `flow_detail` on bodies are printed.
const BODY_DETAIL: u8 = 3;

/// Prints and saves. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    dumper: Dumper,
    term_log: TermLog,
    output: Output,
    filters: Arc<Filters>,
    /// The flow file and the store, those of them that there are.
    save: Vec<FlowSender>,
    /// Who wants every flow, whatever the filters say.
    watcher: Option<Watcher>,
    gone: Arc<Gone>,
}

/// Whether the output is gone, and who waits for that.
#[derive(Debug, Default)]
struct Gone {
    error: OnceLock<OutputError>,
    told: Notify,
}

impl Printer {
    pub(crate) fn new(dumper: Dumper, term_log: TermLog, output: Output, filters: Filters) -> Self {
        Self {
            dumper,
            term_log,
            output,
            filters: Arc::new(filters),
            save: Vec::new(),
            watcher: None,
            gone: Arc::default(),
        }
    }

    /// Saves every flow from now on.
    pub(crate) fn save_to(&mut self, flows: FlowSender) {
        self.save.push(flows);
    }

    /// Hands every flow to this watcher from now on.
    pub(crate) fn watched_by(&mut self, watcher: Watcher) {
        self.watcher = Some(watcher);
    }

    /// Prints a line of the event log.
    pub(crate) fn event(&self, level: Level, client: Option<SocketAddr>, message: &str) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let timestamp = Timestamp(now.as_secs_f64());
        self.print(|out| self.term_log.event(&Event { timestamp, level, client, message }, out));
    }

    /// Prints where we listen: without a time, as mitmproxy's how-to pages show it.
    pub(crate) fn banner(&self, line: &str) {
        if self.logs(Level::Info) {
            self.print(|out| out.push_str(line));
        }
    }

    /// Prints, and saves, a flow that was read from a file. Blocks.
    ///
    /// # Errors
    /// If the output is gone.
    pub(crate) fn saved_flow(&self, flow: Flow) -> Result<(), OutputError> {
        if !self.filters.reads(&flow) {
            return Ok(());
        }
        if self.prints(&flow) {
            let mut text = String::new();
            self.dumper.saved_flow(&flow, &mut text);
            self.output.push_read(&text)?;
        }
        each_but_last(self.receivers_of(&flow), flow, FlowSender::send_blocking);
        Ok(())
    }

    /// Waits until the output is gone.
    pub(crate) async fn gone(&self) -> OutputError {
        loop {
            let told = self.gone.told.notified();
            if let Some(error) = self.gone.error.get() {
                return *error;
            }
            told.await;
        }
    }

    /// Renders and prints without waiting. Lines of the log are left out when the output cannot keep up.
    fn print(&self, render: impl FnOnce(&mut String)) {
        with_text(|text| {
            render(text);
            if !text.is_empty() {
                self.note(self.output.try_push(text));
            }
        });
    }

    fn note(&self, printed: Result<(), OutputError>) {
        if let Err(error @ (OutputError::BrokenPipe | OutputError::Write(_))) = printed
            && self.gone.error.set(error).is_ok()
        {
            self.gone.told.notify_waiters();
        }
    }

    /// What is left to print when a flow has ended: all of it, or of a WebSocket its end.
    fn render(&self, flow: &Flow, text: &mut String) {
        match &flow.kind {
            FlowKind::Http(http) if http.websocket.is_some() => self.dumper.websocket_end(flow, text),
            _ => self.dumper.flow(flow, text),
        }
    }

    fn prints(&self, flow: &Flow) -> bool {
        self.dumper.flow_detail > 0 && self.filters.prints(flow)
    }

    /// Whether a piece of a flow in progress is printed: the flow has none of its pieces yet, so it is asked with this one only.
    ///
    /// Differs from mitmproxy, where a pattern for bodies that was found once lets every later piece through.
    fn prints_piece(&self, flow: &Flow, with_piece: impl FnOnce(&mut Flow)) -> bool {
        if self.dumper.flow_detail == 0 || !self.filters.print_by_bodies() {
            return self.prints(flow);
        }
        let mut flow = flow.clone();
        with_piece(&mut flow);
        self.filters.prints(&flow)
    }

    /// Where a flow is saved, and who watches.
    fn receivers_of<'a>(&'a self, flow: &Flow) -> impl Iterator<Item = &'a FlowSender> + use<'a> {
        self.receivers(!self.save.is_empty() && self.filters.saves(flow))
    }

    /// Where a flow goes that is to be saved or not.
    fn receivers(&self, saves: bool) -> impl Iterator<Item = &FlowSender> {
        let saves: &[_] = if saves { &self.save } else { &[] };
        saves.iter().chain(self.watcher.as_ref().map(|watcher| &watcher.flows))
    }

    /// Whether a flow is saved, and what is printed of it.
    fn judge(&self, flow: Flow) -> (Flow, bool, String) {
        let saves = !self.save.is_empty() && self.filters.saves(&flow);
        let mut text = String::new();
        if self.prints(&flow) {
            self.render(&flow, &mut text);
        }
        (flow, saves, text)
    }

    /// Whether to filter and render this flow takes longer than a connection should be held up: what is decoded and searched
    /// is in its bodies.
    fn takes_long(&self, flow: &Flow) -> bool {
        let looks_at_bodies = self.dumper.flow_detail >= BODY_DETAIL || self.filters.by_bodies();
        looks_at_bodies && body_bytes(flow) > AT_ONCE_BYTES_MAX
    }
}

impl Events for Printer {
    fn logs(&self, level: Level) -> bool {
        level <= self.term_log.verbosity
    }

    fn log(&self, level: Level, peer: Option<SocketAddr>, message: fmt::Arguments<'_>) {
        self.event(level, peer, &message.to_string());
    }

    fn keeps_bodies(&self) -> bool {
        !self.save.is_empty()
            || self.watcher.as_ref().is_some_and(|watcher| watcher.reads_bodies)
            || self.dumper.flow_detail >= BODY_DETAIL
            || self.filters.print_by_bodies()
    }

    fn raw_message(&self, flow: &Flow, message: &RawMessage) {
        let with_piece = |flow: &mut Flow| {
            if let FlowKind::Tcp(raw) | FlowKind::Udp(raw) = &mut flow.kind {
                raw.messages = vec![message.clone()];
            }
        };
        if self.prints_piece(flow, with_piece) {
            self.print(|out| self.dumper.raw_message(flow, message, out));
        }
    }

    fn websocket_started(&self, flow: &Flow) {
        if self.prints(flow) {
            self.print(|out| self.dumper.flow(flow, out));
        }
    }

    fn websocket_message(&self, flow: &Flow, message: &WebSocketMessage) {
        let with_piece = |flow: &mut Flow| {
            if let FlowKind::Http(http) = &mut flow.kind
                && let Some(websocket) = &mut http.websocket
            {
                websocket.messages = vec![message.clone()];
            }
        };
        if self.prints_piece(flow, with_piece) {
            self.print(|out| self.dumper.websocket_message(flow, message, out));
        }
    }

    fn wants_body_messages(&self) -> bool {
        self.dumper.flow_detail >= BODY_MESSAGE_DETAIL
    }

    fn body_message(&self, flow: &Flow, message: &BodyMessage) {
        let with_piece = |flow: &mut Flow| {
            if let FlowKind::Http(http) = &mut flow.kind {
                let body = Body::Bytes(message.content.clone());
                match &mut http.response {
                    Some(response) if !message.from_client => response.body = body,
                    _ => http.request.body = body,
                }
            }
        };
        if self.prints_piece(flow, with_piece) {
            self.print(|out| self.dumper.body_message(flow, message, out));
        }
    }

    fn flow(&self, flow: Flow) -> Result<(), Flow> {
        if self.takes_long(&flow) {
            return Err(flow);
        }
        let mut rooms = Rooms::new();
        for save in self.receivers_of(&flow) {
            match save.try_reserve(&flow) {
                Ok(room) => rooms.push((save, room)),
                Err(NoRoom::Closed) => {}
                Err(NoRoom::Full) => return Err(flow),
            }
        }
        if self.prints(&flow) {
            let printed = with_text(|text| {
                self.render(&flow, text);
                self.output.try_push(text)
            });
            if printed == Err(OutputError::Full) {
                return Err(flow);
            }
            self.note(printed);
        }
        each_but_last(rooms, flow, |(save, room), flow| save.send(room, flow));
        Ok(())
    }

    fn flow_when_free<'a>(&'a self, flow: Flow) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            let (flow, saves, text) = if self.takes_long(&flow) {
                let printer = self.clone();
                let judged = tokio::task::spawn_blocking(move || printer.judge(flow));
                // It fails only when it panicked, which costs this flow, or when the runtime goes.
                let Ok(judged) = judged.await else { return };
                judged
            } else {
                self.judge(flow)
            };
            let mut rooms = Rooms::new();
            for save in self.receivers(saves) {
                rooms.extend(save.reserve(&flow).await.map(|room| (save, room)));
            }
            if !text.is_empty() {
                let printed = match self.output.try_push(&text) {
                    Err(OutputError::Full) => {
                        let output = self.output.clone();
                        let printed = tokio::task::spawn_blocking(move || output.push(&text)).await;
                        printed.unwrap_or(Ok(()))
                    }
                    printed => printed,
                };
                self.note(printed);
            }
            each_but_last(rooms, flow, |(save, room), flow| save.send(room, flow));
        })
    }
}

/// Bytes of bodies and messages that were kept.
fn body_bytes(flow: &Flow) -> u64 {
    let bodies = match &flow.kind {
        FlowKind::Http(http) => {
            let response = http.response.as_ref().and_then(|response| response.body.len());
            http.request.body.len().unwrap_or_default() + response.unwrap_or_default()
        }
        _ => 0,
    };
    bodies + flow.kind.messages_bytes() as u64
}

/// What this many bytes cost is less than handing them to another thread.
const AT_ONCE_BYTES_MAX: u64 = 32 * 1024;

/// Room for one flow in each place where it goes: a file, HAR, a store, a watcher. For two nothing is allocated.
type Rooms<'a> = SmallVec<[(&'a FlowSender, Room<'a>); 2]>;

/// Hands a flow to each of these; only the others get a copy.
fn each_but_last<T>(to: impl IntoIterator<Item = T>, flow: Flow, mut hand: impl FnMut(T, Flow)) {
    let mut to = to.into_iter().peekable();
    while let Some(next) = to.next() {
        if to.peek().is_none() {
            return hand(next, flow);
        }
        hand(next, flow.clone());
    }
}

/// Lends a buffer of the thread, empty.
fn with_text<T>(use_it: impl FnOnce(&mut String) -> T) -> T {
    thread_local! {
        static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
    }
    let mut text = TEXT.take();
    text.clear();
    let result = use_it(&mut text);
    if text.capacity() <= KEPT_TEXT_BYTES_MAX {
        TEXT.set(text);
    }
    result
}

/// A thread's buffer is given back beyond this.
const KEPT_TEXT_BYTES_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests;
