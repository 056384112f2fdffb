//! Checks: assertions over flows, for tests and CI.
//!
//! A file of checks ([`Checks::parse`]) says what must hold of the flows of a run: no call outside a list of hosts, no
//! credentials to strangers, an endpoint called at most so often, statuses, durations, bodies that fit a schema. Flows are
//! handed to a [`Tally`], one by one or as a whole store, which gives a [`Report`]; that is written for people, as JUnit XML and as SARIF.
//!
//! Not here: what is opened to get flows (a file, a store, a proxy that runs), printing, exit codes.
//!
//! Invariant: what a tally holds is bounded ([`limits`]), however many flows it sees.
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod checks;
mod error;
pub mod limits;
mod text;

mod assertion;
mod durations;
mod groups;
mod schema;

mod report;
mod tally;

mod human;
mod junit;
mod sarif;

pub use checks::{Checks, Judgement, Search};
pub use error::{CheckError, CheckProblem};
pub use human::human;
pub use junit::junit;
pub use report::{CheckReport, FlowRef, Outcome, Report, Severity, Violation};
pub use sarif::sarif;
pub use schema::{SchemaReadError, SchemaReader};
pub use tally::Tally;
