//! What the answer of a name server means for a question about addresses.

use std::net::IpAddr;

use flowgate_flow::dns_text::{A, push_response_code};
use flowgate_flow::{DnsMessage, DnsRecord};
use flowgate_wire::dns::name_in;

use super::exchange::{IN, Query};
use crate::limits::{DNS_ADDRESSES_MAX, DNS_ALIASES_MAX};

/// An answer to a question.
#[derive(Debug)]
pub(super) struct Answer(DnsMessage);

/// What it means.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// These, for so many seconds; there may be none.
    Addresses { addresses: Vec<IpAddr>, ttl: u32 },
    /// There is no such name.
    NoSuchName,
    /// The name stands for another, of which the server does not know more.
    Elsewhere { name: String, ttl: u32 },
    /// Names that stand for each other.
    Endless,
}

impl Answer {
    /// A message, if it answers the question: all else may be from anybody.
    pub(super) fn to(query: &Query, message: DnsMessage) -> Option<Self> {
        let repeats = match message.questions.as_slice() {
            [asked] => {
                asked.name.eq_ignore_ascii_case(query.name())
                    && (asked.kind, asked.class) == (query.kind(), IN)
            }
            // Who does not understand the question cannot repeat it.
            [] => message.response_code != NO_ERROR,
            _ => false,
        };
        let is_answer = !message.query && message.op_code == 0 && message.id == query.id() && repeats;
        is_answer.then_some(Self(message))
    }

    /// Whether there is more than a datagram holds.
    pub(super) const fn is_cut(&self) -> bool {
        self.0.truncation
    }

    /// What it means, or what the server says instead of an answer.
    pub(super) fn means(&self, query: &Query) -> Result<Found, String> {
        match self.0.response_code {
            NO_ERROR => Ok(self.follow(query.name(), query.kind())),
            NX_DOMAIN => Ok(Found::NoSuchName),
            other => {
                let mut says = "it says ".to_owned();
                push_response_code(&mut says, other);
                Err(says)
            }
        }
    }

    /// From the name that was asked for to the addresses, by way of the names that it stands for (RFC 1034 section 3.6.2).
    fn follow(&self, asked: &str, kind: u16) -> Found {
        let mut name = asked.to_owned();
        let mut ttl = u32::MAX;
        for _ in 0..DNS_ALIASES_MAX {
            let of_name = || {
                let fits =
                    |record: &&DnsRecord| record.class == IN && record.name.eq_ignore_ascii_case(&name);
                self.0.answers.iter().filter(fits)
            };
            let addresses: Vec<_> = of_name()
                .filter(|record| record.kind == kind)
                .filter_map(|record| Some((address(kind, &record.data)?, lifetime(record))))
                .take(DNS_ADDRESSES_MAX)
                .collect();
            if !addresses.is_empty() {
                let shortest = addresses.iter().fold(ttl, |ttl, (_, of_record)| ttl.min(*of_record));
                let addresses = addresses.into_iter().map(|(address, _)| address).collect();
                return Found::Addresses { addresses, ttl: shortest };
            }
            let alias = of_name().find(|record| record.kind == CNAME);
            match alias.and_then(|record| Some((name_in(&record.data)?, lifetime(record)))) {
                Some((target, of_record)) => {
                    ttl = ttl.min(of_record);
                    name = target;
                }
                // Who searches for others would have found what there is.
                None if self.0.recursion_available || name == asked => {
                    return Found::Addresses { addresses: Vec::new(), ttl };
                }
                None => return Found::Elsewhere { name, ttl },
            }
        }
        Found::Endless
    }
}

fn address(kind: u16, data: &[u8]) -> Option<IpAddr> {
    match kind {
        A => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
    }
}

/// For how many seconds a record holds (RFC 2181 section 8).
const fn lifetime(record: &DnsRecord) -> u32 {
    if record.ttl > i32::MAX as u32 { 0 } else { record.ttl }
}

const NO_ERROR: u16 = 0;
const NX_DOMAIN: u16 = 3;
const CNAME: u16 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use flowgate_flow::DnsQuestion;

    fn record(name: &str, kind: u16, ttl: u32, data: &'static [u8]) -> DnsRecord {
        DnsRecord { name: name.into(), kind, class: IN, ttl, data: Bytes::from_static(data) }
    }

    fn message(query: &Query, answers: Vec<DnsRecord>) -> DnsMessage {
        let question = DnsQuestion { name: "A.Test".into(), kind: A, class: IN };
        let query = DnsMessage::query(query.id(), question);
        DnsMessage { query: false, recursion_available: true, answers, ..query }
    }

    #[test]
    fn names_lead_to_addresses() {
        let query = Query::new("a.test", A).unwrap();
        let means = |answers, recursion_available| {
            let message = DnsMessage { recursion_available, ..message(&query, answers) };
            Answer::to(&query, message).unwrap().means(&query).unwrap()
        };
        let addresses = |last: &[u8], ttl| Found::Addresses {
            addresses: last.iter().map(|last| IpAddr::from([10, 0, 0, *last])).collect(),
            ttl,
        };
        let (one, two) = (&[10, 0, 0, 1], &[10, 0, 0, 2]);
        assert_eq!(
            means(vec![record("a.TEST", A, 9, one), record("a.test", A, 7, two)], true),
            addresses(&[1, 2], 7)
        );
        // Of others, of another kind or class, of another length.
        let other_class = DnsRecord { class: 3, ..record("a.test", A, 9, one) };
        let wrong = vec![
            record("b.test", A, 9, one),
            other_class,
            record("a.test", A, 9, &[1, 2, 3]),
            record("a.test", 28, 9, two),
        ];
        assert_eq!(means(wrong, true), addresses(&[], u32::MAX));
        // By way of another, in whatever order.
        let chain = vec![
            record("c.test", A, 50, one),
            record("b.test", CNAME, 40, b"\x01c\x04test\0"),
            record("a.test", CNAME, 60, b"\x01b\x04test\0"),
        ];
        assert_eq!(means(chain.clone(), true), addresses(&[1], 40));
        let open = || vec![chain[2].clone()];
        assert_eq!(means(open(), true), addresses(&[], 60));
        assert_eq!(means(open(), false), Found::Elsewhere { name: "b.test".into(), ttl: 60 });
        assert_eq!(means(vec![], false), addresses(&[], u32::MAX));
        let circle = vec![chain[2].clone(), record("b.test", CNAME, 1, b"\x01a\x04test\0")];
        assert_eq!(means(circle, true), Found::Endless);
        assert_eq!(means(vec![record("a.test", A, u32::MAX, one)], true), addresses(&[1], 0));
        let many = vec![record("a.test", A, 1, one); 100];
        assert!(
            matches!(means(many, true), Found::Addresses { addresses, .. } if addresses.len() == DNS_ADDRESSES_MAX)
        );
    }

    #[test]
    fn what_is_no_answer_to_the_question() {
        let query = Query::new("a.test", A).unwrap();
        let answers = |change: &dyn Fn(&mut DnsMessage)| {
            let mut message = message(&query, vec![]);
            change(&mut message);
            Answer::to(&query, message).is_some()
        };
        assert!(answers(&|_| {}));
        assert!(!answers(&|message| message.id ^= 1));
        assert!(!answers(&|message| message.query = true));
        assert!(!answers(&|message| message.op_code = 4));
        assert!(!answers(&|message| message.questions[0].name.push('x')));
        assert!(!answers(&|message| message.questions[0].kind = 28));
        assert!(!answers(&|message| message.questions[0].class = 3));
        assert!(!answers(&|message| message.questions.clear()));
        assert!(answers(&|message| {
            message.questions.clear();
            message.response_code = 1;
        }));
    }
}
