//! The one table of options and the languages that fill it: command line values, `--set`, `config.yaml`, mode specs.
//!
//! Text in, values out: this crate knows no file, socket, clock or runtime. [`registry::OPTIONS`] is the only place
//! where an option is declared; the command line, the config file, `--options`, the option editors and the reference
//! page all read it. Invariant: a value that was refused changes nothing, and a value from a weaker [`Source`] never
//! replaces one from a stronger source, in whatever order they come.
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

// What an option is.
mod kind;
mod mitmproxy_names;
pub mod registry;
mod table;
mod value;
// The types of single values.
mod choices;
mod concurrency;
mod credentials;
mod egress_spec;
mod login_spec;
pub mod mode_spec;
mod name_server;
mod path;
mod resolve_spec;
pub mod server_spec;
mod size;
// Many values together, each with the place it came from.
mod options;
// The languages that bring values in ...
mod assignment;
mod config;
mod error;
mod name_list;
mod places;
mod rule_file;
mod rule_reader;
mod rule_text;
// ... and the pages that show them.
mod compatibility;
mod defaults;
mod reference;

pub use assignment::{Assignment, parse_assignments};
pub use choices::{
    ConnectionStrategy, ContentView, HiddenHello, Level, MalformedHello, ServerReplayExtra, TlsVersion,
};
pub use compatibility::compatibility_markdown;
pub use concurrency::Concurrency;
pub use config::{ConfigError, ConfigProblem, parse_config};
pub use credentials::{Credentials, Passphrase};
pub use defaults::defaults_yaml;
pub use egress_spec::{EgressSpec, EgressSpecError};
pub use error::{OptionError, ValueError};
pub use kind::Kind;
pub use login_spec::{LdapSpec, LoginSpec, LoginSpecError};
pub use name_list::{BAD_LINES_TOLD_MAX, BadLine, ListReport, ListedName, parse_list};
pub use name_server::{NameServerError, NameServers};
pub use options::{Change, Options, Source};
pub use path::{Directory, expand_home};
pub use places::{Place, Places, place_in_option};
pub use reference::reference_markdown;
pub use resolve_spec::{ResolveSpec, ResolveSpecError};
pub use rule_file::{RuleFileError, RuleFileProblem, parse_rules};
pub use rule_text::{ConditionKind, ConditionText, RuleAction, RuleSource, RuleText, Word};
pub use size::Size;
pub use table::Values;
pub use value::Value;
