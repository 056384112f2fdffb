//! Several questions asked of all flows in one pass: the index is walked once, and each flow that has to be read is read once,
//! no deeper than one of the questions needs.
//!
//! Not here: what is made of the answers. Those to one question come in the order of the flows, those to different ones do not.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::Path;

use flowgate_filter::{Answer, BodyDecoder, Filter, Kind};
use flowgate_flow::Flow;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Statement, params_from_iter};

use crate::asked::{Asked, Opened};
use crate::columns::Columns;
use crate::error::StoreError;
use crate::query::{Condition, FullText, Regexes};
use crate::reader::{Place, Searched, StoreReader, found_again, is_gone, place, select_row};
use crate::record::Depth;
use crate::row::{Flags, Row};
use crate::scan::{self, Hands, Work};

/// One of the questions.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Which flows are meant; all if there is none.
    pub filter: Option<&'a Filter>,
    /// Whether each of them is to be judged, for which it is read with its bodies.
    pub judged: bool,
}

/// A flow that a question means.
#[derive(Debug)]
pub struct Seen<'s, J> {
    /// The place of the question.
    pub question: usize,
    /// The flow's row, as far as it was wanted.
    pub row: &'s Row,
    /// What the judge said, if the question is one to be judged.
    pub judgement: Option<J>,
    reader: &'s StoreReader,
}

impl<J> Seen<'_, J> {
    /// The row with all its columns; `None` if it cannot be read.
    #[must_use]
    pub fn whole_row(&self) -> Option<Row> {
        let mut statement = self.reader.index.prepare_cached(&select_row()).ok()?;
        statement.query_row([self.row.number], |row| Columns::ALL.read(row)).ok()
    }
}

/// Judges a flow for the question at this place.
pub type Judge<'a, J> = &'a (dyn Fn(usize, &Flow) -> J + Sync);

impl StoreReader {
    /// Asks all questions of all flows, as the store is now, and hands to `each` what they mean; of the rows only `columns` are
    /// read. Says of each question how its search ended.
    ///
    /// # Errors
    /// What the medium says, or, after all that is known, that the index cannot be brought up to date.
    pub fn survey<J: Send>(
        &self,
        questions: &[Question<'_>],
        columns: Columns,
        decoder: &(dyn BodyDecoder + Sync),
        judge: Judge<'_, J>,
        mut each: impl FnMut(Seen<'_, J>),
    ) -> Result<Vec<Searched>, StoreError> {
        let caught_up = self.catch_up();
        // One state of the index for all passes, if there have to be several.
        let _transaction = self.index.unchecked_transaction()?;
        let mut searched = vec![Searched::default(); questions.len()];
        let surveying = Surveying { reader: self, questions, columns, decoder, judge };
        surveying.divide(0, &mut searched, &mut each)?;
        caught_up?;
        Ok(searched)
    }
}

struct Surveying<'a, J> {
    reader: &'a StoreReader,
    questions: &'a [Question<'a>],
    columns: Columns,
    decoder: &'a (dyn BodyDecoder + Sync),
    judge: Judge<'a, J>,
}

impl<J: Send> Surveying<'_, J> {
    /// Asks as many questions as `searched` has, from `first` on: all at once, or if that is more than SQLite takes, the one half
    /// and then the other. Recursion halves what there is to do.
    fn divide(
        &self,
        first: usize,
        searched: &mut [Searched],
        each: &mut dyn FnMut(Seen<'_, J>),
    ) -> Result<(), StoreError> {
        let Some(questions) =
            self.questions.get(first..first + searched.len()).filter(|some| !some.is_empty())
        else {
            return Ok(());
        };
        let full_text = FullText::of(&self.reader.index)?;
        let mut regexes = 0;
        let condition = |question: &Question<'_>| {
            let condition = question.filter.map_or_else(
                || Condition::everything(true),
                |filter| Condition::behind(regexes, filter.expr(), full_text),
            );
            regexes += condition.regexes.len();
            condition
        };
        let conditions: Vec<_> = questions.iter().map(condition).collect();
        let index = &self.reader.index;
        // Without the functions that it calls no query can be prepared.
        let regexes =
            Regexes::install(conditions.iter().flat_map(|some| some.regexes.iter().cloned()), index)?;
        if let Ok(statement) = index.prepare(&select(self.columns, &conditions)) {
            return self.pass(first, &conditions, &regexes, statement, searched, each);
        }
        if searched.len() == 1 {
            let everything = [Condition::everything(false)];
            let statement = index.prepare(&select(self.columns, &everything))?;
            return self.pass(first, &everything, &regexes, statement, searched, each);
        }
        let (one, other) = searched.split_at_mut(searched.len() / 2);
        let middle = first + one.len();
        self.divide(first, one, each)?;
        self.divide(middle, other, each)
    }

    /// One pass for the questions from `first` on, one for each condition; `statement` is what [`select`] makes of them.
    fn pass(
        &self,
        first: usize,
        conditions: &[Condition],
        regexes: &Regexes,
        mut statement: Statement<'_>,
        searched: &mut [Searched],
        each: &mut dyn FnMut(Seen<'_, J>),
    ) -> Result<(), StoreError> {
        let columns = self.columns;
        let mut rows = statement.query(params_from_iter(parameters(conditions)))?;
        let questions: Vec<_> =
            (first..).zip(conditions).map(|(at, condition)| self.part(at, condition)).collect();
        let told = RefCell::new(each);
        let tell = |question, row: &Row, judgement| {
            (told.borrow_mut())(Seen { question, row, judgement, reader: self.reader });
        };
        // Of these questions a flow is on its way through the threads: those behind it must not overtake it.
        let mut behind = vec![false; questions.len()];
        let next = || {
            while let Some(found) = rows.next()? {
                let is_cut = Flags(found.get(2)?).has(Flags::CUT);
                let mut row = None;
                let mut asked = Vec::new();
                let mut column = columns.count() + PLACE_COLUMNS;
                for (part, (question, behind)) in questions.iter().zip(&mut behind).enumerate() {
                    if !question.is_all {
                        let holds =
                            matches!(found.get_ref(column)?, ValueRef::Integer(number) if number != 0);
                        column += 1;
                        if !holds {
                            continue;
                        }
                    }
                    let row = match &mut row {
                        Some(row) => row,
                        none => none.insert(columns.read(found)?),
                    };
                    // Of what the columns have only a part the flow itself is asked.
                    let is_meant = question.is_exact && !(is_cut && question.asked.is_some());
                    if is_meant && !question.is_judged && !*behind {
                        tell(first + part, row, None);
                    } else {
                        *behind = true;
                        asked.push((part, is_meant));
                    }
                }
                if let Some(row) = row.filter(|_| !asked.is_empty()) {
                    let place = place(found, columns.count())?;
                    return Ok(Some(Candidate { row, place, asked }));
                }
            }
            Ok(None)
        };
        let reading =
            Reading { directory: &self.reader.directory, first, questions: &questions, judge: self.judge };
        scan::scan(&reading, next, |candidate, finding| {
            // Without any record nothing of it can be answered.
            let (outcomes, error) = match finding {
                Ok(outcomes) => (outcomes, None),
                Err(error) => (Vec::new(), Some(error)),
            };
            let mut outcomes = outcomes.into_iter();
            for (part, _) in &candidate.asked {
                let Some(searched) = searched.get_mut(*part) else { continue };
                match (outcomes.next(), &error) {
                    (Some(Ok(outcome)), _) => {
                        searched.gave_up |= outcome.gave_up;
                        if outcome.is_meant {
                            tell(first + part, &candidate.row, outcome.judgement);
                        }
                    }
                    (Some(Err(error)), _) => searched.count_unreadable(&error),
                    (None, Some(error)) => searched.count_unreadable(error),
                    (None, None) => {}
                }
            }
            Ok(ControlFlow::<()>::Continue(()))
        })?;
        for (searched, condition) in searched.iter_mut().zip(conditions) {
            searched.gave_up |= regexes.gave_up(condition.numbers());
        }
        Ok(())
    }
}

impl<'a, J> Surveying<'a, J> {
    fn part(&self, question: usize, condition: &Condition) -> Part<'a> {
        let asked = self.questions.get(question);
        Part {
            asked: asked
                .and_then(|question| question.filter)
                .map(|filter| Asked::new(filter, self.decoder, condition.needle.clone())),
            is_all: condition.is_everything(),
            is_exact: condition.exact,
            is_judged: asked.is_some_and(|question| question.judged),
        }
    }
}

/// A question in a pass.
struct Part<'a> {
    asked: Option<Asked<'a>>,
    /// The index is not asked.
    is_all: bool,
    /// What the index says is the answer.
    is_exact: bool,
    is_judged: bool,
}

/// So many columns say where a record lies.
const PLACE_COLUMNS: usize = 2;

/// Rows, behind each its place, and behind that a column for each condition that not every flow fits.
fn select(columns: Columns, conditions: &[Condition]) -> String {
    let mut sql = format!("SELECT {}, segment, position", columns.list());
    let some = || conditions.iter().filter(|condition| !condition.is_everything());
    for condition in some() {
        sql.push_str(", (");
        sql.push_str(&condition.sql);
        sql.push(')');
    }
    sql.push_str(" FROM ");
    sql.push_str(columns.tables());
    if is_narrow(conditions) {
        let numbers = some().map(|condition| format!("SELECT number FROM flows WHERE {}", condition.sql));
        let numbers: Vec<_> = numbers.collect();
        sql.push_str(&format!(" WHERE number IN ({})", numbers.join(" UNION ")));
    }
    sql.push_str(" ORDER BY number");
    sql
}

fn parameters(conditions: &[Condition]) -> Vec<Value> {
    let once = || conditions.iter().flat_map(|condition| condition.parameters.iter().cloned());
    if is_narrow(conditions) { once().chain(once()).collect() } else { once().collect() }
}

/// Whether indexes find all flows that fit some condition.
fn is_narrow(conditions: &[Condition]) -> bool {
    conditions.len() <= NARROW_CONDITIONS_MAX && conditions.iter().all(|condition| condition.indexed)
}

/// With more conditions all rows are walked.
const NARROW_CONDITIONS_MAX: usize = 8;

/// What threads do: they ask and judge.
struct Reading<'a, J> {
    directory: &'a Path,
    first: usize,
    questions: &'a [Part<'a>],
    judge: Judge<'a, J>,
}

/// A flow that has to be read.
struct Candidate {
    row: Row,
    place: Place,
    /// The questions that may mean it, and whether it is known that they do.
    asked: Vec<(usize, bool)>,
}

/// What a flow is to one question.
struct Outcome<J> {
    is_meant: bool,
    gave_up: bool,
    judgement: Option<J>,
}

impl<J: Send> Work for Reading<'_, J> {
    type Candidate = Candidate;
    type Finding = Result<Vec<Result<Outcome<J>, StoreError>>, StoreError>;

    fn directory(&self) -> &Path {
        self.directory
    }

    fn ask(&self, at: &Candidate, hands: &Hands) -> Self::Finding {
        found_again(self.directory, at.row.number, at.place, |place| {
            let mut opened = Opened::new(place, hands);
            let mut outcomes = Vec::with_capacity(at.asked.len());
            for (part, is_meant) in &at.asked {
                match self.outcome(*part, *is_meant, at.row.kind == Kind::Dns, &mut opened) {
                    Err(error) if is_gone(&error) => return Err(error),
                    outcome => outcomes.push(outcome),
                }
            }
            Ok(outcomes)
        })
    }
}

impl<J> Reading<'_, J> {
    fn outcome(
        &self,
        part: usize,
        is_meant: bool,
        is_dns: bool,
        opened: &mut Opened<'_>,
    ) -> Result<Outcome<J>, StoreError> {
        let mut outcome = Outcome { is_meant, gave_up: false, judgement: None };
        let Some(question) = self.questions.get(part) else { return Ok(outcome) };
        if let Some(asked) = question.asked.as_ref().filter(|_| !is_meant) {
            let Answer { matched, gave_up } = asked.ask(opened, is_dns)?;
            (outcome.is_meant, outcome.gave_up) = (matched, gave_up);
        }
        if outcome.is_meant && question.is_judged {
            outcome.judgement = Some((self.judge)(self.first + part, opened.flow(Depth::Bodies)?));
        }
        Ok(outcome)
    }
}
