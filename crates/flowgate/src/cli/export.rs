//! `flowgate export`: the flags of a proxy, and which flows are wanted in which form.

use std::ffi::OsString;
use std::str::FromStr;

use clap::{Arg, ArgMatches};
use flowgate_formats::export::{ExportFormat, UnknownFormat};

use super::error::CliError;
use super::flags;
use super::query::TOOL;
use super::tool::first_word;

/// Flows of a file, to be printed in another form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Export {
    /// A file of flows; `-` is standard input.
    pub(crate) file: String,
    /// Which of its flows; all unless given.
    pub(crate) filter: Option<String>,
    /// The form.
    pub(crate) form: Form,
    /// A file of TLS secrets that goes into a capture.
    pub(crate) key_log: Option<String>,
}

/// What flows are made into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// Each by itself.
    Single(ExportFormat),
    /// All in a HAR file.
    Har,
    /// All in a capture for Wireshark.
    Pcapng,
}

impl FromStr for Form {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "har" => Ok(Self::Har),
            "pcapng" => Ok(Self::Pcapng),
            name => {
                name.parse().map(Self::Single).map_err(|error: UnknownFormat| format!("{error}, har, pcapng"))
            }
        }
    }
}

const WORDS: &str = "words";
const FORMAT: &str = "format";
const KEY_LOG: &str = "key-log";

/// The arguments behind `flowgate export`, behind the program's name.
pub(super) fn split(arguments: &[OsString]) -> Option<Vec<OsString>> {
    first_word(arguments).filter(|(word, _)| *word == "export").map(|(_, arguments)| arguments)
}

pub(super) fn command() -> clap::Command {
    flags::base(TOOL, "flowgate export FILE [FILTER]... [--format FORMAT] [OPTIONS]")
        .about(
            "Print flows of a file as commands or raw messages, safe to paste, or as a HAR file or a capture",
        )
        .arg(
            Arg::new(WORDS)
                .value_name("FILE [FILTER]...")
                .num_args(1..)
                .help("A file of flows (`-` is standard input), and which of them"),
        )
        .arg(
            Arg::new(FORMAT)
                .long(FORMAT)
                .value_name("FORMAT")
                .help("curl (unless given), httpie, raw, raw_request, raw_response, har or pcapng")
                .value_parser(|name: &str| name.parse::<Form>()),
        )
        .arg(
            Arg::new(KEY_LOG)
                .long(KEY_LOG)
                .value_name("FILE")
                .help("Put the TLS secrets of this file (as of SSLKEYLOGFILE) into the capture"),
        )
}

pub(super) fn read(matches: &ArgMatches) -> Result<Export, CliError> {
    let mut words = matches.get_many::<String>(WORDS).into_iter().flatten().cloned();
    let missing = CliError::Incomplete {
        what: "`flowgate export` needs a file of flows",
        example: "flowgate export FILE ~d example.com",
    };
    let file = words.next().ok_or(missing)?;
    let filter = words.collect::<Vec<_>>().join(" ");
    let form = matches.get_one::<Form>(FORMAT).copied().unwrap_or(Form::Single(ExportFormat::Curl));
    let key_log = matches.get_one::<String>(KEY_LOG).cloned();
    Ok(Export { file, filter: (!filter.is_empty()).then_some(filter), form, key_log })
}
