//! Flows handed on from where they are read, one at a time, for `export` and `convert`.

use std::io;
use std::ops::ControlFlow;

use flowgate_dump::tell_while;
use flowgate_filter::Filter;
use flowgate_flow::Flow;
use flowgate_session::{FlowSource, Found, Progress};

use super::{ReadingError, one_flow};

/// Which flows are meant.
pub(super) enum Which {
    /// All there are.
    All,
    /// Those of a filter.
    Matching(Filter),
    /// The one whose id begins so.
    Id(String),
}

/// How copying ended, if writing went well.
pub(super) struct Copied {
    /// So many flows were meant, and handed on.
    pub(super) count: u64,
    /// Whether all could be read.
    pub(super) end: Result<(), ReadingError>,
}

/// Hands the flows to `take`, until it fails. `prints` says that they are printed, so that nobody needs to be told of progress.
///
/// # Errors
/// Those of `take`.
pub(super) fn copy(
    source: &FlowSource,
    which: &Which,
    prints: bool,
    mut take: impl FnMut(Flow) -> io::Result<()>,
) -> io::Result<Copied> {
    let filter = match which {
        Which::All => None,
        Which::Matching(filter) => Some(filter),
        Which::Id(id) => {
            let flow = one_flow(source, id).and_then(|found| Ok(found.flow()?));
            return match flow {
                Ok(flow) => take(flow).map(|()| Copied { count: 1, end: Ok(()) }),
                Err(error) => Ok(Copied { count: 0, end: Err(error) }),
            };
        }
    };
    let mut count = 0;
    let mut unreadable = None;
    let each = |found: Found<'_>| match found.flow() {
        Ok(flow) => match take(flow) {
            Ok(()) => {
                count += 1;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        },
        Err(error) => {
            unreadable.get_or_insert(error);
            ControlFlow::Continue(())
        }
    };
    let progress = Progress::default();
    let end = match tell_while(&progress, prints, || source.search_with(filter, 0, &progress, each)) {
        Ok((_, Some(error))) => return Err(error),
        Ok((searched, None)) => match unreadable {
            Some(error) => Err(error.into()),
            None if searched.unreadable > 0 => Err(ReadingError::Unreadable(searched.unreadable)),
            None => Ok(()),
        },
        Err(error) => Err(error.into()),
    };
    Ok(Copied { count, end })
}
