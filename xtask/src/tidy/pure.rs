//! What decides from bytes and facts alone knows no runtime, socket, file or clock.
//!
//! That is what makes it testable without any of them. Unit tests inside these crates keep to it as well; files for tests
//! come in through `include_str!` and `include_bytes!`.

use super::crates::Packages;
use super::mask::code_of;
use super::{Finding, SourceFile, line_of};
use crate::workspace::Package;

/// The crates that are pure.
const PURE: [&str; 6] = ["flow", "pattern", "filter", "options", "wire", "policy"];

/// Dependencies with sockets, files, clocks or a runtime in them, each alone or as the beginning of a family (`tokio-`).
const WORLDLY: [&str; 14] = [
    "tokio",
    "mio",
    "socket2",
    "rustix",
    "nix",
    "libc",
    "polling",
    "smol",
    "async-io",
    "async-std",
    "hyper",
    "reqwest",
    "h2",
    "quinn",
];

/// Words of the standard library and of tokio that reach the world.
const WORDS: [&str; 14] = [
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "ToSocketAddrs",
    "std::fs",
    "std::process",
    "std::thread",
    "std::env",
    "SystemTime::now",
    "Instant::now",
    "tokio::",
];

/// A file `use std::{fs, ...}` hides the path; these words after `std::{` mean the same.
const GROUPED: [&str; 4] = ["fs", "process", "thread", "env"];

pub(super) fn check_dependencies(packages: &Packages<'_>) -> Vec<Finding> {
    let pure = packages.iter().filter(|package| PURE.contains(&package.short_name()));
    pure.flat_map(|package| {
        let worldly =
            package.dependencies.iter().filter(|dependency| !dependency.dev && is_worldly(&dependency.name));
        worldly.map(|dependency| {
            let what = format!("{} is pure and must not depend on {}", package.name, dependency.name);
            packages.finding(package, &dependency.name, what, mend(package))
        })
    })
    .collect()
}

pub(super) fn check_source(file: &SourceFile) -> Vec<Finding> {
    let path = file.path.to_string_lossy();
    let Some(name) = PURE.into_iter().find(|name| path.starts_with(&format!("crates/{name}/src/"))) else {
        return Vec::new();
    };
    let code = code_of(&file.text);
    let mut places: Vec<(usize, String)> = Vec::new();
    for word in WORDS {
        let found = code.match_indices(word).filter(|(at, _)| is_word(&code, *at, word));
        places.extend(found.map(|(at, _)| (at, word.to_owned())));
    }
    for (start, _) in code.match_indices("std::{") {
        let group = code.get(start..).and_then(|rest| rest.split(';').next()).unwrap_or_default();
        let found = GROUPED.into_iter().flat_map(|word| group.match_indices(word));
        let whole = found.filter(|(at, word)| is_word(group, *at, word));
        places.extend(whole.map(|(at, word)| (start + at, format!("std::{word}"))));
    }
    places.sort();
    let finding = |(at, word): (usize, String)| {
        let mend = "hand the fact in as a value (bytes, time, address), or do it in `net` or `proxy`";
        file.finding(line_of(&code, at), format!("{name} is pure and must not use {word}"), mend)
    };
    places.into_iter().map(finding).collect()
}

fn mend(package: &Package) -> String {
    format!(
        "keep {} to bytes and facts; what needs the world belongs to `net` or `proxy`",
        package.short_name()
    )
}

fn is_worldly(name: &str) -> bool {
    WORLDLY.into_iter().any(|worldly| name == worldly || name.starts_with(&format!("{worldly}-")))
}

/// Whether a match is not the middle of a longer word.
fn is_word(code: &str, at: usize, word: &str) -> bool {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = code.as_bytes();
    let before = at.checked_sub(1).and_then(|at| bytes.get(at)).is_some_and(part);
    let after = !word.ends_with(':') && bytes.get(at + word.len()).is_some_and(part);
    !before && !after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile { path: path.into(), text: text.to_owned() };
        check_source(&file).iter().map(|finding| format!("{}: {}", finding.line, finding.what)).collect()
    }

    #[test]
    fn the_world_is_found_in_pure_code_only() {
        let text = "//! Knows no std::fs.\nuse std::net::{IpAddr, TcpStream};\nuse std::{fmt, fs};\nfn f() { Instant::now(); }\n";
        let expected = [
            "2: wire is pure and must not use TcpStream",
            "3: wire is pure and must not use std::fs",
            "4: wire is pure and must not use Instant::now",
        ];
        assert_eq!(found("crates/wire/src/lib.rs", text), expected);
        assert!(found("crates/proxy/src/lib.rs", text).is_empty());
        assert!(found("crates/wire/tests/files.rs", text).is_empty());
    }

    #[test]
    fn like_words_are_let_pass() {
        let text =
            "use std::{fmt, io};\nfn not_tokio() { my_tokio::x(); \"std::fs\"; offset(); std::fsx(); }\n";
        assert!(found("crates/flow/src/a.rs", text).is_empty());
    }

    #[test]
    fn families_of_worldly_crates_are_known() {
        for (name, expected) in [
            ("tokio", true),
            ("tokio-util", true),
            ("h2", true),
            ("h2x", false),
            ("httparse", false),
            ("memchr", false),
        ] {
            assert_eq!(is_worldly(name), expected, "{name}");
        }
    }
}
