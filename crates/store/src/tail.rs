//! A walk over the records of all segment files, in the order in which they were written, that can be left and gone on with later.
//! Not here: what is made of the flows.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::body_writer::segment_files;
use crate::error::StoreError;
use crate::limits::{COMPRESSED_BODY_BYTES_MIN, FLOW_BYTES_MAX, INDEX_READ_BYTES};
use crate::packing::Unpacker;
use crate::reader::Place;
use crate::segment::{HEAD_BYTES, Head, MAGIC, RecordKind, is_magic, path_of};

/// Where a walk is.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Everything before this place was walked over.
    pub(crate) at: Place,
    file: Option<(u32, File)>,
    /// Bytes of the file, from `read_from` on.
    read: Vec<u8>,
    read_from: u64,
    unpacker: Unpacker,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Step {
    /// A flow, and how many bytes of the file it takes.
    Flow {
        /// Where it lies.
        at: Place,
        /// Its record.
        record: Vec<u8>,
        /// How many bytes of the file it takes.
        bytes: u64,
        /// Whether it was not compressed, though it may be worth it.
        is_loose: bool,
    },
    /// Something that flows refer to, or a flow that cannot be read.
    Part {
        /// How many bytes of the file it takes.
        bytes: u64,
    },
    /// A flow that is known.
    Moved,
    /// Nothing more.
    End,
}

impl Tail {
    pub(crate) fn at(at: Place) -> Self {
        Self { at, file: None, read: Vec::new(), read_from: 0, unpacker: Unpacker::default() }
    }

    /// Begins again at a place where it was before.
    pub(crate) fn go_back(&mut self, at: Place) {
        *self = Self::at(at);
    }

    /// The next record before `target`, up to where everything was written. What is torn or damaged is passed over, to the next file.
    pub(crate) fn next(&mut self, directory: &Path, target: Place) -> Result<Step, StoreError> {
        while self.at < target {
            let Some(end) = self.open(directory, target)? else {
                self.leave(directory, target)?;
                continue;
            };
            if self.at.1 == 0 {
                self.at.1 = MAGIC.len() as u64;
            }
            let (segment, offset) = self.at;
            let head =
                self.bytes(offset, HEAD_BYTES, end)?.and_then(|bytes| Head::parse(bytes.first_chunk()?));
            let place = head.and_then(|head| {
                let bytes = HEAD_BYTES as u64 + head.stored;
                (bytes <= end.saturating_sub(offset)).then_some((head, bytes))
            });
            let Some((head, bytes)) = place else {
                self.leave(directory, target)?;
                continue;
            };
            self.at.1 = offset + bytes;
            return Ok(match head.kind {
                RecordKind::Part => Step::Part { bytes },
                RecordKind::Moved => Step::Moved,
                RecordKind::Flow => match self.record(&head, offset + HEAD_BYTES as u64, end)? {
                    Some(record) => {
                        let is_loose = !head.is_compressed() && record.len() >= COMPRESSED_BODY_BYTES_MIN;
                        Step::Flow { at: (segment, offset), record, bytes, is_loose }
                    }
                    None => Step::Part { bytes },
                },
            });
        }
        Ok(Step::End)
    }

    /// The record behind a head; `None` if it is damaged.
    fn record(&mut self, head: &Head, start: u64, end: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(len) = usize::try_from(head.stored).ok().filter(|_| head.stored <= FLOW_BYTES_MAX) else {
            return Ok(None);
        };
        let Some(stored) = self.bytes(start, len, end)?.map(<[u8]>::to_vec) else { return Ok(None) };
        Ok(head.body(stored, &mut self.unpacker))
    }

    /// Opens the file; says up to where it is to be read. `None` if it is not there or is none of ours.
    fn open(&mut self, directory: &Path, target: Place) -> Result<Option<u64>, StoreError> {
        let segment = self.at.0;
        if self.file.as_ref().is_none_or(|(number, _)| *number != segment) {
            self.read.clear();
            let file = match File::open(path_of(directory, segment)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                file => file?,
            };
            let mut magic = [0; MAGIC.len()];
            match file.read_exact_at(&mut magic, 0) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                read => read?,
            }
            if !is_magic(&magic) {
                return Ok(None);
            }
            self.file = Some((segment, file));
        }
        if segment == target.0 {
            return Ok(Some(target.1));
        }
        Ok(self.file.as_ref().map(|(_, file)| file.metadata()).transpose()?.map(|file| file.len()))
    }

    /// Goes to the next file that is there, or to the target.
    fn leave(&mut self, directory: &Path, target: Place) -> Result<(), StoreError> {
        self.file = None;
        let next = segment_files(directory)?.into_keys().find(|number| *number > self.at.0);
        self.at = match next {
            Some(next) if next <= target.0 && self.at.0 < target.0 => (next, 0),
            _ => target,
        };
        Ok(())
    }

    /// These bytes of the file that is open; `None` if they do not all lie before `end`.
    fn bytes(&mut self, offset: u64, len: usize, end: u64) -> Result<Option<&[u8]>, StoreError> {
        if (len as u64) > end.saturating_sub(offset) {
            return Ok(None);
        }
        let at = offset.checked_sub(self.read_from).and_then(|at| usize::try_from(at).ok());
        let is_read = at.and_then(|at| self.read.get(at..at.checked_add(len)?)).is_some();
        if !is_read {
            let Some((_, file)) = &self.file else { return Ok(None) };
            // Nothing behind the end: it may be written anew.
            let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
            self.read.resize(len.max(INDEX_READ_BYTES).min(left), 0);
            self.read_from = offset;
            if let Err(error) = file.read_exact_at(&mut self.read, offset) {
                self.read.clear();
                return if error.kind() == io::ErrorKind::UnexpectedEof {
                    Ok(None)
                } else {
                    Err(error.into())
                };
            }
        }
        let at = usize::try_from(offset - self.read_from).unwrap_or(usize::MAX);
        Ok(self.read.get(at..at.saturating_add(len)))
    }
}
