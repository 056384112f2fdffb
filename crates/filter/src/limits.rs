//! What a filter may cost.

/// Bytes of a filter's text. Longer ones are refused.
pub const FILTER_BYTES_MAX: usize = 64 * 1024;

/// How deep parentheses and `!` may lie in one another. Deeper ones are refused.
pub const DEPTH_MAX: usize = 100;

/// Backtracking steps of one search, for patterns that a linear engine cannot do (look-around, references). A search that
/// needs more counts as not found and is told ([`Answer::gave_up`](crate::Answer::gave_up)). About a second at most.
pub const SEARCH_STEPS_MAX: usize = 10_000_000;

/// Bytes of a body that are searched, before and after decoding.
pub const BODY_BYTES_MAX: usize = 64 << 20;
