//! `flowgate export`: the flags of a proxy, and which flows are wanted in which form.

use std::path::Path;
use std::str::FromStr;

use clap::{Arg, ArgAction, ArgMatches};
use flowgate_formats::export::{ExportFormat, UnknownFormat};
use flowgate_session::FileForm;

use super::flags;
use super::query::TOOL;

/// Recorded flows, to be written in another form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Export {
    /// The file or store, unless `-r` or `--store` say it; then an id, or a filter.
    pub(crate) words: Vec<String>,
    /// The form.
    pub(crate) form: Form,
    /// Where to; standard output unless given.
    pub(crate) output: Option<String>,
    /// A file that is there gives way.
    pub(crate) overwrite: bool,
    /// A file of TLS secrets that goes into a capture.
    pub(crate) key_log: Option<String>,
}

/// What flows are made into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// Each by itself.
    Single(ExportFormat),
    /// All in one file.
    File(FileForm),
}

impl FromStr for Form {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if let Some(form) = FileForm::named(name) {
            return Ok(Self::File(form));
        }
        name.parse()
            .map(Self::Single)
            .map_err(|error: UnknownFormat| format!("{error}, har, zhar, pcapng, flows"))
    }
}

const WORDS: &str = "words";
const FORMAT: &str = "format";
const OUTPUT: &str = "output";
pub(super) const OVERWRITE: &str = "overwrite";
pub(super) const KEY_LOG: &str = "key-log";

pub(super) fn command() -> clap::Command {
    let usage =
        "flowgate export (--store FOLDER | -r FILE) [ID | FILTER...] [--format FORMAT] [-o FILE] [OPTIONS]";
    flags::base(TOOL, usage)
        .about(
            "Print flows as commands or raw messages, safe to paste, or make a HAR file, a capture or a flow file",
        )
        .arg(Arg::new(WORDS).value_name("ID | FILTER...").num_args(0..).action(ArgAction::Append).help(
            "Which flows: how an id begins, at least eight digits, or a filter; all unless given. Without `-r` and \
             `--store` the first word is the file or the store (`-` is standard input)",
        ))
        .arg(
            Arg::new(FORMAT)
                .long(FORMAT)
                .value_name("FORMAT")
                .help(
                    "curl, httpie, raw, raw_request, raw_response, har, zhar, pcapng or flows; unless given, what the \
                     name behind `-o` ends in, or curl",
                )
                .value_parser(|name: &str| name.parse::<Form>()),
        )
        .arg(
            Arg::new(OUTPUT)
                .long(OUTPUT)
                .short('o')
                .value_name("FILE")
                .help("Write to this file, which is there when it is whole"),
        )
        .arg(overwrite())
        .arg(key_log())
}

/// The flag that lets a file be replaced.
pub(super) fn overwrite() -> Arg {
    Arg::new(OVERWRITE)
        .long(OVERWRITE)
        .action(ArgAction::SetTrue)
        .help("Replace the file if there is one, once the new one is whole")
}

/// The flag that names TLS secrets.
pub(super) fn key_log() -> Arg {
    Arg::new(KEY_LOG)
        .long(KEY_LOG)
        .value_name("FILE")
        .help("Put the TLS secrets of this file (as of SSLKEYLOGFILE) into a capture")
}

pub(super) fn read(matches: &ArgMatches) -> Export {
    let text = |id: &str| matches.get_one::<String>(id).cloned();
    let output = text(OUTPUT);
    let said = output.as_deref().and_then(|path| FileForm::of(Path::new(path))).map(Form::File);
    let form = matches.get_one::<Form>(FORMAT).copied().or(said);
    Export {
        words: matches.get_many::<String>(WORDS).into_iter().flatten().cloned().collect(),
        form: form.unwrap_or(Form::Single(ExportFormat::Curl)),
        output,
        overwrite: matches.get_flag(OVERWRITE),
        key_log: text(KEY_LOG),
    }
}
