//! The features that the options ask for, as addons in the order in which they act.
//!
//! The order is mitmproxy's: what its addons do when a request's head is there comes first, then what they do when the request
//! is there. Features that nobody asked for are not in the list, and cost nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use flowgate_filter::{Case, Filter};
use flowgate_logins::Logins;
use flowgate_options::mode_spec::Mode;
use flowgate_options::{Values, expand_home};
use flowgate_proxy::{Addon, Events};
use flowgate_tls::ServerVerification;

use crate::block_list::BlockList;
use crate::error::{FeatureError, FeatureFault};
use crate::faults::Faults;
use crate::log::Log;
use crate::map_local::MapLocal;
use crate::map_remote::MapRemote;
use crate::modify_body::ModifyBody;
use crate::modify_headers::ModifyHeaders;
use crate::on_request::OnRequest;
use crate::onboarding::{CaFiles, Onboarding};
use crate::private_targets::PrivateTargets;
use crate::proxy_auth::ProxyAuth;
use crate::server_replay::{Index, Recordings, ServerReplay};
use crate::small_edits::{AltSvc, AntiCache, AntiComp};
use crate::sticky_auth::{Seen, StickyAuth};
use crate::sticky_cookie::{Jar, StickyCookie};

/// What features need of the run they are in, and what they remember when options change.
#[derive(Clone, Debug)]
pub struct Features {
    case: Case,
    home: Option<PathBuf>,
    log: Log,
    jar: Arc<Mutex<Jar>>,
    seen: Arc<Mutex<Seen>>,
    recordings: Arc<Recordings>,
    index: Arc<Mutex<Option<Arc<Index>>>>,
    logins: Arc<Mutex<Option<Arc<Logins>>>>,
    ca_files: Arc<OnceLock<CaFiles>>,
}

/// The options that features are made of.
pub const OPTIONS: [&str; 28] = [
    "anticache",
    "anticomp",
    "block_list",
    "block_private_targets",
    "faults",
    "faults_seed",
    "keep_alt_svc_header",
    "map_local",
    "map_remote",
    "modify_body",
    "modify_headers",
    "onboarding",
    "onboarding_host",
    "proxyauth",
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
    "stickyauth",
    "stickycookie",
];

impl Features {
    /// Features of a run. `home` is what `~` means in paths.
    #[must_use]
    pub fn new(case: Case, home: Option<&Path>, events: Arc<dyn Events>) -> Self {
        let (jar, seen, recordings, index, logins, ca_files) = Default::default();
        let (home, log) = (home.map(Path::to_owned), Log::new(events));
        Self { case, home, log, jar, seen, recordings, index, logins, ca_files }
    }

    /// Says what `onboarding` hands out. The addons that were made already do so, too: what they are made of is checked before there
    /// has to be a CA. Only the first call counts.
    pub fn set_ca_files(&self, files: CaFiles) {
        // The CA stays the same as long as a run lasts.
        let _ = self.ca_files.set(files);
    }

    /// The same with other flows to answer from (`server_replay`).
    #[must_use]
    pub fn with_recordings(self, recordings: Recordings) -> Self {
        Self { recordings: Arc::new(recordings), ..self }
    }

    /// The recordings by key; those that are in use if nothing of them changes.
    fn index(&self, values: &Values) -> Arc<Index> {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = index.as_ref().filter(|index| index.is_of(&self.recordings, values)) {
            return Arc::clone(index);
        }
        let made = Arc::new(Index::new(Arc::clone(&self.recordings), values));
        *index = Some(Arc::clone(&made));
        made
    }

    /// Who may use the proxy, if that is asked.
    #[must_use]
    pub fn logins(&self) -> Option<Arc<Logins>> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who these options say may use the proxy: what is in use if nothing of it changes.
    fn logins_of(&self, values: &Values) -> Result<Option<Arc<Logins>>, FeatureError> {
        let fails =
            |fault| FeatureError { option: "proxyauth", entry: None, column: None, fault: Box::new(fault) };
        let Some(spec) = &values.proxyauth else { return Ok(None) };
        let home = self.home.as_deref();
        let trusted = |path: &Option<String>| {
            let path = path.as_deref();
            path.map(|path| expand_home(path, home).ok_or_else(|| fails(FeatureFault::NoHome))).transpose()
        };
        let verification = ServerVerification {
            insecure: values.ssl_insecure,
            extra_ca_file: trusted(&values.ssl_verify_upstream_trusted_ca)?,
            extra_ca_dir: trusted(&values.ssl_verify_upstream_trusted_confdir)?,
            ..ServerVerification::default()
        };
        if let Some(logins) = self.logins().filter(|logins| logins.is_of(spec, &verification)) {
            return Ok(Some(logins));
        }
        let made =
            Logins::new(spec, home, verification).map_err(|error| fails(FeatureFault::Logins(error)))?;
        Ok(Some(Arc::new(made)))
    }

    /// The addons that these options ask for. Reads files that options name.
    ///
    /// # Errors
    /// The first mistake in an option.
    pub fn addons(&self, values: &Values) -> Result<Vec<Arc<dyn Addon>>, FeatureError> {
        let (case, home) = (self.case, self.home.as_deref());
        let log = || self.log.clone();
        let mut addons: Vec<Arc<dyn Addon>> = Vec::new();
        let logins = self.logins_of(values)?;
        if let Some(logins) = &logins {
            addons.push(Arc::new(ProxyAuth::new(Arc::clone(logins), log())));
        }
        let faults = Faults::parse(&values.faults, case, values.faults_seed)?;
        if !faults.is_empty() {
            addons.push(Arc::new(faults));
        }
        let modify_headers = ModifyHeaders::parse(&values.modify_headers, case, home, log())?;
        if !modify_headers.is_empty() {
            addons.push(Arc::new(modify_headers));
        }
        let block_list = BlockList::parse(&values.block_list, case)?;
        if !block_list.is_empty() {
            addons.push(Arc::new(OnRequest(block_list)));
        }
        if values.onboarding && !values.onboarding_host.is_empty() {
            addons.push(Arc::new(Onboarding::new(&values.onboarding_host, Arc::clone(&self.ca_files))));
        }
        if values.block_private_targets {
            addons.push(Arc::new(PrivateTargets));
        }
        if values.anticache {
            addons.push(Arc::new(AntiCache));
        }
        if values.anticomp {
            addons.push(Arc::new(AntiComp));
        }
        if !values.server_replay.is_empty() {
            addons.push(Arc::new(ServerReplay::new(self.index(values), values, log())));
        }
        let map_remote = MapRemote::parse(&values.map_remote, case, log())?;
        if !map_remote.is_empty() {
            addons.push(Arc::new(OnRequest(map_remote)));
        }
        let map_local = MapLocal::parse(&values.map_local, case, home, log())?;
        if !map_local.is_empty() {
            addons.push(Arc::new(OnRequest(map_local)));
        }
        let modify_body = ModifyBody::parse(&values.modify_body, case, home, log())?;
        if !modify_body.is_empty() {
            addons.push(Arc::new(modify_body));
        }
        if let Some(filter) = self.filter("stickyauth", values.stickyauth.as_deref())? {
            addons.push(Arc::new(OnRequest(StickyAuth::new(filter, Arc::clone(&self.seen)))));
        }
        if let Some(filter) = self.filter("stickycookie", values.stickycookie.as_deref())? {
            addons.push(Arc::new(OnRequest(StickyCookie::new(filter, Arc::clone(&self.jar)))));
        }
        if !values.keep_alt_svc_header && values.mode.iter().any(|mode| matches!(mode.mode, Mode::Reverse(_)))
        {
            addons.push(Arc::new(AltSvc));
        }
        *self.logins.lock().unwrap_or_else(PoisonError::into_inner) = logins;
        Ok(addons)
    }

    fn filter(&self, option: &'static str, text: Option<&str>) -> Result<Option<Filter>, FeatureError> {
        let Some(text) = text else { return Ok(None) };
        Filter::parse(text, self.case).map(Some).map_err(|error| FeatureError {
            option,
            entry: None,
            column: Some(error.column),
            fault: Box::new(FeatureFault::Filter(error)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowgate_options::{Options, Source};

    fn names(set: &[(&str, &str)]) -> Vec<String> {
        let mut options = Options::default();
        // The one that is there unless somebody says otherwise.
        options.set(Source::Set, "onboarding", &["false"]).unwrap();
        for (name, value) in set {
            options.set(Source::Set, name, &[value]).unwrap();
        }
        let features = Features {
            case: Case::Ignored,
            home: None,
            log: Log::silent(),
            jar: Arc::default(),
            seen: Arc::default(),
            recordings: Arc::default(),
            index: Arc::default(),
            logins: Arc::default(),
            ca_files: Arc::default(),
        };
        let addons = features.addons(options.values()).unwrap();
        addons.iter().map(|addon| addon.name().to_owned()).collect()
    }

    #[test]
    fn only_what_is_asked_for_in_the_order_that_is_documented() {
        assert!(names(&[]).is_empty());
        let all = [
            ("stickycookie", "~all"),
            ("stickyauth", "~all"),
            ("modify_body", "/a/b"),
            ("map_local", "|a|/"),
            ("map_remote", "/a/b"),
            ("server_replay", "flows"),
            ("anticomp", "true"),
            ("anticache", "true"),
            ("block_private_targets", "true"),
            ("onboarding", "true"),
            ("block_list", "/~q/403"),
            ("modify_headers", "/a/b"),
            ("proxyauth", "any"),
            ("faults", "/reset"),
        ];
        let order = [
            "proxyauth",
            "faults",
            "modify_headers",
            "block_list",
            "onboarding",
            "block_private_targets",
            "anticache",
            "anticomp",
            "server_replay",
            "map_remote",
            "map_local",
            "modify_body",
            "stickyauth",
            "stickycookie",
        ];
        assert_eq!(names(&all), order);
        assert_eq!(names(&[("mode", "reverse:http://a.test")]), ["update_alt_svc"]);
        assert!(names(&[("mode", "reverse:http://a.test"), ("keep_alt_svc_header", "true")]).is_empty());
        for (name, value) in all {
            assert!(OPTIONS.contains(&name) && names(&[(name, value)]).len() == 1, "{name}");
        }
        let of_replay = OPTIONS.iter().filter(|name| name.starts_with("server_replay_")).count();
        assert_eq!(OPTIONS.len(), all.len() + 3 + of_replay);
    }
}
