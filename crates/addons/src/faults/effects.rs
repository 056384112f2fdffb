//! What an entry of `faults` does to flows, as it is written: `latency=200ms..300ms,down=50k,chance=10%`.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

use flowgate_options::Size;

use crate::error::FeatureFault;
use crate::limits::LATENCY_MAX;

/// What is done to a flow.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Effects {
    /// It waits, for a time between these.
    pub(crate) latency: Option<RangeInclusive<Duration>>,
    /// What the client sends crosses at so many bytes a second.
    pub(crate) up: Option<NonZeroU64>,
    /// What the server sends does.
    pub(crate) down: Option<NonZeroU64>,
    /// The response breaks off after so many bytes of its body.
    pub(crate) cut: Option<u64>,
    /// The client's connection (or stream) is reset.
    pub(crate) reset: bool,
    /// The client is answered with this status and nothing else.
    pub(crate) status: Option<u16>,
    /// All of it happens to so many of a million flows.
    pub(crate) chance: Option<u32>,
}

/// A million.
pub(crate) const CERTAIN: u32 = 1_000_000;

const LATENCY: &str = "a time such as `200ms`, `1.5s`, or `200ms..300ms` for one between them, up to an hour";
const RATE: &str = "so many bytes a second, such as `50k`";
const BYTES: &str = "a number of bytes, such as `10k`";
const STATUS: &str = "a status from 200 to 599";
const CHANCE: &str = "a part of all flows such as `10%`, above 0 % and up to 100 %";
const KEYS: &str = "one of `latency=`, `up=`, `down=`, `cut=`, `status=`, `reset` and `chance=`, each once, with commas between them";

impl Effects {
    /// Reads a list of effects. An error says at which character, from 0.
    pub(crate) fn parse(text: &str) -> Result<Self, (usize, FeatureFault)> {
        let mut effects = Self::default();
        let mut column = 0;
        for part in text.split(',') {
            let fails = |expected| (column, FeatureFault::Effect { expected });
            let (key, value) =
                part.split_once('=').map_or((part, None), |(key, value)| (key, Some(value.trim())));
            effects.set(key.trim(), value).map_err(fails)?;
            column += part.chars().count() + 1;
        }
        if effects == (Self { chance: effects.chance, ..Self::default() }) {
            return Err((0, FeatureFault::Effect { expected: KEYS }));
        }
        Ok(effects)
    }

    fn set(&mut self, key: &str, value: Option<&str>) -> Result<(), &'static str> {
        match (key, value) {
            ("latency", Some(value)) if self.latency.is_none() => {
                self.latency = Some(latency(value).ok_or(LATENCY)?);
            }
            ("up", Some(value)) if self.up.is_none() => self.up = Some(rate(value).ok_or(RATE)?),
            ("down", Some(value)) if self.down.is_none() => self.down = Some(rate(value).ok_or(RATE)?),
            ("cut", Some(value)) if self.cut.is_none() => {
                self.cut = Some(Size::parse(value).ok_or(BYTES)?.bytes());
            }
            ("status", Some(value)) if self.status.is_none() => {
                let status = value.parse().ok().filter(|status| (200..=599).contains(status));
                self.status = Some(status.ok_or(STATUS)?);
            }
            ("reset", None) if !self.reset => self.reset = true,
            ("chance", Some(value)) if self.chance.is_none() => {
                self.chance = Some(chance(value).ok_or(CHANCE)?);
            }
            _ => return Err(KEYS),
        }
        Ok(())
    }
}

fn latency(text: &str) -> Option<RangeInclusive<Duration>> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let (from, to) = (duration(from)?, duration(to)?);
    (from <= to && to <= LATENCY_MAX).then_some(from..=to)
}

fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "min" => 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

fn rate(text: &str) -> Option<NonZeroU64> {
    NonZeroU64::new(Size::parse(text)?.bytes())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and a million")]
fn chance(text: &str) -> Option<u32> {
    let percent: f64 = text.strip_suffix('%')?.trim().parse().ok()?;
    let parts = (percent / 100.0 * f64::from(CERTAIN)).round();
    (1.0..=f64::from(CERTAIN)).contains(&parts).then_some(parts as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects() {
        let millis = |from, to| Some(Duration::from_millis(from)..=Duration::from_millis(to));
        let all = Effects {
            latency: millis(200, 300),
            up: NonZeroU64::new(1024),
            down: NonZeroU64::new(50 * 1024),
            cut: Some(0),
            status: Some(503),
            reset: true,
            chance: Some(125_000),
        };
        for (text, expected) in [
            ("latency=200ms", Effects { latency: millis(200, 200), ..Effects::default() }),
            ("latency=1.5s..1min", Effects { latency: millis(1500, 60_000), ..Effects::default() }),
            ("reset", Effects { reset: true, ..Effects::default() }),
            ("latency=200ms..300ms,up=1k, down=50k,cut=0,status=503,reset,chance=12.5%", all),
        ] {
            assert_eq!(Effects::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_latency_is_so_long_and_no_longer() {
        let seconds = LATENCY_MAX.as_secs();
        assert!(Effects::parse(&format!("latency={seconds}s")).is_ok());
        assert!(Effects::parse(&format!("latency={}s", seconds + 1)).is_err());
    }

    #[test]
    fn mistakes_name_their_place() {
        for (text, column, expected) in [
            ("", 0, KEYS),
            ("chance=10%", 0, KEYS),
            ("latency", 0, KEYS),
            ("reset=1", 0, KEYS),
            ("reset,reset", 6, KEYS),
            ("é=1", 0, KEYS),
            ("latency=5", 0, LATENCY),
            ("latency=2s..1s", 0, LATENCY),
            ("latency=61min", 0, LATENCY),
            ("latency=1e9s", 0, LATENCY),
            ("reset,up=0", 6, RATE),
            ("down=fast", 0, RATE),
            ("cut=-1", 0, BYTES),
            ("status=100", 0, STATUS),
            ("reset,chance=0%", 6, CHANCE),
            ("reset,chance=101%", 6, CHANCE),
            ("reset,chance=0.5", 6, CHANCE),
        ] {
            let (found, fault) = Effects::parse(text).unwrap_err();
            let FeatureFault::Effect { expected: told } = fault else { panic!("{fault}") };
            assert_eq!((found, told), (column, expected), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "((latency|up|down|cut|status|reset|chance|é)?=?[0-9a-z%.,]{0,6}){0,4}") {
            let _ = Effects::parse(&text);
        }
    }
}
