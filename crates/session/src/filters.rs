//! Filters put to work: letter case as the environment says.

use flowgate_filter::Case;

/// Letter case does not count in filters unless `MITMPROXY_CASE_SENSITIVE_FILTERS` is `1`, as for mitmproxy. Reads the
/// environment: ask once, at the start.
#[must_use]
pub fn case_from_env() -> Case {
    let variable = std::env::var_os("MITMPROXY_CASE_SENSITIVE_FILTERS");
    if variable.is_some_and(|value| value == "1") { Case::Sensitive } else { Case::Ignored }
}
