//! Which hooks come when, and who waits meanwhile.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::addon::testing::{Between, GET, Log, OK, POST, answers, between, between_with, probe, run, said};
use crate::addon::{BodyNeed, Hook};
use crate::limits::IDLE_TIMEOUT;
use crate::settings::Settings;

#[tokio::test(start_paused = true)]
async fn hooks_come_in_order() {
    let all = "a RequestHeaders, a Request, a ResponseHeaders, a Response";
    let check = async |request: &str, response: &str, whole: bool, expected: &str| {
        let log = Log::default();
        let mut addon = probe("a").logs(&log);
        if whole {
            addon = addon.request_body(|| BodyNeed::Whole).response_body(|| BodyNeed::Whole);
        }
        run(vec![addon], request, response).await;
        assert_eq!(said(&log), expected, "{request}");
    };
    for whole in [false, true] {
        check(GET, OK, whole, all).await;
        check(POST, OK, whole, all).await;
        check("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", OK, whole, all).await;
        check(GET, "HTTP/1.1 204 No\r\n\r\n", whole, all).await;
        check(GET, "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 No\r\n\r\n", whole, all).await;
        check(GET, "nonsense\r\n\r\n", whole, "a RequestHeaders, a Request, a Error").await;
        let cut = "a RequestHeaders, a Request, a ResponseHeaders, a Error";
        check(GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nX", whole, cut).await;
    }
}

#[tokio::test(start_paused = true)]
async fn addons_come_in_their_order_and_see_changes() {
    let log = Log::default();
    let first = probe("a").logs(&log).on(Hook::RequestHeaders, |flow| {
        flow.request_mut().headers.push("X", "1");
        flow.request_mut().path = "/one".into();
        flow.mark(":red_circle:");
    });
    let second = probe("b").logs(&log).on(Hook::RequestHeaders, |flow| {
        assert_eq!(flow.request().path, "/one");
        flow.request_mut().headers.set("X", "2");
        flow.comment("seen");
    });
    let second = second.on(Hook::Response, |flow| flow.note("n", flowgate_flow::MetadataValue::Int(7)));
    let came = run(vec![first, second], GET, OK).await;
    assert_eq!(came.seen, "GET /one HTTP/1.1\r\nHost: a\r\nX: 2\r\n\r\n");
    assert!(came.answer.ends_with("\r\n\r\nok"), "{}", came.answer);
    assert_eq!((came.flow.marked.as_str(), came.flow.comment.as_str()), (":red_circle:", "seen"));
    assert_eq!(came.flow.metadata, [("n".to_owned(), flowgate_flow::MetadataValue::Int(7))]);
    assert_eq!(came.http().request.path, "/one");
    let pairs: Vec<_> = ["RequestHeaders", "Request", "ResponseHeaders", "Response"]
        .iter()
        .flat_map(|hook| [format!("a {hook}"), format!("b {hook}")])
        .collect();
    assert_eq!(said(&log), pairs.join(", "));
}

#[tokio::test(start_paused = true)]
async fn an_addon_sees_what_was_said_to_the_proxy_and_the_server_does_not() {
    let sees = probe("a").on(Hook::RequestHeaders, |flow| {
        assert!(flow.request().headers.contains("proxy-authorization"));
    });
    let request = "GET / HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Basic x\r\n\r\n";
    let came = run(vec![sees], request, OK).await;
    assert_eq!(came.seen, GET);
    assert!(!came.http().request.headers.contains("proxy-authorization"));
}

#[tokio::test(start_paused = true)]
async fn hidden_flows_are_offered_to_nobody() {
    let log = Log::default();
    let Between { mut client, server, flows, serving } =
        between_with(vec![probe("a").logs(&log)], Settings::default(), true).await;
    client.write_all(GET.as_bytes()).await.unwrap();
    tokio::spawn(answers(server, OK.to_owned()));
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    serving.await.unwrap();
    assert_eq!((answer.as_str(), said(&log).as_str(), flows.take().len()), (OK, "", 0));
}

#[tokio::test(start_paused = true)]
async fn hidden_flows_are_offered_to_guards_alone() {
    let log = Log::default();
    let guard = probe("guard").logs(&log).guards();
    let Between { mut client, server, flows, serving } =
        between_with(vec![guard, probe("a").logs(&log)], Settings::default(), true).await;
    client.write_all(GET.as_bytes()).await.unwrap();
    tokio::spawn(answers(server, OK.to_owned()));
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    serving.await.unwrap();
    assert_eq!((answer.as_str(), flows.take().len()), (OK, 0));
    assert!(said(&log).starts_with("guard RequestHeaders, guard Request, "), "{}", said(&log));
    assert!(!said(&log).contains("a R"), "{}", said(&log));
}

/// Held for longer than any time-out, at each hook: nothing is lost, and nothing overtakes.
#[tokio::test(start_paused = true)]
async fn a_held_flow_waits_as_long_as_its_hook() {
    for hook in [Hook::RequestHeaders, Hook::Request, Hook::ResponseHeaders, Hook::Response] {
        for whole in [false, true] {
            let (mut addon, reached, go) = probe("a").waits(hook);
            if whole {
                addon = addon.request_body(|| BodyNeed::Whole).response_body(|| BodyNeed::Whole);
            }
            let Between { mut client, server, flows, serving } = between(vec![addon]).await;
            let server = tokio::spawn(answers(server, OK.to_owned()));
            client.write_all(POST.as_bytes()).await.unwrap();
            reached.notified().await;
            sleep(3 * IDLE_TIMEOUT).await;
            let mut byte = [0];
            let early = timeout(Duration::from_secs(1), client.read(&mut byte)).await;
            // A response that streams is passed on but for its end.
            assert_eq!(early.is_ok(), hook == Hook::Response && !whole, "{hook:?} {whole}");
            go.notify_one();
            client.shutdown().await.unwrap();
            let mut rest = String::new();
            client.read_to_string(&mut rest).await.unwrap();
            serving.await.unwrap();
            assert_eq!(server.await.unwrap(), POST.as_bytes());
            assert!(rest.ends_with("\r\n\r\nok"), "{rest}");
            assert_eq!(flows.take()[0].error, None, "{hook:?} {whole}");
        }
    }
}
