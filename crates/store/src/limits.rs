//! What bounds the store, each with its unit.

use std::time::Duration;

/// A segment file that has reached this many bytes is closed and the next one begun. A larger body fills one alone.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// How many bodies the writer knows by hash, to write equal ones once in each segment file. Past it all are forgotten: equal bodies
/// may then lie there twice, which costs room and nothing else. About 100 bytes of memory each.
pub const KNOWN_BODIES_MAX: usize = 65_536;

/// Segment numbers go up to this one; none is used twice.
pub const SEGMENT_NUMBER_MAX: u32 = u32::MAX - 1;

/// Bodies of more bytes are not compressed, so that any part of them can be read alone. Also bounds what a hostile segment can
/// make a reader unpack.
pub const COMPRESSED_BODY_BYTES_MAX: usize = 1024 * 1024;

/// Bodies of fewer bytes are not compressed: nothing would be won.
pub const COMPRESSED_BODY_BYTES_MIN: usize = 128;

/// Records of up to this many bytes are packed so that they are unpacked quickly; larger ones so that they take less.
pub const SMALL_RECORD_BYTES_MAX: usize = 8 * 1024;

/// So many bytes may be compressed each second for as long as flows come; what is more stays as it is until there is time. A processor
/// compresses some thousand times as much.
pub const COMPRESSED_BYTES_PER_SECOND: u32 = 128 * 1024;

/// So many bytes may be compressed at once after a pause.
pub const COMPRESSED_BYTES_AT_ONCE_MAX: u64 = 4 * 1024 * 1024;

/// Appended flows and bodies wait in memory until they are this many bytes, or the batch ends.
pub const PENDING_BYTES_MAX: usize = 1024 * 1024;

/// Once the medium was full, flows are saved again when there is room for this many bytes more.
pub const ROOM_AFTER_FULL_BYTES: usize = 32 * 1024;

/// How many bytes of a segment file are read at once to tell the index of the flows in it.
pub const INDEX_READ_BYTES: usize = 256 * 1024;

/// How many flows the index gets to know of in one transaction.
pub const INDEX_FLOWS_AT_ONCE: usize = 64;

/// The same where somebody waits for all of them, or nobody writes any more.
pub const INDEX_FLOWS_IN_A_HURRY: usize = 1024;

/// How many bytes of segment files the index may be behind before capture waits for it.
pub const INDEX_BEHIND_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

/// While flows come fast, the index waits for a calm moment until it is this many bytes behind.
pub const INDEX_PUT_OFF_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Nor is it put off for longer than this.
pub const INDEX_PUT_OFF_MAX: Duration = Duration::from_secs(300);

/// How long a reader waits for flows that the index does not know of yet, while another process is at it and makes no progress.
pub const INDEX_WAIT_MAX: Duration = Duration::from_secs(30);

/// How long a writer waits for a reader that brings the index up to date.
pub const READER_AT_INDEX_MAX: Duration = Duration::from_secs(30);

/// How often a reader that waits looks again.
pub const INDEX_WAIT_INTERVAL: Duration = Duration::from_millis(5);

/// Certificate chains that the writer knows the place of without looking at them. About 5 KB of memory each.
pub const KNOWN_CHAINS_MAX: usize = 256;

/// Connections that the writer knows the place of, to write each once in a segment file. Some kilobytes of memory each, as long as
/// they are open anyway next to nothing.
pub const KNOWN_CONNECTIONS_MAX: usize = 1024;

/// Connections that a reader keeps for the flows that have them.
pub const READ_CONNECTIONS_MAX: usize = 256;

/// The messages of a flow are put into its record where the flow ended if they have up to this many bytes; more is left to the thread
/// that writes.
pub const PREPARED_MESSAGES_BYTES_MAX: usize = 32 * 1024;

/// How many buffers of records that were written are kept for others.
pub const BUFFERS_RETURNED_MAX: usize = 512;

/// Larger ones are not, in bytes.
pub const BUFFER_KEPT_BYTES_MAX: usize = 4096;

/// Bodies of up to this many bytes lie with the flow itself, not in a record of their own.
pub const INLINE_BODY_BYTES_MAX: u64 = 1024;

/// How many segment files a reader keeps open.
pub const OPEN_SEGMENTS_MAX: usize = 16;

/// How many bytes around a small body a reader reads at once, since those behind it are often wanted next.
pub const READ_AHEAD_BYTES: usize = 128 * 1024;

/// How many threads read flows for a search, at most, as long as the machine has so many processors.
pub const SEARCH_THREADS_MAX: usize = 8;

/// How many flows a thread reads for a search before it says what it found.
pub const SEARCH_FLOWS_AT_ONCE: usize = 64;

/// How many sites (pairs of hosts) the writer knows by number without asking the index. About 200 bytes of memory each.
pub const KNOWN_SITES_MAX: usize = 8_192;

/// How many bytes of a text the index keeps in a column (a URL, a comment); more is found in the flow itself.
pub const COLUMN_BYTES_MAX: usize = 16 * 1024;

/// The bodies of a flow are put into the full-text index if they have up to this many bytes together, decoded. Larger ones are read
/// when somebody searches.
pub const SEARCHABLE_BYTES_MAX: usize = 256 * 1024;

/// How long one process waits for another that has the index locked for a moment.
pub const INDEX_LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How much memory the index may use for its pages, in KiB, for each process and connection.
pub const INDEX_CACHE_KIB: u32 = 16 * 1024;

/// The index's journal is cut to this many bytes when it is done with.
pub const JOURNAL_BYTES_KEPT: u64 = 16 * 1024 * 1024;

/// While writing fails, the index's journal is made reusable no more often than this.
pub const JOURNAL_REUSE_INTERVAL: Duration = Duration::from_secs(1);

/// The largest flow, without its bodies, that is read back, in bytes.
pub const FLOW_BYTES_MAX: u64 = 4 << 30;

/// How many limits `store_retention` may have.
pub const RETENTION_PARTS_MAX: usize = 32;

/// The smallest size that a store may be limited to, in bytes: its index takes a part of that when it is empty.
pub const RETENTION_BYTES_MIN: u64 = 1024 * 1024;

/// A store limited to a size has segment files of that size divided by this, so that room is given back in small pieces.
pub const RETENTION_SEGMENTS: u64 = 16;

/// How many flows go at most in one step of tending, or are judged anew by the index alone.
pub const TEND_FLOWS_MAX: usize = 512;

/// How many flows are read at most in one step of tending, to be judged anew or moved.
pub const TEND_FLOWS_READ_MAX: usize = 64;

/// A step that moves flows ends when it has moved this many bytes.
pub const TEND_BYTES_MOVED: u64 = 4 * 1024 * 1024;

/// How many pages of the index are given back in one step of tending.
pub const TEND_PAGES_MAX: u32 = 256;

/// So many unused pages the index keeps, besides a quarter of all, for flows to come.
pub const INDEX_PAGES_SPARE: i64 = 64;

/// How many flows have to go before sites that no flow names any more are looked for.
pub const FLOWS_GONE_BEFORE_SITES: u64 = 65_536;
