//! Asking a filter of a flow.
//!
//! Cheap things stay cheap: a part of a filter whose answer does not matter is not asked, and a body is read and decoded
//! once for all that search in it, and only if something does.

use std::cell::OnceCell;

use bytes::Bytes;
use flowgate_flow::{Flow, FlowKind, Headers, HttpFlow};
use flowgate_pattern::{Found, Regex};

use crate::body::{BodyDecoder, searched};
use crate::expr::{Expr, Fact, Half, Test};
use crate::facts::{
    self, dns_lines, duration, has_response, header_block, http, is_kind, metadata, sender, size,
};

/// What a filter says of a flow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// It is meant.
    pub matched: bool,
    /// A search ended at [`SEARCH_STEPS_MAX`](crate::limits::SEARCH_STEPS_MAX) and counted as not found.
    pub gave_up: bool,
}

/// A flow that is being asked about.
pub(crate) struct Asked<'f> {
    flow: &'f Flow,
    decoder: &'f dyn BodyDecoder,
    request_body: OnceCell<Option<Bytes>>,
    response_body: OnceCell<Option<Bytes>>,
    gave_up: bool,
}

impl<'f> Asked<'f> {
    pub(crate) const fn new(flow: &'f Flow, decoder: &'f dyn BodyDecoder) -> Self {
        Self { flow, decoder, request_body: OnceCell::new(), response_body: OnceCell::new(), gave_up: false }
    }

    pub(crate) fn ask(mut self, expr: &Expr) -> Answer {
        let matched = self.holds(expr);
        Answer { matched, gave_up: self.gave_up }
    }

    /// Recursion is as deep as the filter, which is bounded.
    fn holds(&mut self, expr: &Expr) -> bool {
        match expr {
            Expr::And(all) => all.iter().all(|part| self.holds(part)),
            Expr::Or(any) => any.iter().any(|part| self.holds(part)),
            Expr::Not(inner) => !self.holds(inner),
            Expr::Test { test, .. } => self.test(test),
        }
    }

    fn test(&mut self, test: &Test) -> bool {
        let flow = self.flow;
        let http = http(flow);
        match test {
            Test::All => true,
            Test::Asset => facts::is_asset(flow),
            Test::Failed => flow.error.is_some(),
            Test::Marked => !flow.marked.is_empty(),
            Test::Is(kind) => is_kind(flow, *kind),
            Test::Unanswered => has_response(flow) == Some(false),
            Test::Answered => has_response(flow) == Some(true),
            Test::Replayed(None) => flow.replay.is_some(),
            Test::Replayed(half) => flow.replay == *half,
            Test::Found(fact, regex) => self.found(*fact, regex),
            Test::Status(wanted) => {
                http.and_then(|http| http.response.as_ref()).is_some_and(|r| wanted.holds(r.status))
            }
            Test::Size(half, bounds) => size(flow, *half).is_some_and(|bytes| bounds.holds(&bytes)),
            Test::Duration(bounds) => duration(flow).is_some_and(|seconds| bounds.holds(&seconds)),
        }
    }

    fn found(&mut self, fact: Fact, regex: &Regex) -> bool {
        let flow = self.flow;
        match fact {
            Fact::Body(half) => self.in_bodies(half, regex),
            Fact::Headers(half) => {
                self.in_messages(half, |asked, headers| asked.search(regex, &header_block(headers)))
            }
            Fact::ContentType(half) => self.in_messages(half, |asked, headers| {
                headers.get_all("content-type").any(|value| asked.search(regex, value))
            }),
            Fact::Method => http(flow).is_some_and(|http| self.search(regex, &http.request.method)),
            Fact::Host => http(flow).is_some_and(|http| {
                let request = &http.request;
                self.search(regex, request.host.as_bytes()) || self.search(regex, &request.pretty_host())
            }),
            Fact::Url => facts::url(flow).is_some_and(|url| self.search(regex, &url)),
            Fact::Source => facts::source(flow).is_some_and(|peer| self.search(regex, peer.as_bytes())),
            Fact::Destination => {
                facts::destination(flow).is_some_and(|address| self.search(regex, address.as_bytes()))
            }
            Fact::Metadata => self.search(regex, metadata(&flow.metadata).as_bytes()),
            Fact::Marker => self.search(regex, flow.marked.as_bytes()),
            Fact::Comment => self.search(regex, flow.comment.as_bytes()),
            Fact::Reason => self.search(regex, facts::reason(flow).as_bytes()),
            Fact::Sni => {
                flow.client.connection.sni.as_ref().is_some_and(|sni| self.search(regex, sni.as_bytes()))
            }
        }
    }

    fn search(&mut self, regex: &Regex, haystack: &[u8]) -> bool {
        match regex.search(haystack) {
            Found::Yes => true,
            Found::No => false,
            Found::GaveUp => {
                self.gave_up = true;
                false
            }
        }
    }

    /// Whether something holds of the headers of one message of this half.
    fn in_messages(&mut self, half: Half, mut holds: impl FnMut(&mut Self, &Headers) -> bool) -> bool {
        let Some(http) = http(self.flow) else { return false };
        half.has(Half::Request) && holds(self, &http.request.headers)
            || half.has(Half::Response)
                && http.response.as_ref().is_some_and(|response| holds(self, &response.headers))
    }

    fn in_bodies(&mut self, half: Half, regex: &Regex) -> bool {
        let flow = self.flow;
        match &flow.kind {
            FlowKind::Http(http) => {
                half.has(Half::Request) && self.in_request_body(http, regex)
                    || half.has(Half::Response) && self.in_response_body(http, regex)
                    || http.websocket.as_ref().is_some_and(|websocket| {
                        let mut messages = websocket.messages.iter();
                        messages
                            .any(|message| half.has(sender(message)) && self.search(regex, &message.content))
                    })
            }
            FlowKind::Tcp(raw) | FlowKind::Udp(raw) => raw
                .messages
                .iter()
                .any(|message| half.has(sender(message)) && self.search(regex, &message.content)),
            FlowKind::Dns(dns) => {
                half.has(Half::Request) && self.search(regex, dns_lines(&dns.request).as_bytes())
                    || half.has(Half::Response)
                        && dns
                            .response
                            .as_ref()
                            .is_some_and(|response| self.search(regex, dns_lines(response).as_bytes()))
            }
            _ => false,
        }
    }

    fn in_request_body(&mut self, http: &HttpFlow, regex: &Regex) -> bool {
        let request = &http.request;
        let body =
            self.request_body.get_or_init(|| searched(&request.body, &request.headers, self.decoder)).clone();
        body.is_some_and(|body| self.search(regex, &body))
    }

    fn in_response_body(&mut self, http: &HttpFlow, regex: &Regex) -> bool {
        let Some(response) = &http.response else { return false };
        let body = self
            .response_body
            .get_or_init(|| searched(&response.body, &response.headers, self.decoder))
            .clone();
        body.is_some_and(|body| self.search(regex, &body))
    }
}
