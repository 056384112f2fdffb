//! Flows written to any output in the form that a file's name asks for, one after the other. Not here: files.
//!
//! Unlike a [`HarFile`](crate::HarFile), which is whole after each flow, what is written here is whole when it has ended.

use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use flowgate_addons::Decoding;
use flowgate_flow::Flow;
use flowgate_formats::FlowWriter;
use flowgate_formats::har::HarWriter;
use flowgate_formats::pcapng::PcapngWriter;

/// What a file of flows is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileForm {
    /// A flow file of mitmproxy's version 21.
    Flows,
    /// HAR.
    Har,
    /// HAR, compressed.
    CompressedHar,
    /// A capture for Wireshark.
    Pcapng,
}

impl FileForm {
    /// How the names of files end; the first of a form is its name.
    pub const ENDINGS: [(&str, Self); 8] = [
        ("flows", Self::Flows),
        ("flow", Self::Flows),
        ("mitm", Self::Flows),
        ("dump", Self::Flows),
        ("mitmdump", Self::Flows),
        ("har", Self::Har),
        ("zhar", Self::CompressedHar),
        ("pcapng", Self::Pcapng),
    ];

    /// What the ending of a file's name says; `None` if it says nothing.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?;
        let known = Self::ENDINGS.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known))?;
        Some(known.1)
    }

    /// The form of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let known = Self::ENDINGS.iter().find(|(known, form)| *known == name && form.name() == name)?;
        Some(known.1)
    }

    /// What it is called on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Har => "har",
            Self::CompressedHar => "zhar",
            Self::Pcapng => "pcapng",
        }
    }

    /// Whether a terminal is no place for it.
    #[must_use]
    pub const fn is_binary(self) -> bool {
        !matches!(self, Self::Har)
    }
}

/// Writes flows in one form.
#[derive(Debug)]
pub struct FormWriter<W: Write> {
    out: Out<W>,
    flows: u64,
}

#[derive(Debug)]
enum Out<W: Write> {
    Flows(W, FlowWriter),
    Har(W, HarWriter),
    CompressedHar(ZlibEncoder<W>, HarWriter),
    Pcapng(W, PcapngWriter),
}

/// What was written in all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Written {
    /// So many flows.
    pub flows: u64,
    /// So many had no place in the form.
    pub left_out: u64,
}

impl<W: Write> FormWriter<W> {
    /// Begins. `secrets`, lines as in a file of `SSLKEYLOGFILE`, go into a capture; other forms have no place for them.
    ///
    /// # Errors
    /// What the output says; `InvalidInput` for too many secrets.
    pub fn begin(form: FileForm, mut out: W, secrets: &[u8]) -> io::Result<Self> {
        let beginning = HarWriter::BEGINNING.as_bytes();
        let out = match form {
            FileForm::Flows => Out::Flows(out, FlowWriter::new()),
            FileForm::Har => {
                out.write_all(beginning)?;
                Out::Har(out, HarWriter::new())
            }
            FileForm::CompressedHar => {
                let mut encoder = ZlibEncoder::new(out, Compression::default());
                encoder.write_all(beginning)?;
                Out::CompressedHar(encoder, HarWriter::new())
            }
            FileForm::Pcapng => {
                let mut writer = PcapngWriter::new();
                writer.begin(&mut out, secrets)?;
                Out::Pcapng(out, writer)
            }
        };
        Ok(Self { out, flows: 0 })
    }

    /// Writes a flow.
    ///
    /// # Errors
    /// What the output or a stored body says. A part may have been written.
    pub fn flow(&mut self, flow: &Flow) -> io::Result<()> {
        match &mut self.out {
            Out::Flows(out, writer) => writer.write_flow(out, flow).map_err(io::Error::other)?,
            Out::Har(out, writer) => writer.write_flow(out, flow, &Decoding)?,
            Out::CompressedHar(out, writer) => writer.write_flow(out, flow, &Decoding)?,
            Out::Pcapng(out, writer) => writer.write_flow(out, flow)?,
        }
        self.flows += 1;
        Ok(())
    }

    /// Writes what stands behind the last flow, flushes, and says how much there is.
    ///
    /// # Errors
    /// What the output says.
    pub fn end(self) -> io::Result<(W, Written)> {
        let end = HarWriter::END.as_bytes();
        let all = Written { flows: self.flows, left_out: 0 };
        let of_har = |writer: &HarWriter| Written { flows: writer.entries(), left_out: writer.skipped() };
        let (mut out, written) = match self.out {
            Out::Flows(out, _) | Out::Pcapng(out, _) => (out, all),
            Out::Har(mut out, writer) => {
                out.write_all(end)?;
                (out, of_har(&writer))
            }
            Out::CompressedHar(mut out, writer) => {
                out.write_all(end)?;
                (out.finish()?, of_har(&writer))
            }
        };
        out.flush()?;
        Ok((out, written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_form() {
        for (name, form) in [
            ("a.flows", Some(FileForm::Flows)),
            ("a.b/c.MITM", Some(FileForm::Flows)),
            ("a.flow", Some(FileForm::Flows)),
            ("a.har", Some(FileForm::Har)),
            ("a.har.zhar", Some(FileForm::CompressedHar)),
            ("a.pcapng", Some(FileForm::Pcapng)),
            ("a.pcap", None),
            ("har", None),
            (".har", None),
            ("a.flows/b", None),
            ("", None),
        ] {
            assert_eq!(FileForm::of(Path::new(name)), form, "{name}");
        }
        for (ending, form) in FileForm::ENDINGS {
            assert_eq!(FileForm::named(form.name()), Some(form));
            assert_eq!(FileForm::named(ending).is_some(), form.name() == ending, "{ending}");
        }
    }
}
