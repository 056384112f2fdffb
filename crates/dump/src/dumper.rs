//! The dumper: which text a flow is at which moment, and how much of it.
//!
//! The parts of each kind of flow are in the modules beside this one.

use flowgate_contentview::{View, escape};
use flowgate_flow::{BodyMessage, Flow, FlowKind, RawMessage, Replay, WebSocketMessage};

use crate::human;
use crate::style::{Colour, Look, Style};

/// Renders flows as mitmdump does. Every method adds whole lines to `out`, each ended by LF, or nothing at all.
#[derive(Clone, Debug)]
pub struct Dumper {
    /// How much is shown, 0 to 4 (option `flow_detail`): nothing; the first lines; headers too; bodies too, cut after
    /// `content_view_lines_cutoff` lines; bodies whole (in the bounds of [`flowgate_contentview::Limits`]).
    pub flow_detail: u8,
    /// URLs show the host of the Host header (option `showhost`).
    pub showhost: bool,
    /// Lines of a body that are shown at detail 3 (option of the same name); at least one is.
    pub content_view_lines_cutoff: usize,
    /// The view that shows bodies (option `dumper_default_contentview`).
    pub default_contentview: View,
    /// Coloured or not.
    pub style: Style,
    /// The width of the terminal in columns, to which URLs are cut at detail 1; `None` counts as 80.
    pub columns: Option<u16>,
}

impl Default for Dumper {
    fn default() -> Self {
        Self {
            flow_detail: 1,
            showhost: false,
            content_view_lines_cutoff: 512,
            default_contentview: View::Auto,
            style: Style::Plain,
            columns: None,
        }
    }
}

impl Dumper {
    /// A flow that came to its end: an HTTP exchange that was answered or failed (a CONNECT likewise), a DNS query that was
    /// answered or failed, a TCP or UDP flow that failed (one that ended well has nothing to say).
    pub fn flow(&self, flow: &Flow, out: &mut String) {
        if self.flow_detail == 0 {
            return;
        }
        match &flow.kind {
            FlowKind::Http(http) => self.http(flow, http, out),
            FlowKind::Dns(dns) => self.dns(flow, dns, out),
            FlowKind::Tcp(_) => self.raw_error(flow, "TCP", out),
            FlowKind::Udp(_) => self.raw_error(flow, "UDP", out),
            _ => {}
        }
    }

    /// One chunk of a TCP or UDP flow.
    pub fn raw_message(&self, flow: &Flow, message: &RawMessage, out: &mut String) {
        if self.flow_detail > 0 {
            self.raw(flow, message, out);
        }
    }

    /// One WebSocket message.
    pub fn websocket_message(&self, flow: &Flow, message: &WebSocketMessage, out: &mut String) {
        if self.flow_detail > 0 {
            self.websocket(flow, message, out);
        }
    }

    /// The end of a flow's WebSocket.
    pub fn websocket_end(&self, flow: &Flow, out: &mut String) {
        if self.flow_detail > 0 {
            self.websocket_closed(flow, out);
        }
    }

    /// One message inside a body that is crossing: of gRPC, or a server-sent event.
    pub fn body_message(&self, flow: &Flow, message: &BodyMessage, out: &mut String) {
        if self.flow_detail > 0 {
            self.message_in_body(flow, message, out);
        }
    }

    /// All there is of a finished flow, as when one is read from a file: what the methods above add, in the order in which
    /// it happened. Nothing for an HTTP flow with neither response nor error.
    pub fn saved_flow(&self, flow: &Flow, out: &mut String) {
        match &flow.kind {
            FlowKind::Http(http) => {
                if http.response.is_some() || flow.error.is_some() {
                    self.flow(flow, out);
                }
                let Some(websocket) = &http.websocket else { return };
                for message in &websocket.messages {
                    self.websocket_message(flow, message, out);
                }
                if websocket.close_code.is_some() || websocket.timestamp_end.is_some() {
                    self.websocket_end(flow, out);
                }
            }
            FlowKind::Tcp(raw) | FlowKind::Udp(raw) => {
                for message in &raw.messages {
                    self.raw_message(flow, message, out);
                }
                self.flow(flow, out);
            }
            _ => self.flow(flow, out),
        }
    }

    /// The client's address, or `[replay]`.
    pub(crate) fn client(&self, flow: &Flow, out: &mut String) {
        if flow.replay == Some(Replay::Request) {
            self.replay_mark(out);
        } else if let Some(peername) = flow.client.connection.peername {
            out.push_str(&human::format_socket(peername));
        }
    }

    pub(crate) fn replay_mark(&self, out: &mut String) {
        self.style.paint(out, Look::of(Colour::Yellow).bold(), |out| out.push_str(REPLAY_MARK));
    }

    /// ` << message`, if the flow failed.
    pub(crate) fn error(&self, flow: &Flow, out: &mut String) {
        if let Some(error) = &flow.error {
            self.style.paint(out, Look::ERROR, |out| {
                out.push_str(" << ");
                escape::push_line(out, &error.message);
            });
            out.push('\n');
        }
    }
}

/// The client's address in lines that have no replay mark.
pub(crate) fn client_address(flow: &Flow) -> String {
    flow.client.connection.peername.map_or_else(|| human::NO_ADDRESS.into(), human::format_socket)
}

/// Adds the server's address.
pub(crate) fn push_server_address(flow: &Flow, out: &mut String) {
    escape::push_line(out, &human::format_address(flow.server.address.as_ref()));
}

pub(crate) const REPLAY_MARK: &str = "[replay]";
