//! Views held against what mitmproxy 12 shows of the same bodies (`oracle/make.py` asked it).
//!
//! Every deliberate difference is a row of [`DIFFERENCES`], with what we show instead; a row that is no difference fails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by it")]

use flowgate_contentview::{Carrier, ContentInfo, Limits, View, render};
use serde_json::Value;

#[path = "oracle/differences.rs"]
mod differences;
use differences::DIFFERENCES;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn bodies_look_as_in_mitmproxy() {
    let answers: Vec<Value> = serde_json::from_str(include_str!("oracle/answers.json")).unwrap();
    assert!(answers.len() >= 300, "{}", answers.len());
    let (mut wrong, mut used) = (String::new(), vec![false; DIFFERENCES.len()]);
    for answer in &answers {
        let text = |key: &str| answer[key].as_str();
        let body = bytes(text("body").unwrap());
        let info = ContentInfo {
            content_type: text("content_type").map(str::as_bytes),
            carrier: match text("carrier").unwrap() {
                "http" => Carrier::Http,
                "websocket" => Carrier::WebSocket,
                "tcp" => Carrier::Tcp,
                _ => Carrier::Udp,
            },
            path: text("path").map(str::as_bytes),
            server_port: answer["port"].as_u64().map(|port| port as u16),
            ..ContentInfo::default()
        };
        let view: View = text("view").unwrap().parse().unwrap();
        let shown = render(view, &info, &body, &Limits::default());
        let (ours, took) = match shown.failed_view {
            Some(failed) => (None, failed.name()),
            None => (Some(shown.text.trim().to_owned()), shown.view_name),
        };
        let theirs = text("text").map(|text| text.replace("\r\n", "\n").replace('\r', "\n"));
        // Where the best view fails both show the bytes, under other names.
        let same = ours == theirs && (ours.is_none() || took == text("took").unwrap());
        let key = [text("view").unwrap(), text("content_type").unwrap_or_default(), text("body").unwrap()];
        match DIFFERENCES
            .iter()
            .position(|(view, content_type, body, _)| [*view, *content_type, *body] == key)
        {
            Some(at) if !same && ours.as_deref() == DIFFERENCES[at].3 => used[at] = true,
            None if same => {}
            _ => {
                wrong += &format!("    // {}: {theirs:?}\n    ({key:?}, {ours:?}),\n", text("took").unwrap())
            }
        }
    }
    for (at, _) in used.iter().enumerate().filter(|(_, used)| !**used) {
        wrong += &format!("no difference: {:?}\n", DIFFERENCES[at]);
    }
    assert!(wrong.is_empty(), "{wrong}");
}
