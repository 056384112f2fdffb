//! Which view shows a body, and the call that has it shown.

use std::fmt;
use std::str::FromStr;

use crate::form::{self, Source};
use crate::json::Stop;
use crate::page::{Full, Page};
use crate::{
    Limits, charset, css, dns, graphql, grpc, hex, image, javascript, json, mqtt, msgpack, multipart,
    protobuf, raw, socketio, xml, zip,
};

/// A contentview, or the choice of the best one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum View {
    /// The view that fits the content best.
    #[default]
    Auto,
    /// A DNS message.
    Dns,
    /// A GraphQL request: its query, and the rest as JSON.
    GraphQl,
    /// gRPC: messages of protobuf, without their schema.
    Grpc,
    /// Sixteen bytes a row, in hexadecimal and as ASCII.
    HexDump,
    /// All bytes in hexadecimal.
    HexStream,
    /// What an image says of itself.
    Image,
    /// A program, a statement a line.
    JavaScript,
    /// JSON, a member or element a line.
    Json,
    /// Packets of MQTT.
    Mqtt,
    /// MessagePack as YAML.
    MsgPack,
    /// The names and values of a form with files.
    MultipartForm,
    /// A message of protobuf, without its schema.
    Protobuf,
    /// The names and values of the request's query.
    Query,
    /// UTF-8 text, with what is not UTF-8 as `\xNN`.
    Raw,
    /// A packet of Socket.IO.
    SocketIo,
    /// The names and values of an HTML form.
    UrlEncoded,
    /// A style sheet, a declaration a line.
    Css,
    /// XML or HTML, an element a line.
    XmlHtml,
    /// The names of the files in a ZIP archive.
    ZipArchive,
}

/// What carries a body.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Carrier {
    /// An HTTP message.
    #[default]
    Http,
    /// A message of a WebSocket.
    WebSocket,
    /// A piece of a TCP conversation.
    Tcp,
    /// A datagram.
    Udp,
}

/// What is known about a body besides its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContentInfo<'a> {
    /// The value of Content-Type.
    pub content_type: Option<&'a [u8]>,
    /// For a request: the query of its URL, without the question mark.
    pub query: Option<&'a [u8]>,
    /// The length of the whole body in bytes, if what is handed in is only its beginning.
    pub total_bytes: Option<u64>,
    /// What carries it.
    pub carrier: Carrier,
    /// The path of the request, with its query: also of the one that a WebSocket began with.
    pub path: Option<&'a [u8]>,
    /// The server's port.
    pub server_port: Option<u16>,
    /// The value of grpc-encoding.
    pub grpc_encoding: Option<&'a [u8]>,
}

/// A body as text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rendered {
    /// Lines that end in LF (the last one perhaps not), with no control character but LF and tab.
    pub text: String,
    /// The name of the view that made it: never `auto`.
    pub view_name: &'static str,
    /// There is more than `text` shows.
    pub cut: bool,
    /// The view that was to be used and could not make sense of the bytes; `text` shows them raw.
    pub failed_view: Option<View>,
}

/// No view has this name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no such contentview; there are {}", View::ALL.map(View::name).join(", "))]
pub struct UnknownView;

impl View {
    /// All views there are.
    pub const ALL: [Self; 20] = [
        Self::Auto,
        Self::Dns,
        Self::GraphQl,
        Self::Grpc,
        Self::HexDump,
        Self::HexStream,
        Self::Image,
        Self::JavaScript,
        Self::Json,
        Self::Mqtt,
        Self::MsgPack,
        Self::MultipartForm,
        Self::Protobuf,
        Self::Query,
        Self::Raw,
        Self::SocketIo,
        Self::UrlEncoded,
        Self::Css,
        Self::XmlHtml,
        Self::ZipArchive,
    ];

    /// The name by which a user knows it, in lower case (mitmproxy's option `dumper_default_contentview`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Dns => "dns",
            Self::GraphQl => "graphql",
            Self::Grpc => "grpc",
            Self::HexDump => "hex dump",
            Self::HexStream => "hex stream",
            Self::Image => "image",
            Self::JavaScript => "javascript",
            Self::Json => "json",
            Self::Mqtt => "mqtt",
            Self::MsgPack => "msgpack",
            Self::MultipartForm => "multipart form",
            Self::Protobuf => "protobuf",
            Self::Query => "query",
            Self::Raw => "raw",
            Self::SocketIo => "socket.io",
            Self::UrlEncoded => "url-encoded",
            Self::Css => "viewcss",
            Self::XmlHtml => "xml/html",
            Self::ZipArchive => "zip archive",
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for View {
    type Err = UnknownView;

    /// Finds a view by its name, in any case.
    fn from_str(name: &str) -> Result<Self, UnknownView> {
        Self::ALL.into_iter().find(|view| view.name().eq_ignore_ascii_case(name)).ok_or(UnknownView)
    }
}

/// Shows a decoded body. What `view` cannot make sense of is shown raw, and [`Rendered::failed_view`] says so.
#[must_use]
pub fn render(view: View, info: &ContentInfo<'_>, bytes: &[u8], limits: &Limits) -> Rendered {
    let view = if view == View::Auto { best_view(info, bytes) } else { view };
    let total_bytes = info.total_bytes.unwrap_or_default().max(bytes.len() as u64);
    let complete = total_bytes == bytes.len() as u64;
    let mut page = Page::new(limits);
    let text = |declared| charset::decode(bytes, info.content_type, declared);
    let outcome = match view {
        View::Dns => dns::render(bytes, info.carrier == Carrier::Tcp, complete, &mut page),
        View::GraphQl if complete => graphql::render(bytes, limits.json_depth_max, &mut page),
        View::GraphQl => Err(Stop::Invalid),
        View::Grpc => grpc::render(bytes, info.grpc_encoding, complete, limits, &mut page),
        View::HexDump => stopped(hex::render(bytes, total_bytes, &mut page)),
        View::HexStream => stopped(hex::render_stream(bytes, &mut page)),
        View::Image => image::render(bytes, complete, limits, &mut page),
        View::JavaScript => stopped(javascript::render(&text(charset::nothing_declared), &mut page)),
        View::Json => json::render(bytes, complete, limits.json_depth_max, &mut page),
        View::Mqtt => mqtt::render(bytes, complete, limits.fields_max, &mut page),
        View::MsgPack => msgpack::render(bytes, complete, limits, &mut page),
        View::MultipartForm => multipart::render(bytes, info.content_type, limits.fields_max, &mut page),
        View::Protobuf => protobuf::render(bytes, complete, limits, &mut page),
        View::Query => match info.query {
            Some(query) => stopped(form::render(query, Source::Query, limits.fields_max, &mut page)),
            None => Err(Stop::Invalid),
        },
        View::Raw | View::Auto => stopped(raw::render(bytes, &mut page)),
        View::SocketIo => socketio::render(bytes, &mut page),
        View::UrlEncoded => stopped(form::render(bytes, Source::Body, limits.fields_max, &mut page)),
        View::Css => stopped(css::render(&text(charset::nothing_declared), &mut page)),
        View::XmlHtml => stopped(xml::render(&text(charset::declared_in_markup), &mut page)),
        View::ZipArchive => zip::render(bytes, complete, limits.fields_max, &mut page),
    };
    match outcome {
        // Of what was cut, the part at hand may be too little to make sense.
        Err(Stop::Invalid) => Rendered { failed_view: Some(view), ..render(View::Raw, info, bytes, limits) },
        _ => Rendered {
            text: page.into_text(),
            view_name: view.name(),
            cut: outcome.is_err() || !complete,
            failed_view: None,
        },
    }
}

fn best_view(info: &ContentInfo<'_>, bytes: &[u8]) -> View {
    let content_type = media_type(info.content_type.unwrap_or_default());
    if content_type == "application/dns-message" {
        return View::Dns;
    }
    if bytes.is_empty() {
        return match info.query {
            Some(query) if form::has_fields(query) => View::Query,
            _ => View::Raw,
        };
    }
    // What a port is for says nothing about HTTP.
    match (info.carrier, info.server_port) {
        (Carrier::Tcp | Carrier::Udp, Some(53 | 5353)) => return View::Dns,
        (Carrier::Tcp, Some(1883 | 8883)) => return View::Mqtt,
        (Carrier::WebSocket, _) if info.path.is_some_and(is_of_socket_io) => return View::SocketIo,
        _ => {}
    }
    match content_type.as_str() {
        "application/json" if graphql::is_request(bytes) => View::GraphQl,
        "application/json-rpc" => View::Json,
        "application/x-www-form-urlencoded" => View::UrlEncoded,
        "multipart/form-data" => View::MultipartForm,
        "text/css" => View::Css,
        "application/x-javascript" | "application/javascript" | "text/javascript" => View::JavaScript,
        "text/xml" | "text/html" => View::XmlHtml,
        "application/zip" => View::ZipArchive,
        // Differs from mitmproxy: the registered names, too.
        "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack" => View::MsgPack,
        "application/x-protobuf"
        | "application/x-protobuffer"
        | "application/protobuf"
        | "application/vnd.google.protobuf" => View::Protobuf,
        _ if content_type.starts_with("application/grpc") && !content_type.contains("text") => View::Grpc,
        _ if content_type.starts_with("image/") && !content_type.ends_with("+xml") => View::Image,
        _ if content_type.starts_with("application/") && content_type.ends_with("json") => View::Json,
        _ if is_binary(bytes) => View::HexDump,
        _ if bytes.trim_ascii_start().starts_with(b"<") => View::XmlHtml,
        _ => View::Raw,
    }
}

fn is_of_socket_io(path: &[u8]) -> bool {
    const MARK: &[u8] = b"/socket.io/?";
    path.windows(MARK.len()).any(|window| window == MARK)
}

/// `type/subtype` in lower case, without parameters.
fn media_type(value: &[u8]) -> String {
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    String::from_utf8_lossy(essence).trim().to_ascii_lowercase()
}

/// Whether the first bytes look like something other than text.
///
/// Differs from mitmproxy: text in other scripts than Latin is text.
fn is_binary(bytes: &[u8]) -> bool {
    let sample = bytes.get(..BINARY_SAMPLE_BYTES).unwrap_or(bytes);
    let controls = sample.iter().filter(|byte| matches!(byte, 0..=8 | 14..=31)).count();
    let others = sample.iter().filter(|byte| **byte > b'~').count();
    let much_is_not_ascii = (controls + others) * 10 > sample.len() * 3;
    let few_controls = controls * 20 < sample.len();
    let is_utf8 = match std::str::from_utf8(sample) {
        Ok(_) => true,
        // The sample may end inside a character.
        Err(error) => error.error_len().is_none() && sample.len() < bytes.len(),
    };
    much_is_not_ascii && !(few_controls && is_utf8)
}

const BINARY_SAMPLE_BYTES: usize = 100;

fn stopped(outcome: Result<(), Full>) -> Result<(), Stop> {
    outcome.map_err(Stop::from)
}
