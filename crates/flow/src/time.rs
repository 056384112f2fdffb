//! A point in time as flows and flow files have it.

/// Seconds since the Unix epoch, with the resolution of a 64-bit float (about a quarter of a microsecond today).
///
/// A float because mitmproxy's files hold floats: what was read is written back to the digit.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Timestamp(pub f64);

impl Timestamp {
    /// Seconds from `earlier` to this point; negative if it lies before.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.0 - earlier.0
    }
}
