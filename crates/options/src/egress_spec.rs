//! Ways out, as a rule's `via` names them: `direct`, or a proxy such as `socks5://user:password@proxy.example:1080`.
//!
//! Not how they are gone (`flowgate-proxy`). Credentials are percent-encoded as in any URL (RFC 3986 section 3.2.1); nothing
//! shows them, and errors quote nothing, since what is wrong may be the credentials.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;

use crate::credentials::Credentials;
use crate::server_spec::{Scheme, ServerSpec};

/// How servers are reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EgressSpec {
    /// Straight, whatever the mode says.
    Direct,
    /// Through a proxy.
    Proxy {
        /// Where it listens, and what it speaks: HTTP, HTTP in TLS, or SOCKS5.
        server: ServerSpec,
        /// Who we are to it.
        credentials: Option<Credentials>,
    },
}

/// Why a way out was refused. Nothing is quoted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EgressSpecError {
    /// Neither `direct` nor a scheme of a proxy.
    #[error("`via` is neither `direct` nor a proxy: http://, https:// and socks5:// are known")]
    Scheme,
    /// What follows the scheme is no host and port.
    #[error("`via` does not name a host and port behind its scheme, as in socks5://proxy.example:1080")]
    Server,
    /// What stands before the `@` is no user and password.
    #[error("`via` has a malformed user or password: special characters are written as in `%40` for `@`")]
    Credentials,
}

impl EgressSpec {
    /// Reads `direct` or `SCHEME://[USER[:PASSWORD]@]HOST[:PORT]`.
    ///
    /// # Errors
    /// When a part is not what the grammar says.
    pub fn parse(text: &str) -> Result<Self, EgressSpecError> {
        if text == "direct" {
            return Ok(Self::Direct);
        }
        let (scheme, rest) = text.split_once("://").ok_or(EgressSpecError::Scheme)?;
        let known = [Scheme::Http, Scheme::Https, Scheme::Socks5];
        let scheme = known.into_iter().find(|known| known.name().eq_ignore_ascii_case(scheme));
        let scheme = scheme.ok_or(EgressSpecError::Scheme)?;
        let (user, server) = match rest.rsplit_once('@') {
            Some((user, server)) => (Some(user), server),
            None => (None, rest),
        };
        if server.contains("://") {
            return Err(EgressSpecError::Server);
        }
        let server = ServerSpec::parse(server, scheme).map_err(|_| EgressSpecError::Server)?;
        let credentials = user.map(|user| read_user(user).ok_or(EgressSpecError::Credentials)).transpose()?;
        Ok(Self::Proxy { server, credentials })
    }
}

impl fmt::Display for EgressSpec {
    /// Without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("direct"),
            Self::Proxy { server, .. } => server.fmt(f),
        }
    }
}

fn read_user(text: &str) -> Option<Credentials> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    Credentials::new(decode(user)?, decode(password)?)
}

/// Undoes percent-encoding (RFC 3986 section 2.1), if all of it is.
fn decode(text: &str) -> Option<String> {
    let is_escape = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !text.split('%').skip(1).all(is_escape) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ways_out() {
        let table = [
            ("direct", Ok(("direct", None))),
            ("http://p.test", Ok(("http://p.test:80", None))),
            ("HTTPS://p.test/", Ok(("https://p.test:443", None))),
            ("socks5://[::1]", Ok(("socks5://[::1]:1080", None))),
            ("socks5://alice:s3cret@p.test:9050", Ok(("socks5://p.test:9050", Some(("alice", "s3cret"))))),
            ("http://alice@p.test:8080", Ok(("http://p.test:8080", Some(("alice", ""))))),
            ("http://a%3Ab:%40%20%C3%BC@p.test", Err(EgressSpecError::Credentials)),
            ("http://ab:%40%20%C3%BC@p.test", Ok(("http://p.test:80", Some(("ab", "@ \u{fc}"))))),
            ("http://a:b@c@p.test", Ok(("http://p.test:80", Some(("a", "b@c"))))),
            ("http://a:%4@p.test", Err(EgressSpecError::Credentials)),
            ("http://a:%0d@p.test", Err(EgressSpecError::Credentials)),
            ("http://a:%ff@p.test", Err(EgressSpecError::Credentials)),
            ("http://:p@p.test", Err(EgressSpecError::Credentials)),
            ("", Err(EgressSpecError::Scheme)),
            ("Direct", Err(EgressSpecError::Scheme)),
            ("p.test:8080", Err(EgressSpecError::Scheme)),
            ("socks4://p.test", Err(EgressSpecError::Scheme)),
            ("tcp://p.test:1", Err(EgressSpecError::Scheme)),
            ("http://", Err(EgressSpecError::Server)),
            ("http://user:secret", Err(EgressSpecError::Server)),
            ("http://p.test/path", Err(EgressSpecError::Server)),
            ("http://https://p.test", Err(EgressSpecError::Server)),
        ];
        for (text, expected) in table {
            let read = EgressSpec::parse(text);
            let shown = read.as_ref().map(ToString::to_string).map_err(|error| *error);
            assert_eq!(shown.as_deref().map_err(|error| *error), expected.map(|(shown, _)| shown), "{text}");
            if let (Ok(EgressSpec::Proxy { credentials, .. }), Ok((_, wanted))) = (&read, expected) {
                let found = credentials.as_ref().map(|found| (found.user(), found.password()));
                assert_eq!(found, wanted, "{text}");
            }
            assert!(!format!("{read:?}").contains("s3cret"), "{read:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_shows_what_it_reads_again(text in "(direct|(http|socks5)://([a-z%:]{0,5}@)?[a-z.]{0,4}(:[0-9]{1,5})?|\\PC*)") {
            if let Ok(spec) = EgressSpec::parse(&text) {
                let shown = spec.to_string();
                prop_assert_eq!(EgressSpec::parse(&shown).unwrap().to_string(), shown);
            }
        }
    }
}
