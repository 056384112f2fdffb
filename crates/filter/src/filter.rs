//! [`Filter`]: a text that was read, ready to be asked.

use std::fmt;

use flowgate_flow::Flow;

use crate::body::BodyDecoder;
use crate::error::FilterError;
use crate::evaluate::{Answer, Asked};
use crate::expr::Expr;
use crate::parse;

/// Whether letter case counts in patterns.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Case {
    /// `A` finds `a`: the default, as in mitmproxy since 11.1.
    #[default]
    Ignored,
    /// `A` finds `A` only: what mitmproxy does with `MITMPROXY_CASE_SENSITIVE_FILTERS=1`.
    Sensitive,
}

/// A filter.
#[derive(Clone, Debug)]
pub struct Filter {
    text: String,
    expr: Expr,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// What is wrong with it, and at which column.
    pub fn parse(text: &str, case: Case) -> Result<Self, FilterError> {
        parse::parse(text, case).map(|expr| Self { text: text.to_owned(), expr })
    }

    /// The text as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The tree, for those who compile it into something else.
    #[must_use]
    pub const fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Whether its answer may depend on bodies or messages, so that they have to be kept for it.
    #[must_use]
    pub fn reads_bodies(&self) -> bool {
        self.expr.reads_bodies()
    }

    /// Whether its answer for an HTTP flow depends on nothing but the lines and fields of its request and response, its times, error,
    /// mark, comment and replay, and whether it is a WebSocket: not on connections, bodies, messages or metadata.
    #[must_use]
    pub fn reads_heads_only(&self) -> bool {
        self.expr.reads_heads_only()
    }

    /// Whether a flow is meant.
    #[must_use]
    pub fn matches(&self, flow: &Flow, decoder: &dyn BodyDecoder) -> bool {
        self.ask(flow, decoder).matched
    }

    /// Whether a flow is meant, and whether a search had to be given up.
    #[must_use]
    pub fn ask(&self, flow: &Flow, decoder: &dyn BodyDecoder) -> Answer {
        Asked::new(flow, decoder).ask(&self.expr)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
