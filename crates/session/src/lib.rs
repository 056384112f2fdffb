//! One run of the program: options put into effect, the proxy started and stopped, flows saved and read back.
//!
//! Front ends stand on this crate; it prints nothing. What starts is started whole or not at all.
#![forbid(unsafe_code)]

mod session;
mod settings;

mod configuration;
mod rule_files;
mod stamp;
mod watch;

mod filters;
mod flow_file;
mod read;

pub use flowgate_net::raise_descriptor_limit;

pub use configuration::{Configuration, ConfigurationError};
pub use filters::{Decoding, case_from_env};
pub use flow_file::{Emptying, FlowFile, FlowFileError, Saver};
pub use read::{ReadFlowsError, read_flows};
pub use rule_files::{LIST_FILE_BYTES_MAX, RULE_FILE_BYTES_MAX, RuleFiles, RuleFilesError};
pub use session::{Session, SessionError};
pub use settings::sources;
pub use watch::WATCH_INTERVAL;
