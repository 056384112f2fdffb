//! Reads bodies back, while another process may be writing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use flowgate_flow::{Body, StoredBody};

use crate::segment::{BodyRef, HEAD_BYTES, MAGIC, SegmentError, parse_head, path_of};

/// A body in a segment file, as a flow refers to it.
#[derive(Debug)]
struct SegmentBody {
    file: File,
    start: u64,
    len: u64,
}

impl StoredBody for SegmentBody {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = left.min(buf.len());
        let Some(buf) = buf.get_mut(..wanted).filter(|buf| !buf.is_empty()) else {
            return Ok(0);
        };
        self.file.read_at(buf, self.start + offset)
    }
}

/// Opens the body that `at` leads to, without reading it.
///
/// # Errors
/// What the medium says, or that no such body is there in full.
pub fn open_body(directory: &Path, at: &BodyRef) -> Result<Body, SegmentError> {
    let nowhere = || SegmentError::NoSuchBody(at.offset);
    let file = File::open(path_of(directory, at.segment))?;
    let start = at.offset.checked_add(HEAD_BYTES as u64).ok_or_else(nowhere)?;
    let end = start.checked_add(at.len).ok_or_else(nowhere)?;
    if at.offset < MAGIC.len() as u64 || file.metadata()?.len() < end {
        return Err(nowhere());
    }
    let mut head = [0; HEAD_BYTES];
    file.read_exact_at(&mut head, at.offset)?;
    if parse_head(&head) != Some((at.len, at.hash)) {
        return Err(nowhere());
    }
    Ok(Body::Stored(Arc::new(SegmentBody { file, start, len: at.len })))
}

/// Reads the whole body that `at` leads to and checks it against its hash.
///
/// # Errors
/// As [`open_body`], and that the body is damaged.
pub fn verify_body(directory: &Path, at: &BodyRef) -> Result<(), SegmentError> {
    let mut hasher = blake3::Hasher::new();
    open_body(directory, at)?.for_each_chunk(|piece| {
        hasher.update(piece);
        Ok(())
    })?;
    if *hasher.finalize().as_bytes() == at.hash { Ok(()) } else { Err(SegmentError::Damaged(at.offset)) }
}
