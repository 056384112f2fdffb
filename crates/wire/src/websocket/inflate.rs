//! Inflating the messages of one direction (RFC 7692 section 7.2.2).
//!
//! All of a message is inflated, also what is too long to be kept: with context takeover the messages behind it refer to
//! it. So that a few bytes cannot keep us busy, that ends at a limit.
//!
//! A message that refers to what was never sent is not noticed by the library: zeros stand in the content where its receiver
//! will have failed.

use flate2::{Decompress, Status};

use super::fault::Fault;
use super::prefix::Prefix;
use crate::limits::WEBSOCKET_INFLATED_BYTES_MAX;

/// What a sender leaves off at the end of each message.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Inflates message after message.
#[derive(Debug)]
pub(super) struct Inflater {
    context_takeover: bool,
    /// Some 40 KiB: there only while a message is read or its context is needed.
    stream: Option<Box<Decompress>>,
    /// Nothing was fed since the message, or a final block in it, so that the tail is not missing.
    at_boundary: bool,
    inflated: u64,
}

impl Inflater {
    pub(super) const fn new(context_takeover: bool) -> Self {
        Self { context_takeover, stream: None, at_boundary: true, inflated: 0 }
    }

    /// A piece of a message.
    pub(super) fn push(&mut self, input: &[u8], out: &mut Prefix) -> Result<(), Fault> {
        if input.is_empty() {
            return Ok(());
        }
        self.at_boundary = false;
        self.feed(input, out)
    }

    /// The message's end; another may follow.
    pub(super) fn finish(&mut self, out: &mut Prefix) -> Result<(), Fault> {
        if !self.at_boundary {
            self.feed(&TAIL, out)?;
        }
        self.at_boundary = true;
        self.inflated = 0;
        if !self.context_takeover {
            self.stream = None;
        }
        Ok(())
    }

    fn feed(&mut self, mut input: &[u8], out: &mut Prefix) -> Result<(), Fault> {
        let stream = self.stream.get_or_insert_with(|| Box::new(Decompress::new(false)));
        loop {
            let step = out.inflate(stream, input).ok_or(Fault::Inflate)?;
            self.inflated += step.produced;
            if self.inflated > WEBSOCKET_INFLATED_BYTES_MAX {
                return Err(Fault::InflatedTooLong);
            }
            input = input.get(step.consumed..).unwrap_or_default();
            match step.status {
                // A final block, which section 7.2.3.4 lets a sender use. One that ends its stream has lost its window, so
                // what follows cannot refer to anything.
                Status::StreamEnd => {
                    stream.reset(false);
                    if input.is_empty() {
                        self.at_boundary = true;
                        return Ok(());
                    }
                }
                _ if input.is_empty() && !step.filled => return Ok(()),
                _ if step.consumed == 0 && step.produced == 0 => {
                    return if input.is_empty() { Ok(()) } else { Err(Fault::Inflate) };
                }
                _ => {}
            }
        }
    }
}
