//! Who may use the proxy (mitmproxy: `proxyauth`), as an option says it. Nothing prints passwords: `Debug` hides them, errors do not
//! quote what came.
//!
//! Not here: whether somebody is who they say (`flowgate-logins`).

use std::fmt;

use crate::credentials::Credentials;
use crate::error::ValueError;
use crate::kind::{Kind, OptionType};
use crate::mode_spec::{Mode, ModeSpec};
use crate::server_spec::Scheme;
use crate::value::Value;

/// The ports of LDAP, in clear text and over TLS (RFC 4516 section 2).
const LDAP_PORT: u16 = 389;
const LDAPS_PORT: u16 = 636;
/// The attribute that names people, if none is given.
const DEFAULT_KEY: &str = "cn";

/// Who may use the proxy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LoginSpec {
    /// Everybody who gives any name and password.
    Any,
    /// One name and its password.
    One(Credentials),
    /// Whom an htpasswd file names.
    File(String),
    /// Whom a directory knows.
    Ldap(LdapSpec),
}

/// A directory, and how people are found in it.
#[derive(Clone, Eq, PartialEq)]
pub struct LdapSpec {
    /// Whether it is asked over TLS.
    pub tls: bool,
    /// Its name or address, IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// As whom people are looked for.
    pub dn: String,
    /// That one's password.
    pub password: String,
    /// Below which entry they are.
    pub subtree: String,
    /// The attribute that is a person's name.
    pub key: String,
}

/// Why an option does not say who may use the proxy. What came is not shown: there may be a password in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginSpecError {
    /// None of the forms.
    #[error("expected `USER:PASS`, `any`, `@FILE` or `ldap[s]:SERVER[:PORT]:DN:PASSWORD:SUBTREE`")]
    Form,
    /// Too long, or with characters that no name or password has.
    #[error("a name and a password have at most 255 bytes each, and no control characters")]
    Credentials,
    /// `@` and nothing behind it.
    #[error("`@` wants the path of an htpasswd file behind it")]
    NoFile,
    /// Not the parts of LDAP.
    #[error("expected `ldap[s]:SERVER[:PORT]:DN:PASSWORD:SUBTREE[?search_filter_key=NAME]`")]
    LdapParts,
    /// An empty name of a server, or one that cannot be.
    #[error("the part behind `ldap:` or `ldaps:` is no name or address of a server")]
    LdapServer,
    /// A port that is none.
    #[error("the port of the LDAP server is no number from 1 to 65535")]
    LdapPort,
    /// An entry that searches are to be made as, and no password: servers would take that for nobody (RFC 4513 section 5.1.2).
    #[error("the LDAP entry to search as has no password")]
    LdapPassword,
    /// Something else behind `?`, or no name of an attribute.
    #[error("behind `?` only `search_filter_key=NAME` is known, where the name is that of an attribute")]
    LdapKey,
}

impl LoginSpec {
    /// Reads any of the forms.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, LoginSpecError> {
        if text == "any" {
            return Ok(Self::Any);
        }
        if let Some(path) = text.strip_prefix('@') {
            return if path.is_empty() { Err(LoginSpecError::NoFile) } else { Ok(Self::File(path.into())) };
        }
        for (prefix, tls) in [("ldap:", false), ("ldaps:", true)] {
            if let Some(rest) = text.strip_prefix(prefix) {
                return LdapSpec::parse(rest, tls).map(Self::Ldap);
            }
        }
        // Differs from mitmproxy: a password may have colons.
        if !text.contains(':') {
            return Err(LoginSpecError::Form);
        }
        Credentials::parse(text).map(Self::One).ok_or(LoginSpecError::Credentials)
    }

    fn text(&self) -> String {
        match self {
            Self::Any => "any".into(),
            Self::One(known) => format!("{}:{}", known.user(), known.password()),
            Self::File(path) => format!("@{path}"),
            Self::Ldap(ldap) => ldap.text(),
        }
    }
}

impl LdapSpec {
    /// What stands behind `ldap:`. Distinguished names have no colons, so a password may.
    fn parse(text: &str, tls: bool) -> Result<Self, LoginSpecError> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once("]:"));
        let (host, rest) = bracketed.or_else(|| text.split_once(':')).ok_or(LoginSpecError::LdapParts)?;
        let names_host = |c: char| c.is_alphanumeric() || "-._:".contains(c);
        if host.is_empty() || !host.chars().all(names_host) {
            return Err(LoginSpecError::LdapServer);
        }
        let (first, behind) = rest.split_once(':').ok_or(LoginSpecError::LdapParts)?;
        let has_port = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
        let (port, rest) = if has_port {
            let port = first.parse().ok().filter(|port| *port > 0);
            (port.ok_or(LoginSpecError::LdapPort)?, behind)
        } else {
            (if tls { LDAPS_PORT } else { LDAP_PORT }, rest)
        };
        let (dn, rest) = rest.split_once(':').ok_or(LoginSpecError::LdapParts)?;
        let (password, subtree) = rest.rsplit_once(':').ok_or(LoginSpecError::LdapParts)?;
        if password.is_empty() && !dn.is_empty() {
            return Err(LoginSpecError::LdapPassword);
        }
        let (subtree, key) = match subtree.split_once('?') {
            None => (subtree, DEFAULT_KEY),
            Some((subtree, query)) => {
                (subtree, query.strip_prefix("search_filter_key=").ok_or(LoginSpecError::LdapKey)?)
            }
        };
        // An attribute description (RFC 4512 section 2.5).
        let names_key = |byte: u8| byte.is_ascii_alphanumeric() || b"-.;".contains(&byte);
        if key.is_empty() || !key.bytes().all(names_key) {
            return Err(LoginSpecError::LdapKey);
        }
        let [host, dn, password, subtree, key] = [host, dn, password, subtree, key].map(str::to_owned);
        Ok(Self { tls, host, port, dn, password, subtree, key })
    }

    fn text(&self) -> String {
        let scheme = if self.tls { "ldaps" } else { "ldap" };
        let Self { host, port, dn, password, subtree, key, .. } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        format!("{scheme}:{host}:{port}:{dn}:{password}:{subtree}?search_filter_key={key}")
    }
}

/// Without the password.
impl fmt::Debug for LdapSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LdapSpec({}:{} tls={} {:?} {})", self.host, self.port, self.tls, self.subtree, self.key)
    }
}

/// Whether clients of a mode can say who they are, and are asked before anything of theirs goes anywhere.
pub(crate) fn can_ask(mode: &ModeSpec) -> bool {
    match &mode.mode {
        Mode::Regular | Mode::Upstream(_) | Mode::Socks5 => true,
        Mode::Reverse(server) => matches!(server.scheme, Scheme::Http | Scheme::Https),
        // Their clients do not know that there is a proxy, or speak no HTTP.
        Mode::Transparent | Mode::Dns | Mode::Local(_) | Mode::Wireguard(_) | Mode::Tun(_) => false,
    }
}

impl OptionType for Option<LoginSpec> {
    const KIND: Kind = Kind::OptText;

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::Null => Ok(None),
            Value::Text(text) if text.is_empty() => Ok(None),
            Value::Text(text) => Ok(Some(LoginSpec::parse(text)?)),
            _ => Err(LoginSpecError::Form.into()),
        }
    }

    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, |it| Value::Text(it.text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::{OptionError, Source};
    use proptest::prelude::*;

    fn ldap(text: &str) -> (bool, String, u16, String, String, String, String) {
        let LoginSpec::Ldap(spec) = LoginSpec::parse(text).unwrap() else { panic!("{text}") };
        (spec.tls, spec.host, spec.port, spec.dn, spec.password, spec.subtree, spec.key)
    }

    #[test]
    fn the_forms() {
        let one = |text| LoginSpec::One(Credentials::parse(text).unwrap());
        for (text, expected) in [
            ("any", LoginSpec::Any),
            ("alice:secret", one("alice:secret")),
            ("alice:", one("alice:")),
            ("alice:a:b", one("alice:a:b")),
            ("ldapuser:secret", one("ldapuser:secret")),
            ("@~/users", LoginSpec::File("~/users".into())),
        ] {
            assert_eq!(LoginSpec::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn directories() {
        let of = |tls, host: &str, port, password: &str, key: &str| {
            let [host, dn, password] = [host, "cn=admin,dc=a", password].map(str::to_owned);
            (tls, host, port, dn, password, "ou=people,dc=a".to_owned(), key.to_owned())
        };
        for (text, expected) in [
            ("ldap:localhost:cn=admin,dc=a:pw:ou=people,dc=a", of(false, "localhost", 389, "pw", "cn")),
            ("ldaps:h:cn=admin,dc=a:pw:ou=people,dc=a", of(true, "h", 636, "pw", "cn")),
            ("ldap:1.2.3.4:1389:cn=admin,dc=a:pw:ou=people,dc=a", of(false, "1.2.3.4", 1389, "pw", "cn")),
            ("ldap:[::1]:1389:cn=admin,dc=a:pw:ou=people,dc=a", of(false, "::1", 1389, "pw", "cn")),
            (
                "ldap:h:cn=admin,dc=a:p:w?x:ou=people,dc=a?search_filter_key=uid",
                of(false, "h", 389, "p:w?x", "uid"),
            ),
        ] {
            assert_eq!(ldap(text), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_show_nothing_of_what_came() {
        for (text, expected) in [
            ("secret", LoginSpecError::Form),
            (":secret", LoginSpecError::Credentials),
            ("a:secret\n", LoginSpecError::Credentials),
            ("@", LoginSpecError::NoFile),
            ("ldap:", LoginSpecError::LdapParts),
            ("ldap:h", LoginSpecError::LdapParts),
            ("ldap:h:dn", LoginSpecError::LdapParts),
            ("ldap:h:dn:secret", LoginSpecError::LdapParts),
            ("ldap::dn:secret:ou", LoginSpecError::LdapServer),
            ("ldap://h:dn:secret:ou", LoginSpecError::LdapServer),
            ("ldap:h:0:dn:secret:ou", LoginSpecError::LdapPort),
            ("ldap:h:65536:dn:secret:ou", LoginSpecError::LdapPort),
            ("ldap:h:dn::ou", LoginSpecError::LdapPassword),
            ("ldap:h:dn:secret:ou?filter=uid", LoginSpecError::LdapKey),
            ("ldap:h:dn:secret:ou?search_filter_key=", LoginSpecError::LdapKey),
            ("ldap:h:dn:secret:ou?search_filter_key=a)(b", LoginSpecError::LdapKey),
        ] {
            let error = LoginSpec::parse(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
        let shown = format!("{:?}", LoginSpec::parse("ldap:h:dn:secret:ou").unwrap());
        assert_eq!(shown, "Ldap(LdapSpec(h:389 tls=false \"ou\" cn))");
    }

    #[test]
    fn modes_that_cannot_ask_are_refused() {
        let with = |mode: &str| {
            let mut options = Options::default();
            options.set(Source::Set, "proxyauth", &["any"]).unwrap();
            options.set(Source::Set, "mode", &[mode])
        };
        for mode in [
            "regular",
            "socks5",
            "upstream:http://a",
            "upstream:socks5://a:1",
            "reverse:http://a",
            "reverse:https://a",
        ] {
            assert_eq!(with(mode), Ok(()), "{mode}");
        }
        for mode in [
            "transparent",
            "reverse:tcp://a:1",
            "reverse:tls://a:1",
            "reverse:udp://a:1",
            "reverse:quic://a",
            "reverse:http3://a",
        ] {
            assert!(matches!(with(mode), Err(OptionError::CannotAsk { .. })), "{mode}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(text in "(any|@|ldaps?:)?[a-z0-9:?=\\[\\]@._-]{0,40}") {
            if let Ok(spec) = LoginSpec::parse(&text) {
                let value = Some(spec.clone()).to_value();
                prop_assert_eq!(Option::<LoginSpec>::from_value(&value), Ok(Some(spec)));
            }
        }
    }
}
