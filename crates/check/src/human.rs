//! A report for people.

use std::fmt::Write as _;

use crate::report::{CheckReport, Outcome, Report, Severity, Violation, shown};

/// How many violations of a check are shown; machines get more.
const VIOLATIONS_SHOWN_MAX: usize = 10;

/// Characters of an id that are enough to find the flow again.
const ID_CHARS: usize = 8;

/// The report as text: a line for each check, what is wrong below it, and a line that sums up.
#[must_use]
pub fn human(report: &Report) -> String {
    let mut out = String::new();
    for check in &report.checks {
        line(check, &mut out);
    }
    let (failed, warned, undecided) =
        report.checks.iter().fold((0, 0, 0), |(failed, warned, undecided), check| {
            match (&check.outcome, check.severity) {
                (Outcome::Holds, _) => (failed, warned, undecided),
                (Outcome::Undecided(_), _) => (failed, warned, undecided + 1),
                (Outcome::Violated { .. }, Severity::Error) => (failed + 1, warned, undecided),
                (Outcome::Violated { .. }, Severity::Warning) => (failed, warned + 1, undecided),
            }
        });
    let held = report.checks.len() - failed - warned - undecided;
    let mut parts = vec![format!("{held} of {} checks hold", report.checks.len())];
    for (count, what) in [(failed, "failed"), (warned, "gave a warning"), (undecided, "without a verdict")] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "{}", parts.join(", "));
    out
}

fn line(check: &CheckReport, out: &mut String) {
    let word = match (&check.outcome, check.severity) {
        (Outcome::Holds, _) => "ok",
        (Outcome::Undecided(_), _) => "????",
        (Outcome::Violated { .. }, Severity::Error) => "FAIL",
        (Outcome::Violated { .. }, Severity::Warning) => "warn",
    };
    let _ = write!(out, "{word:<5} {}  ({})", shown(check.name.as_bytes()), counted(check.flows, "flow"));
    match &check.outcome {
        Outcome::Holds => out.push('\n'),
        Outcome::Undecided(why) => {
            let _ = writeln!(out, ": {why}");
        }
        Outcome::Violated { count, violations } => {
            let _ = writeln!(out, ": {}", counted(*count, "violation"));
            for violation in violations.iter().take(VIOLATIONS_SHOWN_MAX) {
                let _ = writeln!(out, "        {}", in_a_line(violation));
            }
            let shown_count = violations.len().min(VIOLATIONS_SHOWN_MAX) as u64;
            if *count > shown_count {
                let _ = writeln!(out, "        and {} more", count - shown_count);
            }
            if let Some(help) = &check.help {
                let _ = writeln!(out, "      help: {}", shown(help.as_bytes()));
            }
        }
    }
}

/// A violation as it is told when it comes.
pub(crate) fn news(check: &str, severity: Severity, violation: &Violation) -> String {
    let word = match severity {
        Severity::Error => "FAIL",
        Severity::Warning => "warn",
    };
    format!("{word:<5} {}: {}\n", shown(check.as_bytes()), in_a_line(violation))
}

fn in_a_line(violation: &Violation) -> String {
    let text = shown(violation.text.as_bytes());
    match &violation.flow {
        Some(flow) => {
            let id: String = shown(flow.id.as_bytes()).chars().take(ID_CHARS).collect();
            format!("{id}  {}: {text}", flow.title)
        }
        None => text,
    }
}

pub(crate) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
