//! Writing certificates: the CA's own and leaves (RFC 5280). Which names a leaf gets is decided in `names`.
//!
//! Invariant: the issuer of a leaf is the CA's subject, byte for byte.

use std::net::IpAddr;

use aws_lc_rs::{digest, rand};
use rustls_pki_types::CertificateDer;

use crate::ca_key::CaKey;
use crate::date::Date;
use crate::der::{BIT_STRING, Der, OCTET_STRING, SET, UTF8_STRING, context, context_constructed};
use crate::limits::{BACKDATED, CA_LIFETIME, LEAF_LIFETIME};
use crate::names::{LeafNames, San};

const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ORGANIZATION: &[u8] = &[0x55, 4, 10];
const SUBJECT_KEY_ID: &[u8] = &[0x55, 29, 14];
const KEY_USAGE: &[u8] = &[0x55, 29, 15];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 29, 17];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 29, 19];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 29, 35];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 29, 37];
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];

/// `keyCertSign` and `cRLSign`: one unused bit, then bits 5 and 6 (RFC 5280 §4.2.1.3).
const CA_KEY_USAGE: &[u8] = &[1, 0b0000_0110];

/// Why a certificate could not be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// Neither SNI nor address nor server certificate gave a name that can stand in a certificate.
    #[error("there is no valid name to put into the certificate")]
    NoName,
    /// The CA's key did not sign.
    #[error("the CA's key cannot sign")]
    Sign(#[source] rustls::Error),
    /// The system gave no random numbers for the serial number.
    #[error("the system has no random numbers")]
    Random,
}

/// What a leaf needs to know of its CA.
pub(crate) struct Issuer<'a> {
    /// The CA's subject, DER.
    pub(crate) subject: &'a [u8],
    /// The CA's subject key identifier, if it has one.
    pub(crate) key_id: Option<&'a [u8]>,
    /// Seconds since 1970.
    pub(crate) not_after: u64,
    pub(crate) key: &'a CaKey,
}

/// From when to when a certificate is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Validity {
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
}

impl Validity {
    /// For a leaf minted `now`: never beyond its CA, and never ending before it begins.
    pub(crate) fn of_leaf(now: u64, ca_not_after: u64) -> Self {
        let not_after = now.saturating_add(LEAF_LIFETIME.as_secs()).min(ca_not_after);
        let not_before = now.min(not_after).saturating_sub(BACKDATED.as_secs());
        Self { not_before, not_after }
    }
}

/// Makes a CA certificate for `key`, signed with itself.
pub(crate) fn new_ca(name: &str, key: &CaKey, now: u64) -> Result<CertificateDer<'static>, MintError> {
    let public_key = key.public_key().ok_or(MintError::Sign(rustls::Error::EncryptError))?;
    // RFC 7093 §2 method 1; over the whole key structure, which identifies the key as well as its bits do.
    let digest = digest::digest(&digest::SHA256, &public_key);
    let key_id = digest.as_ref().first_chunk::<20>().map_or(&[][..], |head| head);
    let subject = distinguished_name(Some(name), Some(name));
    let validity = Validity {
        not_before: now.saturating_sub(BACKDATED.as_secs()),
        not_after: now.saturating_add(CA_LIFETIME.as_secs()),
    };
    sign(key, &subject, &subject, validity, &public_key, |der| {
        extension(der, BASIC_CONSTRAINTS, true, |der| der.sequence(Der::boolean_true));
        extension(der, KEY_USAGE, true, |der| der.value(BIT_STRING, CA_KEY_USAGE));
        extension(der, SUBJECT_KEY_ID, false, |der| der.value(OCTET_STRING, key_id));
    })
}

/// Makes a leaf for `names` with the given public key (a SubjectPublicKeyInfo).
pub(crate) fn new_leaf(
    issuer: &Issuer<'_>,
    names: &LeafNames,
    public_key: &[u8],
    validity: Validity,
) -> Result<CertificateDer<'static>, MintError> {
    let common_name = names.common_name();
    let subject = distinguished_name(common_name.as_deref(), names.organization());
    sign(issuer.key, issuer.subject, &subject, validity, public_key, |der| {
        extension(der, EXTENDED_KEY_USAGE, false, |der| der.sequence(|der| der.oid(SERVER_AUTH)));
        // A subject without CN says nothing, so the names must be understood (RFC 5280 §4.2.1.6; as mitmproxy).
        extension(der, SUBJECT_ALT_NAME, common_name.is_none(), |der| {
            der.sequence(|der| names.sans().for_each(|san| general_name(der, san)));
        });
        if let Some(key_id) = issuer.key_id {
            extension(der, AUTHORITY_KEY_ID, false, |der| {
                der.sequence(|der| der.value(context(0), key_id));
            });
        }
    })
}

fn sign(
    key: &CaKey,
    issuer: &[u8],
    subject: &[u8],
    validity: Validity,
    public_key: &[u8],
    extensions: impl FnOnce(&mut Der),
) -> Result<CertificateDer<'static>, MintError> {
    let serial = random_serial()?;
    let inner = Der::build(|der| {
        der.sequence(|der| {
            der.nest(context_constructed(0), |der| der.integer(&[2])); // version 3
            der.integer(&serial);
            der.nest(crate::der::SEQUENCE, |der| der.raw(key.algorithm()));
            der.raw(issuer);
            der.sequence(|der| {
                Date::of(validity.not_before).write(der);
                Date::of(validity.not_after).write(der);
            });
            der.raw(subject);
            der.raw(public_key);
            der.nest(context_constructed(3), |der| der.sequence(extensions));
        });
    });
    let signature = key.sign(&inner).map_err(MintError::Sign)?;
    let certificate = Der::build(|der| {
        der.sequence(|der| {
            der.raw(&inner);
            der.sequence(|der| der.raw(key.algorithm()));
            der.bit_string(&signature);
        });
    });
    Ok(certificate.into())
}

/// 126 random bits under a leading `01`, which keeps the number positive and its length fixed.
fn random_serial() -> Result<[u8; 16], MintError> {
    let mut serial = [0; 16];
    rand::fill(&mut serial).map_err(|_| MintError::Random)?;
    let [first, ..] = &mut serial;
    *first = *first & 0x3f | 0x40;
    Ok(serial)
}

fn distinguished_name(common_name: Option<&str>, organization: Option<&str>) -> Vec<u8> {
    let attributes = [(COMMON_NAME, common_name), (ORGANIZATION, organization)];
    Der::build(|der| {
        der.sequence(|der| {
            for (oid, text) in attributes.iter().filter_map(|(oid, text)| Some((oid, (*text)?))) {
                der.nest(SET, |der| {
                    der.sequence(|der| {
                        der.oid(oid);
                        der.value(UTF8_STRING, text.as_bytes());
                    });
                });
            }
        });
    })
}

fn extension(der: &mut Der, oid: &[u8], critical: bool, content: impl FnOnce(&mut Der)) {
    der.sequence(|der| {
        der.oid(oid);
        if critical {
            der.boolean_true();
        }
        der.nest(OCTET_STRING, content);
    });
}

fn general_name(der: &mut Der, san: &San) {
    match san {
        San::Dns(name) => der.value(context(2), name.as_bytes()),
        San::Ip(IpAddr::V4(address)) => der.value(context(7), &address.octets()),
        San::Ip(IpAddr::V6(address)) => der.value(context(7), &address.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn a_leaf_is_dated_back_and_ends_with_its_ca() {
        let now = 20_000 * DAY;
        for (ca_ends, from, to) in [
            (now + 3650 * DAY, now - 2 * DAY, now + 197 * DAY),
            (now + 10 * DAY, now - 2 * DAY, now + 10 * DAY),
            (now - 10 * DAY, now - 12 * DAY, now - 10 * DAY), // expired: useless, but well-formed
        ] {
            assert_eq!(Validity::of_leaf(now, ca_ends), Validity { not_before: from, not_after: to });
        }
    }
}
