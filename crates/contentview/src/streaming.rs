//! Content decoding while a body comes, for readers of what is inside it: nothing that can be decoded is kept back for more.
//!
//! Not for what is forwarded, and not for whole bodies ([`decode`](crate::decode)). Bounded twice: a decoder takes no more memory than
//! [`memory_bytes_max`](StreamDecoder::memory_bytes_max), and makes no more of what came than [`EXCESS_FACTOR_MAX`] times as much
//! beyond [`EXCESS_BYTES_MAX`], so that a bomb ends it early. One encoding is undone; bodies in several are left alone.

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::Limits;
use crate::decode::{Encoding, has_zlib_head, parse, skippable_frame};

/// How many times as long as what came the content may be. Events that are much like each other come to 20 to 40 times.
pub(crate) const EXCESS_FACTOR_MAX: u64 = 64;
/// How much longer it may be besides: beginnings are not averages.
pub(crate) const EXCESS_BYTES_MAX: u64 = 1 << 20;
/// Brotli's windows are as large as two to so many; servers that encode while they answer use 22 or less.
const BROTLI_WINDOW_BITS_MAX: u8 = 22;
/// RFC 9659 section 3.
const ZSTD_WINDOW_BYTES_MAX: u64 = 8 << 20;
/// The longest head of a frame (RFC 8878 section 3.1.1), its magic number included.
const ZSTD_HEAD_BYTES_MAX: usize = 18;
/// The longest block (section 3.1.1.2.4).
const ZSTD_BLOCK_BYTES_MAX: usize = 128 * 1024;
const ZSTD_CHECKSUM: u8 = 0x04;

/// Undoes the content encoding of one body, piece by piece.
pub struct StreamDecoder {
    encoding: Encoding,
    state: State,
    came: u64,
    made: u64,
}

enum State {
    /// The first two bytes say more than the name of the encoding does. One of them may be here.
    Start(Vec<u8>),
    Begun(Box<dyn Decoder>),
}

/// What is written to it comes out decoded.
trait Decoder: Write + Send {
    fn out(&mut self) -> &mut Out;

    /// Gives out what it kept although nothing is missing for it.
    fn drain(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// What a decoder writes to.
#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    /// How much more is taken.
    room: usize,
}

impl StreamDecoder {
    /// For a body with this `Content-Encoding`; `None` if that is more than one encoding, one that is not known, or none.
    #[must_use]
    pub fn new(content_encoding: &[u8]) -> Option<Self> {
        match parse(content_encoding, &Limits::default()).ok()?[..] {
            [encoding] => Some(Self { encoding, state: State::Start(Vec::new()), came: 0, made: 0 }),
            _ => None,
        }
    }

    /// How much memory it takes at most, in bytes: mostly the window of its encoding.
    #[must_use]
    pub const fn memory_bytes_max(&self) -> usize {
        match self.encoding {
            Encoding::Gzip | Encoding::Deflate => 128 << 10,
            Encoding::Brotli => 5 << 20,
            Encoding::Zstd => 9 << 20,
        }
    }

    /// Takes the next piece, and gives the content that this makes known.
    ///
    /// # Errors
    /// If what came is not in this encoding, or bounds are reached. The decoder must not be used again.
    pub fn push(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        self.came = self.came.saturating_add(piece.len() as u64);
        let content = match &mut self.state {
            State::Begun(decoder) => decode(&mut **decoder, piece, self.came, self.made)?,
            State::Start(held) => {
                held.extend_from_slice(piece);
                let [first, second, ..] = held[..] else { return Ok(Vec::new()) };
                let mut decoder = begin(self.encoding, first, second)?;
                let content = decode(&mut *decoder, held, self.came, self.made)?;
                self.state = State::Begun(decoder);
                content
            }
        };
        self.made = self.made.saturating_add(content.len() as u64);
        Ok(content)
    }
}

fn decode(decoder: &mut dyn Decoder, piece: &[u8], came: u64, made: u64) -> io::Result<Vec<u8>> {
    let may_be = EXCESS_BYTES_MAX.saturating_add(came.saturating_mul(EXCESS_FACTOR_MAX));
    decoder.out().room = usize::try_from(may_be.saturating_sub(made)).unwrap_or(usize::MAX);
    decoder.write_all(piece)?;
    decoder.drain()?;
    Ok(std::mem::take(&mut decoder.out().bytes))
}

/// The decoder of a body that begins with these bytes.
fn begin(encoding: Encoding, first: u8, second: u8) -> io::Result<Box<dyn Decoder>> {
    let out = Out::default();
    let zlib = has_zlib_head(&[first, second]);
    Ok(match encoding {
        // As in `decode`: some servers call everything gzip, or send deflate without its head.
        Encoding::Gzip | Encoding::Deflate if zlib => Box::new(ZlibDecoder::new(out)),
        Encoding::Gzip => Box::new(MultiGzDecoder::new(out)),
        Encoding::Deflate => Box::new(DeflateDecoder::new(out)),
        Encoding::Brotli if brotli_window_bits(first).is_some_and(|bits| bits <= BROTLI_WINDOW_BITS_MAX) => {
            Box::new(DecompressorWriter::new(out, 4096))
        }
        Encoding::Brotli => return Err(io::Error::other("window is too large")),
        Encoding::Zstd => Box::new(Zstd::new(out)),
    })
}

/// RFC 7932 section 9.1; `None` if this is not specified there.
const fn brotli_window_bits(first: u8) -> Option<u8> {
    match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => Some(16),
        (_, 0, 0) => Some(17),
        (_, 0, 1) => None,
        (_, 0, n) => Some(8 + n),
        (_, n, _) => Some(17 + n),
    }
}

impl Write for Out {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.room = self.room.checked_sub(content.len()).ok_or_else(|| io::Error::other("too much"))?;
        self.bytes.extend_from_slice(content);
        Ok(content.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Decoder for MultiGzDecoder<Out> {
    fn out(&mut self) -> &mut Out {
        self.get_mut()
    }
}

impl Decoder for ZlibDecoder<Out> {
    fn out(&mut self) -> &mut Out {
        self.get_mut()
    }
}

impl Decoder for DeflateDecoder<Out> {
    fn out(&mut self) -> &mut Out {
        self.get_mut()
    }
}

impl Decoder for DecompressorWriter<Out> {
    fn out(&mut self) -> &mut Out {
        self.get_mut()
    }

    /// The library gives out no more than its buffer holds when it is asked for the last time for a piece.
    fn drain(&mut self) -> io::Result<()> {
        loop {
            let before = self.get_mut().bytes.len();
            // With nothing to take, `write` only gives.
            let _ = self.write(&[])?;
            if self.get_mut().bytes.len() == before {
                return Ok(());
            }
        }
    }
}

/// Frames of zstd, block by block. The library keeps the last window of a frame to itself until the frame ends.
struct Zstd {
    decoder: FrameDecoder,
    out: Out,
    /// What is left of what came: less than a block.
    held: Vec<u8>,
    at: Place,
}

enum Place {
    BetweenFrames,
    /// So many bytes mean nothing to us.
    Skipped(usize),
    /// In a frame, with a checksum behind it or without.
    Blocks {
        checksum: bool,
    },
}

impl Zstd {
    fn new(out: Out) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW_BYTES_MAX);
        Self { decoder, out, held: Vec::new(), at: Place::BetweenFrames }
    }

    /// Takes one step; says whether there was enough for it.
    fn step(&mut self, rest: &mut &[u8]) -> io::Result<bool> {
        match self.at {
            Place::BetweenFrames => self.begin_frame(rest),
            Place::Skipped(left) => {
                let (_, behind) = rest.split_at(left.min(rest.len()));
                let left = left.saturating_sub(rest.len());
                *rest = behind;
                self.at = if left == 0 { Place::BetweenFrames } else { Place::Skipped(left) };
                Ok(left == 0)
            }
            Place::Blocks { checksum } => self.block(rest, checksum),
        }
    }

    fn begin_frame(&mut self, rest: &mut &[u8]) -> io::Result<bool> {
        if let Some(len) = skippable_frame(rest) {
            self.at = Place::Skipped(len);
            return Ok(true);
        }
        let Some(descriptor) = rest.get(4) else { return Ok(false) };
        let checksum = descriptor & ZSTD_CHECKSUM != 0;
        let mut behind = *rest;
        match self.decoder.reset(&mut behind) {
            Ok(()) => {}
            Err(_) if rest.len() < ZSTD_HEAD_BYTES_MAX => return Ok(false),
            Err(err) => return Err(io::Error::other(err)),
        }
        *rest = behind;
        self.at = Place::Blocks { checksum };
        Ok(true)
    }

    fn block(&mut self, rest: &mut &[u8], checksum: bool) -> io::Result<bool> {
        let [first, second, third, ..] = **rest else { return Ok(false) };
        let head = u32::from_le_bytes([first, second, third, 0]);
        let (last, repeats) = (head & 1 == 1, head >> 1 & 3 == 1);
        let len = if repeats { 1 } else { head as usize >> 3 };
        if len > ZSTD_BLOCK_BYTES_MAX {
            return Err(io::Error::other("block is too long"));
        }
        if rest.len() < 3 + len + if last && checksum { 4 } else { 0 } {
            return Ok(false);
        }
        self.decoder
            .decode_blocks(&mut *rest, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(io::Error::other)?;
        self.decoder.collect_to_writer(&mut self.out)?;
        if self.decoder.is_finished() {
            self.at = Place::BetweenFrames;
        }
        Ok(true)
    }
}

impl Write for Zstd {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(piece);
        let mut rest = &held[..];
        while self.step(&mut rest)? {}
        self.held = rest.to_vec();
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Decoder for Zstd {
    fn out(&mut self) -> &mut Out {
        &mut self.out
    }
}
