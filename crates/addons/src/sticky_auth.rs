//! `stickyauth`: the `Authorization` that a client sends to a host is remembered, and added to requests that a filter means and
//! that have none. Kept in memory only, and told to nobody.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use flowgate_filter::Filter;
use flowgate_flow::Request;
use flowgate_proxy::{HookFuture, LiveFlow};

use crate::decoding::Decoding;
use crate::limits::AUTH_HOSTS_KEPT_MAX;
use crate::on_request::RequestFeature;

/// The addon.
#[derive(Debug)]
pub(crate) struct StickyAuth {
    filter: Filter,
    seen: Arc<Mutex<Seen>>,
}

impl StickyAuth {
    pub(crate) const fn new(filter: Filter, seen: Arc<Mutex<Seen>>) -> Self {
        Self { filter, seen }
    }
}

impl RequestFeature for StickyAuth {
    fn name(&self) -> &str {
        "stickyauth"
    }

    fn reads_bodies(&self) -> bool {
        self.filter.reads_bodies()
    }

    fn act<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        // What is behind a poisoned lock is whole: it is one map.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.learn(flow.request()) && self.filter.matches(flow.flow(), &Decoding) {
            seen.add_to(flow.request_mut());
        }
        HookFuture::DONE
    }
}

/// What was seen, by host.
#[derive(Default)]
pub(crate) struct Seen(HashMap<String, Vec<u8>>);

impl Seen {
    /// Remembers what a request carries; says whether it carries something.
    pub(crate) fn learn(&mut self, request: &Request) -> bool {
        let Some(value) = request.headers.get("authorization") else { return false };
        if self.0.len() < AUTH_HOSTS_KEPT_MAX || self.0.contains_key(&request.host) {
            self.0.insert(request.host.clone(), value.to_vec());
        }
        true
    }

    /// Adds what was seen to a request that has nothing.
    pub(crate) fn add_to(&self, request: &mut Request) {
        if let Some(value) = self.0.get(&request.host) {
            request.headers.set("Authorization", value);
        }
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seen({} hosts)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn by_host() {
        let mut seen = Seen::default();
        let request =
            |url: &str, headers: &[(&str, &str)]| testing::request(&testing::flow(url, headers)).clone();
        assert!(seen.learn(&request("GET http://a/", &[("authorization", "Basic x")])));
        assert!(!seen.learn(&request("GET http://b/", &[])));
        let (mut same, mut other) = (request("GET https://a/", &[]), request("GET http://b/", &[]));
        seen.add_to(&mut same);
        seen.add_to(&mut other);
        assert_eq!(same.headers.get("authorization"), Some(&b"Basic x"[..]));
        assert_eq!(other.headers.get("authorization"), None);
        assert_eq!(format!("{seen:?}"), "Seen(1 hosts)");
    }

    #[test]
    fn of_so_many_hosts_and_no_more() {
        let mut seen = Seen::default();
        for index in 0..=AUTH_HOSTS_KEPT_MAX {
            let line = format!("GET http://h{index}/");
            seen.learn(testing::request(&testing::flow(&line, &[("authorization", "Basic x")])));
        }
        assert_eq!(seen.0.len(), AUTH_HOSTS_KEPT_MAX);
    }
}
