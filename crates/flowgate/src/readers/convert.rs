//! `flowgate convert`: flows from a store or a file to another, one at a time.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use flowgate_filter::Filter;
use flowgate_session::{FLOWS_BATCH_MAX, FlowFile, FlowSource, FlowStore, Found, ReadFlowsError, Sink};

use super::ReadingError;

/// The names under which mitmproxy's users keep flow files.
const FILE_ENDINGS: [&str; 5] = ["flows", "flow", "mitm", "dump", "mitmdump"];
/// How the folder of a store ends if it is not there yet.
const STORE_ENDING: &str = "store";

pub(super) fn convert(
    from: &Path,
    to: &Path,
    filter: Option<&Filter>,
    out: &mut impl Write,
) -> Result<bool, ReadingError> {
    let source = FlowSource::open(from)?;
    if let (Ok(from), Ok(there)) = (from.canonicalize(), to.canonicalize())
        && from == there
    {
        return Err(ReadingError::SamePlace(to.to_owned()));
    }
    let ending = to.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let written =
        if to.is_dir() || ending == STORE_ENDING || to.as_os_str().as_encoded_bytes().ends_with(b"/") {
            write(&source, filter, to, FlowStore::open(to)?)
        } else if FILE_ENDINGS.contains(&ending) {
            write(&source, filter, to, FlowFile::create(to)?)
        } else {
            return Err(ReadingError::UnknownFormat(to.to_owned()));
        };
    let (count, end) = written?;
    // What could be read is there, whatever came then.
    writeln!(out, "{count} {} written to {}", if count == 1 { "flow" } else { "flows" }, to.display())?;
    end?;
    Ok(true)
}

/// How many flows were written, and how reading ended.
fn write<S: Sink>(
    source: &FlowSource,
    filter: Option<&Filter>,
    to: &Path,
    mut sink: S,
) -> Result<(u64, Result<(), ReadFlowsError>), ReadingError>
where
    S::Error: Send + Sync + 'static,
{
    let mut count = 0;
    let mut unreadable = None;
    let failed = |source: S::Error| ReadingError::Write { path: to.to_owned(), source: Box::new(source) };
    let each = |found: Found<'_>| {
        let flow = match found.flow() {
            Ok(flow) => flow,
            Err(error) => {
                unreadable.get_or_insert(error);
                return ControlFlow::Continue(());
            }
        };
        let take = || {
            sink.take(flow)?;
            if sink.waiting() >= FLOWS_BATCH_MAX { sink.settle() } else { Ok(()) }
        };
        match take() {
            Ok(()) => {
                count += 1;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    };
    let end = match source.search(filter, 0, each) {
        Ok((_, Some(error))) => return Err(failed(error)),
        Ok((_, None)) => unreadable.map_or(Ok(()), Err),
        Err(error) => Err(error),
    };
    sink.settle().map_err(failed)?;
    Ok((count, end))
}
