//! The table of what servers of HTTP/2 answer (`tests/data/http2_servers.txt`): each row is played to us for a client of HTTP/2
//! and again for one of HTTP/1.

use tokio::io::AsyncReadExt;
use tokio::io::DuplexStream;
use tokio::sync::mpsc::UnboundedReceiver;

use super::clients::{get, hello, perform};
use super::fixture::{Proxy, Raw, Version};
use super::script::{block, frame, rows, steps};
use crate::http::in_memory::listener::Listener;

const TABLE: &str = include_str!("../../../tests/data/http2_servers.txt");

/// A client of either version, which sends one request and, behind it, another.
struct Client {
    raw: Raw,
    version: Version,
    listener: Listener,
    text: Vec<u8>,
}

impl Client {
    async fn ask(&mut self, path: &str, stream: u32, post: bool) {
        let bytes = match (self.version, post) {
            (Version::H1, false) => format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(),
            (Version::H1, true) => {
                format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf").into_bytes()
            }
            (Version::H2, false) => get(stream, path),
            (Version::H2, true) => {
                let head = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", path)];
                [frame(1, 4, stream, &block(&head)), frame(0, 0, stream, b"half")].concat()
            }
        };
        self.say(&bytes).await;
    }

    async fn say(&mut self, bytes: &[u8]) {
        let heard = self.raw.say(bytes).await;
        match self.version {
            Version::H1 => self.text.extend(heard),
            Version::H2 => drop(self.listener.hear(&heard)),
        }
    }

    /// What it saw of one response, in the words of the table.
    fn seen(&mut self, stream: u32) -> String {
        match self.version {
            Version::H2 => {
                let summary = self.listener.summary(u32::MAX);
                let mut words = summary.split(' ').filter_map(|word| word.strip_prefix(&stream.to_string()));
                let word = words.next().unwrap_or("…");
                let word = word.strip_prefix('=').unwrap_or(word).replace(",trailers", "");
                match (word.split_once('+'), word.split_once('!')) {
                    (Some((status, _)), Some((_, code))) => format!("{status}!{code}"),
                    (Some((status, _)), None) => format!("{status}…"),
                    _ => word,
                }
            }
            Version::H1 => self.seen_in_text(),
        }
    }

    fn seen_in_text(&mut self) -> String {
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.text)).into_owned();
        let mut statuses = Vec::new();
        let mut rest = text.as_str();
        while let Some((head, behind)) = rest.split_once("\r\n\r\n") {
            let status = head.strip_prefix("HTTP/1.1 ").expect("a head").get(..3).unwrap();
            statuses.push(status.to_owned());
            rest = behind;
            if status.starts_with('1') {
                continue;
            }
            let head = head.to_ascii_lowercase();
            let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
            let whole = match (status, field("content-length: "), field("transfer-encoding: ")) {
                ("204" | "304", ..) => true,
                (_, Some(length), _) => rest.len() == length.parse::<usize>().unwrap(),
                (_, None, Some(_)) => rest.starts_with("0\r\n") || rest.contains("\r\n0\r\n"),
                _ => false,
            };
            let list = statuses.join(",");
            return match (whole, self.raw.ended) {
                (true, _) => list,
                (false, true) => "cut".to_owned(),
                (false, false) => format!("{list}…"),
            };
        }
        if rest.is_empty() && statuses.is_empty() { "…".to_owned() } else { format!("half a head: {rest}") }
    }
}

/// What a client of HTTP/1 is told where one of HTTP/2 sees `seen`.
fn in_http1(seen: &str) -> String {
    match seen.split_once('!') {
        Some(("", _)) => "502".to_owned(),
        // It was whole, and what was left of the request not wanted.
        Some((status, "NO_ERROR")) => status.to_owned(),
        Some(_) => "cut".to_owned(),
        None => seen.to_owned(),
    }
}

/// Answers one connection after another well; says how many there were.
async fn serve_well(mut connections: UnboundedReceiver<DuplexStream>) -> usize {
    let mut count = 0;
    while let Some(pipe) = connections.recv().await {
        count += 1;
        tokio::spawn(answer_well(pipe, Listener::new()));
    }
    count
}

/// Answers every request behind what `listener` heard.
async fn answer_well(mut pipe: DuplexStream, mut listener: Listener) {
    let mut raw = None;
    let mut input = Vec::new();
    while matches!(pipe.read_buf(&mut input).await, Ok(1..)) {
        let mut out = if raw.replace(()).is_none() { frame(4, 0, 0, b"") } else { Vec::new() };
        for came in listener.hear(&std::mem::take(&mut input)) {
            if came.kind == 4 && came.flags == 0 {
                out.extend(frame(4, 1, 0, b""));
            }
            if came.kind == 1 {
                out.extend(frame(1, 5, came.stream, &block(&[(":status", "200")])));
            }
        }
        if tokio::io::AsyncWriteExt::write_all(&mut pipe, &out).await.is_err() {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn servers_are_told_what_the_rfc_says() {
    let proxy = Proxy::new();
    let rows = rows(TABLE, 3);
    let mut wrong = Vec::new();
    for row in &rows {
        let [told, seen, script] = &row.columns[..] else { unreachable!() };
        for version in [Version::H2, Version::H1] {
            let (post, script) =
                script.strip_prefix("post ; ").map_or((false, script.as_str()), |rest| (true, rest));
            let mut served = proxy.serve(version, Version::H2);
            let mut client =
                Client { raw: Raw::new(served.client), version, listener: Listener::new(), text: Vec::new() };
            if version == Version::H2 {
                client.say(&hello()).await;
            }
            client.ask("/r", 1, post).await;
            let mut server = Raw::new(served.servers.recv().await.unwrap());
            let serving = tokio::spawn(serve_well(served.servers));
            let mut listener = Listener::new();
            let (script, bare) = steps(script);
            let hello = [frame(4, 0, 0, b""), frame(4, 1, 0, b"")].concat();
            listener.hear(&server.say(if bare { b"" } else { &hello }).await);
            assert!(listener.streams.contains_key(&1), "{}: no request came", row.name);
            // It is the request's own end that is not of interest.
            listener.streams.clear();
            listener.streams.entry(1).or_default();
            perform(&mut server, &mut listener, &script).await;
            client.say(b"").await;
            // Pages of ours and the like may take a moment longer.
            listener.hear(&server.say(b"").await);
            listener.ended = server.ended;
            let found_told = told_words(&listener);
            let found_seen = client.seen(1);
            let expected_seen = if version == Version::H1 { in_http1(seen) } else { seen.clone() };
            let mut problems = Vec::new();
            // With its client gone a server's connection is not needed any more.
            let left = (client.raw.ended && !told.contains("goaway"))
                .then(|| found_told.strip_suffix("goaway:NO_ERROR closed").map(str::trim_end));
            let left = left.flatten().map(|told| if told.is_empty() { "-" } else { told });
            if told != "*" && left.unwrap_or(&found_told) != *told {
                problems.push(format!("told {found_told} ({told})"));
            }
            if found_seen != expected_seen {
                problems.push(format!("client sees {found_seen} ({expected_seen})"));
            }
            // A client of HTTP/1 was perhaps left, as its response broke off.
            let asks_again = !client.raw.ended;
            if asks_again {
                let asking = client.ask("/next", 9001, false);
                if listener.ended {
                    asking.await;
                } else {
                    let answering = async {
                        let heard = server.say(b"").await;
                        let frames = listener.hear(&heard);
                        let asked = frames.iter().find(|came| came.kind == 1);
                        if let Some(asked) = asked {
                            server.say(&frame(1, 5, asked.stream, &block(&[(":status", "200")]))).await;
                        }
                    };
                    tokio::join!(asking, answering);
                    client.say(b"").await;
                }
                let next = client.seen(9001);
                if next != "200" {
                    problems.push(format!("the next request gets {next}"));
                }
            }
            drop(client);
            drop(server);
            served.serving.await.unwrap();
            let flows = proxy.told.take_flows().len();
            if flows != usize::from(asks_again) + 1 {
                problems.push(format!("{flows} flows"));
            }
            let others = serving.await.unwrap();
            if !listener.ended && others > 0 && !told.contains("closed") {
                problems.push("another connection was opened".to_owned());
            }
            if !problems.is_empty() {
                wrong.push(format!("{} ({version:?}): {}", row.name, problems.join("; ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert!(rows.len() >= 100, "{} rows", rows.len());
}

/// What the server was told besides requests.
fn told_words(listener: &Listener) -> String {
    let mut words = listener.summary(u32::MAX);
    words = words.split(' ').filter(|word| !word.contains('=')).collect::<Vec<_>>().join(" ");
    if words.is_empty() { "-".to_owned() } else { words }
}
