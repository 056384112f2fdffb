//! `flowgate lint`: warnings, a line each.

use flowgate_policy::{RulesSource, lint};
use flowgate_session::RuleFiles;

use super::{Answer, QueryError};

pub(super) fn answer(files: &RuleFiles, source: &RulesSource) -> Result<Answer, QueryError> {
    let warnings = lint(source)?;
    let lines = files.warnings().iter().cloned().chain(warnings.iter().map(ToString::to_string));
    let text: String = lines.map(|line| line + "\n").collect();
    let good = text.is_empty();
    Ok(Answer { text: if good { "no warnings\n".to_owned() } else { text }, good })
}
