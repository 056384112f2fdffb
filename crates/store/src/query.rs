//! A filter as SQL: exact where the columns of the index know the answer, and otherwise a bound that lets no flow slip
//! through which the filter means. Whoever runs it asks the filter itself of each flow that is found, unless it is exact.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowgate_filter::{Bounds, Expr, Fact, Half, Kind, Status, Test};
use flowgate_flow::Replay;
use flowgate_pattern::{Found, Regex};
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{Value, ValueRef};

use crate::row::{Flags, kind_number};
use crate::texts::{self, Needle};

/// Whether there is anything in the full-text index. Where there is not, nothing is asked of it: to be told of every flow that it
/// knows nothing of it costs a good part of reading them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum FullText {
    OfSome,
    #[default]
    OfNone,
}

impl FullText {
    pub(crate) fn of(index: &Connection) -> rusqlite::Result<Self> {
        // Looking into the index itself, which has no rows of its own, would read much of it.
        let any = index.prepare_cached("SELECT 1 FROM texts_docsize LIMIT 1")?.exists(())?;
        Ok(if any { Self::OfSome } else { Self::OfNone })
    }
}

/// A condition on the table `flows`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    /// The SQL.
    pub(crate) sql: String,
    /// What its parameters hold, in order.
    pub(crate) parameters: Vec<Value>,
    /// The regular expressions that `found(n, text)` in it means, from the number `first_regex` on.
    pub(crate) regexes: Vec<Regex>,
    first_regex: usize,
    /// It holds of the flows that the filter means, and of no others, as far as their texts are not cut.
    pub(crate) exact: bool,
    /// An index narrows it down.
    pub(crate) indexed: bool,
    /// What has to stand in the bodies of each flow.
    pub(crate) needle: Option<Arc<Needle>>,
    full_text: FullText,
}

impl Condition {
    /// The condition of a filter.
    pub(crate) fn of(expr: &Expr, full_text: FullText) -> Self {
        Self::behind(0, expr, full_text)
    }

    /// The same, for a query that has so many regular expressions already.
    pub(crate) fn behind(first_regex: usize, expr: &Expr, full_text: FullText) -> Self {
        let mut condition = Self {
            exact: true,
            indexed: is_indexed(expr, full_text),
            needle: needle(expr),
            first_regex,
            full_text,
            ..Self::default()
        };
        condition.push(expr, true);
        condition
    }

    /// Holds of every flow. If it stands for a filter that the index cannot be asked, it is not exact.
    pub(crate) fn everything(exact: bool) -> Self {
        Self { sql: "1".to_owned(), exact, ..Self::default() }
    }

    /// Adds what an expression means, or its opposite. Recursion is as deep as the filter, which is bounded.
    fn push(&mut self, expr: &Expr, wanted: bool) {
        match (expr, wanted) {
            (Expr::Not(inner), _) => self.push(inner, !wanted),
            (Expr::And(parts), true) | (Expr::Or(parts), false) => self.push_all(parts, " AND ", wanted),
            (Expr::Or(parts), true) | (Expr::And(parts), false) => self.push_all(parts, " OR ", wanted),
            (Expr::Test { test, .. }, _) => self.push_test(test, wanted),
        }
    }

    fn push_all(&mut self, parts: &[Expr], between: &str, wanted: bool) {
        // Halved again and again: SQLite bounds how deep an expression may be, and takes a row of them as a deep one.
        match parts {
            [] => {}
            [only] => self.push(only, wanted),
            _ => {
                let (first, second) = parts.split_at(parts.len() / 2);
                self.sql.push('(');
                self.push_all(first, between, wanted);
                self.sql.push_str(between);
                self.push_all(second, between, wanted);
                self.sql.push(')');
            }
        }
    }

    fn push_test(&mut self, test: &Test, wanted: bool) {
        match test {
            Test::All => self.sql.push_str(if wanted { "1" } else { "0" }),
            Test::Asset => self.push_flags(Flags::ASSET, wanted),
            Test::Failed => self.push_flags(Flags::FAILED, wanted),
            Test::Marked => self.push_flags(Flags::MARKED, wanted),
            Test::Is(Kind::WebSocket) => self.push_flags(Flags::WEBSOCKET, wanted),
            Test::Is(kind @ (Kind::Http | Kind::Tcp | Kind::Udp | Kind::Dns)) => {
                let equal = if wanted { "=" } else { "<>" };
                self.sql.push_str(&format!("kind {equal} {}", kind_number(*kind)));
            }
            Test::Unanswered => self.push_flags(Flags::UNANSWERED, wanted),
            Test::Answered => self.push_flags(Flags::ANSWERED, wanted),
            Test::Replayed(half) => {
                let flags = match half {
                    Some(Replay::Request) => Flags::REPLAYED_REQUEST,
                    Some(Replay::Response) => Flags::REPLAYED_RESPONSE,
                    None => Flags(Flags::REPLAYED_REQUEST.0 | Flags::REPLAYED_RESPONSE.0),
                };
                self.push_flags(flags, wanted);
            }
            Test::Found(fact, regex) => self.push_found(*fact, regex, wanted),
            Test::Status(Status::Is(status)) => {
                let status = i64::try_from(*status).unwrap_or(i64::MAX);
                self.push_bounds("status", &Bounds::Is(status), wanted);
            }
            Test::Status(Status::Class(first)) => {
                let from = i64::from(*first) * 100;
                let until = from + 99;
                self.sql.push_str(&if wanted {
                    format!("status BETWEEN {from} AND {until}")
                } else {
                    format!("(status IS NULL OR status NOT BETWEEN {from} AND {until})")
                });
            }
            Test::Size(half, bounds) => {
                let column = match half {
                    Half::Request => "request_bytes",
                    Half::Response => "response_bytes",
                    Half::Either => "bytes",
                };
                // No size reaches beyond: the column's numbers have 63 bits.
                let clamped = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
                self.push_bounds(column, &map(bounds, clamped), wanted);
            }
            Test::Duration(bounds) => self.push_bounds("duration", bounds, wanted),
            _ => self.push_unknown(),
        }
    }

    /// Some flag is set, or none is.
    fn push_flags(&mut self, flags: Flags, wanted: bool) {
        let equal = if wanted { "<>" } else { "=" };
        self.sql.push_str(&format!("(flags & {}) {equal} 0", flags.0));
    }

    fn push_bounds<T: Into<Value> + Copy>(&mut self, column: &str, bounds: &Bounds<T>, wanted: bool) {
        let (operator, number) = match bounds {
            Bounds::Is(n) => ("=", *n),
            Bounds::Above(n) => (">", *n),
            Bounds::AtLeast(n) => (">=", *n),
            Bounds::Below(n) => ("<", *n),
            Bounds::AtMost(n) => ("<=", *n),
        };
        self.parameters.push(number.into());
        // Where there is no number nothing holds of it.
        self.sql.push_str(&if wanted {
            format!("{column} {operator} ?")
        } else {
            format!("coalesce(NOT ({column} {operator} ?), 1)")
        });
    }

    fn push_found(&mut self, fact: Fact, regex: &Regex, wanted: bool) {
        let columns: &[&str] = match fact {
            Fact::Host => return self.push_host(regex, wanted),
            Fact::Body(_) => return self.push_body(regex, wanted),
            Fact::ContentType(Half::Request) => &["request_type"],
            Fact::ContentType(Half::Response) => &["response_type"],
            Fact::ContentType(Half::Either) => &["request_type", "response_type"],
            Fact::Method => &["method"],
            Fact::Url => &["url"],
            Fact::Source => &["source"],
            Fact::Destination => &["destination"],
            Fact::Marker => &["marked"],
            Fact::Comment => &["comment"],
            Fact::Reason => &["reason"],
            Fact::Sni => &["sni"],
            _ => return self.push_unknown(),
        };
        let function = if matches!(fact, Fact::ContentType(_)) { "found_in_lines" } else { "found" };
        let regex = self.add_regex(regex);
        let found: Vec<_> = columns.iter().map(|column| format!("{function}({regex}, {column})")).collect();
        let not = if wanted { "" } else { "NOT " };
        // Of a text that was cut nobody knows before the flow is read.
        self.sql.push_str(&format!("({not}({}) OR (flags & {}) <> 0)", found.join(" OR "), Flags::CUT.0));
    }

    /// Sites are few where flows are many: each is searched once.
    fn push_host(&mut self, regex: &Regex, wanted: bool) {
        let regex = self.add_regex(regex);
        let sites = format!("(SELECT id FROM sites WHERE found({regex}, host) OR found({regex}, said))");
        self.sql.push_str(&if wanted {
            format!("site IN {sites}")
        } else {
            format!("(site IS NULL OR site NOT IN {sites})")
        });
    }

    /// The full-text index knows which flows may have the text; that they have it is seen when they are read.
    fn push_body(&mut self, regex: &Regex, wanted: bool) {
        let asked = wanted && self.full_text == FullText::OfSome;
        match texts::must_have(regex).filter(|_| asked) {
            Some(text) => {
                self.exact = false;
                self.parameters.push(Value::Text(text));
                self.sql.push_str(
                    "number IN (SELECT rowid FROM texts WHERE texts MATCH ? \
                     UNION ALL SELECT number FROM flows WHERE flags & 512 = 0)",
                );
            }
            None => self.push_unknown(),
        }
    }

    fn push_unknown(&mut self) {
        self.exact = false;
        self.sql.push('1');
    }

    /// Whether it holds of every flow.
    pub(crate) fn is_everything(&self) -> bool {
        self.sql == "1"
    }

    /// The numbers of its regular expressions.
    pub(crate) fn numbers(&self) -> Range<usize> {
        self.first_regex..self.first_regex + self.regexes.len()
    }

    fn add_regex(&mut self, regex: &Regex) -> usize {
        self.regexes.push(regex.clone());
        self.first_regex + self.regexes.len() - 1
    }
}

/// Regular expressions that a query searches for, and of which of them a search was given up.
pub(crate) struct Regexes(Arc<Vec<(Regex, AtomicBool)>>);

impl Regexes {
    /// Makes `found(n, text)` mean these from now on.
    pub(crate) fn install(
        regexes: impl IntoIterator<Item = Regex>,
        connection: &Connection,
    ) -> rusqlite::Result<Self> {
        let regexes: Vec<_> = regexes.into_iter().map(|regex| (regex, AtomicBool::new(false))).collect();
        let regexes = Arc::new(regexes);
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
        let asked = Arc::clone(&regexes);
        connection.create_scalar_function("found", 2, flags, move |context| {
            let regex = usize::try_from(context.get::<i64>(0)?).ok().and_then(|at| asked.get(at));
            let (ValueRef::Text(text) | ValueRef::Blob(text)) = context.get_raw(1) else { return Ok(false) };
            Ok(regex.is_some_and(|regex| is_found(regex, text)))
        })?;
        // A header may be there several times: its column has a line for each.
        let asked = Arc::clone(&regexes);
        connection.create_scalar_function("found_in_lines", 2, flags, move |context| {
            let regex = usize::try_from(context.get::<i64>(0)?).ok().and_then(|at| asked.get(at));
            let (ValueRef::Text(text) | ValueRef::Blob(text)) = context.get_raw(1) else { return Ok(false) };
            Ok(regex.is_some_and(|regex| text.split(|byte| *byte == b'\n').any(|line| is_found(regex, line))))
        })?;
        Ok(Self(regexes))
    }

    /// Whether a search for one of those with these numbers was given up.
    pub(crate) fn gave_up(&self, numbers: Range<usize>) -> bool {
        self.0
            .get(numbers)
            .is_some_and(|some| some.iter().any(|(_, gave_up)| gave_up.load(Ordering::Relaxed)))
    }
}

fn is_found((regex, gave_up): &(Regex, AtomicBool), text: &[u8]) -> bool {
    match regex.search(text) {
        Found::Yes => true,
        Found::No => false,
        Found::GaveUp => {
            gave_up.store(true, Ordering::Relaxed);
            false
        }
    }
}

/// What has to stand in bodies, if something must hold of them.
fn needle(expr: &Expr) -> Option<Arc<Needle>> {
    match expr {
        Expr::And(parts) => parts.iter().find_map(needle),
        Expr::Test { test: Test::Found(Fact::Body(_), regex), .. } => Needle::of(regex).map(Arc::new),
        _ => None,
    }
}

/// Whether one of the things that must hold has an index.
fn is_indexed(expr: &Expr, full_text: FullText) -> bool {
    match expr {
        Expr::And(parts) => parts.iter().any(|part| is_indexed(part, full_text)),
        Expr::Or(parts) => parts.iter().all(|part| is_indexed(part, full_text)),
        Expr::Not(_) => false,
        Expr::Test { test: Test::Found(Fact::Body(_), regex), .. } => {
            full_text == FullText::OfSome && texts::must_have(regex).is_some()
        }
        Expr::Test { test, .. } => matches!(test, Test::Status(_) | Test::Found(Fact::Host, _)),
    }
}

fn map<T: Copy, U>(bounds: &Bounds<T>, to: impl Fn(T) -> U) -> Bounds<U> {
    match bounds {
        Bounds::Is(n) => Bounds::Is(to(*n)),
        Bounds::Above(n) => Bounds::Above(to(*n)),
        Bounds::AtLeast(n) => Bounds::AtLeast(to(*n)),
        Bounds::Below(n) => Bounds::Below(to(*n)),
        Bounds::AtMost(n) => Bounds::AtMost(to(*n)),
    }
}

#[cfg(test)]
mod tests {
    use flowgate_filter::{Case, Filter};

    use super::*;

    /// Once every search of bodies made a table of all numbers first, though nothing was in the full-text index.
    #[test]
    fn an_empty_full_text_index_is_not_asked() {
        for (text, of_none, of_some) in [
            ("~b needle", false, true),
            ("~b x", false, false),
            ("~b needle & ~c 200", true, true),
            ("~b needle | ~c 200", false, true),
        ] {
            let filter = Filter::parse(text, Case::Ignored).unwrap();
            let asked = |full_text| {
                let condition = Condition::of(filter.expr(), full_text);
                assert!(!condition.exact);
                (condition.indexed, condition.sql.contains("texts"))
            };
            assert_eq!(asked(FullText::OfNone), (of_none, false), "{text}");
            assert_eq!(asked(FullText::OfSome), (of_some, text.contains("needle")), "{text}");
        }
    }
}
