//! What becomes of requests between HTTP/2 and HTTP/1, byte for byte and field for field (`tests/data/downgrade.txt`,
//! `upgrade.txt`).

use super::clients::{hello, perform};
use super::fixture::{Proxy, Raw, Version};
use super::origin::{Asked, play};
use super::script::{bytes, rows, steps};
use crate::http::in_memory::listener::{Fields, Listener};

const DOWN: &str = include_str!("../../../tests/data/downgrade.txt");
const UP: &str = include_str!("../../../tests/data/upgrade.txt");

#[tokio::test(start_paused = true)]
async fn requests_of_http2_in_http1() {
    let proxy = Proxy::new();
    let rows = rows(DOWN, 3);
    let mut wrong = Vec::new();
    for row in &rows {
        let [told, server, script] = &row.columns[..] else { unreachable!() };
        let served = proxy.serve(Version::H2, Version::H1);
        let asking = play(Version::H1, served.servers);
        let mut raw = Raw::new(served.client);
        let mut listener = Listener::new();
        listener.hear(&raw.say(&hello()).await);
        perform(&mut raw, &mut listener, &steps(script).0).await;
        let found = listener.summary(u32::MAX);
        drop(raw);
        served.serving.await.unwrap();
        let read = asking.raw.lock().unwrap().clone();
        let expected = if server == "-" { Vec::new() } else { bytes(server) };
        if found != *told || !same_but_blanks(&read, &expected) {
            wrong.push(format!("{}: {found} ({told}), \"{}\" ({server})", row.name, read.escape_ascii()));
        }
        let flows = proxy.told.take_flows();
        let refused = flows.iter().filter(|flow| flow.error.is_some()).count();
        if server == "-" && refused == 0 {
            wrong.push(format!("{}: no flow tells of it", row.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert!(rows.len() >= 60, "{} rows", rows.len());
}

/// Whether both are the same; a blank behind the colon of an empty value is none.
fn same_but_blanks(a: &[u8], b: &[u8]) -> bool {
    let plain = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(": \r\n", ":\r\n");
    plain(a) == plain(b)
}

#[tokio::test(start_paused = true)]
async fn requests_of_http1_in_http2() {
    let proxy = Proxy::new();
    let rows = rows(UP, 3);
    let mut wrong = Vec::new();
    for row in &rows {
        let [answered, server, text] = &row.columns[..] else { unreachable!() };
        let served = proxy.serve(Version::H1, Version::H2);
        let asking = play(Version::H2, served.servers);
        let mut raw = Raw::new(served.client);
        let heard = raw.say(&bytes(text)).await;
        let heard = String::from_utf8_lossy(&heard).into_owned();
        let statuses: Vec<&str> = heard.split("HTTP/1.").skip(1).filter_map(|rest| rest.get(2..5)).collect();
        let statuses = statuses.join(",");
        drop(raw);
        served.serving.await.unwrap();
        let asked = asking.asked.lock().unwrap();
        let expected = ["GET", "POST"].into_iter().find_map(|method| {
            let rest = server.strip_prefix(method)?;
            Some(format!(":method: {method}⏎:authority: a⏎:scheme: http⏎:path: /r{rest}"))
        });
        let expected = expected.unwrap_or_else(|| server.clone());
        let count = if server == "-" { 0 } else { answered.split(',').count() };
        if statuses != *answered
            || asked.len() != count
            || asked.iter().any(|asked| shown(asked).trim_end() != expected.trim_end())
        {
            let asked: Vec<String> = asked.iter().map(shown).collect();
            wrong.push(format!(
                "{}: {statuses} ({answered}), {} ({expected})",
                row.name,
                asked.join(" and ")
            ));
        }
        proxy.told.take_flows();
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert!(rows.len() >= 40, "{} rows", rows.len());
}

/// A request as the table writes it.
fn shown(asked: &Asked) -> String {
    let fields = |list: &Fields| {
        let lines: Vec<String> = list
            .iter()
            .map(|(name, value)| format!("{}: {}", name.escape_ascii(), value.escape_ascii()))
            .collect();
        lines.join("⏎")
    };
    let mut text = fields(&asked.fields);
    if !asked.body.is_empty() {
        text = format!("{text}⏎⏎{}", asked.body.escape_ascii());
    }
    if !asked.trailers.is_empty() {
        text = format!("{text}⏎⏎{}", fields(&asked.trailers));
    }
    if asked.whole { text } else { format!("{text}…") }
}
