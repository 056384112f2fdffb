//! Sizes and addresses as people read them, in mitmproxy's spelling.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use flowgate_flow::Address;

/// A number of bytes: `24b`, `1.0k`, `9.8k`, `100k`, `118m`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return write!(f, "{}b", self.0);
        }
        // Exact below 2^53; beyond 8 PiB the last shown digit is not affected either.
        let mut size = self.0 as f64;
        for unit in ["k", "m", "g", "t"] {
            size /= 1024.0;
            if size < 99.95 {
                return write!(f, "{size:.1}{unit}");
            }
            if size < 1024.0 || unit == "t" {
                return write!(f, "{size:.0}{unit}");
            }
        }
        Ok(())
    }
}

/// The end of a connection as `ip:port`; IPv6 in brackets, IPv4 inside IPv6 as IPv4, any address as `*`.
#[must_use]
pub fn format_socket(address: SocketAddr) -> String {
    let port = address.port();
    match address.ip() {
        ip if ip.is_unspecified() => format!("*:{port}"),
        IpAddr::V4(ip) => format!("{ip}:{port}"),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => format!("{ip}:{port}"),
            None => format!("[{ip}]:{port}"),
        },
    }
}

/// A server's address as `host:port`, where the host may be an address or a name; `<no address>` for none.
///
/// A name is as it was asked for: escape what this gives before it is printed.
#[must_use]
pub fn format_address(address: Option<&Address>) -> String {
    let Some(Address { host, port }) = address else { return NO_ADDRESS.into() };
    match host.parse::<IpAddr>() {
        Ok(ip) => format_socket(SocketAddr::new(ip, *port)),
        Err(_) if host.contains('%') && host.contains(':') => format!("[{host}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    }
}

/// What stands for an address that is not known.
pub(crate) const NO_ADDRESS: &str = "<no address>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, shown) in [
            (0, "0b"),
            (1023, "1023b"),
            (1024, "1.0k"),
            (1_260, "1.2k"),
            (10_035, "9.8k"),
            (102_348, "99.9k"),
            (102_349, "100k"),
            ((1 << 20) - 1, "1024k"),
            (1 << 20, "1.0m"),
            (123_731_968, "118m"),
            (10_000_000_000, "9.3g"),
            (u64::MAX, "16777216t"),
        ] {
            assert_eq!(Size(bytes).to_string(), shown);
        }
    }

    #[test]
    fn addresses() {
        for (host, shown) in [
            ("127.0.0.1", "127.0.0.1:80"),
            ("0.0.0.0", "*:80"),
            ("::", "*:80"),
            ("::1", "[::1]:80"),
            ("2001:DB8:0:0:1:0:0:1", "[2001:db8::1:0:0:1]:80"),
            ("::ffff:1.2.3.4", "1.2.3.4:80"),
            ("::ffff:0.0.0.0", "0.0.0.0:80"),
            ("::1.2.3.4", "[::102:304]:80"),
            ("fe80::1%eth0", "[fe80::1%eth0]:80"),
            ("01.2.3.4", "01.2.3.4:80"),
            ("example.com", "example.com:80"),
        ] {
            assert_eq!(format_address(Some(&Address { host: host.into(), port: 80 })), shown);
        }
        assert_eq!(format_address(None), "<no address>");
    }
}
