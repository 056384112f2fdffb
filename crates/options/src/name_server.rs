//! Name servers, as option `dns_name_servers` says them: addresses, with a port or without.

use std::net::{IpAddr, SocketAddr};

use crate::error::ValueError;
use crate::kind::{Kind, OptionType};
use crate::value::{Value, quoted};

/// Where to ask, in this order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NameServers(pub Vec<SocketAddr>);

/// An entry that is no address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{} is no IP address of a name server, with or without a port", quoted(entry))]
pub struct NameServerError {
    entry: String,
}

/// The port of name servers.
const DNS_PORT: u16 = 53;

/// Reads an entry. IPv6 addresses stand in brackets if there is a port.
fn parse(entry: &str) -> Result<SocketAddr, NameServerError> {
    let plain = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = plain.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT));
    let address = address.or_else(|_| entry.parse());
    let error = || NameServerError { entry: entry.to_owned() };
    address.ok().filter(|address: &SocketAddr| address.port() != 0).ok_or_else(error)
}

fn shown(server: &SocketAddr) -> String {
    if server.port() == DNS_PORT { server.ip().to_string() } else { server.to_string() }
}

impl OptionType for NameServers {
    const KIND: Kind = Kind::List;

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        let entries = Vec::<String>::from_value(value)?;
        Ok(Self(entries.iter().map(|entry| parse(entry)).collect::<Result<_, _>>()?))
    }

    fn to_value(&self) -> Value {
        Value::List(self.0.iter().map(shown).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_and_what_is_wrong_with_them() {
        for (text, expected) in [
            ("10.0.0.53", "10.0.0.53"),
            ("10.0.0.53:53", "10.0.0.53"),
            ("10.0.0.53:5353", "10.0.0.53:5353"),
            ("fd00::53", "fd00::53"),
            ("[fd00::53]", "fd00::53"),
            ("[fd00::53]:5353", "[fd00::53]:5353"),
            ("", "`` is no IP address of a name server, with or without a port"),
            ("dns.test", "`dns.test` is no IP address of a name server, with or without a port"),
            ("10.0.0.53:0", "`10.0.0.53:0` is no IP address of a name server, with or without a port"),
            (
                "1.1.1.1, 9.9.9.9",
                "`1.1.1.1, 9.9.9.9` is no IP address of a name server, with or without a port",
            ),
        ] {
            let read = parse(text).map_or_else(|error| error.to_string(), |server| shown(&server));
            assert_eq!(read, expected);
            assert_eq!(parse(expected).ok(), parse(text).ok());
        }
    }
}
