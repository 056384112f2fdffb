//! What a check says of each flow it means.

use std::ops::RangeInclusive;

use flowgate_policy::HostSet;
use flowgate_store::{Columns, Row};

use crate::durations::DurationBound;
use crate::groups::{Bounds, Per};
use crate::schema::Schema;

/// Statuses that are fine.
pub(crate) type StatusRange = RangeInclusive<u16>;

/// One thing that has to hold.
#[derive(Debug)]
pub(crate) enum Assertion {
    /// There are so many flows, all together or in each group.
    Count(Bounds, Per),
    /// There is none; the text says what one would be.
    Never(String),
    /// Each goes to one of these hosts, or (with a field's name) only those that carry this field do.
    OnlyHosts(HostSet, Option<String>),
    /// Each has a response with one of these statuses.
    Status(Vec<StatusRange>),
    /// Each, or so many of a hundred, take no longer.
    Duration(Vec<DurationBound>),
    /// Each has a body that fits.
    Schema(Box<Schema>),
}

impl Assertion {
    /// The schema, if the flow's body is held against one.
    pub(crate) fn judge(&self) -> Option<&Schema> {
        match self {
            Self::Schema(schema) => Some(schema),
            _ => None,
        }
    }

    /// What it looks at in a flow's row.
    pub(crate) const fn columns(&self) -> Columns {
        match self {
            Self::Count(_, per) => match per {
                Per::All => Columns::NONE,
                Per::Host => Columns::SITE.and(Columns::DESTINATION),
                Per::Url => Columns::URL.and(Columns::DESTINATION),
                Per::Endpoint => Columns::METHOD.and(Columns::URL).and(Columns::DESTINATION),
                Per::Client => Columns::SOURCE,
            },
            Self::OnlyHosts(..) => Columns::SITE.and(Columns::DESTINATION).and(Columns::SNI),
            Self::Status(_) => Columns::STATUS,
            Self::Duration(_) => Columns::DURATION,
            Self::Never(_) | Self::Schema(_) => Columns::NONE,
        }
    }
}

/// The host that a flow went to: the name or address that was connected to, not the Host field. A client may write anything
/// there.
pub(crate) fn host(row: &Row) -> Option<String> {
    match &row.site {
        Some((host, _)) => Some(String::from_utf8_lossy(host).into_owned()),
        None => row.destination.as_deref().map(|destination| host_of(destination).to_owned()),
    }
}

/// What is wrong with the host that a flow went to. Where only an address is known (transparent mode), the name in the TLS hello
/// counts too, but of decrypted flows alone: for that name their server had to show a certificate.
pub(crate) fn foreign_host(row: &Row, hosts: &HostSet) -> Option<String> {
    let Some(host) = host(row) else { return Some("no host".to_owned()) };
    if hosts.contains(&host) {
        return None;
    }
    let is_address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    match row.sni.as_deref().filter(|_| is_address && row.site.is_some()) {
        Some(sni) if hosts.contains(sni) => None,
        Some(sni) => Some(format!("{sni} ({host})")),
        None => Some(host),
    }
}

/// `host` of `host:port`.
pub(crate) fn host_of(destination: &str) -> &str {
    destination.rsplit_once(':').map_or(destination, |(host, _)| host)
}

/// What is wrong with the status of a flow.
pub(crate) fn wrong_status(row: &Row, fine: &[StatusRange]) -> Option<String> {
    match row.status {
        Some(status) if fine.iter().any(|range| range.contains(&status)) => None,
        Some(status) => Some(format!("status {status}")),
        None => Some("no response".to_owned()),
    }
}
