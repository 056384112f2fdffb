//! The seam between the command line and a running session.

use crate::cli::Invocation;

/// Why a session ended badly.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// This build has a command line, and no proxy behind it.
    #[error("this build of flowgate has no proxy yet: cannot start `{tool}` with {changed} changed options")]
    NoProxy {
        /// The tool that was asked for.
        tool: &'static str,
        /// How many options differ from their defaults.
        changed: usize,
    },
}

/// Runs the tool that was asked for until it ends.
///
/// # Errors
/// When it cannot start.
pub(crate) fn run(invocation: Invocation) -> Result<(), RunError> {
    let changed = invocation.options.changed_from_default().count();
    Err(RunError::NoProxy { tool: invocation.tool.name(), changed })
}
