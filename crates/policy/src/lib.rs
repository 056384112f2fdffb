//! Who is decrypted, passed through, recorded raw or refused, and why.
//!
//! Pure: facts in, a verdict with its reason out; no socket, file, clock or runtime. This is the only crate that may
//! make that decision (for every mode and every transport), and it makes it in one function, [`decide()`].
//!
//! ```
//! use flowgate_flow::Address;
//! use flowgate_policy::{Action, Decision, Facts, Rules, RulesSource, decide};
//!
//! let rules = Rules::compile(&RulesSource {
//!     ignore_hosts: vec![r"^(.+\.)?bank\.test:443$".to_owned()],
//!     ..RulesSource::default()
//! })?;
//! let destination = Address { host: "api.bank.test".to_owned(), port: 443 };
//! let facts = Facts { destination: Some(&destination), ..Facts::default() };
//! let Decision::Verdict(verdict) = decide(&rules, &facts) else { unreachable!("known before any byte") };
//! assert_eq!(verdict.action, Action::PassThrough);
//! assert_eq!(
//!     verdict.reason.to_string(),
//!     r"pass through: ignore_hosts[0] /^(.+\.)?bank\.test:443$/ matched api.bank.test:443 (destination)",
//! );
//! # Ok::<(), flowgate_policy::RulesError>(())
//! ```
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod decide;
mod facts;
mod verdict;

mod considered;
mod lint;

mod rule;
mod rules;

mod candidates;
mod glob;
mod host_set;
mod name_set;
mod network;
mod pattern;

pub use candidates::{FactKind, HOST_BYTES_MAX};
pub use considered::considered;
pub use decide::{Egress, decide, egress};
pub use facts::{Entry, Expect, Fact, Facts, FirstBytes, Needs, Process};
pub use host_set::{HostSet, HostWordFault};
pub use lint::{Lint, Warning, lint};
pub use name_set::{NameSet, NameSetBuilder, Reach};
pub use network::NetworkFault;
pub use pattern::{Fault, Never, Pattern, PatternError, STEPS_MAX};
pub use rule::{Rule, RuleError, RuleFault, RuleHit, RuleListSource};
pub use rules::{BrokenHello, Ech, HostOption, Rules, RulesError, RulesSource};
pub use verdict::{Action, Decision, Exemption, Hit, Next, PatternId, Reason, Verdict, Why};
