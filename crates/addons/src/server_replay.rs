//! `server_replay`: requests answered from recordings. Which request has which key is the business of `key`, what a recorded response
//! says of times that of `refresh`.
//!
//! Recordings are looked up in an index by a hash of the key, so their number does not matter. Requests without a body, and all where
//! bodies are not part of the key, are answered as soon as their head is there; others when their body is.
//!
//! Differs from mitmproxy: what is to become of requests that nothing was recorded for (`server_replay_extra`) also holds when all
//! recordings are used up.

mod key;
mod refresh;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use flowgate_flow::{Body, Flow, FlowKind, Headers, HostFrom, Replay, Response};
use flowgate_options::{Level, ServerReplayExtra, Values};
use flowgate_proxy::{Addon, BodyNeed, HookFuture, LiveFlow};

use crate::date;
use crate::log::Log;
use key::{Key, KeyOptions, key};

/// Flows to answer from, in the order in which they were recorded.
#[derive(Debug, Default)]
pub struct Recordings(Vec<Flow>);

impl FromIterator<Flow> for Recordings {
    /// Takes those that have a response of HTTP; others answer nothing.
    fn from_iter<I: IntoIterator<Item = Flow>>(flows: I) -> Self {
        let has_response = |flow: &Flow| matches!(&flow.kind, FlowKind::Http(http) if http.response.is_some() && http.websocket.is_none());
        Self(flows.into_iter().filter(has_response).collect())
    }
}

impl Recordings {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Recordings by key, and which are still to be used.
pub(crate) struct Index {
    recordings: Arc<Recordings>,
    options: KeyOptions,
    left: Mutex<HashMap<Key, VecDeque<usize>>>,
}

impl Index {
    pub(crate) fn new(recordings: Arc<Recordings>, values: &Values) -> Self {
        let options = KeyOptions::new(values);
        let mut left: HashMap<Key, VecDeque<usize>> = HashMap::with_capacity(recordings.len());
        for (at, flow) in recordings.0.iter().enumerate() {
            if let FlowKind::Http(http) = &flow.kind
                && let Some(key) = key(&http.request, &options)
            {
                left.entry(key).or_default().push_back(at);
            }
        }
        Self { recordings, options, left: Mutex::new(left) }
    }

    /// Whether it is made of these recordings, with the same keys.
    pub(crate) fn is_of(&self, recordings: &Arc<Recordings>, values: &Values) -> bool {
        Arc::ptr_eq(&self.recordings, recordings) && self.options == KeyOptions::new(values)
    }

    /// The next response for a key: the first again and again, or each once.
    fn next(&self, key: &Key, reuse: bool) -> Option<&Response> {
        // What is behind a poisoned lock is whole: indices are only taken out.
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = left.get_mut(key)?;
        let at = if reuse { waiting.front().copied() } else { waiting.pop_front() }?;
        if waiting.is_empty() {
            left.remove(key);
        }
        match &self.recordings.0.get(at)?.kind {
            FlowKind::Http(http) => http.response.as_ref(),
            _ => None,
        }
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Index({} recordings)", self.recordings.len())
    }
}

/// The addon.
#[derive(Debug)]
pub(crate) struct ServerReplay {
    index: Arc<Index>,
    reuse: bool,
    refresh: bool,
    extra: ServerReplayExtra,
    log: Log,
}

impl ServerReplay {
    pub(crate) fn new(index: Arc<Index>, values: &Values, log: Log) -> Self {
        Self {
            index,
            reuse: values.server_replay_reuse || values.server_replay_nopop,
            refresh: values.server_replay_refresh,
            extra: extra(values),
            log,
        }
    }

    fn needs_body(&self) -> bool {
        !self.index.options.ignore_content
    }

    fn act<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        if matches!(flow.request().body, Body::Stored(_)) && self.needs_body() {
            // It lies in a file: to hash it is to read it.
            return HookFuture::new(async move {
                let (index, request) = (Arc::clone(&self.index), flow.request().clone());
                let key = tokio::task::spawn_blocking(move || key(&request, &index.options)).await;
                self.answer(flow, key.ok().flatten());
            });
        }
        let key = key(flow.request(), &self.index.options);
        self.answer(flow, key);
        HookFuture::DONE
    }

    fn answer(&self, flow: &mut LiveFlow, key: Option<Key>) {
        let recorded = key.and_then(|key| self.index.next(&key, self.reuse));
        let url =
            |flow: &LiveFlow| String::from_utf8_lossy(&flow.request().url(HostFrom::Header)).into_owned();
        let response = match (recorded, self.extra) {
            (Some(recorded), _) => {
                let mut response = recorded.clone();
                if self.refresh {
                    refresh::refresh(&mut response.headers, recorded.timestamp_start, date::now());
                }
                let now = LiveFlow::response_of(response.status, Headers::new(), Body::EMPTY);
                (response.timestamp_start, response.timestamp_end) = (now.timestamp_start, now.timestamp_end);
                response
            }
            (None, ServerReplayExtra::Forward) => return,
            (None, ServerReplayExtra::Kill) => {
                let line = url(flow).escape_debug().to_string();
                self.log.line(
                    Level::Warn,
                    flow,
                    format_args!("server_replay: nothing was recorded for {line}: killed"),
                );
                flow.kill();
                return;
            }
            (None, extra) => {
                let (line, word) = (url(flow).escape_debug().to_string(), extra.word());
                self.log.line(
                    Level::Warn,
                    flow,
                    format_args!("server_replay: nothing was recorded for {line}: {word}"),
                );
                LiveFlow::response_of(word.parse().unwrap_or(404), Headers::new(), Body::EMPTY)
            }
        };
        crate::answer(flow, response);
        flow.set_replay(Replay::Response);
    }
}

/// What becomes of requests for which nothing was recorded.
fn extra(values: &Values) -> ServerReplayExtra {
    if values.server_replay_kill_extra { ServerReplayExtra::Kill } else { values.server_replay_extra }
}

/// Whether these options mean that no server is to be contacted.
#[must_use]
pub fn is_offline(values: &Values) -> bool {
    !values.server_replay.is_empty() && extra(values) != ServerReplayExtra::Forward
}

impl Addon for ServerReplay {
    fn name(&self) -> &str {
        "server_replay"
    }

    fn requestheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        if !self.needs_body() || flow.holds_request_body() { self.act(flow) } else { HookFuture::DONE }
    }

    fn request_body(&self, _: &LiveFlow) -> BodyNeed {
        if self.needs_body() { BodyNeed::Whole } else { BodyNeed::Nothing }
    }

    fn request<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        // One that said it has no body was looked for when its head came.
        let headers = &flow.request().headers;
        let says_body = headers.contains("content-length") || headers.contains("transfer-encoding");
        if !self.needs_body() || flow.request().body.is_empty() && !says_body {
            return HookFuture::DONE;
        }
        // A body that is too long to be held has gone to the server already.
        if flow.holds_request_body() { self.act(flow) } else { HookFuture::DONE }
    }
}

#[cfg(test)]
mod tests;
