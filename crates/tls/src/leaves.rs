//! Minting leaves, and the cache of those minted. Where the user has a certificate of his own, that is the leaf.
//!
//! Each set of names is minted once, however many ask at the same time: a place is taken in the cache under a short
//! lock, and filled outside of it. The cache is cut into shards, so that no lock is taken by every connection.
//!
//! Invariant: no lock is held while signing.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::NoClientAuth;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ResolvesServerCertUsingSni, ServerSessionMemoryCache};
use rustls::sign::{CertifiedKey, SigningKey};

use crate::authority::{new_key, new_rsa_key};
use crate::client_verifier::AskClients;
use crate::date::now;
use crate::limits::{CLIENT_SESSIONS_MAX, LEAVES_KEPT_MAX};
use crate::names::LeafNames;
use crate::x509::{Validity, new_leaf};
use crate::{Authority, KeyLogWriter, Leaf, LeafSpec, MintError, OwnCerts, Protocol};

const SHARDS: usize = 16;

/// Why no leaves can be minted at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeavesError {
    /// No key for the leaves.
    #[error("the system could not make a key for certificates")]
    Key,
    /// No configuration to answer clients with.
    #[error("cannot set up TLS for clients")]
    Tls(#[source] rustls::Error),
}

/// How leaves are kept and used.
#[derive(Clone, Debug)]
pub struct LeavesOptions {
    /// Leaves kept for reuse, at least one.
    pub capacity: usize,
    /// Where the secrets of client connections are written, if anywhere.
    pub key_log: Option<Arc<KeyLogWriter>>,
    /// What is spoken with clients.
    pub protocol: Protocol,
    /// Whether clients are asked for a certificate (mitmproxy: `request_client_cert`).
    pub request_client_cert: bool,
    /// Certificates that take the place of minted ones (mitmproxy: `certs`).
    pub own: OwnCerts,
}

impl Default for LeavesOptions {
    fn default() -> Self {
        Self {
            capacity: LEAVES_KEPT_MAX,
            key_log: None,
            protocol: Protocol::default(),
            request_client_cert: false,
            own: OwnCerts::default(),
        }
    }
}

/// What the cache has done so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LeafStats {
    /// Leaves in the cache now.
    pub kept: usize,
    /// Leaves minted since the start.
    pub minted: u64,
    /// Leaves thrown out to make room since the start.
    pub evicted: u64,
}

/// Mints leaves and keeps them.
#[derive(Debug)]
pub struct Leaves {
    authority: Arc<Authority>,
    /// The key of all leaves of this run. Not the CA's: what faces the network must not be what signs.
    key: Arc<dyn SigningKey>,
    public_key: Vec<u8>,
    base: Arc<ServerConfig>,
    own: OwnCerts,
    /// As leaves, by their place in `own`.
    own_leaves: Vec<Arc<Leaf>>,
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
    capacity_per_shard: usize,
    minted: AtomicU64,
    evicted: AtomicU64,
}

impl Leaves {
    /// Makes the key for all leaves of this run; keeps nothing yet.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new(authority: Arc<Authority>, options: LeavesOptions) -> Result<Self, LeavesError> {
        let new = if options.protocol.needs_rsa { new_rsa_key(2048) } else { new_key() };
        let key = aws_lc_rs::sign::any_supported_type(&new.ok_or(LeavesError::Key)?)
            .map_err(|_| LeavesError::Key)?;
        let public_key = key.public_key().ok_or(LeavesError::Key)?.to_vec();
        let capacity = options.capacity.max(1);
        let shards = SHARDS.min(capacity);
        let base = Arc::new(base_config(&options).map_err(LeavesError::Tls)?);
        let own_leaves = options.own.identities().iter();
        let own_leaves = own_leaves.filter_map(|identity| Leaf::of_identity(identity, base.clone()));
        let own_leaves = own_leaves.map(Arc::new).collect();
        Ok(Self {
            authority,
            key,
            public_key,
            base,
            own: options.own,
            own_leaves,
            hasher: RandomState::new(),
            shards: std::iter::repeat_with(Mutex::default).take(shards).collect(),
            capacity_per_shard: capacity / shards,
            minted: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
        })
    }

    /// The CA that signs them.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// The leaf for what is known of a server: the user's own, from the cache, or minted now.
    ///
    /// Minting takes some 30 µs under a P-256 CA and ten times as long under RSA-2048, on the calling thread; others
    /// that ask for the same names meanwhile wait for it.
    ///
    /// # Errors
    /// When the facts hold no valid name, or the CA does not sign. Neither is remembered.
    pub fn leaf(&self, spec: &LeafSpec<'_>) -> Result<Arc<Leaf>, MintError> {
        self.leaf_at(spec, now())
    }

    /// Figures for statistics and tests.
    pub fn stats(&self) -> LeafStats {
        LeafStats {
            kept: self.shards.iter().map(|shard| lock(shard).slots.len()).sum(),
            minted: self.minted.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn leaf_at(&self, spec: &LeafSpec<'_>, now: u64) -> Result<Arc<Leaf>, MintError> {
        if let Some(own) = self.own(spec) {
            return Ok(own.clone());
        }
        let names = LeafNames::of(spec).ok_or(MintError::NoName)?;
        let shard = self.shard(&names).ok_or(MintError::NoName)?;
        let (slot, evicted) = lock(shard).slot(names, now, self.capacity_per_shard);
        if evicted {
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        let outcome = slot.leaf.get_or_init(|| self.mint(&slot.names, now));
        if outcome.is_err() {
            lock(shard).remove(&slot);
        }
        outcome.clone()
    }

    fn own(&self, spec: &LeafSpec<'_>) -> Option<&Arc<Leaf>> {
        // Without any there is nothing to look up.
        if self.own_leaves.is_empty() {
            return None;
        }
        self.own_leaves.get(self.own.find(spec)?)
    }

    fn shard(&self, names: &LeafNames) -> Option<&Mutex<Shard>> {
        let index = self.hasher.hash_one(names) as usize % self.shards.len();
        self.shards.get(index)
    }

    fn mint(&self, names: &LeafNames, now: u64) -> Result<Arc<Leaf>, MintError> {
        let issuer = self.authority.issuer();
        let validity = Validity::of_leaf(now, issuer.not_after);
        let certificate = new_leaf(&issuer, names, &self.public_key, validity)?;
        let mut chain = vec![certificate.clone()];
        chain.extend_from_slice(self.authority.chain());
        self.minted.fetch_add(1, Ordering::Relaxed);
        let key = CertifiedKey::new(chain, self.key.clone());
        Ok(Arc::new(Leaf::new(key, certificate, self.base.clone(), validity, now)))
    }
}

/// A place in the cache: the first who comes mints, the others wait.
#[derive(Debug)]
struct Slot {
    names: Arc<LeafNames>,
    leaf: OnceLock<Result<Arc<Leaf>, MintError>>,
}

impl Slot {
    fn new(names: Arc<LeafNames>) -> Arc<Self> {
        Arc::new(Self { names, leaf: OnceLock::new() })
    }
}

/// Some of the places. Makes room as a clock does: the oldest goes, unless it was asked for since it was last looked
/// at, then it counts as new.
#[derive(Debug, Default)]
struct Shard {
    slots: HashMap<Arc<LeafNames>, Place>,
    /// The keys of `slots`, oldest first.
    order: VecDeque<Arc<LeafNames>>,
}

#[derive(Debug)]
struct Place {
    slot: Arc<Slot>,
    used: bool,
}

impl Shard {
    /// The place of these names, and whether another had to go for it. Too old a leaf counts as none.
    fn slot(&mut self, names: LeafNames, now: u64, capacity: usize) -> (Arc<Slot>, bool) {
        if let Some(place) = self.slots.get_mut(&names) {
            place.used = true;
            if matches!(place.slot.leaf.get(), Some(Ok(leaf)) if !leaf.is_fresh(now)) {
                place.slot = Slot::new(place.slot.names.clone());
            }
            return (place.slot.clone(), false);
        }
        let evicted = self.slots.len() >= capacity && self.evict();
        let names = Arc::new(names);
        let slot = Slot::new(names.clone());
        self.order.push_back(names.clone());
        self.slots.insert(names, Place { slot: slot.clone(), used: false });
        (slot, evicted)
    }

    fn evict(&mut self) -> bool {
        // Each turn takes a mark away or a place out, so this ends after one round at the latest.
        while let Some(oldest) = self.order.pop_front() {
            match self.slots.get_mut(&oldest) {
                Some(place) if place.used => {
                    place.used = false;
                    self.order.push_back(oldest);
                }
                _ => return self.slots.remove(&oldest).is_some(),
            }
        }
        false
    }

    /// Forgets a place whose minting failed, so that the next who asks tries again.
    fn remove(&mut self, slot: &Arc<Slot>) {
        if self.slots.get(&*slot.names).is_some_and(|place| Arc::ptr_eq(&place.slot, slot)) {
            self.slots.remove(&*slot.names);
            self.order.retain(|names| *names != slot.names);
        }
    }
}

/// A thread that panicked has left nothing half done in a shard: each change there is complete before the next call.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all leaves share: versions, tickets, sessions, key log. Names no certificate yet.
fn base_config(options: &LeavesOptions) -> Result<ServerConfig, rustls::Error> {
    let protocol = &options.protocol;
    let ask: Arc<dyn ClientCertVerifier> = match options.request_client_cert {
        true => Arc::new(AskClients(protocol.provider.clone())),
        false => Arc::new(NoClientAuth),
    };
    let mut config = ServerConfig::builder_with_provider(protocol.provider.clone())
        .with_protocol_versions(&protocol.versions)?
        .with_client_cert_verifier(ask)
        .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.session_storage = ServerSessionMemoryCache::new(CLIENT_SESSIONS_MAX);
    config.ignore_client_order = protocol.own_order;
    if let Some(key_log) = &options.key_log {
        config.key_log = key_log.clone();
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn an_old_leaf_is_minted_anew_before_it_expires() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Arc::new(Authority::load_or_create(dir.path()).unwrap());
        let leaves = Leaves::new(authority, LeavesOptions::default()).unwrap();
        let spec = LeafSpec { server_name: Some("shop.test"), ..LeafSpec::default() };
        let start = now();
        let minted_by = |at: u64| {
            leaves.leaf_at(&spec, at).unwrap();
            leaves.stats().minted
        };
        for (at, expected) in [
            (start, 1),
            (start + 98 * DAY, 1),
            (start + 99 * DAY, 2), // half of 197 days is over
            (start + 150 * DAY, 2),
            (start + 90 * DAY, 3), // the clock was set back: the leaf is not valid yet
        ] {
            assert_eq!(minted_by(at), expected, "day {}", (at - start) / DAY);
        }
        assert_eq!(leaves.stats().kept, 1);
    }

    #[test]
    fn a_failure_leaves_no_trace_in_a_shard() {
        let mut shard = Shard::default();
        let names =
            |name| LeafNames::of(&LeafSpec { server_name: Some(name), ..LeafSpec::default() }).unwrap();
        let (failed, _) = shard.slot(names("a.test"), 0, 2);
        shard.remove(&failed);
        assert!(shard.slots.is_empty() && shard.order.is_empty());
        let (fresh, _) = shard.slot(names("a.test"), 0, 2);
        shard.remove(&failed);
        assert!(Arc::ptr_eq(&fresh, &shard.slot(names("a.test"), 0, 2).0), "another's place is left alone");
    }

    #[test]
    fn the_oldest_goes_unless_it_was_used() {
        let mut shard = Shard::default();
        let mut ask = |name| {
            let names = LeafNames::of(&LeafSpec { server_name: Some(name), ..LeafSpec::default() }).unwrap();
            let evicted = shard.slot(names, 0, 2).1;
            let mut kept: Vec<_> =
                shard.slots.keys().map(|names| names.sans().next().unwrap().to_string()).collect();
            kept.sort();
            (kept.join(" "), evicted)
        };
        for (name, kept, evicted) in [
            ("a", "a", false),
            ("b", "a b", false),
            ("a", "a b", false),
            ("c", "a c", true),
            ("d", "c d", true), // the mark of `a` was used up; `c` is younger
        ] {
            assert_eq!(ask(name), (kept.into(), evicted), "{name}");
        }
    }
}
