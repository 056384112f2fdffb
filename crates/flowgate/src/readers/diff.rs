//! `flowgate diff`: what differs between two flows, as `show` has them, in the unified format.

use std::io::Write;

use flowgate_dump::Style;
use flowgate_options::Values;
use flowgate_session::FlowSource;
use similar::TextDiff;

use super::{ReadingError, one_flow, show};

/// How many lines around a difference are shown.
const CONTEXT_LINES: usize = 3;

/// Says whether they are the same.
pub(super) fn diff(
    source: &FlowSource,
    ids: [&String; 2],
    values: &Values,
    out: &mut impl Write,
) -> Result<bool, ReadingError> {
    let text = |id: &String| {
        let flow = one_flow(source, id)?.flow()?;
        Ok::<_, ReadingError>((flow.id.to_string(), show::messages(&flow, values, Style::Plain)))
    };
    let [(old_id, old), (new_id, new)] = [text(ids[0])?, text(ids[1])?];
    // Large bodies that have little in common would take very long: then a coarser answer is good enough.
    let diff = TextDiff::configure().timeout(DIFF_TIMEOUT).diff_lines(&old, &new);
    let same = diff.ratio() >= 1.0;
    if !same {
        write!(out, "{}", diff.unified_diff().context_radius(CONTEXT_LINES).header(&old_id, &new_id))?;
    }
    Ok(same)
}

/// How long the search for the smallest difference may take.
const DIFF_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);
