//! The reference page of limits in the repository is the one that the constants make: each with its unit, its value, and what it
//! is for, taken from the files that hold them as they are written.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const PAGE: &str = "docs/reference/limits.md";
const SECTIONS: [(&str, &str); 5] = [
    ("Messages and codecs", "crates/wire/src/limits.rs"),
    ("Connections, time-outs and buffers", "crates/proxy/src/limits.rs"),
    ("Look-ups of names, moving bytes", "crates/net/src/limits.rs"),
    ("Features", "crates/addons/src/limits.rs"),
    ("Who may use the proxy", "crates/logins/src/limits.rs"),
];

/// The value of `64 * 1024`, or the milliseconds of `Duration::from_secs(30)`.
fn value(expression: &str) -> (u64, bool) {
    let product = |text: &str| -> u64 {
        let factor = |factor: &str| factor.trim().replace('_', "").parse::<u64>().unwrap();
        text.split('*').map(factor).product()
    };
    let inside = |prefix: &str| expression.strip_prefix(prefix)?.strip_suffix(')');
    if let Some(seconds) = inside("Duration::from_secs(") {
        (product(seconds) * 1000, true)
    } else if let Some(millis) = inside("Duration::from_millis(") {
        (product(millis), true)
    } else {
        (product(expression), false)
    }
}

/// As a reader wants it: `64 KiB`, `200`, `30 s`.
fn shown(name: &str, expression: &str) -> String {
    match value(expression) {
        (millis, true) if millis.is_multiple_of(1000) => format!("{} s", millis / 1000),
        (millis, true) => format!("{millis} ms"),
        (bytes, false) if name.contains("BYTES") => match bytes {
            bytes if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
            bytes if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
            bytes => format!("{bytes} bytes"),
        },
        (count, false) => count.to_string(),
    }
}

fn page() -> String {
    let mut page = String::from(
        "# Limits\n\n\
         <!-- Generated from limits.rs of the crates wire, proxy, net, addons and logins; to write it anew:\n\
         \x20    UPDATE_REFERENCE=1 cargo test -p flowgate-proxy --test limits -->\n\n\
         Both peers of a proxy may be hostile, so everything that is read has a bound and every wait ends. What goes beyond is refused and\n\
         told on the flow, or crosses without being kept, as it says. `tcp_timeout` and the sizes of\n\
         bodies are [options](options.md); the others are fixed.\n",
    );
    for (title, file) in SECTIONS {
        write!(page, "\n## {title}\n\n| Limit | Value | What it bounds |\n|---|---|---|\n").unwrap();
        let text = fs::read_to_string(format!("{ROOT}/{file}")).unwrap();
        let mut doc = String::new();
        for line in text.lines() {
            if let Some(more) = line.strip_prefix("/// ") {
                doc.push_str(if doc.is_empty() { "" } else { " " });
                doc.push_str(more);
            } else if let Some(constant) = line.strip_prefix("pub const ") {
                let (name, rest) = constant.split_once(": ").unwrap();
                let (_, expression) = rest
                    .strip_suffix(';')
                    .unwrap_or_else(|| panic!("{name}: one line, please"))
                    .split_once(" = ")
                    .unwrap();
                assert!(!doc.is_empty(), "{name} does not say what it bounds");
                writeln!(page, "| `{name}` | {} | {doc} |", shown(name, expression)).unwrap();
                doc.clear();
            }
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
        "{PAGE} is old; run UPDATE_REFERENCE=1 cargo test -p flowgate-proxy --test limits"
    );
}

/// Constants that no test names, and why that is well.
const UNNAMED: &[(&str, &str)] = &[
    (
        "COALESCE_BYTES",
        "how much at a time: changes nothing but the speed, and every way to cut the input is tested",
    ),
    ("HELD_READ_BYTES", "likewise"),
    ("INJECTED_MESSAGES_MAX", "the room of a channel, which refuses what is beyond or makes its sender wait"),
    ("HELD_BODY_BYTES_MAX", "tested through option `stream_large_bodies`, which lowers it"),
    ("SERVER_FIRST_DELAY", "a wait, not a bound; e2e tests of servers that speak first depend on its end"),
    (
        "UDP_REFUSED_PAUSE",
        "a pause, not a bound: behind it a client's next datagram is decided anew, as every first one",
    ),
    (
        "DNS_QUERIES_MAX",
        "permits of a semaphore: whoever finds none waits for one, within the time that a look-up may take",
    ),
    ("UNSENT_REST_SILENCE_MAX", "a wait, not a bound; e2e uploads that are answered by us depend on its end"),
    ("FAREWELL_READ_BYTES", "how much at a time: changes nothing but the speed"),
    ("H2_READ_BYTES", "how much at a time: changes nothing but the speed"),
    ("H2_FLOOD_PERIOD_SECONDS", "when the counters of floods are renewed, which is tested; no bound"),
    ("H2_STREAMS_MAX", "handed to `wire::http2`, which keeps it and is tested with other figures"),
    ("H2_CONNECTION_WINDOW_BYTES", "likewise"),
    ("H2_HEADER_LIST_BYTES", "likewise"),
];

/// The text of every test in the workspace: files under `tests`, files called so, and what stands behind `#[cfg(test)]`.
fn tests(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" {
                tests(&path, text);
            }
        } else if name.ends_with(".rs") {
            let content = fs::read_to_string(&path).unwrap();
            let is_test = name == "tests.rs"
                || path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "faces");
            let from = if is_test { Some(0) } else { content.find("#[cfg(test)]") };
            text.push_str(from.map_or("", |from| &content[from..]));
        }
    }
}

#[test]
fn every_limit_is_tested_or_says_why_not() {
    let mut text = String::new();
    tests(Path::new(&format!("{ROOT}/crates")), &mut text);
    // Not this file.
    let text = text.replace(include_str!("limits.rs"), "");
    let is_named = |name: &str| {
        text.match_indices(name).any(|(at, _)| {
            let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            !text[..at].ends_with(part) && !text[at + name.len()..].starts_with(part)
        })
    };
    let mut wrong = Vec::new();
    for (_, file) in SECTIONS {
        let constants = fs::read_to_string(format!("{ROOT}/{file}")).unwrap();
        for line in constants.lines().filter_map(|line| line.strip_prefix("pub const ")) {
            let (name, _) = line.split_once(':').unwrap();
            let excused = UNNAMED.iter().any(|(unnamed, _)| *unnamed == name);
            if is_named(name) == excused {
                wrong.push(format!(
                    "{name}: {}",
                    if excused { "is tested, and excused" } else { "no test names it" }
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
