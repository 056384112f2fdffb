//! Bodies that addons hold or change.

use std::time::Duration;

use flowgate_flow::{Body, Headers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::addon::testing::{Between, GET, OK, POST, between, doubles, probe, run, run_with};
use crate::addon::{BodyNeed, Hook, LiveFlow};
use crate::settings::Settings;

fn text(body: &Body) -> String {
    let mut all = Vec::new();
    body.for_each_chunk(|piece| {
        all.extend_from_slice(piece);
        Ok(())
    })
    .unwrap();
    String::from_utf8(all).unwrap()
}

fn change_request(flow: &mut LiveFlow) {
    assert!(flow.holds_request_body());
    let body = text(&flow.request().body).to_uppercase() + "!";
    flow.request_mut().body = Body::Bytes(body.into());
}

fn change_response(flow: &mut LiveFlow) {
    assert!(flow.holds_response_body());
    let response = flow.response_mut().unwrap();
    response.body = Body::Bytes((text(&response.body).to_uppercase() + "!").into());
}

const CHUNKED_POST: &str =
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\nT: 1\r\n\r\n";
const CHUNKED_OK: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\nT: 1\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn whole_bodies_are_changed() {
    let addon = || {
        probe("a")
            .request_body(|| BodyNeed::Whole)
            .response_body(|| BodyNeed::Whole)
            .on(Hook::Request, change_request)
            .on(Hook::Response, change_response)
    };
    let came = run(vec![addon()], POST, OK).await;
    assert_eq!(came.seen, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nBODY!");
    assert_eq!(came.answer, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOK!");
    assert_eq!(text(&came.http().request.body), "BODY!");
    assert_eq!(text(&came.http().response.as_ref().unwrap().body), "OK!");
    // Chunks stay chunks, and trailers stay.
    let came = run(vec![addon()], CHUNKED_POST, CHUNKED_OK).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(came.seen, format!("{head}5\r\nBODY!\r\n0\r\nT: 1\r\n\r\n"));
    assert!(came.answer.ends_with("\r\n\r\n3\r\nOK!\r\n0\r\nT: 1\r\n\r\n"), "{}", came.answer);
    // A body that ends with the connection, and one where there was none.
    let came = run(vec![addon()], GET, "HTTP/1.0 200 OK\r\n\r\n").await;
    assert_eq!(came.seen, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n!");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_held_is_not_changed() {
    // Without a need nothing is held: an assigned body is not heeded, and neither is a head that was sent.
    let meddles = probe("a")
        .on(Hook::Request, |flow| {
            assert!(!flow.holds_request_body());
            flow.request_mut().body = Body::Bytes("no".into());
            flow.request_mut().path = "/late".into();
        })
        .on(Hook::Response, |flow| {
            let response = flow.response_mut().unwrap();
            assert_eq!(text(&response.body), "ok");
            response.status = 418;
            response.body = Body::Bytes("no".into());
        });
    let came = run(vec![meddles], POST, OK).await;
    assert_eq!((came.seen.as_str(), came.answer.as_str()), (POST, OK));
    assert_eq!(
        (came.http().request.path.as_ref(), text(&came.http().request.body).as_str()),
        (&b"/"[..], "body")
    );
    let response = came.http().response.as_ref().unwrap();
    assert_eq!((response.status, text(&response.body).as_str()), (200, "ok"));
}

#[tokio::test(start_paused = true)]
async fn trailers_are_changed_at_the_end() {
    let adds = probe("a")
        .on(Hook::Request, |flow| flow.request_mut().trailers = Some([("T", "2")].into_iter().collect()))
        .on(Hook::Response, |flow| flow.response_mut().unwrap().trailers = Some(Headers::new()));
    let came = run(vec![adds], CHUNKED_POST, CHUNKED_OK).await;
    assert!(came.seen.ends_with("2\r\ndy\r\n0\r\nT: 2\r\n\r\n"), "{}", came.seen);
    assert!(came.answer.ends_with("1\r\nk\r\n0\r\n\r\n"), "{}", came.answer);
}

#[tokio::test(start_paused = true)]
async fn chunks_are_changed_as_they_cross() {
    let addon = || probe("a").request_body(doubles).response_body(doubles);
    let came = run(vec![addon()], POST, OK).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(came.seen, format!("{head}4\r\nbody\r\n4\r\nbody\r\n1\r\n.\r\n0\r\n\r\n"));
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(came.answer, format!("{head}2\r\nok\r\n2\r\nok\r\n1\r\n.\r\n0\r\n\r\n"));
    // What is recorded is what was sent.
    assert_eq!(text(&came.http().request.body), "bodybody.");
    assert_eq!(text(&came.http().response.as_ref().unwrap().body), "okok.");
    // One after the other, and before who needs it whole.
    let whole = probe("b").response_body(|| BodyNeed::Whole).on(Hook::Response, change_response);
    let came = run(vec![whole, addon(), addon()], GET, OK).await;
    assert_eq!(came.answer, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nOKOKOKOK...!");
    // A client of HTTP/1.0 gets it until the connection ends, and such a server gets a length.
    let old = "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    let came = run(vec![addon()], old, OK).await;
    assert_eq!(came.seen, "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 9\r\n\r\nbodybody.");
    assert!(came.answer.ends_with("\r\n\r\nokok."), "{}", came.answer);
}

#[tokio::test(start_paused = true)]
async fn chunks_are_not_kept_back() {
    let Between { mut client, mut server, .. } = between(vec![probe("a").response_body(doubles)]).await;
    client.write_all(GET.as_bytes()).await.unwrap();
    server.read_exact(&mut [0; GET.len()]).await.unwrap();
    server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirst").await.unwrap();
    let mut got = Vec::new();
    let first = async {
        while !got.ends_with(b"5\r\nfirst\r\n5\r\nfirst\r\n") {
            got.push(client.read_u8().await.unwrap());
        }
    };
    timeout(Duration::from_secs(1), first).await.expect("the first chunk, while the server is silent");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_long_to_be_held_streams() {
    let settings = |bytes| Settings { kept_body_bytes_max: bytes, ..Settings::default() };
    for (limit, held) in [(4, true), (3, false), (1, false)] {
        let addon = probe("a")
            .request_body(|| BodyNeed::Whole)
            .response_body(|| BodyNeed::Whole)
            .on(Hook::Request, move |flow| assert_eq!(flow.holds_request_body(), held))
            .on(Hook::Response, move |flow| assert_eq!(flow.holds_response_body(), held));
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n2\r\nok\r\n0\r\n\r\n";
        let came = run_with(vec![addon], settings(limit), CHUNKED_POST, chunks).await;
        assert_eq!(came.error(), "");
        let body: String =
            came.seen.split("\r\n").filter(|line| matches!(*line, "bo" | "dy" | "body")).collect();
        assert_eq!(body, "body", "{}", came.seen);
        assert!(came.seen.ends_with("\r\n0\r\nT: 1\r\n\r\n"), "{}", came.seen);
        assert!(came.answer.ends_with("\r\n0\r\n\r\n"), "{}", came.answer);
        let notes = came.flow.metadata.iter().filter(|(name, _)| name == "flowgate.not_held").count();
        assert_eq!(notes, if held { 0 } else { 2 });
        assert_eq!(came.http().request.body.len(), Some(4));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_refused_while_it_is_held() {
    let settings = Settings { body_bytes_max: 3, ..Settings::default() };
    let addon = || probe("a").request_body(|| BodyNeed::Whole).response_body(|| BodyNeed::Whole);
    let came = run_with(vec![addon()], settings, CHUNKED_POST, OK).await;
    assert!(came.answer.starts_with("HTTP/1.1 413 "), "{}", came.answer);
    assert_eq!(came.seen, "");
    let settings = Settings { body_bytes_max: 1, ..Settings::default() };
    let came = run_with(vec![addon()], settings, GET, CHUNKED_OK).await;
    assert!(came.answer.starts_with("HTTP/1.1 502 "), "{}", came.answer);
}

#[tokio::test(start_paused = true)]
async fn a_client_is_given_leave_to_send_what_is_held() {
    let addon = probe("a").request_body(|| BodyNeed::Whole);
    let Between { mut client, mut server, .. } = between(vec![addon]).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let leave = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut got = vec![0; leave.len()];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(got, leave);
    client.write_all(b"body").await.unwrap();
    let mut seen = vec![0; POST.len()];
    server.read_exact(&mut seen).await.unwrap();
    assert_eq!(String::from_utf8(seen).unwrap(), POST);
}

#[tokio::test(start_paused = true)]
async fn a_held_body_lies_in_a_file_and_arrives_whole() {
    let addon = probe("a").request_body(|| BodyNeed::Whole);
    let Between { mut client, mut server, .. } = between(vec![addon]).await;
    let len = 5 * crate::limits::BODY_MEMORY_BYTES / 2;
    let body: Vec<u8> = (0..=250).cycle().take(len).collect();
    let sent = body.clone();
    tokio::spawn(async move {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&sent).await.unwrap();
        std::future::pending::<()>().await;
    });
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(server.read_u8().await.unwrap());
    }
    let mut got = vec![0; len];
    server.read_exact(&mut got).await.unwrap();
    assert!(got == body);
}
