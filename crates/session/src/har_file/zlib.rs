//! A zlib stream (RFC 1950) that can be ended after every piece, and from which a piece that was not written can be taken out.
//!
//! Each piece ends at a byte (a sync flush); the end is a stored block and the checksum, which the next piece takes the place
//! of. Not for other formats: flate2 writes those, but cannot go back.

use std::io;

use flate2::{Compress, Compression, FlushCompress};

/// What was compressed so far.
#[derive(Debug)]
pub(super) struct Zlib {
    compress: Compress,
    /// Of all pieces that are kept.
    sum: Adler32,
    /// The piece of which it is not known yet whether it is kept.
    pending: Adler32,
    began: bool,
    pending_begins: bool,
}

impl Default for Zlib {
    fn default() -> Self {
        let compress = Compress::new(Compression::best(), false);
        let sum = Adler32::default();
        Self { compress, sum, pending: sum, began: false, pending_begins: false }
    }
}

impl Zlib {
    /// The next piece, compressed. Either [`Self::kept`] or [`Self::lost`] has to follow.
    pub(super) fn compressed(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        self.pending = self.sum;
        self.pending.add(piece);
        let mut out = if self.began { Vec::new() } else { HEAD.to_vec() };
        self.pending_begins = !self.began;
        self.run(piece, FlushCompress::Sync, &mut out)?;
        Ok(out)
    }

    /// The last piece was written.
    pub(super) const fn kept(&mut self) {
        self.sum = self.pending;
        self.began |= self.pending_begins;
    }

    /// The last piece was not written: what comes next must not refer to it.
    pub(super) fn lost(&mut self) {
        self.pending = self.sum;
        // What that writes is an empty block, which nobody misses.
        let _ = self.run(b"", FlushCompress::Full, &mut Vec::new());
    }

    /// What ends the stream if these bytes come last: few, since they are not compressed.
    pub(super) fn last(&self, bytes: &[u8]) -> Vec<u8> {
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        let bytes = bytes.get(..usize::from(len)).unwrap_or(bytes);
        let mut sum = self.pending;
        sum.add(bytes);
        // RFC 1951 §3.2.4: the last block, stored; its length and the complement of it.
        let mut out = vec![1];
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(bytes);
        out.extend_from_slice(&sum.value().to_be_bytes());
        out
    }

    fn run(&mut self, mut input: &[u8], flush: FlushCompress, out: &mut Vec<u8>) -> io::Result<()> {
        loop {
            out.reserve(CHUNK_BYTES);
            let before = self.compress.total_in();
            self.compress.compress_vec(input, out, flush).map_err(io::Error::other)?;
            let used = usize::try_from(self.compress.total_in() - before).unwrap_or(usize::MAX);
            input = input.get(used..).unwrap_or_default();
            // With room left nothing more was to be written.
            if input.is_empty() && out.len() < out.capacity() {
                return Ok(());
            }
        }
    }
}

/// RFC 1950 §2.2: deflate with a window of 32 KiB, the slowest compression.
const HEAD: [u8; 2] = [0x78, 0xda];
const CHUNK_BYTES: usize = 32 * 1024;

/// RFC 1950 §8.
#[derive(Clone, Copy, Debug)]
struct Adler32 {
    a: u32,
    b: u32,
}

impl Default for Adler32 {
    fn default() -> Self {
        Self { a: 1, b: 0 }
    }
}

impl Adler32 {
    fn add(&mut self, bytes: &[u8]) {
        // So many can be added before 32 bits overflow.
        for chunk in bytes.chunks(5_552) {
            for &byte in chunk {
                self.a += u32::from(byte);
                self.b += self.a;
            }
            self.a %= 65_521;
            self.b %= 65_521;
        }
    }

    const fn value(self) -> u32 {
        self.b << 16 | self.a
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::bufread::ZlibDecoder;

    use super::*;

    fn inflated(bytes: &[u8]) -> String {
        let mut text = String::new();
        ZlibDecoder::new(bytes).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn whole_after_each_piece_and_without_those_that_were_lost() {
        let mut zlib = Zlib::default();
        let (mut kept, mut text) = (Vec::new(), String::new());
        // The second and later ones would refer to what was lost, were they let.
        let pieces = [
            (true, 'a', 10_u64),
            (false, 'b', 70_000),
            (true, 'b', 70_000),
            (false, 'a', 3),
            (true, 'c', 0),
            (true, 'd', 200_000),
        ];
        for (keep, c, count) in pieces {
            let piece: String =
                (0..count).map(|at: u64| char::from((c as u8) + ((at * at / 7) % 11) as u8)).collect();
            let bytes = zlib.compressed(piece.as_bytes()).unwrap();
            if keep {
                zlib.kept();
                kept.extend(bytes);
                text += &piece;
            } else {
                zlib.lost();
            }
            if !kept.is_empty() {
                assert_eq!(inflated(&[&kept[..], &zlib.last(b"END")].concat()), format!("{text}END"));
            }
        }
    }

    #[test]
    fn a_first_piece_that_is_lost_takes_no_head_with_it() {
        let mut zlib = Zlib::default();
        zlib.compressed(b"one").unwrap();
        zlib.lost();
        let mut bytes = zlib.compressed(b"two").unwrap();
        zlib.kept();
        bytes.extend(zlib.last(b""));
        assert_eq!(inflated(&bytes), "two");
    }
}
