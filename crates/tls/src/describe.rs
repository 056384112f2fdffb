//! Names of cipher suites and versions as mitmproxy and OpenSSL users know them. Pure.

use std::borrow::Cow;

use rustls::{CipherSuite, ProtocolVersion};

/// OpenSSL's name of a cipher suite, as mitmproxy shows it: `ECDHE-RSA-AES128-GCM-SHA256`, and for TLS 1.3
/// `TLS_AES_128_GCM_SHA256`. Suites we never negotiate keep the IANA name,
/// unknown ones their number.
pub fn openssl_cipher_name(suite: CipherSuite) -> Cow<'static, str> {
    Cow::Borrowed(match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        other => {
            let number = || format!("{:#06x}", u16::from(other));
            return Cow::Owned(other.as_str().map_or_else(number, Into::into));
        }
    })
}

/// A version as mitmproxy writes it: `TLSv1.3`.
pub fn version_name(version: ProtocolVersion) -> Cow<'static, str> {
    Cow::Borrowed(match version {
        ProtocolVersion::SSLv2 => "SSLv2",
        ProtocolVersion::SSLv3 => "SSLv3",
        ProtocolVersion::TLSv1_0 => "TLSv1",
        ProtocolVersion::TLSv1_1 => "TLSv1.1",
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        ProtocolVersion::DTLSv1_0 => "DTLSv1",
        ProtocolVersion::DTLSv1_2 => "DTLSv1.2",
        ProtocolVersion::DTLSv1_3 => "DTLSv1.3",
        other => return Cow::Owned(format!("{:#06x}", u16::from(other))),
    })
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;

    use super::*;

    #[test]
    fn every_suite_we_negotiate_has_openssls_name() {
        for suite in ALL_CIPHER_SUITES {
            let name = openssl_cipher_name(suite.suite());
            assert!(
                name.starts_with("TLS_") && !name.contains("WITH") || name.starts_with("ECDHE-"),
                "{name}"
            );
        }
    }

    #[test]
    fn unknown_numbers_are_shown_as_numbers() {
        assert_eq!(openssl_cipher_name(CipherSuite::Unknown(0xfafa)), "0xfafa");
        assert_eq!(version_name(ProtocolVersion::Unknown(0x0505)), "0x0505");
        assert_eq!(version_name(ProtocolVersion::TLSv1_3), "TLSv1.3");
    }
}
