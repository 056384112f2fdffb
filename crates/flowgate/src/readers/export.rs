//! `flowgate export`: the flows that are meant, in another form, to standard output or a file.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read as _, Write};
use std::path::{Path, PathBuf};

use flowgate_filter::Filter;
use flowgate_flow::Flow;
use flowgate_formats::export::ExportOptions;
use flowgate_formats::pcapng::PcapngWriter;
use flowgate_options::{Values, expand_home};
use flowgate_session::{Existing, FlowSource, FormWriter, NewFile, Written, case_from_env};

use super::copy::{Copied, Which, copy};
use super::single::{Singles, To};
use super::{ReadingError, interrupted, path};
use crate::cli::{Export, Form};
use crate::report;

/// Prints or writes what is wanted; says whether all of it could be exported.
pub(super) fn export(
    wanted: &Export,
    values: &Values,
    home: Option<&Path>,
    stdout: &mut impl Write,
) -> Result<bool, ReadingError> {
    let expanded = |path: &str| expand_home(path, home).unwrap_or_else(|| PathBuf::from(path));
    let mut words = wanted.words.iter().map(String::as_str);
    let from = match path(values, home) {
        Ok(path) => path,
        // Then the first word says it.
        Err(no_source) => words.next().map(expanded).ok_or(no_source)?,
    };
    let words: Vec<_> = words.collect();
    let which = match words[..] {
        [] => Which::All,
        [id] if is_id(id) => Which::Id(id.to_owned()),
        _ => Which::Matching(Filter::parse(&words.join(" "), case_from_env())?),
    };
    let to = wanted.output.as_deref().filter(|output| *output != "-").map(expanded);
    let is_terminal = to.is_none() && io::stdout().is_terminal();
    if is_terminal && matches!(wanted.form, Form::File(form) if form.is_binary()) {
        return Err(ReadingError::Terminal);
    }
    let secrets = read_secrets(wanted.key_log.as_deref().map(expanded))?;
    let options = ExportOptions { preserve_original_ip: values.export_preserve_original_ip };
    let source = super::open(&from)?;
    let (copied, written) = match to {
        None => {
            let to = if is_terminal { To::Terminal } else { To::Pipe };
            let writer = Writer::begin(wanted.form, options, to, &secrets, stdout)?;
            let (copied, _, written) = write(writer, &source, &which, true)?;
            (copied, written)
        }
        Some(to) => {
            let existing = if wanted.overwrite { Existing::Replace } else { Existing::Keep };
            let file = NewFile::begin(&to, existing)?;
            interrupted::remove(file.temporary_path());
            let failed = |source| ReadingError::Write { path: to.clone(), source };
            let writer = Writer::begin(wanted.form, options, To::File, &secrets, BufWriter::new(file));
            let written = writer.and_then(|writer| write(writer, &source, &which, false));
            let (copied, out, written) = written.map_err(failed)?;
            let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
            if written.flows > 0 {
                file.finish()?;
            }
            (copied, written)
        }
    };
    copied.end?;
    if copied.count == 0 {
        return Err(ReadingError::NoFlow(from));
    }
    let is_file = matches!(wanted.form, Form::File(_));
    if let Some(note) = left_out(written).filter(|_| is_file) {
        report::note(&note);
    }
    Ok(is_file || written.left_out == 0)
}

/// Whether a word is an id or the beginning of one: the eight digits that `flowgate flows` shows, or more of it.
fn is_id(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_hexdigit).count();
    (8..=32).contains(&digits) && word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// What the form had no place for, in words.
pub(super) fn left_out(written: Written) -> Option<String> {
    match written.left_out {
        0 => None,
        1 => Some("1 flow is not HTTP and has no place in it".to_owned()),
        count => Some(format!("{count} flows are not HTTP and have no place in it")),
    }
}

/// The TLS secrets for a capture, as far as a capture holds them and one byte more.
pub(super) fn read_secrets(path: Option<PathBuf>) -> Result<Vec<u8>, ReadingError> {
    let mut secrets = Vec::new();
    if let Some(path) = path {
        let limit = PcapngWriter::SECRETS_BYTES_MAX as u64 + 1;
        File::open(&path)
            .and_then(|file| file.take(limit).read_to_end(&mut secrets))
            .map_err(|source| ReadingError::KeyLog { path, source })?;
    }
    Ok(secrets)
}

/// What writes flows.
enum Writer<W: Write> {
    Single(Singles<W>),
    File(FormWriter<W>),
}

impl<W: Write> Writer<W> {
    fn begin(form: Form, options: ExportOptions, to: To, secrets: &[u8], out: W) -> io::Result<Self> {
        Ok(match form {
            Form::Single(format) => Self::Single(Singles::new(format, options, to, out)),
            Form::File(form) => Self::File(FormWriter::begin(form, out, secrets)?),
        })
    }

    fn flow(&mut self, flow: &Flow) -> io::Result<()> {
        match self {
            Self::Single(writer) => writer.flow(flow),
            Self::File(writer) => writer.flow(flow),
        }
    }

    fn end(self) -> io::Result<(W, Written)> {
        match self {
            Self::Single(writer) => Ok(writer.end()),
            Self::File(writer) => writer.end(),
        }
    }
}

fn write<W: Write>(
    mut writer: Writer<W>,
    source: &FlowSource,
    which: &Which,
    prints: bool,
) -> io::Result<(Copied, W, Written)> {
    let copied = copy(source, which, prints, |flow| writer.flow(&flow))?;
    let (out, written) = writer.end()?;
    Ok((copied, out, written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_filters() {
        for (word, expected) in [
            ("3fa94c1e", true),
            ("3fa94c1e-0000-4000-8000-000000000000", true),
            ("3FA94C1E0000", true),
            ("3fa94c1", false),
            ("cafe", false),
            ("--------", false),
            ("3fa94c1e/x", false),
            ("~u", false),
            ("", false),
        ] {
            assert_eq!(is_id(word), expected, "{word}");
        }
    }
}
