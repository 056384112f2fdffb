//! The segment file: what stands in it, and how it is walked. No opinion about which files there are.
//!
//! A file begins with [`MAGIC`]. Then follow records: the body's length (8 bytes, little-endian), its BLAKE3 hash (32),
//! the first 8 bytes of the BLAKE3 hash of those 40, and the body. The check over the head lets a walk trust a length
//! without reading the body.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// How each segment file begins; the last byte is the version of the format.
pub(crate) const MAGIC: [u8; 16] = *b"flowgate-bodies\x01";

/// Bytes before each body.
pub(crate) const HEAD_BYTES: usize = 48;

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

/// Why a segment or a body in it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The medium failed.
    #[error("{0}")]
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
    if magic != MAGIC {
        return Err(SegmentError::NotASegment);
    }
    let mut offset = MAGIC.len() as u64;
    while offset < size {
        let Some(left) = (size - offset).checked_sub(HEAD_BYTES as u64) else {
            return Ok(ScanEnd::Torn(offset));
        };
        input.seek(SeekFrom::Start(offset))?;
        let mut head = [0; HEAD_BYTES];
        input.read_exact(&mut head)?;
        let Some((len, hash)) = parse_head(&head).filter(|(len, _)| *len <= left) else {
            return Ok(ScanEnd::Torn(offset));
        };
        if len == left && hash_of(&mut input.by_ref().take(len))? != hash {
            return Ok(ScanEnd::Torn(offset));
        }
        each(BodyRef { segment, offset, len, hash });
        offset += HEAD_BYTES as u64 + len;
    }
    Ok(ScanEnd::Clean(offset))
}

/// The head of a record.
pub(crate) fn head(len: u64, hash: &BodyHash) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let (facts, check) = head.split_at_mut(40);
    let (len_at, hash_at) = facts.split_at_mut(8);
    len_at.copy_from_slice(&len.to_le_bytes());
    hash_at.copy_from_slice(hash);
    for (to, from) in check.iter_mut().zip(blake3::hash(facts).as_bytes()) {
        *to = *from;
    }
    head
}

/// Length and hash from a head, if its check fits.
pub(crate) fn parse_head(bytes: &[u8; HEAD_BYTES]) -> Option<(u64, BodyHash)> {
    let (len, rest) = bytes.split_first_chunk::<8>()?;
    let (hash, _) = rest.split_first_chunk::<32>()?;
    let len = u64::from_le_bytes(*len);
    (head(len, hash) == *bytes).then_some((len, *hash))
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
