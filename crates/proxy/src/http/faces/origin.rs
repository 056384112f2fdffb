//! Servers that answer whatever they are asked, and keep it: one of HTTP/1, one of HTTP/2. They read strictly what we send.

use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use flowgate_wire::http1::{BodyDecoder, BodyEvent, HeadScanner, Scan, parse_request, request_framing};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::UnboundedReceiver;

use super::fixture::Version;
use super::listener::{Fields, Listener, value};
use super::script::{block, frame};

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

/// Plays a server on every connection.
pub(crate) fn play(version: Version, mut connections: UnboundedReceiver<DuplexStream>) -> Arc<Asking> {
    let asking = Arc::new(Asking::default());
    let kept = Arc::clone(&asking);
    tokio::spawn(async move {
        let mut index = 0;
        while let Some(pipe) = connections.recv().await {
            match version {
                Version::H1 => tokio::spawn(h1(pipe, index, Arc::clone(&kept))),
                Version::H2 => tokio::spawn(h2(pipe, index, Arc::clone(&kept))),
            };
            index += 1;
        }
    });
    asking
}

/// Reads requests of HTTP/1 and answers each when it is whole.
async fn h1(mut pipe: DuplexStream, connection: usize, asking: Arc<Asking>) {
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
        let body = if head.method.as_ref() == b"HEAD" { "" } else { "ok" };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{body}");
        if pipe.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads requests of HTTP/2 and answers each when it is whole.
async fn h2(mut pipe: DuplexStream, connection: usize, asking: Arc<Asking>) {
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
                let is_head = asking[at].method == b"HEAD";
                let list = block(&[(":status", "200"), ("content-length", "2")]);
                out.extend(frame(1, if is_head { 5 } else { 4 }, came.stream, &list));
                if !is_head {
                    out.extend(frame(0, 1, came.stream, b"ok"));
                }
            }
        }
        if pipe.write_all(&out).await.is_err() {
            return;
        }
    }
}
