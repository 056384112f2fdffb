//! A flow as far as it can be made into a record where it ended: so nothing of it has to be looked at, or given back, by the thread
//! that writes.
//!
//! Not here: where its parts come to lie ([`record`](crate::record)).

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use flowgate_flow::{Body, Flow, FlowKind};
use flowgate_formats::{Connections, FlowWriter};

use crate::exchange;
use crate::limits::{BUFFERS_RETURNED_MAX, INLINE_BODY_BYTES_MAX, PREPARED_MESSAGES_BYTES_MAX};

/// A flow that is about to be written.
#[derive(Debug)]
pub struct Prepared(pub(crate) Form);

/// How far it came.
#[derive(Debug)]
pub(crate) enum Form {
    /// Nothing was done yet: it has connections for itself, or was edited, or takes long.
    Whole(Box<Flow>),
    /// All of it but its connections and larger bodies.
    Encoded(Encoded),
}

#[derive(Debug)]
pub(crate) struct Encoded {
    /// Whether `item` is an [`exchange`], otherwise it is a state as in a flow file.
    pub(crate) is_exchange: bool,
    pub(crate) item: Vec<u8>,
    pub(crate) request_body: Option<Body>,
    pub(crate) response_body: Option<Body>,
    pub(crate) connections: Connections,
}

thread_local! {
    static WRITER: RefCell<FlowWriter> = RefCell::new(FlowWriter::new());
    /// Memory for what is made next.
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Memory on its way back from the thread that writes. To give it back to the allocator there, and to ask for it here, costs as much
/// as to fill it. Nobody waits for it.
static RETURNED: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn buffer() -> Vec<u8> {
    BUFFERS.with_borrow_mut(|buffers| {
        if buffers.is_empty()
            && let Ok(mut returned) = RETURNED.try_lock()
        {
            std::mem::swap(buffers, &mut *returned);
        }
        buffers.pop().unwrap_or_default()
    })
}

/// Takes memory back that was written, and empties the list.
pub(crate) fn give_back(written: &mut Vec<Vec<u8>>) {
    if let Ok(mut returned) = RETURNED.try_lock() {
        let room = BUFFERS_RETURNED_MAX.saturating_sub(returned.len());
        returned.extend(written.drain(..).take(room));
    }
    written.clear();
}

impl From<Flow> for Prepared {
    /// Does what can be done in a few microseconds.
    fn from(mut flow: Flow) -> Self {
        // Others have these connections, too: they are written once for all.
        let is_shared = Arc::strong_count(&flow.client) > 1 && Arc::strong_count(&flow.server) > 1;
        if !is_shared || flow.backup.is_some() || flow.kind.messages_bytes() > PREPARED_MESSAGES_BYTES_MAX {
            return Self(Form::Whole(Box::new(flow)));
        }
        let (mut request_body, mut response_body) = (None, None);
        if let FlowKind::Http(http) = &mut flow.kind {
            request_body = take_large(&mut http.request.body);
            response_body = http.response.as_mut().and_then(|response| take_large(&mut response.body));
        }
        let mut item = buffer();
        let is_exchange = exchange::put(&flow, &mut item);
        let encoded = is_exchange || {
            item.clear();
            WRITER.with_borrow_mut(|writer| writer.append_without_connections(&mut item, &flow)).is_ok()
        };
        if !encoded {
            // Whoever writes it meets the same error, and tells it.
            if let FlowKind::Http(http) = &mut flow.kind {
                put_back(&mut http.request.body, request_body);
                if let Some(response) = &mut http.response {
                    put_back(&mut response.body, response_body);
                }
            }
            return Self(Form::Whole(Box::new(flow)));
        }
        let connections = (Arc::clone(&flow.client), Arc::clone(&flow.server));
        Self(Form::Encoded(Encoded { is_exchange, item, request_body, response_body, connections }))
    }
}

/// Whether a body has a record of its own.
pub(crate) fn is_large(body: &Body) -> bool {
    matches!(body, Body::Bytes(_) | Body::Stored(_)) && body.len() > Some(INLINE_BODY_BYTES_MAX)
}

fn take_large(body: &mut Body) -> Option<Body> {
    is_large(body).then(|| std::mem::take(body))
}

fn put_back(body: &mut Body, taken: Option<Body>) {
    if let Some(taken) = taken {
        *body = taken;
    }
}
