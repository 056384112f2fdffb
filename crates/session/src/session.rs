//! Starting and stopping a proxy as the options say.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flowgate_addons::{CaFiles, FeatureError, Features, Recordings};
use flowgate_logins::Unanswered;
use flowgate_net::BindError;
use flowgate_options::mode_spec::ModeSpec;
use flowgate_options::{Level, Values, expand_home};
use flowgate_policy::RulesError;
use flowgate_proxy::{Events, Instance, Proxy};
use flowgate_tls::{Authority, CaError, CaWarning, KeyLogError, LeavesError, TlsConfigError, TlsOptionError};
use thiserror::Error;

use crate::client_replay::ClientReplay;
use crate::configuration::{Configuration, ConfigurationError};
use crate::filters::case_from_env;
use crate::flow_store::BadRetention;
use crate::indexing::RetentionControl;
use crate::memory::MemoryKeeper;
use crate::read::{ReadFlowsError, read_flows};
use crate::rule_files::{RuleFiles, RuleFilesError};
use crate::settings::{notes, settings, sources};
use crate::tls::{Made, TlsMaker};
use crate::watch::{self, Watch, Watched};

/// A proxy that runs, or is about to.
pub struct Session {
    proxy: Arc<Proxy>,
    authority: Arc<Authority>,
    instances: Vec<(ModeSpec, Instance)>,
    /// Requests that are to be sent again.
    replay: ClientReplay,
    events: Arc<dyn Events>,
    /// Of config files and rule files.
    _watch: Watch,
    _memory: MemoryKeeper,
}

/// Why a session did not start. Nothing of it runs.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// A rule, or a pattern of a host option, cannot be compiled.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The options cannot be put together.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// An option of a feature cannot be put into effect.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// Nobody can be asked whether a client is who it says.
    #[error("option `proxyauth` cannot be put into effect")]
    Logins(#[from] Unanswered),
    /// Flows to answer from cannot be read.
    #[error("option `server_replay` cannot be put into effect")]
    Recordings(#[source] ReadFlowsError),
    /// Flows to send again cannot be read.
    #[error("option `client_replay` cannot be put into effect")]
    Replay(#[source] ReadFlowsError),
    /// There is no such flow.
    #[error("option `client_replay`: `{entry}` has no flow whose id begins with `{id}`")]
    NoFlow {
        /// The entry.
        entry: String,
        /// The id.
        id: String,
    },
    /// There are several.
    #[error("option `client_replay`: `{entry}` has several flows whose ids begin with `{id}`")]
    SeveralFlows {
        /// The entry.
        entry: String,
        /// The id.
        id: String,
    },
    /// Rule files cannot be read.
    #[error(transparent)]
    RuleFiles(#[from] RuleFilesError),
    /// `~` in a path, and no home directory.
    #[error("option `{option}`: there is no home directory for `{path}`")]
    NoHome {
        /// The option.
        option: &'static str,
        /// What it said.
        path: String,
    },
    /// There is no usable CA.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// Nothing could be minted with the CA.
    #[error(transparent)]
    Leaves(#[from] LeavesError),
    /// The trusted CAs cannot be read.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// An option about TLS cannot be put into effect.
    #[error(transparent)]
    TlsOption(#[from] TlsOptionError),
    /// The key log cannot be written.
    #[error(transparent)]
    KeyLog(#[from] KeyLogError),
    /// What the store is to keep cannot be read.
    #[error(transparent)]
    Retention(#[from] BadRetention),
    /// Two modes want one address.
    #[error("option `mode`: {first} and {second} would listen on the same address")]
    SameAddress {
        /// The mode that has it.
        first: String,
        /// The mode that wants it too.
        second: String,
    },
    /// An address cannot be listened at.
    #[error("{description} failed to listen")]
    Bind {
        /// The mode, as users read it.
        description: String,
        /// The mode as it was given, without where it listens.
        mode: String,
        /// The port that was asked for.
        port: u16,
        /// Whether the mode's own spec named the port.
        own_port: bool,
        /// Why.
        source: BindError,
    },
}

impl SessionError {
    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ca(err) => err.hint(),
            Self::Tls(err) => err.hint(),
            Self::TlsOption(err) => err.hint(),
            Self::NoHome { option, .. } => Some(format!("give `{option}` as an absolute path")),
            Self::Rules(RulesError::Pattern(_)) => {
                Some("patterns are regular expressions as in Python's `re`".to_owned())
            }
            Self::Feature(err) => err.hint(),
            Self::Configuration(err) => err.hint(),
            Self::RuleFiles(err) => err.hint(),
            Self::SameAddress { .. } => {
                Some("give one of them another port, as in `--mode regular@9090`".into())
            }
            Self::Bind { port, own_port, mode, source: BindError::Bind { source, .. }, .. } => {
                match source.kind() {
                    io::ErrorKind::AddrInUse => Some(another_port(mode, *port, *own_port)),
                    io::ErrorKind::PermissionDenied => {
                        Some("ports below 1024 need more rights; take a higher one".into())
                    }
                    io::ErrorKind::AddrNotAvailable => Some("this machine does not have that address".into()),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

fn another_port(mode: &str, port: u16, own_port: bool) -> String {
    let other = port.checked_add(2).unwrap_or(8080);
    let flag = if own_port { format!("--mode {mode}@{other}") } else { format!("-p {other}") };
    format!("another program listens there already; choose another port, such as `{flag}`")
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}

impl Session {
    /// Brings up everything short of accepting connections. With option `server` off nothing listens. `retention` is told what a store
    /// keeps when that changes.
    ///
    /// # Errors
    /// If any of it fails.
    pub async fn prepare(
        configuration: &Configuration,
        home: Option<&Path>,
        events: Arc<dyn Events>,
        retention: Option<RetentionControl>,
    ) -> Result<Self, SessionError> {
        let values = configuration.options().values();
        let files = RuleFiles::read(&values.rules, home, None)?;
        let features = Features::new(case_from_env(), home, Arc::clone(&events));
        let features = features.with_recordings(recordings(values, home)?);
        let settings = settings(values, &sources(values, &files), &features)?;
        if let Some(logins) = features.logins() {
            logins.probe().await?;
        }
        // A mistake is told also where there is no store.
        crate::flow_store::retention(values)?;
        let replay = ClientReplay::read(values, home)?;
        let (tls_maker, Made { tls, files: tls_files, notes: tls_notes }) = TlsMaker::new(values, home)?;
        let authority = Arc::clone(tls_maker.authority());
        features.set_ca_files(ca_files(&authority));
        for note in notes(&settings.rules).into_iter().chain(tls_notes) {
            events.log(Level::Info, None, format_args!("{note}"));
        }
        let proxy = Proxy::new(settings, tls.leaves, tls.client_configs, Arc::clone(&events));
        if !values.rules.is_empty() {
            watch::tell(&*events, &files);
        }
        let watched = Watched::new(
            configuration.clone(),
            home.map(Path::to_owned),
            files,
            features,
            Some((tls_maker, tls_files)),
            retention,
        );
        let watch = Watch::start(&proxy, Arc::clone(&events), watched);
        let mut instances: Vec<(ModeSpec, Instance)> = Vec::new();
        for mode in values.mode.iter().filter(|_| values.server) {
            // Every mode that runs today has an address.
            let Some((host, port)) = mode.listen_address(&values.listen_host, values.listen_port) else {
                continue;
            };
            let instance = Instance::bind(&proxy, mode, host, port).await.map_err(|source| {
                if let Some(first) = holder(&instances, mode, &source) {
                    return SessionError::SameAddress { first: first.to_string(), second: mode.to_string() };
                }
                SessionError::Bind {
                    description: mode.description(),
                    mode: mode.without_address().to_owned(),
                    port,
                    own_port: mode.listen_port.is_some(),
                    source,
                }
            })?;
            instances.push((mode.clone(), instance));
        }
        let memory = MemoryKeeper::start(&proxy);
        Ok(Self { proxy, authority, instances, replay, events, _watch: watch, _memory: memory })
    }

    /// What should be told at the start besides where we listen.
    #[must_use]
    pub fn warnings(&self) -> &[CaWarning] {
        self.authority.warnings()
    }

    /// The CA that clients have to trust.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// What listens, until it is started: each mode with its addresses.
    pub fn listening(&self) -> impl Iterator<Item = (&ModeSpec, Vec<SocketAddr>)> {
        self.instances.iter().map(|(mode, instance)| (mode, instance.addresses()))
    }

    /// Begins to accept; gives for each mode what a user reads about it.
    pub fn start(&mut self) -> Vec<String> {
        let proxy = Arc::clone(&self.proxy);
        // The first server would wait for it otherwise.
        tokio::task::spawn_blocking(move || proxy.load_roots());
        let listening = |mode: &ModeSpec, instance: &Instance| {
            let addresses: Vec<_> = instance.addresses().into_iter().map(shown).collect();
            let mut addresses = addresses;
            addresses.dedup();
            format!("{} listening at {}.", mode.description(), addresses.join(" and "))
        };
        self.instances
            .drain(..)
            .map(|(mode, instance)| {
                let line = listening(&mode, &instance);
                instance.start();
                line
            })
            .collect()
    }

    /// Sends the requests again that the options name; ends when all are over. A second call sends nothing.
    pub fn replay(&mut self) -> impl Future<Output = ()> + use<> {
        let (proxy, events) = (Arc::clone(&self.proxy), Arc::clone(&self.events));
        std::mem::take(&mut self.replay).run(proxy, events)
    }

    /// Stops accepting, lets what is in flight end within `grace`, and says whether all of it did.
    pub async fn shut_down(&self, grace: Duration) -> bool {
        self.proxy.shut_down(grace).await
    }
}

/// The CA's certificate as clients install it.
fn ca_files(authority: &Authority) -> CaFiles {
    let name = authority.certificate_file().file_stem().unwrap_or_default().to_string_lossy().into_owned();
    CaFiles {
        name,
        pem: authority.certificate_pem(),
        p12: authority.certificate_pkcs12(),
        sha256: authority.certificate_sha256(),
    }
}

/// The flows that requests are answered from. Blocks.
///
/// # Errors
/// If a file cannot be read, or not all of it.
pub(crate) fn recordings(values: &Values, home: Option<&Path>) -> Result<Recordings, SessionError> {
    let mut flows = Vec::new();
    for text in &values.server_replay {
        let path = path("server_replay", text, home)?;
        read_flows(&path, |flow| flows.push(flow)).map_err(SessionError::Recordings)?;
    }
    Ok(flows.into_iter().collect())
}

/// The mode of ours that holds the address for lack of which another could not listen.
fn holder<'a>(
    instances: &'a [(ModeSpec, Instance)],
    wanting: &ModeSpec,
    err: &BindError,
) -> Option<&'a ModeSpec> {
    let BindError::Bind { at, source } = err else { return None };
    let holds = |held: &SocketAddr| {
        held.port() == at.port()
            && held.is_ipv4() == at.is_ipv4()
            && (held.ip() == at.ip() || held.ip().is_unspecified() || at.ip().is_unspecified())
    };
    let (mode, _) = instances.iter().find(|(mode, instance)| {
        mode.takes_datagrams() == wanting.takes_datagrams() && instance.addresses().iter().any(holds)
    })?;
    (source.kind() == io::ErrorKind::AddrInUse).then_some(mode)
}

/// An address as users read it: `*:8080` for all of them.
fn shown(addr: SocketAddr) -> String {
    if addr.ip().is_unspecified() { format!("*:{}", addr.port()) } else { addr.to_string() }
}

/// A path that an option gave.
pub(crate) fn path(option: &'static str, text: &str, home: Option<&Path>) -> Result<PathBuf, SessionError> {
    expand_home(text, home).ok_or_else(|| SessionError::NoHome { option, path: text.to_owned() })
}
