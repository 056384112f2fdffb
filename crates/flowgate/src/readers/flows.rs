//! `flowgate flows`: a list, as a table or as JSON, once or as flows come.

use std::io::Write;
use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use flowgate_filter::Filter;
use flowgate_session::{FlowSource, Searched};

use super::{ReadingError, json, table};

/// How a list looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// Columns for people, with a line that names them.
    Table,
    /// One JSON object on each line.
    Json,
}

/// How often a store that is followed is asked for more.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);

pub(super) fn list(
    source: &FlowSource,
    filter: Option<&Filter>,
    form: Form,
    follow: bool,
    out: &mut impl Write,
) -> Result<bool, ReadingError> {
    if form == Form::Table {
        out.write_all(table::HEAD.as_bytes())?;
    }
    let mut after = 0;
    loop {
        let mut last = after;
        let each = |found: flowgate_session::Found<'_>| {
            last = found.row().number;
            let line = match form {
                Form::Table => table::line(found.row()),
                Form::Json => json::line(found.row()),
            };
            match out.write_all(line.as_bytes()) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        };
        let (searched, broken) = match source.search(filter, after, each) {
            // Who follows sees the rest when it is there.
            Err(error) if follow && error.is_behind() => (Searched { last, ..Searched::default() }, None),
            searched => searched?,
        };
        if let Some(error) = broken {
            return Err(error.into());
        }
        if !follow {
            if searched.unreadable > 0 {
                return Err(ReadingError::Unreadable(searched.unreadable));
            }
            return Ok(true);
        }
        after = searched.last;
        out.flush()?;
        // Another process writes there, and nothing tells us when; to wake too early does no harm.
        thread::park_timeout(FOLLOW_INTERVAL);
    }
}
