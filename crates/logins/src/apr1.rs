//! The MD5 crypt of FreeBSD (`$1$`) and of Apache (`$apr1$`), which `htpasswd -m` writes. The two differ in the name alone.
//!
//! There is no standard; this follows what the implementations have in common: 1,000 rounds of MD5 over password, salt, and the
//! digest before.

use md5::{Digest, Md5};

/// How many rounds there are, always.
const ROUNDS: u32 = 1_000;
/// As much of a salt as counts.
const SALT_BYTES_MAX: usize = 8;
/// The alphabet, in the order of the values 0 to 63.
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// How many characters a digest takes.
pub(crate) const DIGEST_CHARS: usize = 22;

/// The digest of a password as it stands behind `magic` and salt; `magic` is `$1$` or `$apr1$`.
pub(crate) fn digest(magic: &str, salt: &str, password: &[u8]) -> [u8; DIGEST_CHARS] {
    let salt = salt.as_bytes();
    let salt = salt.get(..SALT_BYTES_MAX).unwrap_or(salt);
    let inner: [u8; 16] =
        Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize().into();
    let mut outer = Md5::new().chain_update(password).chain_update(magic).chain_update(salt);
    for chunk in password.chunks(inner.len()) {
        outer.update(inner.get(..chunk.len()).unwrap_or_default());
    }
    let mut bits = password.len();
    while bits > 0 {
        // A zero or the first letter, as the first implementation did by accident and all did after it.
        outer.update(if bits & 1 == 1 { &[0][..] } else { password.get(..1).unwrap_or_default() });
        bits >>= 1;
    }
    let mut state: [u8; 16] = outer.finalize().into();
    for round in 0..ROUNDS {
        let odd = round % 2 == 1;
        let mut next = Md5::new();
        next.update(if odd { password } else { &state });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if odd { &state[..] } else { password });
        state = next.finalize().into();
    }
    encode(state)
}

/// Three bytes in four characters, the lowest bits first, in an order of its own.
fn encode(state: [u8; 16]) -> [u8; DIGEST_CHARS] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = state;
    let groups = [[a, g, m], [b, h, n], [c, i, o], [d, j, p], [e, k, f], [0, 0, l]];
    let characters = groups.into_iter().flat_map(|[high, middle, low]| {
        let bits = u32::from_be_bytes([0, high, middle, low]);
        [0, 6, 12, 18].map(|shift| {
            let index = usize::try_from(bits >> shift & 0x3f).unwrap_or_default();
            ALPHABET.get(index).copied().unwrap_or_default()
        })
    });
    let mut out = [0; DIGEST_CHARS];
    // The last group is a single byte, in two characters.
    for (to, from) in out.iter_mut().zip(characters) {
        *to = from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_others_write_it() {
        // Made with `openssl passwd -apr1 -salt SALT PASSWORD` and `-1`.
        for (magic, salt, password, expected) in ROWS {
            let found = digest(magic, salt, password.as_bytes());
            assert_eq!(std::str::from_utf8(&found), Ok(*expected), "{magic} {salt} {password}");
        }
    }

    const ROWS: &[(&str, &str, &str, &str)] = &[
        ("$apr1$", "abcdefgh", "", "L.PT565ESX4Tp2bqNs7Ie."),
        ("$apr1$", "abcdefgh", "a", "G8IsPsylW5ROvIKsQMRG61"),
        ("$apr1$", "xy", "open sesame", "nMO9PjMYuUxhbKns3UekO."),
        ("$apr1$", "m1r3Xzqj", "a password of more than sixteen bytes, twice", "hkAPWzgPkIQGVCXDSbr2d0"),
        ("$apr1$", "./A9zZ..", "ünïcödé", "p3XZBGEYCdSg2GKuYRm8Q1"),
        ("$1$", "abcdefgh", "", "M55TzYaaccxVGbptZWaxX/"),
        ("$1$", "abcdefgh", "a", "jUYc1Xi7pkozuzWQ0Dft71"),
        ("$1$", "xy", "open sesame", "cjY6zUU7VR215nZv9CjvN."),
        ("$1$", "m1r3Xzqj", "a password of more than sixteen bytes, twice", "f0VtmoYHLWJVzXjJAvEwJ1"),
        ("$1$", "./A9zZ..", "ünïcödé", "1Qho9n0854j47bmU7qDIV1"),
    ];
}
