//! Keeping a body while it crosses: in memory while it is small, in a temporary file when it is not.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use flowgate_flow::{Body, StoredBody};

use crate::limits::{BODIES_MEMORY_BYTES_MAX, BODY_MEMORY_BYTES, BODY_UNCOUNTED_BYTES};

/// Pieces of a body up to this size are copied.
const PIECE_COPIED_BYTES_MAX: usize = 4096;

/// Sees the pieces of one body go by.
#[derive(Debug)]
pub(crate) struct BodyRecorder {
    bytes_max: u64,
    len: u64,
    pieces: Vec<Bytes>,
    held: Held,
    file: Option<File>,
    /// Nothing is kept any more: it is too large, or the disk is full.
    failed: bool,
}

impl BodyRecorder {
    /// Records a body of up to `bytes_max` bytes; one that turns out larger is only counted.
    pub(crate) const fn new(bytes_max: u64) -> Self {
        Self { bytes_max, len: 0, pieces: Vec::new(), held: Held(0), file: None, failed: false }
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
        if self.file.is_some()
            || self.len > BODY_MEMORY_BYTES as u64
            || (self.len > BODY_UNCOUNTED_BYTES as u64 && !self.held.has_room(data.len()))
        {
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

    /// Moves what was recorded out of memory, since nobody knows for how long it is to stay: if it is worth a file.
    pub(crate) fn leave_memory(&mut self) {
        let in_memory: usize = self.pieces.iter().map(Bytes::len).sum();
        // Without room on the disk, or without a descriptor for it, it stays where it is.
        if in_memory > BODY_UNCOUNTED_BYTES
            && !self.failed
            && self.file.is_none()
            && let Ok(file) = tempfile::tempfile()
        {
            self.file = Some(file);
            if self.spill(&Bytes::new()).is_err() {
                self.forget();
            }
        }
    }

    fn forget(&mut self) {
        self.failed = true;
        self.pieces = Vec::new();
        self.held = Held(0);
        self.file = None;
    }

    /// What was recorded.
    pub(crate) fn finish(&mut self) -> Body {
        let mut pieces = std::mem::take(&mut self.pieces);
        self.held = Held(0);
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
        self.held = Held(0);
        file.write_all(data)
    }
}

/// How much all bodies under way hold in memory that count.
static ALL_HELD: AtomicUsize = AtomicUsize::new(0);

/// One body's part of [`ALL_HELD`]: given back when it is dropped.
#[derive(Debug)]
struct Held(usize);

impl Held {
    /// Takes so many bytes more, if all may have them.
    fn has_room(&mut self, bytes: usize) -> bool {
        self.0 += bytes;
        ALL_HELD.fetch_add(bytes, Ordering::Relaxed) + bytes <= BODIES_MEMORY_BYTES_MAX
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0 > 0 {
            ALL_HELD.fetch_sub(self.0, Ordering::Relaxed);
        }
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

    /// Of many bodies at a time each was within its bound, and all together were without one.
    #[test]
    fn all_bodies_together_hold_no_more_in_memory_than_they_may() {
        let piece = Bytes::from(vec![b'x'; BODY_UNCOUNTED_BYTES]);
        let mut recorders = Vec::new();
        while recorders.last().is_none_or(|last: &BodyRecorder| last.file.is_none()) {
            let mut recorder = BodyRecorder::new(u64::MAX);
            (0..BODY_MEMORY_BYTES / piece.len()).for_each(|_| recorder.push(&piece));
            recorders.push(recorder);
            assert!(recorders.len() * BODY_MEMORY_BYTES <= 2 * BODIES_MEMORY_BYTES_MAX);
        }
        let in_memory: usize = recorders.iter().flat_map(|recorder| &recorder.pieces).map(Bytes::len).sum();
        assert!(in_memory >= BODIES_MEMORY_BYTES_MAX / 2, "{in_memory}");
        let first = recorders.swap_remove(0).finish();
        assert!(matches!(first, Body::Bytes(_)), "what is there stays");
        let last = recorders.pop().unwrap().finish();
        assert_eq!(content(&last), vec![b'x'; BODY_MEMORY_BYTES]);
        drop(recorders);
        let mut next = BodyRecorder::new(u64::MAX);
        (0..BODY_MEMORY_BYTES / piece.len()).for_each(|_| next.push(&piece));
        assert!(next.file.is_none(), "what was held was given back");
    }

    #[test]
    fn a_body_that_leaves_memory_comes_back_whole() {
        for (before, leaves) in [(BODY_UNCOUNTED_BYTES, false), (BODY_UNCOUNTED_BYTES + 1, true)] {
            let mut recorder = BodyRecorder::new(u64::MAX);
            recorder.push(&vec![b'a'; before].into());
            recorder.leave_memory();
            assert_eq!((recorder.file.is_some(), recorder.pieces.is_empty()), (leaves, leaves));
            recorder.push(&Bytes::from_static(b"b"));
            recorder.leave_memory();
            assert_eq!(content(&recorder.finish()), [vec![b'a'; before], b"b".to_vec()].concat());
        }
    }

    #[test]
    fn what_is_not_kept_is_counted() {
        assert!(matches!(recorded(3, &[b"abc", b"d"]), Body::Counted(4)));
        assert!(matches!(recorded(0, &[]), Body::Bytes(b) if b.is_empty()));
    }
}
