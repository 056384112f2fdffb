//! Bounds of checking who somebody is, each with its unit.

use std::time::Duration;

/// The longest htpasswd file, in bytes.
pub const HTPASSWD_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The highest cost of a bcrypt hash, as `htpasswd` writes at most: each step doubles the time, and 17 takes seconds.
pub const BCRYPT_COST_MAX: u32 = 17;
/// The most rounds of a SHA-2 crypt hash; so many take about as long.
pub const SHA_CRYPT_ROUNDS_MAX: u32 = 10_000_000;
/// How many passwords are checked at the same time; others wait.
pub const CHECKS_MAX: usize = 4;
/// How long one may wait to be checked, and a directory may take for it.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(10);
/// How many names with their passwords are remembered as right; then all are forgotten.
pub const VERIFIED_KEPT_MAX: usize = 1_000;
/// How long what a directory said is remembered.
pub const LDAP_TRUST_TIME: Duration = Duration::from_secs(60);
