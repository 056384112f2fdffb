//! The filter language: which flows somebody means.
//!
//! `~d example\.com & !~c 200` is read by [`Filter::parse`] into a tree ([`Expr`]) and asked of a flow by
//! [`Filter::matches`]. The language is mitmproxy's (12.2) with its operators, precedence, quoting and letter case;
//! `docs/reference/filters.md` says where it differs, and is written from the table [`OPERATORS`].
//!
//! Not here: decoding of bodies, which a [`BodyDecoder`] does for us; searching a store, which reads the tree.
//!
//! Invariant: whatever stands in a filter or a flow, reading and asking neither panic nor recurse without bound
//! ([`limits`]).
//!
//! ```
//! use flowgate_filter::{Case, Filter};
//!
//! let error = Filter::parse("a ~uu b", Case::Ignored).expect_err("there is no such operator");
//! assert_eq!(error.to_string(), "unknown operator ~uu at column 3; did you mean ~u?");
//! ```
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod filter;

mod expr;
mod operators;

mod parse;
mod scan;

mod error;
pub mod limits;

mod body;
mod evaluate;
pub mod facts;
mod python_text;

mod reference;

pub use body::{BodyDecoder, NoDecoding};
pub use error::{FilterError, FilterFault};
pub use evaluate::Answer;
pub use expr::{Bounds, Expr, Fact, Half, Kind, Status, Test};
pub use filter::{Case, Filter};
pub use operators::{Argument, OPERATORS, Operator};
pub use reference::reference_markdown;
