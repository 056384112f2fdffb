//! Gives memory back that was needed for a while: what is free in the middle of the allocator's memory it keeps, be it for ever.
//!
//! Looked at now and then, on a thread of its own; a process that stays small is left alone.

use std::sync::{Arc, Weak};
use std::time::Duration;

use flowgate_net::{give_memory_back, resident_bytes};
use flowgate_proxy::Proxy;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked at how large the process is.
const INTERVAL: Duration = Duration::from_secs(5);
/// By how much it may have grown before that is worth anything, in bytes.
const GROWTH_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Looks after the memory of the process for as long as it lives.
pub(crate) struct MemoryKeeper(JoinHandle<()>);

impl MemoryKeeper {
    pub(crate) fn start(proxy: &Arc<Proxy>) -> Self {
        Self(tokio::spawn(keep(Arc::downgrade(proxy))))
    }
}

impl Drop for MemoryKeeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn keep(proxy: Weak<Proxy>) {
    let Some(first) = resident_bytes() else { return };
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while proxy.strong_count() > 0 {
        ticks.tick().await;
        if resident_bytes().is_none_or(|now| now < first + GROWTH_BYTES_MAX) {
            continue;
        }
        // It takes as long as there is much that is free.
        if tokio::task::spawn_blocking(give_memory_back).await.is_err() {
            return;
        }
    }
}
