//! DNS flows: a line for the query, and one for the answers, the response code or the error.

use flowgate_contentview::escape;
use flowgate_flow::{DnsFlow, Flow, dns_text};

use crate::dumper::Dumper;
use crate::style::{Colour, Look};

impl Dumper {
    pub(crate) fn dns(&self, flow: &Flow, dns: &DnsFlow, out: &mut String) {
        self.query_line(flow, dns, out);
        if let Some(response) = &dns.response {
            self.style.paint(out, Look::BOLD, |out| out.push_str(" <<"));
            out.push(' ');
            if response.answers.is_empty() {
                self.style
                    .paint(out, Look::RED, |out| dns_text::push_response_code(out, response.response_code));
            }
            for (at, answer) in response.answers.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                let answer = dns_text::record_data(answer);
                self.style.paint(out, Look::of(Colour::BrightBlue), |out| escape::push_line(out, &answer));
            }
            out.push('\n');
        }
        self.error(flow, out);
    }

    /// `127.0.0.1:45649: DNS QUERY (A) localhost`; without type and name if nothing is asked.
    fn query_line(&self, flow: &Flow, dns: &DnsFlow, out: &mut String) {
        self.client(flow, out);
        out.push_str(": ");
        let question = dns.request.questions.first();
        let colour = match question.map(|question| question.kind) {
            Some(dns_text::A) => Colour::Green,
            Some(dns_text::AAAA) => Colour::Magenta,
            _ => Colour::Red,
        };
        self.style.paint(out, Look::of(colour), |out| {
            out.push_str("DNS ");
            dns_text::push_op_code(out, dns.request.op_code);
            if let Some(question) = question {
                out.push_str(" (");
                dns_text::push_kind(out, question.kind);
                out.push(')');
            }
        });
        if let Some(question) = question {
            out.push(' ');
            self.style.paint(out, Look::BOLD, |out| escape::push_line(out, &question.name));
        }
        out.push('\n');
    }
}
