//! The ways out: the built program in front of upstream proxies that are scripted, that are real, and that are itself.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peers;
mod rules;
mod scripted;
mod support;
