//! The event log on a terminal: one line an event, with local time and the client it concerns.
//!
//! Invariant: an event is one line, or one line and lines that begin with `    | `, which no other line does: what stands in a
//! message can never pass for another event or flow.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::LazyLock;

use flowgate_contentview::escape;
use flowgate_flow::Timestamp;
use jiff::tz::TimeZone;

use crate::human;
use flowgate_options::Level;

use crate::style::{Colour, Look, Style};

/// Renders events as mitmdump does.
#[derive(Clone, Debug)]
pub struct TermLog {
    /// The least urgent level that is shown (option `termlog_verbosity`).
    pub verbosity: Level,
    /// Coloured or not.
    pub style: Style,
    /// The time zone of the times.
    pub local_time: LocalTime,
}

/// An event of the program's life.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// When it happened.
    pub timestamp: Timestamp,
    /// How urgent it is.
    pub level: Level,
    /// The client it concerns.
    pub client: Option<SocketAddr>,
    /// What happened.
    pub message: &'a str,
}

/// A time zone, for broken-down times.
#[derive(Clone, Debug)]
pub struct LocalTime(Zone);

#[derive(Clone, Debug)]
enum Zone {
    System,
    Fixed(TimeZone),
}

/// Looked up when the first time is shown: it means walking over all time zones there are, and many runs show none.
static SYSTEM: LazyLock<TimeZone> = LazyLock::new(TimeZone::system);

/// A time zone that cannot be understood.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a POSIX time zone")]
pub struct TimeZoneError;

impl TermLog {
    /// Adds the lines of an event, or nothing if it is not urgent enough.
    pub fn event(&self, event: &Event<'_>, out: &mut String) {
        if event.level > self.verbosity {
            return;
        }
        self.style.paint(out, Look::of(Colour::Cyan).dim(), |out| {
            out.push('[');
            self.local_time.push_clock(out, event.timestamp);
            out.push(']');
        });
        if let Some(client) = event.client {
            self.style.paint(out, Look::of(Colour::Yellow).dim(), |out| {
                out.push('[');
                out.push_str(&human::format_socket(client));
                out.push(']');
            });
        }
        out.push(' ');
        let colour = match event.level {
            Level::Error => Some(Colour::Red),
            Level::Warn => Some(Colour::Yellow),
            Level::Alert => Some(Colour::Magenta),
            Level::Info | Level::Debug => None,
        };
        self.style.paint(out, Look { colour, ..Look::default() }, |out| {
            // Differs from mitmproxy, which prints line ends within a message as they are.
            for (at, line) in event.message.trim_end_matches(['\r', '\n']).lines().enumerate() {
                out.push_str(if at > 0 { "\n    | " } else { "" });
                escape::push_line(out, line);
            }
        });
        out.push('\n');
    }
}

impl LocalTime {
    /// The system's time zone: what `TZ` says, else what `/etc/localtime` or its like says, else UTC.
    ///
    /// The environment and files are read when the first time is shown, and not again.
    #[must_use]
    pub const fn system() -> Self {
        Self(Zone::System)
    }

    /// Coordinated universal time.
    #[must_use]
    pub const fn utc() -> Self {
        Self(Zone::Fixed(TimeZone::UTC))
    }

    /// A time zone by its rule, such as `CET-1CEST,M3.5.0,M10.5.0/3`.
    ///
    /// # Errors
    /// If it is no POSIX time zone.
    pub fn posix(rule: &str) -> Result<Self, TimeZoneError> {
        TimeZone::posix(rule).map(Zone::Fixed).map(Self).map_err(|_| TimeZoneError)
    }

    /// Adds `HH:MM:SS.mmm`, milliseconds cut and not rounded.
    fn push_clock(&self, out: &mut String, timestamp: Timestamp) {
        // Rounded to microseconds first, for the float of 0.123 s may lie just below.
        let microseconds = (timestamp.0 * 1e6).round() as i64;
        // Times beyond year 9999 or before -9999 are shown as the epoch.
        let timestamp = jiff::Timestamp::from_microsecond(microseconds).unwrap_or_default();
        let zone = match &self.0 {
            Zone::System => &*SYSTEM,
            Zone::Fixed(zone) => zone,
        };
        let time = zone.to_datetime(timestamp);
        let milliseconds = time.subsec_nanosecond() / 1_000_000;
        // Writing to a `String` cannot fail.
        let _ = write!(out, "{:02}:{:02}:{:02}.{milliseconds:03}", time.hour(), time.minute(), time.second());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "127.0.0.1:43648";

    fn check(level: Level, client: Option<&str>, message: &str, plain: &str, ansi: &str) {
        let event = Event {
            timestamp: Timestamp(1_700_000_000.123),
            level,
            client: client.map(|client| client.parse().unwrap()),
            message,
        };
        for (style, shown) in [(Style::Plain, plain), (Style::Ansi, ansi)] {
            let local_time = LocalTime::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
            let mut out = String::new();
            TermLog { verbosity: Level::Debug, style, local_time }.event(&event, &mut out);
            assert_eq!(out, shown);
        }
    }

    #[test]
    fn lines_as_mitmdump_prints_them() {
        check(
            Level::Info,
            Some(CLIENT),
            "client connect",
            "[23:13:20.123][127.0.0.1:43648] client connect\n",
            "\x1b[36m\x1b[2m[23:13:20.123]\x1b[0m\x1b[33m\x1b[2m[127.0.0.1:43648]\x1b[0m client connect\x1b[0m\n",
        );
        check(
            Level::Warn,
            None,
            "no",
            "[23:13:20.123] no\n",
            "\x1b[36m\x1b[2m[23:13:20.123]\x1b[0m \x1b[33mno\x1b[0m\n",
        );
    }

    #[test]
    fn a_message_cannot_forge_another_line() {
        check(
            Level::Error,
            None,
            "a\n[00:00:00.000] b\r\n\x1b[2Jc\rd\n",
            "[23:13:20.123] a\n    | [00:00:00.000] b\n    | .[2Jc.d\n",
            "\x1b[36m\x1b[2m[23:13:20.123]\x1b[0m \x1b[31ma\n    | [00:00:00.000] b\n    | .[2Jc.d\x1b[0m\n",
        );
        check(
            Level::Alert,
            None,
            "",
            "[23:13:20.123] \n",
            "\x1b[36m\x1b[2m[23:13:20.123]\x1b[0m \x1b[35m\x1b[0m\n",
        );
    }

    #[test]
    fn verbosity_is_a_threshold() {
        let levels = [Level::Error, Level::Warn, Level::Alert, Level::Info, Level::Debug];
        for (at, verbosity) in levels.into_iter().enumerate() {
            let log = TermLog { verbosity, style: Style::Plain, local_time: LocalTime::utc() };
            let passes = |level| {
                let mut out = String::new();
                log.event(&Event { timestamp: Timestamp(0.0), level, client: None, message: "" }, &mut out);
                !out.is_empty()
            };
            assert_eq!(levels.map(passes), [0, 1, 2, 3, 4].map(|other| other <= at), "{verbosity:?}");
        }
    }

    #[test]
    fn strange_times_are_no_panic() {
        for seconds in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, -0.5] {
            let mut out = String::new();
            LocalTime::utc().push_clock(&mut out, Timestamp(seconds));
            assert_eq!(out.len(), "HH:MM:SS.mmm".len());
        }
    }

    #[test]
    fn summer_time_is_known() {
        let mut out = String::new();
        LocalTime::posix("CET-1CEST,M3.5.0,M10.5.0/3")
            .unwrap()
            .push_clock(&mut out, Timestamp(1_690_000_000.999_9));
        assert_eq!(out, "06:26:40.999");
        assert_eq!(LocalTime::posix("nonsense!").unwrap_err(), TimeZoneError);
    }
}
