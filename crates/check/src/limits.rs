//! What bounds checks. Each limit has a name and a unit.

/// Checks in one file.
pub const CHECKS_MAX: usize = 1_000;

/// Violations of one check that are kept to be shown; all are counted.
pub const VIOLATIONS_KEPT_MAX: usize = 100;

/// Groups (hosts, URLs, clients) that one check counts apart. With more, the check ends without a verdict.
pub const GROUPS_MAX: usize = 100_000;

/// Characters of a group's name, a flow's title or a remark of a schema that are kept to be shown.
pub const SHOWN_CHARS_MAX: usize = 300;

/// Durations that one check keeps for its percentiles. With more, the check ends without a verdict.
pub const DURATIONS_MAX: usize = 10_000_000;

/// Bytes of a body that are held against a schema. A longer body violates the check.
pub const SCHEMA_BODY_BYTES_MAX: usize = 16 << 20;
