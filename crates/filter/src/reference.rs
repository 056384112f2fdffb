//! The reference page of filters, in Markdown. A test keeps `docs/reference/filters.md` equal to it.

use crate::operators::{Argument, OPERATORS, Operator};

const HEAD: &str = include_str!("reference/head.md");
const TAIL: &str = include_str!("reference/tail.md");

/// The page: how expressions are written, the operators, what differs from mitmproxy.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = String::from(HEAD);
    page.push_str("| Operator | Flows | Matches |\n|---|---|---|\n");
    for operator in OPERATORS {
        page.push_str(&row(operator));
    }
    page.push_str(TAIL);
    page
}

fn row(operator: &Operator) -> String {
    let Operator { name, argument, help, kinds, in_mitmproxy, .. } = operator;
    let argument = match argument {
        Argument::None => String::new(),
        other => format!(" {}", other.name()),
    };
    let ours = if *in_mitmproxy { "" } else { " Not in mitmproxy." };
    format!("| `~{name}{argument}` | {kinds} | {help}{ours} |\n")
}
