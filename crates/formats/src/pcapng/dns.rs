//! DNS flows, each message written anew in the form of the wire (RFC 1035 §4).

use std::io::{self, Write};

use flowgate_flow::{DnsFlow, DnsMessage, Flow, Transport};

use super::conversation::Conversation;

pub(super) fn write<W: Write>(dns: &DnsFlow, flow: &Flow, to: &mut Conversation<'_, W>) -> io::Result<()> {
    // Wireshark looks for it nowhere else.
    if to.server_port() != DNS_PORT {
        to.comment(format!("went to port {}", to.server_port()));
        to.set_server_port(DNS_PORT);
    }
    let messages = [(true, Some(&dns.request)), (false, dns.response.as_ref())];
    let messages = messages.into_iter().filter_map(|(from_client, message)| Some((from_client, message?)));
    if flow.client.connection.transport == Transport::Udp {
        return messages.into_iter().try_for_each(|(from_client, message)| {
            to.datagram(from_client, message.timestamp.unwrap_or(flow.created), &encoded(message))
        });
    }
    to.open()?;
    for (from_client, message) in messages {
        let bytes = encoded(message);
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        to.stream(
            from_client,
            message.timestamp.unwrap_or(flow.created),
            &[&length.to_be_bytes()[..], &bytes].concat(),
        )?;
    }
    to.close()
}

const DNS_PORT: u16 = 53;

fn encoded(message: &DnsMessage) -> Vec<u8> {
    let mut out = message.id.to_be_bytes().to_vec();
    let bit = |set: bool, at: u16| u16::from(set) << at;
    let flags = bit(!message.query, 15)
        | u16::from(message.op_code & 0xf) << 11
        | bit(message.authoritative_answer, 10)
        | bit(message.truncation, 9)
        | bit(message.recursion_desired, 8)
        | bit(message.recursion_available, 7)
        | u16::from(message.reserved & 0x7) << 4
        | message.response_code & 0xf;
    out.extend_from_slice(&flags.to_be_bytes());
    let records = [&message.answers, &message.authorities, &message.additionals];
    for count in std::iter::once(message.questions.len()).chain(records.iter().map(|records| records.len())) {
        out.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
    }
    for question in &message.questions {
        put_name(&question.name, &mut out);
        out.extend_from_slice(&question.kind.to_be_bytes());
        out.extend_from_slice(&question.class.to_be_bytes());
    }
    for record in records.into_iter().flatten() {
        put_name(&record.name, &mut out);
        out.extend_from_slice(&record.kind.to_be_bytes());
        out.extend_from_slice(&record.class.to_be_bytes());
        out.extend_from_slice(&record.ttl.to_be_bytes());
        let data = record.data.get(..record.data.len().min(0xffff)).unwrap_or_default();
        out.extend_from_slice(&(data.len() as u16).to_be_bytes());
        out.extend_from_slice(data);
    }
    out
}

/// Labels of at most 63 bytes, without compression.
fn put_name(name: &str, out: &mut Vec<u8>) {
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = label.as_bytes();
        let label = label.get(..label.len().min(63)).unwrap_or_default();
        out.push(label.len() as u8);
        out.extend_from_slice(label);
    }
    out.push(0);
}
