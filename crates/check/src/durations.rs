//! Bounds of durations: of each flow, and of percentiles of all.

/// A bound.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DurationBound {
    /// What is bounded: 100 is the longest of all.
    pub(crate) percentile: f64,
    /// As it is shown: `max`, `p95`.
    pub(crate) name: String,
    /// The longest that is fine, in seconds.
    pub(crate) seconds_max: f64,
}

/// `max`, `p50`, `p99.9`.
pub(crate) fn parse_percentile(key: &str) -> Option<f64> {
    if key == "max" {
        return Some(100.0);
    }
    let digits = key.strip_prefix('p')?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let percentile: f64 = digits.parse().ok().filter(|_| plain)?;
    (percentile > 0.0 && percentile <= 100.0).then_some(percentile)
}

/// `250ms`, `1.5s`, `2m`, `1h`; in seconds.
pub(crate) fn parse_seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let number: f64 = number.parse().ok()?;
    let unit = match unit.trim() {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Some(number * unit)
}

/// The value below or at which `percentile` % of all lie, by the nearest rank. Reorders the values.
pub(crate) fn percentile(values: &mut [f32], percentile: f64) -> Option<f32> {
    let last = values.len().checked_sub(1)?;
    let rank = (percentile / 100.0 * values.len() as f64).ceil() as usize;
    let index = rank.saturating_sub(1).min(last);
    let (_, value, _) = values.select_nth_unstable_by(index, f32::total_cmp);
    Some(*value)
}

/// A duration for people.
pub(crate) fn shown(seconds: f64) -> String {
    if seconds < 1.0 {
        // As many digits as tell it from its bound.
        let ms = format!("{:.3}", seconds * 1000.0);
        format!("{}ms", ms.trim_end_matches('0').trim_end_matches('.'))
    } else {
        let text = format!("{seconds:.3}");
        format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts() {
        let seconds = [
            ("250ms", Some(0.25)),
            ("1.5s", Some(1.5)),
            ("2 m", Some(120.0)),
            ("1h", Some(3600.0)),
            ("0s", Some(0.0)),
            ("5", None),
            ("s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("1 day", None),
            ("", None),
        ];
        for (text, expected) in seconds {
            assert_eq!(parse_seconds(text), expected, "{text}");
        }
        let percentiles = [
            ("max", Some(100.0)),
            ("p50", Some(50.0)),
            ("p99.9", Some(99.9)),
            ("p100", Some(100.0)),
            ("p0", None),
            ("p101", None),
            ("p", None),
            ("pinf", None),
            ("p1e1", None),
            ("95", None),
        ];
        for (text, expected) in percentiles {
            assert_eq!(parse_percentile(text), expected, "{text}");
        }
        let all = [(0.25, "250ms"), (0.0, "0ms"), (0.0004, "0.4ms"), (1.0, "1s"), (61.25, "61.25s")];
        for (value, expected) in all {
            assert_eq!(shown(value), expected);
        }
    }

    #[test]
    fn percentiles() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0_f32];
        for (wanted, expected) in
            [(1.0, 1.0), (20.0, 1.0), (21.0, 2.0), (50.0, 3.0), (80.0, 4.0), (100.0, 5.0)]
        {
            assert_eq!(percentile(&mut values.clone(), wanted), Some(expected), "{wanted}");
        }
        assert_eq!(percentile(&mut [], 50.0), None);
    }

    proptest! {
        /// At least as many values as were asked for lie at or below the answer, and too few below it.
        #[test]
        fn nearest_rank(values in prop::collection::vec(0.0_f32..100.0, 1..50), wanted in 0.1_f64..=100.0) {
            let found = percentile(&mut values.clone(), wanted).unwrap();
            let needed = wanted / 100.0 * values.len() as f64;
            prop_assert!(values.iter().filter(|value| **value <= found).count() as f64 >= needed - 1e-9);
            prop_assert!((values.iter().filter(|value| **value < found).count() as f64) < needed);
        }

        #[test]
        fn any_text(text: String) {
            let _ = (parse_seconds(&text), parse_percentile(&text));
        }
    }
}
