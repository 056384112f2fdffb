//! Writing a PKCS#12 file that holds one certificate and no key (RFC 7292), for systems that import only those.
//!
//! There is no password and nothing secret in it. The same certificate always gives the same bytes, so that a file
//! can be compared with what it should be.
//!
//! Why not a library: `p12-keystore` brings pre-release crates and 20 s of compiling for these few lines of DER.

use aws_lc_rs::{digest, hmac};

use crate::der::{BMP_STRING, Der, OCTET_STRING, SET, context_constructed};

const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
const CERT_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 3];
const X509_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 22, 1];
const FRIENDLY_NAME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 20];
const SHA1: &[u8] = &[0x2b, 14, 3, 2, 26];

/// RFC 7292 appendix B: the purpose "MAC key", the block length of SHA-1, and a number of rounds that is usual.
const MAC_KEY: u8 = 3;
const BLOCK: usize = 64;
const ROUNDS: u16 = 2048;

/// The file's bytes for `certificate` (DER), shown as `name` by the systems that import it.
pub(crate) fn certificate_only(certificate: &[u8], name: &str) -> Vec<u8> {
    let contents = Der::build(|der| {
        der.sequence(|der| content_info(der, &Der::build(|der| safe_contents(der, certificate, name))));
    });
    // Part of the certificate as salt: it need not be secret, only differ between files.
    let salt_source = digest::digest(&digest::SHA256, certificate);
    let salt = salt_source.as_ref().first_chunk::<8>().map_or(&[][..], |head| head);
    let mac = mac(&contents, salt);
    Der::build(|der| {
        der.sequence(|der| {
            der.integer(&[3]);
            content_info(der, &contents);
            der.sequence(|der| {
                der.sequence(|der| {
                    der.sequence(|der| {
                        der.oid(SHA1);
                        der.null();
                    });
                    der.value(OCTET_STRING, &mac);
                });
                der.value(OCTET_STRING, salt);
                der.integer(&ROUNDS.to_be_bytes());
            });
        });
    })
}

fn content_info(der: &mut Der, data: &[u8]) {
    der.sequence(|der| {
        der.oid(DATA);
        der.nest(context_constructed(0), |der| der.value(OCTET_STRING, data));
    });
}

fn safe_contents(der: &mut Der, certificate: &[u8], name: &str) {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
    der.sequence(|der| {
        der.sequence(|der| {
            der.oid(CERT_BAG);
            der.nest(context_constructed(0), |der| {
                der.sequence(|der| {
                    der.oid(X509_CERTIFICATE);
                    der.nest(context_constructed(0), |der| der.value(OCTET_STRING, certificate));
                });
            });
            der.nest(SET, |der| {
                der.sequence(|der| {
                    der.oid(FRIENDLY_NAME);
                    der.nest(SET, |der| der.value(BMP_STRING, &name));
                });
            });
        });
    });
}

/// HMAC under a key derived from the empty password (RFC 7292 appendix B.2 and B.4).
///
/// SHA-1, although it is old: with no password there is nothing to protect, and Apple's and Microsoft's importers
/// refused SHA-256 here for many years.
fn mac(contents: &[u8], salt: &[u8]) -> Vec<u8> {
    // Diversifier, salt filled up to a block, password filled up to a block. The empty password is the two zero bytes
    // that end it, so its block is zero. One round of SHA-1 gives all the key we need.
    let mut input = vec![MAC_KEY; BLOCK];
    input.extend(salt.iter().cycle().take(BLOCK));
    input.extend([0; BLOCK]);
    let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
    let mut key = digest::digest(sha1, &input);
    for _ in 1..ROUNDS {
        key = digest::digest(sha1, key.as_ref());
    }
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_ref());
    hmac::sign(&key, contents).as_ref().to_vec()
}
