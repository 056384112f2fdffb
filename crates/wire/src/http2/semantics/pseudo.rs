//! The pseudo-header fields of a request: taken from the front of a list, and judged together (RFC 9113 sections 8.3.1
//! and 8.5, RFC 8441 section 4).

use bytes::Bytes;
use flowgate_flow::{PseudoField, PseudoFields, PseudoOrder};

use super::field::check_field_value;
use super::{ExtendedConnect, MessageError};
use crate::hpack::FieldList;
use crate::http1::is_token;
use crate::limits::TARGET_BYTES_MAX;

/// What stands in front of a request's fields.
#[derive(Debug, Default)]
pub(super) struct Front {
    pub(super) method: Option<Bytes>,
    pub(super) scheme: Option<Bytes>,
    pub(super) authority: Option<Bytes>,
    pub(super) path: Option<Bytes>,
    pub(super) fields: PseudoFields,
    /// How many there are.
    pub(super) len: usize,
}

impl Front {
    /// Takes the pseudo-header fields of a request.
    pub(super) fn take(list: &FieldList, extended: ExtendedConnect) -> Result<Self, MessageError> {
        let mut front = Self::default();
        let mut came = [PseudoField::Method; 5];
        for (index, field) in list.iter().enumerate() {
            if field.name.first() != Some(&b':') {
                break;
            }
            let pseudo = PseudoField::from_name(field.name)
                .filter(|pseudo| *pseudo != PseudoField::Protocol || extended == ExtendedConnect::Enabled)
                .ok_or(MessageError::UnknownPseudo { index })?;
            check_field_value(field.value, index)?;
            let slot = match pseudo {
                PseudoField::Method => &mut front.method,
                PseudoField::Scheme => &mut front.scheme,
                PseudoField::Authority => &mut front.authority,
                PseudoField::Path => &mut front.path,
                PseudoField::Protocol => &mut front.fields.protocol,
            };
            if slot.replace(list.value(index)).is_some() {
                return Err(MessageError::RepeatedPseudo { index });
            }
            if let Some(place) = came.get_mut(front.len) {
                *place = pseudo;
            }
            if field.sensitive {
                front.fields.sensitive.push(pseudo);
            }
            front.len += 1;
        }
        front.fields.order = PseudoOrder::new(came.get(..front.len).unwrap_or_default());
        Ok(front)
    }
}

/// The kinds of request, by which pseudo-header fields they have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Method, scheme and path.
    Plain,
    /// CONNECT: method and authority.
    Connect,
    /// An extended CONNECT: all of them.
    ExtendedConnect,
}

/// Judges the pseudo-header fields of a request, but for its authority.
pub(super) fn check_pseudo(
    method: &[u8],
    scheme: Option<&[u8]>,
    has_authority: bool,
    path: Option<&[u8]>,
    protocol: Option<&[u8]>,
) -> Result<Kind, MessageError> {
    if !is_token(method) {
        return Err(MessageError::Method);
    }
    let kind = match (method == b"CONNECT", protocol) {
        (false, None) => Kind::Plain,
        (false, Some(_)) => return Err(MessageError::ProtocolWithoutConnect),
        (true, None) => Kind::Connect,
        (true, Some(protocol)) if is_token(protocol) => Kind::ExtendedConnect,
        (true, Some(_)) => return Err(MessageError::Protocol),
    };
    if kind != Kind::Plain && !has_authority {
        return Err(MessageError::Missing(PseudoField::Authority));
    }
    if kind == Kind::Connect {
        return match (scheme, path) {
            (Some(_), _) => Err(MessageError::NotInConnect(PseudoField::Scheme)),
            (_, Some(_)) => Err(MessageError::NotInConnect(PseudoField::Path)),
            (None, None) => Ok(kind),
        };
    }
    let scheme = scheme.ok_or(MessageError::Missing(PseudoField::Scheme))?;
    if scheme != b"http" && scheme != b"https" {
        return Err(MessageError::Scheme);
    }
    check_path(method, path.ok_or(MessageError::Missing(PseudoField::Path))?)?;
    Ok(kind)
}

/// Whether it is a path and query as a request can have them. Bytes beyond ASCII cross as they are, although RFC 3986 wants them
/// escaped: clients send them.
pub(super) fn check_path(method: &[u8], path: &[u8]) -> Result<(), MessageError> {
    if path.len() > TARGET_BYTES_MAX {
        return Err(MessageError::PathTooLong);
    }
    let begins = path.first() == Some(&b'/') || path == b"*" && method == b"OPTIONS";
    // A fragment is not part of a path: who cuts it off reads another one.
    if !begins || path.iter().any(|byte| *byte < 0x21 || matches!(*byte, 0x7f | b'#')) {
        return Err(MessageError::Path);
    }
    Ok(())
}
