//! Hosts that exist only in the proxy: an addon answers for them, and nobody is connected to.
//!
//! Asked of every request where an addon has such a host, so it begins with what is cheap.

use std::net::IpAddr;

use flowgate_flow::{ClientConnection, Request};

/// Whether a request is for `host`, or for this proxy itself, whose port was asked as if it were a server's.
pub(crate) fn is_for(host: &str, request: &Request, client: &ClientConnection) -> bool {
    request.host.eq_ignore_ascii_case(host)
        || is_address(&request.host)
            && (named_host(request).is_some_and(|named| named.eq_ignore_ascii_case(host.as_bytes()))
                || is_for_us(request, client))
}

/// Whether a destination says nothing of whom the client means, as where the system redirects connections. `localhost` is as good as
/// an address.
fn is_address(host: &str) -> bool {
    host.starts_with(|first: char| first.is_ascii_digit()) || host.contains(':') || host == "localhost"
}

/// The host that a request names, without a port.
fn named_host(request: &Request) -> Option<&[u8]> {
    let named = if request.authority.is_empty() { request.headers.get("host")? } else { &request.authority };
    // Brackets are left where they are: an address is no name of such a host.
    named.split(|byte| *byte == b':').next()
}

/// Whether a client of an explicit proxy asks as one asks a server (in origin form), and names the address that it is connected to.
fn is_for_us(request: &Request, client: &ClientConnection) -> bool {
    let Some(own) = client.connection.sockname else { return false };
    if request.port != own.port() || !request.authority.is_empty() {
        return false;
    }
    let is_explicit = client.mode.starts_with("regular") || client.mode.starts_with("upstream");
    let is_own_address = || match request.host.parse::<IpAddr>() {
        Ok(ip) => ip == own.ip(),
        Err(_) => own.ip().is_loopback(),
    };
    is_explicit && is_own_address()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addon::no_request;

    #[test]
    fn whom_a_request_is_for() {
        for (mode, host, port, authority, named, expected) in [
            ("regular", "mitm.it", 80, "mitm.it", "mitm.it", true),
            ("regular", "MITM.it", 443, "", "mitm.it", true),
            ("regular", "xmitm.it", 80, "xmitm.it", "xmitm.it", false),
            ("regular", "a.test", 80, "a.test", "mitm.it", false),
            ("transparent", "10.1.1.1", 80, "", "mitm.it", true),
            ("transparent", "10.1.1.1", 80, "", "mitm.it:80", true),
            ("transparent", "10.1.1.1", 443, "mitm.it", "", true),
            ("transparent", "10.1.1.1", 80, "", "a.test", false),
            // Our own port, asked as a server.
            ("regular", "10.0.0.7", 8080, "", "10.0.0.7:8080", true),
            ("regular@8080", "10.0.0.7", 8080, "", "", true),
            ("upstream:http://a.test", "10.0.0.7", 8080, "", "10.0.0.7:8080", true),
            ("regular", "10.0.0.7", 8081, "", "10.0.0.7:8081", false),
            ("regular", "10.0.0.8", 8080, "", "10.0.0.8:8080", false),
            // As one asks a proxy: for somebody else, which is we by mistake.
            ("regular", "10.0.0.7", 8080, "10.0.0.7:8080", "10.0.0.7:8080", false),
            ("reverse:http://10.0.0.7:8080", "10.0.0.7", 8080, "", "10.0.0.7:8080", false),
            ("regular", "localhost", 8080, "", "localhost:8080", false),
        ] {
            let request = Request {
                host: host.into(),
                port,
                authority: authority.into(),
                headers: [("Host", named)].into_iter().collect(),
                ..no_request()
            };
            let mut client = ClientConnection::new(flowgate_flow::FlowId::from_random(1), mode.into());
            client.connection.sockname = Some(([10, 0, 0, 7], 8080).into());
            assert_eq!(
                is_for("mitm.it", &request, &client),
                expected,
                "{mode} {host}:{port} {authority} {named}"
            );
        }
    }
}
