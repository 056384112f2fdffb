//! Private keys in PEM text, also protected by a passphrase: PKCS#8 (`ENCRYPTED PRIVATE KEY`, RFC 7468 section 11 with RFC 8018), and
//! OpenSSL's older form with `DEK-Info` (RFC 1421 section 4.6.1.3, with a key made by one round of MD5).

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

/// Why there is no key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyFault {
    /// No key in the text.
    None,
    /// The text is cut off or garbled.
    NotPem,
    /// It is protected, and no passphrase was given.
    PassphraseMissing,
    /// It is protected by another passphrase.
    PassphraseWrong,
    /// It is protected in a way that is not known here.
    Protection,
}

/// Reads the first key of PEM text.
pub(crate) fn read(text: &[u8], passphrase: Option<&str>) -> Result<PrivateKeyDer<'static>, KeyFault> {
    if let Some(protected) = protected_section(text)? {
        let passphrase = passphrase.ok_or(KeyFault::PassphraseMissing)?;
        return protected.open(passphrase.as_bytes());
    }
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound => KeyFault::None,
        _ => KeyFault::NotPem,
    })
}

/// A section with a protected key.
enum Protected {
    Pkcs8(Vec<u8>),
    /// The old form: the label, the cipher, its initial vector, and what it enciphers.
    Old {
        label: Label,
        cipher: String,
        iv: Vec<u8>,
        bytes: Vec<u8>,
    },
}

#[derive(Clone, Copy)]
enum Label {
    Rsa,
    Ec,
    Pkcs8,
}

/// The first section with a protected key, if the first key is protected.
fn protected_section(text: &[u8]) -> Result<Option<Protected>, KeyFault> {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines().map(str::trim);
    // Other sections are skipped: certificates, parameters of curves.
    let label = lines.by_ref().find_map(|line| match line {
        "-----BEGIN ENCRYPTED PRIVATE KEY-----" => Some(None),
        "-----BEGIN RSA PRIVATE KEY-----" => Some(Some(Label::Rsa)),
        "-----BEGIN EC PRIVATE KEY-----" => Some(Some(Label::Ec)),
        "-----BEGIN PRIVATE KEY-----" => Some(Some(Label::Pkcs8)),
        _ => None,
    });
    let Some(label) = label else { return Ok(None) };
    let mut info = None;
    let mut body = String::new();
    let mut ended = false;
    for line in lines {
        if line.starts_with("-----END ") {
            ended = true;
            break;
        }
        if let Some(value) = line.strip_prefix("DEK-Info:") {
            info = Some(value.trim().to_owned());
        } else if !line.contains(':') {
            body.push_str(line);
        }
    }
    let decoded = || match STANDARD.decode(&body) {
        Ok(bytes) if ended => Ok(bytes),
        _ => Err(KeyFault::NotPem),
    };
    match (label, info) {
        (None, _) => Ok(Some(Protected::Pkcs8(decoded()?))),
        (Some(_), None) => Ok(None),
        (Some(label), Some(info)) => {
            let (cipher, iv) = info.split_once(',').ok_or(KeyFault::NotPem)?;
            let iv = hex(iv.trim()).ok_or(KeyFault::NotPem)?;
            Ok(Some(Protected::Old { label, cipher: cipher.trim().to_owned(), iv, bytes: decoded()? }))
        }
    }
}

impl Protected {
    fn open(self, passphrase: &[u8]) -> Result<PrivateKeyDer<'static>, KeyFault> {
        match self {
            Self::Pkcs8(bytes) => {
                let info = EncryptedPrivateKeyInfoRef::try_from(&*bytes).map_err(|_| KeyFault::Protection)?;
                match info.decrypt(passphrase) {
                    Ok(key) => Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into()),
                    Err(pkcs8::Error::EncryptedPrivateKey(
                        pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }
                        | pkcs8::pkcs5::Error::NoPbes1CryptSupport
                        | pkcs8::pkcs5::Error::AlgorithmParametersInvalid { .. },
                    )) => Err(KeyFault::Protection),
                    Err(_) => Err(KeyFault::PassphraseWrong),
                }
            }
            Self::Old { label, cipher, iv, bytes } => {
                let key_bytes = match &*cipher {
                    "AES-128-CBC" => 16,
                    "AES-192-CBC" | "DES-EDE3-CBC" => 24,
                    "AES-256-CBC" => 32,
                    _ => return Err(KeyFault::Protection),
                };
                let salt = iv.get(..8).ok_or(KeyFault::NotPem)?;
                let key = old_key(passphrase, salt, key_bytes);
                let opened = match &*cipher {
                    "AES-128-CBC" => open_cbc::<aes::Aes128>(&key, &iv, &bytes),
                    "AES-192-CBC" => open_cbc::<aes::Aes192>(&key, &iv, &bytes),
                    "AES-256-CBC" => open_cbc::<aes::Aes256>(&key, &iv, &bytes),
                    _ => open_cbc::<des::TdesEde3>(&key, &iv, &bytes),
                };
                let der = opened.ok_or(KeyFault::PassphraseWrong)?;
                Ok(match label {
                    Label::Rsa => PrivatePkcs1KeyDer::from(der).into(),
                    Label::Ec => PrivateSec1KeyDer::from(der).into(),
                    Label::Pkcs8 => PrivatePkcs8KeyDer::from(der).into(),
                })
            }
        }
    }
}

/// OpenSSL's `EVP_BytesToKey` with MD5 and one round.
fn old_key(passphrase: &[u8], salt: &[u8], bytes: usize) -> Vec<u8> {
    let mut key = Vec::new();
    let mut block: Vec<u8> = Vec::new();
    while key.len() < bytes {
        block =
            Md5::new().chain_update(&block).chain_update(passphrase).chain_update(salt).finalize().to_vec();
        key.extend_from_slice(&block);
    }
    key.truncate(bytes);
    key
}

/// `None`: key or initial vector are of another length, or the padding is wrong.
fn open_cbc<C>(key: &[u8], iv: &[u8], bytes: &[u8]) -> Option<Vec<u8>>
where
    C: BlockCipherDecrypt + KeyInit,
    cbc::Decryptor<C>: KeyIvInit + BlockModeDecrypt,
{
    cbc::Decryptor::<C>::new_from_slices(key, iv).ok()?.decrypt_padded_vec::<Pkcs7>(bytes).ok()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<_> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    pairs.remainder().is_empty().then_some(())?;
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_protected_by_openssl_are_read() {
        let Some(program) = flowgate_testkit::require("openssl") else { return };
        let dir = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str]| {
            let output = std::process::Command::new(&program)
                .args(arguments)
                .current_dir(dir.path())
                .output()
                .unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        run(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "ec.pem"]);
        run(&["genrsa", "-traditional", "-out", "rsa.pem", "2048"]);
        let mut tried = 0;
        for key in ["ec.pem", "rsa.pem"] {
            let clear = read(&std::fs::read(dir.path().join(key)).unwrap(), None).unwrap();
            let public = |der: &PrivateKeyDer<'_>| {
                let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(der).ok()?;
                Some(key.public_key()?.to_vec())
            };
            let old = if key == "ec.pem" { "ec" } else { "rsa" };
            for (how, known) in [
                (vec!["pkcs8", "-topk8"], true),
                (vec!["pkcs8", "-topk8", "-v2", "aes-128-cbc"], true),
                (vec!["pkcs8", "-topk8", "-v2", "des3"], true),
                (vec!["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"], true),
                (vec!["pkcs8", "-topk8", "-scrypt"], true),
                (vec!["pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES"], false),
                (vec![old, "-aes128"], true),
                (vec![old, "-aes192"], true),
                (vec![old, "-aes256"], true),
                (vec![old, "-des3"], true),
                (vec![old, "-camellia128"], false),
            ] {
                // How PKCS#8 is protected does not depend on the key; each takes its time.
                if old == "rsa" && how[0] == "pkcs8" {
                    continue;
                }
                let mut arguments = how.clone();
                arguments.extend(["-in", key, "-out", "protected.pem", "-passout", "pass:geheim ü"]);
                if how == [old, how[1]] && old == "rsa" {
                    arguments.push("-traditional");
                }
                run(&arguments);
                let text = std::fs::read(dir.path().join("protected.pem")).unwrap();
                assert_eq!(read(&text, None).unwrap_err(), KeyFault::PassphraseMissing, "{how:?}");
                if !known {
                    assert_eq!(read(&text, Some("geheim ü")).unwrap_err(), KeyFault::Protection, "{how:?}");
                    continue;
                }
                let opened =
                    read(&text, Some("geheim ü")).unwrap_or_else(|fault| panic!("{how:?}: {fault:?}"));
                assert_eq!(public(&opened), public(&clear), "{how:?}");
                tried += 1;
                if how.contains(&"-scrypt") {
                    continue;
                }
                // Now and then the padding is right by chance, and what comes out is no key.
                match read(&text, Some("wrong")) {
                    Err(fault) => assert_eq!(fault, KeyFault::PassphraseWrong, "{how:?}"),
                    Ok(garbage) => assert_eq!(public(&garbage), None, "{how:?}"),
                }
            }
        }
        assert_eq!(tried, 13);
    }

    #[test]
    fn what_is_no_key() {
        for (text, expected) in [
            ("", KeyFault::None),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA", KeyFault::NotPem),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\n!\n-----END X-----\n", KeyFault::NotPem),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END X-----\n", KeyFault::Protection),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END X-----\n",
                KeyFault::NotPem,
            ),
            ("-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: X,1\n\nAAAA\n-----END X-----\n", KeyFault::NotPem),
        ] {
            assert_eq!(read(text.as_bytes(), Some("x")).unwrap_err(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(-----BEGIN (ENCRYPTED|RSA|EC) PRIVATE KEY-----\n(DEK-Info: (AES-128-CBC|DES-EDE3-CBC),[0-9A-F]{0,40}\n)?[A-Za-z0-9+/=\n]{0,80}(-----END )?|.{0,20})") {
            let _ = read(text.as_bytes(), Some("x"));
        }
    }
}
