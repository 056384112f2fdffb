//! What is spoken on one side: versions, cipher suites, curves. From options to rustls.

use std::sync::Arc;

use flowgate_options::TlsVersion;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::{
    CipherSuite, NamedGroup, ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion, version,
};

use crate::ciphers;
use crate::option_error::{TlsOptionError, TlsOptionFault};

/// Whom we speak with; decides which options errors name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// Clients; we are the server there.
    Client,
    /// Servers.
    Server,
}

/// What the options of one side say.
#[derive(Clone, Copy, Debug)]
pub struct ProtocolOptions<'a> {
    /// The lowest version (mitmproxy: `tls_version_client_min`, `tls_version_server_min`).
    pub min: TlsVersion,
    /// The highest version (mitmproxy: `tls_version_client_max`, `tls_version_server_max`).
    pub max: TlsVersion,
    /// A list of OpenSSL (mitmproxy: `ciphers_client`, `ciphers_server`).
    pub ciphers: Option<&'a str>,
    /// The only curve (mitmproxy: `tls_ecdh_curve_client`, `tls_ecdh_curve_server`).
    pub curve: Option<&'a str>,
}

/// Versions, cipher suites and curves of one side.
#[derive(Clone, Debug)]
pub struct Protocol {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    /// Whether our order of suites counts as a server, and not the client's.
    pub(crate) own_order: bool,
    /// Whether a certificate with an RSA key is needed for what is chosen of TLS 1.2.
    pub(crate) needs_rsa: bool,
    notes: Vec<String>,
}

impl Default for Protocol {
    /// All that rustls has.
    fn default() -> Self {
        Self {
            provider: Arc::new(aws_lc_rs::default_provider()),
            versions: vec![&version::TLS13, &version::TLS12],
            own_order: false,
            needs_rsa: false,
            notes: Vec::new(),
        }
    }
}

impl Side {
    const fn names(self) -> [&'static str; 4] {
        match self {
            Self::Client => [
                "tls_version_client_min",
                "tls_version_client_max",
                "ciphers_client",
                "tls_ecdh_curve_client",
            ],
            Self::Server => [
                "tls_version_server_min",
                "tls_version_server_max",
                "ciphers_server",
                "tls_ecdh_curve_server",
            ],
        }
    }
}

impl Protocol {
    /// What the options of a side come to.
    ///
    /// # Errors
    /// When one of them asks for what rustls does not have, or nothing is left.
    pub fn new(side: Side, options: ProtocolOptions<'_>) -> Result<Self, TlsOptionError> {
        let [min_name, max_name, ciphers_name, curve_name] = side.names();
        let mut protocol = Self::default();
        for (name, version) in [(min_name, options.min), (max_name, options.max)] {
            if matches!(version, TlsVersion::Ssl3 | TlsVersion::Tls1 | TlsVersion::Tls1_1) {
                return Err(TlsOptionError::of(name, TlsOptionFault::Version { word: version.word() }));
            }
        }
        protocol.versions.retain(|version| is_within(version, options.min, options.max));
        if protocol.versions.is_empty() {
            let (min, max) = (options.min.word(), options.max.word());
            return Err(TlsOptionError::of(min_name, TlsOptionFault::NoVersion { min, max }));
        }
        let mut provider = aws_lc_rs::default_provider();
        if let Some(list) = options.ciphers {
            let list = ciphers::parse(list).map_err(|(column, fault)| TlsOptionError {
                column,
                ..TlsOptionError::of(ciphers_name, fault)
            })?;
            let note =
                |word| format!("{ciphers_name}: {word} has no effect: it cannot be chosen, or is not spoken");
            protocol.notes = list.without_effect.iter().map(note).collect();
            protocol.own_order = true;
            protocol.needs_rsa = protocol.speaks(ProtocolVersion::TLSv1_2)
                && !list.suites.iter().any(|suite| suite.as_str().is_some_and(|name| name.contains("ECDSA")));
            provider.cipher_suites = chosen(&provider.cipher_suites, &list.suites);
        }
        if side == Side::Server {
            provider.cipher_suites.sort_by_key(|suite| wish(*suite, options.ciphers.is_some()));
        }
        if let Some(word) = options.curve {
            let group = curve(word).ok_or_else(|| {
                TlsOptionError::of(curve_name, TlsOptionFault::Curve { word: word.to_owned() })
            })?;
            provider.kx_groups = vec![group];
        }
        protocol.provider = Arc::new(provider);
        Ok(protocol)
    }

    /// What is worth knowing of the options, a line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn speaks(&self, version: ProtocolVersion) -> bool {
        self.versions.iter().any(|spoken| spoken.version == version)
    }
}

fn is_within(version: &SupportedProtocolVersion, min: TlsVersion, max: TlsVersion) -> bool {
    let word = match version.version {
        ProtocolVersion::TLSv1_2 => TlsVersion::Tls1_2,
        _ => TlsVersion::Tls1_3,
    };
    (min == TlsVersion::Unbounded || min <= word) && (max == TlsVersion::Unbounded || word <= max)
}

/// The suites of TLS 1.3 as they are, and those of TLS 1.2 as listed.
fn chosen(all: &[SupportedCipherSuite], list: &[CipherSuite]) -> Vec<SupportedCipherSuite> {
    let of_1_3 = all.iter().filter(|suite| suite.tls13().is_some()).copied();
    let listed = list.iter().filter_map(|wanted| all.iter().find(|suite| suite.suite() == *wanted)).copied();
    of_1_3.chain(listed).collect()
}

/// Where a suite stands among those that servers are asked for: AES with keys of 128 bits comes first of each version, as in
/// browsers, since its hash is SHA-256. SHA-384 makes the handshakes of a connection take 8 % more of our time (W3 of the bench: 442 and 409 us). What was `listed` of TLS 1.2 stays in its
/// order.
fn wish(suite: SupportedCipherSuite, listed: bool) -> (bool, bool) {
    let small = [
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ];
    let old = suite.tls13().is_none();
    (old, !(small.contains(&suite.suite()) || old && listed))
}

/// A curve by the names that OpenSSL and SECG have for it.
fn curve(word: &str) -> Option<&'static dyn SupportedKxGroup> {
    let wanted = match word {
        "prime256v1" | "secp256r1" | "P-256" => NamedGroup::secp256r1,
        "secp384r1" | "P-384" => NamedGroup::secp384r1,
        "X25519" | "x25519" => NamedGroup::X25519,
        _ => return None,
    };
    aws_lc_rs::ALL_KX_GROUPS.iter().copied().find(|group| group.name() == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(side: Side, min: &str, max: &str, ciphers: Option<&str>, curve: Option<&str>) -> String {
        const ALL: [TlsVersion; 6] = [
            TlsVersion::Unbounded,
            TlsVersion::Ssl3,
            TlsVersion::Tls1,
            TlsVersion::Tls1_1,
            TlsVersion::Tls1_2,
            TlsVersion::Tls1_3,
        ];
        let version = |word: &str| ALL.into_iter().find(|version| version.word() == word).unwrap();
        let options = ProtocolOptions { min: version(min), max: version(max), ciphers, curve };
        match Protocol::new(side, options) {
            Ok(protocol) => {
                let versions: Vec<_> =
                    protocol.versions.iter().map(|spoken| crate::version_name(spoken.version)).collect();
                format!("{} {}", versions.join(" "), protocol.provider.cipher_suites.len())
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn versions() {
        use Side::{Client, Server};
        for (side, min, max, expected) in [
            (Client, "TLS1_2", "UNBOUNDED", "TLSv1.3 TLSv1.2 9"),
            (Client, "UNBOUNDED", "UNBOUNDED", "TLSv1.3 TLSv1.2 9"),
            (Server, "TLS1_2", "TLS1_2", "TLSv1.2 9"),
            (Server, "TLS1_3", "UNBOUNDED", "TLSv1.3 9"),
            (Server, "TLS1_3", "TLS1_3", "TLSv1.3 9"),
            (
                Client,
                "TLS1",
                "UNBOUNDED",
                "tls_version_client_min: TLS1 is not spoken: flowgate has TLS 1.2 and 1.3",
            ),
            (
                Server,
                "TLS1_2",
                "TLS1_1",
                "tls_version_server_max: TLS1_1 is not spoken: flowgate has TLS 1.2 and 1.3",
            ),
            (
                Server,
                "TLS1_3",
                "TLS1_2",
                "tls_version_server_min: no version is left between TLS1_3 and TLS1_2",
            ),
        ] {
            assert_eq!(shown(side, min, max, None, None), expected, "{min} {max}");
        }
    }

    #[test]
    fn suites_and_curves() {
        let of = |ciphers, curve| shown(Side::Client, "TLS1_2", "UNBOUNDED", ciphers, curve);
        assert_eq!(of(Some("ECDHE-RSA-AES128-GCM-SHA256"), Some("prime256v1")), "TLSv1.3 TLSv1.2 4");
        assert!(
            of(Some("ALL:XYZ"), None).starts_with("ciphers_client at column 5: `XYZ` is no cipher suite")
        );
        assert!(of(None, Some("secp521r1")).starts_with("tls_ecdh_curve_client: `secp521r1` is no curve"));
    }

    #[test]
    fn servers_are_asked_for_small_keys_first_and_clients_choose_themselves() {
        let order = |side, ciphers: Option<&str>| {
            let options =
                ProtocolOptions { min: TlsVersion::Tls1_2, max: TlsVersion::Unbounded, ciphers, curve: None };
            let protocol = Protocol::new(side, options).unwrap();
            let suites = protocol.provider.cipher_suites.iter();
            (
                suites
                    .map(|suite| crate::openssl_cipher_name(suite.suite()).into_owned())
                    .collect::<Vec<_>>(),
                protocol.own_order,
            )
        };
        let (servers, _) = order(Side::Server, None);
        let of_1_3 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
        let small = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"];
        assert_eq!(servers[..5], [&of_1_3[..], &small[..]].concat());
        let listed = ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"];
        let listed_text = listed.join(":");
        let (servers, _) = order(Side::Server, Some(&listed_text));
        assert_eq!(servers, [&of_1_3[..], &listed[..]].concat());
        let (clients, own_order) = order(Side::Client, None);
        assert_eq!((clients[0].as_str(), own_order), ("TLS_AES_256_GCM_SHA384", false));
    }

    #[test]
    fn a_certificate_of_rsa_is_needed_where_no_suite_takes_another() {
        let needs = |min, ciphers| {
            let options =
                ProtocolOptions { min, max: TlsVersion::Unbounded, ciphers: Some(ciphers), curve: None };
            Protocol::new(Side::Client, options).unwrap().needs_rsa
        };
        assert!(needs(TlsVersion::Tls1_2, "aRSA"));
        assert!(!needs(TlsVersion::Tls1_2, "ALL"));
        assert!(!needs(TlsVersion::Tls1_3, "aRSA"));
    }
}
