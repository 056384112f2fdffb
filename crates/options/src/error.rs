//! Why an option was refused: which one, what was expected, what came.
//!
//! Every message is one line and says what it needs to by itself; [`OptionError::hint`] adds the next step when there
//! is one. Front ends print it as a `hint:` line.

use crate::kind::Kind;
use crate::login_spec::LoginSpecError;
use crate::mode_spec::ModeSpecError;
use crate::name_server::NameServerError;
use crate::resolve_spec::ResolveSpecError;
use crate::value::quoted;

/// Why an option could not be set.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// No option has this name, here or in mitmproxy.
    #[error("{} is not an option", quoted(name))]
    Unknown {
        /// The name as given.
        name: String,
        /// The option that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// mitmproxy has an option of this name, flowgate does not.
    #[error("`{name}` is an option of mitmproxy that flowgate does not have yet")]
    NotYet {
        /// The option's name.
        name: &'static str,
    },
    /// Several values for an option that holds one.
    #[error("option `{name}` holds one value but was given {times}")]
    Repeated {
        /// The option's name.
        name: &'static str,
        /// How many values were given.
        times: usize,
    },
    /// The value does not fit the option.
    #[error("option `{name}`: {problem}")]
    Value {
        /// The option's name.
        name: &'static str,
        /// What is wrong with the value.
        problem: ValueError,
    },
    /// An option means nothing without another.
    #[error("option `{name}` needs `{needed}`, which is off")]
    Needs {
        /// The option that is on.
        name: &'static str,
        /// The option that is off.
        needed: &'static str,
    },
    /// Two modes would listen on one address.
    #[error("option `mode`: {first} and {second} would listen on the same address")]
    SameAddress {
        /// One mode, as given.
        first: String,
        /// The other mode, as given.
        second: String,
    },
    /// Clients of a mode cannot be asked who they are.
    #[error("option `proxyauth`: clients of mode {mode} cannot be asked who they are")]
    CannotAsk {
        /// The mode, as given.
        mode: String,
    },
}

impl OptionError {
    /// The next step for the user, when there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { suggestion: Some(name), .. } => Some(format!("did you mean `{name}`?")),
            Self::Unknown { .. } => Some("`--options` lists every option".into()),
            Self::Value { problem, .. } => problem.hint(),
            Self::SameAddress { .. } => Some("give one of them another port: `--mode regular@9090`".into()),
            Self::CannotAsk { .. } => {
                Some("modes `regular`, `upstream`, `socks5` and `reverse` to http and https can".into())
            }
            Self::NotYet { .. } | Self::Repeated { .. } | Self::Needs { .. } => None,
        }
    }
}

/// Why a value does not fit its option.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Another type, a number out of range, a word that is no choice, text that is no size.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What the option takes.
        expected: Kind,
        /// What came, ready to print.
        found: String,
    },
    /// The option was named without a value and cannot be empty.
    #[error("a value is required")]
    Required,
    /// An empty entry in a list. As a pattern it would match everything, which nobody means.
    #[error("a list entry is empty")]
    EmptyEntry,
    /// Nothing would ever happen.
    #[error("expected a number from 1 on, or -1 for no limit, found 0")]
    NoneAtATime,
    /// Not an IP address.
    #[error("expected an IP address of this machine, found {}", quoted(found))]
    Address {
        /// What came instead.
        found: String,
    },
    /// Not `user:password`, or too long. What came is not shown: it may be a password.
    #[error("expected `user:password`, of at most 255 bytes each")]
    Credentials,
    /// Nothing that says who may use the proxy.
    #[error(transparent)]
    Login(#[from] LoginSpecError),
    /// Not the addresses of a name.
    #[error(transparent)]
    Resolve(#[from] ResolveSpecError),
    /// Not where a name server is.
    #[error(transparent)]
    NameServer(#[from] NameServerError),
    /// Not text. What came is not shown.
    #[error("expected text")]
    Passphrase,
    /// Not a mode specification, or a mode that does not run yet.
    #[error(transparent)]
    Mode(#[from] ModeSpecError),
}

impl ValueError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Expected { expected: Kind::List | Kind::Rules, .. } => {
                Some("a list has one entry per line, each after `- `; put numbers in quotes".into())
            }
            Self::Expected { expected: Kind::Text | Kind::OptText, .. } => {
                Some("put the value in quotes to make it text".into())
            }
            Self::Expected { .. }
            | Self::Required
            | Self::NoneAtATime
            | Self::EmptyEntry
            | Self::Address { .. }
            | Self::Credentials
            | Self::Login(_)
            | Self::Resolve(_) => None,
            Self::NameServer(_) => Some("`10.0.0.53`, `10.0.0.53:5353` and `[fd00::53]:5353` are".into()),
            Self::Passphrase => Some("put the value in quotes to make it text".into()),
            Self::Mode(problem) => problem.hint(),
        }
    }
}
