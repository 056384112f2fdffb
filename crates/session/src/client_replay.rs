//! `client_replay`: which recorded requests are sent again, in which order, and when.
//!
//! Not here: how one is sent (`flowgate-proxy`).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flowgate_flow::Flow;
use flowgate_options::mode_spec::ModeSpec;
use flowgate_options::{Level, Values};
use flowgate_proxy::{Events, Proxy, replayable};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::flow_source::FlowSource;
use crate::read::read_flows;
use crate::session::{SessionError, path};

/// How many requests are under way at the same time, if the option sets no limit.
pub const REPLAYS_MAX: usize = 1_000;

/// Requests that are to be sent again.
#[derive(Debug, Default)]
pub(crate) struct ClientReplay {
    flows: Vec<Flow>,
    /// How many at the same time.
    limit: usize,
    /// Whether they keep their distances in time.
    as_recorded: bool,
    mode: Option<ModeSpec>,
}

impl ClientReplay {
    /// Reads the flows that the options name. Blocks.
    ///
    /// # Errors
    /// If a file cannot be read, or not all of it, or does not have a flow that is named.
    pub(crate) fn read(values: &Values, home: Option<&Path>) -> Result<Self, SessionError> {
        let mut flows = Vec::new();
        for text in &values.client_replay {
            read(text, home, &mut flows)?;
        }
        let limit = values.client_replay_concurrency.limit();
        Ok(Self {
            flows,
            limit: limit.map_or(REPLAYS_MAX, |limit| limit.get().into()),
            as_recorded: values.client_replay_timing,
            // As mitmproxy: the first mode says how they leave.
            mode: values.mode.first().cloned(),
        })
    }

    /// Sends them, and returns when all are over. What cannot be sent is told first.
    pub(crate) async fn run(self, proxy: Arc<Proxy>, events: Arc<dyn Events>) {
        let mode = Arc::new(self.mode.unwrap_or_else(ModeSpec::regular));
        let replayable = |flow: &Flow| match replayable(flow) {
            Ok(_) => true,
            Err(why) => {
                events.log(Level::Warn, None, format_args!("[replay] {why} (flow {})", flow.id));
                false
            }
        };
        let flows = self.flows.into_iter().filter(replayable).map(|flow| (recorded_at(&flow), flow));
        let send = |flow: Flow| {
            let (proxy, mode) = (Arc::clone(&proxy), Arc::clone(&mode));
            async move {
                // It was asked whether it can be.
                let _ = proxy.replay(&flow, &mode).await;
            }
        };
        send_all(flows.collect(), self.limit, self.as_recorded, send).await;
    }
}

/// Sends each, so many at the same time; if they keep their distances, none before its time.
async fn send_all<T, F: Future<Output = ()> + Send + 'static>(
    all: Vec<(f64, T)>,
    limit: usize,
    as_recorded: bool,
    send: impl Fn(T) -> F,
) {
    let (began, first) = (Instant::now(), all.first().map_or(0.0, |(at, _)| *at));
    let mut under_way = JoinSet::new();
    for (at, one) in all {
        while under_way.len() >= limit {
            under_way.join_next().await;
        }
        // What began earlier than the first, and what no clock reaches, makes no distance.
        let distance = Duration::try_from_secs_f64(at - first).unwrap_or_default();
        if let Some(at) = began.checked_add(distance).filter(|_| as_recorded) {
            sleep_until(at).await;
        }
        under_way.spawn(send(one));
    }
    while under_way.join_next().await.is_some() {}
}

/// When a request began, in seconds.
fn recorded_at(flow: &Flow) -> f64 {
    replayable(flow).map_or(flow.created.0, |request| request.timestamp_start.0)
}

/// Reads a whole file or store, or the flows of it that are named behind `#`.
fn read(text: &str, home: Option<&Path>, flows: &mut Vec<Flow>) -> Result<(), SessionError> {
    let whole = path("client_replay", text, home)?;
    let (source, ids) = match text.rsplit_once('#').filter(|_| !whole.exists()) {
        None => return read_flows(&whole, |flow| flows.push(flow)).map_err(SessionError::Replay),
        Some((source, ids)) => (path("client_replay", source, home)?, ids),
    };
    let source = FlowSource::open(&source).map_err(SessionError::Replay)?;
    for id in ids.split(',') {
        let mut found = source.by_id(id, 2).map_err(SessionError::Replay)?;
        match (found.pop(), found.len()) {
            (Some(only), 0) => flows.push(only.flow().map_err(SessionError::Replay)?),
            (None, _) => return Err(SessionError::NoFlow { entry: text.into(), id: id.into() }),
            (Some(_), _) => return Err(SessionError::SeveralFlows { entry: text.into(), id: id.into() }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// When each began and ended, in seconds from the start; each takes two seconds.
    async fn times(at: &[f64], limit: usize, as_recorded: bool) -> Vec<(f64, f64)> {
        let start = Instant::now();
        let times: Arc<Mutex<Vec<(f64, f64)>>> = Arc::default();
        let send = |()| {
            let times = Arc::clone(&times);
            async move {
                let began = start.elapsed().as_secs_f64();
                tokio::time::sleep(Duration::from_secs(2)).await;
                times.lock().unwrap().push((began, start.elapsed().as_secs_f64()));
            }
        };
        send_all(at.iter().map(|at| (*at, ())).collect(), limit, as_recorded, send).await;
        let mut times = times.lock().unwrap().clone();
        times.iter_mut().for_each(|(began, ended)| (*began, *ended) = (began.round(), ended.round()));
        times
    }

    #[tokio::test(start_paused = true)]
    async fn one_after_the_other_or_several_and_never_before_their_time() {
        let at = [100.0, 101.0, 99.0, 110.0];
        assert_eq!(times(&at, 1, false).await, [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0), (6.0, 8.0)]);
        assert_eq!(times(&at, 2, false).await, [(0.0, 2.0), (0.0, 2.0), (2.0, 4.0), (2.0, 4.0)]);
        assert_eq!(times(&at, REPLAYS_MAX, false).await, [(0.0, 2.0); 4]);
        assert_eq!(times(&at, REPLAYS_MAX, true).await, [(0.0, 2.0), (1.0, 3.0), (1.0, 3.0), (10.0, 12.0)]);
        assert_eq!(times(&at, 1, true).await, [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0), (10.0, 12.0)]);
        assert_eq!(times(&[0.0, f64::NAN, f64::INFINITY], 9, true).await, [(0.0, 2.0); 3]);
        assert!(times(&[], 1, true).await.is_empty());
    }
}
