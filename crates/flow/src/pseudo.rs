//! What a request of HTTP/2 or HTTP/3 says beyond what every request says: the order of its pseudo-header fields (RFC 9113 section 8.3.1),
//! by which clients are told apart, the protocol of an extended CONNECT, and the priority that stands with its head.

use bytes::Bytes;

use crate::Priority;

/// A pseudo-header field of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PseudoField {
    /// `:method`
    Method,
    /// `:scheme`
    Scheme,
    /// `:authority`
    Authority,
    /// `:path`
    Path,
    /// `:protocol` (RFC 8441 section 4)
    Protocol,
}

/// An order of the pseudo-header fields: each of them once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PseudoOrder([PseudoField; 5]);

/// What a request's pseudo-header fields say besides method, scheme, authority and path, and what stands with them. The default is that of a
/// request of HTTP/1.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PseudoFields {
    /// The order in which they came. Those that the request does not have are passed over.
    pub order: PseudoOrder,
    /// The protocol that an extended CONNECT asks for: `:protocol` (RFC 8441).
    pub protocol: Option<Bytes>,
    /// Those that are never to be put into a compression table (RFC 7541 section 7.1.3).
    pub sensitive: Vec<PseudoField>,
    /// The priority in the frame of its head.
    pub priority: Option<Priority>,
}

impl PseudoField {
    /// All of them, in the order in which browsers based on Chromium send them.
    const ALL: [Self; 5] = [Self::Method, Self::Authority, Self::Scheme, Self::Path, Self::Protocol];

    /// As it is written: `:method`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Method => ":method",
            Self::Scheme => ":scheme",
            Self::Authority => ":authority",
            Self::Path => ":path",
            Self::Protocol => ":protocol",
        }
    }

    /// The one that is written so.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name().as_bytes() == name)
    }
}

impl PseudoOrder {
    /// The order in which these came; those that did not come stand behind.
    #[must_use]
    pub fn new(came: &[PseudoField]) -> Self {
        let mut order = PseudoField::ALL;
        // Stable: those that did not come keep their order.
        order.sort_by_key(|field| came.iter().position(|other| other == field).unwrap_or(came.len()));
        Self(order)
    }

    /// A letter for each of those that every request has, with commas: `m,a,s,p`, as fingerprints of HTTP/2 are written.
    #[must_use]
    pub fn letters(&self) -> String {
        let letter = |field| match field {
            PseudoField::Method => Some("m"),
            PseudoField::Authority => Some("a"),
            PseudoField::Scheme => Some("s"),
            PseudoField::Path => Some("p"),
            PseudoField::Protocol => None,
        };
        self.iter().filter_map(letter).collect::<Vec<_>>().join(",")
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = PseudoField> + '_ {
        self.0.iter().copied()
    }
}

impl Default for PseudoOrder {
    fn default() -> Self {
        Self(PseudoField::ALL)
    }
}

#[cfg(test)]
mod tests {
    use super::PseudoField::{Authority, Method, Path, Protocol, Scheme};
    use super::*;

    #[test]
    fn an_order_has_each_once() {
        let order = |came: &[PseudoField]| PseudoOrder::new(came).iter().collect::<Vec<_>>();
        assert_eq!(order(&[]), [Method, Authority, Scheme, Path, Protocol]);
        assert_eq!(order(&[Path, Method]), [Path, Method, Authority, Scheme, Protocol]);
        assert_eq!(order(&[Path, Path, Path]), [Path, Method, Authority, Scheme, Protocol]);
        assert_eq!(PseudoOrder::new(&[Protocol, Path, Method]).letters(), "p,m,a,s");
        assert_eq!(PseudoField::from_name(b":path"), Some(Path));
        assert_eq!(PseudoField::from_name(b":status"), None);
    }
}
