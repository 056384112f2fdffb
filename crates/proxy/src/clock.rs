//! The wall clock and the ids, as flows have them. Time-outs use tokio's clock instead, which tests can move.

use std::time::SystemTime;

use flowgate_flow::{FlowId, Timestamp};

/// The time of day.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(since_epoch.map_or(0.0, |elapsed| elapsed.as_secs_f64()))
}

/// An id that no other flow or connection has. Not secret: it is shown and stored.
pub(crate) fn new_id() -> FlowId {
    FlowId::from_random(fastrand::u128(..))
}
