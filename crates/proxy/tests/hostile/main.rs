//! Hostile peers by name: tables of what they send (`tests/data`), and what has to come of each row, on real sockets
//! through one proxy. A new case is a new line in a table.
//!
//! What is asked of every row: no desync (the server reads the requests that the client was answered, and no other), no hang,
//! and whatever is refused is a flow with its raw bytes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod fixture;
mod table;

mod failures;
mod isolation;
mod only_http2;
mod replies;
mod requests;
