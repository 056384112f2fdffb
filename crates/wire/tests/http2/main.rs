//! HTTP/2 connections: what each frame does in each state, floods, flow control, and our two ends talking to each other.
#![expect(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod floods;
mod flow;
mod interop;
mod pair;
mod rules;
mod shutdown;
mod support;
