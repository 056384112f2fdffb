//! Times as HAR has them: RFC 3339, from and to seconds since 1970.

use flowgate_flow::Timestamp;

/// Reads `2026-11-27T18:26:37.123456+01:00`; the time zone may be missing (UTC then). `None` if it is no time.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.trim().split_once(['T', 't', ' '])?;
    let mut parts = date.splitn(3, '-');
    let mut part = || parts.next().and_then(digits);
    let (year, month, day) = (part()?, part()?, part()?);
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }

    let (time, offset) = split_zone(time)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut parts = time.splitn(3, ':');
    let mut part = || parts.next().and_then(digits);
    let (hour, minute, second) = (part()?, part()?, part().unwrap_or(0));
    // 60 is a leap second.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let fraction = if fraction.is_empty() {
        0.0
    } else if fraction.len() <= 18 && fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("0.{fraction}").parse().ok()?
    } else {
        return None;
    };
    let seconds = days_since_1970(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
    Some(Timestamp(seconds as f64 + fraction))
}

/// Writes a time in UTC with microseconds. What lies outside of the years 1970 to 9999 is moved to their ends.
pub(super) fn format(time: Timestamp) -> String {
    let seconds = if time.0.is_finite() { time.0.clamp(0.0, LAST_SECOND) } else { 0.0 };
    let microseconds = (seconds * 1e6).round() as i64;
    let (seconds, fraction) = (microseconds / 1_000_000, microseconds % 1_000_000);
    let (year, month, day) = date_of(seconds / DAY);
    let of_day = seconds % DAY;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
}

const DAY: i64 = 86_400;
/// The end of the year 9999, less what rounding could add.
const LAST_SECOND: f64 = 253_402_300_798.0;

fn digits(text: &str) -> Option<i64> {
    if text.is_empty() || text.len() > 4 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// The time of day, and how many seconds its zone is ahead of UTC.
fn split_zone(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(at) = time.find(['+', '-']) else { return Some((time, 0)) };
    let (time, zone) = time.split_at(at);
    let (sign, zone) = zone.split_at(1);
    let (hours, minutes) = match zone.split_once(':') {
        Some(parts) => parts,
        None => zone.split_at_checked(2)?,
    };
    let seconds = digits(hours)? * 3600 + if minutes.is_empty() { 0 } else { digits(minutes)? * 60 };
    Some((time, if sign == "-" { -seconds } else { seconds }))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Counted from March on, leap days come last in a year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - MARCH_1_OF_YEAR_0_TO_1970
}

/// The date of a day since 1970-01-01.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + MARCH_1_OF_YEAR_0_TO_1970;
    // The year that these days certainly reach; at most one later is the right one.
    let mut year = days * 400 / 146_097 - 1;
    let start = |year: i64| year * 365 + year / 4 - year / 100 + year / 400;
    while start(year + 1) <= days {
        year += 1;
    }
    let of_year = days - start(year);
    let month = (of_year * 5 + 2) / 153;
    let day = of_year - (month * 153 + 2) / 5 + 1;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

const MARCH_1_OF_YEAR_0_TO_1970: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0.0),
            ("2000-02-29T12:00:00.000Z", 951_825_600.0),
            ("2023-03-29T16:58:59.303-07:00", 1_680_134_339.303),
            ("2026-11-27 18:26:37+0100", 1_795_800_397.0),
            ("2026-11-27T18:26", 1_795_803_960.0),
            ("2016-12-31T23:59:60Z", 1_483_228_800.0),
            ("2023-03-30T00:00:54.2500000Z", 1_680_134_454.25),
        ] {
            assert_eq!(parse(text).map(|time| time.0), Some(seconds), "{text}");
        }
        for text in [
            "",
            "now",
            "2023-13-01T00:00:00Z",
            "2023-01-01",
            "2023-01-01T25:00:00Z",
            "1-1-1T0:0:0.xZ",
            "2023-01-01T00:00:00+é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(format(Timestamp(1_680_134_339.303)), "2023-03-29T23:58:59.303000Z");
        assert_eq!(format(Timestamp(f64::NAN)), "1970-01-01T00:00:00.000000Z");
        assert_eq!(format(Timestamp(1e300)), "9999-12-31T23:59:58.000000Z");
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(millis in 0_i64..253_402_300_000_000) {
            let time = Timestamp(millis as f64 / 1e3);
            let back = parse(&format(time)).unwrap();
            proptest::prop_assert!((back.0 - time.0).abs() < 1e-4);
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
