//! Answers to `flowgate export`: each flow that matches, one after the other, in bounded memory.
//!
//! A flow that cannot be exported is told on standard error, and the others are printed all the same.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use flowgate_contentview::escape;
use flowgate_filter::{Filter, FilterError};
use flowgate_flow::Flow;
use flowgate_formats::export::{ExportFormat, ExportOptions, export};
use flowgate_options::{Values, expand_home};
use flowgate_session::{Decoding, ReadFlowsError, case_from_env, read_flows};

use crate::cli::Export;
use crate::report;

/// Why nothing, or not all, was exported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportFileError {
    /// The filter cannot be used.
    #[error("filter: {0}")]
    Filter(FilterError),
    /// Flows cannot be read.
    #[error(transparent)]
    Read(#[from] ReadFlowsError),
    /// Standard output is gone.
    #[error("cannot print")]
    Output(#[from] io::Error),
    /// No flow matched.
    #[error("no flow of {} matches", path.display())]
    NoFlow {
        /// The file.
        path: PathBuf,
    },
}

impl ExportFileError {
    /// The next step for the user, when there is one to name.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Read(ReadFlowsError::Open { .. }) => {
                Some("`flowgate export FILE` reads a file of flows, as `-w` writes it".to_owned())
            }
            _ => None,
        }
    }
}

/// Prints what is wanted; says whether all of it could be exported.
///
/// # Errors
/// If the flows cannot be read or printed, or there are none.
pub(crate) fn run(wanted: &Export, values: &Values, home: Option<&Path>) -> Result<bool, ExportFileError> {
    let filter = wanted.filter.as_deref().map(|text| Filter::parse(text, case_from_env()));
    let filter = filter.transpose().map_err(ExportFileError::Filter)?;
    let path = expand_home(&wanted.file, home).unwrap_or_else(|| PathBuf::from(&wanted.file));
    let options = ExportOptions { preserve_original_ip: values.export_preserve_original_ip };
    let mut printer = Printer { out: io::stdout().lock(), count: 0, failed: 0, broken: None };
    let read = read_flows(&path, |flow| {
        if printer.broken.is_none() && filter.as_ref().is_none_or(|filter| filter.matches(&flow, &Decoding)) {
            printer.flow(&flow, wanted.format, options);
        }
    });
    if let Some(error) = printer.broken {
        return Err(error.into());
    }
    read?;
    if printer.count == 0 {
        return Err(ExportFileError::NoFlow { path });
    }
    Ok(printer.failed == 0)
}

struct Printer<'o> {
    out: io::StdoutLock<'o>,
    count: u64,
    failed: u64,
    broken: Option<io::Error>,
}

impl Printer<'_> {
    fn flow(&mut self, flow: &Flow, format: ExportFormat, options: ExportOptions) {
        self.count += 1;
        match export(flow, format, options, &Decoding) {
            Ok(bytes) => self.broken = self.print(bytes, format).err(),
            Err(error) => {
                self.failed += 1;
                report::problem(&format!("flow {}", flow.id), &error);
            }
        }
    }

    fn print(&mut self, mut bytes: Vec<u8>, format: ExportFormat) -> io::Result<()> {
        // Raw bytes are for a file or a program; a terminal would do what they say. Commands have none of that kind.
        let is_command = matches!(format, ExportFormat::Curl | ExportFormat::Httpie);
        if !is_command && self.out.is_terminal() {
            let mut text = String::new();
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                let end = if line.ends_with(b"\n") { "\n" } else { "" };
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                escape::push_line_bytes(&mut text, line.strip_suffix(b"\r").unwrap_or(line));
                text.push_str(end);
            }
            bytes = text.into_bytes();
        }
        bytes.push(b'\n');
        self.out.write_all(&bytes)?;
        self.out.flush()
    }
}
