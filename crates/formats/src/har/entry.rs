//! What is read of an entry, in HAR's own names. Everything may be missing.

use serde::Deserialize;

use super::lenient::{List, Number, Object, Pair, Text};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Entry {
    pub(super) started_date_time: Text,
    /// Milliseconds.
    pub(super) time: Number,
    pub(super) request: Object<Request>,
    pub(super) response: Object<Response>,
    pub(super) timings: Object<Timings>,
    #[serde(rename = "serverIPAddress")]
    pub(super) server_ip_address: Text,
    pub(super) connection: Text,
    pub(super) comment: Text,
    #[serde(rename = "_resourceType")]
    pub(super) resource_type: Text,
    #[serde(rename = "_webSocketMessages")]
    pub(super) web_socket_messages: List<Object<Message>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Request {
    pub(super) method: Text,
    pub(super) url: Text,
    pub(super) http_version: Text,
    pub(super) headers: List<Pair>,
    pub(super) post_data: Option<Object<PostData>>,
    pub(super) body_size: Number,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PostData {
    pub(super) text: Text,
    pub(super) params: List<Pair>,
    /// `base64`; no part of HAR, but binary bodies have to be written somehow.
    #[serde(alias = "_encoding")]
    pub(super) encoding: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Response {
    pub(super) status: Number,
    pub(super) status_text: Text,
    pub(super) http_version: Text,
    pub(super) headers: List<Pair>,
    pub(super) content: Object<Content>,
    /// Chromium's and mitmproxy's word on why there is none.
    #[serde(rename = "_error")]
    pub(super) error: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Content {
    pub(super) size: Number,
    pub(super) text: Text,
    pub(super) encoding: Text,
}

/// Milliseconds; -1 where a phase was not.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Timings {
    pub(super) blocked: Number,
    pub(super) dns: Number,
    pub(super) connect: Number,
    pub(super) ssl: Number,
    pub(super) send: Number,
    pub(super) wait: Number,
}

/// A WebSocket message as Chromium and mitmproxy write it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    /// `send` or `receive`.
    #[serde(rename = "type")]
    pub(super) kind: Text,
    /// Seconds since 1970.
    pub(super) time: Number,
    pub(super) opcode: Number,
    /// Text, or base64 where the opcode is 2.
    pub(super) data: Text,
}
