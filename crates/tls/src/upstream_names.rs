//! Reading the names of a server's certificate, to put them on our leaf. Verifies nothing.
//!
//! The certificate may be hostile: what is taken over is bounded in number and length, and what is not a name
//! is skipped. A certificate that cannot be read at all has no names.

use std::sync::Arc;

use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use crate::San;
use crate::limits::{SUBJECT_CHARS_MAX, UPSTREAM_NAME_BYTES_MAX, UPSTREAM_NAMES_MAX};

/// Names and organization of a server's certificate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UpstreamNames {
    common_name: Option<String>,
    organization: Option<Arc<str>>,
    sans: Arc<[San]>,
}

impl UpstreamNames {
    /// Reads a certificate (DER). Never fails: what cannot be read is left out.
    pub fn from_der(certificate: &[u8]) -> Self {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Self::default() };
        let subject = certificate.subject();
        let common_name = subject.iter_common_name().find_map(|attribute| attribute.as_str().ok());
        let organization = subject.iter_organization().find_map(|attribute| attribute.as_str().ok());
        let presented =
            certificate.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
                _ => None,
            });
        let sans = presented.flatten().filter_map(san_of);
        Self {
            common_name: common_name.filter(|text| fits_subject(text)).map(Into::into),
            organization: organization.filter(|text| fits_subject(text)).map(Into::into),
            sans: bounded(common_name.and_then(San::of_certificate).into_iter().chain(sans)),
        }
    }

    /// The CN, if it is printable and has at most 64 characters. Not necessarily a name.
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// The O, if it is printable and has at most 64 characters.
    pub fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    /// The names a leaf takes over: the CN, if it is one, then the SANs; each once.
    pub fn sans(&self) -> &[San] {
        &self.sans
    }

    pub(crate) fn shared_sans(&self) -> &Arc<[San]> {
        &self.sans
    }

    pub(crate) fn shared_organization(&self) -> Option<&Arc<str>> {
        self.organization.as_ref()
    }

    #[cfg(test)]
    pub(crate) fn for_test(sans: &[&str], organization: Option<&str>) -> Self {
        let sans = bounded(sans.iter().filter_map(|text| San::of_certificate(text)));
        Self { common_name: None, organization: organization.map(Into::into), sans }
    }
}

fn san_of(name: &GeneralName<'_>) -> Option<San> {
    match name {
        GeneralName::DNSName(text) => San::of_certificate(text),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => <[u8; 4]>::try_from(*octets).ok().map(|octets| San::Ip(octets.into())),
            16 => <[u8; 16]>::try_from(*octets).ok().map(|octets| San::Ip(octets.into())),
            _ => None,
        },
        _ => None,
    }
}

/// Each name once, until one of the limits is reached.
fn bounded(sans: impl Iterator<Item = San>) -> Arc<[San]> {
    let mut kept: Vec<San> = Vec::new();
    let mut bytes = 0;
    // Looked at twice as many as kept at most, so that repeating one name a million times costs nothing.
    for san in sans.take(2 * UPSTREAM_NAMES_MAX) {
        bytes += san.encoded_len();
        if kept.len() == UPSTREAM_NAMES_MAX || bytes > UPSTREAM_NAME_BYTES_MAX {
            break;
        }
        if !kept.contains(&san) {
            kept.push(san);
        }
    }
    kept.into()
}

fn fits_subject(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= SUBJECT_CHARS_MAX && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(cn: &str, organization: Option<&str>, sans: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, cn);
        if let Some(organization) = organization {
            params.distinguished_name.push(DnType::OrganizationName, organization);
        }
        params.subject_alt_names = sans;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(Ia5String::try_from(text).unwrap())
    }

    fn shown(names: &UpstreamNames) -> Vec<String> {
        names.sans().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn reads_cn_organization_and_sans() {
        let email = SanType::Rfc822Name(Ia5String::try_from("a@shop.test").unwrap());
        let sans = vec![
            dns("Shop.test"),
            dns("*.shop.test"),
            email,
            SanType::IpAddress("10.0.0.1".parse().unwrap()),
            SanType::IpAddress("::1".parse().unwrap()),
            dns("shop.test"),
        ];
        let names = UpstreamNames::from_der(&certificate("www.shop.test", Some("Shop Inc."), sans));
        assert_eq!(names.common_name(), Some("www.shop.test"));
        assert_eq!(names.organization(), Some("Shop Inc."));
        assert_eq!(shown(&names), ["www.shop.test", "shop.test", "*.shop.test", "10.0.0.1", "::1"]);
    }

    #[test]
    fn a_cn_that_is_no_name_is_not_taken_over() {
        let names = UpstreamNames::from_der(&certificate("Shop Server 1", None, vec![dns("shop.test")]));
        assert_eq!((names.common_name(), shown(&names)), (Some("Shop Server 1"), vec!["shop.test".into()]));
    }

    #[test]
    fn hostile_names_are_skipped_and_many_are_cut() {
        let mut sans: Vec<_> =
            ["*", "*.*.test", "", "a b", "a\0b", "x\r\nSet-Cookie: y", "<script>"].map(dns).to_vec();
        sans.extend((0..5000).map(|n| dns(&format!("n{n}.test"))));
        let names = UpstreamNames::from_der(&certificate("evil\nname", Some(&"o".repeat(65)), sans));
        assert_eq!((names.common_name(), names.organization()), (None, None));
        assert_eq!(names.sans().len(), UPSTREAM_NAMES_MAX);
        assert_eq!(names.sans()[0].to_string(), "n0.test");
    }

    #[test]
    fn long_names_are_cut_by_their_bytes() {
        let long = |n: usize| dns(&format!("{n:03}.{}", [&*"a".repeat(60); 4].join(".")));
        let names = UpstreamNames::from_der(&certificate("x", None, (0..90).map(long).collect()));
        let bytes: usize = names.sans().iter().map(San::encoded_len).sum();
        assert!(bytes <= UPSTREAM_NAME_BYTES_MAX && bytes > UPSTREAM_NAME_BYTES_MAX - 300, "{bytes}");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            UpstreamNames::from_der(&bytes);
        }

        #[test]
        fn a_damaged_certificate_never_panics(
            flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<proptest::sample::Index>(),
        ) {
            let mut der = certificate("shop.test", Some("Shop"), vec![dns("shop.test"), dns("*.shop.test")]);
            for (at, value) in flips {
                let at = at.index(der.len());
                der[at] = value;
            }
            UpstreamNames::from_der(&der);
            der.truncate(cut.index(der.len()));
            UpstreamNames::from_der(&der);
        }
    }
}
