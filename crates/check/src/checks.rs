//! From the text of a file to checks that can be asked: filters, hosts and schemas compiled, and put together so that each
//! filter is asked once, however many checks have it.

use flowgate_filter::{Case, Filter};
use flowgate_flow::Flow;
use flowgate_options::{Place, Places};
use flowgate_policy::HostSet;
use flowgate_store::{Columns, Question};
use toml::Spanned;

use crate::assertion::{Assertion, StatusRange};
use crate::durations::{DurationBound, parse_percentile, parse_seconds};
use crate::error::{CheckError, CheckProblem};
use crate::groups::{Bounds, Per};
use crate::limits::CHECKS_MAX;
use crate::report::Severity;
use crate::schema::{Half, Schema, SchemaReader};
use crate::text::{CheckText, FileText, HeaderOnlyToText, PerText, SeverityText};

/// The checks of one file.
#[derive(Debug)]
pub struct Checks {
    pub(crate) file: String,
    pub(crate) checks: Vec<Check>,
    searches: Vec<Search>,
}

/// One check.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) help: Option<String>,
    pub(crate) severity: Severity,
    /// Its line in the file, from 1.
    pub(crate) line: usize,
}

/// Flows that checks ask for, and what they ask of each.
#[derive(Debug)]
pub struct Search {
    filter: Option<Filter>,
    /// The checks that count these flows as theirs.
    pub(crate) counted_by: Vec<usize>,
    /// A check's place, and what it asserts.
    pub(crate) assertions: Vec<(usize, Assertion)>,
}

impl Search {
    /// Which flows are meant; all if there is none.
    #[must_use]
    pub const fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// Whether the flow itself is needed, or its row in an index is enough.
    #[must_use]
    pub fn needs_flow(&self) -> bool {
        self.assertions.iter().any(|(_, assertion)| assertion.judge().is_some())
    }

    /// What a store is asked for it.
    pub(crate) fn question(&self) -> Question<'_> {
        Question { filter: self.filter(), judged: self.needs_flow() }
    }

    /// What only the flow itself can tell of those assertions that need it.
    #[must_use]
    pub fn judge(&self, flow: &Flow) -> Judgement {
        let schemas = self.assertions.iter().filter_map(|(_, assertion)| assertion.judge());
        Judgement(schemas.map(|schema| schema.violation(flow)).collect())
    }

    /// What of a flow's row is needed.
    pub(crate) fn columns(&self) -> Columns {
        self.assertions.iter().map(|(_, assertion)| assertion.columns()).fold(Columns::NONE, Columns::and)
    }
}

/// What a flow itself says of a search's assertions, one for each of those that need the flow.
#[derive(Debug, Default)]
pub struct Judgement(pub(crate) Vec<Option<String>>);

type Mistake = (usize, CheckProblem);

impl Checks {
    /// Reads the text of a file of checks. `schema` reads the schemas that it names; `case` is that of its filters.
    ///
    /// # Errors
    /// The first mistake, and where.
    pub fn parse(text: &str, file: &str, case: Case, schema: SchemaReader<'_>) -> Result<Self, CheckError> {
        let mut reading =
            Reading { case, schema, checks: Vec::new(), searches: Vec::new(), places: Places::new(text) };
        let read = toml::from_str(text).map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            (at, CheckProblem::Syntax { message: error.message().to_owned() })
        });
        read.and_then(|text: FileText| reading.file(text)).map_err(|(at, problem)| {
            let Place { line, column } = reading.places.of(at);
            CheckError { file: file.to_owned(), line, column, problem: Box::new(problem) }
        })?;
        let Reading { checks, searches, .. } = reading;
        Ok(Self { file: file.to_owned(), checks, searches })
    }

    /// Whether bodies or messages of flows are looked at, so that they have to be kept for it.
    #[must_use]
    pub fn reads_bodies(&self) -> bool {
        let reads =
            |search: &Search| search.filter().is_some_and(Filter::reads_bodies) || search.needs_flow();
        self.searches.iter().any(reads)
    }

    /// What has to be searched for. The index of a search is its number for `Tally::take`.
    #[must_use]
    pub fn searches(&self) -> &[Search] {
        &self.searches
    }
}

/// A file that is read.
struct Reading<'a> {
    case: Case,
    schema: SchemaReader<'a>,
    places: Places<'a>,
    checks: Vec<Check>,
    searches: Vec<Search>,
}

impl Reading<'_> {
    fn file(&mut self, text: FileText) -> Result<(), Mistake> {
        if text.check.is_empty() {
            return Err((0, CheckProblem::NoCheck));
        }
        for check in text.check {
            if self.checks.len() >= CHECKS_MAX {
                return Err((check.span().start, CheckProblem::TooMany));
            }
            let at = check.span().start;
            self.check(at, check.into_inner())?;
        }
        Ok(())
    }

    fn check(&mut self, at: usize, text: CheckText) -> Result<(), Mistake> {
        let name = text.name.ok_or((at, CheckProblem::NoName))?;
        let (name_at, name) = (name.span().start, name.into_inner());
        if name.trim().is_empty() {
            return Err((name_at, CheckProblem::NoName));
        }
        if self.checks.iter().any(|check| check.name == name) {
            return Err((name_at, CheckProblem::SameName { name }));
        }
        let check = self.checks.len();
        let severity = match text.severity {
            Some(SeverityText::Warning) => Severity::Warning,
            Some(SeverityText::Error) | None => Severity::Error,
        };
        let line = self.places.of(at).line;
        self.checks.push(Check { name: name.clone(), help: text.help, severity, line });

        let base = text.filter.map(|filter| self.filter("filter", &filter)).transpose()?;
        let meant = self.search(base.clone());
        self.counted_by(meant, check);
        let asserted = self.asserted();

        if let Some(bounds) = bounds(text.at_least, text.at_most, text.exactly)? {
            let per = text.per.map_or(Per::All, |per| match per.into_inner() {
                PerText::Host => Per::Host,
                PerText::Url => Per::Url,
                PerText::Endpoint => Per::Endpoint,
                PerText::Client => Per::Client,
            });
            self.assert(meant, check, Assertion::Count(bounds, per));
        } else if let Some(per) = text.per {
            return Err((per.span().start, CheckProblem::PerAlone));
        }
        if let Some(required) = text.require {
            let filter = self.filter("require", &required)?;
            let against =
                self.both(base.as_ref(), &format!("!({})", filter.text()), required.span().start)?;
            let what = format!("is not {}", filter.text());
            self.assert(against, check, Assertion::Never(what));
        }
        if let Some(forbidden) = text.forbid {
            let filter = self.filter("forbid", &forbidden)?;
            let against =
                self.both(base.as_ref(), &format!("({})", filter.text()), forbidden.span().start)?;
            let what = format!("is {}", filter.text());
            self.assert(against, check, Assertion::Never(what));
        }
        if let Some(words) = text.only_hosts {
            let at = words.span().start;
            let hosts = hosts("only_hosts", at, &words.into_inner())?;
            self.assert(meant, check, Assertion::OnlyHosts(hosts, None));
        }
        if let Some(text) = text.header_only_to {
            self.header_only_to(check, base.as_ref(), text)?;
        }
        if let Some(words) = text.status {
            let at = words.span().start;
            let words = words.into_inner().into_vec();
            if words.is_empty() {
                return Err((at, CheckProblem::Empty { key: "status" }));
            }
            let range = |word| status_range(word).map_err(|problem| (at, problem));
            let ranges = words.into_iter().map(range).collect::<Result<_, _>>()?;
            self.assert(meant, check, Assertion::Status(ranges));
        }
        if let Some(table) = text.duration {
            let at = table.span().start;
            let bounds = table.into_inner().into_iter().map(duration_bound).collect::<Result<Vec<_>, _>>()?;
            if bounds.is_empty() {
                return Err((at, CheckProblem::Empty { key: "duration" }));
            }
            self.assert(meant, check, Assertion::Duration(bounds));
        }
        for (half, path) in [(Half::Response, text.schema), (Half::Request, text.request_schema)] {
            if let Some(path) = path {
                let (at, path) = (path.span().start, path.into_inner());
                let schema = Schema::read(half, &path, self.schema)
                    .map_err(|source| (at, CheckProblem::Schema { path, source }))?;
                self.assert(meant, check, Assertion::Schema(Box::new(schema)));
            }
        }
        if self.asserted() == asserted {
            return Err((at, CheckProblem::NoAssertion { name }));
        }
        Ok(())
    }

    fn header_only_to(
        &mut self,
        check: usize,
        base: Option<&Filter>,
        text: Spanned<HeaderOnlyToText>,
    ) -> Result<(), Mistake> {
        let at = text.span().start;
        let HeaderOnlyToText { header, hosts: words } = text.into_inner();
        let header_at = header.span().start;
        let headers = header.into_inner().into_vec();
        if headers.is_empty() {
            return Err((header_at, CheckProblem::Empty { key: "header" }));
        }
        // One condition for each, so that it can be said which field went to whom.
        for header in headers {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if header.is_empty() || !header.chars().all(plain) {
                return Err((header_at, CheckProblem::Header { word: header }));
            }
            let hosts = hosts("hosts", at, &words)?;
            // Field names have no letter case, whatever filters have.
            let carries = format!("~hq \"(?mi)^{header}:\"");
            let against = self.both(base, &carries, header_at)?;
            self.assert(against, check, Assertion::OnlyHosts(hosts, Some(header)));
        }
        Ok(())
    }

    fn filter(&self, key: &'static str, text: &Spanned<String>) -> Result<Filter, Mistake> {
        Filter::parse(text.get_ref(), self.case)
            .map_err(|source| (text.span().start, CheckProblem::Filter { key, source }))
    }

    /// Flows that the check means and that fit `and` besides, which came from the text at `at`.
    fn both(&mut self, base: Option<&Filter>, and: &str, at: usize) -> Result<usize, Mistake> {
        let text = base.map_or_else(|| and.to_owned(), |base| format!("({}) & {and}", base.text()));
        // Both parts were read before; together they may be too long.
        let filter = Filter::parse(&text, self.case)
            .map_err(|source| (at, CheckProblem::Filter { key: "filter", source }))?;
        Ok(self.search(Some(filter)))
    }

    /// The search with this filter.
    fn search(&mut self, filter: Option<Filter>) -> usize {
        let text = filter.as_ref().map(Filter::text);
        let known = self.searches.iter().position(|search| search.filter.as_ref().map(Filter::text) == text);
        known.unwrap_or_else(|| {
            self.searches.push(Search { filter, counted_by: Vec::new(), assertions: Vec::new() });
            self.searches.len() - 1
        })
    }

    fn counted_by(&mut self, search: usize, check: usize) {
        if let Some(search) = self.searches.get_mut(search) {
            search.counted_by.push(check);
        }
    }

    fn assert(&mut self, search: usize, check: usize, assertion: Assertion) {
        if let Some(search) = self.searches.get_mut(search) {
            search.assertions.push((check, assertion));
        }
    }

    fn asserted(&self) -> usize {
        self.searches.iter().map(|search| search.assertions.len()).sum()
    }
}

fn bounds(
    at_least: Option<u64>,
    at_most: Option<u64>,
    exactly: Option<Spanned<u64>>,
) -> Result<Option<Bounds>, Mistake> {
    match (at_least, at_most, exactly) {
        (None, None, None) => Ok(None),
        (None, None, Some(exactly)) => {
            let exactly = exactly.into_inner();
            Ok(Some(Bounds { at_least: exactly, at_most: exactly }))
        }
        (_, _, Some(exactly)) => Err((exactly.span().start, CheckProblem::ExactlyAndMore)),
        (at_least, at_most, None) => {
            Ok(Some(Bounds { at_least: at_least.unwrap_or(0), at_most: at_most.unwrap_or(u64::MAX) }))
        }
    }
}

fn hosts(key: &'static str, at: usize, words: &[Spanned<String>]) -> Result<HostSet, Mistake> {
    if words.is_empty() {
        return Err((at, CheckProblem::Empty { key }));
    }
    HostSet::parse(words.iter().map(|word| word.get_ref().as_str())).map_err(|(index, fault)| {
        let word = words.get(index);
        let at = word.map_or(at, |word| word.span().start);
        (at, CheckProblem::Host { word: word.map_or_else(String::new, |word| word.get_ref().clone()), fault })
    })
}

/// `204`, `2xx`, `400-499`.
fn status_range(word: String) -> Result<StatusRange, CheckProblem> {
    let number = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|number| digits && *number >= 100)
    };
    let range = match (word.strip_suffix("xx"), word.split_once('-')) {
        (Some(class), _) => number(&format!("{class}00")).map(|first| first..=first + 99),
        (None, Some((first, last))) => {
            number(first.trim()).zip(number(last.trim())).map(|(first, last)| first..=last)
        }
        (None, None) => number(&word).map(|status| status..=status),
    };
    range.filter(|range| !range.is_empty()).ok_or(CheckProblem::Status { word })
}

fn duration_bound((key, word): (Spanned<String>, Spanned<String>)) -> Result<DurationBound, Mistake> {
    let percentile = parse_percentile(key.get_ref())
        .ok_or_else(|| (key.span().start, CheckProblem::DurationKey { key: key.get_ref().clone() }))?;
    let seconds_max = parse_seconds(word.get_ref())
        .ok_or_else(|| (word.span().start, CheckProblem::Duration { word: word.get_ref().clone() }))?;
    Ok(DurationBound { percentile, name: key.into_inner(), seconds_max })
}
