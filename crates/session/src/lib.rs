//! One run of the program: options put into effect, the proxy started and stopped, flows saved and read back.
//!
//! Front ends stand on this crate; it prints nothing. What starts is started whole or not at all.
#![forbid(unsafe_code)]

mod session;
mod settings;
mod tls;

mod client_replay;
mod configuration;
mod login_file;
mod memory;
mod rule_files;
mod settling;
mod tls_files;
mod watch;

mod flow_queue;
mod saver;
// What the saver saves to.
mod flow_file;
mod flow_store;
mod har_file;
mod indexing;
mod stream_file;
mod temporary_store;

// Files that are written at one go.
mod file_form;
mod new_file;

mod filters;
mod flow_source;
mod progress;
mod read;

#[cfg(test)]
mod testing;

pub use flowgate_addons::{Decoding, FeatureError};
pub use flowgate_filter::facts::reason;
pub use flowgate_net::raise_descriptor_limit;
pub use flowgate_store::{Flags, Row, Searched};

pub use client_replay::REPLAYS_MAX;
pub use configuration::{Configuration, ConfigurationError};
pub use file_form::{FileForm, FormWriter, Written};
pub use filters::case_from_env;
pub use flow_file::{Damage, Emptying, FlowFile, FlowFileError};
pub use flow_queue::{FLOWS_WAITING_BYTES_MAX, FlowSender, NoRoom, Room};
pub use flow_source::{FlowSource, Found};
pub use flow_store::{BadRetention, FlowStore, FlowStoreError, retention};
pub use har_file::{HarFile, HarFileError, Spool};
pub use indexing::RetentionControl;
pub use new_file::{Existing, NewFile, NewFileError};
pub use progress::Progress;
pub use read::{ReadFlowsError, read_flows, read_flows_with};
pub use rule_files::{LIST_FILE_BYTES_MAX, RULE_FILE_BYTES_MAX, RuleFiles, RuleFilesError, read_bounded};
pub use saver::{FLOWS_BATCH_MAX, Saver, Sink};
pub use session::{Session, SessionError};
pub use settings::sources;
pub use stream_file::StreamFile;
pub use watch::WATCH_INTERVAL;
