//! HTTP flows without what filters over heads never look at: what is left out is passed over in the bytes, not read.
//!
//! Not here: anything of other kinds and older versions, or an error in words. Whoever gets nothing reads the whole flow.

use std::sync::Arc;

use flowgate_flow::{
    Body, ClientConnection, Flow, FlowId, FlowKind, Headers, HttpFlow, HttpVersion, PseudoFields, Request,
    Response, ServerConnection, Timestamp, WebSocketData,
};

use crate::VERSION;
use crate::state::{Connections, Lines, StateError, bytes, error, int, optional, replay, text, timestamp};
use crate::tnetstring::{Raw, Value};

/// Reads HTTP flows as far as their heads go.
#[derive(Debug)]
pub struct HeadsReader {
    client: Arc<ClientConnection>,
    server: Arc<ServerConnection>,
}

impl Default for HeadsReader {
    fn default() -> Self {
        let id = FlowId::Uuid(0);
        Self {
            client: Arc::new(ClientConnection::new(id.clone(), String::new())),
            server: Arc::new(ServerConnection::new(id, None)),
        }
    }
}

impl HeadsReader {
    /// The connections of all flows that it reads: nobody's.
    #[must_use]
    pub fn connections(&self) -> Connections {
        (Arc::clone(&self.client), Arc::clone(&self.server))
    }

    /// A flow as filters see it that look at nothing but the lines and fields of its request and response, its times, error, mark,
    /// comment and replay, and whether it is a WebSocket. Its connections, bodies, trailers, messages and metadata are not those of
    /// the flow. `item` is one item of a flow file; `None` if it is not an HTTP flow of the current version and in order.
    #[must_use]
    pub fn read(&self, mut item: &[u8]) -> Option<Flow> {
        let flow = Raw::take(&mut item).filter(|flow| flow.kind == b'}' && item.is_empty())?;
        let mut flow_is_http = false;
        let mut version = None;
        let mut parts = (None, None, None);
        let (mut created, mut failed, mut replayed) = (None, None, None);
        let (mut marked, mut comment) = (None, None);
        for entry in Entries(flow.payload) {
            let (key, raw) = entry?;
            match key {
                b"type" => flow_is_http = raw.payload == b"http",
                b"version" => version = Some(take(raw, int::<i64>)?),
                b"request" => parts.0 = Some(raw),
                b"response" => parts.1 = Some(raw),
                b"websocket" => parts.2 = Some(raw),
                b"timestamp_created" => created = Some(take(raw, timestamp)?),
                b"error" => failed = Some(take(raw, optional(error))?),
                b"is_replay" => replayed = Some(take(raw, optional(replay))?),
                b"marked" => marked = Some(take(raw, text)?),
                b"comment" => comment = Some(take(raw, text)?),
                _ => {}
            }
        }
        if !flow_is_http || version != Some(VERSION) {
            return None;
        }
        let http = HttpFlow {
            request: request(parts.0?)?,
            response: unless_none(parts.1?, response)?,
            websocket: unless_none(parts.2?, websocket)?,
        };
        Some(Flow {
            error: failed?,
            replay: replayed?,
            marked: marked?,
            comment: comment?,
            ..Flow::new(
                FlowId::Uuid(0),
                Arc::clone(&self.client),
                Arc::clone(&self.server),
                FlowKind::Http(Box::new(http)),
                created?,
            )
        })
    }
}

/// The entries of a map: keys, and values that are not looked into.
struct Entries<'a>(&'a [u8]);

impl<'a> Iterator for Entries<'a> {
    /// `None` where there is no whole entry with a text for its key.
    type Item = Option<(&'a [u8], Raw<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let mut entry = || {
            let key = Raw::take(&mut self.0).filter(|key| key.kind == b';')?;
            Some((key.payload, Raw::take(&mut self.0)?))
        };
        let entry = entry();
        if entry.is_none() {
            self.0 = &[];
        }
        Some(entry)
    }
}

fn take<'a, T>(raw: Raw<'a>, convert: impl FnOnce(Value<'a>) -> Result<T, StateError>) -> Option<T> {
    convert(raw.value()?).ok()
}

/// `Some(None)` for nothing.
fn unless_none<T>(raw: Raw<'_>, read: impl FnOnce(Raw<'_>) -> Option<T>) -> Option<Option<T>> {
    if raw.kind == b'~' { Some(None) } else { read(raw).map(Some) }
}

/// What requests and responses have alike.
#[derive(Default)]
struct Half {
    version: Option<HttpVersion>,
    headers: Option<Headers>,
    start: Option<Timestamp>,
    end: Option<Option<Timestamp>>,
}

impl Half {
    /// Reads an entry if it is one of these; `None` if it is not in order.
    fn read(&mut self, key: &[u8], raw: Raw<'_>) -> Option<()> {
        match key {
            b"http_version" => self.version = Some(HttpVersion::from_bytes(&take(raw, bytes)?)),
            b"headers" => self.headers = Some(headers(raw)?),
            b"timestamp_start" => self.start = Some(take(raw, timestamp)?),
            b"timestamp_end" => self.end = Some(take(raw, optional(timestamp))?),
            _ => {}
        }
        Some(())
    }
}

fn request(raw: Raw<'_>) -> Option<Request> {
    let map = Some(raw).filter(|raw| raw.kind == b'}')?;
    let mut half = Half::default();
    let (mut host, mut port) = (None, None);
    let (mut method, mut scheme, mut authority, mut path) = (None, None, None, None);
    for entry in Entries(map.payload) {
        let (key, raw) = entry?;
        match key {
            b"host" => host = Some(take(raw, text)?),
            b"port" => port = Some(take(raw, int)?),
            b"method" => method = Some(take(raw, bytes)?),
            b"scheme" => scheme = Some(take(raw, bytes)?),
            b"authority" => authority = Some(take(raw, bytes)?),
            b"path" => path = Some(take(raw, bytes)?),
            _ => half.read(key, raw)?,
        }
    }
    Some(Request {
        version: half.version?,
        method: method?,
        scheme: scheme?,
        host: host?,
        port: port?,
        authority: authority?,
        path: path?,
        pseudo: PseudoFields::default(),
        headers: half.headers?,
        body: Body::Missing,
        trailers: None,
        timestamp_start: half.start?,
        timestamp_end: half.end?,
    })
}

fn response(raw: Raw<'_>) -> Option<Response> {
    let map = Some(raw).filter(|raw| raw.kind == b'}')?;
    let mut half = Half::default();
    let (mut status, mut reason) = (None, None);
    for entry in Entries(map.payload) {
        let (key, raw) = entry?;
        match key {
            b"status_code" => status = Some(take(raw, int)?),
            b"reason" => reason = Some(take(raw, bytes)?),
            _ => half.read(key, raw)?,
        }
    }
    Some(Response {
        version: half.version?,
        status: status?,
        reason: reason?,
        headers: half.headers?,
        body: Body::Missing,
        trailers: None,
        timestamp_start: half.start?,
        timestamp_end: half.end?,
    })
}

fn websocket(raw: Raw<'_>) -> Option<WebSocketData> {
    let map = Some(raw).filter(|raw| raw.kind == b'}')?;
    let mut end: Option<Option<Timestamp>> = None;
    for entry in Entries(map.payload) {
        let (key, raw) = entry?;
        if key == b"timestamp_end" {
            end = Some(take(raw, optional(timestamp))?);
        }
    }
    Some(WebSocketData { timestamp_end: end?, ..WebSocketData::default() })
}

fn headers(raw: Raw<'_>) -> Option<Headers> {
    let mut rest = Some(raw.payload).filter(|_| raw.kind == b']')?;
    let mut lines = Lines::with_capacity(FIELDS_USUAL, rest.len());
    while !rest.is_empty() {
        let pair = Raw::take(&mut rest).filter(|pair| pair.kind == b']')?;
        let mut parts = pair.payload;
        let (name, value) = (Raw::take(&mut parts)?, Raw::take(&mut parts)?);
        if name.kind != b',' || value.kind != b',' || !parts.is_empty() {
            return None;
        }
        lines.push(name.payload, value.payload).ok()?;
    }
    lines.headers().ok()
}

/// Fields for which there is room at once.
const FIELDS_USUAL: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(item in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(HeadsReader::default().read(&item).is_none());
        }

        /// What begins like a flow and is damaged is read or not.
        #[test]
        fn damaged_flows_are_read_without_harm(at in any::<prop::sample::Index>(), byte: u8) {
            let mut item = b"88:8:response,0:~4:type;4:http;7:version;2:21#7:request;24:7:headers;10:6:1:a,1:b,]]}}".to_vec();
            let at = at.index(item.len());
            item[at] = byte;
            let _ = HeadsReader::default().read(&item);
        }
    }
}
