//! Messages inside bodies, as they cross: a line each, and from detail 3 on their content.
//!
//! Differs from mitmproxy, which tells of a body when it has ended.

use std::fmt::Write as _;

use flowgate_contentview::escape;
use flowgate_flow::{BodyMessage, BodyMessageKind, Flow, FlowKind};

use crate::content::Content;
use crate::dumper::{Dumper, client_address, push_server_address};
use crate::human::Size;

impl Dumper {
    /// `127.0.0.1:34426 <- gRPC message, 12b <- 127.0.0.1:9011/shop.Cart/Watch`, or
    /// `127.0.0.1:34426 <- server-sent event add, 5b <- 127.0.0.1:9011/events`.
    pub(crate) fn message_in_body(&self, flow: &Flow, message: &BodyMessage, out: &mut String) {
        let FlowKind::Http(http) = &flow.kind else { return };
        let arrow = if message.from_client { " -> " } else { " <- " };
        out.push_str(&client_address(flow));
        out.push_str(arrow);
        let mut len = message.content.len() as u64;
        match &message.kind {
            BodyMessageKind::Grpc { trailers, len: whole, .. } => {
                out.push_str(if *trailers { "gRPC-Web trailers" } else { "gRPC message" });
                len = u64::from(*whole);
            }
            BodyMessageKind::Event { name, .. } => {
                out.push_str("server-sent event");
                if let Some(name) = name {
                    out.push(' ');
                    escape::push_line(out, name);
                }
            }
            _ => out.push_str("message"),
        }
        out.push_str(", ");
        // How long an event was that is not told whole nobody counted.
        if message.truncated && matches!(message.kind, BodyMessageKind::Event { .. }) {
            out.push_str("more than ");
        }
        // Writing to a `String` cannot fail.
        let _ = write!(out, "{}", Size(len));
        out.push_str(arrow);
        push_server_address(flow, out);
        escape::push_line_bytes(out, &http.request.path);
        out.push('\n');
        if self.flow_detail >= 3 {
            let headers = match &http.response {
                Some(response) if !message.from_client => &response.headers,
                _ => &http.request.headers,
            };
            self.content(Content::of_body_message(message, headers, &prefixed(message)), out);
        }
    }
}

/// A message of gRPC with its prefix, as a body has it; the content of others.
fn prefixed(message: &BodyMessage) -> Vec<u8> {
    match &message.kind {
        BodyMessageKind::Grpc { compressed, trailers, len } => {
            let flags = u8::from(*compressed) | u8::from(*trailers) << 7;
            [&[flags][..], &len.to_be_bytes(), &message.content].concat()
        }
        _ => message.content.to_vec(),
    }
}
