//! A hashed password, as htpasswd files hold it: which kinds there are, and whether a password fits.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bcrypt::HashParts;
use sha_crypt::{PasswordVerifier, ShaCrypt};

use crate::apr1;
use crate::error::LineFault;
use crate::limits::{BCRYPT_COST_MAX, SHA_CRYPT_ROUNDS_MAX};

/// The magic of MD5 crypt, by those who write it.
const MD5_CRYPTS: [&str; 2] = ["$apr1$", "$1$"];
/// Characters of crypt's own base64, which salts are written in, too.
const CRYPT_CHARACTERS: fn(u8) -> bool = |byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte);
/// The rounds of SHA-2 crypt, if it does not say.
const SHA_CRYPT_ROUNDS: u32 = 5_000;
/// The fewest; less counts as so many.
const SHA_CRYPT_ROUNDS_MIN: u32 = 1_000;

/// A hash that can be checked.
#[derive(Clone, Eq, PartialEq)]
pub(crate) enum Hash {
    /// `$2y$`, and the same under other names.
    Bcrypt(Box<str>),
    /// `$5$` and `$6$`.
    ShaCrypt(Box<str>),
    /// `$apr1$` and `$1$`, the salt, the digest.
    Md5Crypt(&'static str, Box<str>, Box<str>),
    /// `{SHA}`, without salt.
    Sha1([u8; digest::SHA1_OUTPUT_LEN]),
}

impl Hash {
    /// Reads what stands behind the colon.
    pub(crate) fn parse(text: &str) -> Result<Self, LineFault> {
        if let Some(base64) = text.strip_prefix("{SHA}") {
            let bytes = STANDARD.decode(base64).map_err(|_| LineFault::Damaged)?;
            return bytes.try_into().map(Self::Sha1).map_err(|_| LineFault::Damaged);
        }
        for magic in MD5_CRYPTS {
            if let Some(rest) = text.strip_prefix(magic) {
                let (salt, digest) = rest.split_once('$').ok_or(LineFault::Damaged)?;
                let is_digest = digest.len() == apr1::DIGEST_CHARS && digest.bytes().all(CRYPT_CHARACTERS);
                return if is_digest {
                    Ok(Self::Md5Crypt(magic, salt.into(), digest.into()))
                } else {
                    Err(LineFault::Damaged)
                };
            }
        }
        if ["$2a$", "$2b$", "$2y$"].iter().any(|magic| text.starts_with(magic)) {
            let parts: HashParts = text.parse().map_err(|_| LineFault::Damaged)?;
            return match parts.get_cost() {
                4..=BCRYPT_COST_MAX => Ok(Self::Bcrypt(text.into())),
                0..4 => Err(LineFault::Damaged),
                _ => Err(LineFault::TooCostly),
            };
        }
        for (magic, chars) in [("$5$", 43), ("$6$", 86)] {
            if let Some(rest) = text.strip_prefix(magic) {
                return sha_crypt(magic, chars, rest);
            }
        }
        Err(LineFault::Unknown)
    }

    /// Whether the password is this one's. Takes as long as it was made to: up to seconds. Blocks.
    pub(crate) fn is_of(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::ShaCrypt(hash) => ShaCrypt::default().verify_password(password, &**hash).is_ok(),
            Self::Md5Crypt(magic, salt, digest) => {
                let found = apr1::digest(magic, salt, password);
                verify_slices_are_equal(&found, digest.as_bytes()).is_ok()
            }
            Self::Sha1(expected) => {
                let found = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password);
                verify_slices_are_equal(found.as_ref(), expected).is_ok()
            }
        }
    }
}

/// Reads `[rounds=N$]salt$digest`. Rounds below the fewest are the fewest, as all implementations do.
fn sha_crypt(magic: &str, digest_chars: usize, rest: &str) -> Result<Hash, LineFault> {
    let parts: Vec<_> = rest.split('$').collect();
    let (rounds, salt, digest) = match *parts.as_slice() {
        [salt, digest] => (None, salt, digest),
        [rounds, salt, digest] => {
            let rounds = rounds.strip_prefix("rounds=").ok_or(LineFault::Damaged)?;
            (Some(rounds.parse::<u32>().map_err(|_| LineFault::Damaged)?), salt, digest)
        }
        _ => return Err(LineFault::Damaged),
    };
    if digest.len() != digest_chars || !salt.bytes().chain(digest.bytes()).all(CRYPT_CHARACTERS) {
        return Err(LineFault::Damaged);
    }
    let rounds = rounds.unwrap_or(SHA_CRYPT_ROUNDS).max(SHA_CRYPT_ROUNDS_MIN);
    if rounds > SHA_CRYPT_ROUNDS_MAX {
        return Err(LineFault::TooCostly);
    }
    Ok(Hash::ShaCrypt(format!("{magic}rounds={rounds}${salt}${digest}").into()))
}

/// The kind alone.
impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bcrypt(_) => "Bcrypt",
            Self::ShaCrypt(_) => "ShaCrypt",
            Self::Md5Crypt(..) => "Md5Crypt",
            Self::Sha1(_) => "Sha1",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by htpasswd of Apache 2.4, for `open sesame`.
    const WRITTEN: [&str; 6] = [
        "$2y$04$PCCe1rGX3HOCuMRyk1xVVubleHIaxWq/CutvH.0ZtPCDjOvg7RlI2",
        "$apr1$m1r3Xzqj$tRo3uDm0UXBAvS.eFiSjA/",
        "{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=",
        "$5$5t0GW0Xi/rlV.4tL$Ble/Hsoux9Yu8vpo5Wa0p.m.sz7qpTU2jyV938SAxp5",
        "$6$uTIK8s84DfbEIBiT$9weJk0PPy8VMdHcW0G3mnTYcZ7pjXrnAFEtSiPljOBD98uv.rQgpJcQQwtzdjbCyRiiJBwmT9eS/w6Vp6fBNI0",
        "$6$rounds=1000$HSkexdI0MTbtDLsa$/i1pqXaH.45duXF3KOvsK8dAGVd7qmyzQ4FpFVjclep1pAwwHetCOFoFi9VknVHMxy08FmXpvRPJY7CbKmXOw0",
    ];

    #[test]
    fn what_htpasswd_writes_is_of_its_password_and_no_other() {
        for text in WRITTEN {
            let hash = Hash::parse(text).unwrap();
            assert!(hash.is_of(b"open sesame"), "{text}");
            for wrong in [&b"open sesam"[..], b"open sesame ", b"Open sesame", b""] {
                assert!(!hash.is_of(wrong), "{text}");
            }
        }
    }

    #[test]
    fn others_are_refused_when_they_are_read() {
        let cut = |text: &str| text[..text.len() - 1].to_owned();
        for text in WRITTEN {
            assert_eq!(Hash::parse(&cut(text)), Err(LineFault::Damaged), "{text}");
        }
        let bcrypt = |cost: u32| WRITTEN[0].replace("$04$", &format!("${cost:02}$"));
        let rounds = |rounds: u64| WRITTEN[5].replace("=1000$", &format!("={rounds}$"));
        for (text, fault) in [
            ("".to_owned(), LineFault::Unknown),
            ("O371xzyAqUxZM".to_owned(), LineFault::Unknown),
            ("open sesame".to_owned(), LineFault::Unknown),
            ("$argon2id$v=19$m=1$x".to_owned(), LineFault::Unknown),
            (bcrypt(3), LineFault::Damaged),
            (bcrypt(BCRYPT_COST_MAX + 1), LineFault::TooCostly),
            (rounds(u64::from(SHA_CRYPT_ROUNDS_MAX) + 1), LineFault::TooCostly),
            (rounds(5_000_000_000), LineFault::Damaged),
        ] {
            assert_eq!(Hash::parse(&text), Err(fault), "{text}");
        }
        assert!(Hash::parse(&bcrypt(BCRYPT_COST_MAX)).is_ok());
        assert!(Hash::parse(&rounds(SHA_CRYPT_ROUNDS_MAX.into())).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in r"(\{SHA\}|\$(apr1|1|2y|5|6)\$)?[a-z0-9=./$]{0,30}") {
            if let Ok(hash) = Hash::parse(&text) {
                let _ = hash.is_of(b"x");
            }
        }
    }
}
