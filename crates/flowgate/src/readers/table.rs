//! One line for one flow. Columns have widths of their own, so that lines can be printed as they come.

use std::fmt::Write as _;

use flowgate_contentview::escape;
use flowgate_dump::human::Size;
use flowgate_filter::Kind;
use flowgate_session::{Flags, Row};

/// The line above all others.
pub(super) const HEAD: &str = "ID        METHOD   STATUS    SIZE    TIME  URL\n";

pub(super) fn line(row: &Row) -> String {
    let id: String = row.id.to_string().chars().take(8).collect();
    let mut line = String::new();
    let cell = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    // What a peer or a file said drives no terminal.
    let harmless = |bytes: &[u8]| {
        let mut text = String::new();
        escape::push_line_bytes(&mut text, bytes);
        text
    };
    let method = match (row.kind, &row.method) {
        (Kind::Http, Some(method)) if row.flags.has(Flags::WEBSOCKET) => format!("{}+ws", harmless(method)),
        (Kind::Http, Some(method)) => harmless(method),
        _ => row.kind_name().to_owned(),
    };
    let status = row.status.map_or_else(String::new, |status| status.to_string());
    let size = row.bytes.map_or_else(String::new, |bytes| Size(bytes).to_string());
    let time = row.duration.map_or_else(String::new, duration);
    let what = match (&row.url, &row.destination) {
        (Some(url), _) => harmless(url),
        (None, Some(destination)) => harmless(destination.as_bytes()),
        (None, None) => String::new(),
    };
    // Writing to a `String` cannot fail.
    let _ = write!(
        line,
        "{:8}  {:7}  {:>6}  {:>6}  {:>6}  {}",
        harmless(id.as_bytes()),
        cell(method),
        cell(status),
        cell(size),
        cell(time),
        cell(what)
    );
    if let Some(error) = &row.error {
        line.push_str(" << ");
        escape::push_line(&mut line, error);
    }
    line.push('\n');
    line
}

/// `0ms`, `999ms`, `1.0s`, `99.9s`, `100s`, `100m`, `100h`: at most six characters for anything that can be.
fn duration(seconds: f64) -> String {
    let ms = (seconds * 1000.0).round();
    if ms < 1000.0 {
        format!("{:.0}ms", ms.max(0.0))
    } else if seconds < 99.95 {
        format!("{seconds:.1}s")
    } else if seconds < 6000.0 {
        format!("{seconds:.0}s")
    } else if seconds < 360_000.0 {
        format!("{:.0}m", seconds / 60.0)
    } else {
        format!("{:.0}h", seconds / 3600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (seconds, shown) in [
            (-0.5, "0ms"),
            (0.0, "0ms"),
            (0.0004, "0ms"),
            (0.9994, "999ms"),
            (0.9996, "1.0s"),
            (59.94, "59.9s"),
            (99.94, "99.9s"),
            (99.96, "100s"),
            (5999.0, "5999s"),
            (6000.0, "100m"),
            (360_000.0, "100h"),
            (f64::NAN, "NaNh"),
        ] {
            assert_eq!(duration(seconds), shown);
        }
    }
}
