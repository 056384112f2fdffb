//! WebSockets: a line a message, and one for the end.

use std::fmt::Write as _;

use flowgate_contentview::escape;
use flowgate_flow::{Flow, FlowKind, HttpFlow, WebSocketMessage};

use crate::content::Content;
use crate::dumper::{Dumper, client_address, push_server_address};
use crate::style::Look;

impl Dumper {
    /// `127.0.0.1:34426 -> WebSocket text message -> 127.0.0.1:9011/ws`.
    pub(crate) fn websocket(&self, flow: &Flow, message: &WebSocketMessage, out: &mut String) {
        let arrow = if message.from_client { " -> " } else { " <- " };
        out.push_str(&client_address(flow));
        out.push_str(arrow);
        out.push_str("WebSocket ");
        // Writing to a `String` cannot fail.
        let _ = match message.opcode {
            0 => out.write_str("continuation"),
            1 => out.write_str("text"),
            2 => out.write_str("binary"),
            8 => out.write_str("close"),
            9 => out.write_str("ping"),
            10 => out.write_str("pong"),
            other => write!(out, "opcode {other}"),
        };
        out.push_str(" message");
        out.push_str(arrow);
        push_server_address(flow, out);
        if let Some(http) = http(flow) {
            escape::push_line_bytes(out, &http.request.path);
        }
        out.push('\n');
        if self.flow_detail >= 3 {
            self.content(Content::of_chunk(flow, &message.content), out);
        }
    }

    /// `WebSocket connection closed by client: 1000 reason`, or an error line for every other code. Differs from mitmproxy: what could
    /// not be read is said behind it, or where there is no code instead of `UNKNOWN_ERROR=None`.
    pub(crate) fn websocket_closed(&self, flow: &Flow, out: &mut String) {
        let Some(websocket) = http(flow).and_then(|http| http.websocket.as_ref()) else { return };
        let (reason, fault) = (websocket.close_reason.as_deref(), flow.websocket_fault());
        // Writing to a `String` cannot fail.
        if let Some(code @ (1000 | 1001 | 1005)) = websocket.close_code {
            let closer = if websocket.closed_by_client == Some(true) { "client" } else { "server" };
            let _ = write!(out, "WebSocket connection closed by {closer}: {code}");
            // Differs from mitmproxy: where no reason was sent, there is no `None`.
            if let Some(reason) = reason {
                out.push(' ');
                escape::push_line(out, reason);
            }
        } else {
            self.style.paint(out, Look::RED, |out| {
                out.push_str("Error in WebSocket connection to ");
                push_server_address(flow, out);
                out.push_str(": WebSocket Error: ");
                let _ = match (websocket.close_code, websocket.close_code.and_then(close_code_name)) {
                    (_, Some(name)) => out.write_str(name),
                    (Some(code), None) => write!(out, "UNKNOWN_ERROR={code}"),
                    (None, None) => {
                        if let Some(fault) = fault {
                            return escape::push_line(out, fault);
                        }
                        out.write_str("UNKNOWN_ERROR=None")
                    }
                };
                if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
                    out.push_str(" (reason: ");
                    escape::push_line(out, reason);
                    out.push(')');
                }
            });
        }
        if let Some(fault) = fault.filter(|_| websocket.close_code.is_some()) {
            out.push_str(" (not read: ");
            escape::push_line(out, fault);
            out.push(')');
        }
        out.push('\n');
    }
}

fn http(flow: &Flow) -> Option<&HttpFlow> {
    match &flow.kind {
        FlowKind::Http(http) => Some(http),
        _ => None,
    }
}

/// The close codes' names, as wsproto has them (RFC 6455 section 7.4.1).
const fn close_code_name(code: u16) -> Option<&'static str> {
    Some(match code {
        1002 => "PROTOCOL_ERROR",
        1003 => "UNSUPPORTED_DATA",
        1006 => "ABNORMAL_CLOSURE",
        1007 => "INVALID_FRAME_PAYLOAD_DATA",
        1008 => "POLICY_VIOLATION",
        1009 => "MESSAGE_TOO_BIG",
        1010 => "MANDATORY_EXT",
        1011 => "INTERNAL_ERROR",
        1012 => "SERVICE_RESTART",
        1013 => "TRY_AGAIN_LATER",
        1015 => "TLS_HANDSHAKE_FAILED",
        _ => return None,
    })
}
