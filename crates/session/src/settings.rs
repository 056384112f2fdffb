//! From options to what the proxy works with.

use std::time::Duration;

use flowgate_addons::{Features, is_offline};
use flowgate_net::{KnownNames, Lookup, Resolver};
use flowgate_options::{ConnectionStrategy, HiddenHello, MalformedHello, Values};
use flowgate_policy::{BrokenHello, Ech, HostOption, Rules, RulesError, RulesSource};
use flowgate_proxy::Settings;

use crate::rule_files::RuleFiles;
use crate::session::SessionError;
use crate::tls;

/// What the rules are compiled from: the rule files, and the host options.
#[must_use]
pub fn sources(values: &Values, files: &RuleFiles) -> RulesSource {
    RulesSource {
        rules: files.source().clone(),
        ignore_hosts: values.ignore_hosts.clone(),
        allow_hosts: values.allow_hosts.clone(),
        tcp_hosts: values.tcp_hosts.clone(),
        broken_hello: match values.malformed_hello {
            MalformedHello::Close => BrokenHello::Refuse,
            MalformedHello::Record => BrokenHello::RecordRaw,
        },
        ech: match values.ech {
            HiddenHello::Match => Ech::MatchOuterName,
            HiddenHello::Pass => Ech::PassThrough,
        },
        hide_requests: values.hide_ignored_requests,
        ..RulesSource::default()
    }
}

/// The options that [`settings`] is made of: a change of them counts for connections that begin from then on.
const AT_ONCE: [&str; 28] = [
    "connect_addr",
    "resolve",
    "dns_name_servers",
    "dns_use_hosts_file",
    "block_global",
    "block_private",
    "upstream_auth",
    "http_connect_send_host_header",
    "rules",
    "ignore_hosts",
    "allow_hosts",
    "tcp_hosts",
    "show_ignored_hosts",
    "connection_strategy",
    "keep_host_header",
    "upstream_cert",
    "add_upstream_certs_to_client_chain",
    "http2",
    "http2_ping_keepalive",
    "websocket",
    "rawtcp",
    "validate_inbound_headers",
    "tcp_timeout",
    "connect_timeout",
    "slow_client_timeout",
    "body_size_limit",
    "stream_large_bodies",
    "store_streamed_bodies",
];

/// What a store keeps, also of what it has.
pub(crate) const RETENTION: &str = "store_retention";

/// Whether another value of an option counts while the program runs.
pub(crate) fn counts_at_once(option: &str) -> bool {
    AT_ONCE.contains(&option)
        || OF_RULES.contains(&option)
        || option == RETENTION
        || flowgate_addons::OPTIONS.contains(&option)
        || tls::OPTIONS.contains(&option)
}

/// The proxy's settings for these options, with the features that they ask for.
///
/// # Errors
/// If a rule, a pattern or a feature cannot be compiled; the caller keeps what it had.
pub(crate) fn settings(
    values: &Values,
    source: &RulesSource,
    features: &Features,
) -> Result<Settings, SessionError> {
    let settings = plain_settings(values, source)?;
    let settings = Settings { addons: features.addons(values)?.into(), ..settings };
    if is_offline(values) {
        // A tunnel would be connected before anybody knows what is asked in it.
        return Ok(Settings {
            connection_strategy: ConnectionStrategy::Lazy,
            upstream_cert: false,
            ..settings
        });
    }
    Ok(settings)
}

fn plain_settings(values: &Values, source: &RulesSource) -> Result<Settings, RulesError> {
    let rules = Rules::compile(source)?;
    let kept_max = if values.store_streamed_bodies { None } else { values.stream_large_bodies };
    Ok(Settings {
        rules,
        connection_strategy: values.connection_strategy,
        http2: values.http2,
        http2_ping_keepalive: match values.http2_ping_keepalive {
            0 => None,
            seconds => Some(Duration::from_secs(seconds.into())),
        },
        rawtcp: values.rawtcp,
        websocket: values.websocket,
        upstream_cert: values.upstream_cert,
        add_upstream_certs: values.add_upstream_certs_to_client_chain,
        keep_host_header: values.keep_host_header,
        show_ignored_hosts: values.show_ignored_hosts,
        idle_timeout: Duration::from_secs(values.tcp_timeout.into()),
        connect_timeout: Duration::from_secs(values.connect_timeout.into()),
        slow_client_timeout: (values.slow_client_timeout > 0)
            .then(|| Duration::from_secs(values.slow_client_timeout.into())),
        kept_body_bytes_max: kept_max.map_or(u64::MAX, |size| size.bytes()),
        validate_inbound_headers: values.validate_inbound_headers,
        body_bytes_max: values.body_size_limit.map_or(u64::MAX, |size| size.bytes()),
        connect_addr: values.connect_addr,
        lookup: lookup(values),
        upstream_auth: values.upstream_auth.clone(),
        http_connect_send_host_header: values.http_connect_send_host_header,
        block_global: values.block_global,
        block_private: values.block_private,
        ..Settings::default()
    })
}

fn lookup(values: &Values) -> Lookup {
    let mut known = KnownNames::default();
    for spec in &values.resolve {
        known.add(spec.host.as_deref(), spec.port, spec.addresses.clone());
    }
    let servers = &values.dns_name_servers.0;
    // The system knows of more than its name servers and the hosts file, so it is left out only if that was asked for.
    let asks_ourselves = !servers.is_empty() || !values.dns_use_hosts_file;
    let resolver = asks_ourselves.then(|| Resolver::new(servers.clone(), values.dns_use_hosts_file).into());
    Lookup { known, resolver }
}

/// The same for those that say how rules are read.
const OF_RULES: [&str; 3] = ["hide_ignored_requests", "ech", "malformed_hello"];

/// What is worth knowing of patterns that are read otherwise than by mitmproxy, a line each.
pub(crate) fn notes(rules: &Rules) -> Vec<String> {
    let options = [HostOption::IgnoreHosts, HostOption::AllowHosts, HostOption::TcpHosts];
    let all = options.iter().flat_map(|option| {
        let patterns = rules.patterns(*option).iter().enumerate();
        patterns.filter(|(_, pattern)| pattern.holds_for_all()).map(move |(index, pattern)| {
            format!(
                "{option}[{index}] /{}/ says what a name must not be: it has to hold for every name of a connection",
                pattern.text().escape_default()
            )
        })
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowgate_options::registry::{OPTIONS, find};
    use flowgate_options::{Options, Source};

    /// The settings as text, after options were set.
    fn made_of(set: &[(&str, &str)]) -> String {
        let mut options = Options::default();
        for (name, value) in set {
            options.set(Source::Set, name, &[value]).unwrap();
        }
        let values = options.values();
        // Rule files are read elsewhere; that they count is tested with the watch.
        let settings = plain_settings(values, &sources(values, &RuleFiles::default())).unwrap();
        format!("{settings:?} {:?}", crate::flow_store::retention(values).ok())
    }

    #[test]
    fn what_counts_at_once_is_what_settings_are_made_of() {
        // Those of features and of TLS are tested where they are made.
        let elsewhere = |name| flowgate_addons::OPTIONS.contains(&name) || tls::OPTIONS.contains(&name);
        for spec in OPTIONS.iter().filter(|spec| !elsewhere(spec.name)) {
            let other = ["toggle", "lazy", "pass", "record", "1m", "2", "127.0.0.9", "a:b", "a:*:::1", "~q"];
            let mut base: &[(&str, &str)] = &[];
            if spec.name == "store_streamed_bodies" {
                base = &[("stream_large_bodies", "1k")];
            }
            let mut options = Options::default();
            let fits = |value: &&str| options.set(Source::Set, spec.name, &[value]).is_ok();
            let fits: Vec<_> = other.into_iter().filter(fits).collect();
            let differs = fits.iter().any(|value| {
                let with = [base, &[(spec.name, *value)]].concat();
                made_of(&with) != made_of(base)
            });
            assert_eq!(differs || spec.name == "rules", counts_at_once(spec.name), "{}: {fits:?}", spec.name);
        }
        assert!(AT_ONCE.iter().all(|name| find(name).is_ok()));
    }

    #[test]
    fn no_seconds_for_slow_clients_are_no_limit() {
        let said = |value| made_of(&[("slow_client_timeout", value)]).contains("slow_client_timeout: None");
        assert_eq!((said("0"), said("1"), said("30")), (true, false, false));
    }
}
