//! From options to what the proxy works with.

use std::time::Duration;

use flowgate_options::Values;
use flowgate_policy::{Rules, RulesError, RulesSource};
use flowgate_proxy::Settings;

use crate::rule_files::RuleFiles;

/// What the rules are compiled from: the rule files, and the host options.
#[must_use]
pub fn sources(values: &Values, files: &RuleFiles) -> RulesSource {
    RulesSource {
        rules: files.source().clone(),
        ignore_hosts: values.ignore_hosts.clone(),
        allow_hosts: values.allow_hosts.clone(),
        tcp_hosts: values.tcp_hosts.clone(),
        ..RulesSource::default()
    }
}

/// The proxy's settings for these options.
///
/// # Errors
/// If a rule or a pattern cannot be compiled; the caller keeps what it had.
pub(crate) fn settings(values: &Values, source: &RulesSource) -> Result<Settings, RulesError> {
    let rules = Rules::compile(source)?;
    let kept_max = if values.store_streamed_bodies { None } else { values.stream_large_bodies };
    Ok(Settings {
        rules,
        connection_strategy: values.connection_strategy,
        http2: values.http2,
        rawtcp: values.rawtcp,
        websocket: values.websocket,
        upstream_cert: values.upstream_cert,
        keep_host_header: values.keep_host_header,
        show_ignored_hosts: values.show_ignored_hosts,
        idle_timeout: Duration::from_secs(values.tcp_timeout.into()),
        kept_body_bytes_max: kept_max.map_or(u64::MAX, |size| size.bytes()),
        connect_addr: values.connect_addr,
        upstream_auth: values.upstream_auth.clone(),
        http_connect_send_host_header: values.http_connect_send_host_header,
        block_global: values.block_global,
        block_private: values.block_private,
    })
}
