//! Connections on hooks: a client that came, a server that is about to be connected to.

use std::fmt;
use std::sync::Arc;

use flowgate_flow::{Address, ClientConnection, ServerConnection};

/// A client on `client_connected`.
#[derive(Debug)]
pub struct LiveClient {
    client: Arc<ClientConnection>,
    refused: Option<String>,
}

impl LiveClient {
    pub(crate) const fn new(client: Arc<ClientConnection>) -> Self {
        Self { client, refused: None }
    }

    /// Who came.
    #[must_use]
    pub fn client(&self) -> &ClientConnection {
        &self.client
    }

    /// Closes the connection, for this reason.
    pub fn refuse(&mut self, why: impl Into<String>) {
        self.refused = Some(why.into());
    }

    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }
}

/// A client of mode `socks5` that said who it is, on `socks5_auth`. Not shown by `Debug`.
pub struct LiveLogin {
    client: Arc<ClientConnection>,
    user: Vec<u8>,
    password: Vec<u8>,
    valid: bool,
}

impl LiveLogin {
    pub(crate) const fn new(client: Arc<ClientConnection>, user: Vec<u8>, password: Vec<u8>) -> Self {
        Self { client, user, password, valid: false }
    }

    /// Who came.
    #[must_use]
    pub fn client(&self) -> &ClientConnection {
        &self.client
    }

    /// The name it gave, as it was sent.
    #[must_use]
    pub fn user(&self) -> &[u8] {
        &self.user
    }

    /// The password it gave, as it was sent.
    #[must_use]
    pub fn password(&self) -> &[u8] {
        &self.password
    }

    /// Lets it in.
    pub const fn accept(&mut self) {
        self.valid = true;
    }

    pub(crate) const fn is_valid(&self) -> bool {
        self.valid
    }
}

impl fmt::Debug for LiveLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveLogin").field("valid", &self.valid).finish_non_exhaustive()
    }
}

/// A server on `server_connect`.
#[derive(Debug)]
pub struct LiveServer {
    facts: ServerFacts,
    refused: Option<String>,
}

/// A server's connection, and whose it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerFacts {
    /// The client for whom it is connected to.
    pub client: Arc<ClientConnection>,
    /// What is known of the connection.
    pub server: ServerConnection,
}

impl LiveServer {
    pub(crate) const fn new(client: Arc<ClientConnection>, server: ServerConnection) -> Self {
        Self { facts: ServerFacts { client, server }, refused: None }
    }

    /// The connection as it is going to be, and whose it is.
    #[must_use]
    pub const fn facts(&self) -> &ServerFacts {
        &self.facts
    }

    /// Connects to this address instead. Who is asked for in TLS, and what requests name as their host, stay.
    pub fn set_address(&mut self, address: Address) {
        self.facts.server.address = Some(address);
    }

    /// Does not connect, for this reason, which the client is told.
    pub fn refuse(&mut self, why: impl Into<String>) {
        self.refused = Some(why.into());
    }

    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    pub(crate) fn into_facts(self) -> ServerFacts {
        self.facts
    }
}

impl ServerFacts {
    pub(crate) const fn new(client: Arc<ClientConnection>, server: ServerConnection) -> Self {
        Self { client, server }
    }
}
