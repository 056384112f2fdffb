//! A report as JUnit XML, which CI systems show beside unit tests: a suite for the file, a case for each check.
//!
//! A warning is a case that passed, with the text in `system-out`; what has no verdict is an error, not a failure.

use std::fmt::Write as _;

use crate::human::counted;
use crate::report::{CheckReport, Outcome, Report, Severity};

/// The report as a JUnit XML document.
#[must_use]
pub fn junit(report: &Report) -> String {
    let tests = report.checks.len();
    let count = |of: fn(&CheckReport) -> bool| report.checks.iter().filter(|check| of(check)).count();
    let failures = count(|check| check.fails() && matches!(check.outcome, Outcome::Violated { .. }));
    let errors = count(|check| matches!(check.outcome, Outcome::Undecided(_)));
    let time = report.took.as_secs_f64();
    let file = escaped(&report.file);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a `String` cannot fail.
    let _ = write!(
        out,
        "<testsuites tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{time:.3}\">\n\
         <testsuite name=\"{file}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\" \
         time=\"{time:.3}\">\n"
    );
    for check in &report.checks {
        let _ = write!(
            out,
            "<testcase name=\"{}\" classname=\"{file}\" file=\"{file}\" line=\"{}\" time=\"0\"",
            escaped(&check.name),
            check.line
        );
        match &check.outcome {
            Outcome::Holds => out.push_str("/>\n"),
            Outcome::Undecided(why) => {
                let _ = write!(out, ">\n<error message=\"{}\"/>\n</testcase>\n", escaped(why));
            }
            Outcome::Violated { count, .. } => {
                let text = escaped(&violations(check));
                let _ = match check.severity {
                    Severity::Error => write!(
                        out,
                        ">\n<failure message=\"{}\">{text}</failure>\n</testcase>\n",
                        counted(*count, "violation")
                    ),
                    Severity::Warning => write!(out, ">\n<system-out>{text}</system-out>\n</testcase>\n"),
                };
            }
        }
    }
    out.push_str("</testsuite>\n</testsuites>\n");
    out
}

fn violations(check: &CheckReport) -> String {
    let Outcome::Violated { count, violations } = &check.outcome else { return String::new() };
    let mut text = String::new();
    for violation in violations {
        let _ = match &violation.flow {
            Some(flow) => writeln!(text, "{}  {}: {}", flow.id, flow.title, violation.text),
            None => writeln!(text, "{}", violation.text),
        };
    }
    let more = count.saturating_sub(violations.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "and {more} more");
    }
    if let Some(help) = &check.help {
        let _ = writeln!(text, "help: {help}");
    }
    text
}

/// Text for an element or an attribute; characters that XML 1.0 has not (section 2.2) become U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' => out.push(c),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold() {
        assert_eq!(
            escaped("a<b>&\"\u{1}\u{0}\t\u{e9}\u{ffff}"),
            "a&lt;b&gt;&amp;&quot;\u{fffd}\u{fffd}\t\u{e9}\u{fffd}"
        );
    }
}
