//! What kind of client a ClientHello comes from: the fingerprints JA4 and JA3.
//!
//! Facts for rules and flows, not proof: who wants to can send any hello. JA4 is that of FoxIO's technical details of
//! JA4 ("JA4: TLS Client Fingerprinting"), JA3 that of Salesforce. Both leave out GREASE values (RFC 8701).

use std::fmt::Write;

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::client_hello::ClientHello;

const EXT_SERVER_NAME: u16 = 0;
const EXT_ALPN: u16 = 16;
/// How many counted things a JA4 tells apart.
const COUNT_MAX: usize = 99;

/// What a hello came in: the first letter of a JA4.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Carrier {
    /// TLS over TCP.
    #[default]
    Tcp,
    /// QUIC.
    Quic,
    /// DTLS over UDP.
    Dtls,
}

/// The JA4 of a hello, such as `t13d1516h2_8daaf6152771_e5627efa2ab1`.
#[must_use]
pub fn ja4(hello: &ClientHello, carrier: Carrier) -> String {
    let mut ciphers: Vec<_> = known(&hello.cipher_suites).collect();
    let mut extensions: Vec<_> = known(&hello.extensions).collect();
    let mut text = String::with_capacity(36);
    let letter = match carrier {
        Carrier::Tcp => 't',
        Carrier::Quic => 'q',
        Carrier::Dtls => 'd',
    };
    let sni = if extensions.contains(&EXT_SERVER_NAME) { 'd' } else { 'i' };
    let (cipher_count, extension_count) = (ciphers.len().min(COUNT_MAX), extensions.len().min(COUNT_MAX));
    let _ = write!(text, "{letter}{}{sni}{cipher_count:02}{extension_count:02}", version(hello, carrier));
    push_alpn(hello.alpn.first().map_or(&[], |first| first), &mut text);
    ciphers.sort_unstable();
    text.push('_');
    push_hash(&hex_list(&ciphers), &mut text);
    extensions.retain(|kind| !matches!(*kind, EXT_SERVER_NAME | EXT_ALPN));
    extensions.sort_unstable();
    let mut third = hex_list(&extensions);
    let algorithms: Vec<_> = known(&hello.signature_algorithms).collect();
    if !third.is_empty() && !algorithms.is_empty() {
        third.push('_');
        third.push_str(&hex_list(&algorithms));
    }
    text.push('_');
    push_hash(&third, &mut text);
    text
}

/// The JA3 of a hello: 32 hexadecimal digits.
#[must_use]
pub fn ja3(hello: &ClientHello) -> String {
    let mut text = format!("{},", hello.legacy_version);
    for list in [&hello.cipher_suites, &hello.extensions, &hello.groups] {
        join(&mut text, known(list));
        text.push(',');
    }
    join(&mut text, hello.point_formats.iter().copied().map(u16::from));
    hex(&Md5::digest(text.as_bytes()))
}

/// Without GREASE.
fn known(values: &[u16]) -> impl Iterator<Item = u16> {
    values.iter().copied().filter(|value| !is_grease(*value))
}

/// RFC 8701 section 2: both bytes are the same and end in `a`.
const fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

/// The highest version that is offered.
fn version(hello: &ClientHello, carrier: Carrier) -> &'static str {
    let offered = known(&hello.versions);
    // DTLS counts downwards.
    let highest = if carrier == Carrier::Dtls { offered.min() } else { offered.max() };
    match highest {
        Some(0x0304) => "13",
        Some(0x0303) => "12",
        Some(0x0302) => "11",
        Some(0x0301) => "10",
        Some(0x0300) => "s3",
        Some(0x0002) => "s2",
        Some(0xfeff) => "d1",
        Some(0xfefd) => "d2",
        Some(0xfefc) => "d3",
        _ => "00",
    }
}

/// The first and the last character of a protocol's name, or of its hexadecimal digits if they are none that one can read.
fn push_alpn(protocol: &[u8], text: &mut String) {
    let (Some(first), Some(last)) = (protocol.first(), protocol.last()) else { return text.push_str("00") };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        text.extend([char::from(*first), char::from(*last)]);
    } else {
        let _ = write!(text, "{:x}{:x}", first >> 4, last & 0x0f);
    }
}

fn hex_list(values: &[u16]) -> String {
    let mut text = String::with_capacity(values.len() * 5);
    for (index, value) in values.iter().enumerate() {
        let _ = write!(text, "{}{value:04x}", if index > 0 { "," } else { "" });
    }
    text
}

/// The first twelve digits of the SHA-256; zeros for nothing.
fn push_hash(of: &str, text: &mut String) {
    if of.is_empty() {
        return text.push_str("000000000000");
    }
    text.extend(hex(&Sha256::digest(of.as_bytes())).chars().take(12));
}

fn join(text: &mut String, values: impl Iterator<Item = u16>) {
    for (index, value) in values.enumerate() {
        let _ = write!(text, "{}{value}", if index > 0 { "-" } else { "" });
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn read(list: &str) -> Vec<u16> {
        list.split(',')
            .filter(|text| !text.is_empty())
            .map(|text| u16::from_str_radix(text, 16).unwrap())
            .collect()
    }

    /// The hello of FoxIO's worked example, in an order of its own and with GREASE in every list.
    fn example() -> ClientHello {
        ClientHello {
            sni: Some("example.com".into()),
            alpn: vec![Bytes::from_static(b"h2"), Bytes::from_static(b"http/1.1")],
            cipher_suites: read(
                "2a2a,1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035",
            ),
            legacy_version: 0x0303,
            versions: read("7a7a,0304,0303"),
            extensions: read(
                "5a5a,001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015,caca",
            ),
            signature_algorithms: read("0403,0804,0401,0503,0805,0501,0806,0601"),
            ..ClientHello::default()
        }
    }

    #[test]
    fn the_published_example() {
        assert_eq!(ja4(&example(), Carrier::Tcp), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    #[test]
    fn the_order_of_all_but_signature_algorithms_is_of_no_account() {
        let mut hello = example();
        hello.cipher_suites.reverse();
        hello.extensions.reverse();
        assert_eq!(ja4(&hello, Carrier::Tcp), ja4(&example(), Carrier::Tcp));
        hello.signature_algorithms.reverse();
        assert_ne!(ja4(&hello, Carrier::Tcp), ja4(&example(), Carrier::Tcp));
    }

    /// The first part, of the example with something changed.
    fn first(change: impl FnOnce(&mut ClientHello), carrier: Carrier) -> String {
        let mut hello = example();
        change(&mut hello);
        ja4(&hello, carrier).split('_').next().unwrap().to_owned()
    }

    #[test]
    fn the_first_part() {
        let tcp = |change: fn(&mut ClientHello)| first(change, Carrier::Tcp);
        assert_eq!(first(|_| {}, Carrier::Quic), "q13d1516h2");
        assert_eq!(tcp(|hello| hello.extensions.retain(|kind| *kind != 0)), "t13i1515h2");
        assert_eq!(tcp(|hello| hello.versions = vec![0x0301]), "t10d1516h2");
        assert_eq!(tcp(|hello| hello.versions = vec![0x0a0a]), "t00d1516h2");
        assert_eq!(tcp(|hello| hello.versions = vec![0x0300]), "ts3d1516h2");
        assert_eq!(first(|hello| hello.versions = vec![0xfeff, 0xfefd], Carrier::Dtls), "dd2d1516h2");
        assert_eq!(tcp(|hello| hello.cipher_suites = vec![1; 120]), "t13d9916h2");
        assert_eq!(tcp(|hello| hello.alpn.clear()), "t13d151600");
        assert_eq!(tcp(|hello| hello.alpn = vec![Bytes::from_static(b"http/1.1")]), "t13d1516h1");
        assert_eq!(tcp(|hello| hello.alpn = vec![Bytes::from_static(b"h")]), "t13d1516hh");
        // Not readable: of ab cd the first and the last digit, also if only one of the two is odd.
        assert_eq!(tcp(|hello| hello.alpn = vec![Bytes::from_static(b"\xab\xcd")]), "t13d1516ad");
        assert_eq!(tcp(|hello| hello.alpn = vec![Bytes::from_static(b"0\xab")]), "t13d15163b");
        assert_eq!(tcp(|hello| hello.alpn = vec![Bytes::from_static(b"\xab")]), "t13d1516ab");
        assert_eq!(tcp(|hello| hello.alpn = vec![Bytes::new()]), "t13d151600");
    }

    #[test]
    fn nothing_is_zeros() {
        assert_eq!(ja4(&ClientHello::default(), Carrier::Tcp), "t00i000000_000000000000_000000000000");
        // Without signature algorithms the third part is that of the extensions alone: SHA-256 of `002b`.
        let hello = ClientHello { extensions: vec![0x2b, 0, 16], ..ClientHello::default() };
        let digest = hex(&Sha256::digest(b"002b"));
        assert!(ja4(&hello, Carrier::Tcp).ends_with(&digest[..12]));
    }

    #[test]
    fn the_published_examples_of_ja3() {
        let hello = ClientHello {
            legacy_version: 769,
            cipher_suites: vec![47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4],
            extensions: vec![0, 10, 11],
            groups: vec![23, 24, 25],
            point_formats: vec![0],
            ..ClientHello::default()
        };
        assert_eq!(ja3(&hello), "ada70206e40642a3e4461f35503241d5");
        let hello = ClientHello {
            legacy_version: 769,
            cipher_suites: vec![0x1a1a, 4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99],
            ..ClientHello::default()
        };
        assert_eq!(ja3(&hello), "de350869b8c85de67a350c8d186f11e6");
    }

    proptest! {
        #[test]
        fn always_the_same_shape(
            ciphers: Vec<u16>, extensions: Vec<u16>, versions: Vec<u16>, algorithms: Vec<u16>, alpn: Vec<Vec<u8>>,
        ) {
            let hello = ClientHello {
                cipher_suites: ciphers,
                extensions,
                versions,
                signature_algorithms: algorithms,
                alpn: alpn.into_iter().map(Bytes::from).collect(),
                ..ClientHello::default()
            };
            let found = ja4(&hello, Carrier::Tcp);
            let lengths: Vec<_> = found.split('_').map(str::len).collect();
            prop_assert_eq!(lengths, [10, 12, 12], "{}", found);
            prop_assert_eq!(ja3(&hello).len(), 32);
        }
    }
}
