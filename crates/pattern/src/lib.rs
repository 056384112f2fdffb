//! Regular expressions in the dialect of Python's `re`, on the Rust engines.
//!
//! [`parse()`] reads a pattern as Python does and refuses what Python refuses, in its words; [`syntax`] is the tree and how
//! it is spelled for the engines; [`Regex`] is one pattern that can be searched for in text or bytes. Host patterns
//! (`flowgate-policy`) build sets of their own from the tree. Who has to know where something is found takes a [`Finder`],
//! and who replaces it writes a [`Template`].
//!
//! Not a general translation of `re`: only what somebody uses. Pure: no file, clock or runtime.
//!
//! Invariant: a pattern compiles or is refused at once. While searching only the step limit can fail, and that is an
//! outcome of its own ([`Found::GaveUp`]).
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod regex;

mod finder;
mod stream;
mod template;

mod parse;
pub mod syntax;

mod escape;
mod fault;
mod one_line;

pub use fault::Fault;
pub use finder::{Finder, GaveUp, Spans};
pub use one_line::OneLine;
pub use parse::{Flavour, GROUP_DEPTH_MAX, Parsed, parse};
pub use regex::{Found, Regex, RegexError, Search, backtracking};
pub use stream::StreamReplacer;
pub use template::{Template, TemplateError, TemplateFault, unescape};
