//! Lines that features write into the event log.

use std::fmt;
use std::sync::Arc;

use flowgate_flow::ClientConnection;
use flowgate_options::Level;
use flowgate_proxy::{Events, LiveFlow};

/// Where lines go; nowhere in tests of what is pure.
#[derive(Clone)]
pub(crate) struct Log(Option<Arc<dyn Events>>);

impl Log {
    pub(crate) fn new(events: Arc<dyn Events>) -> Self {
        Self(Some(events))
    }

    #[cfg(test)]
    pub(crate) const fn silent() -> Self {
        Self(None)
    }

    /// A line about a flow.
    pub(crate) fn line(&self, level: Level, flow: &LiveFlow, message: fmt::Arguments<'_>) {
        self.of_client(level, flow.client(), message);
    }

    /// A line about a client.
    pub(crate) fn of_client(&self, level: Level, client: &ClientConnection, message: fmt::Arguments<'_>) {
        if let Some(events) = self.0.as_ref().filter(|events| events.logs(level)) {
            events.log(level, client.connection.peername, message);
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}
