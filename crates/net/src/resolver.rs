//! Looking names up without the system: in the hosts file, and by asking name servers that do the searching (a stub resolver,
//! RFC 1034 section 5.3.1).
//!
//! Names are taken as they are: no search domain is put behind them. Answers are kept for as long as they say, failures are not:
//! what did not work a moment ago may be why somebody tries again. Not here: which of the addresses is connected to.
//!
//! The crate `hickory-resolver` does all this and more, at the price of four dozen crates, the tables of Unicode among them.

mod answer;
mod cache;
mod exchange;
mod hosts;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flowgate_flow::dns_text::{A, AAAA};
use flowgate_wire::dns::DnsEncodeError;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use crate::limits::{DNS_ALIASES_MAX, DNS_ATTEMPT_TIMEOUT, DNS_LOOKUP_TIMEOUT, DNS_QUERIES_MAX, DNS_ROUNDS};
use answer::{Answer, Found};
use cache::Cache;
use exchange::{AskError, Query};
use hosts::HostsFile;

/// The port of name servers.
pub const DNS_PORT: u16 = 53;
/// How much longer than for IPv4's we wait for a name's addresses of IPv6 (RFC 8305 section 3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// Where the system says who is asked.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where the system says what is known.
const HOSTS: &str = "/etc/hosts";

/// Looks names up.
#[derive(Debug)]
pub struct Resolver {
    /// Without any, those of the system.
    servers: Vec<SocketAddr>,
    hosts: Option<HostsFile>,
    state: State,
}

/// What look-ups learned.
#[derive(Default)]
struct State {
    cache: Cache,
    /// Which server answered last, by its number: one that does not is not waited for each time.
    preferred: AtomicUsize,
    queries: OnceLock<Arc<Semaphore>>,
}

impl std::fmt::Debug for State {
    /// Nothing of it: two resolvers that are set up alike look alike.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

/// Why a name could not be looked up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LookupError {
    /// Nobody is there to be asked.
    #[error("no name server is known")]
    NoServers,
    /// No name that could be asked for.
    #[error(transparent)]
    Name(#[from] DnsEncodeError),
    /// There is no such name.
    #[error("name server {server} says that there is no such name")]
    NoSuchName {
        /// Who says so.
        server: SocketAddr,
    },
    /// No server had an answer; this is what the last one did.
    #[error("name server {server}: {cause}")]
    Failed {
        /// Which.
        server: SocketAddr,
        /// What was wrong.
        cause: String,
    },
    /// A name that stands for another, and that for another, for ever.
    #[error(
        "name server {server} says that the name stands for another, and that for another, without an end"
    )]
    Aliases {
        /// Who says so.
        server: SocketAddr,
    },
}

impl Resolver {
    /// A resolver that asks these servers (without any, those of `/etc/resolv.conf`), in this order, the next if one has no answer.
    /// What `/etc/hosts` says counts before them if `use_hosts_file`.
    #[must_use]
    pub fn new(servers: Vec<SocketAddr>, use_hosts_file: bool) -> Self {
        Self::with_hosts(servers, use_hosts_file.then(|| HOSTS.into()))
    }

    fn with_hosts(servers: Vec<SocketAddr>, hosts: Option<PathBuf>) -> Self {
        Self { servers, hosts: hosts.map(HostsFile::new), state: State::default() }
    }

    /// The addresses of a name; none if it has none.
    ///
    /// # Errors
    /// If it could not be found out, or there is no such name.
    pub async fn addresses_of(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        if let Some(hosts) = &self.hosts
            && let Some(addresses) = hosts.addresses_of(host).await
        {
            return Ok(addresses);
        }
        if is_localhost(host) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let servers = self.servers().await?;
        let mut of_v4 = std::pin::pin!(self.lookup(host, A, &servers));
        let mut of_v6 = std::pin::pin!(self.lookup(host, AAAA, &servers));
        let (v4, v6) = tokio::select! {
            v6 = &mut of_v6 => (of_v4.await, v6),
            v4 = &mut of_v4 => {
                let v6 = match &v4 {
                    // Whoever has one of IPv4 is not kept waiting by a server that never heard of the other.
                    Ok(addresses) if !addresses.is_empty() => {
                        timeout(RESOLUTION_DELAY, of_v6).await.unwrap_or(Ok(Vec::new()))
                    }
                    _ => of_v6.await,
                };
                (v4, v6)
            }
        };
        together(v6, v4)
    }

    async fn servers(&self) -> Result<Vec<SocketAddr>, LookupError> {
        if !self.servers.is_empty() {
            return Ok(self.servers.clone());
        }
        let read = tokio::task::spawn_blocking(|| system_servers(Path::new(RESOLV_CONF))).await;
        read.ok().filter(|servers| !servers.is_empty()).ok_or(LookupError::NoServers)
    }

    /// Addresses of one kind.
    async fn lookup(
        &self,
        host: &str,
        kind: u16,
        servers: &[SocketAddr],
    ) -> Result<Vec<IpAddr>, LookupError> {
        let deadline = Instant::now() + DNS_LOOKUP_TIMEOUT;
        let mut query = Query::new(host, kind)?;
        if let Some(addresses) = self.state.cache.get(query.name(), kind) {
            return Ok(addresses);
        }
        let asked_for = query.name().to_owned();
        let mut ttl_max = u32::MAX;
        for _ in 0..DNS_ALIASES_MAX {
            let (server, found) = self.ask_all(&query, servers, deadline).await?;
            match found {
                Found::NoSuchName => return Err(LookupError::NoSuchName { server }),
                Found::Endless => return Err(LookupError::Aliases { server }),
                Found::Addresses { addresses, ttl } => {
                    self.state.cache.put(asked_for, kind, &addresses, ttl.min(ttl_max));
                    return Ok(addresses);
                }
                Found::Elsewhere { name, ttl } => {
                    ttl_max = ttl_max.min(ttl);
                    query = Query::new(&name, kind)?;
                }
            }
        }
        let server = servers.first().copied().ok_or(LookupError::NoServers)?;
        Err(LookupError::Aliases { server })
    }

    /// Asks one server after the other until one has an answer.
    async fn ask_all(
        &self,
        query: &Query,
        servers: &[SocketAddr],
        deadline: Instant,
    ) -> Result<(SocketAddr, Found), LookupError> {
        let preferred = self.state.preferred.load(Ordering::Relaxed);
        let mut last = LookupError::NoServers;
        for turn in 0..servers.len() * DNS_ROUNDS {
            let number = (preferred + turn) % servers.len();
            let Some(&server) = servers.get(number) else { continue };
            let until = deadline.min(Instant::now() + DNS_ATTEMPT_TIMEOUT);
            let cause = match timeout_at(until, self.ask(server, query)).await {
                Ok(Ok(answer)) => match answer.means(query) {
                    Ok(found) => {
                        self.state.preferred.store(number, Ordering::Relaxed);
                        return Ok((server, found));
                    }
                    Err(says) => says,
                },
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            last = LookupError::Failed { server, cause };
            if Instant::now() >= deadline {
                break;
            }
        }
        Err(last)
    }

    async fn ask(&self, server: SocketAddr, query: &Query) -> Result<Answer, AskError> {
        let queries = self.state.queries.get_or_init(|| Arc::new(Semaphore::new(DNS_QUERIES_MAX)));
        // Nobody closes it.
        let _permit = queries.acquire().await;
        exchange::ask(server, query).await
    }
}

/// Whether a name is this machine's for everybody (RFC 6761 section 6.3).
fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost"))
}

/// What is known of a name when both kinds were asked for: addresses in turns, IPv6 first (RFC 8305 section 4).
fn together(
    v6: Result<Vec<IpAddr>, LookupError>,
    v4: Result<Vec<IpAddr>, LookupError>,
) -> Result<Vec<IpAddr>, LookupError> {
    let (v6, v4) = match (v6, v4) {
        (Ok(v6), Ok(v4)) => (v6, v4),
        (Ok(some), Err(_)) | (Err(_), Ok(some)) if !some.is_empty() => return Ok(some),
        // That there is no such name says more than that a server failed.
        (Err(error @ LookupError::NoSuchName { .. }), _) | (_, Err(error)) | (Err(error), _) => {
            return Err(error);
        }
    };
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut all = Vec::with_capacity(v6.len() + v4.len());
    while v6.len() + v4.len() > 0 {
        all.extend(v6.next());
        all.extend(v4.next());
    }
    Ok(all)
}

/// The servers that `resolv.conf` names.
fn system_servers(path: &Path) -> Vec<SocketAddr> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let server = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (Some("nameserver"), Some(address)) = (words.next(), words.next()) else { return None };
        Some(SocketAddr::new(address.parse().ok()?, DNS_PORT))
    };
    text.lines().filter_map(server).collect()
}

#[cfg(test)]
mod tests;
