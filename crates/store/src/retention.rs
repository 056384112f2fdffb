//! What a store keeps (`500m; 7d; ~c 5xx: 30d`): the language, and what it says of a flow. Pure: no store, no clock.
//!
//! Limits stand between semicolons: a size, an age or a number of flows, each for the whole store, or behind a filter and a
//! colon for the flows that it means. How they work together:
//!
//! - The first limit of age with a filter that means a flow decides how long it is kept, otherwise the one without a filter.
//! - When flows have to go for a size or a number, those go first that no limit of age names, the oldest first; then those
//!   whose time is up soonest.

use std::fmt;

use flowgate_filter::{BodyDecoder, Case, Filter, FilterError};
use flowgate_flow::Flow;

use crate::limits::{RETENTION_BYTES_MIN, RETENTION_PARTS_MAX};

/// What a store keeps; nothing said means everything.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    text: String,
    parts: Vec<Part>,
}

/// Two are equal if they were written the same.
impl PartialEq for Retention {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[derive(Clone, Debug)]
struct Part {
    filter: Option<Filter>,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    Bytes(u64),
    Seconds(f64),
    Flows(u64),
}

/// What retention says of one flow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Judgement {
    /// When its time is up, in seconds since 1970; below zero if no limit of age names it. What is smaller goes sooner.
    pub(crate) ends: f64,
    /// A bit for each filtered limit of size or number that means it, in the order of [`Retention::caps`].
    pub(crate) classes: i64,
}

/// The most that may be kept of something.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Cap {
    pub(crate) bytes: Option<u64>,
    pub(crate) flows: Option<u64>,
}

/// What was written wrongly; its `Display` is one line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct RetentionError {
    /// Where, in characters from 1.
    pub column: usize,
    /// What.
    pub fault: RetentionFault,
}

/// What was written wrongly.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RetentionFault {
    /// Nothing between two semicolons, or at an end.
    #[error("a limit is missing")]
    Missing,
    /// Neither a size nor an age nor a number.
    #[error(
        "`{0}` is no limit; limits are a size (500m), an age (30s, 10min, 12h, 7d, 2w) or a number of flows (10000)"
    )]
    NoLimit(String),
    /// A size for the whole store that it could not keep with.
    #[error("a store needs {} bytes at least", RETENTION_BYTES_MIN)]
    TooSmall,
    /// Two sizes, ages or numbers for the same flows.
    #[error("a second {0} for the same flows")]
    Second(&'static str),
    /// More than [`RETENTION_PARTS_MAX`].
    #[error("more than {} limits", RETENTION_PARTS_MAX)]
    TooMany,
    /// The filter cannot be used.
    #[error("{0}")]
    Filter(FilterError),
}

impl fmt::Display for RetentionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            // It names the column within the filter; here it is the one within the whole.
            RetentionFault::Filter(error) => {
                write!(f, "{} at column {}", error.fault, self.column)?;
                error.hint().map_or(Ok(()), |hint| write!(f, "; {hint}"))
            }
            fault => write!(f, "{fault} at column {}", self.column),
        }
    }
}

impl Retention {
    /// Reads limits; an empty text has none.
    ///
    /// # Errors
    /// What is wrong with them, and at which column.
    pub fn parse(text: &str, case: Case) -> Result<Self, RetentionError> {
        let mut retention = Self { text: text.to_owned(), parts: Vec::new() };
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut at = 0;
        for part in split(text) {
            let failed = |offset: usize, fault| {
                let before = text.get(..at + offset).unwrap_or(text);
                RetentionError { column: before.chars().count() + 1, fault }
            };
            let parsed = parse_part(part, case).map_err(|(offset, fault)| failed(offset, fault))?;
            let indent = part.len() - part.trim_start().len();
            if let Some(kind) = retention.second(&parsed) {
                return Err(failed(indent, RetentionFault::Second(kind)));
            }
            if retention.parts.len() >= RETENTION_PARTS_MAX {
                return Err(failed(indent, RetentionFault::TooMany));
            }
            retention.parts.push(parsed);
            at += part.len() + 1;
        }
        Ok(retention)
    }

    /// How many bytes the whole store may have, if that is limited.
    #[must_use]
    pub fn bytes_max(&self) -> Option<u64> {
        self.whole().bytes
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether nothing ever goes.
    #[must_use]
    pub fn keeps_everything(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether flows have to be looked at to judge them.
    pub(crate) fn has_filters(&self) -> bool {
        self.parts.iter().any(|part| part.filter.is_some())
    }

    /// What is kept of all flows.
    pub(crate) fn whole(&self) -> Cap {
        let mut whole = Cap::default();
        for part in self.parts.iter().filter(|part| part.filter.is_none()) {
            whole.tighten(part.limit);
        }
        whole
    }

    /// What is kept of the flows that filters mean: one for each bit of [`Judgement::classes`].
    pub(crate) fn caps(&self) -> impl Iterator<Item = Cap> {
        self.capped().map(|(_, limit)| {
            let mut cap = Cap::default();
            cap.tighten(limit);
            cap
        })
    }

    /// The seconds that flows are kept which no filter means.
    pub(crate) fn age(&self) -> Option<f64> {
        self.parts.iter().find_map(|part| match (&part.filter, part.limit) {
            (None, Limit::Seconds(seconds)) => Some(seconds),
            _ => None,
        })
    }

    /// What it says of a flow.
    pub(crate) fn judge(&self, flow: &Flow, decoder: &dyn BodyDecoder) -> Judgement {
        let meant = |filter: &Filter| filter.matches(flow, decoder);
        let aged = self.parts.iter().find_map(|part| match (&part.filter, part.limit) {
            (Some(filter), Limit::Seconds(seconds)) if meant(filter) => Some(seconds),
            _ => None,
        });
        let mut classes = 0;
        for (bit, (filter, _)) in self.capped().enumerate() {
            classes |= i64::from(meant(filter)) << bit;
        }
        Judgement { ends: ends(flow.created.0, aged.or_else(|| self.age())), classes }
    }

    /// The limits of size and number that have a filter.
    fn capped(&self) -> impl Iterator<Item = (&Filter, Limit)> {
        self.parts.iter().filter_map(|part| match (&part.filter, part.limit) {
            (Some(filter), limit @ (Limit::Bytes(_) | Limit::Flows(_))) => Some((filter, limit)),
            _ => None,
        })
    }

    /// What kind of limit there is already for the flows that a new part means.
    fn second(&self, new: &Part) -> Option<&'static str> {
        let text = |part: &Part| part.filter.as_ref().map(|filter| filter.text().to_owned());
        let same = |part: &&Part| {
            std::mem::discriminant(&part.limit) == std::mem::discriminant(&new.limit)
                && text(part) == text(new)
        };
        self.parts.iter().find(same).map(|part| match part.limit {
            Limit::Bytes(_) => "size",
            Limit::Seconds(_) => "age",
            Limit::Flows(_) => "number",
        })
    }
}

/// Where a flow of that time stands in the order in which flows go.
pub(crate) fn ends(created: f64, age: Option<f64>) -> f64 {
    // Times of imported flows may be anything.
    let created = if created.is_finite() { created.clamp(0.0, LATEST) } else { 0.0 };
    age.map_or(created - AGELESS, |age| created + age)
}

/// Moves the flows that no limit of age names before all others; further than any time reaches.
pub(crate) const AGELESS: f64 = 1e12;

/// Times beyond the year 5138 count as that.
const LATEST: f64 = 1e11;

impl Cap {
    fn tighten(&mut self, limit: Limit) {
        match limit {
            Limit::Bytes(bytes) => self.bytes = Some(bytes),
            Limit::Flows(flows) => self.flows = Some(flows),
            Limit::Seconds(_) => {}
        }
    }
}

/// The parts between semicolons that stand in no quotes.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut begin, mut quote, mut escaped) = (0, None, false);
    for (at, c) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if c == ';' => {
                parts.extend(text.get(begin..at));
                begin = at + 1;
            }
            None => {}
        }
    }
    parts.extend(text.get(begin..));
    parts
}

/// A limit, or a filter with one. What is wrong comes with its place in bytes.
fn parse_part(part: &str, case: Case) -> Result<Part, (usize, RetentionFault)> {
    let colon = part.rfind(':');
    let limit_from = colon.map_or(0, |colon| colon + 1);
    let written = part.get(limit_from..).unwrap_or_default();
    let limit_at = limit_from + written.len() - written.trim_start().len();
    let written = written.trim();
    if written.is_empty() {
        return Err((limit_at, RetentionFault::Missing));
    }
    let limit =
        parse_limit(written).ok_or_else(|| (limit_at, RetentionFault::NoLimit(written.to_owned())))?;
    let filter = colon.and_then(|colon| part.get(..colon)).map(|text| {
        let indent = text.len() - text.trim_start().len();
        Filter::parse(text.trim(), case)
            .map_err(|error| (indent + error.offset, RetentionFault::Filter(error)))
    });
    let filter = filter.transpose()?;
    if filter.is_none() && matches!(limit, Limit::Bytes(bytes) if bytes < RETENTION_BYTES_MIN) {
        return Err((limit_at, RetentionFault::TooSmall));
    }
    Ok(Part { filter, limit })
}

/// `500m`, `7d`, `10000`.
fn parse_limit(text: &str) -> Option<Limit> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let bytes = |shift: u32| number.checked_mul(1 << shift).map(Limit::Bytes);
    // As far as a float counts seconds exactly.
    let seconds = |each: u64| {
        number
            .checked_mul(each)
            .filter(|seconds| *seconds <= 1 << 53)
            .map(|seconds| Limit::Seconds(seconds as f64))
    };
    match unit.to_ascii_lowercase().as_str() {
        "" => Some(Limit::Flows(number)),
        "b" => bytes(0),
        "k" => bytes(10),
        "m" => bytes(20),
        "g" => bytes(30),
        "t" => bytes(40),
        "s" => seconds(1),
        "min" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(86_400),
        "w" => seconds(604_800),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        match Retention::parse(text, Case::Ignored) {
            Ok(retention) => {
                let parts = retention.parts.iter().map(|part| {
                    let filter =
                        part.filter.as_ref().map(|filter| format!("{filter} -> ")).unwrap_or_default();
                    format!("{filter}{:?}", part.limit)
                });
                parts.collect::<Vec<_>>().join(" | ")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn limits_and_mistakes() {
        let units = "limits are a size (500m), an age (30s, 10min, 12h, 7d, 2w) or a number of flows (10000)";
        for (text, expected) in [
            ("", ""),
            ("  ", ""),
            ("500m", "Bytes(524288000)"),
            (" 2G ;7d; 10000 ", "Bytes(2147483648) | Seconds(604800.0) | Flows(10000)"),
            ("30s", "Seconds(30.0)"),
            ("10min; 5m", "Seconds(600.0) | Bytes(5242880)"),
            ("500m; 7d; ~c 5: 30d", "Bytes(524288000) | Seconds(604800.0) | ~c 5 -> Seconds(2592000.0)"),
            ("~d example.com:443 : 5k", "~d example.com:443 -> Bytes(5120)"),
            (
                r#"~b "a;b" & ~q: 5; ~b 'c:d': 1h"#,
                r#"~b "a;b" & ~q -> Flows(5) | ~b 'c:d' -> Seconds(3600.0)"#,
            ),
            (r#"~b "a\";b": 5"#, r#"~b "a\";b" -> Flows(5)"#),
            ("~b 'it: 5; 7", &format!("`5; 7` is no limit; {units} at column 9")),
            ("~c 5: 1h; ~c 5: 9", "~c 5 -> Seconds(3600.0) | ~c 5 -> Flows(9)"),
            (";", "a limit is missing at column 1"),
            ("500m;", "a limit is missing at column 6"),
            ("500m; ;7d", "a limit is missing at column 7"),
            ("~e:", "a limit is missing at column 4"),
            ("7d; 5x", &format!("`5x` is no limit; {units} at column 5")),
            ("é: -5", &format!("`-5` is no limit; {units} at column 4")),
            ("~e", &format!("`~e` is no limit; {units} at column 1")),
            ("99999999999999999999", &format!("`99999999999999999999` is no limit; {units} at column 1")),
            ("99999999999t", &format!("`99999999999t` is no limit; {units} at column 1")),
            ("99999999999999999w", &format!("`99999999999999999w` is no limit; {units} at column 1")),
            ("1.5d", &format!("`1.5d` is no limit; {units} at column 1")),
            ("100k", "a store needs 1048576 bytes at least at column 1"),
            ("~e: 100k", "~e -> Bytes(102400)"),
            ("7d; 500m;  8d", "a second age for the same flows at column 12"),
            ("~e: 1m; ~e:2m", "a second size for the same flows at column 9"),
            ("7d; ~uu: 3", "unknown operator ~uu at column 5; did you mean ~u?"),
            ("7d; ~d 'ä' & ~uu x: 3", "unknown operator ~uu at column 14; did you mean ~u?"),
            (": 3", "empty filter at column 1"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        let many: Vec<_> = (0..=RETENTION_PARTS_MAX).map(|n| format!("~c {n}: 1")).collect();
        assert!(Retention::parse(&many[1..].join(";"), Case::Ignored).is_ok());
        assert!(shown(&many.join(";")).starts_with("more than 32 limits at column "));
    }

    #[test]
    fn who_has_no_age_goes_first_and_odd_times_do_no_harm() {
        let day = 86_400.0;
        assert!(ends(1e9, None) < ends(2e9, None));
        assert!(ends(f64::MAX, None) < ends(0.0, Some(0.0)));
        assert!(ends(1e9, Some(7.0 * day)) < ends(1e9, Some(30.0 * day)));
        for odd in [f64::NAN, f64::INFINITY, -1e300] {
            assert!(ends(odd, Some(1.0)).is_finite() && ends(odd, None) < 0.0);
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "([~;: '\"a-d0-9\\\\!()éms]|~c 5|7d){0,40}") {
            let _ = Retention::parse(&text, Case::Ignored);
        }
    }
}
