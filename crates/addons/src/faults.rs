//! `faults`: bad networks and bad servers, for flows that a filter means: latency, bandwidth, resets, answers with a status, bodies
//! that break off.
//!
//! What was done to a flow is noted on it. Only that flow waits. Each entry draws its lots by itself, from a seed, so that the same
//! flows in the same order have the same luck again.

mod effects;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowgate_filter::Case;
use flowgate_flow::{Body, Flow, Headers, MetadataValue};
use flowgate_proxy::{Addon, HookFuture, LiveConversation, LiveFlow, LiveMessage};
use tokio::time::sleep;

use crate::error::{FeatureError, FeatureFault};
use crate::spec::{Condition, Entry, Part};
use effects::{CERTAIN, Effects};

const EXPECTED: &str = "`[/filter]/effects`";
/// The metadata of a flow that says what an entry did to it, with the entry's number behind it.
const METADATA: &str = "flowgate.faults";
/// What it says if its lot was another one.
const SPARED: &str = "spared";

/// The addon.
#[derive(Debug)]
pub(crate) struct Faults(Vec<Rule>);

/// An entry.
#[derive(Debug)]
struct Rule {
    condition: Condition,
    effects: Effects,
    /// Where its lots begin.
    seed: u64,
    /// How many lots it drew.
    drawn: AtomicU64,
}

impl Faults {
    pub(crate) fn parse(texts: &[String], case: Case, seed: Option<u64>) -> Result<Self, FeatureError> {
        let seed = seed.unwrap_or_else(random);
        let rule = |entry: Entry<'_>| {
            let parts = entry.parts(3);
            let (condition, text) = match *parts.as_slice() {
                [effects] => (Condition::All, effects),
                [filter, effects] => (entry.condition(filter, case)?, effects),
                _ => return Err(entry.error(0, FeatureFault::Parts { expected: EXPECTED })),
            };
            if condition.reads_bodies() {
                return Err(
                    entry.error(parts.first().map_or(0, |part| part.column), FeatureFault::FilterOnBody)
                );
            }
            let Part { text, column } = text;
            let effects = Effects::parse(text).map_err(|(at, fault)| entry.error(column + at, fault))?;
            Ok(Rule { condition, effects, seed: mix(seed ^ entry.index as u64), drawn: AtomicU64::new(0) })
        };
        Entry::all("faults", texts).map(rule).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Does to a flow what entries say that mean it now and did not before.
    async fn act(&self, flow: &mut LiveFlow) {
        for (index, rule) in self.0.iter().enumerate() {
            let name = format!("{METADATA}[{index}]");
            match noted(flow.flow(), &name) {
                // It was answered, and what comes now is our own answer.
                Some(told) if told != SPARED && rule.ends() => return,
                Some(_) => continue,
                None if rule.condition.holds(flow.flow()) => {}
                None => continue,
            }
            let Some(latency) = rule.draw() else {
                // Not asked again at the response.
                flow.note(name, MetadataValue::Text(SPARED.into()));
                continue;
            };
            flow.note(name, MetadataValue::Text(rule.effects.told(latency)));
            if rule.apply(flow, latency).await {
                return;
            }
        }
    }

    /// Resets a raw connection if an entry says so.
    async fn act_on_raw(&self, conversation: &mut LiveConversation) {
        for (index, rule) in self.0.iter().enumerate() {
            if !rule.effects.reset || !rule.condition.holds(conversation.flow()) {
                continue;
            }
            let name = format!("{METADATA}[{index}]");
            let Some(latency) = rule.draw() else {
                conversation.note(name, MetadataValue::Text(SPARED.into()));
                continue;
            };
            conversation.note(name, MetadataValue::Text(rule.effects.told(latency)));
            if let Some(latency) = latency {
                sleep(latency).await;
            }
            conversation.kill();
            return;
        }
    }

    /// How long a message waits.
    fn delay(&self, flow: &Flow, message: &LiveMessage) -> Duration {
        let of_rule = |rule: &Rule| {
            let latency = rule.draw().flatten().unwrap_or_default();
            let rate = if message.is_from_client() { rule.effects.up } else { rule.effects.down };
            let bytes = message.content().len() as f64;
            latency + rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(bytes / rate.get() as f64))
        };
        self.0.iter().filter(|rule| rule.delays() && rule.condition.holds(flow)).map(of_rule).sum()
    }

    fn hold<'a>(&'a self, message: &'a LiveMessage) -> HookFuture<'a> {
        match self.delay(message.flow(), message) {
            Duration::ZERO => HookFuture::DONE,
            delay => HookFuture::new(sleep(delay)),
        }
    }
}

impl Rule {
    /// Whether it happens this time, and how long the flow waits then.
    fn draw(&self) -> Option<Option<Duration>> {
        let lot = self.drawn.fetch_add(1, Ordering::Relaxed);
        let happens = mix(self.seed ^ mix(lot)) % u64::from(CERTAIN);
        if self.effects.chance.is_some_and(|chance| happens >= chance.into()) {
            return None;
        }
        let between = mix(self.seed.rotate_left(32) ^ mix(lot));
        let part = between as f64 / u64::MAX as f64;
        Some(self.effects.latency.as_ref().map(|range| {
            let (from, to) = (*range.start(), *range.end());
            from + (to - from).mul_f64(part)
        }))
    }

    /// Does it; whether the flow has its end already.
    async fn apply(&self, flow: &mut LiveFlow, latency: Option<Duration>) -> bool {
        let Effects { up, down, cut, reset, status, .. } = self.effects;
        if let Some(latency) = latency {
            sleep(latency).await;
        }
        if let Some(rate) = up {
            flow.pace_request(rate);
        }
        if let Some(rate) = down {
            flow.pace_response(rate);
        }
        if let Some(after) = cut {
            flow.cut_response(after);
        }
        if reset {
            flow.kill();
        } else if let Some(status) = status {
            let headers: Headers = [("Server", crate::SERVER)].into_iter().collect();
            crate::answer(flow, LiveFlow::response_of(status, headers, Body::EMPTY));
        }
        self.ends()
    }

    /// Whether a flow has its end, or its answer, by it.
    const fn ends(&self) -> bool {
        self.effects.reset || self.effects.status.is_some()
    }

    /// Whether it makes messages wait.
    const fn delays(&self) -> bool {
        let Effects { latency, up, down, .. } = &self.effects;
        !self.ends() && (latency.is_some() || up.is_some() || down.is_some())
    }
}

impl Effects {
    /// What was done, for a reader of the flow.
    fn told(&self, latency: Option<Duration>) -> String {
        let mut told = Vec::new();
        told.extend(latency.map(|latency| format!("latency {} ms", latency.as_millis())));
        told.extend(self.up.map(|rate| format!("up {rate} bytes/s")));
        told.extend(self.down.map(|rate| format!("down {rate} bytes/s")));
        told.extend(self.cut.map(|after| format!("cut after {after} bytes")));
        told.extend(self.status.map(|status| format!("status {status}")));
        told.extend(self.reset.then(|| "reset".to_owned()));
        told.join(", ")
    }
}

/// What an entry did to a flow.
fn noted<'f>(flow: &'f Flow, name: &str) -> Option<&'f str> {
    flow.metadata.iter().find_map(|(known, value)| match value {
        MetadataValue::Text(told) if known == name => Some(told.as_str()),
        _ => None,
    })
}

/// A number from a number, as unlike it as can be (SplitMix64).
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

impl Addon for Faults {
    fn name(&self) -> &str {
        "faults"
    }

    fn requestheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        HookFuture::new(self.act(flow))
    }

    fn responseheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        HookFuture::new(self.act(flow))
    }

    fn tcp_start<'a>(&'a self, conversation: &'a mut LiveConversation) -> HookFuture<'a> {
        let resets = self.0.iter().any(|rule| rule.effects.reset);
        if resets && !conversation.is_exempt() {
            HookFuture::new(self.act_on_raw(conversation))
        } else {
            HookFuture::DONE
        }
    }

    fn messages(&self, flow: &Flow) -> bool {
        self.0.iter().any(|rule| rule.delays() && rule.condition.holds(flow))
    }

    fn websocket_message<'a>(&'a self, message: &'a mut LiveMessage) -> HookFuture<'a> {
        self.hold(message)
    }

    fn tcp_message<'a>(&'a self, message: &'a mut LiveMessage) -> HookFuture<'a> {
        self.hold(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(texts: &[&str], seed: u64) -> Result<Faults, FeatureError> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        Faults::parse(&texts, Case::Ignored, Some(seed))
    }

    #[test]
    fn the_same_seed_has_the_same_luck() {
        let draw = |seed| {
            let faults = faults(&["/latency=100ms..200ms,chance=30%"], seed).unwrap();
            (0..1000).map(|_| faults.0[0].draw().flatten()).collect::<Vec<_>>()
        };
        let lots = draw(7);
        assert_eq!(lots, draw(7));
        assert_ne!(lots, draw(8));
        let happened = lots.iter().flatten().count();
        assert!((250..350).contains(&happened), "{happened}");
        let (least, most) = (Duration::from_millis(100), Duration::from_millis(200));
        assert!(lots.iter().flatten().all(|latency| (least..=most).contains(latency)));
        let middle = Duration::from_millis(150);
        assert!(
            (happened / 3..happened).contains(&lots.iter().flatten().filter(|lot| **lot > middle).count())
        );
    }

    #[test]
    fn entries_have_lots_of_their_own() {
        let faults = faults(&["/reset,chance=50%", "/reset,chance=50%"], 1).unwrap();
        let lots = |rule: usize| (0..64).map(|_| faults.0[rule].draw().is_some()).collect::<Vec<_>>();
        assert_ne!(lots(0), lots(1));
    }

    #[test]
    fn mistakes() {
        for (text, told) in [
            ("", "faults[0]: expected `[/filter]/effects`, where the first character is the separator"),
            (
                "/~q/reset/x",
                "faults[0]: expected `[/filter]/effects`, where the first character is the separator",
            ),
            ("/~zz/reset", "faults[0] at column 2: unknown operator ~zz"),
            (
                "/~b x/reset",
                "faults[0] at column 2: a filter that reads bodies cannot be used here: bodies stream",
            ),
            ("/~q/reset,status=9", "faults[0] at column 11: expected a status from 200 to 599"),
        ] {
            assert_eq!(faults(&[text], 0).unwrap_err().to_string(), told, "{text}");
        }
    }
}
