//! Fixtures for end-to-end tests: real servers, real clients, and the real binary between them.
//!
//! Not a mock library and not for production code: it may only be a dev-dependency (`cargo xtask tidy` checks that), and
//! a fixture that cannot do its work panics, which is how a test fails. Four rules hold for all of them: no fixed ports,
//! no sleeping (readiness is read from what a program prints, or from a connection), every file under a temporary folder
//! that goes on drop, and no process outlives the test, not even one that was killed.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a fixture fails a test by panicking, with a message that says what was missing"
)]

mod ca;
mod chromium;
mod curl;
mod flowgate;
mod h2load;
mod name_server;
mod need;
mod nginx;
mod process;
mod quic;
mod raw_server;
mod slapd;
mod small_disk;
mod squid;
mod trust;

pub use ca::{Leaf, TestCa};
pub use chromium::Chromium;
pub use curl::{Curl, Reply};
pub use flowgate::{Flowgate, FlowgateBuilder, PATIENCE};
pub use h2load::{H2load, Load};
pub use name_server::{Data, NameServer, Question, Says};
pub use need::{kosoku_python, mitmproxy_python, require};
pub use nginx::{AccessEntry, Nginx, NginxBuilder, pattern};
pub use process::{Line, Output, Process, Signal, StreamName};
pub use quic::QuicHello;
pub use raw_server::{RawConnection, RawRecord, RawServer};
pub use slapd::Slapd;
pub use small_disk::SmallDisk;
pub use squid::Squid;
pub use trust::client_config;
