//! End-to-end tests of the real binary, by subject: real clients and servers around it, or raw sockets where they would
//! not say what is to be said.
//!
//! One program and not one per file, so that it is linked once. `cargo test -p flowgate --test e2e heads::` runs one
//! subject. A test that needs a program that is not installed says so and passes (see `flowgate_testkit::require`).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod support;

mod versions;

mod bodies;
mod connections;
mod live_messages;

mod har;
mod heads;
mod smuggling;

mod certificates;
mod distrust;
mod exemptions;
mod hidden;
mod known_names;
mod kosoku;
mod name_servers;
mod pass_through;
mod tls_options;
mod tunnels;
mod websockets;

mod datagrams;

mod client_replay;
mod differential;
mod faults;
mod feature_matrix;
mod features;
mod onboarding;
mod proxyauth;

mod output;
mod startup;

mod flow_files;
mod reload;
mod shutdown;
mod store;

mod clients;
mod robustness;
