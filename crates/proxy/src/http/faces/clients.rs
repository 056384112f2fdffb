//! The table of what clients of HTTP/2 send (`tests/data/http2_clients.txt`): each row is played to us with a server of HTTP/1
//! behind us and again with one of HTTP/2.

use flowgate_wire::http2::Code;

use super::fixture::{Proxy, Raw, Version};
use super::origin::play;
use super::script::{Step, block, frame, rows, steps};
use crate::http::in_memory::listener::Listener;

const TABLE: &str = include_str!("../../../tests/data/http2_clients.txt");
/// The stream of the good request behind each row.
const NEXT: u32 = 9001;

/// What a client says before the script.
pub(crate) fn hello() -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, b""), &frame(4, 1, 0, b"")].concat()
}

/// A good request.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    let head = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path)];
    frame(1, 5, stream, &block(&head))
}

/// Plays a script to `raw`; says what was told.
pub(crate) async fn perform(raw: &mut Raw, listener: &mut Listener, script: &[Step]) {
    let mut bytes = Vec::new();
    for step in script {
        match step {
            Step::Bytes(more) => bytes.extend_from_slice(more),
            Step::Wait => drop(listener.hear(&raw.say(&std::mem::take(&mut bytes)).await)),
            Step::Close => {
                drop(listener.hear(&raw.say(&std::mem::take(&mut bytes)).await));
                raw.close().await;
            }
        }
    }
    listener.hear(&raw.say(&bytes).await);
    listener.ended = raw.ended;
}

#[tokio::test(start_paused = true)]
async fn clients_are_told_what_the_rfc_says() {
    let proxy = Proxy::new();
    let rows = rows(TABLE, 2);
    let mut wrong = Vec::new();
    for row in &rows {
        let [told, script] = &row.columns[..] else { unreachable!() };
        for server in [Version::H1, Version::H2] {
            let served = proxy.serve(Version::H2, server);
            let asking = play(server, served.servers);
            let mut raw = Raw::new(served.client);
            let mut listener = Listener::new();
            let (script, bare) = steps(script);
            if !bare {
                listener.hear(&raw.say(&hello()).await);
            }
            perform(&mut raw, &mut listener, &script).await;
            let mut found = listener.summary(NEXT);
            if !listener.ended {
                listener.hear(&raw.say(&get(NEXT, "/next")).await);
                if listener.streams.get(&NEXT).is_none_or(|heard| heard.blocks.is_empty()) {
                    found.push_str(" and no more");
                }
            }
            // Whoever ended early shall not leave anything running.
            drop(raw);
            served.serving.await.unwrap();
            let ok = (b":status".to_vec(), b"200".to_vec());
            let answered = listener
                .streams
                .values()
                .filter(|heard| heard.blocks.last().is_some_and(|head| head.contains(&ok)));
            let answered = answered.count();
            // What was reset later than its head came may have been handed on.
            let harmless = listener.streams.values().filter(|heard| {
                heard.reset.is_some_and(|code| code != Code::PROTOCOL_ERROR) && heard.blocks.is_empty()
            });
            let harmless = harmless.count();
            let asking = asking.asked.lock().unwrap();
            let whole = asking.iter().filter(|asked| asked.whole).count();
            if found != *told || !(answered..=answered + harmless).contains(&whole) {
                let asked: Vec<String> = asking.iter().map(super::origin::Asked::summary).collect();
                wrong.push(format!(
                    "{} ({server:?}): {found} ({told}), server: {}",
                    row.name,
                    asked.join(", ")
                ));
            }
            proxy.told.take_flows();
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert!(rows.len() >= 130, "{} rows", rows.len());
}
