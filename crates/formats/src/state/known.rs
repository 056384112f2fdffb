//! Connections as they were written before. All flows of a connection share one, and it is half of what is written of a small flow.

use std::collections::HashMap;
use std::sync::Arc;

use flowgate_flow::{ClientConnection, ServerConnection};

use crate::tnetstring::Encoder;

/// How many connections of each side are known, at most. Some kilobytes of memory each.
const CONNECTIONS_KNOWN_MAX: usize = 256;

/// What the connections of both sides look like in a file.
#[derive(Debug, Default)]
pub(crate) struct KnownConnections {
    pub(super) clients: Known<ClientConnection>,
    pub(super) servers: Known<ServerConnection>,
}

/// By where they lie in memory.
#[derive(Debug)]
pub(super) struct Known<T>(HashMap<usize, Written<T>>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[derive(Debug)]
struct Written<T> {
    /// Kept, so that it stays as it is and nothing else can come to lie there.
    _connection: Arc<T>,
    certificates: bool,
    bytes: Vec<u8>,
}

impl<T> Known<T> {
    /// Puts a connection, with its certificates or without, before what is there: as it was put before, or by `put`.
    pub(super) fn put(
        &mut self,
        connection: &Arc<T>,
        certificates: bool,
        to: &mut Encoder,
        put: impl FnOnce(&mut Encoder),
    ) {
        let place = Arc::as_ptr(connection).addr();
        if let Some(written) = self.0.get(&place).filter(|written| written.certificates == certificates) {
            to.put_again(&written.bytes);
            return;
        }
        let before = to.len();
        put(to);
        // What nobody else has belongs to this flow alone.
        if Arc::strong_count(connection) == 1 {
            return;
        }
        let Some(bytes) = to.put_since(before) else { return };
        if self.0.len() >= CONNECTIONS_KNOWN_MAX {
            self.0.clear();
        }
        let written = Written { _connection: Arc::clone(connection), certificates, bytes: bytes.to_vec() };
        self.0.insert(place, written);
    }
}
