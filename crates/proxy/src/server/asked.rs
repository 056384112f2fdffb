//! Addons and connections to servers: asked before, told afterwards. Nobody comes here where there are none.

use std::net::SocketAddr;
use std::sync::Arc;

use flowgate_flow::{Address, Phase, ServerConnection};

use super::{ServerError, failed};
use crate::addon::{LiveServer, ServerEvent, ServerFacts};
use crate::clock;
use crate::context::Context;

/// The status that tells a client that it may not have its server.
const NOT_ALLOWED: u16 = 403;

/// What judges the addresses of one server.
pub(super) struct Judge<'a> {
    context: &'a Context,
    facts: Option<ServerFacts>,
    /// Why the last address that may not be connected to may not.
    why: Option<String>,
}

impl<'a> Judge<'a> {
    /// Allows everything if there is nobody to ask.
    pub(super) fn new(context: &'a Context, server: &ServerConnection) -> Self {
        // An upstream proxy's address is not the server's.
        let asks = !context.settings.addons.is_empty() && server.via.is_none();
        let facts = asks.then(|| ServerFacts::new(Arc::clone(&context.client), server.clone()));
        Self { context, facts, why: None }
    }

    pub(super) fn allows(&mut self, at: SocketAddr) -> bool {
        let Some(facts) = &self.facts else { return true };
        match self.context.settings.addons.judge_address(facts, at) {
            Ok(()) => true,
            Err(why) => {
                self.why = Some(why);
                false
            }
        }
    }

    /// The error if nothing was allowed.
    pub(super) fn refusal(self, server: &ServerConnection) -> Option<ServerError> {
        let why = self.why?;
        Some(failed(self.context, Box::new(server.clone()), Phase::Connect, NOT_ALLOWED, why))
    }
}

/// Offers a connection that is about to be opened to `server_connect`.
pub(super) async fn server_connect(
    context: &Context,
    server: Box<ServerConnection>,
) -> Result<Box<ServerConnection>, ServerError> {
    let mut live = LiveServer::new(Arc::clone(&context.client), *server);
    context.settings.addons.server_connect(&mut live).await;
    let why = live.refused().map(str::to_owned);
    let server = Box::new(live.into_facts().server);
    match why {
        None => Ok(server),
        Some(why) => {
            let error = failed(context, server, Phase::Connect, NOT_ALLOWED, why);
            failed_to_connect(context, &error).await;
            Err(error)
        }
    }
}

pub(super) async fn connected(context: &Context, server: &ServerConnection) {
    tell(context, ServerEvent::Connected, server.clone()).await;
}

pub(super) async fn failed_to_connect(context: &Context, error: &ServerError) {
    tell(context, ServerEvent::Failed, ServerConnection::clone(&error.facts)).await;
}

/// Tells it in a task of its own: who drops a connection cannot wait.
pub(super) fn disconnected(context: &Context, server: ServerConnection) {
    // Behind the end of the runtime nobody runs any more who could be told.
    if tokio::runtime::Handle::try_current().is_ok() {
        let context = context.clone();
        let tasks = context.proxy.tasks.clone();
        tasks.spawn(async move {
            let mut server = server;
            server.connection.timestamp_end = Some(clock::now());
            tell(&context, ServerEvent::Disconnected, server).await;
        });
    }
}

async fn tell(context: &Context, what: ServerEvent, server: ServerConnection) {
    let facts = ServerFacts::new(Arc::clone(&context.client), server);
    context.settings.addons.tell_server(what, &facts).await;
}

/// Where a connection goes after addons were asked.
pub(super) fn address_of(server: &ServerConnection, before: &Address) -> Address {
    server.address.clone().unwrap_or_else(|| before.clone())
}
