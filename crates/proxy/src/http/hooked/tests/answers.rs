//! Addons that answer, kill, fail, or send a request elsewhere.

use bytes::Bytes;
use flowgate_flow::{Address, Body, Headers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::addon::testing::{Between, GET, Log, OK, POST, between, probe, run, said};
use crate::addon::{BodyNeed, Hook, LiveFlow, NameHost, RespondError};

fn tea(flow: &mut LiveFlow) {
    let headers: Headers = [("A", "b"), ("Content-Length", "9")].into_iter().collect();
    flow.respond(LiveFlow::response_of(418, headers, Body::Bytes(Bytes::from_static(b"tea")))).unwrap();
}

const TEA: &str = "HTTP/1.1 418 I'm a teapot\r\nA: b\r\nContent-Length: 3\r\n\r\ntea";

#[tokio::test(start_paused = true)]
async fn an_answer_is_the_last_word_at_its_hook() {
    let before = "a RequestHeaders, b RequestHeaders, a Request, b Request";
    let heads = "a ResponseHeaders, b ResponseHeaders";
    let after = format!("{heads}, a Response, b Response");
    for (hook, expected) in [
        (Hook::RequestHeaders, format!("a RequestHeaders, {after}")),
        (Hook::Request, format!("a RequestHeaders, b RequestHeaders, a Request, {after}")),
        (Hook::ResponseHeaders, format!("{before}, a ResponseHeaders, a Response, b Response")),
        (Hook::Response, format!("{before}, {heads}, a Response")),
    ] {
        let log = Log::default();
        let first = probe("a").logs(&log).response_body(|| BodyNeed::Whole).on(hook, tea);
        let came = run(vec![first, probe("b").logs(&log)], GET, OK).await;
        assert_eq!(came.answer, TEA, "{hook:?}");
        assert_eq!(came.error(), "");
        assert_eq!(came.http().response.as_ref().unwrap().body.len(), Some(3));
        if matches!(hook, Hook::RequestHeaders | Hook::Request) {
            assert_eq!(came.seen, "", "no server is contacted");
        }
        assert_eq!(said(&log), expected, "{hook:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_can_come_too_late_or_be_none() {
    let late = probe("a").on(Hook::Response, |flow| {
        assert_eq!(
            flow.respond(LiveFlow::response_of(200, Headers::new(), Body::EMPTY)),
            Err(RespondError::TooLate)
        );
        assert_eq!(
            flow.respond(LiveFlow::response_of(199, Headers::new(), Body::EMPTY)),
            Err(RespondError::Status(199))
        );
    });
    let came = run(vec![late], GET, OK).await;
    assert_eq!((came.answer.as_str(), came.error()), (OK, ""));
}

/// The client can send on: its body is read and thrown away, and its next request is answered as well.
#[tokio::test(start_paused = true)]
async fn a_connection_lives_on_behind_an_answer() {
    let Between { mut client, flows, .. } = between(vec![probe("a").on(Hook::RequestHeaders, tea)]).await;
    for _ in 0..3 {
        client.write_all(POST.as_bytes()).await.unwrap();
        let mut answer = vec![0; TEA.len()];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), TEA);
    }
    client.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(flows.take().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn answers_have_bodies_only_where_responses_have() {
    let head = run(vec![probe("a").on(Hook::Request, tea)], "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", OK).await;
    assert_eq!(head.answer, "HTTP/1.1 418 I'm a teapot\r\nA: b\r\n\r\n");
    let none = probe("a").on(Hook::Request, |flow| {
        flow.respond(LiveFlow::response_of(204, Headers::new(), Body::Bytes("no".into()))).unwrap();
    });
    assert_eq!(run(vec![none], GET, OK).await.answer, "HTTP/1.1 204 No Content\r\n\r\n");
}

#[tokio::test(start_paused = true)]
async fn an_answer_passes_those_who_change_bodies() {
    let upper = probe("b").response_body(|| BodyNeed::Whole).on(Hook::Response, |flow| {
        assert!(flow.is_answered());
        flow.response_mut().unwrap().body = Body::Bytes("TEA TIME".into());
    });
    let came = run(vec![probe("a").on(Hook::RequestHeaders, tea), upper], GET, OK).await;
    assert!(came.answer.ends_with("\r\nContent-Length: 8\r\n\r\nTEA TIME"), "{}", came.answer);
    let came =
        run(vec![probe("a").on(Hook::Request, tea).response_body(crate::addon::testing::doubles)], GET, OK)
            .await;
    assert!(came.answer.ends_with("\r\n\r\n3\r\ntea\r\n3\r\ntea\r\n1\r\n.\r\n0\r\n\r\n"), "{}", came.answer);
}

#[tokio::test(start_paused = true)]
async fn a_407_keeps_its_challenge() {
    let asks = probe("a").on(Hook::RequestHeaders, |flow| {
        let headers: Headers = [("Proxy-Authenticate", "Basic realm=\"x\"")].into_iter().collect();
        flow.respond(LiveFlow::response_of(407, headers, Body::EMPTY)).unwrap();
    });
    let came = run(vec![asks], GET, OK).await;
    assert!(came.answer.contains("\r\nProxy-Authenticate: Basic realm=\"x\"\r\n"), "{}", came.answer);
}

#[tokio::test(start_paused = true)]
async fn a_kill_tells_the_client_nothing() {
    for hook in [Hook::RequestHeaders, Hook::Request, Hook::ResponseHeaders, Hook::Response] {
        let log = Log::default();
        let kills = probe("a").logs(&log).response_body(|| BodyNeed::Whole).on(hook, LiveFlow::kill);
        let came = run(vec![kills], GET, OK).await;
        assert_eq!((came.answer.as_str(), came.error()), ("", "Connection killed."), "{hook:?}");
        assert!(said(&log).ends_with("a Error"), "{}", said(&log));
    }
    // A response of which a part was passed on does not look whole.
    let kills = probe("a").on(Hook::Response, LiveFlow::kill);
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let came = run(vec![kills], GET, chunks).await;
    assert!(came.answer.ends_with("2\r\nok\r\n"), "{}", came.answer);
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_own_flow() {
    for hook in [Hook::RequestHeaders, Hook::Request, Hook::ResponseHeaders, Hook::Response] {
        let log = Log::default();
        let bad = probe("bad").logs(&log).response_body(|| BodyNeed::Whole).on(hook, |_| panic!("oops"));
        let came = run(vec![bad, probe("b").logs(&log)], GET, OK).await;
        assert!(came.answer.starts_with("HTTP/1.1 502 "), "{}", came.answer);
        assert!(came.error().starts_with("addon bad failed"), "{}", came.error());
        assert!(said(&log).ends_with("bad Error, b Error"), "{}", said(&log));
    }
    for bad in [probe("bad").request_body(|| panic!("oops")), probe("bad").response_body(|| panic!("oops"))] {
        let came = run(vec![bad], POST, OK).await;
        assert!(came.answer.starts_with("HTTP/1.1 502 "), "{}", came.answer);
    }
    // What fails at `error` changes nothing.
    let bad = probe("bad").on(Hook::Error, |_| panic!("oops")).on(Hook::Request, LiveFlow::kill);
    assert_eq!(run(vec![bad], GET, OK).await.error(), "Connection killed.");
}

#[tokio::test(start_paused = true)]
async fn error_notes_and_changes_nothing_else() {
    let notes = probe("a").on(Hook::Error, |flow| {
        assert!(flow.flow().error.is_some());
        flow.request_mut().path = "/late".into();
        flow.comment("failed");
    });
    let came = run(vec![notes], GET, "nonsense\r\n\r\n").await;
    assert_eq!((came.flow.comment.as_str(), came.http().request.path.as_ref()), ("failed", &b"/"[..]));
}

#[tokio::test]
async fn a_request_is_sent_elsewhere() {
    for (name_host, host) in [(NameHost::New, true), (NameHost::Keep, false)] {
        let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = elsewhere.local_addr().unwrap();
        let answers = tokio::spawn(async move {
            let (mut io, _) = elsewhere.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                seen.push(io.read_u8().await.unwrap());
            }
            io.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nelse").await.unwrap();
            String::from_utf8(seen).unwrap()
        });
        let redirects = probe("a").on(Hook::RequestHeaders, move |flow| {
            let to = Address { host: at.ip().to_string(), port: at.port() };
            flow.redirect(false, to, name_host);
        });
        let came = run(vec![redirects], GET, OK).await;
        assert!(came.answer.ends_with("\r\n\r\nelse"), "{}", came.answer);
        assert_eq!(came.seen, "");
        let host = if host { at.to_string() } else { "a".to_owned() };
        assert_eq!(answers.await.unwrap(), format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(came.flow.server.connection.peername, Some(at));
    }
}

#[tokio::test(start_paused = true)]
async fn a_scheme_that_is_none_goes_nowhere() {
    let bad = probe("a").on(Hook::RequestHeaders, |flow| flow.request_mut().scheme = "ftp".into());
    let came = run(vec![bad], GET, OK).await;
    assert!(came.answer.starts_with("HTTP/1.1 502 "), "{}", came.answer);
    assert!(came.error().contains("neither http nor https"), "{}", came.error());
}
