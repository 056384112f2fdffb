//! Why a handshake failed, in words a user can act on. Pure.
//!
//! The message says what happened and to whom, the cause what was seen on the wire, the hint what to do about it.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, OtherError, PeerIncompatible};
use rustls_pki_types::UnixTime;

use crate::ServerCertError;
use crate::date::Date;
use crate::limits::NAMES_SHOWN_MAX;

/// A failure in words. Shown as the message and, after a colon, the cause.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Explanation {
    /// What happened.
    pub message: String,
    /// What was seen that tells so, if it says more.
    pub cause: Option<String>,
    /// What a user can do.
    pub hint: Option<String>,
}

impl Explanation {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), cause: None, hint: None }
    }

    fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.cause.as_ref().map_or(Ok(()), |cause| write!(f, ": {cause}"))
    }
}

/// How a handshake ended, as the shell sees it.
#[derive(Clone, Copy, Debug)]
pub enum HandshakeFailure<'a> {
    /// TLS says no.
    Tls(&'a Error),
    /// The peer closed or reset the connection in the middle.
    Closed,
    /// The connection failed otherwise.
    Io(&'a io::Error),
}

impl<'a> From<&'a Error> for HandshakeFailure<'a> {
    fn from(error: &'a Error) -> Self {
        Self::Tls(error)
    }
}

/// An I/O error may wrap TLS's (tokio-rustls does so), and several kinds mean that the peer went away.
impl<'a> From<&'a io::Error> for HandshakeFailure<'a> {
    fn from(error: &'a io::Error) -> Self {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            return Self::Tls(tls);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

/// Whom a client that failed us wanted, and what it was given.
#[derive(Clone, Copy, Debug)]
pub struct ClientHandshake<'a> {
    /// The name or address the client believes it talks to.
    pub host: &'a str,
    /// The port of the destination, if the client is to be passed through to one; `None` for TLS to the proxy itself.
    pub port: Option<u16>,
    /// How long after we sent our certificate it failed.
    pub after: Duration,
    /// The file it has to trust ([`Authority::certificate_file`](crate::Authority::certificate_file)).
    pub ca_certificate: &'a Path,
}

impl ClientHandshake<'_> {
    /// `--ignore-hosts '^shop\.test:443$'`: what passes just this host through.
    fn exemption(&self) -> Option<String> {
        let mut pattern = String::from("^");
        for c in self.host.chars() {
            if !c.is_alphanumeric() && !matches!(c, '-' | '_' | ':') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        // No quote can be in it: hosts have none, and if one did, the text would be no shell word.
        (!self.host.contains('\'')).then_some(())?;
        Some(format!("--ignore-hosts '{pattern}:{}$'", self.port?))
    }

    fn pass_through_hint(&self) -> String {
        match self.exemption() {
            Some(flag) => format!("`{flag}` passes such connections through"),
            None => "connect to the proxy without TLS".to_owned(),
        }
    }

    fn trust_hint(&self) -> String {
        let file = self.ca_certificate.display();
        match self.exemption() {
            Some(flag) => format!(
                "install {file} on the client; if the app pins its certificate, `{flag}` passes it through"
            ),
            None => format!("install {file} on the client"),
        }
    }
}

/// Why the handshake with a client failed, the likely cause, and the next step.
pub fn explain_client_failure<'a>(
    failure: impl Into<HandshakeFailure<'a>>,
    handshake: &ClientHandshake<'_>,
) -> Explanation {
    let host = handshake.host;
    let after = format!("after {} ms", handshake.after.as_millis());
    let error = match failure.into() {
        HandshakeFailure::Tls(error) => error,
        HandshakeFailure::Closed => {
            return Explanation::new(format!(
                "client closed the connection during the TLS handshake for `{host}`"
            ))
            .cause(after)
            .hint(format!(
                "if it always does, it may not trust our certificate: {}",
                handshake.trust_hint()
            ));
        }
        HandshakeFailure::Io(error) => {
            return Explanation::new(format!(
                "connection to the client failed during the TLS handshake for `{host}`"
            ))
            .cause(error.to_string());
        }
    };
    match error {
        Error::AlertReceived(alert) => {
            let distrust = Explanation::new(format!("client does not trust our certificate for `{host}`"));
            let explanation = match alert {
                AlertDescription::UnknownCA => distrust.hint(format!(
                    "likely our CA is not installed where this client looks for it: {}",
                    handshake.trust_hint()
                )),
                AlertDescription::CertificateExpired => distrust.hint(
                    "likely the client's clock is wrong: our certificates are valid from two days ago to 197 days from now"
                        .to_owned(),
                ),
                AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRevoked
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::AccessDenied => distrust.hint(format!(
                    "likely the app pins its certificate, or has a list of CAs of its own: {}",
                    handshake.trust_hint()
                )),
                AlertDescription::UnrecognisedName => {
                    Explanation::new(format!("client does not accept the names of our certificate for `{host}`"))
                        .hint(handshake.pass_through_hint())
                }
                AlertDescription::CloseNotify | AlertDescription::UserCanceled => {
                    Explanation::new(format!("client gave up the TLS handshake for `{host}`")).hint(format!(
                        "if it always does, it may not trust our certificate: {}",
                        handshake.trust_hint()
                    ))
                }
                _ => Explanation::new(format!("client refused the TLS handshake for `{host}`")),
            };
            explanation.cause(format!("TLS alert: {} (sent by the client {after})", alert_text(*alert)))
        }
        Error::PeerIncompatible(incompatible) => {
            Explanation::new(format!("client and flowgate have no TLS in common for `{host}`"))
                .cause(incompatible_text(incompatible, "client"))
                .hint(handshake.pass_through_hint())
        }
        Error::NoApplicationProtocol => {
            Explanation::new(format!("client offers no application protocol (ALPN) that `{host}` speaks"))
        }
        Error::InvalidMessage(what) => Explanation::new(format!("client does not speak TLS with `{host}`"))
            .cause(message_text(what))
            .hint(handshake.pass_through_hint()),
        other => Explanation::new(format!("TLS handshake with the client failed for `{host}`"))
            .cause(other.to_string()),
    }
}

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

fn alert_text(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CloseNotify => "close notify".into(),
        AlertDescription::UnexpectedMessage => "unexpected message".into(),
        AlertDescription::HandshakeFailure => "handshake failure (nothing in common)".into(),
        AlertDescription::BadCertificate => "bad certificate".into(),
        AlertDescription::UnsupportedCertificate => "unsupported certificate".into(),
        AlertDescription::CertificateRevoked => "certificate revoked".into(),
        AlertDescription::CertificateExpired => "certificate expired".into(),
        AlertDescription::CertificateUnknown => "certificate unknown".into(),
        AlertDescription::UnknownCA => "unknown certificate authority".into(),
        AlertDescription::AccessDenied => "access denied".into(),
        AlertDescription::DecodeError => "decode error".into(),
        AlertDescription::DecryptError => "decrypt error".into(),
        AlertDescription::ProtocolVersion => "protocol version not supported".into(),
        AlertDescription::InsufficientSecurity => "insufficient security".into(),
        AlertDescription::InternalError => "internal error".into(),
        AlertDescription::UserCanceled => "user canceled".into(),
        AlertDescription::UnrecognisedName => "unrecognized name".into(),
        AlertDescription::CertificateRequired => "certificate required".into(),
        AlertDescription::NoApplicationProtocol => "no application protocol".into(),
        other => format!("{other:?}"),
    }
}

fn incompatible_text(incompatible: &PeerIncompatible, peer: &str) -> String {
    match incompatible {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::SupportedVersionsExtensionRequired => {
            format!("the {peer} speaks neither TLS 1.2 nor TLS 1.3")
        }
        PeerIncompatible::NoCipherSuitesInCommon => "no cipher suite in common".into(),
        PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::NoEcPointFormatsInCommon
        | PeerIncompatible::UncompressedEcPointsRequired => "no key exchange in common".into(),
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired => "no signature algorithm in common".into(),
        other => format!("{other:?}"),
    }
}

fn message_text(invalid: &InvalidMessage) -> String {
    match invalid {
        InvalidMessage::InvalidContentType => "what it sent is no TLS record".into(),
        InvalidMessage::UnknownProtocolVersion => "what it sent has no known TLS version".into(),
        other => format!("invalid TLS message: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls_pki_types::ServerName;

    use super::*;

    fn server(error: impl Into<Error>) -> String {
        explain_server_failure(&error.into(), "shop.test").to_string()
    }

    fn handshake() -> ClientHandshake<'static> {
        ClientHandshake {
            host: "shop.test",
            port: Some(443),
            after: Duration::from_millis(14),
            ca_certificate: Path::new("/c/flowgate-ca-cert.pem"),
        }
    }

    fn client(error: Error) -> Explanation {
        explain_client_failure(&error, &handshake())
    }

    #[test]
    fn the_hint_is_the_exact_flag() {
        let flag = |host, port| ClientHandshake { host, port, ..handshake() }.exemption();
        assert_eq!(flag("api.bank-1.test", Some(443)).unwrap(), r"--ignore-hosts '^api\.bank-1\.test:443$'");
        assert_eq!(flag("2001:db8::1", Some(8443)).unwrap(), "--ignore-hosts '^2001:db8::1:8443$'");
        assert_eq!(flag("a(b*", Some(1)).unwrap(), r"--ignore-hosts '^a\(b\*:1$'");
        assert_eq!(flag("it's", Some(1)), None);
        assert_eq!(flag("proxy.test", None), None);
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

    #[test]
    fn a_client_that_does_not_trust_us() {
        let explanation = client(Error::AlertReceived(AlertDescription::UnknownCA));
        assert_eq!(
            explanation,
            Explanation {
                message: "client does not trust our certificate for `shop.test`".into(),
                cause: Some("TLS alert: unknown certificate authority (sent by the client after 14 ms)".into()),
                hint: Some(
                    "likely our CA is not installed where this client looks for it: install /c/flowgate-ca-cert.pem on \
                     the client; if the app pins its certificate, `--ignore-hosts '^shop\\.test:443$'` passes it through"
                        .into()
                ),
            }
        );
    }

    #[test]
    fn other_clients() {
        for (error, expected) in [
            (
                Error::PeerIncompatible(PeerIncompatible::Tls12NotOfferedOrEnabled),
                "client and flowgate have no TLS in common for `shop.test`: the client speaks neither TLS 1.2 nor \
                 TLS 1.3",
            ),
            (
                Error::NoApplicationProtocol,
                "client offers no application protocol (ALPN) that `shop.test` speaks",
            ),
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                "client refused the TLS handshake for `shop.test`: TLS alert: handshake failure (nothing in common) \
                 (sent by the client after 14 ms)",
            ),
        ] {
            assert_eq!(client(error).to_string(), expected);
        }
    }

    #[test]
    fn io_errors_are_sorted() {
        let tls = io::Error::new(io::ErrorKind::InvalidData, Error::DecryptError);
        assert!(matches!(HandshakeFailure::from(&tls), HandshakeFailure::Tls(Error::DecryptError)));
        for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset] {
            let error = io::Error::from(kind);
            let explanation = explain_client_failure(&error, &handshake());
            assert_eq!(
                explanation.to_string(),
                "client closed the connection during the TLS handshake for `shop.test`: after 14 ms"
            );
            assert!(explanation.hint.unwrap().contains("may not trust our certificate"));
        }
        let error = io::Error::from(io::ErrorKind::TimedOut);
        assert!(matches!(HandshakeFailure::from(&error), HandshakeFailure::Io(_)));
    }
}
