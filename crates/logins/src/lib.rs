//! Whether somebody is who they say: one name and its password, an htpasswd file, a directory that is asked by LDAP.
//!
//! Read [`Logins`] first. Checking a password is made to be slow, so it happens off the runtime, few at a time, within a
//! deadline, and what was right is remembered by a digest that is of no use elsewhere. Passwords are compared in constant time, and
//! appear in no message.
//!
//! Not here: how a client says who it is (`flowgate-wire`, and the addon `proxyauth`).
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod logins;
mod verified;

mod apr1;
mod hash;
mod htpasswd;

mod ldap;

mod error;
pub mod limits;

pub use error::{LineFault, LoginsError};
pub use ldap::LdapFailure;
pub use logins::{Answer, Logins, Unanswered};
