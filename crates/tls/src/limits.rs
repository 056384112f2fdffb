//! Every bound of this crate, with its unit. Not options: a user has no reason to change them.

use std::time::Duration;

/// Certificates kept for reuse, by set of names. mitmproxy keeps 100.
pub const LEAVES_KEPT_MAX: usize = 10_000;

/// How long a leaf is valid from now. mitmproxy's figure: with [`BACKDATED`] it stays below the 200 days that
/// clients accept.
pub const LEAF_LIFETIME: Duration = Duration::from_secs(197 * 86_400);

/// How long a CA made by us is valid from now.
pub const CA_LIFETIME: Duration = Duration::from_secs(3650 * 86_400);

/// How far certificates are dated back, for clients whose clock is behind.
pub const BACKDATED: Duration = Duration::from_secs(2 * 86_400);

/// Names taken over from one server certificate. Public CAs stop at 100 to 250.
pub const UPSTREAM_NAMES_MAX: usize = 100;

/// Bytes of all names together that are taken over from one server certificate.
pub const UPSTREAM_NAME_BYTES_MAX: usize = 4096;

/// Characters of a name in a subject (RFC 5280 appendix A, `ub-common-name`); the CN stays below, as in mitmproxy.
pub const SUBJECT_CHARS_MAX: usize = 64;

/// ALPN choices for which a leaf keeps its configuration, those used last. More are served, but made anew.
pub const ALPN_CHOICES_PER_LEAF_MAX: usize = 4;

/// ALPN lists for which a client configuration is kept: the list is the client's, hence hostile.
pub const ALPN_LISTS_MAX: usize = 32;

/// Bytes of one ALPN list that is worth keeping.
pub const ALPN_LIST_BYTES_MAX: usize = 256;

/// TLS 1.2 sessions of clients that know no tickets, kept for resumption. Tickets need no memory.
pub const CLIENT_SESSIONS_MAX: usize = 1024;

/// Servers whose sessions are kept for resumption.
pub const SERVER_SESSIONS_MAX: usize = 1024;

/// Sessions kept for each certificate with which single hosts are logged in to.
pub const SESSIONS_PER_CLIENT_CERT_MAX: usize = 16;

/// Certificates to log in with that are kept, those of a folder with one for each host, and files of it that are looked at when the
/// program starts. With more, some are read anew.
pub const CLIENT_CERTS_MAX: usize = 1024;

/// Bytes of a file in the config dir or of a trusted CA file. The system bundle has about 220 KiB.
pub const PEM_FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Names listed when a certificate is not valid for the one we want.
pub const NAMES_SHOWN_MAX: usize = 4;
