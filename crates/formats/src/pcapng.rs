//! Flows as packets, for Wireshark: PCAPNG with made-up TCP around what crossed (draft-ietf-opsawg-pcapng).
//!
//! What was decrypted is written decrypted, so that it can be read and searched without any key. HTTP goes as HTTP/1.1, whatever
//! version it crossed in, since a flow keeps messages and not frames; each flow is a connection of its own; bodies are as they
//! crossed, still encoded. A comment on the first packet says what is not as it was. Bytes that were recorded in TLS can be
//! decrypted by Wireshark with the secrets that are put into the file.
//!
//! Not here: files. Everything is written as it comes; a flow is in memory, but for stored bodies, which are read in pieces.

mod block;
mod conversation;
mod dns;
mod http;
mod packet;

use std::io::{self, Write};

use flowgate_flow::{Flow, FlowKind};

use conversation::Conversation;

/// Writes flows as packets; keeps its buffers from one flow to the next.
#[derive(Debug, Default)]
pub struct PcapngWriter {
    flows: u32,
    buffer: Vec<u8>,
}

impl PcapngWriter {
    /// Bytes of secrets in one file.
    pub const SECRETS_BYTES_MAX: usize = 64 << 20;

    /// A writer that has written nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes what a file begins with, and the secrets of connections that were recorded in TLS, if there are any: lines as
    /// in a file of `SSLKEYLOGFILE`.
    ///
    /// # Errors
    /// What the output says; `InvalidInput` for more than [`SECRETS_BYTES_MAX`](Self::SECRETS_BYTES_MAX).
    pub fn begin(&mut self, out: &mut impl Write, secrets: &[u8]) -> io::Result<()> {
        if secrets.len() > Self::SECRETS_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "more secrets than a capture holds"));
        }
        self.buffer.clear();
        block::section(&mut self.buffer);
        block::interface(&mut self.buffer);
        if !secrets.is_empty() {
            block::secrets(&mut self.buffer, secrets);
        }
        out.write_all(&self.buffer)
    }

    /// Writes a flow's packets.
    ///
    /// # Errors
    /// What the output or a stored body says.
    pub fn write_flow(&mut self, out: &mut impl Write, flow: &Flow) -> io::Result<()> {
        self.flows = self.flows.wrapping_add(1);
        let mut conversation = Conversation::new(flow, self.flows, out, &mut self.buffer);
        match &flow.kind {
            FlowKind::Http(http) => http::write(flow, http, &mut conversation),
            FlowKind::Tcp(raw) => {
                conversation.open()?;
                for message in &raw.messages {
                    conversation.stream(message.from_client, message.timestamp, &message.content)?;
                }
                conversation.close()
            }
            FlowKind::Udp(raw) => raw.messages.iter().try_for_each(|message| {
                conversation.datagram(message.from_client, message.timestamp, &message.content)
            }),
            FlowKind::Dns(dns) => dns::write(dns, flow, &mut conversation),
            // A kind that is not known here has no packets.
            _ => Ok(()),
        }
    }
}
