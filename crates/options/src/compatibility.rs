//! The page that says of each option of mitmproxy what became of it, in Markdown. A test keeps `docs/reference/mitmproxy-options.md`
//! equal to it, and makes every option stand in it with its reason.

use std::fmt::Write;

use crate::mitmproxy_names::MITMPROXY_OPTIONS;
use crate::registry::OPTIONS;

const HEAD: &str = "\
# mitmproxy's options

<!-- Generated from crates/options/src/compatibility.rs; to write it anew:
     UPDATE_REFERENCE=1 cargo test -p flowgate-options --test reference -->

What became of each option of mitmproxy 13.0.0.dev (2026-08). `supported`: same name, same meaning; what it does stands in
[options](options.md). `different`: on purpose, as it says. `later`: not yet, and why. `not applicable`: it would do nothing here.
An option that is not there is refused by name, never ignored.

";

/// What is different where flowgate has the option.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "allow_hosts",
        "negative patterns hold for all names of a connection; decided as early as the facts allow",
    ),
    ("block_list", "an entry with status 444 counts before the others"),
    ("body_size_limit", "bodies stream: one that turns out too large on its way is broken off"),
    (
        "certs",
        "chosen by the name the client asks for; the file holds its key, the CA's is never shown to the network",
    ),
    (
        "ciphers_client",
        "the suites of OpenSSL that are spoken are ECDHE with AES-GCM or ChaCha20; names that are no cipher are refused",
    ),
    (
        "ciphers_server",
        "the suites of OpenSSL that are spoken are ECDHE with AES-GCM or ChaCha20; names that are no cipher are refused",
    ),
    ("client_replay", "also reads stores and HAR, and single flows of them; replays are flows of their own"),
    ("client_replay_concurrency", "also takes numbers above 1; no limit is 1,000"),
    ("confdir", "`~/.flowgate`; mitmproxy's own folder works as it is"),
    (
        "dns_name_servers",
        "for the names of servers and upstream proxies; also takes ports; without it the system is asked. Mode `dns` comes later",
    ),
    ("dns_use_hosts_file", "for the names of servers and upstream proxies; mode `dns` comes later"),
    (
        "ignore_hosts",
        "negative patterns hold for all names of a connection; decided as early as the facts allow",
    ),
    ("key_size", "without it the CA's key is one of P-256; an existing one is used as it is"),
    (
        "map_local",
        "links out of the folder are not followed; ranges and conditional requests work; large files stream",
    ),
    (
        "modify_body",
        "changes bodies while they cross where the pattern allows it; sends changed bodies without content encoding; `\\b` is a word boundary",
    ),
    (
        "onboarding",
        "also on our own port, asked directly; nothing is connected to for it; no module for Magisk",
    ),
    (
        "proxyauth",
        "enforced for connections that are passed through or recorded raw, too, and refused in modes that cannot ask; also MD5 and SHA-2 crypt files, read again when they change; passwords may have colons; the password is not kept with flows",
    ),
    ("rfile", "also reads stores, and goes on behind a damaged flow"),
    ("server_replay", "also reads stores and HAR; the program does not end when all recordings are used"),
    (
        "server_replay_extra",
        "also holds when all recordings are used up; with all but `forward` no server is connected to",
    ),
    ("ssl_verify_upstream_trusted_ca", "beside the system's authorities, not instead of them"),
    ("ssl_verify_upstream_trusted_confdir", "beside the system's authorities, not instead of them"),
    ("stickycookie", "cookies follow RFC 6265 in domain, path and expiry; those that the client sends stay"),
    ("store_streamed_bodies", "every body streams; keeps those that `stream_large_bodies` would leave out"),
    (
        "stream_large_bodies",
        "every body streams; leaves larger ones out of flows, and bounds what is held for features",
    ),
    ("tcp_hosts", "also matches `host:port`"),
    ("tls_ecdh_curve_client", "`prime256v1`, `secp384r1` and `X25519`"),
    ("tls_ecdh_curve_server", "`prime256v1`, `secp384r1` and `X25519`"),
    ("tls_version_client_max", "TLS 1.2 and 1.3 are spoken; lower versions are refused"),
    (
        "tls_version_client_min",
        "TLS 1.2 and 1.3 are spoken; lower versions are refused, `UNBOUNDED` stands for 1.2",
    ),
    ("tls_version_server_max", "TLS 1.2 and 1.3 are spoken; lower versions are refused"),
    (
        "tls_version_server_min",
        "TLS 1.2 and 1.3 are spoken; lower versions are refused, `UNBOUNDED` stands for 1.2",
    ),
];

/// Why flowgate does not have the option yet.
const LATER: &[(&str, &str)] = &[
    ("command_history", "with the console"),
    ("console_default_contentview", "with the console"),
    ("console_eventlog_verbosity", "with the console"),
    ("console_flowlist_layout", "with the console"),
    ("console_focus_follow", "with the console"),
    ("console_layout", "with the console"),
    ("console_layout_headers", "with the console"),
    ("console_mouse", "with the console"),
    ("console_palette", "with the console"),
    ("console_palette_transparent", "with the console"),
    ("console_quickhelp_visible", "with the console"),
    ("console_strip_trailing_newlines", "with the console"),
    ("http3", "HTTP/3 crosses undecrypted today"),
    ("intercept", "with the console and the web interface"),
    ("intercept_active", "with the console and the web interface"),
    ("normalize_outbound_headers", "names are always written in lower case towards HTTP/2"),
    ("protobuf_definitions", "with the view of Protocol Buffers"),
    ("scripts", "with the host of scripts"),
    (
        "strip_ech",
        "with mode `dns` and its addon `strip_dns_https_records`; until then `ech` says what becomes of names that are hidden",
    ),
    ("udp_hosts", "DTLS crosses undecrypted today"),
    ("view_filter", "with the console and the web interface"),
    ("view_order", "with the console and the web interface"),
    ("view_order_reversed", "with the console and the web interface"),
    ("web_columns", "with the web interface"),
    ("web_host", "with the web interface"),
    ("web_open_browser", "with the web interface"),
    ("web_password", "with the web interface"),
    ("web_port", "with the web interface"),
    ("web_static_viewer", "with the web interface"),
    ("web_theme", "with the web interface"),
];

/// Why flowgate will not have the option.
const NOT_APPLICABLE: &[(&str, &str)] = &[
    ("proxy_debug", "`-v` shows each decision"),
    ("web_debug", "of the framework that mitmproxy's web interface is made with"),
];

/// What became of an option, and what is to be said of it.
fn became(name: &str) -> (&'static str, &'static str) {
    let told =
        |table: &'static [(&str, &str)]| table.iter().find(|(known, _)| *known == name).map(|(_, why)| *why);
    if OPTIONS.iter().any(|spec| spec.name == name) {
        return told(DIFFERENT).map_or(("supported", ""), |why| ("different", why));
    }
    match (told(LATER), told(NOT_APPLICABLE)) {
        (_, Some(why)) => ("not applicable", why),
        (why, None) => ("later", why.unwrap_or("")),
    }
}

/// The page.
pub fn compatibility_markdown() -> String {
    let mut page = String::from(HEAD);
    let count = |wanted: &str| MITMPROXY_OPTIONS.iter().filter(|name| became(name).0 == wanted).count();
    // Writing to a `String` cannot fail.
    let _ = writeln!(
        page,
        "Of {} options {} are supported, {} different, {} come later, {} are not applicable.\n",
        MITMPROXY_OPTIONS.len(),
        count("supported"),
        count("different"),
        count("later"),
        count("not applicable")
    );
    page += "| Option | Here | What is to be said |\n|---|---|---|\n";
    for name in MITMPROXY_OPTIONS {
        let (became, why) = became(name);
        let _ = writeln!(page, "| `{name}` | {became} | {why} |");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_stands_where_it_belongs_and_once() {
        for name in MITMPROXY_OPTIONS {
            let (became, why) = became(name);
            assert!(became == "supported" || !why.is_empty(), "{name} is not there, and nobody says why");
        }
        let is_ours = |name: &str| OPTIONS.iter().any(|spec| spec.name == name);
        for table in [DIFFERENT, LATER, NOT_APPLICABLE] {
            assert!(table.is_sorted());
            for (name, _) in table {
                assert!(MITMPROXY_OPTIONS.contains(name), "{name} is no option of mitmproxy");
            }
        }
        for (name, _) in LATER.iter().chain(NOT_APPLICABLE) {
            assert!(!is_ours(name), "{name} is there");
        }
        for (name, _) in DIFFERENT {
            assert!(is_ours(name), "{name} is not there");
        }
    }
}
