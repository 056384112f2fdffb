//! Content decoding while a body comes: what is there is given at once, however it was cut, and bombs end early.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::{Compression, FlushCompress};
use flowgate_contentview::{Limits, StreamDecoder, decode};
use proptest::prelude::*;

const FIRST: &[u8] = b"data: first\n\n";
const SECOND: &[u8] = b"data: second\n\n";
/// Both as the reference implementation of Brotli gives them out, with a flush behind each.
const BROTLI: [&str; 3] = ["0b060000241540747210492629e914593e8601", "6800004042a10891a41a0dbb", "03"];

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
}

/// `FIRST` and `SECOND`, with a flush behind each.
macro_rules! flushed {
    ($encoder:ident) => {{
        let mut encoder = $encoder::new(Vec::new(), Compression::default());
        [FIRST, SECOND].map(|event| {
            encoder.write_all(event).unwrap();
            encoder.flush().unwrap();
            std::mem::take(encoder.get_mut())
        })
    }};
}

#[test]
fn what_was_flushed_is_given_at_once() {
    let brotli = [unhex(BROTLI[0]), unhex(BROTLI[1])];
    for (encoding, pieces) in [
        ("gzip", flushed!(GzEncoder)),
        ("x-gzip", flushed!(ZlibEncoder)),
        ("deflate", flushed!(ZlibEncoder)),
        ("deflate", flushed!(DeflateEncoder)),
        ("br", brotli),
        // A frame each: within one, the library keeps a window to itself.
        ("zstd", [zstd(FIRST), zstd(SECOND)]),
        ("identity, zstd", [zstd(FIRST), [b"\x5f\x2a\x4d\x18\x02\0\0\0ab".to_vec(), zstd(SECOND)].concat()]),
    ] {
        let mut decoder = StreamDecoder::new(encoding.as_bytes()).unwrap();
        for (piece, expected) in pieces.iter().zip([FIRST, SECOND]) {
            let mut content = Vec::new();
            for byte in piece {
                content.extend(decoder.push(&[*byte]).unwrap());
            }
            assert_eq!(content, expected, "{encoding}");
        }
    }
}

/// Of a piece that makes more than 4 KiB, the rest came with the next piece, be that minutes later. A fuzzer found it.
#[test]
fn all_of_a_piece_of_brotli_is_given_at_once() {
    let content = vec![b'x'; 10_000];
    // A window of 64 KiB; not the last block; its length, less one, in 16 bits; not compressed.
    let head = (10_000_u32 - 1) << 4 | 1 << 20;
    let piece = [&head.to_le_bytes()[..3], &content].concat();
    assert!(StreamDecoder::new(b"br").unwrap().push(&piece).unwrap() == content);
}

#[test]
fn what_is_no_single_encoding_is_left_alone() {
    for encoding in ["", "identity", "none", "gzip, br", "compress", "gzip;q=1"] {
        assert!(StreamDecoder::new(encoding.as_bytes()).is_none(), "{encoding:?}");
    }
}

#[test]
fn what_is_not_in_its_encoding_fails() {
    // The window of Brotli that is allowed, and one beyond.
    assert!(StreamDecoder::new(b"br").unwrap().push(&unhex(BROTLI[0])).is_ok());
    let mut large = unhex(BROTLI[0]);
    large[0] = 0x0d;
    assert!(StreamDecoder::new(b"br").unwrap().push(&large).is_err());
    // Likewise for zstd: 8 MiB, and an eighth more. An empty last block follows, and the beginning of another frame.
    for (window, allowed) in [(0x68, true), (0x69, false)] {
        let frame =
            [b"\x28\xb5\x2f\xfd\x00", &[window][..], b"\x01\0\0", b"\x28\xb5\x2f\xfd\x00\x00\x01\0\0"]
                .concat();
        assert_eq!(StreamDecoder::new(b"zstd").unwrap().push(&frame).is_ok(), allowed);
    }
    for (encoding, bytes) in [
        ("gzip", &b"plain text"[..]),
        ("gzip", b"\x1f\x8b\x09\0\0\0\0\0\0\0\0\0"),
        ("deflate", b"\xff\xff\xff\xff"),
        ("br", b"\x11\x11"),
        ("zstd", b"data: this is no zstd, is it?\n\n"),
        ("zstd", b"\x28\xb5\x2f\xfd\x00\x00\x06\x00\x11"),
    ] {
        assert!(
            StreamDecoder::new(encoding.as_bytes()).unwrap().push(bytes).is_err(),
            "{encoding} {bytes:?}"
        );
    }
}

/// One that comes to 1,000 times its length ends when it is 64 times as long and 1 MiB.
#[test]
fn bombs_end_early() {
    let zeros = vec![0; 64 << 20];
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&zeros).unwrap();
    for (encoding, bomb) in [("gzip", gzip.finish().unwrap()), ("zstd", zstd(&zeros))] {
        let mut decoder = StreamDecoder::new(encoding.as_bytes()).unwrap();
        let (mut came, mut made) = (0, 0);
        let ended = bomb.chunks(1000).any(|piece| {
            came += piece.len();
            decoder.push(piece).map(|content| made += content.len()).is_err()
        });
        assert!(ended, "{encoding}");
        assert!(made <= (1 << 20) + 64 * came, "{encoding}: {made} of {came}");
    }
}

/// What comes to exactly as much as is allowed is given; a byte more is not.
#[test]
fn the_excess_is_bounded_to_the_byte() {
    // Stored blocks come to what they are; one that repeats comes to the rest.
    for (beyond, allowed) in [(0, true), (1, false)] {
        let mut frame = b"\x28\xb5\x2f\xfd\x00\x48".to_vec();
        let blocks = 9;
        let len = (1 << 20) + 64 * (frame.len() + blocks * 4);
        let mut left = len + beyond;
        for block in 0..blocks {
            let n = left.min(128 << 10);
            left -= n;
            let last = u32::from(block == blocks - 1);
            frame.extend_from_slice(&((n as u32) << 3 | 2 | last).to_le_bytes()[..3]);
            frame.push(0);
        }
        assert_eq!(left, 0);
        let content = StreamDecoder::new(b"zstd").unwrap().push(&frame);
        assert_eq!(content.map(|content| content.len()).ok(), allowed.then_some(len), "{beyond}");
    }
}

fn encode(encoding: &str, content: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = flate2::Compress::new(Compression::fast(), false);
            let mut out = Vec::with_capacity(content.len() + 100);
            encoder.compress_vec(content, &mut out, FlushCompress::Finish).unwrap();
            out
        }
        _ => zstd(content),
    }
}

proptest! {
    #[test]
    fn pieces_give_what_the_whole_does(
        encoding in proptest::sample::select(vec!["gzip", "deflate", "zstd"]),
        content in proptest::collection::vec(0..4_u8, 0..5000),
        cuts in proptest::collection::vec(1..300_usize, 0..20),
    ) {
        let encoded = encode(encoding, &content);
        let mut decoder = StreamDecoder::new(encoding.as_bytes()).unwrap();
        let (mut rest, mut got) = (&encoded[..], Vec::new());
        for cut in cuts.into_iter().chain([usize::MAX]) {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            rest = behind;
            got.extend(decoder.push(piece).unwrap());
        }
        prop_assert_eq!(&got, &content);
    }

    #[test]
    fn any_bytes_are_decoded_as_a_whole_or_fail(
        encoding in proptest::sample::select(vec!["gzip", "deflate", "zstd", "br"]),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut decoder = StreamDecoder::new(encoding.as_bytes()).unwrap();
        if let Ok(content) = decoder.push(&bytes) {
            let whole = decode(encoding.as_bytes(), &bytes, &Limits::default());
            prop_assert!(whole.is_err() || whole.unwrap().bytes.starts_with(&content));
        }
    }
}
