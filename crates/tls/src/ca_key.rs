//! The CA's private key: reading it and signing with it. It cannot be written out again.
//!
//! rustls's signing keys do the work, because they read every form a user brings: RSA in PKCS#1 (mitmproxy's
//! own), EC in SEC1, and PKCS#8 for RSA, EC and Ed25519.

use std::fmt;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::SigningKey;
use rustls_pki_types::{AlgorithmIdentifier, PrivateKeyDer, SubjectPublicKeyInfoDer, alg_id};

/// What a key is used for here: one algorithm per kind of key, the one every client knows.
const ALGORITHMS: [(SignatureScheme, AlgorithmIdentifier); 5] = [
    (SignatureScheme::ECDSA_NISTP256_SHA256, alg_id::ECDSA_SHA256),
    (SignatureScheme::ECDSA_NISTP384_SHA384, alg_id::ECDSA_SHA384),
    (SignatureScheme::ECDSA_NISTP521_SHA512, alg_id::ECDSA_SHA512),
    (SignatureScheme::RSA_PKCS1_SHA256, alg_id::RSA_PKCS1_SHA256),
    (SignatureScheme::ED25519, alg_id::ED25519),
];

/// A key that signs certificates.
pub(crate) struct CaKey {
    key: Arc<dyn SigningKey>,
    scheme: SignatureScheme,
    algorithm: AlgorithmIdentifier,
}

impl CaKey {
    /// Reads a key. `None`: damaged, or of a kind we cannot use (RSA below 2,048 bits, DSA, other curves).
    pub(crate) fn read(der: &PrivateKeyDer<'_>) -> Option<Self> {
        let key = any_supported_type(der).ok()?;
        let (scheme, algorithm) =
            ALGORITHMS.into_iter().find(|(scheme, _)| key.choose_scheme(&[*scheme]).is_some())?;
        Some(Self { key, scheme, algorithm })
    }

    /// The public half, as it stands in the CA's certificate.
    pub(crate) fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.key.public_key()
    }

    /// Content of the AlgorithmIdentifier that names [`CaKey::sign`]'s algorithm.
    pub(crate) fn algorithm(&self) -> &[u8] {
        &self.algorithm
    }

    /// Signs the DER of a certificate's inner part.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signer = self.key.choose_scheme(&[self.scheme]);
        signer.ok_or(rustls::Error::EncryptError)?.sign(message)
    }
}

impl fmt::Debug for CaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaKey({:?})", self.scheme)
    }
}
