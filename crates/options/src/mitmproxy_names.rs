//! The names of mitmproxy's options, so that one we do not have yet is not called unknown.
//!
//! From mitmproxy 13.0.0.dev (2026-08); sorted. Names flowgate has are in it too.

/// mitmproxy's options.
pub(crate) const MITMPROXY_OPTIONS: [&str; 117] = [
    "add_upstream_certs_to_client_chain",
    "allow_hosts",
    "anticache",
    "anticomp",
    "block_global",
    "block_list",
    "block_private",
    "body_size_limit",
    "cert_passphrase",
    "certs",
    "ciphers_client",
    "ciphers_server",
    "client_certs",
    "client_replay",
    "client_replay_concurrency",
    "command_history",
    "confdir",
    "connect_addr",
    "connection_strategy",
    "console_default_contentview",
    "console_eventlog_verbosity",
    "console_flowlist_layout",
    "console_focus_follow",
    "console_layout",
    "console_layout_headers",
    "console_mouse",
    "console_palette",
    "console_palette_transparent",
    "console_quickhelp_visible",
    "console_strip_trailing_newlines",
    "content_view_lines_cutoff",
    "dns_name_servers",
    "dns_use_hosts_file",
    "dumper_default_contentview",
    "dumper_filter",
    "export_preserve_original_ip",
    "flow_detail",
    "hardump",
    "http2",
    "http2_ping_keepalive",
    "http3",
    "http_connect_send_host_header",
    "ignore_hosts",
    "intercept",
    "intercept_active",
    "keep_alt_svc_header",
    "keep_host_header",
    "keepserving",
    "key_size",
    "listen_host",
    "listen_port",
    "map_local",
    "map_remote",
    "mode",
    "modify_body",
    "modify_headers",
    "normalize_outbound_headers",
    "onboarding",
    "onboarding_host",
    "protobuf_definitions",
    "proxy_debug",
    "proxyauth",
    "rawtcp",
    "readfile_filter",
    "request_client_cert",
    "rfile",
    "save_stream_file",
    "save_stream_filter",
    "scripts",
    "server",
    "server_replay",
    "server_replay_extra",
    "server_replay_ignore_content",
    "server_replay_ignore_host",
    "server_replay_ignore_params",
    "server_replay_ignore_payload_params",
    "server_replay_ignore_port",
    "server_replay_kill_extra",
    "server_replay_nopop",
    "server_replay_refresh",
    "server_replay_reuse",
    "server_replay_use_headers",
    "show_ignored_hosts",
    "showhost",
    "ssl_insecure",
    "ssl_verify_upstream_trusted_ca",
    "ssl_verify_upstream_trusted_confdir",
    "stickyauth",
    "stickycookie",
    "store_streamed_bodies",
    "stream_large_bodies",
    "strip_ech",
    "tcp_hosts",
    "tcp_timeout",
    "termlog_verbosity",
    "tls_ecdh_curve_client",
    "tls_ecdh_curve_server",
    "tls_version_client_max",
    "tls_version_client_min",
    "tls_version_server_max",
    "tls_version_server_min",
    "udp_hosts",
    "upstream_auth",
    "upstream_cert",
    "validate_inbound_headers",
    "view_filter",
    "view_order",
    "view_order_reversed",
    "web_columns",
    "web_debug",
    "web_host",
    "web_open_browser",
    "web_password",
    "web_port",
    "web_static_viewer",
    "web_theme",
    "websocket",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::OPTIONS;

    #[test]
    fn sorted() {
        assert!(MITMPROXY_OPTIONS.is_sorted());
    }

    /// What mitmproxy does not have.
    const OWN: [&str; 7] = [
        "rules",
        "hide_ignored_requests",
        "ech",
        "malformed_hello",
        "store",
        "store_index_bodies",
        "store_retention",
    ];

    #[test]
    fn names_of_our_own_are_few_and_meant() {
        for option in OPTIONS {
            let theirs = MITMPROXY_OPTIONS.binary_search(&option.name).is_ok();
            assert_eq!(theirs, !OWN.contains(&option.name), "{}", option.name);
        }
    }
}
