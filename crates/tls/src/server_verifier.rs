//! Whether a server is who it should be: its certificate against the system's roots and the user's own.
//!
//! The roots are read when the first server is met, not at the start. Invariant: no roots means that nobody is trusted,
//! and the reason says so; it is never a panic and never trust.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use crate::limits::SUBJECT_CHARS_MAX;

/// Reasons that rustls has no word for. Inside of [`CertificateError::Other`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerCertError {
    /// Signed by its own key, and not among the user's trusted certificates.
    #[error("self-signed certificate")]
    SelfSigned,
    /// Signed by somebody we do not know, or the server left out the certificates in between.
    #[error("unknown issuer {issuer:?}")]
    UnknownIssuer {
        /// CN or O of the issuer, printable characters only.
        issuer: String,
    },
    /// There is not one root certificate to compare with.
    #[error("this system has no trusted root certificates")]
    NoRoots,
}

/// Verifies servers with webpki.
#[derive(Debug)]
pub(crate) struct ServerVerifier {
    provider: Arc<CryptoProvider>,
    /// The user's own trusted certificates. One of them may also be a server's certificate itself.
    extra: Vec<CertificateDer<'static>>,
    roots: OnceLock<Roots>,
    system_roots: SystemRoots,
}

/// The roots in use.
#[derive(Debug)]
struct Roots {
    count: usize,
    /// `None`: there are no roots, which webpki does not allow.
    webpki: Option<Arc<WebPkiServerVerifier>>,
}

/// Where the roots beside the user's own come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SystemRoots {
    /// The operating system's, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    Native,
    /// There are none.
    #[cfg(test)]
    None,
}

impl ServerVerifier {
    pub(crate) fn new(
        provider: Arc<CryptoProvider>,
        extra: Vec<CertificateDer<'static>>,
        system_roots: SystemRoots,
    ) -> Self {
        Self { provider, extra, roots: OnceLock::new(), system_roots }
    }

    /// How many roots are trusted. Reads them, if nobody has yet.
    pub(crate) fn roots_count(&self) -> usize {
        self.roots().count
    }

    fn roots(&self) -> &Roots {
        self.roots.get_or_init(|| {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(self.extra.iter().cloned());
            if self.system_roots == SystemRoots::Native {
                // Files that cannot be read or parsed are left out: what is missing shows as an unknown issuer.
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            let count = store.len();
            let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(store), self.provider.clone());
            Roots { count, webpki: builder.build().ok() }
        })
    }

    /// A server's certificate that the user named as trusted needs no issuer. webpki alone would refuse the usual
    /// self-signed one, because it is marked as a CA's; OpenSSL and mitmproxy accept it.
    fn is_named_by_user(
        &self,
        end_entity: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<bool, Error> {
        if !self.extra.contains(end_entity) {
            return Ok(false);
        }
        let Ok((_, parsed)) = X509Certificate::from_der(end_entity) else { return Ok(false) };
        let seconds = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
        let not_before = seconds(parsed.validity().not_before);
        let not_after = seconds(parsed.validity().not_after);
        let unix = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        if now.as_secs() < not_before {
            let not_before = unix(not_before);
            return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
        }
        if now.as_secs() > not_after {
            return Err(CertificateError::ExpiredContext { time: now, not_after: unix(not_after) }.into());
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
        Ok(true)
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.is_named_by_user(end_entity, server_name, now)? {
            return Ok(ServerCertVerified::assertion());
        }
        let Some(webpki) = &self.roots().webpki else { return Err(reason(ServerCertError::NoRoots)) };
        webpki
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(|error| explained(error, end_entity, intermediates))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies nothing (`ssl_insecure`), not even that the server has the certificate's key: certificates too odd for
/// webpki must work as well, and who is not authenticated gains nothing by proving a key.
#[derive(Debug)]
pub(crate) struct AcceptAny(pub(crate) Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn reason(error: ServerCertError) -> Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

/// Says more than "unknown issuer" where the certificates do.
fn explained(error: Error, end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Error {
    if !is_about_issuer(&error) {
        return error;
    }
    // The topmost certificate that the server sent names the issuer we would have to know.
    let top = intermediates.last().unwrap_or(end_entity);
    let Ok((_, end)) = X509Certificate::from_der(end_entity) else { return error };
    let Ok((_, top)) = X509Certificate::from_der(top) else { return error };
    if end.subject().as_raw() == end.issuer().as_raw() {
        return reason(ServerCertError::SelfSigned);
    }
    match shown(top.issuer()) {
        Some(issuer) => reason(ServerCertError::UnknownIssuer { issuer }),
        None => error,
    }
}

/// webpki refuses a CA's certificate as a server's before it looks for the issuer. A self-signed one is what is meant.
fn is_about_issuer(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
        }
        _ => false,
    }
}

/// CN or O, printable and short. The server chose these bytes.
fn shown(name: &X509Name<'_>) -> Option<String> {
    let attribute = name.iter_common_name().chain(name.iter_organization()).find_map(|a| a.as_str().ok())?;
    Some(attribute.chars().filter(|c| !c.is_control()).take(SUBJECT_CHARS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs;

    use super::*;

    #[test]
    fn without_any_roots_nobody_is_trusted_and_the_reason_says_so() {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = ServerVerifier::new(provider, Vec::new(), SystemRoots::None);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(["shop.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        let name = ServerName::try_from("shop.test").unwrap();
        let outcome = verifier.verify_server_cert(certificate.der(), &[], &name, &[], UnixTime::now());
        let Err(Error::InvalidCertificate(CertificateError::Other(OtherError(inner)))) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(inner.downcast_ref(), Some(&ServerCertError::NoRoots));
        assert_eq!(verifier.roots_count(), 0);
    }
}
