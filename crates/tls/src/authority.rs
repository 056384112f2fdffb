//! The CA: loaded from the config dir, or made there on the first start.
//!
//! A `flowgate-ca.pem` is used if there is one, else a `mitmproxy-ca.pem`, as it is and without a change to its
//! directory, else a `flowgate-ca.pem` is made. Invariant: only that file holds the key; every path and every byte
//! this type gives away is a certificate's.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use crate::authority_files as files;
use crate::ca_error::{CaError, CaWarning};
use crate::ca_key::CaKey;
use crate::date::{Date, now};
use crate::key_file::{self, KeyFault};
use crate::x509::{self, Issuer};
use crate::{pem as pem_text, pkcs12};

/// CN and O of a CA made here, and how importing systems show it.
const CA_NAME: &str = "flowgate";

/// How a CA is read or made.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuthorityOptions<'a> {
    /// What protects the key of an existing one (mitmproxy: `cert_passphrase`). A new one has no passphrase.
    pub passphrase: Option<&'a str>,
    /// Bits of an RSA key for a new one (mitmproxy: `key_size`); `None` makes one of P-256.
    pub rsa_bits: Option<u32>,
}

/// Our signing certificate, with its key.
#[derive(Debug)]
pub struct Authority {
    certificate: CertificateDer<'static>,
    /// What clients need besides the leaf, see [`Authority::chain`].
    chain: Vec<CertificateDer<'static>>,
    key: CaKey,
    subject: Vec<u8>,
    key_id: Option<Vec<u8>>,
    not_after: u64,
    certificate_file: PathBuf,
    warnings: Vec<CaWarning>,
}

impl Authority {
    /// Uses the CA of this config dir, or makes one. Two processes that do so at once get the same CA.
    ///
    /// # Errors
    /// When a CA file is there but cannot be used, or none can be made. A damaged file is never replaced.
    pub fn load_or_create(confdir: &Path) -> Result<Self, CaError> {
        Self::open(confdir, AuthorityOptions::default())
    }

    /// The same, as options say.
    ///
    /// # Errors
    /// As [`Authority::load_or_create`].
    pub fn open(confdir: &Path, options: AuthorityOptions<'_>) -> Result<Self, CaError> {
        let own = confdir.join("flowgate-ca.pem");
        if let Some(text) = read_if_there(&own)? {
            return Self::load_own(&own, &text, options.passphrase);
        }
        let mitmproxy = confdir.join("mitmproxy-ca.pem");
        if let Some(text) = read_if_there(&mitmproxy)? {
            return Self::load(&mitmproxy, &text, options.passphrase);
        }
        create(confdir, &own, options.rsa_bits)?;
        let text = files::read(&own).map_err(|source| CaError::Unreadable { path: own.clone(), source })?;
        Self::load_own(&own, &text, options.passphrase)
    }

    /// The CA's certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The SHA-256 of the CA's certificate, by which people compare it.
    pub fn certificate_sha256(&self) -> [u8; 32] {
        let digest = digest::digest(&digest::SHA256, &self.certificate);
        digest.as_ref().try_into().unwrap_or_default()
    }

    /// The CA's certificate as PEM text, as clients import it.
    pub fn certificate_pem(&self) -> String {
        pem_text::encode("CERTIFICATE", &self.certificate)
    }

    /// PEM text of all that a program behind the proxy has to trust: the system's roots, for what is passed through, and the
    /// CA. It is for programs that take one file in place of the system's. Reads the system's roots; blocks.
    pub fn trust_bundle_pem(&self) -> String {
        let system = rustls_native_certs::load_native_certs().certs;
        let system: String = system.iter().map(|root| pem_text::encode("CERTIFICATE", root)).collect();
        system + &self.certificate_pem()
    }

    /// The CA's certificate as PKCS#12, without a key and with an empty password.
    pub fn certificate_pkcs12(&self) -> Vec<u8> {
        pkcs12::certificate_only(&self.certificate, CA_NAME)
    }

    /// The file to show to users who install the certificate. mitmproxy's may be missing: its directory is not
    /// touched.
    pub fn certificate_file(&self) -> &Path {
        &self.certificate_file
    }

    /// What is sent to clients after the leaf: nothing for a root, else the CA and the further certificates of its
    /// file.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Whether the CA's time is over. Clients then trust none of its leaves.
    pub fn expired(&self) -> bool {
        now() > self.not_after
    }

    /// What somebody should look after, found when the CA was loaded.
    pub fn warnings(&self) -> &[CaWarning] {
        &self.warnings
    }

    pub(crate) fn issuer(&self) -> Issuer<'_> {
        Issuer {
            subject: &self.subject,
            key_id: self.key_id.as_deref(),
            not_after: self.not_after,
            key: &self.key,
        }
    }

    /// Our own directory: files for clients are kept in step with the CA.
    fn load_own(path: &Path, text: &[u8], passphrase: Option<&str>) -> Result<Self, CaError> {
        let mut authority = Self::load(path, text, passphrase)?;
        let certificate = authority.certificate_pem().into_bytes();
        let pkcs12 = authority.certificate_pkcs12();
        for (extension, contents) in [("pem", &certificate), ("cer", &certificate), ("p12", &pkcs12)] {
            let path = authority.certificate_file.with_extension(extension);
            if files::read(&path).is_ok_and(|found| found == *contents) {
                continue;
            }
            if let Err(source) = files::replace(&path, contents) {
                authority.warnings.push(CaWarning::CertificateFileNotWritten { path, source });
            }
        }
        Ok(authority)
    }

    fn load(path: &Path, text: &[u8], passphrase: Option<&str>) -> Result<Self, CaError> {
        let at = || path.to_owned();
        let key = read_key(path, text, passphrase)?;
        let certificates = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(|_| CaError::NotPem { path: at() })?;
        let Some(certificate) = certificates.first().cloned() else {
            return Err(CaError::NoCertificate { path: at() });
        };
        let Ok((_, parsed)) = X509Certificate::from_der(&certificate) else {
            return Err(CaError::CertificateUnreadable { path: at() });
        };
        if key.public_key().is_none_or(|public| *public != *parsed.public_key().raw) {
            return Err(CaError::KeyMismatch { path: at() });
        }
        let mut key_id = None;
        for extension in parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(constraints) if !constraints.ca => {
                    return Err(CaError::NotACa { path: at() });
                }
                ParsedExtension::SubjectKeyIdentifier(id) => key_id = Some(id.0.to_vec()),
                _ => {}
            }
        }
        let is_root = parsed.subject().as_raw() == parsed.issuer().as_raw();
        let not_after = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
        let mut authority = Self {
            chain: if is_root && certificates.len() == 1 { Vec::new() } else { certificates },
            key,
            subject: parsed.subject().as_raw().to_vec(),
            key_id,
            not_after,
            certificate_file: certificate_file(path),
            warnings: Vec::new(),
            certificate,
        };
        if authority.expired() {
            authority.warnings.push(CaWarning::Expired { path: at(), on: Date::of(not_after).to_string() });
        }
        #[cfg(unix)]
        if let Some(mode) = exposed_mode(path) {
            authority.warnings.push(CaWarning::KeyExposed { path: at(), mode });
        }
        Ok(authority)
    }
}

/// `x-ca.pem` → `x-ca-cert.pem`.
fn certificate_file(ca_file: &Path) -> PathBuf {
    let mut name = ca_file.file_stem().unwrap_or_default().to_owned();
    name.push("-cert.pem");
    ca_file.with_file_name(name)
}

/// The permission bits, if others than the owner have any.
#[cfg(unix)]
fn exposed_mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, CaError> {
    match files::read(path) {
        Ok(text) => Ok(Some(text)),
        // Not a directory: the error that names the directory comes when it is made.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(CaError::Unreadable { path: path.to_owned(), source }),
    }
}

fn read_key(path: &Path, text: &[u8], passphrase: Option<&str>) -> Result<CaKey, CaError> {
    let path = path.to_owned();
    match key_file::read(text, passphrase) {
        Ok(key) => CaKey::read(&key).ok_or(CaError::KeyUnsupported { path }),
        Err(KeyFault::PassphraseMissing) => Err(CaError::KeyEncrypted { path }),
        Err(KeyFault::PassphraseWrong) => Err(CaError::PassphraseWrong { path }),
        Err(KeyFault::Protection) => Err(CaError::KeyProtection { path }),
        Err(KeyFault::None) => Err(CaError::NoKey { path }),
        Err(KeyFault::NotPem) => Err(CaError::NotPem { path }),
    }
}

/// Makes a CA, unless another process is faster.
fn create(confdir: &Path, path: &Path, rsa_bits: Option<u32>) -> Result<(), CaError> {
    let dir_error = |source| CaError::DirNotCreated { path: confdir.to_owned(), source };
    files::create_private_dir(confdir).map_err(dir_error)?;
    let key_der = match rsa_bits {
        None => new_key(),
        Some(bits) if matches!(bits, 2048 | 3072 | 4096 | 8192) => new_rsa_key(bits),
        Some(bits) => return Err(CaError::KeySize { bits }),
    };
    let key_der = key_der.ok_or(CaError::KeyNotMade)?;
    let key = CaKey::read(&key_der).ok_or(CaError::KeyNotMade)?;
    let certificate = x509::new_ca(CA_NAME, &key, now()).map_err(CaError::CertificateNotMade)?;
    let text = pem_text::encode("PRIVATE KEY", key_der.secret_der())
        + &pem_text::encode("CERTIFICATE", &certificate);
    match files::create_new(path, text.as_bytes()) {
        Err(source) if source.kind() != ErrorKind::AlreadyExists => {
            Err(CaError::NotWritten { path: path.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A new P-256 key: it signs forty times as fast as RSA, and every client of today knows it.
pub(crate) fn new_key() -> Option<PrivateKeyDer<'static>> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).ok()?;
    let der = pair.to_pkcs8v1().ok()?.as_ref().to_vec();
    Some(PrivatePkcs8KeyDer::from(der).into())
}

/// A new RSA key of 2048, 3072, 4096 or 8192 bits. Takes a tenth of a second and more.
pub(crate) fn new_rsa_key(bits: u32) -> Option<PrivateKeyDer<'static>> {
    let size = match bits {
        2048 => KeySize::Rsa2048,
        3072 => KeySize::Rsa3072,
        4096 => KeySize::Rsa4096,
        8192 => KeySize::Rsa8192,
        _ => return None,
    };
    let pair = rsa::KeyPair::generate(size).ok()?;
    let der: Pkcs8V1Der<'static> = pair.as_der().ok()?;
    Some(PrivatePkcs8KeyDer::from(der.as_ref().to_vec()).into())
}
