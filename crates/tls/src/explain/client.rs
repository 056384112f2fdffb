//! Why a handshake with a client failed, or why the client left as soon as it was finished.

use std::path::Path;
use std::time::Duration;

use rustls::{AlertDescription, Error};

use super::{Explanation, HandshakeFailure, alert_text, incompatible_text, message_text};
use crate::limits::{BACKDATED, LEAF_LIFETIME};

/// Whom a client that failed us wanted, and what it was given.
#[derive(Clone, Copy, Debug)]
pub struct ClientHandshake<'a> {
    /// The name or address the client believes it talks to.
    pub host: &'a str,
    /// The port of the destination, if the client is to be passed through to one; `None` for TLS to the proxy itself.
    pub port: Option<u16>,
    /// How long after the handshake began it failed.
    pub after: Duration,
    /// Whether the handshake was finished then. Many programs look at certificates only afterwards: GnuTLS's, and those that pin.
    pub finished: bool,
    /// The file it has to trust ([`Authority::certificate_file`](crate::Authority::certificate_file)).
    pub ca_certificate: &'a Path,
}

/// What passes just one host through, in the two ways there are.
struct Exemption {
    /// `--ignore-hosts '^shop\.test:443$'`
    flag: String,
    /// `name = "shop.test"`, `port = 443`, `action = "pass"`
    rule: String,
}

impl ClientHandshake<'_> {
    fn exemption(&self) -> Option<Exemption> {
        let (host, port) = (self.host, self.port?);
        // Hosts have no such characters, and if one did, the texts would be no shell word and no TOML.
        if host.contains(|c: char| matches!(c, '\'' | '"' | '\\') || c.is_control()) {
            return None;
        }
        let mut pattern = String::from("^");
        for c in host.chars() {
            if !c.is_alphanumeric() && !matches!(c, '-' | '_' | ':') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        Some(Exemption {
            flag: format!("--ignore-hosts '{pattern}:{port}$'"),
            rule: format!("`name = \"{host}\"`, `port = {port}`, `action = \"pass\"`"),
        })
    }

    fn pass_through_hint(&self) -> String {
        match self.exemption() {
            Some(Exemption { flag, rule }) => {
                format!("`{flag}`, or a rule with {rule}, passes such connections through")
            }
            None => "connect to the proxy without TLS".to_owned(),
        }
    }

    fn trust_hint(&self) -> String {
        let file = self.ca_certificate.display();
        match self.exemption() {
            Some(Exemption { flag, rule }) => format!(
                "install {file} on the client; if the app pins its certificate, `{flag}`, or a rule with {rule}, passes it \
                 through"
            ),
            None => format!("install {file} on the client"),
        }
    }

    /// What an alert about our certificate probably means, and what to do. `None` if it is about something else.
    fn distrust_hint(&self, alert: AlertDescription) -> Option<String> {
        const DAY: u64 = 86_400;
        let (past, future) = (BACKDATED.as_secs() / DAY, LEAF_LIFETIME.as_secs() / DAY);
        let likely = match alert {
            AlertDescription::UnknownCA => {
                "our CA is not installed where this client looks for it".to_owned()
            }
            // Chromium and Android send it for whatever they do not like.
            AlertDescription::CertificateUnknown => {
                "our CA is not installed where this client looks for it, or the app pins its certificate"
                    .to_owned()
            }
            // OpenSSL: another name, or not valid yet; Go: anything.
            AlertDescription::BadCertificate => format!(
                "the app pins its certificate, wants another name than `{}`, has a clock that is more than {past} days \
                 behind, or looks for our CA where it is not installed",
                self.host
            ),
            AlertDescription::CertificateExpired => {
                return Some(format!(
                    "likely the client's clock is wrong: our certificates are valid from {past} days ago to {future} days \
                     from now"
                ));
            }
            AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied => {
                "the app pins its certificate, or has a list of CAs of its own".to_owned()
            }
            _ => return None,
        };
        Some(format!("likely {likely}: {}", self.trust_hint()))
    }

    fn explain_alert(&self, alert: AlertDescription) -> Explanation {
        let host = self.host;
        let explanation = if let Some(hint) = self.distrust_hint(alert) {
            Explanation::new(format!("client does not trust our certificate for `{host}`")).hint(hint)
        } else {
            match alert {
                AlertDescription::UnrecognisedName => Explanation::new(format!(
                    "client does not accept the names of our certificate for `{host}`"
                ))
                .hint(self.pass_through_hint()),
                AlertDescription::CloseNotify | AlertDescription::UserCanceled => Explanation::new(format!(
                    "client gave up the TLS handshake for `{host}`"
                ))
                .hint(format!("if it always does, it may not trust our certificate: {}", self.trust_hint())),
                _ => Explanation::new(format!("client refused the TLS handshake for `{host}`")),
            }
        };
        let when = self.when();
        explanation.cause(format!("TLS alert: {} (sent by the client {when})", alert_text(alert)))
    }

    /// When it failed.
    fn when(&self) -> String {
        let finished = if self.finished { ", when the handshake was finished" } else { "" };
        format!("after {} ms{finished}", self.after.as_millis())
    }
}

/// Why the handshake with a client failed, or why the client left when it was finished; the likely cause, and the next step.
pub fn explain_client_failure<'a>(
    failure: impl Into<HandshakeFailure<'a>>,
    handshake: &ClientHandshake<'_>,
) -> Explanation {
    let host = handshake.host;
    let error = match failure.into() {
        HandshakeFailure::Tls(error) => error,
        HandshakeFailure::Closed if handshake.finished => {
            return Explanation::new(format!(
                "client left as soon as its TLS with `{host}` stood, without a word"
            ))
            .cause(format!("after {} ms", handshake.after.as_millis()))
            .hint(format!(
                "if it always does, it looks at our certificate only then, and does not trust it: {}",
                handshake.trust_hint()
            ));
        }
        HandshakeFailure::Closed => {
            return Explanation::new(format!(
                "client closed the connection during the TLS handshake for `{host}`"
            ))
            .cause(handshake.when())
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
        Error::AlertReceived(alert) => handshake.explain_alert(*alert),
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

#[cfg(test)]
mod tests {
    use std::io;

    use expect_test::expect;
    use rustls::PeerIncompatible;

    use super::*;

    fn handshake() -> ClientHandshake<'static> {
        ClientHandshake {
            host: "shop.test",
            port: Some(443),
            after: Duration::from_millis(14),
            finished: false,
            ca_certificate: Path::new("/c/flowgate-ca-cert.pem"),
        }
    }

    /// The message, and the hint on a line of its own.
    fn told(explanation: &Explanation) -> String {
        let hint = explanation.hint.as_ref().map(|hint| format!("\n{hint}")).unwrap_or_default();
        format!("{explanation}{hint}")
    }

    fn client(error: &Error) -> String {
        told(&explain_client_failure(error, &handshake()))
    }

    fn alert(alert: AlertDescription) -> String {
        client(&Error::AlertReceived(alert))
    }

    #[test]
    fn the_hint_is_the_exact_flag_and_rule() {
        let exemption = |host, port| {
            let exemption = ClientHandshake { host, port, ..handshake() }.exemption()?;
            Some(format!("{} | {}", exemption.flag, exemption.rule))
        };
        assert_eq!(
            exemption("api.bank-1.test", Some(443)).unwrap(),
            r#"--ignore-hosts '^api\.bank-1\.test:443$' | `name = "api.bank-1.test"`, `port = 443`, `action = "pass"`"#
        );
        assert_eq!(
            exemption("2001:db8::1", Some(8443)).unwrap(),
            r#"--ignore-hosts '^2001:db8::1:8443$' | `name = "2001:db8::1"`, `port = 8443`, `action = "pass"`"#
        );
        assert!(exemption("a(b*", Some(1)).unwrap().starts_with(r"--ignore-hosts '^a\(b\*:1$'"));
        for host in ["it's", "a\"b", "a\\b", "a\nb"] {
            assert_eq!(exemption(host, Some(1)), None, "{host:?}");
        }
        assert_eq!(exemption("proxy.test", None), None);
    }

    #[test]
    fn a_client_that_does_not_trust_us() {
        expect![[r#"
            client does not trust our certificate for `shop.test`: TLS alert: unknown certificate authority (sent by the client after 14 ms)
            likely our CA is not installed where this client looks for it: install /c/flowgate-ca-cert.pem on the client; if the app pins its certificate, `--ignore-hosts '^shop\.test:443$'`, or a rule with `name = "shop.test"`, `port = 443`, `action = "pass"`, passes it through"#]].assert_eq(&alert(AlertDescription::UnknownCA));
        expect![[r#"
            client does not trust our certificate for `shop.test`: TLS alert: certificate unknown (sent by the client after 14 ms)
            likely our CA is not installed where this client looks for it, or the app pins its certificate: install /c/flowgate-ca-cert.pem on the client; if the app pins its certificate, `--ignore-hosts '^shop\.test:443$'`, or a rule with `name = "shop.test"`, `port = 443`, `action = "pass"`, passes it through"#]].assert_eq(&alert(AlertDescription::CertificateUnknown));
        expect![[r#"
            client does not trust our certificate for `shop.test`: TLS alert: bad certificate (sent by the client after 14 ms)
            likely the app pins its certificate, wants another name than `shop.test`, has a clock that is more than 2 days behind, or looks for our CA where it is not installed: install /c/flowgate-ca-cert.pem on the client; if the app pins its certificate, `--ignore-hosts '^shop\.test:443$'`, or a rule with `name = "shop.test"`, `port = 443`, `action = "pass"`, passes it through"#]].assert_eq(&alert(AlertDescription::BadCertificate));
        expect![[r#"
            client does not trust our certificate for `shop.test`: TLS alert: certificate expired (sent by the client after 14 ms)
            likely the client's clock is wrong: our certificates are valid from 2 days ago to 197 days from now"#]].assert_eq(&alert(AlertDescription::CertificateExpired));
        expect![[r#"
            client does not trust our certificate for `shop.test`: TLS alert: access denied (sent by the client after 14 ms)
            likely the app pins its certificate, or has a list of CAs of its own: install /c/flowgate-ca-cert.pem on the client; if the app pins its certificate, `--ignore-hosts '^shop\.test:443$'`, or a rule with `name = "shop.test"`, `port = 443`, `action = "pass"`, passes it through"#]].assert_eq(&alert(AlertDescription::AccessDenied));
    }

    #[test]
    fn a_client_that_changes_its_mind() {
        let finished = ClientHandshake { finished: true, ..handshake() };
        let error = Error::AlertReceived(AlertDescription::BadCertificate);
        expect!["client does not trust our certificate for `shop.test`: TLS alert: bad certificate (sent by the client after 14 ms, when the handshake was finished)"].assert_eq(&explain_client_failure(&error, &finished).to_string());
        expect![[r#"
            client left as soon as its TLS with `shop.test` stood, without a word: after 14 ms
            if it always does, it looks at our certificate only then, and does not trust it: install /c/flowgate-ca-cert.pem on the client; if the app pins its certificate, `--ignore-hosts '^shop\.test:443$'`, or a rule with `name = "shop.test"`, `port = 443`, `action = "pass"`, passes it through"#]].assert_eq(&told(&explain_client_failure(HandshakeFailure::Closed, &finished)));
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
            assert_eq!(client(&error).lines().next().unwrap(), expected);
        }
    }

    #[test]
    fn a_client_that_is_gone() {
        for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset] {
            let error = io::Error::from(kind);
            let explanation = explain_client_failure(&error, &handshake());
            assert_eq!(
                explanation.to_string(),
                "client closed the connection during the TLS handshake for `shop.test`: after 14 ms"
            );
            assert!(explanation.hint.unwrap().contains("may not trust our certificate"));
        }
    }
}
