//! Why a command line cannot be run, each with what to write instead when that is known.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use flowgate_options::OptionError;
use flowgate_session::ConfigurationError;

use super::migration::UnknownFlag;
use super::tool::Tool;

/// Why a command line cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CliError {
    /// The first word is no command.
    #[error("`{word}` is not a command of flowgate")]
    UnknownCommand { word: String },
    /// The console and the web interface.
    #[error("{} is not there yet", match tool {
        Tool::Console => "the terminal interface (`flowgate`, as `mitmproxy`)",
        Tool::Dump => "`flowgate dump`",
        Tool::Web => "the browser interface (`flowgate web`, as `mitmweb`)",
    })]
    ToolLater { tool: Tool },
    /// A flag flowgate does not have.
    #[error(transparent)]
    UnknownFlag(UnknownFlag),
    /// A word where only flags may stand.
    #[error("unexpected argument `{word}`")]
    UnexpectedWord { word: String },
    /// A flag at the end of the line, or before another flag, that needs a value.
    #[error("flag `{flag}` needs a value")]
    ValueMissing { flag: String },
    /// A switch with `=value`.
    #[error("flag `{flag}` takes no value, but was given `{value}`")]
    ValueUnexpected { flag: String, value: String },
    /// Both sides of a switch.
    #[error("flags `{one}` and `{other}` exclude each other")]
    Conflict { one: String, other: String },
    /// An argument that is not text.
    #[error("an argument is not valid UTF-8")]
    NotText,
    /// Anything else the command line reader refuses.
    #[error("{message}")]
    Refused { message: String },
    /// A name or a value of an option.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// Config files that cannot be used, or options that do not fit each other.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// `flowgate why` without a host.
    #[error("`flowgate why` needs a host to ask about")]
    NoDestination,
    /// A command without what it works on.
    #[error("{what}")]
    Incomplete { what: &'static str, example: &'static str },
    /// Not a host with a port.
    #[error("expected HOST or HOST:PORT, found `{text}`")]
    BadDestination { text: String },
    /// A flag that takes an address.
    #[error("flag `--{flag}`: expected an IP address, found `{text}`")]
    NotAddress { flag: &'static str, text: String },
    /// `~` has no meaning.
    #[error("`~` in option `confdir` cannot be resolved: this user has no home directory")]
    NoHome,
}

impl CliError {
    /// The next step for the user, when there is one to name.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::UnknownCommand { .. } | Self::ToolLater { .. } => "use `flowgate dump`",
            Self::UnknownFlag(flag) => return flag.hint(),
            Self::ValueMissing { .. } => {
                "a value that starts with `-` is written behind a `=`: `--flag=-value`"
            }
            Self::Option(error) => return error.hint(),
            Self::Configuration(error) => return error.hint(),
            Self::NoDestination | Self::BadDestination { .. } => "as in `flowgate why bank.example:443`",
            Self::Incomplete { example, .. } => return Some(format!("as in `{example}`")),
            Self::NoHome => "name a directory: `--set confdir=PATH`",
            Self::NotAddress { .. }
            | Self::UnexpectedWord { .. }
            | Self::ValueUnexpected { .. }
            | Self::Conflict { .. }
            | Self::NotText
            | Self::Refused { .. } => return None,
        };
        Some(hint.into())
    }

    /// clap's error in our words.
    pub(super) fn from_clap(error: &clap::Error) -> Self {
        let context = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.clone()),
            Some(ContextValue::Strings(texts)) => texts.first().cloned(),
            _ => None,
        };
        let flag = context(ContextKind::InvalidArg).unwrap_or_default();
        match error.kind() {
            ErrorKind::UnknownArgument if flag.starts_with('-') => Self::UnknownFlag(UnknownFlag::new(flag)),
            ErrorKind::UnknownArgument => Self::UnexpectedWord { word: flag },
            ErrorKind::InvalidValue | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
                Self::ValueMissing { flag: without_metavar(&flag) }
            }
            ErrorKind::TooManyValues => Self::ValueUnexpected {
                flag: without_metavar(&flag),
                value: context(ContextKind::InvalidValue).unwrap_or_default(),
            },
            ErrorKind::ArgumentConflict => Self::Conflict {
                one: without_metavar(&flag),
                other: without_metavar(&context(ContextKind::PriorArg).unwrap_or_default()),
            },
            ErrorKind::InvalidUtf8 => Self::NotText,
            _ => {
                let text = error.to_string();
                let line = text.lines().next().unwrap_or_default();
                Self::Refused { message: line.trim_start_matches("error: ").into() }
            }
        }
    }
}

/// `--flag <VALUE>` as `--flag`.
fn without_metavar(flag: &str) -> String {
    flag.split(' ').next().unwrap_or_default().into()
}
