//! Answers that are kept for as long as they say, and no longer than an hour; so many, and no more.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{DNS_ANSWERS_KEPT, DNS_KEPT_TIMEOUT};

/// A name in lower case, and which kind of addresses.
type Key = (String, u16);

#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<Key, (Vec<IpAddr>, Instant)>>);

impl Cache {
    pub(super) fn get(&self, name: &str, kind: u16) -> Option<Vec<IpAddr>> {
        let key = (name.to_ascii_lowercase(), kind);
        let answers = self.answers();
        let (addresses, until) = answers.get(&key)?;
        (Instant::now() < *until).then(|| addresses.clone())
    }

    /// Keeps an answer for `ttl` seconds. That a name has no address is not kept.
    pub(super) fn put(&self, name: String, kind: u16, addresses: &[IpAddr], ttl: u32) {
        if addresses.is_empty() || ttl == 0 {
            return;
        }
        let now = Instant::now();
        let mut answers = self.answers();
        if answers.len() >= DNS_ANSWERS_KEPT {
            answers.retain(|_, (_, until)| now < *until);
        }
        if answers.len() >= DNS_ANSWERS_KEPT {
            // Any will do: whoever fills it up asks for names nobody asks for twice.
            let any = answers.keys().next().cloned();
            any.and_then(|key| answers.remove(&key));
        }
        let until = now + DNS_KEPT_TIMEOUT.min(Duration::from_secs(ttl.into()));
        answers.insert((name.to_ascii_lowercase(), kind), (addresses.to_vec(), until));
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<Key, (Vec<IpAddr>, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ADDRESS: [IpAddr; 1] = [IpAddr::V4(Ipv4Addr::LOCALHOST)];

    #[tokio::test(start_paused = true)]
    async fn answers_are_kept_for_as_long_as_they_say() {
        let cache = Cache::default();
        cache.put("A.test".into(), 1, &ADDRESS, 30);
        cache.put("never.test".into(), 1, &ADDRESS, 0);
        cache.put("nothing.test".into(), 1, &[], 30);
        cache.put("long.test".into(), 1, &ADDRESS, u32::MAX);
        assert_eq!(cache.get("a.TEST", 1).as_deref(), Some(&ADDRESS[..]));
        for (name, kind) in [("a.test", 28), ("never.test", 1), ("nothing.test", 1)] {
            assert_eq!(cache.get(name, kind), None, "{name}");
        }
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(cache.get("a.test", 1), None);
        assert!(cache.get("long.test", 1).is_some());
        tokio::time::advance(DNS_KEPT_TIMEOUT).await;
        assert_eq!(cache.get("long.test", 1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_kept_than_may_be() {
        let cache = Cache::default();
        for number in 0..DNS_ANSWERS_KEPT + 10 {
            cache.put(format!("{number}.test"), 1, &ADDRESS, 10);
        }
        assert_eq!(cache.answers().len(), DNS_ANSWERS_KEPT);
        tokio::time::advance(Duration::from_secs(10)).await;
        cache.put("new.test".into(), 1, &ADDRESS, 10);
        assert_eq!(cache.answers().len(), 1, "those that are over went first");
    }
}
