//! DNS flows: a query and its answer (RFC 1035).

use bytes::Bytes;

use crate::Timestamp;

/// A query and what was answered.
#[derive(Clone, Debug)]
pub struct DnsFlow {
    /// The query.
    pub request: DnsMessage,
    /// The answer, if there was one.
    pub response: Option<DnsMessage>,
}

/// A DNS message (RFC 1035 section 4). Numbers are those of the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsMessage {
    /// Pairs queries with answers.
    pub id: u16,
    /// A query, not an answer (the inverse of the QR bit).
    pub query: bool,
    /// OPCODE.
    pub op_code: u8,
    /// AA.
    pub authoritative_answer: bool,
    /// TC.
    pub truncation: bool,
    /// RD.
    pub recursion_desired: bool,
    /// RA.
    pub recursion_available: bool,
    /// The three reserved bits.
    pub reserved: u8,
    /// RCODE.
    pub response_code: u16,
    /// What is asked.
    pub questions: Vec<DnsQuestion>,
    /// What is answered.
    pub answers: Vec<DnsRecord>,
    /// Who says so.
    pub authorities: Vec<DnsRecord>,
    /// What else may help.
    pub additionals: Vec<DnsRecord>,
    /// When it was read.
    pub timestamp: Option<Timestamp>,
}

impl DnsMessage {
    /// A standard query with one question, for whoever searches for others (RFC 1035 section 4.1.1: RD).
    #[must_use]
    pub fn query(id: u16, question: DnsQuestion) -> Self {
        Self {
            id,
            query: true,
            op_code: 0,
            authoritative_answer: false,
            truncation: false,
            recursion_desired: true,
            recursion_available: false,
            reserved: 0,
            response_code: 0,
            questions: vec![question],
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            timestamp: None,
        }
    }
}

/// One question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DnsQuestion {
    /// The name, dotted, without the final dot.
    pub name: String,
    /// QTYPE.
    pub kind: u16,
    /// QCLASS.
    pub class: u16,
}

/// One resource record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DnsRecord {
    /// The name, dotted, without the final dot.
    pub name: String,
    /// TYPE.
    pub kind: u16,
    /// CLASS.
    pub class: u16,
    /// Seconds it may be cached.
    pub ttl: u32,
    /// RDATA as on the wire, names in it uncompressed.
    pub data: Bytes,
}
