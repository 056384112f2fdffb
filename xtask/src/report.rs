//! What a chore says while it works: one line for each long step, each skip and each failure.
//!
//! The only place that prints. Everything goes to standard output, so that it keeps its order in a CI log.
#![allow(clippy::print_stdout, reason = "printing is what this module is for")]

use std::time::{Duration, Instant};

/// A line as it is.
pub fn line(text: &str) {
    println!("{text}");
}

/// A step that may take long begins.
pub fn step(text: &str) {
    println!("==> {text}");
}

/// Something is left out, and why.
pub fn skip(what: &str, why: &str) {
    println!("skip: {what}: {why}");
}

/// An error with its causes.
pub fn error(error: &anyhow::Error) {
    println!("error: {error}");
    for cause in error.chain().skip(1) {
        println!("  cause: {cause}");
    }
}

/// How long something has taken, for people: `8.1 s`, `2 min 5 s`.
#[must_use]
pub fn since(start: Instant) -> String {
    duration(start.elapsed())
}

fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{:.1} s", duration.as_secs_f32()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_for_people() {
        for (millis, expected) in
            [(0, "0.0 s"), (8_140, "8.1 s"), (60_000, "1 min 0 s"), (125_999, "2 min 5 s")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), expected);
        }
    }
}
