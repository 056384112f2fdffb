//! Answers of servers: the client gets what the flow shows, or a visible error; no byte of one answer stands in another, and a
//! server connection about which there is a doubt is not used again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use flowgate_flow::{FlowKind, Side};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{End, Fixture, read_to_end, statuses};
use crate::table::{bytes, rows, shown};

const TABLE: &str = include_str!("../data/replies.txt");
const SECOND: &str = "HTTP/1.1 200 Second⏎Content-Length: 6⏎⏎second";

/// What a server sends, and what it does then.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    pub(crate) then: Then,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Then {
    Stay,
    Close,
    Reset,
}

impl Reply {
    pub(crate) fn parse(text: &str) -> Self {
        let (text, then) = match (text.strip_suffix('¶'), text.strip_suffix('✗')) {
            (Some(text), _) => (text, Then::Close),
            (_, Some(text)) => (text, Then::Reset),
            _ => (text, Then::Stay),
        };
        Self { bytes: bytes(text), then }
    }
}

/// Answers `/first` with the row's reply and `/second` with [`SECOND`]; says on which connection each came.
#[derive(Default)]
struct Origin {
    reply: Mutex<Option<Reply>>,
    came_on: Mutex<HashMap<&'static str, usize>>,
}

impl Origin {
    async fn serve(self: Arc<Self>, mut stream: TcpStream, index: usize) {
        let mut buf = Vec::new();
        loop {
            while let Some(end) = buf.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = buf.drain(..end + 4).collect();
                let is_first = head.windows(6).any(|window| window == b"/first");
                let path = if is_first { "/first" } else { "/second" };
                self.came_on.lock().unwrap().insert(path, index);
                let reply = if is_first { self.reply.lock().unwrap().clone() } else { None };
                let reply = reply.unwrap_or_else(|| Reply::parse(SECOND));
                if stream.write_all(&reply.bytes).await.is_err() {
                    return;
                }
                match reply.then {
                    Then::Stay => {}
                    Then::Close => return,
                    Then::Reset => return stream.set_zero_linger().unwrap(),
                }
            }
            if !matches!(stream.read_buf(&mut buf).await, Ok(1..)) {
                return;
            }
        }
    }
}

/// Whether a client could take this for a whole answer to GET or HEAD (error pages of ours included).
pub(crate) fn is_whole(answer: &[u8], end: End) -> bool {
    let Some(head_end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..head_end]).to_ascii_lowercase();
    let body = &answer[head_end + 4..];
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if field("transfer-encoding:").is_some() {
        return body.ends_with(b"\r\n0\r\n\r\n")
            || body == b"0\r\n\r\n"
            || body.windows(5).any(|window| window == b"\r\n0\r\n") && body.ends_with(b"\r\n\r\n");
    }
    match field("content-length:") {
        Some(length) => body.len() >= length.parse().unwrap(),
        None => end == End::Orderly,
    }
}

struct Server {
    fixture: Fixture,
    origin: Arc<Origin>,
}

/// What came of one exchange.
struct Came {
    answer: Vec<u8>,
    end: End,
    reused: Option<bool>,
    /// The first flow's error: its side and whether it shows raw bytes; and whether it has a response.
    error: Option<(Option<Side>, bool)>,
}

impl Server {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fixture = Fixture::new(listener.local_addr().unwrap()).await;
        let origin = Arc::new(Origin::default());
        let accepting = Arc::clone(&origin);
        tokio::spawn(async move {
            let mut index = 0;
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tokio::spawn(Arc::clone(&accepting).serve(stream, index));
                index += 1;
            }
        });
        Self { fixture, origin }
    }

    async fn exchange(&self, request: &str, reply: Reply) -> Came {
        *self.origin.reply.lock().unwrap() = Some(reply);
        self.origin.came_on.lock().unwrap().clear();
        let (method, more) = match request {
            "UPGRADE" => ("GET", "Connection: Upgrade\r\nUpgrade: mine\r\n"),
            method => (method, ""),
        };
        let both = format!(
            "{method} /first HTTP/1.1\r\nHost: a\r\n{more}\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        let mut client = self.fixture.connect().await;
        client.write_all(both.as_bytes()).await.unwrap();
        let (answer, end) = read_to_end(&mut client, |all| all.ends_with(&bytes(SECOND))).await;
        client.shutdown().await.ok();
        // Its flow is told before its connection ends.
        read_to_end(&mut client, |_| false).await;
        let came_on = self.origin.came_on.lock().unwrap();
        let reused = came_on.get("/second").map(|index| came_on.get("/first") == Some(index));
        let flows = self.fixture.told.take_flows();
        let error = flows.iter().find_map(|flow| {
            let FlowKind::Http(http) = &flow.kind else { return None };
            let error = flow.error.as_ref().filter(|_| http.request.path.as_ref() == b"/first")?;
            Some((error.side, flow.refused().is_some()))
        });
        Came { answer, end, reused, error }
    }
}

/// What is wrong with what came, if something is.
fn judge(came: &Came, request: &str, wanted: &str, reply: &Reply) -> Option<String> {
    let Came { answer, end, reused, error } = came;
    if *end == End::Hang {
        return Some(format!("hangs behind {}", shown(answer)));
    }
    if answer.windows(8).any(|window| window == b"poisoned") && !wanted.contains("poisoned") {
        return Some(format!("an answer stands in another: {}", shown(answer)));
    }
    let failed =
        |what: &str| Some(format!("{what}: {} {end:?}, reused {reused:?}, error {error:?}", shown(answer)));
    let (what, then) = wanted.rsplit_once(" + ").unwrap_or((wanted, ""));
    let blames_server = error.is_some_and(|(side, _)| side == Some(Side::Server));
    match what {
        "502" => {
            let whole = request == "HEAD" || is_whole(answer, *end);
            let whole = whole && statuses(answer) == [502] && reused.is_none();
            if whole && blames_server { None } else { failed("no 502") }
        }
        "cut" => {
            let cut = !is_whole(answer, *end) || statuses(answer) == [502];
            if cut && reused.is_none() && blames_server { None } else { failed("not cut") }
        }
        _ => {
            let mut expected = what.strip_prefix("=> ").map_or_else(|| reply.bytes.clone(), bytes);
            let reuse = match then {
                "reuse" => Some(true),
                "new" => Some(false),
                _ => None,
            };
            if reuse.is_some() {
                expected.extend(bytes(SECOND));
            }
            let same = if then == "502" {
                answer.strip_prefix(&expected[..]).is_some_and(|rest| statuses(rest) == [502])
                    && blames_server
            } else {
                *answer == expected && error.is_none()
            };
            if same && *reused == reuse { None } else { failed("not as wanted") }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_crosses_as_it_is_or_is_an_error() {
    let server = Server::new().await;
    let rows = rows(TABLE, 3);
    assert!(rows.len() >= 100, "{}", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let [request, wanted, reply] = &row.columns[..] else { panic!("{row:?}") };
        let reply = Reply::parse(reply);
        let came = server.exchange(request, reply.clone()).await;
        if let Some(found) = judge(&came, request, wanted, &reply) {
            wrong.push(format!("{} ({wanted})\n    {found}", row.name));
        }
        if wanted == "502"
            && !reply.bytes.trim_ascii().is_empty()
            && came.error.is_some_and(|(_, raw)| !raw)
            && reply.then != Then::Reset
        {
            wrong.push(format!("{}: the flow does not show the raw bytes", row.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert_eq!(server.fixture.proxy.panics(), 0);
}

/// Each byte at which an answer can break off, in order and by a reset: it is never taken for a whole one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_cut_anywhere_looks_cut() {
    let server = Server::new().await;
    for text in [
        "HTTP/1.1 200 OK⏎Content-Length: 5⏎⏎hello",
        "HTTP/1.1 200 OK⏎Transfer-Encoding: chunked⏎⏎3⏎hel⏎2⏎lo⏎0⏎X: y⏎⏎",
        "HTTP/1.1 100 Continue⏎⏎HTTP/1.1 200 OK⏎Content-Length: 2⏎⏎ok",
        "HTTP/1.1 200 OK⏎X: y⏎⏎hello",
    ] {
        let whole = bytes(text);
        let until_close = text.contains("X: y⏎⏎hello");
        let head = whole.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        for (at, then) in (0..whole.len()).flat_map(|at| [(at, Then::Close), (at, Then::Reset)]) {
            if until_close && then == Then::Close && at >= head {
                // Whoever delimits a body so cannot say that it is cut.
                continue;
            }
            let came = server.exchange("GET", Reply { bytes: whole[..at].to_vec(), then }).await;
            let answer = came.answer.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&came.answer);
            let cut = statuses(answer) == [502] || !is_whole(answer, came.end);
            assert!(cut && came.end != End::Hang, "{text} at {at}: {} {:?}", shown(&came.answer), came.end);
            assert_eq!(came.error.map(|(side, _)| side), Some(Some(Side::Server)), "{text} at {at}");
            assert_eq!(came.reused, None, "{text} at {at}");
        }
    }
}
