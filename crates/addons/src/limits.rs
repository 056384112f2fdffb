//! Bounds of features, each with its unit. What a user can set is an option; these are not.

use std::time::Duration;

/// How many backtracking steps one search of a feature may take, where a pattern needs backtracking at all.
pub const SEARCH_STEPS_MAX: usize = 1_000_000;
/// The longest file that stands in the place of something (`@path`), in bytes.
pub const REPLACEMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The longest URL that `map_remote` makes, in bytes.
pub const MAPPED_URL_BYTES_MAX: usize = 64 * 1024;
/// How far a pattern of `modify_body` may reach from where it is found, in bytes, if bodies are to be changed while they cross; beyond
/// that they are held.
pub const REACH_BYTES_MAX: usize = 4 * 1024;
/// Up to how many bytes of a file `map_local` reads at once; a longer one is read while it is sent.
pub const LOCAL_FILE_READ_BYTES: u64 = 1024 * 1024;
/// How many cookies `stickycookie` remembers; the oldest make room.
pub const COOKIES_KEPT_MAX: usize = 10_000;
/// The longest cookie that `stickycookie` remembers, name and value together, in bytes.
pub const COOKIE_BYTES_MAX: usize = 16 * 1024;
/// Of how many hosts `stickyauth` remembers what clients said; beyond that no more are learned.
pub const AUTH_HOSTS_KEPT_MAX: usize = 10_000;
/// The longest latency of `faults`.
pub const LATENCY_MAX: Duration = Duration::from_secs(3600);
