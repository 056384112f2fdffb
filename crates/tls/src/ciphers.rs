//! Lists of cipher suites as OpenSSL writes them (`openssl-ciphers(1)`), held against the suites that rustls has. Pure.
//!
//! They are about TLS 1.2; suites of TLS 1.3 are not chosen this way, as in OpenSSL. Differs from OpenSSL in one thing: a word that
//! it does not know is an error here, with its place, and not passed over. Names that it knows and rustls does not have are passed
//! over, and told.

mod names;

use rustls::CipherSuite;

use crate::option_error::TlsOptionFault;

/// What a list comes to.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct CipherList {
    /// Best first; never empty.
    pub(crate) suites: Vec<CipherSuite>,
    /// Words that name suites which are not there.
    pub(crate) without_effect: Vec<String>,
}

/// How a suite authenticates the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Auth {
    Ecdsa,
    Rsa,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cipher {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20,
}

impl Cipher {
    /// Bits of its key.
    const fn strength(self) -> u16 {
        match self {
            Self::Aes128Gcm => 128,
            Self::Aes256Gcm | Self::ChaCha20 => 256,
        }
    }
}

/// A suite with all that words can mean of it; the key exchange is ECDHE, the version TLS 1.2.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Suite {
    suite: CipherSuite,
    auth: Auth,
    cipher: Cipher,
}

const fn suite(suite: CipherSuite, auth: Auth, cipher: Cipher) -> Suite {
    Suite { suite, auth, cipher }
}

/// The suites in the order in which OpenSSL prefers them.
const SUITES: [Suite; 6] = [
    suite(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, Auth::Ecdsa, Cipher::Aes256Gcm),
    suite(CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, Auth::Rsa, Cipher::Aes256Gcm),
    suite(CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, Auth::Ecdsa, Cipher::ChaCha20),
    suite(CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, Auth::Rsa, Cipher::ChaCha20),
    suite(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, Auth::Ecdsa, Cipher::Aes128Gcm),
    suite(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, Auth::Rsa, Cipher::Aes128Gcm),
];

/// Bits of security that `@SECLEVEL` asks for, by level.
const LEVELS: [u16; 6] = [0, 80, 112, 128, 192, 256];

/// What a word, or several joined by `+`, picks.
struct Picked(Vec<Suite>);

/// Reads a list.
///
/// # Errors
/// The first word that is wrong, with its place (characters from 1), or that nothing is left.
pub(crate) fn parse(text: &str) -> Result<CipherList, (Option<usize>, TlsOptionFault)> {
    let mut list = Ordered(SUITES.into_iter().map(|suite| (suite, false)).collect());
    let mut without_effect = Vec::new();
    let mut bits = 0;
    for (column, element) in elements(text) {
        if let Some(command) = element.strip_prefix('@') {
            match command.strip_prefix("SECLEVEL=").and_then(|level| level.parse::<usize>().ok()) {
                Some(level) if level < LEVELS.len() => bits = LEVELS.get(level).copied().unwrap_or(0),
                _ if command == "STRENGTH" => list.sort_by_strength(),
                _ => {
                    return Err((Some(column), TlsOptionFault::UnknownCommand { word: element.to_owned() }));
                }
            }
            continue;
        }
        let word = element.strip_prefix(['!', '-', '+']).unwrap_or(element);
        let skipped = element.chars().count() - word.chars().count();
        let Picked(picked) = pick(word).map_err(|(at, part)| {
            (Some(column + skipped + at), TlsOptionFault::UnknownCipher { word: part.to_owned() })
        })?;
        match element.as_bytes().first() {
            Some(b'!') => list.kill(&picked),
            Some(b'-') => list.remove(&picked),
            Some(b'+') => list.move_to_end(&picked),
            _ => {
                if names::is_suite_of_openssl(word) {
                    without_effect.push(word.to_owned());
                }
                list.add(&picked);
            }
        }
    }
    let left = list.0.into_iter().filter(|(suite, chosen)| *chosen && suite.cipher.strength() >= bits);
    let suites: Vec<_> = left.map(|(suite, _)| suite.suite).collect();
    if suites.is_empty() {
        return Err((None, TlsOptionFault::NoCipher));
    }
    Ok(CipherList { suites, without_effect })
}

/// The elements with their places; colons, commas, semicolons and spaces divide.
fn elements(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut column = 1;
    text.split([':', ',', ';', ' ']).filter_map(move |element| {
        let at = column;
        column += element.chars().count() + 1;
        (!element.is_empty()).then_some((at, element))
    })
}

/// The suites that all parts of a word mean; where the first part is that means nothing, and the part.
fn pick(word: &str) -> Result<Picked, (usize, &str)> {
    let mut at = 0;
    let mut picked = SUITES.to_vec();
    for part in word.split('+') {
        let means = meaning(part).ok_or((at, part))?;
        picked.retain(|suite| means.contains(suite));
        at += part.chars().count() + 1;
    }
    Ok(Picked(picked))
}

/// The suites that one name or group means. `None`: OpenSSL has no such word.
fn meaning(word: &str) -> Option<Vec<Suite>> {
    let these = |picks: fn(&Suite) -> bool| Some(SUITES.into_iter().filter(picks).collect());
    match word {
        // OpenSSL knows `DEFAULT` in the first place only.
        "ALL" | "DEFAULT" | "HIGH" | "TLSv1.2" | "ECDHE" | "EECDH" | "ECDH" | "kECDHE" | "kEECDH" => {
            these(|_| true)
        }
        "aECDSA" | "ECDSA" => these(|suite| suite.auth == Auth::Ecdsa),
        "aRSA" => these(|suite| suite.auth == Auth::Rsa),
        "AES" | "AESGCM" | "FIPS" => these(|suite| suite.cipher != Cipher::ChaCha20),
        "AES128" => these(|suite| suite.cipher == Cipher::Aes128Gcm),
        "AES256" => these(|suite| suite.cipher == Cipher::Aes256Gcm),
        "CHACHA20" => these(|suite| suite.cipher == Cipher::ChaCha20),
        _ => {
            let named = |suite: &Suite| {
                crate::openssl_cipher_name(suite.suite) == word || suite.suite.as_str() == Some(word)
            };
            match SUITES.into_iter().find(named) {
                Some(suite) => Some(vec![suite]),
                None => names::is_known(word).then(Vec::new),
            }
        }
    }
}

/// The suites, those chosen among them, as OpenSSL moves them about.
struct Ordered(Vec<(Suite, bool)>);

impl Ordered {
    /// Takes out those that `which` means, in their order.
    fn take(&mut self, which: impl Fn(&(Suite, bool)) -> bool) -> Vec<(Suite, bool)> {
        let (taken, left) = std::mem::take(&mut self.0).into_iter().partition(which);
        self.0 = left;
        taken
    }

    fn add(&mut self, picked: &[Suite]) {
        let taken = self.take(|(suite, chosen)| !chosen && picked.contains(suite));
        self.0.extend(taken.into_iter().map(|(suite, _)| (suite, true)));
    }

    fn move_to_end(&mut self, picked: &[Suite]) {
        let taken = self.take(|(suite, chosen)| *chosen && picked.contains(suite));
        self.0.extend(taken);
    }

    /// What was removed last comes first when it is added again.
    fn remove(&mut self, picked: &[Suite]) {
        let taken = self.take(|(suite, chosen)| *chosen && picked.contains(suite));
        self.0.splice(0..0, taken.into_iter().map(|(suite, _)| (suite, false)));
    }

    fn kill(&mut self, picked: &[Suite]) {
        self.0.retain(|(suite, _)| !picked.contains(suite));
    }

    fn sort_by_strength(&mut self) {
        let mut chosen = self.take(|(_, chosen)| *chosen);
        chosen.sort_by_key(|(suite, _)| std::cmp::Reverse(suite.cipher.strength()));
        self.0.extend(chosen);
    }
}

/// Reads any list, for fuzzing.
#[cfg(fuzzing)]
pub fn fuzz(text: &str) {
    if let Ok(list) = parse(text) {
        assert!(!list.suites.is_empty() && list.suites.len() <= SUITES.len());
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// The suites by OpenSSL's names, or the error.
    fn shown(text: &str) -> String {
        match parse(text) {
            Ok(list) => {
                let names: Vec<_> =
                    list.suites.iter().map(|suite| crate::openssl_cipher_name(*suite)).collect();
                names.join(":")
            }
            Err((column, fault)) => format!("{column:?} {fault}"),
        }
    }

    const LISTS: [&str; 30] = [
        "DEFAULT",
        "ALL",
        "HIGH:!aNULL:!MD5",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE+AESGCM",
        "ECDHE+CHACHA20:ECDHE+AESGCM:!AES128",
        "AES128:AES256:CHACHA20",
        "ALL:-AES128:AES128",
        "ALL:-aECDSA:ALL",
        "ALL:+AES256",
        "ALL:!aECDSA:+CHACHA20",
        "ALL:!AES256:AES256:@STRENGTH",
        "AES128:CHACHA20:AES256:@STRENGTH",
        "DEFAULT:@SECLEVEL=4",
        "DEFAULT:!CHACHA20:@SECLEVEL=5",
        "EECDH+ECDSA+AESGCM:EECDH+aRSA+AESGCM:EECDH:!RC4:!3DES:!EXP:!LOW",
        "aRSA ECDSA",
        "aRSA,ECDSA",
        "FIPS:!DSS",
        "TLSv1.2:!SSLv3",
        "AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384",
        "ALL:-ALL:ECDHE-ECDSA-AES256-GCM-SHA384",
        "kEECDH:-AES:+CHACHA20:AES128",
        "ECDSA+AES128:ECDSA:aRSA+AES128",
        "kRSA:-ALL:ALL",
        "ALL:+ECDSA:+AES128:+aRSA+AES256",
        "HIGH:MEDIUM:!kRSA:!SHA1:!CAMELLIA:!ARIA:!PSK:!SRP",
        "CHACHA20:ALL:-CHACHA20:-AES256:ALL",
        "DEFAULT:-AES128:-CHACHA20:-AES256:ALL",
    ];

    #[test]
    fn lists_mean_what_they_mean_to_openssl() {
        let Some(program) = flowgate_testkit::require("openssl") else { return };
        for list in LISTS {
            let output = Command::new(&program)
                .args(["ciphers", "-tls1_2", "-s", list])
                .env("OPENSSL_CONF", "/dev/null")
                .output()
                .unwrap();
            let theirs = String::from_utf8(output.stdout).unwrap();
            let has =
                |name: &&str| SUITES.iter().any(|suite| crate::openssl_cipher_name(suite.suite) == *name);
            let theirs: Vec<_> = theirs.trim().split(':').filter(has).collect();
            assert_eq!(shown(list), theirs.join(":"), "{list}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (list, expected) in [
            ("ECDHE-RSA-AES128-GCM-SHA265", "Some(1) `ECDHE-RSA-AES128-GCM-SHA265` is no cipher suite"),
            ("ALL:!aes", "Some(6) `aes` is no cipher suite"),
            ("ALL: ECDHE+AESGMC", "Some(12) `AESGMC` is no cipher suite"),
            ("ALL:ECDHE+", "Some(11) `` is no cipher suite"),
            ("é:ü", "Some(1) `é` is no cipher suite"),
            ("ALL:@STRENGHT", "Some(5) `@STRENGHT` is no command of cipher lists"),
            ("ALL:@SECLEVEL=6", "Some(5) `@SECLEVEL=6` is no command of cipher lists"),
            ("", "None no cipher suite that is spoken is left"),
            ("AES128-SHA:TLS_AES_128_GCM_SHA256", "None no cipher suite that is spoken is left"),
            ("ALL:!ALL:ALL", "None no cipher suite that is spoken is left"),
        ] {
            assert!(shown(list).starts_with(expected), "{list}: {}", shown(list));
        }
    }

    #[test]
    fn what_has_no_effect_is_told() {
        let list = "TLS_AES_128_GCM_SHA256:DHE-RSA-AES128-SHA:!AES256-SHA:AESGCM:kRSA";
        assert_eq!(parse(list).unwrap().without_effect, ["TLS_AES_128_GCM_SHA256", "DHE-RSA-AES128-SHA"]);
        assert_eq!(parse("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256").unwrap().suites.len(), 1);
    }

    proptest! {
        #[test]
        fn never_panics(list in "[-+!@:A-Za-z0-9=. é]{0,60}") {
            let _ = parse(&list);
        }
    }
}
