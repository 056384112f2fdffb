//! Content decoding: what each encoding gives, what is refused, and what a bomb costs.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flowgate_contentview::{DecodeError, DecodeNote, Encoding, Limits, decode};
use proptest::prelude::*;

const TEXT: &[u8] = b"hello brotli, hello zstd";
/// `TEXT` as the reference implementations encode it.
const BROTLI: &str = "8b0b8068656c6c6f2062726f746c692c2068656c6c6f207a73746403";
const ZSTD: &str = "28b52ffd2018c1000068656c6c6f2062726f746c692c2068656c6c6f207a737464";
/// 100 MiB of zeros in 165 bytes.
const BROTLI_BOMB: &str = "cbffff3f002400e2b14072effff8ffff078004401c1680eefd1fffffff00900088c302d0bdffe3ffff1f001200715800\
                           baf77ffcffff034002200e0b40f7fe8fffff7f004800c46101e8defff1ffff0f000980382c00ddfb3ffeffff01200110\
                           8705a07bffc7ffff3f002400e2b00074effff8ffff078004401c1680eefd1fffffff00900088c302d0bdffe3ffff1f00\
                           1200715800baf77ff9ffff034002200e0b40f7fe07";

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn raw_deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn each_encoding_gives_the_content() {
    let two_members = [gzip(&TEXT[..5]), gzip(&TEXT[5..]), b"\0\0padding".to_vec()].concat();
    let skippable = [b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(), unhex(ZSTD)].concat();
    for (name, encoded) in [
        ("", TEXT.to_vec()),
        ("identity", TEXT.to_vec()),
        ("none", TEXT.to_vec()),
        ("gzip", gzip(TEXT)),
        ("X-GZIP", gzip(TEXT)),
        ("gzip", zlib(TEXT)),
        ("gzip", two_members),
        ("deflate", zlib(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("deflateraw", raw_deflate(TEXT)),
        ("br", unhex(BROTLI)),
        ("zstd", unhex(ZSTD)),
        ("zstd", zstd(TEXT)),
        ("zstd", [zstd(&TEXT[..5]), zstd(&TEXT[5..])].concat()),
        ("zstd", skippable),
        ("br, gzip", gzip(&unhex(BROTLI))),
        (" deflate ,gzip,, identity", gzip(&zlib(TEXT))),
    ] {
        let decoded = decode(name.as_bytes(), &encoded, &Limits::default());
        let decoded = decoded.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(decoded.bytes, TEXT, "{name}");
        assert_eq!(decoded.note, None, "{name}");
    }
}

#[test]
fn nothing_is_empty_in_every_encoding() {
    for name in ["gzip", "deflate", "br", "zstd", "gzip, br"] {
        let decoded = decode(name.as_bytes(), b"", &Limits::default()).unwrap();
        assert!(decoded.bytes.is_empty() && decoded.note.is_none(), "{name}");
    }
}

#[test]
fn what_cannot_be_decoded_is_an_error() {
    let corrupt = |encoding| DecodeError::Corrupt { encoding };
    let mut bad_checksum = gzip(TEXT);
    let at = bad_checksum.len() - 8;
    bad_checksum[at] ^= 1;
    for (name, encoded, error) in [
        ("utf-8", TEXT, DecodeError::Unknown { name: "utf-8".into() }),
        ("gzip, frob", TEXT, DecodeError::Unknown { name: "frob".into() }),
        ("gzip", TEXT, corrupt(Encoding::Gzip)),
        ("gzip", &bad_checksum, corrupt(Encoding::Gzip)),
        ("deflate", TEXT, corrupt(Encoding::Deflate)),
        ("br", b"\xff\xff\xff\xff\xff\xff", corrupt(Encoding::Brotli)),
        ("zstd", TEXT, corrupt(Encoding::Zstd)),
        ("gzip, gzip, gzip, gzip, gzip, gzip", TEXT, DecodeError::TooMany { limit: 5 }),
    ] {
        assert_eq!(decode(name.as_bytes(), encoded, &Limits::default()), Err(error), "{name}");
    }
}

#[test]
fn a_truncated_body_shows_what_there_is() {
    let text = "some text that takes a while, ".repeat(4_000);
    for (name, encoded) in [
        ("gzip", gzip(text.as_bytes())),
        ("deflate", zlib(text.as_bytes())),
        ("deflate", raw_deflate(text.as_bytes())),
    ] {
        let decoded = decode(name.as_bytes(), &encoded[..encoded.len() - 10], &Limits::default()).unwrap();
        assert_eq!(decoded.note, Some(DecodeNote::Truncated), "{name}");
        assert!(!decoded.bytes.is_empty() && text.as_bytes().starts_with(&decoded.bytes), "{name}");
    }
    for (name, encoded) in [("br", unhex(BROTLI)), ("zstd", unhex(ZSTD))] {
        let decoded = decode(name.as_bytes(), &encoded[..encoded.len() - 3], &Limits::default()).unwrap();
        assert_eq!(decoded.note, Some(DecodeNote::Truncated), "{name}");
        assert!(TEXT.starts_with(&decoded.bytes), "{name}");
    }
}

/// `blocks` blocks of 128 KiB of zeros, four bytes each (RFC 8878 section 3.1.1.2, type RLE).
fn zstd_bomb(blocks: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x58];
    for at in 0..blocks {
        let last = u32::from(at + 1 == blocks);
        let head = last | 1 << 1 | (128 << 10) << 3;
        frame.extend_from_slice(&head.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

#[test]
fn bombs_stop_at_the_limit() {
    let limit = 1 << 20;
    let limits = Limits { decoded_bytes_max: limit, ..Limits::default() };
    let zeros = vec![0; 8 << 20];
    for (name, encoded) in [
        ("gzip", gzip(&zeros)),
        ("deflate", zlib(&zeros)),
        ("deflate", raw_deflate(&zeros)),
        ("br", unhex(BROTLI_BOMB)),
        ("zstd", zstd_bomb(1_000)),
        ("gzip, gzip", gzip(&gzip(&zeros))),
        ("br, gzip, gzip", gzip(&gzip(&unhex(BROTLI_BOMB)))),
        ("identity, zstd", zstd_bomb(1_000)),
    ] {
        let decoded = decode(name.as_bytes(), &encoded, &limits).unwrap();
        assert_eq!(decoded.note, Some(DecodeNote::LimitReached { limit }), "{name}");
        assert_eq!(decoded.bytes.len(), limit, "{name}");
    }
}

#[test]
fn the_limit_itself_is_allowed() {
    let limits = Limits { decoded_bytes_max: TEXT.len(), ..Limits::default() };
    for (name, encoded) in
        [("gzip", gzip(TEXT)), ("deflate", zlib(TEXT)), ("br", unhex(BROTLI)), ("zstd", unhex(ZSTD))]
    {
        assert_eq!(decode(name.as_bytes(), &encoded, &limits).unwrap().note, None, "{name}");
    }
}

proptest! {
    #[test]
    fn never_panics(name in "(gzip|deflate|br|zstd|identity|x)(, ?(gzip|deflate|br|zstd))?",
                    magic in prop::sample::select(vec![&b""[..], b"\x1f\x8b\x08\0\0\0\0\0\0\0", b"\x78\x9c", b"\x28\xb5\x2f\xfd"]),
                    bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let limits = Limits { decoded_bytes_max: 10_000, ..Limits::default() };
        if let Ok(decoded) = decode(name.as_bytes(), &[magic, &bytes].concat(), &limits) {
            prop_assert!(decoded.bytes.len() <= 10_000 || name == "identity");
        }
    }

    #[test]
    fn round_trips(bytes in prop::collection::vec(any::<u8>(), 0..5_000)) {
        for (name, encoded) in [
            ("gzip", gzip(&bytes)), ("deflate", zlib(&bytes)), ("deflate", raw_deflate(&bytes)), ("zstd", zstd(&bytes)),
            ("zstd, gzip", gzip(&zstd(&bytes))),
        ] {
            let decoded = decode(name.as_bytes(), &encoded, &Limits::default());
            prop_assert_eq!(decoded.map(|decoded| decoded.bytes.into_owned()), Ok(bytes.clone()), "{}", name);
        }
    }
}
