//! Requests: refused, or crossing exactly, in front of a server that writes down every byte and reads requests for itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use flowgate_flow::Side;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{End, Fixture, PATIENCE, read_to_end, statuses};
use crate::table::{bytes, rows, shown};

const TABLE: &str = include_str!("../data/requests.txt");
/// Stands behind every row.
const NEXT: &str = "GET /next HTTP/1.1⏎Host: a⏎⏎";

/// What a server saw of a row.
#[derive(Default)]
struct Origin {
    received: Mutex<Vec<u8>>,
    /// Requests that it read whole.
    requests: AtomicUsize,
    accepted: AtomicUsize,
    ended: AtomicUsize,
}

impl Origin {
    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let mut buf = Vec::new();
        let mut at = 0;
        loop {
            while let Some(len) = whole_request(&buf[at..]) {
                at += len;
                self.requests.fetch_add(1, Ordering::SeqCst);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.ok();
            }
            let before = buf.len();
            match stream.read_buf(&mut buf).await {
                Ok(1..) => self.received.lock().unwrap().extend_from_slice(&buf[before..]),
                _ => break,
            }
        }
        self.ended.fetch_add(1, Ordering::SeqCst);
    }
}

/// How long the request is that `buf` begins with, as any plain server reads it; `None` if it is not whole.
fn whole_request(buf: &[u8]) -> Option<usize> {
    let find = |from: usize, what: &[u8]| {
        buf.get(from..)?.windows(what.len()).position(|window| window == what).map(|at| from + at)
    };
    let head_end = find(0, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&buf[..head_end]).to_ascii_lowercase();
    let field = |name: &str| {
        head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(|v| v.trim().to_owned()))
    };
    if field("transfer-encoding").as_deref() == Some("chunked") {
        let mut at = head_end;
        loop {
            let line_end = find(at, b"\r\n")?;
            let size = usize::from_str_radix(std::str::from_utf8(&buf[at..line_end]).unwrap(), 16).unwrap();
            if size == 0 {
                // Trailers, or none: an empty line ends both.
                return find(line_end, b"\r\n\r\n").map(|at| at + 4);
            }
            at = line_end + 2 + size + 2;
            buf.get(..at)?;
        }
    }
    let length = field("content-length").map_or(0, |value| value.parse::<usize>().unwrap());
    (buf.len() >= head_end + length).then_some(head_end + length)
}

/// What is to come of a row.
#[derive(Debug)]
struct Wanted {
    /// The bytes that reach the server; `None` if it is only said that no request reaches it whole.
    crosses: Option<Vec<u8>>,
    /// The status of a refusal.
    refused: Option<u16>,
    /// The client ends its half where the row ends.
    ends: bool,
}

impl Wanted {
    fn parse(text: &str, sent: &[u8]) -> Self {
        let (what, then) = text.rsplit_once(" + ").unwrap_or((text, ""));
        let mut wanted = Self { crosses: Some(Vec::new()), refused: None, ends: then == "end" };
        if let Some(status) = what.strip_prefix("cut") {
            wanted.crosses = None;
            wanted.refused = status.trim().parse().ok();
        } else if let Ok(status) = what.parse() {
            wanted.refused = Some(status);
        } else {
            let mut crosses = what.strip_prefix("=> ").map_or_else(|| sent.to_vec(), bytes);
            match then {
                "next" => crosses.extend(bytes(NEXT)),
                "close" => {}
                status => wanted.refused = Some(status.parse().unwrap()),
            }
            wanted.crosses = Some(crosses);
        }
        wanted
    }
}

fn has_chunks(bytes: &[u8]) -> bool {
    bytes.windows(7).any(|window| window.eq_ignore_ascii_case(b"chunked"))
}

/// How a client's bytes are cut into writes.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Pieces {
    Whole,
    /// Byte by byte; what is long, in 64 pieces.
    Small,
}

async fn run(pieces: Pieces) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fixture = Fixture::new(listener.local_addr().unwrap()).await;
    let origin = Arc::new(Origin::default());
    let accepting = Arc::clone(&origin);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            accepting.accepted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(Arc::clone(&accepting).serve(stream));
        }
    });
    let rows = rows(TABLE, 2);
    assert!(rows.len() >= 300, "{}", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        origin.received.lock().unwrap().clear();
        origin.requests.store(0, Ordering::SeqCst);
        let mut sent = bytes(&row.columns[1]);
        let wanted = Wanted::parse(&row.columns[0], &sent);
        if !wanted.ends {
            sent.extend(bytes(NEXT));
        }
        let mut client = fixture.connect().await;
        let size = if pieces == Pieces::Whole { sent.len() } else { sent.len().div_ceil(256) };
        for piece in sent.chunks(size) {
            // A refusal may come before all is sent.
            if client.write_all(piece).await.is_err() {
                break;
            }
            if pieces == Pieces::Small {
                tokio::task::yield_now().await;
            }
        }
        client.shutdown().await.ok();
        let (answer, end) = read_to_end(&mut client, |_| false).await;
        drop(client);
        let idle = || {
            let opened = fixture.told.server_connects.load(Ordering::SeqCst);
            opened == origin.accepted.load(Ordering::SeqCst) && opened == origin.ended.load(Ordering::SeqCst)
        };
        let settled = async {
            while !idle() {
                tokio::task::yield_now().await;
            }
        };
        let settled = tokio::time::timeout(PATIENCE, settled).await.is_ok();
        let received = origin.received.lock().unwrap().clone();
        let requests = origin.requests.load(Ordering::SeqCst);
        let flows = fixture.told.take_flows();
        let mut found = Vec::new();
        if end == End::Hang || !settled {
            found.push("hangs".to_owned());
        }
        let statuses = statuses(&answer);
        let answered = statuses.iter().take_while(|status| **status == 200).count();
        if answered != requests {
            found.push(format!("{requests} requests reached the server, {answered} were answered"));
        }
        let rest = &statuses[answered..];
        match wanted.refused {
            // A client that ended its half may have been let go without a word.
            _ if wanted.ends && (rest.is_empty() || matches!(rest, [400..=599])) => {}
            None if rest.is_empty() => {}
            Some(status) if *rest == [status] => {}
            refused => found.push(format!("answered {rest:?} instead of {refused:?}")),
        }
        match &wanted.crosses {
            None if requests == 0 => {}
            None => found.push("a request that is none reached the server whole".to_owned()),
            // How a body was cut into pieces shows in the chunks that it crosses in.
            Some(_) if pieces == Pieces::Small && has_chunks(&sent) => {}
            Some(crosses) if *crosses == received => {}
            Some(crosses) => {
                found.push(format!("server got {} instead of {}", shown(&received), shown(crosses)));
            }
        }
        let refused: Vec<_> = flows.iter().filter(|flow| flow.error.is_some()).collect();
        if let Some(status) = wanted.refused {
            match &refused[..] {
                [flow] => {
                    let raw = flow.refused().cloned().unwrap_or_default();
                    if raw.is_empty() || !sent.windows(raw.len()).any(|window| *window == raw) {
                        found.push(format!("the flow of the {status} shows {}", shown(&raw)));
                    }
                    if flow.error.as_ref().and_then(|error| error.side) != Some(Side::Client) {
                        found.push(format!("the flow blames another: {:?}", flow.error));
                    }
                }
                flows => found.push(format!("{} flows of what was refused", flows.len())),
            }
        }
        if !found.is_empty() {
            wrong.push(format!(
                "{} ({})\n    sent {}\n    {}",
                row.name,
                row.columns[0],
                shown(&sent),
                found.join("\n    ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert_eq!(fixture.proxy.panics(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_refused_or_crosses_as_it_is() {
    run(Pieces::Whole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_in_small_pieces() {
    run(Pieces::Small).await;
}
