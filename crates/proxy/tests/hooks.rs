//! The reference page of hooks in the repository is what the trait says: each with what it is given and what may be done there, taken
//! from `flowgate_proxy::Addon` as it is written.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::{env, fs};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const PAGE: &str = "docs/reference/hooks.md";
const TRAIT: &str = include_str!("../src/addon.rs");

/// What an addon is asked, rather than told.
const QUESTIONS: [&str; 7] =
    ["own_host", "is_guard", "judge_relay", "judge_address", "request_body", "response_body", "messages"];

/// The methods of the trait: name, what it is given, documentation.
fn methods() -> Vec<(String, String, String)> {
    let from = TRAIT.find("pub trait Addon").unwrap();
    let body = &TRAIT[from..];
    let body = &body[..body.find("\n}\n").unwrap()];
    let mut found = Vec::new();
    let mut doc: Vec<&str> = Vec::new();
    let mut lines = body.lines().peekable();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(text) = line.strip_prefix("///") {
            doc.push(text.trim());
        } else if let Some(rest) = line.strip_prefix("fn ") {
            let mut signature = rest.to_owned();
            while !signature.contains(')') {
                signature.push_str(lines.next().unwrap().trim());
            }
            let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            let given = given(&signature);
            assert!(!doc.is_empty(), "{name} does not say what it is");
            // What follows `# Errors` says nothing that did not stand before.
            let text = doc.split(|line| *line == "# Errors").next().unwrap().join(" ");
            if name != "name" {
                found.push((name, given, text.trim().to_owned()));
            }
            doc.clear();
        }
    }
    found
}

/// The type of the first argument behind `self`.
fn given(signature: &str) -> String {
    let arguments = &signature[signature.find('(').unwrap() + 1..signature.find(')').unwrap()];
    let first = arguments.split(',').nth(1).unwrap_or_default();
    let of = first.rsplit(':').next().unwrap();
    of.rsplit(['&', ' ']).next().unwrap().to_owned()
}

fn page() -> String {
    let mut page = String::from(
        "# Hooks\n\n\
         <!-- Generated from crates/proxy/src/addon.rs; to write it anew:\n\
         \x20    UPDATE_REFERENCE=1 cargo test -p flowgate-proxy --test hooks -->\n\n\
         A hook is a moment in the life of a connection or a flow at which addons can act; ours and a user's have the same. Names are\n\
         mitmproxy's. At each hook addons run one after the other as they were registered, each seeing what those before it changed; one\n\
         that answers, refuses or kills is the last at that hook. Hooks of one flow never run at the same time, and nothing of the flow\n\
         moves while one does. Others go on, those on the same HTTP/2 connection too. A client that resets its stream or connection ends\n\
         the wait; a hook that fails (a panic) fails its own flow with 502.\n\n\
         What was sent already is not changed any more, whatever an addon does to it: a flow shows what crossed. What is sent passes\n\
         the gate that all passes, so no addon can write a head that is none; the fields that delimit a body are ours.\n\n\
         The order for a request: `client_connected`, (`http_connect`), `requestheaders`, `request`, `server_connect`, `server_connected`,\n\
         `responseheaders`, `response`; a failure ends it with `error`. A server that is connected to before it is needed\n\
         (`connection_strategy=eager`) comes earlier. An answer of an addon at `requestheaders` or `request` is followed by\n\
         `responseheaders` and `response`, and its body can be changed like a server's.\n\n\
         Messages of WebSockets and raw connections are offered if an addon asked for those of that flow. The two directions of one\n\
         conversation are offered independently of each other.\n\n\
         Differs from mitmproxy: bodies stream unless an addon asks for them, flow by flow; `request` is skipped for flows\n\
         that were answered at `requestheaders`; an answer at `responseheaders` or `response` takes the place of the server's.\n",
    );
    let methods = methods();
    for (title, asks) in [("What addons are told", false), ("What addons are asked", true)] {
        write!(page, "\n## {title}\n\n| Hook | Is given | When, and what may be done |\n|---|---|---|\n")
            .unwrap();
        let of_kind = methods.iter().filter(|(name, ..)| QUESTIONS.contains(&name.as_str()) == asks);
        for (name, given, text) in of_kind {
            let given = if given.is_empty() { "-".to_owned() } else { format!("`{given}`") };
            writeln!(page, "| `{name}` | {given} | {text} |").unwrap();
        }
    }
    page
}

#[test]
fn the_page_is_up_to_date() {
    let path = format!("{ROOT}/{PAGE}");
    let page = page();
    if env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == page,
        "{PAGE} is old; run UPDATE_REFERENCE=1 cargo test -p flowgate-proxy --test hooks"
    );
}

#[test]
fn each_question_is_one() {
    let methods = methods();
    for question in QUESTIONS {
        assert!(methods.iter().any(|(name, ..)| name == question), "{question}");
    }
}
