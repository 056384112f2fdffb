//! From the command line to the tool that was asked for.

use std::path::Path;

use flowgate_dump::DumpError;

use crate::cli::Invocation;

/// Runs the tool that was asked for until it ends.
///
/// # Errors
/// When it cannot start, or ends badly.
pub(crate) fn run(invocation: &Invocation, home: Option<&Path>) -> Result<(), DumpError> {
    // The command line lets no other tool through.
    flowgate_dump::run(&invocation.configuration, home)
}
