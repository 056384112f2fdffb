//! Whole connections out of pieces of messages, well and badly put together.

use proptest::prelude::*;

use super::*;

/// Pieces that messages of both kinds are made of, well and badly.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&str; 44] = [
        "GET / HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\n",
        "HEAD / HTTP/1.1\r\n",
        "PUT / HTTP/1.0\r\n",
        "CONNECT a:1 HTTP/1.1\r\n",
        "Host: a\r\n",
        "Content-Length: 3\r\n",
        "Content-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Connection: close\r\n",
        "Connection: keep-alive\r\n",
        "Connection: Content-Length\r\n",
        "Connection: Upgrade\r\nUpgrade: x\r\n",
        "Expect: 100-continue\r\n",
        "X: y\r\n",
        " folded\r\n",
        "X : y\r\n",
        "\r\n",
        "\n",
        "\r",
        "abc",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "0\r\nX: y\r\n\r\n",
        "3;x=y\r\n",
        "-1\r\n",
        "ffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 204 No\r\n",
        "HTTP/1.1 304 No\r\n",
        "HTTP/1.1 100 Go\r\n",
        "HTTP/1.1 103 Hint\r\n",
        "HTTP/1.1 101 Switch\r\n",
        "HTTP/1.1 413 No\r\n",
        "HTTP/2 200\r\n",
        "\0",
        "Trailer: X\r\n",
        "TE: trailers\r\n",
        "Keep-Alive: 5\r\n",
        "Proxy-Connection: close\r\n",
        "200",
        "GET http://a/ HTTP/1.1\r\n",
    ];
    prop_oneof![
        20 => prop::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..5),
    ]
}

fn message(start: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    (prop::sample::select(start), prop::collection::vec(piece(), 0..12))
        .prop_map(|(start, pieces)| [start.as_bytes(), &pieces.concat()].concat())
}

const REQUESTS: &[&str] = &[
    "",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n",
];
const ANSWERS: &[&str] = &[
    "",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
    "HTTP/1.0 200 OK\r\n\r\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nobody_reads_what_nobody_sent(
        sent in prop::collection::vec(message(REQUESTS), 1..4),
        answers in prop::collection::vec(message(ANSWERS), 1..4),
    ) {
        let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
        check_connection(&sent.concat(), &answers);
    }
}

#[test]
fn good_messages_cross() {
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let crossed = runtime.block_on(carry(&request.repeat(2), &[answer, answer]));
    assert_eq!(crossed.to_servers, [&request[..], request]);
    assert_eq!(crossed.to_client, answer.repeat(2));
    check_client(&crossed);
}
