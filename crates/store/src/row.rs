//! What a list of flows shows, and filters ask most: the columns of the index. Made from a flow, or read from the index.

use flowgate_filter::facts::{
    destination, duration, has_response, http, is_asset, reason, size, source, url,
};
use flowgate_filter::{Half, Kind};
use flowgate_flow::{Flow, FlowId, FlowKind, Headers, Replay, Timestamp};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Value, ValueRef};

use crate::limits::COLUMN_BYTES_MAX;

/// One flow in a list. Texts are those that filters search, as bytes: they need not be UTF-8.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The flow's number in its store, in the order in which flows ended; in a file counted from 1.
    pub number: i64,
    /// The flow's id.
    pub id: FlowId,
    /// Which kind it is; never [`Kind::WebSocket`], see [`Flags::WEBSOCKET`].
    pub kind: Kind,
    /// When it came to be.
    pub created: Timestamp,
    /// From the request's first byte to the response's last one, in seconds.
    pub duration: Option<f64>,
    /// The host of an HTTP request and the host it says.
    pub site: Option<(Vec<u8>, Vec<u8>)>,
    /// The method.
    pub method: Option<Vec<u8>>,
    /// The URL; of DNS the first question's name.
    pub url: Option<Vec<u8>>,
    /// The response's status.
    pub status: Option<u16>,
    /// Bytes of the request's body and of messages from the client.
    pub request_bytes: Option<u64>,
    /// Bytes of the response's body and of messages from the server.
    pub response_bytes: Option<u64>,
    /// Both together.
    pub bytes: Option<u64>,
    /// The values of the request's Content-Type, LF between them.
    pub request_type: Option<Vec<u8>>,
    /// The values of the response's Content-Type, likewise.
    pub response_type: Option<Vec<u8>>,
    /// Yes and no.
    pub flags: Flags,
    /// The client's `address:port`.
    pub source: Option<String>,
    /// The server's `host:port`.
    pub destination: Option<String>,
    /// The server name in the client's TLS hello.
    pub sni: Option<String>,
    /// The mark.
    pub marked: String,
    /// The comment.
    pub comment: String,
    /// Why the connection was decrypted or not.
    pub reason: String,
    /// Why it failed.
    pub error: Option<String>,
}

/// Facts of yes and no, a bit each, as they stand in the index.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flags(pub i64);

impl Flags {
    /// An HTTP exchange that became a WebSocket.
    pub const WEBSOCKET: Self = Self(1);
    /// There is a response.
    pub const ANSWERED: Self = Self(1 << 1);
    /// There could be a response, and is none.
    pub const UNANSWERED: Self = Self(1 << 2);
    /// The response is an asset (`~a`).
    pub const ASSET: Self = Self(1 << 3);
    /// It failed.
    pub const FAILED: Self = Self(1 << 4);
    /// A user marked it.
    pub const MARKED: Self = Self(1 << 5);
    /// Its request was replayed.
    pub const REPLAYED_REQUEST: Self = Self(1 << 6);
    /// Its response was.
    pub const REPLAYED_RESPONSE: Self = Self(1 << 7);
    /// A text was longer than its column and is cut there.
    pub const CUT: Self = Self(1 << 8);
    /// All of its bodies are in the full-text index.
    pub const SEARCHABLE: Self = Self(1 << 9);

    /// Whether all of `flags` are set.
    #[must_use]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    pub(crate) const fn set(&mut self, flags: Self, on: bool) {
        if on {
            self.0 |= flags.0;
        }
    }
}

impl Row {
    /// What a list shows of a flow.
    #[must_use]
    pub fn of(number: i64, flow: &Flow) -> Self {
        let mut flags = Flags::default();
        let http = http(flow);
        let response = http.and_then(|http| http.response.as_ref());
        flags.set(Flags::WEBSOCKET, http.is_some_and(|http| http.websocket.is_some()));
        flags.set(Flags::ANSWERED, has_response(flow) == Some(true));
        flags.set(Flags::UNANSWERED, has_response(flow) == Some(false));
        flags.set(Flags::ASSET, is_asset(flow));
        flags.set(Flags::FAILED, flow.error.is_some());
        flags.set(Flags::MARKED, !flow.marked.is_empty());
        flags.set(Flags::REPLAYED_REQUEST, flow.replay == Some(Replay::Request));
        flags.set(Flags::REPLAYED_RESPONSE, flow.replay == Some(Replay::Response));
        let mut cut = false;
        let mut bytes = |text: Vec<u8>| cut_bytes(text, &mut cut);
        let site = http.map(|http| {
            let said = http.request.pretty_host();
            (bytes(http.request.host.clone().into_bytes()), bytes(said.into()))
        });
        let method = http.map(|http| bytes(http.request.method.to_vec()));
        let url = url(flow).map(&mut bytes);
        let request_type = http.and_then(|http| content_type(&http.request.headers)).map(&mut bytes);
        let response_type = response.and_then(|response| content_type(&response.headers)).map(&mut bytes);
        let mut text = |text: &str| cut_text(text, &mut cut);
        let mut row = Self {
            number,
            id: flow.id.clone(),
            kind: match flow.kind {
                FlowKind::Tcp(_) => Kind::Tcp,
                FlowKind::Udp(_) => Kind::Udp,
                FlowKind::Dns(_) => Kind::Dns,
                _ => Kind::Http,
            },
            created: flow.created,
            duration: duration(flow),
            site,
            method,
            url,
            status: response.map(|response| response.status),
            request_bytes: size(flow, Half::Request),
            response_bytes: size(flow, Half::Response),
            bytes: size(flow, Half::Either),
            request_type,
            response_type,
            flags,
            source: source(flow).as_deref().map(&mut text),
            destination: destination(flow).as_deref().map(&mut text),
            sni: flow.client.connection.sni.as_deref().map(&mut text),
            marked: text(&flow.marked),
            comment: text(&flow.comment),
            reason: text(reason(flow)),
            error: flow.error.as_ref().map(|error| text(&error.message)),
        };
        row.flags.set(Flags::CUT, cut);
        row
    }

    /// The kind as a word: `http`, `websocket`, `tcp`, `udp`, `dns`.
    #[must_use]
    pub const fn kind_name(&self) -> &'static str {
        match self.kind {
            _ if self.flags.has(Flags::WEBSOCKET) => "websocket",
            Kind::Tcp => "tcp",
            Kind::Udp => "udp",
            Kind::Dns => "dns",
            _ => "http",
        }
    }
}

fn content_type(headers: &Headers) -> Option<Vec<u8>> {
    let mut values = headers.get_all("content-type").peekable();
    values.peek()?;
    // No value has LF in it.
    Some(values.collect::<Vec<_>>().join(&b'\n'))
}

fn cut_bytes(mut text: Vec<u8>, cut: &mut bool) -> Vec<u8> {
    if text.len() > COLUMN_BYTES_MAX {
        text.truncate(COLUMN_BYTES_MAX);
        *cut = true;
    }
    text
}

fn cut_text(text: &str, cut: &mut bool) -> String {
    *cut |= text.len() > COLUMN_BYTES_MAX;
    text.get(..text.floor_char_boundary(COLUMN_BYTES_MAX)).unwrap_or(text).to_owned()
}

/// Bytes in the index: text where they are UTF-8, so that the file can be read with any tool.
#[derive(Debug)]
pub(crate) struct Text<'a>(pub(crate) &'a [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match str::from_utf8(self.0) {
            Ok(text) => ValueRef::Text(text.as_bytes()),
            Err(_) => ValueRef::Blob(self.0),
        }))
    }
}

/// The bytes of a text or blob.
pub(crate) struct OwnedText(pub(crate) Vec<u8>);

impl FromSql for OwnedText {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_bytes().map(|bytes| Self(bytes.to_vec()))
    }
}

/// A flow's id in the index: 16 bytes, or any other text that a file had.
pub(crate) fn id_value(id: &FlowId) -> Value {
    match id {
        FlowId::Uuid(number) => Value::Blob(number.to_be_bytes().to_vec()),
        FlowId::Text(text) => Value::Text(text.to_string()),
    }
}

/// The id that stands in the index.
pub(crate) fn id_from(value: ValueRef<'_>) -> FromSqlResult<FlowId> {
    match value {
        ValueRef::Blob(bytes) => {
            let bytes = bytes.try_into().map_err(|_| FromSqlError::InvalidType)?;
            Ok(FlowId::Uuid(u128::from_be_bytes(bytes)))
        }
        ValueRef::Text(text) => Ok(FlowId::Text(String::from_utf8_lossy(text).into())),
        _ => Err(FromSqlError::InvalidType),
    }
}

/// The number of a kind in the index.
pub(crate) const fn kind_number(kind: Kind) -> i64 {
    match kind {
        Kind::Tcp => 1,
        Kind::Udp => 2,
        Kind::Dns => 3,
        _ => 0,
    }
}

/// The kind of this number.
pub(crate) const fn kind_of(number: i64) -> Kind {
    match number {
        1 => Kind::Tcp,
        2 => Kind::Udp,
        3 => Kind::Dns,
        _ => Kind::Http,
    }
}
