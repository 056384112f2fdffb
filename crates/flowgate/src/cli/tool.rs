//! The tools, and how a command line chooses one: by the program's name or the first word.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use flowgate_options::registry::Tools;

use super::error::CliError;

/// One of flowgate's tools.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tool {
    /// The terminal interface (`mitmproxy`).
    Console,
    /// Lines on standard output (`mitmdump`).
    Dump,
    /// The browser interface (`mitmweb`).
    Web,
}

impl Tool {
    /// How the tool is started.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Console => "flowgate",
            Self::Dump => "flowgate dump",
            Self::Web => "flowgate web",
        }
    }

    /// The tool as the registry of options knows it.
    pub(crate) fn option_set(self) -> Tools {
        match self {
            Self::Console => Tools::CONSOLE,
            Self::Dump => Tools::DUMP,
            Self::Web => Tools::WEB,
        }
    }

    pub(super) fn check_runs(self) -> Result<(), CliError> {
        match self {
            Self::Dump => Ok(()),
            Self::Console | Self::Web => Err(CliError::ToolLater { tool: self }),
        }
    }
}

/// The first word, for those that are no tools, and the arguments that are left behind the program's name. Under mitmproxy's names
/// the first word is a filter.
pub(super) fn first_word(arguments: &[OsString]) -> Option<(&str, Vec<OsString>)> {
    let (program, rest) = arguments.split_first()?;
    let (word, rest) = rest.split_first()?;
    let stem = Path::new(program).file_stem()?.to_str()?;
    let arguments = || std::iter::once(program).chain(rest).cloned().collect();
    (!stem.starts_with("mitm")).then(|| word.to_str().map(|word| (word, arguments()))).flatten()
}

/// The tool, the words that started it (for usage lines), and the arguments that are left, behind a program name.
pub(super) fn split(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(Tool, String, Vec<OsString>), CliError> {
    let mut arguments = arguments.into_iter().peekable();
    let program = arguments.next().unwrap_or_default();
    let stem = Path::new(&program).file_stem().and_then(OsStr::to_str).unwrap_or_default();
    let (tool, words) = match stem {
        "mitmdump" => (Tool::Dump, stem.to_owned()),
        "mitmproxy" => (Tool::Console, stem.to_owned()),
        "mitmweb" => (Tool::Web, stem.to_owned()),
        _ => {
            let tool = command_word(arguments.peek().map(OsString::as_os_str))?;
            if tool != Tool::Console {
                arguments.next();
            }
            (tool, tool.name().to_owned())
        }
    };
    Ok((tool, words, std::iter::once(program).chain(arguments).collect()))
}

fn command_word(word: Option<&OsStr>) -> Result<Tool, CliError> {
    let Some(word) = word.filter(|word| !word.as_encoded_bytes().starts_with(b"-")) else {
        return Ok(Tool::Console);
    };
    match word.to_str() {
        Some("dump") => Ok(Tool::Dump),
        Some("web") => Ok(Tool::Web),
        _ => Err(CliError::UnknownCommand { word: word.to_string_lossy().into_owned() }),
    }
}
