//! The named limits of look-ups of names, and of moving bytes.

use std::time::Duration;

/// How long a name server may take to answer before the next is asked.
pub const DNS_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the look-up of a name may take, whoever is asked.
pub const DNS_LOOKUP_TIMEOUT: Duration = Duration::from_secs(8);
/// How often each name server is asked for a name.
pub const DNS_ROUNDS: usize = 2;
/// How many names a name may stand for, one after the other (CNAME).
pub const DNS_ALIASES_MAX: usize = 16;
/// How many questions to name servers are under way at a time; others wait.
pub const DNS_QUERIES_MAX: usize = 256;
/// How many addresses of a kind are taken from an answer.
pub const DNS_ADDRESSES_MAX: usize = 16;
/// How many answers of name servers are kept.
pub const DNS_ANSWERS_KEPT: usize = 4096;
/// How long an answer is kept at most, whatever it says.
pub const DNS_KEPT_TIMEOUT: Duration = Duration::from_secs(3600);
/// How much of a hosts file is read.
pub const HOSTS_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How long the last words of a side that takes nothing any more are waited for, on a raw connection or WebSocket.
pub const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);
