//! Addresses of names that are not to be looked up, as option `resolve` says them: curl's `HOST:PORT:ADDRESS[,ADDRESS]...`.

use std::fmt;
use std::net::IpAddr;

use crate::error::ValueError;
use crate::kind::{Kind, OptionType};
use crate::value::{Value, quoted};

/// The addresses of a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResolveSpec {
    /// The name; `None` for every name.
    pub host: Option<String>,
    /// For connections to this port; `None` for every port.
    pub port: Option<u16>,
    /// Its addresses, at least one, in the order in which they are tried.
    pub addresses: Vec<IpAddr>,
}

/// Why an entry does not say the addresses of a name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveSpecError {
    /// Not three parts.
    #[error("expected `HOST:PORT:ADDRESS[,ADDRESS]...`, found {}", quoted(entry))]
    Parts {
        /// The entry.
        entry: String,
    },
    /// No name of a host, or an address, which needs no looking up.
    #[error("{} is no name of a host, nor `*` for every name", quoted(host))]
    Host {
        /// It.
        host: String,
    },
    /// A port that is none.
    #[error("{} is no port from 1 to 65535, nor `*` for every port", quoted(port))]
    Port {
        /// It.
        port: String,
    },
    /// An address that is none.
    #[error("{} is no IP address", quoted(address))]
    Address {
        /// It.
        address: String,
    },
}

impl ResolveSpec {
    /// Reads an entry. IPv6 addresses may stand in brackets.
    ///
    /// # Errors
    /// Which part of it is wrong.
    pub fn parse(text: &str) -> Result<Self, ResolveSpecError> {
        let parts = text.split_once(':').and_then(|(host, rest)| Some((host, rest.split_once(':')?)));
        let Some((host, (port, addresses))) = parts else {
            return Err(ResolveSpecError::Parts { entry: text.to_owned() });
        };
        let names_host = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
        let is_name = !host.is_empty() && host.chars().all(names_host) && host.parse::<IpAddr>().is_err();
        if host != "*" && !is_name {
            return Err(ResolveSpecError::Host { host: host.to_owned() });
        }
        let port = match port {
            "*" => None,
            port => match port.parse() {
                Ok(number @ 1..) => Some(number),
                _ => return Err(ResolveSpecError::Port { port: port.to_owned() }),
            },
        };
        let address = |text: &str| {
            let plain = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
            let error = |_| ResolveSpecError::Address { address: text.to_owned() };
            plain.parse().map_err(error)
        };
        let addresses = addresses.split(',').map(address).collect::<Result<_, _>>()?;
        Ok(Self { host: (host != "*").then(|| host.to_owned()), port, addresses })
    }
}

impl fmt::Display for ResolveSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.host.as_deref().unwrap_or("*"))?;
        match self.port {
            Some(port) => write!(f, "{port}:")?,
            None => f.write_str("*:")?,
        }
        for (index, address) in self.addresses.iter().enumerate() {
            write!(f, "{}{address}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl OptionType for Vec<ResolveSpec> {
    const KIND: Kind = Kind::List;

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        let entries = Vec::<String>::from_value(value)?;
        Ok(entries.iter().map(|entry| ResolveSpec::parse(entry)).collect::<Result<_, _>>()?)
    }

    fn to_value(&self) -> Value {
        Value::List(self.iter().map(ToString::to_string).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_and_what_is_wrong_with_them() {
        for (text, expected) in [
            ("a.test:443:127.0.0.1", "a.test:443:127.0.0.1"),
            ("a.test:443:127.0.0.1,[::1],::2", "a.test:443:127.0.0.1,::1,::2"),
            ("*:*:10.0.0.1", "*:*:10.0.0.1"),
            ("b\u{fc}cher.test:*:::1", "b\u{fc}cher.test:*:::1"),
            ("a.test", "expected `HOST:PORT:ADDRESS[,ADDRESS]...`, found `a.test`"),
            ("a.test:127.0.0.1", "expected `HOST:PORT:ADDRESS[,ADDRESS]...`, found `a.test:127.0.0.1`"),
            (":80:::1", "`` is no name of a host, nor `*` for every name"),
            ("10.0.0.1:80:::1", "`10.0.0.1` is no name of a host, nor `*` for every name"),
            ("*.a.test:80:::1", "`*.a.test` is no name of a host, nor `*` for every name"),
            ("a:0:::1", "`0` is no port from 1 to 65535, nor `*` for every port"),
            ("a:65536:::1", "`65536` is no port from 1 to 65535, nor `*` for every port"),
            ("a:80:", "`` is no IP address"),
            ("a:80:1.2.3.4,b", "`b` is no IP address"),
        ] {
            let read =
                ResolveSpec::parse(text).map_or_else(|error| error.to_string(), |spec| spec.to_string());
            assert_eq!(read, expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_as_what_reads_the_same(text in "[a-c*.\\[\\]:,0-9]{0,30}") {
            if let Ok(spec) = ResolveSpec::parse(&text) {
                prop_assert_eq!(ResolveSpec::parse(&spec.to_string()), Ok(spec));
            }
        }
    }
}
