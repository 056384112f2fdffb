//! A HAR file to save HTTP flows to (mitmproxy: `hardump`), compressed if its name ends in `.zhar`.
//!
//! Invariant: after each flow the file is whole. Its end is written behind each entry, and the next entry over that end; so
//! nothing is kept in memory, and who kills the program has a HAR file all the same.
//!
//! Differs from mitmproxy, which keeps all flows in memory and writes the file at its exit.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flowgate_addons::Decoding;
use flowgate_flow::Flow;
use flowgate_formats::har::HarWriter;
use thiserror::Error;

use crate::flow_file::Emptying;
use crate::saver::Sink;
use zlib::Zlib;

mod zlib;

/// A HAR file cannot be written (option `hardump`).
#[derive(Debug, Error)]
#[error("cannot write HAR to {}", path.display())]
pub struct HarFileError {
    /// Where.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl HarFileError {
    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self.source.kind() {
            io::ErrorKind::NotFound => "the folder has to exist".to_owned(),
            _ => "option `hardump` names a file that can be written".to_owned(),
        })
    }
}

/// A file that HTTP flows are written to as HAR; other flows have no place in it.
#[derive(Debug)]
pub struct HarFile {
    file: File,
    form: Form,
    writer: HarWriter,
    /// Behind the last entry; 0 if nothing is written yet.
    end: u64,
    /// Bytes of the file, once something is written.
    len: u64,
    /// Where all of it goes in the end, if what was asked for is no file one can go back in.
    copy_to: Option<File>,
}

#[derive(Debug)]
enum Form {
    Plain,
    Compressed(Box<Zlib>),
}

impl Form {
    /// A file without flows.
    fn empty(&self) -> io::Result<Vec<u8>> {
        let (beginning, end) = (HarWriter::BEGINNING.as_bytes(), HarWriter::END.as_bytes());
        match self {
            Self::Plain => Ok([beginning, end].concat()),
            Self::Compressed(_) => {
                let mut zlib = Zlib::default();
                let beginning = zlib.compressed(beginning)?;
                Ok([beginning, zlib.last(end)].concat())
            }
        }
    }

    /// What stands behind the last entry.
    fn last(&self) -> Vec<u8> {
        match self {
            Self::Plain => HarWriter::END.as_bytes().to_vec(),
            Self::Compressed(zlib) => zlib.last(HarWriter::END.as_bytes()),
        }
    }
}

impl HarFile {
    /// Opens the file. Nothing in it changes until the first flow is written, or it is emptied, or ends.
    ///
    /// # Errors
    /// If it cannot be opened for writing.
    pub fn open(path: &Path) -> Result<Self, HarFileError> {
        let open = || {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            let form = match path.extension() {
                Some(ending) if ending.eq_ignore_ascii_case("zhar") => Form::Compressed(Box::default()),
                _ => Form::Plain,
            };
            if file.metadata()?.is_file() {
                Ok(Self::new(file, form, None))
            } else {
                Ok(Self::new(tempfile::tempfile()?, form, Some(file)))
            }
        };
        open().map_err(|source| HarFileError { path: path.to_owned(), source })
    }

    /// A file without a name, to be copied to where the caller wants it in the end.
    ///
    /// # Errors
    /// If there is no room for temporary files.
    pub fn spooled() -> io::Result<(Self, Spool)> {
        let file = tempfile::tempfile()?;
        let spool = Spool(file.try_clone()?);
        Ok((Self::new(file, Form::Plain, None), spool))
    }

    fn new(file: File, form: Form, copy_to: Option<File>) -> Self {
        Self { file, form, writer: HarWriter::new(), end: 0, len: 0, copy_to }
    }

    /// What empties this file, when all else has started.
    ///
    /// # Errors
    /// What the system says.
    pub fn emptying(&self) -> io::Result<Emptying> {
        Ok(Emptying::of(self.file.try_clone()?, self.form.empty()?))
    }

    /// Writes the entry of a flow. After an error the file is as it was before.
    ///
    /// # Errors
    /// What the system or the flow's stored body says.
    pub fn write(&mut self, flow: &Flow) -> io::Result<()> {
        let mut entry = if self.end == 0 { HarWriter::BEGINNING.as_bytes().to_vec() } else { Vec::new() };
        let entries = self.writer.entries();
        self.writer.write_flow(&mut entry, flow, &Decoding)?;
        if self.writer.entries() == entries {
            return Ok(());
        }
        self.append(entry).inspect_err(|_| self.writer.take_back(entries))
    }

    /// Writes what comes behind the last entry, and the end behind it.
    fn append(&mut self, entry: Vec<u8>) -> io::Result<()> {
        let mut bytes = match &mut self.form {
            Form::Plain => entry,
            Form::Compressed(zlib) => zlib.compressed(&entry)?,
        };
        let end = self.end + bytes.len() as u64;
        bytes.extend(self.form.last());
        let written = self.file.seek(SeekFrom::Start(self.end)).and_then(|_| self.file.write_all(&bytes));
        if let Form::Compressed(zlib) = &mut self.form {
            if written.is_ok() { zlib.kept() } else { zlib.lost() }
        }
        match written {
            Ok(()) => (self.end, self.len) = (end, self.end + bytes.len() as u64),
            Err(_) => self.put_end_back(),
        }
        written
    }

    /// Makes the file again what it was before a write that failed, as far as the system lets us.
    fn put_end_back(&mut self) {
        let last = if self.end == 0 { self.form.empty().unwrap_or_default() } else { self.form.last() };
        let len = self.end + last.len() as u64;
        let _ = self.file.seek(SeekFrom::Start(self.end)).and_then(|_| self.file.write_all(&last));
        let _ = self.file.set_len(len);
    }
}

impl Sink for HarFile {
    const WHAT: &'static str = "flows as HAR";

    type Error = io::Error;

    type Item = Flow;

    fn take(&mut self, flow: Flow) -> io::Result<()> {
        self.write(&flow)
    }

    fn end(&mut self) -> io::Result<Vec<String>> {
        if let Some(to) = &mut self.copy_to {
            self.file.seek(SeekFrom::Start(0))?;
            io::copy(&mut self.file, to)?;
        }
        let mut lines = Vec::new();
        match self.writer.skipped() {
            0 => {}
            1 => lines.push("Skipped 1 flow that wasn't HTTP.".to_owned()),
            skipped => lines.push(format!("Skipped {skipped} flows that weren't HTTP flows.")),
        }
        if self.end > 0 {
            lines.push(format!("HAR file saved ({} entries, {} bytes).", self.writer.entries(), self.len));
        }
        Ok(lines)
    }
}

/// What a HAR file without a name holds.
#[derive(Debug)]
pub struct Spool(File);

impl Spool {
    /// Copies all of it, when what writes it has ended.
    ///
    /// # Errors
    /// What the system says.
    pub fn copy_to(mut self, out: &mut impl Write) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(0))?;
        io::copy(&mut self.0, out)?;
        out.flush()
    }
}

#[cfg(test)]
mod tests;
