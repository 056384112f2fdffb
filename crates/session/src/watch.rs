//! Rule files that change while the program runs: read again, and put in the place of the old rules as a whole.
//!
//! Looks at the files once a second, which works on every file system and needs no descriptor; without rule files
//! nothing looks at anything. A change that cannot be used leaves the old rules in force, and the event log says why.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use flowgate_options::{Level, Values};
use flowgate_proxy::{Events, Proxy, Settings};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::rule_files::RuleFiles;
use crate::session::SessionError;
use crate::settings::{settings, sources};

/// How often files are looked at.
pub const RULE_FILES_INTERVAL: Duration = Duration::from_secs(1);

/// Watches until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is needed to read the rules again.
pub(crate) struct Watched {
    pub(crate) values: Values,
    pub(crate) home: Option<PathBuf>,
    pub(crate) files: RuleFiles,
}

impl Watch {
    pub(crate) fn start(proxy: &Arc<Proxy>, events: Arc<dyn Events>, watched: Watched) -> Self {
        Self(tokio::spawn(watch(Arc::downgrade(proxy), events, watched)))
    }
}

async fn watch(proxy: Weak<Proxy>, events: Arc<dyn Events>, mut watched: Watched) {
    let mut ticks = interval(RULE_FILES_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Files may lie on a slow disk, and a list may be long.
        let Ok((back, changed)) = tokio::task::spawn_blocking(move || watched.look()).await else { return };
        watched = back;
        let Some(proxy) = proxy.upgrade() else { return };
        match changed {
            None => {}
            Some(Ok(settings)) => {
                proxy.change_settings(settings);
                tell(&*events, &watched.files);
            }
            Some(Err(error)) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                let cause = cause.unwrap_or_default();
                let line = format_args!("rules not reloaded, the old ones stay: {error}{cause}");
                events.log(Level::Warn, None, line);
            }
        }
    }
}

impl Watched {
    /// Reads the files again if one has changed.
    fn look(mut self) -> (Self, Option<Result<Settings, SessionError>>) {
        if !self.files.changed() {
            return (self, None);
        }
        let read = RuleFiles::read(&self.values.rules, self.home.as_deref(), Some(&self.files));
        let result = match read {
            Ok(files) => {
                let compiled = settings(&self.values, &sources(&self.values, &files));
                if compiled.is_ok() {
                    self.files = files;
                }
                compiled.map_err(SessionError::from)
            }
            Err(error) => Err(SessionError::from(error)),
        };
        if let Err(error) = &result {
            // Told once; the next change is another chance.
            let failure = if let SessionError::RuleFiles(failure) = error { Some(failure) } else { None };
            self.files.look_again(failure);
        }
        (self, Some(result))
    }
}

/// Says what rules are in force, and what was left out of lists.
pub(crate) fn tell(events: &dyn Events, files: &RuleFiles) {
    events.log(Level::Info, None, format_args!("rules: {}", files.summary()));
    for warning in files.warnings() {
        events.log(Level::Warn, None, format_args!("{warning}"));
    }
}
