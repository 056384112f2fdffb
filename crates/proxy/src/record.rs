//! Keeping a body while it crosses: in memory while it is small, in a temporary file when it is not.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use flowgate_flow::{Body, StoredBody};

use crate::limits::BODY_MEMORY_BYTES;

/// Pieces of a body up to this size are copied.
const PIECE_COPIED_BYTES_MAX: usize = 4096;

/// Sees the pieces of one body go by.
#[derive(Debug)]
pub(crate) struct BodyRecorder {
    bytes_max: u64,
    len: u64,
    pieces: Vec<Bytes>,
    file: Option<File>,
    /// Nothing is kept any more: it is too large, or the disk is full.
    failed: bool,
}

impl BodyRecorder {
    /// Records a body of up to `bytes_max` bytes; one that turns out larger is only counted.
    pub(crate) const fn new(bytes_max: u64) -> Self {
        Self { bytes_max, len: 0, pieces: Vec::new(), file: None, failed: false }
    }

    /// How long the body is so far, in bytes.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing of it has come yet.
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether so many bytes more would be recorded.
    pub(crate) const fn has_room(&self, bytes: usize) -> bool {
        self.len.saturating_add(bytes as u64) <= self.bytes_max
    }

    /// Whether what was recorded is lost: there was more than was to be recorded, or the disk is full.
    pub(crate) const fn has_failed(&self) -> bool {
        self.failed
    }

    /// A piece that crosses.
    pub(crate) fn push(&mut self, data: &Bytes) {
        self.len += data.len() as u64;
        if self.failed {
            return;
        }
        if self.len > self.bytes_max {
            return self.forget();
        }
        if self.len > BODY_MEMORY_BYTES as u64 {
            // Traffic goes on when the disk is full; only the record ends.
            if self.spill(data).is_err() {
                self.forget();
            }
            return;
        }
        // A small piece of a larger buffer would keep all of that in memory, and whoever reads into it from using it again.
        self.pieces.push(if data.len() <= PIECE_COPIED_BYTES_MAX {
            Bytes::copy_from_slice(data)
        } else {
            data.clone()
        });
    }

    fn forget(&mut self) {
        self.failed = true;
        self.pieces = Vec::new();
        self.file = None;
    }

    /// What was recorded.
    pub(crate) fn finish(&mut self) -> Body {
        let mut pieces = std::mem::take(&mut self.pieces);
        if self.len == 0 {
            return Body::EMPTY;
        }
        if self.failed {
            return Body::Counted(self.len);
        }
        if let Some(file) = self.file.take() {
            return Body::Stored(Arc::new(SpilledBody { file, len: self.len }));
        }
        match (pieces.len(), pieces.pop()) {
            (1, Some(only)) => Body::Bytes(only),
            (_, last) => {
                let mut all = BytesMut::with_capacity(usize::try_from(self.len).unwrap_or(0));
                pieces.iter().chain(&last).for_each(|piece| all.extend_from_slice(piece));
                Body::Bytes(all.freeze())
            }
        }
    }

    fn spill(&mut self, data: &Bytes) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        for piece in self.pieces.drain(..) {
            file.write_all(&piece)?;
        }
        file.write_all(data)
    }
}

/// A body in a temporary file that has no name: it goes when nobody reads it any more.
#[derive(Debug)]
struct SpilledBody {
    file: File,
    len: u64,
}

impl StoredBody for SpilledBody {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(bytes_max: u64, pieces: &[&[u8]]) -> Body {
        let mut recorder = BodyRecorder::new(bytes_max);
        pieces.iter().for_each(|piece| recorder.push(&Bytes::copy_from_slice(piece)));
        recorder.finish()
    }

    fn content(body: &Body) -> Vec<u8> {
        let mut all = Vec::new();
        body.for_each_chunk(|piece| all.write_all(piece)).unwrap();
        all
    }

    #[test]
    fn small_bodies_stay_in_memory() {
        assert!(matches!(recorded(u64::MAX, &[]), Body::Bytes(b) if b.is_empty()));
        assert!(matches!(recorded(u64::MAX, &[b"a"]), Body::Bytes(b) if b == "a"));
        assert!(matches!(recorded(u64::MAX, &[b"a", b"bc", b"d"]), Body::Bytes(b) if b == "abcd"));
    }

    #[test]
    fn large_bodies_go_to_a_file_and_come_back() {
        let piece: Vec<u8> = (0..=255).cycle().take(BODY_MEMORY_BYTES / 3).collect();
        let body = recorded(u64::MAX, &[&piece[..]; 7]);
        assert!(matches!(body, Body::Stored(_)));
        assert_eq!(content(&body), piece.repeat(7));
        assert_eq!(body.prefix(3).unwrap().unwrap(), &piece[..3]);
    }

    #[test]
    fn what_is_not_kept_is_counted() {
        assert!(matches!(recorded(3, &[b"abc", b"d"]), Body::Counted(4)));
        assert!(matches!(recorded(0, &[]), Body::Bytes(b) if b.is_empty()));
    }
}
