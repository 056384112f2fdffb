//! DNS flows, each message written anew in the form of the wire (RFC 1035 §4).

use std::io::{self, Write};

use flowgate_flow::{DnsFlow, Flow, Transport};
use flowgate_wire::dns::encode;

use super::conversation::Conversation;

pub(super) fn write<W: Write>(dns: &DnsFlow, flow: &Flow, to: &mut Conversation<'_, W>) -> io::Result<()> {
    // Wireshark looks for it nowhere else.
    if to.server_port() != DNS_PORT {
        to.comment(format!("went to port {}", to.server_port()));
        to.set_server_port(DNS_PORT);
    }
    let messages = [(true, Some(&dns.request)), (false, dns.response.as_ref())];
    let mut encoded = Vec::new();
    for (from_client, message) in messages {
        let Some(message) = message else { continue };
        match encode(message) {
            Ok(bytes) => encoded.push((from_client, message.timestamp.unwrap_or(flow.created), bytes)),
            Err(error) => to.comment(format!("a message is left out: {error}")),
        }
    }
    if flow.client.connection.transport == Transport::Udp {
        return encoded.iter().try_for_each(|(from_client, at, bytes)| to.datagram(*from_client, *at, bytes));
    }
    to.open()?;
    for (from_client, at, bytes) in &encoded {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        to.stream(*from_client, *at, &[&length.to_be_bytes()[..], bytes].concat())?;
    }
    to.close()
}

const DNS_PORT: u16 = 53;
