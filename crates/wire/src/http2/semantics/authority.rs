//! Which host a request names: `:authority`, `Host`, and that both name the same (RFC 9113 section 8.3.1).

use flowgate_flow::Address;

use super::MessageError;
use crate::http1::{TargetError, parse_authority};

/// The host and port that a request names. `hosts` are the values of its `Host` fields with their places.
pub(super) fn check_authority<'a>(
    scheme: &[u8],
    authority: Option<&[u8]>,
    mut hosts: impl Iterator<Item = (usize, &'a [u8])>,
) -> Result<Address, MessageError> {
    let port = if scheme == b"http" { 80 } else { 443 };
    let parse = |text: &[u8]| parse_authority(text, Some(port)).map_err(MessageError::Authority);
    let host = hosts.next();
    if let Some((index, _)) = hosts.next() {
        return Err(MessageError::RepeatedHost { index });
    }
    match (authority, host) {
        (None, None) => Err(MessageError::NoAuthority),
        (Some(authority), None) => parse(authority),
        (None, Some((_, host))) => parse(host),
        (Some(authority), Some((_, host))) => {
            let address = parse(authority)?;
            // Scheme-based normalization (RFC 3986 section 6.2.3): case and the default port do not count.
            let other = parse(host)?;
            if address.port != other.port || !address.host.eq_ignore_ascii_case(&other.host) {
                return Err(MessageError::HostDiffers);
            }
            Ok(address)
        }
    }
}

/// Where a CONNECT wants to go: host and port (section 8.5).
pub(super) fn check_connect_authority(authority: &[u8]) -> Result<Address, MessageError> {
    // An empty port is the default one, and CONNECT has none.
    if authority.last() == Some(&b':') {
        return Err(MessageError::Authority(TargetError::Port));
    }
    parse_authority(authority, None).map_err(MessageError::Authority)
}
