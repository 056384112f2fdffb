//! Appends bodies to segment files, each content once. Blocking: for the store's own thread, not for a runtime's.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flowgate_flow::Body;

use crate::limits::{
    COMPRESSED_BODY_BYTES_MAX, COMPRESSED_BODY_BYTES_MIN, KNOWN_BODIES_MAX, SEGMENT_BYTES, SEGMENT_NUMBER_MAX,
};
use crate::segment::{BodyHash, BodyRef, Head, MAGIC, ScanEnd, SegmentError, path_of, scan_segment};

/// The file in a store's folder that is locked while somebody writes there.
pub const WRITER_LOCK: &str = "writer.lock";

/// The fastest that is worth the name: traffic waits for it when all else is fast.
const COMPRESSION_LEVEL: i32 = 1;

/// The one writer of a directory of bodies.
#[derive(Debug)]
pub struct BodyWriter {
    directory: PathBuf,
    /// Holds the lock that keeps other writers away.
    _lock: File,
    current: Option<Segment>,
    next_segment: u32,
    known: HashMap<BodyHash, BodyRef>,
    segment_bytes: u64,
    /// How many bytes were written to segment files.
    written: u64,
    compressor: Option<Compressor>,
}

/// Packs bodies; keeps its memory from one to the next.
struct Compressor(zstd::bulk::Compressor<'static>);

impl Compressor {
    fn compress(&mut self, body: &[u8]) -> io::Result<Vec<u8>> {
        self.0.compress(body)
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compressor")
    }
}

/// The file being appended to.
#[derive(Debug)]
struct Segment {
    number: u32,
    file: File,
    end: u64,
}

impl BodyWriter {
    /// Opens a directory for writing; makes it, readable by its owner alone, if it is not there.
    ///
    /// # Errors
    /// What the medium says, that another process writes there, or that a file in it is of an unknown version.
    pub fn open(directory: &Path) -> Result<Self, SegmentError> {
        Self::with_segment_bytes(directory, SEGMENT_BYTES)
    }

    /// [`BodyWriter::open`] with files of another size than [`SEGMENT_BYTES`].
    ///
    /// # Errors
    /// As [`BodyWriter::open`].
    pub fn with_segment_bytes(directory: &Path, segment_bytes: u64) -> Result<Self, SegmentError> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let lock = private().create(true).truncate(false).open(directory.join(WRITER_LOCK))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => SegmentError::Locked,
            TryLockError::Error(error) => error.into(),
        })?;
        let last = segment_files(directory)?.last_key_value().map(|(number, _)| *number);
        let mut writer = Self {
            directory: directory.to_owned(),
            _lock: lock,
            current: None,
            next_segment: last.map_or(0, |last| last + 1),
            known: HashMap::new(),
            segment_bytes,
            written: 0,
            // Without memory for it bodies stay as they are.
            compressor: zstd::bulk::Compressor::new(COMPRESSION_LEVEL).ok().map(Compressor),
        };
        if let Some(number) = last {
            writer.resume(number)?;
        }
        Ok(writer)
    }

    /// Goes to a new file if this one is full. What is appended until the next call lies in one file, also if equal bodies were
    /// written before: so the file can go as a whole when nobody needs what is in it.
    ///
    /// # Errors
    /// What the medium says.
    pub fn roll(&mut self) -> Result<(), SegmentError> {
        match self.current.take() {
            Some(full) if full.end >= self.segment_bytes => self.begin_after(full),
            other => {
                self.current = other;
                Ok(())
            }
        }
    }

    /// Goes to a new file however full this one is.
    ///
    /// # Errors
    /// What the medium says.
    pub(crate) fn roll_now(&mut self) -> Result<(), SegmentError> {
        self.current.take().map_or(Ok(()), |current| self.begin_after(current))
    }

    fn begin_after(&mut self, full: Segment) -> Result<(), SegmentError> {
        // Kept on failure, so that the bytes not yet synced are not forgotten.
        if let Err(error) = full.file.sync_data() {
            self.current = Some(full);
            return Err(error.into());
        }
        self.current = Some(self.begin()?);
        Ok(())
    }

    /// The number of the file that is written to, and its bytes.
    pub(crate) fn current(&self) -> Option<(u32, u64)> {
        self.current.as_ref().map(|segment| (segment.number, segment.end))
    }

    /// Files are full at this size from now on.
    pub(crate) const fn set_segment_bytes(&mut self, segment_bytes: u64) {
        self.segment_bytes = segment_bytes;
    }

    /// At which size files are full.
    pub(crate) const fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// Writes to no file with a number below this one.
    pub(crate) fn begin_at(&mut self, number: u32) {
        self.current = self.current.take().filter(|current| current.number >= number);
        self.next_segment = self.next_segment.max(number);
    }

    /// The number that the next file gets.
    pub(crate) const fn next_segment(&self) -> u32 {
        self.next_segment
    }

    /// How many bytes it has written to files.
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    /// Writes a body, unless this writer has written an equal one to the same file, and says where it lies. It survives this process at once, the
    /// machine's failure after [`BodyWriter::sync`].
    ///
    /// # Errors
    /// What the medium says, such as that it is full: what was written before stays, and later calls try again.
    pub fn append(&mut self, body: &[u8]) -> Result<BodyRef, SegmentError> {
        let hash = *blake3::hash(body).as_bytes();
        if let Some(known) = self.known.get(&hash) {
            return Ok(*known);
        }
        let at = self.append_unknown(hash, body)?;
        self.remember(at);
        Ok(at)
    }

    /// As [`BodyWriter::append`], for what will hardly ever come twice.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn append_once(&mut self, body: &[u8]) -> Result<BodyRef, SegmentError> {
        self.append_unknown(*blake3::hash(body).as_bytes(), body)
    }

    /// As [`BodyWriter::append`], for a body that may lie outside memory; it is never there as a whole if it is large.
    ///
    /// # Errors
    /// As there, and what the body's own medium says.
    pub(crate) fn append_stored(&mut self, body: &Body) -> Result<BodyRef, SegmentError> {
        if let Some(bytes) = body.len().and_then(|len| usize::try_from(len).ok())
            && bytes <= COMPRESSED_BODY_BYTES_MAX
        {
            return self.append(&body.prefix(bytes)?.unwrap_or_default());
        }
        let mut hasher = blake3::Hasher::new();
        let mut len = 0;
        body.for_each_chunk(|piece| {
            len += piece.len() as u64;
            hasher.update(piece);
            Ok(())
        })?;
        let hash = *hasher.finalize().as_bytes();
        if let Some(known) = self.known.get(&hash) {
            return Ok(*known);
        }
        let at = self.append_record(&Head { stored: len, len, hash }, |file| {
            let mut left = len;
            body.for_each_chunk(|piece| {
                left = left.checked_sub(piece.len() as u64).ok_or(io::ErrorKind::InvalidData)?;
                file.write_all(piece)
            })?;
            if left == 0 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        })?;
        self.remember(at);
        Ok(at)
    }

    fn append_unknown(&mut self, hash: BodyHash, body: &[u8]) -> Result<BodyRef, SegmentError> {
        let len = body.len() as u64;
        let compressed = self.compress(body);
        let stored = compressed.as_deref().unwrap_or(body);
        let head = Head { stored: stored.len() as u64, len, hash };
        self.append_record(&head, |file| file.write_all(stored))
    }

    /// The body in fewer bytes, if that is worth it.
    fn compress(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        let fits = (COMPRESSED_BODY_BYTES_MIN..=COMPRESSED_BODY_BYTES_MAX).contains(&body.len());
        let compressor = self.compressor.as_mut().filter(|_| fits)?;
        let compressed = compressor.compress(body).ok()?;
        (compressed.len() < body.len() - body.len() / 16).then_some(compressed)
    }

    fn append_record(
        &mut self,
        head: &Head,
        write_body: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<BodyRef, SegmentError> {
        let mut segment = match self.current.take() {
            Some(segment) => segment,
            None => self.begin()?,
        };
        let bytes = head.bytes();
        let at = BodyRef { segment: segment.number, offset: segment.end, len: head.len, hash: head.hash };
        if let Err(error) = segment.file.write_all(&bytes).and_then(|()| write_body(&mut segment.file)) {
            // Takes back our own half record. If not even that works, its file stays torn and the next body goes to a new one.
            if segment.file.set_len(segment.end).is_ok() {
                self.current = Some(segment);
            } else {
                segment.file.sync_data()?;
            }
            return Err(error.into());
        }
        segment.end += bytes.len() as u64 + head.stored;
        self.written += bytes.len() as u64 + head.stored;
        self.current = Some(segment);
        Ok(at)
    }

    /// Waits until all that was appended is on the medium.
    ///
    /// # Errors
    /// What the medium says.
    pub fn sync(&self) -> io::Result<()> {
        self.current.as_ref().map_or(Ok(()), |segment| segment.file.sync_data())
    }

    /// Goes on in the last file if its end is whole; otherwise leaves it alone. Its bodies are not taken as known: after a
    /// failure of the machine they may be damaged, and no new flow shall refer to such a one.
    fn resume(&mut self, number: u32) -> Result<(), SegmentError> {
        let mut file = private().append(true).open(path_of(&self.directory, number))?;
        let end = scan_segment(&mut file, number, |_| ())?;
        if let ScanEnd::Clean(end) = end {
            self.current = Some(Segment { number, file, end });
        }
        Ok(())
    }

    /// Begins the next file.
    fn begin(&mut self) -> Result<Segment, SegmentError> {
        let number = self.next_segment;
        if number > SEGMENT_NUMBER_MAX {
            return Err(SegmentError::Full);
        }
        let path = path_of(&self.directory, number);
        let mut file = private().append(true).create_new(true).open(&path)?;
        if let Err(error) = file.write_all(&MAGIC) {
            // Nothing was in it; the number is used again. Should it stay, the next one is taken.
            if fs::remove_file(&path).is_err() {
                self.next_segment += 1;
            }
            return Err(error.into());
        }
        self.next_segment += 1;
        self.known.clear();
        File::open(&self.directory)?.sync_all()?; // the name survives, too
        Ok(Segment { number, file, end: MAGIC.len() as u64 })
    }

    fn remember(&mut self, at: BodyRef) {
        if self.known.len() >= KNOWN_BODIES_MAX {
            self.known.clear();
        }
        self.known.insert(at.hash, at);
    }
}

/// Opens files so that only their owner can read them.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// The segment files that are there, and how many bytes each has.
pub(crate) fn segment_files(directory: &Path) -> io::Result<BTreeMap<u32, u64>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("bodies-")).and_then(|n| n.parse().ok());
        if let Some(number) = number.filter(|n| *n <= SEGMENT_NUMBER_MAX) {
            files.insert(number, entry.metadata()?.len());
        }
    }
    Ok(files)
}
