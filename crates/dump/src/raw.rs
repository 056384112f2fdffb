//! TCP and UDP flows: a line a chunk, and one if the flow failed.

use flowgate_contentview::escape;
use flowgate_flow::{Flow, FlowKind, MetadataValue, RawMessage};

use crate::content::Content;
use crate::dumper::{Dumper, client_address, push_server_address};
use crate::style::Look;

impl Dumper {
    /// `127.0.0.1:40992 -> udp -> 127.0.0.1:9012`.
    pub(crate) fn raw(&self, flow: &Flow, message: &RawMessage, out: &mut String) {
        let arrow = if message.from_client { " -> " } else { " <- " };
        out.push_str(&client_address(flow));
        out.push_str(arrow);
        let is_tcp = matches!(flow.kind, FlowKind::Tcp(_));
        if flow.client.connection.tls_version.as_deref() == Some("QUICv1") {
            let stream = if is_tcp { "quic stream " } else { "quic dgrams " };
            out.push_str(stream);
            push_stream_id(flow, "quic_stream_id_client", out);
            out.push_str(arrow);
            out.push_str("mitmproxy");
            out.push_str(arrow);
            out.push_str(stream);
            push_stream_id(flow, "quic_stream_id_server", out);
        } else {
            out.push_str(if is_tcp { "tcp" } else { "udp" });
        }
        out.push_str(arrow);
        push_server_address(flow, out);
        out.push('\n');
        if self.flow_detail >= 3 {
            self.content(Content::of_chunk(flow, &message.content), out);
        }
    }

    /// `Error in TCP connection to example.com:443: reason`.
    pub(crate) fn raw_error(&self, flow: &Flow, transport: &str, out: &mut String) {
        let Some(error) = &flow.error else { return };
        self.style.paint(out, Look::RED, |out| {
            out.push_str("Error in ");
            out.push_str(transport);
            out.push_str(" connection to ");
            push_server_address(flow, out);
            out.push_str(": ");
            escape::push_line(out, &error.message);
        });
        out.push('\n');
    }
}

fn push_stream_id(flow: &Flow, name: &str, out: &mut String) {
    if let Some((_, MetadataValue::Int(id))) = flow.metadata.iter().find(|(key, _)| key == name) {
        out.push_str(&id.to_string());
    }
}
