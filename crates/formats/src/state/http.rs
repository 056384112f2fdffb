//! HTTP flows, with their WebSocket.

use bytes::{BufMut as _, Bytes, BytesMut};
use flowgate_flow::{
    Body, FieldSpan, Headers, HttpFlow, HttpVersion, PseudoFields, Request, Response, WebSocketData,
    WebSocketMessage,
};

use super::fields::{
    Fields, StateError, array, bool, bytes, content, int, list, optional, put_timestamp, text, timestamp,
};
use crate::tnetstring::{Encoder, Value};

pub(super) fn read(fields: &mut Fields<'_>, item: &Bytes) -> Result<HttpFlow, StateError> {
    Ok(HttpFlow {
        request: fields.take("request", |value| request(value, item))?,
        response: fields.take("response", optional(|value| response(value, item)))?,
        websocket: fields.take("websocket", optional(|value| websocket(value, item)))?,
    })
}

pub(super) fn put(flow: &HttpFlow, to: &mut Encoder) {
    put_request(&flow.request, to).named("request");
    match &flow.response {
        None => to.none(),
        Some(response) => put_response(response, to),
    }
    .named("response");
    match &flow.websocket {
        None => to.none(),
        Some(websocket) => put_websocket(websocket, to),
    }
    .named("websocket");
}

fn request(value: Value<'_>, item: &Bytes) -> Result<Request, StateError> {
    let mut fields = Fields::new(value)?;
    Ok(Request {
        version: fields.take("http_version", version)?,
        headers: fields.take("headers", headers)?,
        body: fields.take("content", |value| body(value, item))?,
        trailers: fields.take("trailers", optional(headers))?,
        timestamp_start: fields.take("timestamp_start", timestamp)?,
        timestamp_end: fields.take("timestamp_end", optional(timestamp))?,
        host: fields.take("host", text)?,
        port: fields.take("port", int)?,
        method: fields.take("method", bytes)?,
        scheme: fields.take("scheme", bytes)?,
        authority: fields.take("authority", bytes)?,
        path: fields.take("path", bytes)?,
        pseudo: PseudoFields::default(),
    })
}

fn put_request<'a>(request: &Request, to: &'a mut Encoder) -> &'a mut Encoder {
    to.map(|to| {
        to.bytes(request.version.as_bytes()).named("http_version");
        put_headers(&request.headers, to).named("headers");
        to.body(&request.body).named("content");
        put_trailers(request.trailers.as_ref(), to).named("trailers");
        to.float(request.timestamp_start.0).named("timestamp_start");
        put_timestamp(request.timestamp_end, to).named("timestamp_end");
        to.text(&request.host).named("host");
        to.int(request.port.into()).named("port");
        to.bytes(&request.method).named("method");
        to.bytes(&request.scheme).named("scheme");
        to.bytes(&request.authority).named("authority");
        to.content(&request.path).named("path");
    })
}

fn response(value: Value<'_>, item: &Bytes) -> Result<Response, StateError> {
    let mut fields = Fields::new(value)?;
    Ok(Response {
        version: fields.take("http_version", version)?,
        headers: fields.take("headers", headers)?,
        body: fields.take("content", |value| body(value, item))?,
        trailers: fields.take("trailers", optional(headers))?,
        timestamp_start: fields.take("timestamp_start", timestamp)?,
        timestamp_end: fields.take("timestamp_end", optional(timestamp))?,
        status: fields.take("status_code", int)?,
        reason: fields.take("reason", bytes)?,
    })
}

fn put_response<'a>(response: &Response, to: &'a mut Encoder) -> &'a mut Encoder {
    to.map(|to| {
        to.bytes(response.version.as_bytes()).named("http_version");
        put_headers(&response.headers, to).named("headers");
        to.body(&response.body).named("content");
        put_trailers(response.trailers.as_ref(), to).named("trailers");
        to.float(response.timestamp_start.0).named("timestamp_start");
        put_timestamp(response.timestamp_end, to).named("timestamp_end");
        to.int(response.status.into()).named("status_code");
        to.bytes(&response.reason).named("reason");
    })
}

fn version(value: Value<'_>) -> Result<HttpVersion, StateError> {
    bytes(value).map(|text| HttpVersion::from_bytes(&text))
}

fn body(value: Value<'_>, item: &Bytes) -> Result<Body, StateError> {
    Ok(optional(content(item))(value)?.map_or(Body::Missing, Body::Bytes))
}

fn headers(value: Value<'_>) -> Result<Headers, StateError> {
    let pairs = list(|pair| array::<2>(pair, "a name and a value"))(value)?;
    let length = |part: &Value<'_>| if let Value::Bytes(bytes) = part { bytes.len() } else { 0 };
    let bytes = pairs.iter().map(|[name, value]| length(name) + length(value)).sum();
    let mut lines = Lines::with_capacity(pairs.len(), bytes);
    for (at, pair) in pairs.into_iter().enumerate() {
        let [Value::Bytes(name), Value::Bytes(value)] = &pair else {
            let [name, value] = &pair;
            let culprit = if matches!(name, Value::Bytes(_)) { value } else { name };
            return Err(StateError::wrong_type("bytes", culprit).under(&format!("[{at}]")));
        };
        lines.push(name, value)?;
    }
    lines.headers()
}

/// Builds one block of `name: value` lines; files do not hold the white space that stood there.
pub(crate) struct Lines {
    block: BytesMut,
    spans: Vec<FieldSpan>,
}

impl Lines {
    /// For so many fields of so many bytes.
    pub(crate) fn with_capacity(fields: usize, bytes: usize) -> Self {
        Self { block: BytesMut::with_capacity(bytes + 2 * fields), spans: Vec::with_capacity(fields) }
    }

    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), StateError> {
        let block = &mut self.block;
        let line_start = block.len();
        block.put_slice(name);
        block.put_slice(b": ");
        let value_start = block.len() - line_start;
        block.put_slice(value);
        let span = || {
            Some(FieldSpan {
                line_start: u32::try_from(line_start).ok()?,
                line_len: u32::try_from(block.len() - line_start).ok()?,
                name_len: u32::try_from(name.len()).ok()?,
                value_start: u32::try_from(value_start).ok()?,
                value_len: u32::try_from(value.len()).ok()?,
            })
        };
        self.spans.push(span().ok_or_else(too_many_bytes)?);
        Ok(())
    }

    pub(crate) fn headers(self) -> Result<Headers, StateError> {
        Headers::from_block(self.block.freeze(), self.spans).ok_or_else(too_many_bytes)
    }
}

const fn too_many_bytes() -> StateError {
    StateError::HeaderBytes { key: String::new() }
}

fn put_headers<'a>(headers: &Headers, to: &'a mut Encoder) -> &'a mut Encoder {
    to.list(headers.iter(), |to, field| {
        to.list([field.name, field.value].into_iter(), |to, part| {
            to.bytes(part);
        });
    })
}

fn put_trailers<'a>(trailers: Option<&Headers>, to: &'a mut Encoder) -> &'a mut Encoder {
    match trailers {
        None => to.none(),
        Some(trailers) => put_headers(trailers, to),
    }
}

fn websocket(value: Value<'_>, item: &Bytes) -> Result<WebSocketData, StateError> {
    let mut fields = Fields::new(value)?;
    Ok(WebSocketData {
        messages: fields.take("messages", list(|message| websocket_message(message, item)))?,
        closed_by_client: fields.take("closed_by_client", optional(bool))?,
        close_code: fields.take("close_code", optional(int))?,
        close_reason: fields.take("close_reason", optional(text))?,
        timestamp_end: fields.take("timestamp_end", optional(timestamp))?,
    })
}

fn websocket_message(value: Value<'_>, item: &Bytes) -> Result<WebSocketMessage, StateError> {
    let [opcode, from_client, payload, time, dropped, injected] =
        array(value, "opcode, from_client, content, timestamp, dropped, injected")?;
    Ok(WebSocketMessage {
        opcode: int(opcode).map_err(|error| error.under("[0]"))?,
        from_client: bool(from_client).map_err(|error| error.under("[1]"))?,
        content: match payload {
            // mitmproxy itself leaves it so when it converts files of its versions before 7.
            Value::Text(text) => text.into_owned().into(),
            payload => content(item)(payload).map_err(|error| error.under("[2]"))?,
        },
        timestamp: timestamp(time).map_err(|error| error.under("[3]"))?,
        dropped: bool(dropped).map_err(|error| error.under("[4]"))?,
        injected: bool(injected).map_err(|error| error.under("[5]"))?,
    })
}

fn put_websocket<'a>(websocket: &WebSocketData, to: &'a mut Encoder) -> &'a mut Encoder {
    to.map(|to| {
        to.list(websocket.messages.iter(), |to, message| {
            to.backwards_list(|to| {
                to.bool(message.injected);
                to.bool(message.dropped);
                to.float(message.timestamp.0);
                to.content(&message.content);
                to.bool(message.from_client);
                to.int(message.opcode.into());
            });
        })
        .named("messages");
        to.optional(websocket.closed_by_client, |to, by_client| to.bool(by_client)).named("closed_by_client");
        to.optional(websocket.close_code, |to, code| to.int(code.into())).named("close_code");
        to.optional(websocket.close_reason.as_deref(), |to, reason| to.text(reason)).named("close_reason");
        put_timestamp(websocket.timestamp_end, to).named("timestamp_end");
    })
}
