//! One run of the program: options put into effect, the proxy started and stopped, flows saved and read back.
//!
//! Front ends stand on this crate; it prints nothing. What starts is started whole or not at all.
#![forbid(unsafe_code)]

mod session;
mod settings;

mod flow_file;
mod read;

pub use flowgate_net::raise_descriptor_limit;

pub use flow_file::{Emptying, FlowFile, FlowFileError, Saver};
pub use read::{ReadFlowsError, read_flows};
pub use session::{Session, SessionError};
