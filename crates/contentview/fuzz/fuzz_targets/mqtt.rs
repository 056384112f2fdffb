//! The view `mqtt`: any body is shown within the limits, and harmless.
#![no_main]

#[path = "../common.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| common::check(flowgate_contentview::View::Mqtt, data));
