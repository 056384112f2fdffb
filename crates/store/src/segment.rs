//! The segment file: what stands in it, and how it is walked. No opinion about which files there are.
//!
//! A file begins with [`MAGIC`]. Then follow records: how many bytes of the file the body takes (7 bytes, little-endian), what the
//! record is (1, see [`RecordKind`]), its length (8), its hash (32), the first 8 bytes of the BLAKE3 hash of those 48, and the body;
//! one that takes fewer bytes than its length is [packed](crate::packing). Length and hash are those of the body itself. The check over
//! the head lets a walk trust a length without reading the body.
//!
//! Parts are hashed by BLAKE3, which also finds equal ones. Flows have a CRC-32 and zeros instead: each is another, every one is
//! written while traffic waits, and the check is only against damage. In files of version 2, which end before this program's
//! begin, all records are [`RecordKind::Part`], flows too.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::limits::COMPRESSED_BODY_BYTES_MAX;
use crate::packing::Unpacker;

/// How each segment file begins; the last byte is the version of the format.
pub(crate) const MAGIC: [u8; 16] = *b"flowgate-bodies\x03";

/// How files of the version before began. They are read, never written.
const MAGIC_BEFORE: [u8; 16] = *b"flowgate-bodies\x02";

/// Bytes before each body.
pub(crate) const HEAD_BYTES: usize = 56;

/// The BLAKE3 hash of a body's bytes.
pub type BodyHash = [u8; 32];

/// Where a body lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BodyRef {
    /// The number of the segment file.
    pub segment: u32,
    /// Where the record begins in it, in bytes.
    pub offset: u64,
    /// How many bytes the body has.
    pub len: u64,
    /// What it hashes to.
    pub hash: BodyHash,
}

/// What a record is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RecordKind {
    /// A part of the flows behind it; in files of version 2 anything.
    Part = 0,
    /// A flow that ended. The index gets to know of it by a walk over the file.
    Flow = 1,
    /// A flow that was in another file before. The index knows of it; a walk passes over it.
    Moved = 2,
}

impl RecordKind {
    /// What guards these bytes.
    pub(crate) fn hash(self, body: &[u8]) -> BodyHash {
        if self == Self::Part {
            return *blake3::hash(body).as_bytes();
        }
        let mut hash = BodyHash::default();
        for (to, from) in hash.iter_mut().zip(crc32fast::hash(body).to_le_bytes()) {
            *to = from;
        }
        hash
    }
}

/// What stands before a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    /// What the record is.
    pub(crate) kind: RecordKind,
    /// How many bytes of the file the body takes.
    pub(crate) stored: u64,
    /// How many bytes it has.
    pub(crate) len: u64,
    /// What it hashes to.
    pub(crate) hash: BodyHash,
}

/// Why a segment or a body in it cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// The medium failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file begins with something else, or is of a version this program does not know.
    #[error("not a file of bodies, or of an unknown version")]
    NotASegment,
    /// The reference leads to no body of that length and hash, or the body is not all there.
    #[error("no such body at byte {0}")]
    NoSuchBody(u64),
    /// The body's bytes are not those that were written.
    #[error("the body at byte {0} is damaged")]
    Damaged(u64),
    /// Another process writes here.
    #[error("another process writes to this store")]
    Locked,
    /// There are no more numbers for files.
    #[error("the store has no more room for files of bodies")]
    Full,
}

/// How a walk over a segment ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ScanEnd {
    /// After the last record, at this byte.
    Clean(u64),
    /// The record at this byte is torn or damaged; nothing from there on can be found by walking.
    Torn(u64),
}

/// Walks all records of a segment and hands each to `each`. Reads no bodies but the last, whose hash it checks: that is the
/// one a crash can have left incomplete.
///
/// # Errors
/// What the medium says, or that this is no segment.
pub fn scan_segment(
    input: &mut (impl Read + Seek),
    segment: u32,
    mut each: impl FnMut(BodyRef),
) -> Result<ScanEnd, SegmentError> {
    let size = input.seek(SeekFrom::End(0))?;
    input.seek(SeekFrom::Start(0))?;
    let mut magic = [0; MAGIC.len()];
    if size < MAGIC.len() as u64 {
        return Ok(ScanEnd::Torn(0));
    }
    input.read_exact(&mut magic)?;
    if !is_magic(&magic) {
        return Err(SegmentError::NotASegment);
    }
    let mut offset = MAGIC.len() as u64;
    while offset < size {
        let Some(left) = (size - offset).checked_sub(HEAD_BYTES as u64) else {
            return Ok(ScanEnd::Torn(offset));
        };
        input.seek(SeekFrom::Start(offset))?;
        let mut bytes = [0; HEAD_BYTES];
        input.read_exact(&mut bytes)?;
        let Some(head) = Head::parse(&bytes).filter(|head| head.stored <= left) else {
            return Ok(ScanEnd::Torn(offset));
        };
        if head.stored == left && !head.fits(&mut input.by_ref().take(head.stored))? {
            return Ok(ScanEnd::Torn(offset));
        }
        each(BodyRef { segment, offset, len: head.len, hash: head.hash });
        offset += HEAD_BYTES as u64 + head.stored;
    }
    Ok(ScanEnd::Clean(offset))
}

/// Whether a file that begins so can be read.
pub(crate) fn is_magic(begin: &[u8]) -> bool {
    begin == MAGIC || begin == MAGIC_BEFORE
}

/// Bits of `stored` in a head; above them stands the kind.
const STORED_BITS: u32 = 56;

impl Head {
    pub(crate) const fn is_compressed(&self) -> bool {
        self.stored < self.len
    }

    /// As it is written.
    pub(crate) fn bytes(&self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        let (facts, check) = head.split_at_mut(48);
        let (stored_at, rest) = facts.split_at_mut(8);
        let (len_at, hash_at) = rest.split_at_mut(8);
        stored_at.copy_from_slice(&(self.stored | (self.kind as u64) << STORED_BITS).to_le_bytes());
        len_at.copy_from_slice(&self.len.to_le_bytes());
        hash_at.copy_from_slice(&self.hash);
        for (to, from) in check.iter_mut().zip(blake3::hash(facts).as_bytes()) {
            *to = *from;
        }
        head
    }

    /// What was written, if its check fits and it can be.
    pub(crate) fn parse(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let (stored, rest) = bytes.split_first_chunk::<8>()?;
        let (len, rest) = rest.split_first_chunk::<8>()?;
        let (hash, _) = rest.split_first_chunk::<32>()?;
        let first = u64::from_le_bytes(*stored);
        let kind = match first >> STORED_BITS {
            0 => RecordKind::Part,
            1 => RecordKind::Flow,
            2 => RecordKind::Moved,
            _ => return None,
        };
        let stored = first & ((1 << STORED_BITS) - 1);
        let head = Self { kind, stored, len: u64::from_le_bytes(*len), hash: *hash };
        let may_be = head.stored <= head.len
            && (!head.is_compressed() || head.len <= COMPRESSED_BODY_BYTES_MAX as u64);
        (may_be && head.bytes() == *bytes).then_some(head)
    }

    /// Whether the stored bytes are those that this head was written for.
    fn fits(&self, stored: &mut impl Read) -> io::Result<bool> {
        if self.kind == RecordKind::Part && !self.is_compressed() {
            return Ok(hash_of(stored)? == self.hash);
        }
        let mut bytes = Vec::new();
        stored.read_to_end(&mut bytes)?;
        Ok(self.body(bytes, &mut Unpacker::default()).is_some())
    }

    /// The body that these stored bytes are, if they are those that this head was written for.
    pub(crate) fn body(&self, stored: Vec<u8>, unpacker: &mut Unpacker) -> Option<Vec<u8>> {
        let body = if self.is_compressed() { self.unpack(&stored, unpacker)? } else { stored };
        (self.kind.hash(&body) == self.hash).then_some(body)
    }

    /// The body of a compressed record; `None` if it is damaged. Takes no more memory than the body, which is bounded.
    pub(crate) fn unpack(&self, stored: &[u8], unpacker: &mut Unpacker) -> Option<Vec<u8>> {
        let len = usize::try_from(self.len).ok().filter(|len| *len <= COMPRESSED_BODY_BYTES_MAX)?;
        unpacker.unpack(stored, len)
    }
}

/// The hash of all that `input` has.
pub(crate) fn hash_of(input: &mut impl Read) -> io::Result<BodyHash> {
    let mut hasher = blake3::Hasher::new();
    io::copy(input, &mut hasher)?;
    Ok(*hasher.finalize().as_bytes())
}

/// The name of a segment file.
pub(crate) fn path_of(directory: &Path, segment: u32) -> PathBuf {
    directory.join(format!("bodies-{segment:06}"))
}
