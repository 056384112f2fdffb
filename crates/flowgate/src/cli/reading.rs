//! `flowgate flows`, `show`, `diff`, `export` and `convert`: the flags of a proxy, of which they use a few, and what is to be read.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches};

use super::error::CliError;
use super::export::{self, Export};
use super::flags;
use super::query::TOOL;
use super::tool::first_word;

/// What is to be read from recorded flows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reading {
    /// A list of flows.
    Flows {
        /// Which of them.
        filter: Option<String>,
        /// As JSON.
        json: bool,
        /// Go on as flows come.
        follow: bool,
    },
    /// One flow.
    Show {
        /// How its id begins.
        id: String,
    },
    /// What differs between two flows.
    Diff {
        /// How the id of the one begins.
        one: String,
        /// And that of the other.
        other: String,
    },
    /// Flows in another form.
    Export(Export),
    /// Flows from one place to another.
    Convert(Conversion),
}

/// Flows from one place to another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Conversion {
    /// A store or a file.
    pub(crate) from: String,
    /// Likewise; the ending of its name says which.
    pub(crate) to: String,
    /// Which of them.
    pub(crate) filter: Option<String>,
    /// A file of TLS secrets that goes into a capture.
    pub(crate) key_log: Option<String>,
    /// A file that is there gives way.
    pub(crate) overwrite: bool,
}

/// The readers by name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Flows,
    Show,
    Diff,
    Export,
    Convert,
}

const WORDS: &str = "words";
const JSON: &str = "json";
const FOLLOW: &str = "follow";

/// The reader that a command line asks for, and the arguments that are left behind the program's name.
pub(super) fn split(arguments: &[OsString]) -> Option<(Kind, Vec<OsString>)> {
    let (word, arguments) = first_word(arguments)?;
    let kind = match word {
        "flows" => Kind::Flows,
        "show" => Kind::Show,
        "diff" => Kind::Diff,
        "export" => Kind::Export,
        "convert" => Kind::Convert,
        _ => return None,
    };
    Some((kind, arguments))
}

pub(super) fn command(kind: Kind) -> clap::Command {
    let switch =
        |id: &'static str, help: &'static str| Arg::new(id).long(id).action(ArgAction::SetTrue).help(help);
    let words = |name: &'static str, help: &'static str| {
        Arg::new(WORDS).value_name(name).num_args(0..).action(ArgAction::Append).help(help)
    };
    let (usage, about) = match kind {
        Kind::Flows => (
            "flowgate flows (--store FOLDER | -r FILE) [--json] [--follow] [FILTER]...",
            "List recorded flows, oldest first",
        ),
        Kind::Show => ("flowgate show (--store FOLDER | -r FILE) ID", "Print one recorded flow"),
        Kind::Diff => (
            "flowgate diff (--store FOLDER | -r FILE) ID ID",
            "Print what differs between two recorded flows; exits with 1 if anything does, 2 if it cannot tell",
        ),
        Kind::Export => return export::command(),
        Kind::Convert => (
            "flowgate convert FROM TO [FILTER]... [--overwrite] [--key-log FILE]",
            "Copy flows from a store or a file to another, in the form that the ending of its name says",
        ),
    };
    let command = flags::base(TOOL, usage).about(about);
    match kind {
        Kind::Flows => command
            .arg(switch(JSON, "One JSON object for each flow, on a line of its own"))
            .arg(switch(FOLLOW, "Go on with flows that are added to the store"))
            .arg(words("FILTER", "Filter expression: only flows that match are listed")),
        Kind::Show => command.arg(words("ID", "How the flow's id begins")),
        Kind::Diff => command.arg(words("ID", "How the two flows' ids begin")),
        Kind::Export => command,
        Kind::Convert => command
            .arg(words(
                "FROM TO",
                "A store's folder or a file (`-` is standard input); a flow file (`.flows`, `.mitm`), HAR (`.har`, \
                 `.zhar`), a capture (`.pcapng`) or a store (`.store`)",
            ))
            .arg(export::overwrite())
            .arg(export::key_log()),
    }
}

pub(super) fn read(kind: Kind, matches: &ArgMatches) -> Result<Reading, CliError> {
    let mut words = matches.get_many::<String>(WORDS).into_iter().flatten().cloned();
    let missing = |what, example| CliError::Incomplete { what, example };
    // What follows is one filter, as for `dump`.
    let rest = |words: &mut dyn Iterator<Item = String>| {
        let text = words.collect::<Vec<_>>().join(" ");
        (!text.is_empty()).then_some(text)
    };
    let reading = match kind {
        Kind::Flows => Reading::Flows {
            filter: rest(&mut words),
            json: matches.get_flag(JSON),
            follow: matches.get_flag(FOLLOW),
        },
        Kind::Show => {
            let missing =
                || missing("`flowgate show` needs the id of a flow", "flowgate show -r FILE 3fa94c1e");
            Reading::Show { id: words.next().ok_or_else(missing)? }
        }
        Kind::Diff => {
            let missing = || {
                missing("`flowgate diff` needs the ids of two flows", "flowgate diff -r FILE 3fa94c1e 07bd")
            };
            Reading::Diff { one: words.next().ok_or_else(missing)?, other: words.next().ok_or_else(missing)? }
        }
        Kind::Export => return Ok(Reading::Export(export::read(matches))),
        Kind::Convert => {
            let missing = || {
                missing(
                    "`flowgate convert` needs to know from where and to where",
                    "flowgate convert old.flows new.store",
                )
            };
            Reading::Convert(Conversion {
                from: words.next().ok_or_else(missing)?,
                to: words.next().ok_or_else(missing)?,
                filter: rest(&mut words),
                key_log: matches.get_one::<String>(export::KEY_LOG).cloned(),
                overwrite: matches.get_flag(export::OVERWRITE),
            })
        }
    };
    match words.next() {
        Some(word) => Err(CliError::UnexpectedWord { word }),
        None => Ok(reading),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Reading, String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let (kind, words) = split(&words).ok_or("not a reader")?;
        let matches = command(kind).try_get_matches_from(words).map_err(|error| error.to_string())?;
        read(kind, &matches).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_to_be_read() {
        let flows = |filter: Option<&str>, json, follow| {
            Ok(Reading::Flows { filter: filter.map(str::to_owned), json, follow })
        };
        assert_eq!(parse("flowgate flows"), flows(None, false, false));
        assert_eq!(
            parse("flowgate flows --json -r a ~d b & ~c 5xx"),
            flows(Some("~d b & ~c 5xx"), true, false)
        );
        assert_eq!(parse("flowgate flows ~d b --follow --store a"), flows(Some("~d b"), false, true));
        assert_eq!(parse("flowgate show 3f"), Ok(Reading::Show { id: "3f".into() }));
        assert_eq!(parse("flowgate diff 3f 4"), Ok(Reading::Diff { one: "3f".into(), other: "4".into() }));
        let convert = |filter: Option<&str>| {
            Ok(Reading::Convert(Conversion {
                from: "a".into(),
                to: "b".into(),
                filter: filter.map(str::to_owned),
                key_log: None,
                overwrite: false,
            }))
        };
        assert_eq!(parse("flowgate convert a b"), convert(None));
        assert_eq!(parse("flowgate convert a b ~d c"), convert(Some("~d c")));
        assert_eq!(parse("mitmdump flows"), Err("not a reader".into()));
        assert_eq!(parse("flowgate show"), Err("`flowgate show` needs the id of a flow".into()));
        assert_eq!(parse("flowgate diff a"), Err("`flowgate diff` needs the ids of two flows".into()));
        assert_eq!(parse("flowgate diff a b c"), Err("unexpected argument `c`".into()));
        assert_eq!(
            parse("flowgate convert a"),
            Err("`flowgate convert` needs to know from where and to where".into())
        );
    }
}
