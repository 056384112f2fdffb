//! Appends bodies to segment files, each content once. Blocking: for the store's own thread, not for a runtime's.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flowgate_flow::Body;

use crate::budget::Budget;
use crate::limits::{
    COMPRESSED_BODY_BYTES_MAX, COMPRESSED_BODY_BYTES_MIN, KNOWN_BODIES_MAX, PENDING_BYTES_MAX,
    ROOM_AFTER_FULL_BYTES, SEGMENT_BYTES, SEGMENT_NUMBER_MAX,
};
use crate::locks;
use crate::packing::Packer;
use crate::segment::{
    BodyHash, BodyRef, HEAD_BYTES, Head, MAGIC, RecordKind, ScanEnd, SegmentError, path_of, scan_segment,
};

/// The one writer of a directory of bodies.
#[derive(Debug)]
pub struct BodyWriter {
    directory: PathBuf,
    /// Holds the lock that keeps other writers away.
    lock: File,
    current: Option<Segment>,
    next_segment: u32,
    known: HashMap<BodyHash, BodyRef>,
    segment_bytes: u64,
    /// How many bytes were appended.
    written: u64,
    /// What was appended and is not in the file yet.
    pending: Vec<u8>,
    /// How often something was lost that had been appended.
    losses: u64,
    /// What was pending could not be written, and whoever appended it has not been told.
    lost: Option<io::Error>,
    /// The medium was full the last time.
    was_full: bool,
    /// Files that are full, and may not be on the medium yet.
    unsynced: Vec<File>,
    /// Whether the directory has names that may not be on the medium yet.
    new_names: bool,
    /// How much may be compressed, if that is bounded.
    budget: Option<Budget>,
    packer: Option<Packer>,
}

/// The file being appended to.
#[derive(Debug)]
struct Segment {
    number: u32,
    file: File,
    /// How many bytes it has.
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

    /// [`BodyWriter::open`] for a reader, which waits for nobody.
    ///
    /// # Errors
    /// As [`BodyWriter::open`].
    pub(crate) fn open_at_once(directory: &Path) -> Result<Self, SegmentError> {
        Self::with_lock(directory, locks::be_writer_at_once(directory)?, SEGMENT_BYTES)
    }

    /// [`BodyWriter::open`] with files of another size than [`SEGMENT_BYTES`].
    ///
    /// # Errors
    /// As [`BodyWriter::open`].
    pub fn with_segment_bytes(directory: &Path, segment_bytes: u64) -> Result<Self, SegmentError> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        Self::with_lock(directory, locks::be_writer(directory)?, segment_bytes)
    }

    fn with_lock(directory: &Path, lock: File, segment_bytes: u64) -> Result<Self, SegmentError> {
        let last = segment_files(directory)?.last_key_value().map(|(number, _)| *number);
        let mut writer = Self {
            directory: directory.to_owned(),
            lock,
            current: None,
            next_segment: last.map_or(0, |last| last + 1),
            known: HashMap::new(),
            segment_bytes,
            written: 0,
            pending: Vec::new(),
            losses: 0,
            lost: None,
            was_full: false,
            unsynced: Vec::new(),
            new_names: false,
            budget: None,
            // Without memory for it bodies stay as they are.
            packer: Packer::new(),
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
        match self.current() {
            Some((_, bytes)) if bytes >= self.segment_bytes => self.roll_now(),
            _ => Ok(()),
        }
    }

    /// Goes to a new file however full this one is.
    ///
    /// # Errors
    /// What the medium says.
    pub(crate) fn roll_now(&mut self) -> Result<(), SegmentError> {
        self.flush()?;
        let Some(full) = self.current.take() else { return Ok(()) };
        self.unsynced.push(full.file);
        self.current = Some(self.begin()?);
        Ok(())
    }

    /// The number of the file that is written to, and its bytes, those that wait included.
    pub(crate) fn current(&self) -> Option<(u32, u64)> {
        self.current.as_ref().map(|segment| (segment.number, segment.end + self.pending.len() as u64))
    }

    /// Up to where everything has been written: the number of a file, and bytes of it.
    pub(crate) fn written_to(&self) -> (u32, u64) {
        self.current.as_ref().map_or((self.next_segment, 0), |segment| (segment.number, segment.end))
    }

    /// As [`Capture::hurry`](crate::Capture::hurry).
    pub(crate) fn hurry(&mut self) {
        self.budget = Some(Budget::new());
    }

    /// Does this as if no traffic waited for it.
    pub(crate) fn at_leisure<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let budget = self.budget.take();
        let done = work(self);
        self.budget = budget;
        done
    }

    /// Shows readers whether the index can be told of anything.
    pub(crate) fn show_failing(&self, failing: bool) {
        locks::show_failing(&self.lock, failing);
    }

    /// About how many bytes there are before this place, in files of full size.
    pub(crate) fn bytes_before(&self, (segment, offset): (u32, u64)) -> u64 {
        u64::from(segment).saturating_mul(self.segment_bytes).saturating_add(offset)
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

    /// How often something was lost that had been appended: what came to lie somewhere before may not be there.
    pub(crate) const fn losses(&self) -> u64 {
        self.losses
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
        let at = self.append_part(body)?;
        self.flush()?;
        Ok(at)
    }

    /// As [`BodyWriter::append`], but it is there for others, and survives, only after [`BodyWriter::flush`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn append_part(&mut self, body: &[u8]) -> Result<BodyRef, SegmentError> {
        let hash = RecordKind::Part.hash(body);
        if let Some(known) = self.known.get(&hash) {
            return Ok(*known);
        }
        self.make_room()?;
        let compressed = self.compress(body);
        let stored = compressed.as_deref().unwrap_or(body);
        let head = Head { kind: RecordKind::Part, stored: stored.len() as u64, len: body.len() as u64, hash };
        let at = self.place(&head)?;
        self.pending.extend_from_slice(&head.bytes());
        self.pending.extend_from_slice(stored);
        self.written += HEAD_BYTES as u64 + head.stored;
        self.remember(at);
        Ok(at)
    }

    /// As [`BodyWriter::append_part`], for a flow, which is never written twice: `write` puts its record behind what is there.
    ///
    /// # Errors
    /// As there, and what `write` says.
    pub(crate) fn append_flow<E: From<SegmentError>>(
        &mut self,
        kind: RecordKind,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<BodyRef, E> {
        self.make_room()?;
        let start = self.pending.len();
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(&[0; HEAD_BYTES]);
        let written = write(&mut pending);
        let record = pending.get(start + HEAD_BYTES..).unwrap_or_default();
        let compressed = if written.is_ok() { self.compress(record) } else { None };
        let (len, hash) = (record.len() as u64, kind.hash(record));
        if let Some(compressed) = compressed {
            pending.truncate(start + HEAD_BYTES);
            pending.extend_from_slice(&compressed);
        }
        if written.is_err() {
            pending.truncate(start);
        }
        let head =
            Head { kind, stored: (pending.len() - start).saturating_sub(HEAD_BYTES) as u64, len, hash };
        if let Some(place) = pending.get_mut(start..start + HEAD_BYTES) {
            place.copy_from_slice(&head.bytes());
        }
        self.pending = pending;
        written?;
        let end = self.current().ok_or(SegmentError::Full)?;
        let bytes = HEAD_BYTES as u64 + head.stored;
        self.written += bytes;
        Ok(BodyRef { segment: end.0, offset: end.1 - bytes, len, hash })
    }

    /// As [`BodyWriter::append_part`], for a body that may lie outside memory; it is never there as a whole if it is large.
    ///
    /// # Errors
    /// As there, and what the body's own medium says.
    pub(crate) fn append_stored(&mut self, body: &Body) -> Result<BodyRef, SegmentError> {
        if let Some(bytes) = body.len().and_then(|len| usize::try_from(len).ok())
            && bytes <= COMPRESSED_BODY_BYTES_MAX
        {
            return self.append_part(&body.prefix(bytes)?.unwrap_or_default());
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
        self.make_room()?;
        let head = Head { kind: RecordKind::Part, stored: len, len, hash };
        let at = self.place(&head)?;
        self.pending.extend_from_slice(&head.bytes());
        self.flush()?;
        let written = self.write_through(len, |file| {
            let mut left = len;
            body.for_each_chunk(|piece| {
                left = left.checked_sub(piece.len() as u64).ok_or(io::ErrorKind::InvalidData)?;
                file.write_all(piece)
            })?;
            if left == 0 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        });
        if let Err(error) = written {
            self.take_back(HEAD_BYTES as u64)?;
            return Err(error.into());
        }
        self.written += HEAD_BYTES as u64 + len;
        self.remember(at);
        Ok(at)
    }

    /// Makes sure that there is a file, and that not too much waits for it.
    fn make_room(&mut self) -> Result<(), SegmentError> {
        if self.pending.len() >= PENDING_BYTES_MAX {
            self.flush()?;
        }
        if self.current.is_none() {
            self.current = Some(self.begin()?);
        }
        Ok(())
    }

    /// Where the record of this head comes to lie.
    fn place(&self, head: &Head) -> Result<BodyRef, SegmentError> {
        let (segment, offset) = self.current().ok_or(SegmentError::Full)?;
        Ok(BodyRef { segment, offset, len: head.len, hash: head.hash })
    }

    /// The body in fewer bytes, if that is worth it.
    fn compress(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        let fits = (COMPRESSED_BODY_BYTES_MIN..=COMPRESSED_BODY_BYTES_MAX).contains(&body.len());
        let packer = self.packer.as_mut().filter(|_| fits)?;
        if self.budget.as_mut().is_some_and(|budget| !budget.spend(body.len())) {
            return None;
        }
        let compressed = packer.pack(body).ok()?;
        (compressed.len() < body.len() - body.len() / 16).then_some(compressed)
    }

    /// Writes what waits. It survives this process then.
    ///
    /// # Errors
    /// What the medium says, also if it said so to somebody else in between: what waited is lost.
    pub(crate) fn flush(&mut self) -> Result<(), SegmentError> {
        if let Some(error) = self.lost.take() {
            return Err(error.into());
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let end = self.written_to().1 + pending.len() as u64;
        let was_full = self.was_full;
        let written = self.write_through(pending.len() as u64, |file| {
            file.write_all(&pending)?;
            if was_full {
                // A small flow may find room on a medium that is as good as full, and the next one does not.
                file.write_all(&[0; ROOM_AFTER_FULL_BYTES])?;
                file.set_len(end)?;
            }
            Ok(())
        });
        self.pending = pending;
        self.pending.clear();
        if self.pending.capacity() > 2 * PENDING_BYTES_MAX {
            self.pending = Vec::new();
        }
        if written.is_err() {
            // It may be one of those that were lost.
            self.known.clear();
            self.losses += 1;
        }
        Ok(written?)
    }

    /// Forgets what waits.
    pub(crate) fn discard(&mut self) {
        self.pending.clear();
        self.known.clear();
        self.losses += 1;
    }

    /// The files that are full and may not be on the medium yet, for somebody else to bring them there.
    pub(crate) fn take_unsynced(&mut self) -> Vec<File> {
        std::mem::take(&mut self.unsynced)
    }

    /// That did not work for these.
    pub(crate) fn put_back_unsynced(&mut self, files: Vec<File>) {
        self.unsynced.extend(files);
    }

    /// Flushes for somebody who did not append what waits; whoever did is told when it fails.
    ///
    /// # Errors
    /// As [`BodyWriter::flush`].
    pub(crate) fn flush_for_others(&mut self) -> Result<(), SegmentError> {
        match self.flush() {
            Err(SegmentError::Io(error)) => {
                self.lost = Some(copy_of(&error));
                Err(error.into())
            }
            flushed => flushed,
        }
    }

    /// Appends bytes to the file, all or none.
    fn write_through(
        &mut self,
        bytes: u64,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(segment) = &mut self.current else { return Err(io::ErrorKind::NotFound.into()) };
        if let Err(error) = write(&mut segment.file) {
            self.was_full |=
                matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            self.take_back(0)?;
            return Err(error);
        }
        segment.end += bytes;
        self.was_full = false;
        Ok(())
    }

    /// Takes back what stands behind the file's end, and so many bytes before it. If that does not work the file stays torn, and the
    /// next body goes to a new one.
    fn take_back(&mut self, bytes: u64) -> io::Result<()> {
        let Some(mut segment) = self.current.take() else { return Ok(()) };
        segment.end -= bytes;
        if segment.file.set_len(segment.end).is_ok() {
            self.current = Some(segment);
        } else {
            self.known.clear();
            segment.file.sync_data()?;
        }
        Ok(())
    }

    /// Waits until all that was appended is on the medium.
    ///
    /// # Errors
    /// What the medium says.
    pub fn sync(&mut self) -> io::Result<()> {
        // One that fails is tried again the next time.
        while let Some(file) = self.unsynced.last() {
            file.sync_data()?;
            self.unsynced.pop();
        }
        if self.new_names {
            File::open(&self.directory)?.sync_all()?;
            self.new_names = false;
        }
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
        self.new_names = true;
        Ok(Segment { number, file, end: MAGIC.len() as u64 })
    }

    fn remember(&mut self, at: BodyRef) {
        if self.known.len() >= KNOWN_BODIES_MAX {
            self.known.clear();
        }
        self.known.insert(at.hash, at);
    }
}

/// An error that says the same.
fn copy_of(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
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
