//! Why a handshake failed, in words a user can act on. Pure.
//!
//! The message says what happened and to whom, the cause what was seen on the wire, the hint what to do about it. Here is what
//! both sides have in common.

mod client;
mod server;

use std::fmt;
use std::io;

use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible};

pub use client::{ClientHandshake, explain_client_failure};
pub use server::explain_server_failure;

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
    use super::*;

    #[test]
    fn io_errors_are_sorted() {
        let tls = io::Error::new(io::ErrorKind::InvalidData, Error::DecryptError);
        assert!(matches!(HandshakeFailure::from(&tls), HandshakeFailure::Tls(Error::DecryptError)));
        for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset] {
            assert!(matches!(HandshakeFailure::from(&io::Error::from(kind)), HandshakeFailure::Closed));
        }
        let error = io::Error::from(io::ErrorKind::TimedOut);
        assert!(matches!(HandshakeFailure::from(&error), HandshakeFailure::Io(_)));
    }
}
