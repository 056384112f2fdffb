//! Servers that answer whatever they are asked, and keep it: one of HTTP/1, one of HTTP/2. They read strictly what we send.

use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use flowgate_wire::http1::{BodyDecoder, BodyEvent, HeadScanner, Scan, parse_request, request_framing};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::UnboundedReceiver;

use super::fixture::Version;
use super::pairs::Message;
use super::script::{block, frame};
use crate::http::in_memory::listener::{Fields, Listener, value};

/// A request as a server read it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Asked {
    /// Which connection it came on, counted from 0.
    pub(crate) connection: usize,
    pub(crate) method: Vec<u8>,
    /// The target, or `:path`.
    pub(crate) target: Vec<u8>,
    /// All fields; in HTTP/2 the pseudo-header fields among them.
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
    /// It came to its end.
    pub(crate) whole: bool,
}

impl Asked {
    /// The request in a few words.
    pub(crate) fn summary(&self) -> String {
        let whole = if self.whole { "" } else { "…" };
        format!("{} {}{whole}", self.method.escape_ascii(), self.target.escape_ascii())
    }
}

/// What a server was asked.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    /// The requests, in order.
    pub(crate) asked: Mutex<Vec<Asked>>,
    /// Every byte that came; of HTTP/1 only.
    pub(crate) raw: Mutex<Vec<u8>>,
}

impl Asking {
    fn read(&self, before: usize, input: &[u8]) {
        self.raw.lock().unwrap().extend_from_slice(&input[before..]);
    }
}

/// What a server answers whatever it is asked.
#[derive(Clone)]
pub(crate) enum Reply {
    /// 200, `ok`.
    Ok,
    /// 200 with this.
    Message(Arc<Message>),
}

impl Reply {
    fn in_http1(&self, is_head: bool) -> Vec<u8> {
        let body = if is_head { "" } else { "ok" };
        match self {
            Self::Ok => format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{body}").into_bytes(),
            Self::Message(message) => message.in_http1("HTTP/1.1 200 OK\r\n"),
        }
    }

    fn in_http2(&self, is_head: bool, stream: u32) -> Vec<u8> {
        let list = block(&[(":status", "200"), ("content-length", "2")]);
        match self {
            Self::Ok if is_head => frame(1, 5, stream, &list),
            Self::Ok => [frame(1, 4, stream, &list), frame(0, 1, stream, b"ok")].concat(),
            Self::Message(message) => message.in_http2(stream, &[(":status", "200")]),
        }
    }
}

/// Plays a server on every connection that answers `ok`.
pub(crate) fn play(version: Version, connections: UnboundedReceiver<DuplexStream>) -> Arc<Asking> {
    play_with(version, connections, Reply::Ok)
}

/// Plays a server on every connection.
pub(crate) fn play_with(
    version: Version,
    mut connections: UnboundedReceiver<DuplexStream>,
    reply: Reply,
) -> Arc<Asking> {
    let asking = Arc::new(Asking::default());
    let kept = Arc::clone(&asking);
    tokio::spawn(async move {
        let mut index = 0;
        while let Some(pipe) = connections.recv().await {
            match version {
                Version::H1 => tokio::spawn(h1(pipe, index, Arc::clone(&kept), reply.clone())),
                Version::H2 => tokio::spawn(h2(pipe, index, Arc::clone(&kept), reply.clone())),
            };
            index += 1;
        }
    });
    asking
}

/// Reads requests of HTTP/1 and answers each when it is whole.
async fn h1(mut pipe: DuplexStream, connection: usize, asking: Arc<Asking>, reply: Reply) {
    let mut input = BytesMut::new();
    loop {
        let head = loop {
            match HeadScanner::default().scan(&mut input).expect("a head") {
                Scan::Head(len) => break input.split_to(len).freeze(),
                Scan::NeedMore => {
                    let before = input.len();
                    if !matches!(pipe.read_buf(&mut input).await, Ok(1..)) {
                        return;
                    }
                    asking.read(before, &input);
                }
            }
        };
        let head = parse_request(head).expect("a request");
        let framing = request_framing(&head.version, &head.headers).expect("a body");
        let fields = head.headers.iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
        let asked = Asked {
            connection,
            method: head.method.to_vec(),
            target: head.target.to_vec(),
            fields,
            ..Asked::default()
        };
        let at = {
            let mut asking = asking.asked.lock().unwrap();
            asking.push(asked);
            asking.len() - 1
        };
        let mut decoder = BodyDecoder::new(framing);
        loop {
            match decoder.decode(&mut input, false).expect("a body") {
                BodyEvent::Data(data) => asking.asked.lock().unwrap()[at].body.extend_from_slice(&data),
                BodyEvent::NeedMore => {
                    let before = input.len();
                    if !matches!(pipe.read_buf(&mut input).await, Ok(1..)) {
                        return;
                    }
                    asking.read(before, &input);
                }
                BodyEvent::End(trailers) => {
                    let trailers = trailers.unwrap_or_default();
                    let mut asking = asking.asked.lock().unwrap();
                    asking[at].trailers =
                        trailers.iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
                    asking[at].whole = true;
                    break;
                }
            }
        }
        let answer = reply.in_http1(head.method.as_ref() == b"HEAD");
        if pipe.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// Reads requests of HTTP/2 and answers each when it is whole.
async fn h2(mut pipe: DuplexStream, connection: usize, asking: Arc<Asking>, reply: Reply) {
    let mut listener = Listener::new();
    let mut places: Vec<(u32, usize)> = Vec::new();
    let hello = [frame(4, 0, 0, b""), frame(8, 0, 0, &(1_u32 << 30).to_be_bytes())].concat();
    if pipe.write_all(&hello).await.is_err() {
        return;
    }
    let mut input = Vec::new();
    while matches!(pipe.read_buf(&mut input).await, Ok(1..)) {
        let mut out = Vec::new();
        for came in listener.hear(&std::mem::take(&mut input)) {
            if came.kind == 4 && came.flags == 0 {
                out.extend(frame(4, 1, 0, b""));
            }
            if came.kind == 6 && came.flags == 0 {
                out.extend(frame(6, 1, 0, &came.payload));
            }
            if came.kind == 0 && !came.payload.is_empty() {
                let increment = u32::try_from(came.payload.len()).unwrap().to_be_bytes();
                out.extend(frame(8, 0, came.stream, &increment));
            }
            let Some(heard) = listener.streams.get(&came.stream) else { continue };
            let Some(head) = heard.blocks.first() else { continue };
            if heard.reset.is_some() || !matches!(came.kind, 0 | 1 | 9) {
                continue;
            }
            let mut asking = asking.asked.lock().unwrap();
            let known = places.iter().find(|(stream, _)| *stream == came.stream).map(|(_, at)| *at);
            let at = known.unwrap_or_else(|| {
                places.push((came.stream, asking.len()));
                asking.push(Asked::default());
                asking.len() - 1
            });
            asking[at] = Asked {
                connection,
                method: value(head, ":method").expect(":method").to_vec(),
                target: value(head, ":path").unwrap_or_default().to_vec(),
                fields: head.clone(),
                body: heard.body.clone(),
                trailers: heard.blocks.get(1).cloned().unwrap_or_default(),
                whole: heard.ended,
            };
            if heard.ended {
                out.extend(reply.in_http2(asking[at].method == b"HEAD", came.stream));
            }
        }
        if pipe.write_all(&out).await.is_err() {
            return;
        }
    }
}
