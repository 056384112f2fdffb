//! The chores of this repository as functions, so that tests can call them too.
//!
//! Not part of the product: nothing depends on this crate, and it depends on none of ours.
#![forbid(unsafe_code)]

pub mod ci;
pub mod report;
pub mod test;
pub mod tidy;
pub mod workspace;

mod acceptance;
mod command;
mod fuzz;
mod kosoku;
mod mitmproxy;
mod python_env;
mod tools;
