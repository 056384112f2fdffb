//! Why a handshake with a server failed.

use rustls::{AlertDescription, CertificateError, Error, OtherError};
use rustls_pki_types::UnixTime;

use super::{Explanation, HandshakeFailure, alert_text, incompatible_text, message_text};
use crate::ServerCertError;
use crate::date::Date;
use crate::limits::NAMES_SHOWN_MAX;

/// Why the handshake with a server failed. `host` is the name or address we wanted it to prove.
pub fn explain_server_failure<'a>(failure: impl Into<HandshakeFailure<'a>>, host: &str) -> Explanation {
    let error = match failure.into() {
        HandshakeFailure::Tls(error) => error,
        HandshakeFailure::Closed => {
            return Explanation::new(format!(
                "server `{host}` closed the connection during the TLS handshake"
            ));
        }
        HandshakeFailure::Io(error) => {
            return Explanation::new(format!(
                "connection to server `{host}` failed during the TLS handshake"
            ))
            .cause(error.to_string());
        }
    };
    match error {
        Error::InvalidCertificate(error) => explain_certificate(error, host),
        Error::InvalidMessage(what) => {
            Explanation::new(format!("server `{host}` does not speak TLS")).cause(message_text(what))
        }
        Error::AlertReceived(alert) => {
            let explanation = Explanation::new(format!("server `{host}` refused the TLS handshake"))
                .cause(format!("TLS alert: {}", alert_text(*alert)));
            match alert {
                AlertDescription::ProtocolVersion => explanation.hint(VERSIONS_HINT),
                AlertDescription::CertificateRequired => {
                    explanation.hint("it asks for a client certificate: set `client_certs`")
                }
                AlertDescription::UnrecognisedName => {
                    explanation.hint(format!("it has no site called `{host}`: check the name"))
                }
                _ => explanation,
            }
        }
        Error::PeerIncompatible(incompatible) => {
            Explanation::new(format!("server `{host}` and flowgate have no TLS in common"))
                .cause(incompatible_text(incompatible, "server"))
                .hint(VERSIONS_HINT)
        }
        Error::NoCertificatesPresented => Explanation::new(format!("server `{host}` sent no certificate")),
        other => {
            Explanation::new(format!("TLS handshake with server `{host}` failed")).cause(other.to_string())
        }
    }
}

const VERSIONS_HINT: &str = "flowgate speaks TLS 1.2 and 1.3 with ECDHE; older servers can be passed through with \
    `ignore_hosts`";

fn explain_certificate(error: &CertificateError, host: &str) -> Explanation {
    let rejected = |cause: String| {
        Explanation::new(format!("certificate of server `{host}` cannot be trusted"))
            .cause(cause)
            .hint("set `ssl_insecure` to go on without verification")
    };
    let trust_issuer = |cause: &str| {
        rejected(cause.into()).hint(
            "if you trust it, name its CA certificate with `ssl_verify_upstream_trusted_ca`; `ssl_insecure` turns \
             verification off",
        )
    };
    match error {
        CertificateError::Expired => rejected("it has expired".into()),
        CertificateError::ExpiredContext { not_after, .. } => {
            rejected(format!("it expired on {}", day(*not_after)))
        }
        CertificateError::NotValidYet => rejected("it is not valid yet".into()),
        CertificateError::NotValidYetContext { not_before, .. } => {
            rejected(format!("it is not valid before {}", day(*not_before)))
                .hint("check the clock of this machine")
        }
        CertificateError::NotValidForName => rejected(format!("it is not valid for `{host}`")),
        CertificateError::NotValidForNameContext { presented, .. } => {
            rejected(format!("it is not valid for `{host}` ({})", valid_for(presented)))
        }
        CertificateError::UnknownIssuer => trust_issuer("its issuer is unknown"),
        CertificateError::Revoked => rejected("it was revoked".into()),
        CertificateError::BadEncoding => rejected("it is not well-formed".into()),
        CertificateError::BadSignature => rejected("its signature was not made with its issuer's key".into()),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            rejected("it is not meant for servers".into())
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            rejected("its signature algorithm is outdated or unknown".into())
        }
        CertificateError::Other(OtherError(inner)) => match inner.downcast_ref() {
            Some(ServerCertError::SelfSigned) => trust_issuer("it is self-signed"),
            Some(ServerCertError::UnknownIssuer { issuer }) => {
                trust_issuer(&format!("its issuer `{issuer}` is unknown"))
            }
            Some(reason @ ServerCertError::NoRoots) => rejected(reason.to_string()).hint(
                "install the package `ca-certificates`, or name trusted certificates with \
                 `ssl_verify_upstream_trusted_ca`",
            ),
            None => rejected(inner.to_string()),
        },
        other => rejected(other.to_string()),
    }
}

/// `valid for a.test, b.test and 7 more`. The names come as `DnsName("a.test")` and `IpAddress(10.0.0.1)`, with
/// what is odd in them escaped.
fn valid_for(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
        inner.trim_matches('"').to_owned()
    };
    let shown: Vec<_> = presented.iter().take(NAMES_SHOWN_MAX).map(bare).collect();
    match presented.len().saturating_sub(shown.len()) {
        0 if shown.is_empty() => "it names no host".into(),
        0 => format!("valid for {}", shown.join(", ")),
        more => format!("valid for {} and {more} more", shown.join(", ")),
    }
}

fn day(time: UnixTime) -> Date {
    Date::of(time.as_secs())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::{InvalidMessage, PeerIncompatible};
    use rustls_pki_types::ServerName;

    use super::*;

    fn server(error: impl Into<Error>) -> String {
        explain_server_failure(&error.into(), "shop.test").to_string()
    }

    fn other(error: ServerCertError) -> CertificateError {
        CertificateError::Other(OtherError(Arc::new(error)))
    }

    #[test]
    fn servers() {
        let time = |days: u64| UnixTime::since_unix_epoch(Duration::from_secs(days * 86_400));
        let untrusted = "certificate of server `shop.test` cannot be trusted";
        let presented = |names: &[&str]| CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("shop.test").unwrap(),
            presented: names.iter().map(|name| (*name).into()).collect(),
        };
        for (error, expected) in [
            (
                CertificateError::ExpiredContext { time: time(20_000), not_after: time(19_000) },
                "it expired on 2022-01-08",
            ),
            (
                CertificateError::NotValidYetContext { time: time(19_000), not_before: time(20_000) },
                "it is not valid before 2024-10-04",
            ),
            (presented(&[]), "it is not valid for `shop.test` (it names no host)"),
            (
                presented(&["DnsName(\"a.test\")", "IpAddress(10.0.0.1)"]),
                "it is not valid for `shop.test` (valid for a.test, 10.0.0.1)",
            ),
            (
                presented(&["DnsName(\"a.test\")"; 9]),
                "it is not valid for `shop.test` (valid for a.test, a.test, a.test, a.test and 5 more)",
            ),
            (CertificateError::UnknownIssuer, "its issuer is unknown"),
            (other(ServerCertError::SelfSigned), "it is self-signed"),
            (
                other(ServerCertError::UnknownIssuer { issuer: "Corp CA".into() }),
                "its issuer `Corp CA` is unknown",
            ),
            (other(ServerCertError::NoRoots), "this system has no trusted root certificates"),
        ] {
            assert_eq!(server(error), format!("{untrusted}: {expected}"));
        }
        assert_eq!(
            server(InvalidMessage::InvalidContentType),
            "server `shop.test` does not speak TLS: what it sent is no TLS record"
        );
        assert_eq!(
            server(Error::AlertReceived(AlertDescription::ProtocolVersion)),
            "server `shop.test` refused the TLS handshake: TLS alert: protocol version not supported"
        );
        assert_eq!(
            server(PeerIncompatible::ServerDoesNotSupportTls12Or13),
            "server `shop.test` and flowgate have no TLS in common: the server speaks neither TLS 1.2 nor TLS 1.3"
        );
    }
}
