//! A report as SARIF 2.1.0 (OASIS), which code hosts show beside the code. Each check is a rule; each violation a result that
//! lies at the check's line in its file, since a flow has no place in the code.

use serde_json::{Value, json};

use crate::report::{CheckReport, Outcome, Report, Severity, Violation};

/// The report as a SARIF log; `version` is the program's.
#[must_use]
pub fn sarif(report: &Report, version: &str) -> String {
    let rules: Vec<Value> = report.checks.iter().map(rule).collect();
    let results: Vec<Value> = report
        .checks
        .iter()
        .enumerate()
        .flat_map(|(index, check)| {
            let Outcome::Violated { violations, .. } = &check.outcome else { return Vec::new() };
            violations.iter().map(|violation| result(report, index, check, violation)).collect()
        })
        .collect();
    let notes: Vec<Value> = report
        .checks
        .iter()
        .filter_map(|check| match &check.outcome {
            Outcome::Undecided(why) => Some(json!({
                "level": "error",
                "message": { "text": format!("{}: no verdict: {why}", check.name) },
                "associatedRule": { "id": check.name },
            })),
            _ => None,
        })
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "flowgate", "semanticVersion": version, "rules": rules } },
            "invocations": [{
                "executionSuccessful": report.decided(),
                "toolExecutionNotifications": notes,
            }],
            "results": results,
        }],
    });
    let mut text = format!("{log:#}");
    text.push('\n');
    text
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn rule(check: &CheckReport) -> Value {
    let mut rule = json!({
        "id": check.name,
        "shortDescription": { "text": check.name },
        "defaultConfiguration": { "level": level(check.severity) },
    });
    if let (Some(help), Some(rule)) = (&check.help, rule.as_object_mut()) {
        rule.insert("help".to_owned(), json!({ "text": help }));
    }
    rule
}

fn result(report: &Report, index: usize, check: &CheckReport, violation: &Violation) -> Value {
    let text = match &violation.flow {
        Some(flow) => format!("{}: {}", flow.title, violation.text),
        None => violation.text.clone(),
    };
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(&report.file) },
            "region": { "startLine": check.line },
        },
    });
    let mut result = json!({
        "ruleId": check.name,
        "ruleIndex": index,
        "level": level(check.severity),
        "message": { "text": text },
    });
    if let (Some(flow), Some(location), Some(result)) =
        (&violation.flow, location.as_object_mut(), result.as_object_mut())
    {
        let logical = json!([{ "name": flow.title, "fullyQualifiedName": flow.id }]);
        location.insert("logicalLocations".to_owned(), logical);
        result.insert(
            "partialFingerprints".to_owned(),
            json!({ "flowgate/v1": format!("{} {text}", check.name) }),
        );
    }
    if let Some(result) = result.as_object_mut() {
        result.insert("locations".to_owned(), json!([location]));
    }
    result
}

/// A path as a relative reference (RFC 3986 §4.2): what may not stand in one is escaped.
fn uri(path: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
