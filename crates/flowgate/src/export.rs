//! Answers to `flowgate export`: each flow that matches, one after the other, in bounded memory.
//!
//! A flow that cannot be exported is told on standard error, and the others are printed all the same.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read as _, Write};
use std::path::{Path, PathBuf};

use flowgate_contentview::escape;
use flowgate_filter::{Filter, FilterError};
use flowgate_flow::Flow;
use flowgate_formats::export::{ExportFormat, ExportOptions, export};
use flowgate_formats::har::HarWriter;
use flowgate_formats::pcapng::PcapngWriter;
use flowgate_options::{Values, expand_home};
use flowgate_session::{Decoding, ReadFlowsError, case_from_env, read_flows};

use crate::cli::{Export, Form};
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
    /// The TLS secrets cannot be read.
    #[error("cannot read TLS secrets from {}", path.display())]
    KeyLog {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A capture would go to a terminal.
    #[error("a capture is not for a terminal")]
    Terminal,
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
            Self::Terminal => {
                Some("write it to a file: `flowgate export FILE --format pcapng > x.pcapng`".to_owned())
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
    let expanded = |path: &str| expand_home(path, home).unwrap_or_else(|| PathBuf::from(path));
    let path = expanded(&wanted.file);
    let options = ExportOptions { preserve_original_ip: values.export_preserve_original_ip };
    let out = BufWriter::new(io::stdout().lock());
    let is_terminal = io::stdout().is_terminal();
    if is_terminal && wanted.form == Form::Pcapng {
        return Err(ExportFileError::Terminal);
    }
    let secrets = wanted.key_log.as_deref().map(|path| read_secrets(&expanded(path))).transpose()?;
    let writer = match wanted.form {
        Form::Single(format) => Writer::Single { format, options, is_terminal },
        Form::Har => Writer::Har(HarWriter::new()),
        Form::Pcapng => Writer::Pcapng(PcapngWriter::new()),
    };
    let mut printer = Printer { out, writer, count: 0, failed: 0 };
    let mut broken = printer.begin(secrets.as_deref().unwrap_or_default()).err();
    let read = read_flows(&path, |flow| {
        if broken.is_none() && filter.as_ref().is_none_or(|filter| filter.matches(&flow, &Decoding)) {
            broken = printer.flow(&flow).err();
        }
    });
    if let Some(error) = broken.or_else(|| printer.end().err()) {
        return Err(error.into());
    }
    read?;
    if printer.count == 0 {
        return Err(ExportFileError::NoFlow { path });
    }
    Ok(printer.failed == 0)
}

fn read_secrets(path: &Path) -> Result<Vec<u8>, ExportFileError> {
    let failed = |source| ExportFileError::KeyLog { path: path.to_owned(), source };
    let mut secrets = Vec::new();
    let limit = PcapngWriter::SECRETS_BYTES_MAX as u64 + 1;
    File::open(path).and_then(|file| file.take(limit).read_to_end(&mut secrets)).map_err(failed)?;
    Ok(secrets)
}

enum Writer {
    Single { format: ExportFormat, options: ExportOptions, is_terminal: bool },
    Har(HarWriter),
    Pcapng(PcapngWriter),
}

struct Printer<W: Write> {
    out: W,
    writer: Writer,
    count: u64,
    failed: u64,
}

impl<W: Write> Printer<W> {
    fn begin(&mut self, secrets: &[u8]) -> io::Result<()> {
        match &mut self.writer {
            Writer::Single { .. } => Ok(()),
            Writer::Har(_) => self.out.write_all(HarWriter::BEGINNING.as_bytes()),
            Writer::Pcapng(writer) => writer.begin(&mut self.out, secrets),
        }
    }

    fn flow(&mut self, flow: &Flow) -> io::Result<()> {
        self.count += 1;
        match &mut self.writer {
            Writer::Har(writer) => writer.write_flow(&mut self.out, flow, &Decoding),
            Writer::Pcapng(writer) => writer.write_flow(&mut self.out, flow),
            Writer::Single { format, options, is_terminal } => {
                match export(flow, *format, *options, &Decoding) {
                    Ok(bytes) => {
                        let bytes = if *is_terminal { harmless(bytes, *format) } else { bytes };
                        self.out.write_all(&bytes)?;
                        self.out.write_all(b"\n")?;
                        // A flow at a time, since somebody may wait for it.
                        self.out.flush()
                    }
                    Err(error) => {
                        self.failed += 1;
                        report::problem(&format!("flow {}", flow.id), &error);
                        Ok(())
                    }
                }
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        if matches!(self.writer, Writer::Har(_)) {
            self.out.write_all(HarWriter::END.as_bytes())?;
        }
        self.out.flush()
    }
}

/// Raw bytes are for a file or a program; a terminal would do what they say. Commands have none of that kind.
fn harmless(bytes: Vec<u8>, format: ExportFormat) -> Vec<u8> {
    if matches!(format, ExportFormat::Curl | ExportFormat::Httpie) {
        return bytes;
    }
    let mut text = String::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let end = if line.ends_with(b"\n") { "\n" } else { "" };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        escape::push_line_bytes(&mut text, line.strip_suffix(b"\r").unwrap_or(line));
        text.push_str(end);
    }
    text.into_bytes()
}
