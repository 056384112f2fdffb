//! Flows in, a report out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use flowgate_filter::BodyDecoder;
use flowgate_flow::Flow;
use flowgate_store::{Columns, Row, Seen, StoreError, StoreReader};

use crate::assertion::{Assertion, foreign_host, wrong_status};
use crate::checks::{Checks, Judgement, Search};
use crate::durations::{self, DurationBound};
use crate::groups::Groups;
use crate::human::news;
use crate::limits::{DURATIONS_MAX, GROUPS_MAX, VIOLATIONS_KEPT_MAX};
use crate::report::{CheckReport, FlowRef, Named, Outcome, Report, Violation};

/// What flows were seen so far, as far as checks want to know.
#[derive(Debug)]
pub struct Tally {
    checks: Arc<Checks>,
    /// For each check how many flows it means.
    flows: Vec<u64>,
    /// For each search and each assertion in it.
    states: Vec<Vec<State>>,
    undecided: Vec<Option<String>>,
    listener: Option<Listener>,
}

/// Gets each violation that is kept, as a line, when it comes.
struct Listener(Box<dyn FnMut(&str) + Send>);

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

#[derive(Debug)]
enum State {
    Groups(Groups),
    Each { count: u64, kept: Vec<Violation> },
    Durations { seconds: Vec<f32>, over: u64, kept: Vec<Violation>, full: bool },
}

impl Tally {
    /// Of no flows.
    #[must_use]
    pub fn new(checks: Arc<Checks>) -> Self {
        let state = |assertion: &Assertion| match assertion {
            Assertion::Count(bounds, per) => State::Groups(Groups::new(*bounds, *per)),
            Assertion::Duration(_) => {
                State::Durations { seconds: Vec::new(), over: 0, kept: Vec::new(), full: false }
            }
            _ => State::Each { count: 0, kept: Vec::new() },
        };
        let states = checks.searches().iter();
        let states =
            states.map(|search| search.assertions.iter().map(|(_, assertion)| state(assertion)).collect());
        let (states, count) = (states.collect(), checks.checks.len());
        Self { checks, flows: vec![0; count], states, undecided: vec![None; count], listener: None }
    }

    /// The same, and `tell` gets a line for each violation as soon as it is one. Of those of one check as many are told as are
    /// [kept](crate::limits::VIOLATIONS_KEPT_MAX); what only the end can show (`at_least`, percentiles) is in the report.
    #[must_use]
    pub fn telling(checks: Arc<Checks>, tell: Box<dyn FnMut(&str) + Send>) -> Self {
        Self { listener: Some(Listener(tell)), ..Self::new(checks) }
    }

    /// Takes a flow that a search found: the search's number in [`Checks::searches`], the row as far as the search looks at it, what
    /// the search's [`judge`](crate::Search::judge) said of the flow, and what it is called.
    pub(crate) fn take(&mut self, search: usize, row: &Row, judgement: Judgement, named: Named<'_>) {
        let (Some(asked), Some(states)) = (self.checks.searches().get(search), self.states.get_mut(search))
        else {
            return;
        };
        for check in &asked.counted_by {
            if let Some(count) = self.flows.get_mut(*check) {
                *count += 1;
            }
        }
        let mut judged = judgement.0.into_iter();
        for ((check, assertion), state) in asked.assertions.iter().zip(states) {
            let violation = state.take(assertion, row, &mut judged, named);
            if let (Some(Listener(tell)), Some(violation)) = (&mut self.listener, violation)
                && let Some(check) = self.checks.checks.get(*check)
            {
                tell(&news(&check.name, check.severity, &violation));
            }
        }
    }

    /// Takes a flow of which nobody knows yet which searches mean it; `number` counts flows from 1.
    pub fn flow(&mut self, number: i64, flow: &Flow, decoder: &dyn BodyDecoder) {
        let checks = Arc::clone(&self.checks);
        let mut row = None;
        for (index, search) in checks.searches().iter().enumerate() {
            let answer = search.filter().map(|filter| filter.ask(flow, decoder));
            if answer.is_some_and(|answer| answer.gave_up) {
                self.gave_up(index);
            }
            if answer.is_none_or(|answer| answer.matched) {
                let row = row.get_or_insert_with(|| Row::of(number, flow));
                let judgement = search.judge(flow);
                self.take(index, row, judgement, &|| FlowRef::of(row));
            }
        }
    }

    /// Takes all flows of a store, as they are now: it is walked once for all checks, and of each flow no more is read than they need.
    ///
    /// # Errors
    /// What the medium says.
    pub fn store(
        &mut self,
        store: &StoreReader,
        decoder: &(dyn BodyDecoder + Sync),
    ) -> Result<(), StoreError> {
        let checks = Arc::clone(&self.checks);
        let searches = checks.searches();
        let questions: Vec<_> = searches.iter().map(Search::question).collect();
        let columns = searches.iter().map(Search::columns).fold(Columns::NONE, Columns::and);
        let judge = |search: usize, flow: &Flow| {
            searches.get(search).map(|search| search.judge(flow)).unwrap_or_default()
        };
        let each = |mut seen: Seen<'_, Judgement>| {
            let judgement = seen.judgement.take().unwrap_or_default();
            let named = || FlowRef::of(seen.whole_row().as_ref().unwrap_or(seen.row));
            self.take(seen.question, seen.row, judgement, &named);
        };
        let searched = store.survey(&questions, columns, decoder, &judge, each)?;
        for (search, searched) in searched.into_iter().enumerate() {
            if searched.unreadable > 0 {
                self.unreadable(search);
            }
            if searched.gave_up {
                self.gave_up(search);
            }
        }
        Ok(())
    }

    /// A pattern of a search's filter took too many steps on some flow.
    fn gave_up(&mut self, search: usize) {
        self.undecide(search, "a pattern of its filter takes too long on some flow");
    }

    /// Flows of a search could not be read.
    fn unreadable(&mut self, search: usize) {
        self.undecide(search, "some flows are damaged and could not be read");
    }

    fn undecide(&mut self, search: usize, why: &str) {
        let Some(search) = self.checks.searches().get(search) else { return };
        let concerned = search.counted_by.iter().chain(search.assertions.iter().map(|(check, _)| check));
        for check in concerned {
            if let Some(undecided) = self.undecided.get_mut(*check) {
                undecided.get_or_insert_with(|| why.to_owned());
            }
        }
    }

    /// What came out; `took` is how long it took. Nothing is to be taken afterwards: what was kept goes into the report.
    #[must_use]
    pub fn report(&mut self, took: Duration) -> Report {
        let mut found: Vec<(u64, Vec<Violation>)> = vec![(0, Vec::new()); self.checks.checks.len()];
        for (search, states) in self.checks.searches().iter().zip(&mut self.states) {
            for ((check, assertion), state) in search.assertions.iter().zip(states) {
                let (Some((count, violations)), Some(undecided)) =
                    (found.get_mut(*check), self.undecided.get_mut(*check))
                else {
                    continue;
                };
                let (more, kept, why) = state.verdict(assertion);
                *count += more;
                violations.extend(kept);
                violations.truncate(VIOLATIONS_KEPT_MAX);
                if let Some(why) = why {
                    undecided.get_or_insert(why);
                }
            }
        }
        let undecided = std::mem::take(&mut self.undecided);
        let checks = self.checks.checks.iter().zip(found).zip(undecided).zip(self.flows.iter().copied());
        let checks = checks.map(|(((check, (count, violations)), undecided), flows)| {
            // What is violated is violated, whatever else could not be seen.
            let outcome = match undecided {
                _ if count > 0 => Outcome::Violated { count, violations },
                Some(why) => Outcome::Undecided(why),
                None => Outcome::Holds,
            };
            CheckReport {
                name: check.name.clone(),
                help: check.help.clone(),
                severity: check.severity,
                line: check.line,
                flows,
                outcome,
            }
        });
        Report { file: self.checks.file.clone(), checks: checks.collect(), took }
    }
}

impl State {
    /// Gives the violation that the flow is, if it is kept.
    fn take(
        &mut self,
        assertion: &Assertion,
        row: &Row,
        judged: &mut impl Iterator<Item = Option<String>>,
        named: Named<'_>,
    ) -> Option<Violation> {
        match self {
            Self::Groups(groups) => groups.take(row, named),
            Self::Each { count, kept } => {
                let wrong = match assertion {
                    Assertion::Never(what) => Some(what.clone()),
                    Assertion::OnlyHosts(hosts, field) => foreign_host(row, hosts).map(|host| match field {
                        Some(field) => format!("{field} goes to {host}"),
                        None => format!("goes to {host}"),
                    }),
                    Assertion::Status(fine) => wrong_status(row, fine),
                    Assertion::Schema(_) => judged.next().flatten(),
                    Assertion::Count(..) | Assertion::Duration(_) => None,
                };
                let text = wrong?;
                *count += 1;
                keep(kept, named, text)
            }
            Self::Durations { seconds, over, kept, full } => {
                // What did not end has no duration; other assertions see to that.
                let (Some(duration), Assertion::Duration(bounds)) = (row.duration, assertion) else {
                    return None;
                };
                let mut violation = None;
                if let Some(max) = longest(bounds).filter(|max| duration > *max) {
                    *over += 1;
                    let text =
                        format!("{}, at most {} asked", durations::shown(duration), durations::shown(max));
                    violation = keep(kept, named, text);
                }
                if bounds.iter().any(|bound| bound.percentile < 100.0) {
                    if seconds.len() < DURATIONS_MAX {
                        seconds.push(duration as f32);
                    } else {
                        *full = true;
                    }
                }
                violation
            }
        }
    }

    /// How many violations, some of them, and why there may be more.
    fn verdict(&mut self, assertion: &Assertion) -> (u64, Vec<Violation>, Option<String>) {
        match self {
            Self::Groups(groups) => {
                let (count, violations, whole) = groups.verdict();
                let why = (!whole).then(|| format!("more than {GROUPS_MAX} groups to count"));
                (count, violations, why)
            }
            Self::Each { count, kept } => (*count, std::mem::take(kept), None),
            Self::Durations { seconds, over, kept, full } => {
                let mut violations = std::mem::take(kept);
                let mut count = *over;
                if let Assertion::Duration(bounds) = assertion {
                    for bound in bounds.iter().filter(|bound| bound.percentile < 100.0) {
                        // Both rounded alike: what is equal is not longer.
                        let max = bound.seconds_max as f32;
                        let found = durations::percentile(seconds, bound.percentile);
                        if let Some(found) = found.filter(|found| *found > max) {
                            count += 1;
                            let found = durations::shown(f64::from(found));
                            let max = durations::shown(bound.seconds_max);
                            let text = format!("{} is {found}, at most {max} asked", bound.name);
                            violations.insert(0, Violation { flow: None, text });
                        }
                    }
                }
                let why = full.then(|| format!("more than {DURATIONS_MAX} durations"));
                (count, violations, why)
            }
        }
    }
}

/// Keeps a violation, if there is room, and gives it back.
fn keep(kept: &mut Vec<Violation>, named: Named<'_>, text: String) -> Option<Violation> {
    if kept.len() >= VIOLATIONS_KEPT_MAX {
        return None;
    }
    let violation = Violation { flow: Some(named()), text };
    kept.push(violation.clone());
    Some(violation)
}

/// How long each flow may take.
fn longest(bounds: &[DurationBound]) -> Option<f64> {
    bounds.iter().filter(|bound| bound.percentile >= 100.0).map(|bound| bound.seconds_max).reduce(f64::min)
}
