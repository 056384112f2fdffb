//! Calendar dates from seconds since 1970, for certificates and messages. UTC only; knows no clock but [`now`].

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::der::{Der, GENERALIZED_TIME, UTC_TIME};

/// Seconds since 1970. A clock before that counts as 1970: certificates then fail, flowgate does not.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A moment in UTC, to the second. Shown as `2026-11-23`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Date {
    year: u64,
    month: u64,
    day: u64,
    seconds: u64,
}

impl Date {
    /// The date of a count of seconds since 1970.
    pub(crate) fn of(unix_seconds: u64) -> Self {
        // Years are counted from March 1st of the year 0, so that the leap day is the last of its year and 400 years
        // are one period of 146,097 days.
        let days = unix_seconds / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let months_since_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * months_since_march + 2) / 5 + 1;
        let month = if months_since_march < 10 { months_since_march + 3 } else { months_since_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        Self { year, month, day, seconds: unix_seconds % 86_400 }
    }

    /// Writes it as a certificate wants it: two digits of the year up to 2049, then four (RFC 5280 §4.1.2.5).
    pub(crate) fn write(self, der: &mut Der) {
        let Self { year, month, day, seconds } = self;
        let rest =
            format!("{month:02}{day:02}{:02}{:02}{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60);
        if (1950..2050).contains(&year) {
            der.value(UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes());
        } else {
            der.value(GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes());
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, shown, written) in [
            (0, "1970-01-01", "700101000000Z"),
            (951_782_400, "2000-02-29", "000229000000Z"),
            (951_868_799, "2000-02-29", "000229235959Z"),
            (1_795_392_000, "2026-11-23", "261123000000Z"),
            (2_524_607_999, "2049-12-31", "491231235959Z"),
            (2_524_608_000, "2050-01-01", "20500101000000Z"),
            (4_107_542_400, "2100-03-01", "21000301000000Z"),
        ] {
            assert_eq!(Date::of(seconds).to_string(), shown);
            let der = Der::build(|der| Date::of(seconds).write(der));
            assert_eq!(&der[2..], written.as_bytes());
        }
    }
}
