//! What bounds the store, each with its unit.

/// A segment file that has reached this many bytes is closed and the next one begun. A larger body fills one alone.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// How many bodies the writer knows by hash, to write equal ones once. Past it all are forgotten: equal bodies may then
/// lie there twice, which costs room and nothing else. About 100 bytes of memory each.
pub const KNOWN_BODIES_MAX: usize = 65_536;

/// Segment numbers go up to this one; with [`SEGMENT_BYTES`] that is 64 TiB.
pub const SEGMENT_NUMBER_MAX: u32 = 999_999;
