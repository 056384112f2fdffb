//! What a peer can make us do for little of its own, counted (the flood attacks on HTTP/2: CVE-2019-9511 to 9518,
//! CVE-2023-44487, CVE-2024-27316, CVE-2025-8671).
//!
//! Each kind has a limit for a period; what was useful meanwhile (heads and data that we sent) earns more of those that grow
//! with honest traffic. Whoever drives the connection calls `renew` once a period.

use super::error::{Code, Error};
use crate::limits;

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flood {
    /// Streams that the peer opened and reset (rapid reset).
    Resets,
    /// Streams that the peer made us reset (made you reset), or that we refused; and header blocks behind that.
    ProvokedResets,
    /// PING.
    Pings,
    /// SETTINGS, and acknowledgements of them.
    Settings,
    /// DATA without data that does not end its stream.
    EmptyData,
    /// WINDOW_UPDATE.
    WindowUpdates,
    /// PRIORITY, and frames of unknown types.
    Ignored,
    /// Header lists that are larger than allowed.
    LargeHeaders,
    /// Requests that are malformed (section 8.1.1).
    Malformed,
    /// DATA in small frames behind a reset of ours.
    LateData,
}

/// The counters of one connection.
#[derive(Debug, Default)]
pub(super) struct Guard {
    counts: [u32; 10],
    useful: u32,
    /// How much of that were heads.
    heads: u32,
}

impl Guard {
    /// Counts one, and says whether it was too many.
    pub(super) fn count(&mut self, flood: Flood) -> Result<(), Error> {
        let (max, earned, why) = match flood {
            Flood::Resets => (limits::H2_RESETS_MAX, self.heads, "too many streams were opened and reset"),
            Flood::ProvokedResets => (limits::H2_RESETS_MAX, 0, "too many streams had to be reset"),
            Flood::Pings => (limits::H2_PINGS_MAX, self.useful, "too many PING frames"),
            Flood::Settings => (limits::H2_SETTINGS_MAX, 0, "too many SETTINGS frames"),
            Flood::EmptyData => (limits::H2_EMPTY_DATA_MAX, 0, "too many empty DATA frames"),
            Flood::WindowUpdates => (
                limits::H2_WINDOW_UPDATES_MAX,
                self.useful.saturating_mul(4),
                "too many WINDOW_UPDATE frames",
            ),
            Flood::Ignored => (limits::H2_IGNORED_FRAMES_MAX, self.useful, "too many frames of no effect"),
            Flood::LargeHeaders => (limits::H2_LARGE_HEADERS_MAX, 0, "too many header lists are too large"),
            Flood::Malformed => (limits::H2_MALFORMED_MAX, 0, "too many requests are malformed"),
            Flood::LateData => (limits::H2_LATE_DATA_MAX, 0, "too many small DATA frames behind a reset"),
        };
        let Some(count) = self.counts.get_mut(flood as usize) else { return Ok(()) };
        *count = count.saturating_add(1);
        if *count > max.saturating_add(earned) {
            return Err(Error::new(Code::ENHANCE_YOUR_CALM, why));
        }
        Ok(())
    }

    /// We sent data.
    pub(super) const fn earn(&mut self) {
        self.useful = self.useful.saturating_add(1);
    }

    /// We sent a head. Who waits for one may then take its stream back: the attack is not to wait.
    pub(super) const fn earn_by_head(&mut self) {
        self.heads = self.heads.saturating_add(1);
        self.earn();
    }

    /// A period is over: half of what was counted is forgotten.
    pub(super) fn renew(&mut self) {
        for count in &mut self.counts {
            *count /= 2;
        }
        self.useful /= 2;
        self.heads /= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flood_ends_one_past_its_limit() {
        for (flood, max, earns) in [
            (Flood::Resets, limits::H2_RESETS_MAX, 1),
            (Flood::ProvokedResets, limits::H2_RESETS_MAX, 0),
            (Flood::Pings, limits::H2_PINGS_MAX, 1),
            (Flood::Settings, limits::H2_SETTINGS_MAX, 0),
            (Flood::EmptyData, limits::H2_EMPTY_DATA_MAX, 0),
            (Flood::WindowUpdates, limits::H2_WINDOW_UPDATES_MAX, 4),
            (Flood::Ignored, limits::H2_IGNORED_FRAMES_MAX, 1),
            (Flood::LargeHeaders, limits::H2_LARGE_HEADERS_MAX, 0),
            (Flood::Malformed, limits::H2_MALFORMED_MAX, 0),
            (Flood::LateData, limits::H2_LATE_DATA_MAX, 0),
        ] {
            let mut guard = Guard::default();
            guard.earn_by_head();
            for _ in 0..max + earns {
                guard.count(flood).unwrap();
            }
            assert_eq!(guard.count(flood).unwrap_err().code, Code::ENHANCE_YOUR_CALM, "{flood:?}");
            guard.renew();
            // Half of what was counted is still there, and what was earned is not.
            for _ in 0..max / 2 - earns {
                guard.count(flood).unwrap_or_else(|err| panic!("{flood:?}: {err}"));
            }
        }
    }
}
