//! Reads bodies back, while another process may be writing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flowgate_flow::{Body, StoredBody};
use flowgate_formats::Connections;

use crate::error::StoreError;
use crate::limits::{
    COMPRESSED_BODY_BYTES_MAX, FLOW_BYTES_MAX, OPEN_SEGMENTS_MAX, READ_AHEAD_BYTES, READ_CONNECTIONS_MAX,
};
use crate::packing::Unpacker;
use crate::segment::{BodyRef, HEAD_BYTES, Head, MAGIC, SegmentError, path_of};

/// Finds bodies in a directory of segment files; keeps at most [`OPEN_SEGMENTS_MAX`] of them open.
#[derive(Debug)]
pub struct BodyReader {
    directory: PathBuf,
    /// The one used last comes last.
    open: Mutex<Vec<(u32, Arc<File>)>>,
    /// What was read last, and what stands behind it; not for readers of single bodies.
    ahead: Option<Mutex<Ahead>>,
    unpacker: Mutex<Unpacker>,
    /// Connections of flows, by where they lie.
    connections: Mutex<HashMap<(u32, u64), (BodyRef, Connections)>>,
}

/// A part of a segment file in memory. What was written there stays as it is, so it cannot be outdated.
#[derive(Debug, Default)]
struct Ahead {
    segment: u32,
    start: u64,
    bytes: Vec<u8>,
}

impl Ahead {
    /// `None` if it has not all of these bytes.
    fn get(&self, segment: u32, offset: u64, len: usize) -> Option<&[u8]> {
        let at = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(at..at.checked_add(len)?).filter(|_| segment == self.segment)
    }

    fn fill(&mut self, segment: u32, offset: u64, file: &File) -> io::Result<()> {
        self.bytes.resize(READ_AHEAD_BYTES, 0);
        let read = file.read_at(&mut self.bytes, offset);
        self.bytes.truncate(*read.as_ref().unwrap_or(&0));
        (self.segment, self.start) = (segment, offset);
        read.map(drop)
    }
}

/// A body in a segment file, as a flow refers to it.
#[derive(Debug)]
struct SegmentBody {
    file: Arc<File>,
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

impl BodyReader {
    /// A reader of this directory; nothing is opened yet.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            open: Mutex::default(),
            ahead: None,
            unpacker: Mutex::default(),
            connections: Mutex::default(),
        }
    }

    /// The connections at this place: as they were read before, or made by `read` of what lies there.
    pub(crate) fn connections(
        &self,
        at: &BodyRef,
        read: impl FnOnce(Vec<u8>) -> Result<Connections, StoreError>,
    ) -> Result<Connections, StoreError> {
        let known = || self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (at.segment, at.offset);
        if let Some((_, connections)) = known().get(&place).filter(|(known, _)| known == at) {
            return Ok(connections.clone());
        }
        let len = usize::try_from(at.len).ok().filter(|len| *len <= COMPRESSED_BODY_BYTES_MAX);
        let len = len.ok_or(SegmentError::NoSuchBody(at.offset))?;
        let record = self.open(at)?.prefix(len).map_err(SegmentError::from)?.unwrap_or_default();
        let connections = read(record.into())?;
        let mut known = known();
        if known.len() >= READ_CONNECTIONS_MAX {
            known.clear();
        }
        known.insert(place, (*at, connections.clone()));
        Ok(connections)
    }

    /// One that will read much of what is there, in about the order in which it was written.
    pub(crate) fn reading_ahead(directory: &Path) -> Self {
        Self { ahead: Some(Mutex::default()), ..Self::new(directory) }
    }

    /// Opens the body that `at` leads to. It is read when it is used, unless it is compressed.
    ///
    /// # Errors
    /// What the medium says, or that no such body is there in full.
    pub fn open(&self, at: &BodyRef) -> Result<Body, SegmentError> {
        let (file, start, head) = self.find(at.segment, at.offset)?;
        if (head.len, head.hash) != (at.len, at.hash) {
            return Err(SegmentError::NoSuchBody(at.offset));
        }
        if !head.is_compressed() {
            return Ok(Body::Stored(Arc::new(SegmentBody { file, start, len: head.len })));
        }
        let body = self.unpack(&file, at.segment, start, &head, at.offset)?;
        Ok(Body::Bytes(body.into()))
    }

    /// Reads the whole body that `at` leads to and checks it against its hash.
    ///
    /// # Errors
    /// As [`BodyReader::open`], and that the body is damaged.
    pub fn verify(&self, at: &BodyRef) -> Result<(), SegmentError> {
        let mut hasher = blake3::Hasher::new();
        self.open(at)?.for_each_chunk(|piece| {
            hasher.update(piece);
            Ok(())
        })?;
        if *hasher.finalize().as_bytes() == at.hash { Ok(()) } else { Err(SegmentError::Damaged(at.offset)) }
    }

    /// Reads the record at this place as a whole, and checks it.
    pub(crate) fn read(&self, segment: u32, offset: u64) -> Result<Vec<u8>, SegmentError> {
        let (file, start, head) = self.find(segment, offset)?;
        let body = self.unpack(&file, segment, start, &head, offset)?;
        if head.kind.hash(&body) == head.hash { Ok(body) } else { Err(SegmentError::Damaged(offset)) }
    }

    /// The file that has the record, where its body begins, and its head. All of the body is there.
    fn find(&self, segment: u32, offset: u64) -> Result<(Arc<File>, u64, Head), SegmentError> {
        let nowhere = || SegmentError::NoSuchBody(offset);
        let file = self.file(segment)?;
        let start = offset.checked_add(HEAD_BYTES as u64).filter(|_| offset >= MAGIC.len() as u64);
        let start = start.ok_or_else(nowhere)?;
        let head =
            self.with(&file, segment, offset, HEAD_BYTES, |bytes| Head::parse(bytes.first_chunk()?))?;
        let head = head.flatten().ok_or_else(nowhere)?;
        // What is read at once is there or not; of what is read in pieces it has to be known.
        if !head.is_compressed() && file.metadata()?.len().saturating_sub(start) < head.stored {
            return Err(nowhere());
        }
        Ok((file, start, head))
    }

    /// Hands the bytes that stand there to `take`; `None` if the file ends before. Small ones stay where they are read ahead.
    fn with<T>(
        &self,
        file: &File,
        segment: u32,
        offset: u64,
        len: usize,
        take: impl FnOnce(Cow<'_, [u8]>) -> T,
    ) -> io::Result<Option<T>> {
        let ahead = self.ahead.as_ref().filter(|_| len <= READ_AHEAD_BYTES);
        if let Some(ahead) = ahead {
            let mut ahead = ahead.lock().unwrap_or_else(PoisonError::into_inner);
            // What was written long before, as a body that many flows share, is nothing to go on from.
            let is_before = (segment, offset) < (ahead.segment, ahead.start);
            if !is_before && ahead.get(segment, offset, len).is_none() {
                ahead.fill(segment, offset, file)?;
            }
            if !is_before {
                return Ok(ahead.get(segment, offset, len).map(|bytes| take(Cow::Borrowed(bytes))));
            }
        }
        let mut bytes = vec![0; len];
        match file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(Some(take(Cow::Owned(bytes)))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The body of a record in memory.
    fn unpack(
        &self,
        file: &File,
        segment: u32,
        start: u64,
        head: &Head,
        offset: u64,
    ) -> Result<Vec<u8>, SegmentError> {
        let stored = usize::try_from(head.stored).ok().filter(|_| head.stored <= FLOW_BYTES_MAX);
        let stored = stored.ok_or(SegmentError::NoSuchBody(offset))?;
        let body = self.with(file, segment, start, stored, |bytes| {
            if !head.is_compressed() {
                return Some(bytes.into_owned());
            }
            head.unpack(&bytes, &mut self.unpacker.lock().unwrap_or_else(PoisonError::into_inner))
        })?;
        body.ok_or(SegmentError::NoSuchBody(offset))?.ok_or(SegmentError::Damaged(offset))
    }

    fn file(&self, segment: u32) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = open.iter().position(|(number, _)| *number == segment).map(|at| open.remove(at));
        let (number, file) = match kept {
            Some(kept) => kept,
            None => (segment, Arc::new(File::open(path_of(&self.directory, segment))?)),
        };
        if open.len() >= OPEN_SEGMENTS_MAX {
            open.remove(0);
        }
        open.push((number, Arc::clone(&file)));
        Ok(file)
    }
}
