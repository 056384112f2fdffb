//! Files that change while the program runs: config files, and the rule files they name. They are read again, and what they say
//! takes the place of what they said before, as a whole.
//!
//! Looks at the files once a second, which works on every file system and needs no descriptor. A change counts when the
//! next look finds it unchanged, lest half a file be read. One that cannot be used leaves everything as it was, and the event
//! log says why. Connections keep what they began with.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use flowgate_addons::Features;
use flowgate_options::{Level, Values};
use flowgate_proxy::{Events, Proxy, Settings, Tls};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::configuration::{Changed, Configuration, ConfigurationError, Effect};
use crate::flow_store::retention;
use crate::indexing::RetentionControl;
use crate::login_file::LoginFile;
use crate::rule_files::RuleFiles;
use crate::session::{SessionError, recordings};
use crate::settings::{settings, sources};
use crate::settling::Settling;
use crate::tls::{self, Made, TlsMaker};
use crate::tls_files::TlsFiles;

/// How often files are looked at.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Watches until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is in force, and what is needed to read it again.
pub(crate) struct Watched {
    configuration: Configuration,
    home: Option<PathBuf>,
    files: RuleFiles,
    features: Features,
    /// `None` in tests that have no CA.
    tls: Option<(TlsMaker, TlsFiles)>,
    retention: Option<RetentionControl>,
    config_settling: Settling,
    rules_settling: Settling,
    login_file: LoginFile,
}

/// What a look at the files found.
#[derive(Default)]
struct Found {
    /// What is to be in force from now on.
    settings: Option<Settings>,
    /// TLS, if that is another one, too.
    tls: Option<Tls>,
    /// What is to be told.
    lines: Vec<(Level, String)>,
}

impl Watch {
    pub(crate) fn start(proxy: &Arc<Proxy>, events: Arc<dyn Events>, watched: Watched) -> Self {
        Self(tokio::spawn(watch(Arc::downgrade(proxy), events, watched)))
    }
}

async fn watch(proxy: Weak<Proxy>, events: Arc<dyn Events>, mut watched: Watched) {
    let mut ticks = interval(WATCH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Files may lie on a slow disk, and a list may be long.
        let Ok((back, found)) = tokio::task::spawn_blocking(move || watched.look()).await else { return };
        watched = back;
        let Some(proxy) = proxy.upgrade() else { return };
        match (found.settings, found.tls) {
            (Some(settings), tls) => proxy.change(settings, tls),
            (None, Some(tls)) => proxy.change_tls(tls),
            (None, None) => {}
        }
        for (level, line) in found.lines {
            if events.logs(level) {
                events.log(level, None, format_args!("{line}"));
            }
        }
    }
}

impl Watched {
    pub(crate) fn new(
        configuration: Configuration,
        home: Option<PathBuf>,
        files: RuleFiles,
        features: Features,
        tls: Option<(TlsMaker, TlsFiles)>,
        retention: Option<RetentionControl>,
    ) -> Self {
        let (config_settling, rules_settling) = Default::default();
        let login_file = LoginFile::of(&features);
        Self {
            configuration,
            home,
            files,
            features,
            tls,
            retention,
            config_settling,
            rules_settling,
            login_file,
        }
    }

    /// Reads again what has changed.
    fn look(mut self) -> (Self, Found) {
        let mut found = Found::default();
        if self.configuration.has_changed() && self.config_settling.is_settled(self.configuration.looks()) {
            self.read_configuration(&mut found);
        }
        if self.files.changed() && self.rules_settling.is_settled(self.files.looks()) {
            self.read_rules(&mut found);
        }
        self.read_certificates(&mut found);
        found.lines.extend(self.login_file.look(&self.features));
        (self, found)
    }

    fn read_certificates(&mut self, found: &mut Found) {
        let Some((maker, files)) = &mut self.tls else { return };
        let Some(changed) = files.changed() else { return };
        match maker.make(self.configuration.options().values()) {
            Ok(made) => {
                made.tls.client_configs.load_roots();
                *files = made.files;
                found.tls = Some(made.tls);
                found.lines.push((Level::Info, format!("read again for new connections: {changed}")));
                found.lines.extend(made.notes.into_iter().map(|note| (Level::Info, note)));
            }
            Err(error) => {
                let line = format!("certificates not read again, the old ones stay: {}", told(&error));
                found.lines.push((Level::Error, line));
            }
        }
    }

    fn read_configuration(&mut self, found: &mut Found) {
        let again = self.configuration.read_again();
        let mut lines = Vec::new();
        match again.map_err(SessionError::from).and_then(|next| self.adopt(next, &mut lines)) {
            Ok((settings, tls)) => {
                found.settings = Some(settings);
                found.tls = tls;
                found.lines.extend(lines);
            }
            Err(error) => {
                // Told once; the next change is another chance.
                self.configuration.note();
                let why = told(&error);
                let is_gone = matches!(&error, SessionError::Configuration(ConfigurationError::Gone { .. }));
                let level = if is_gone { Level::Warn } else { Level::Error };
                found.lines.push((level, format!("options not reloaded, the old ones stay: {why}")));
            }
        }
    }

    /// Puts other options in the place of the old ones.
    fn adopt(
        &mut self,
        next: Configuration,
        lines: &mut Vec<(Level, String)>,
    ) -> Result<(Settings, Option<Tls>), SessionError> {
        let values = next.options().values();
        let has_other_files = values.rules != self.configuration.options().values().rules;
        let other_files = has_other_files
            .then(|| RuleFiles::read(&values.rules, self.home.as_deref(), Some(&self.files)))
            .transpose()?;
        let source = sources(values, other_files.as_ref().unwrap_or(&self.files));
        let has_other_recordings =
            values.server_replay != self.configuration.options().values().server_replay;
        let features = if has_other_recordings {
            self.features.clone().with_recordings(recordings(values, self.home.as_deref())?)
        } else {
            self.features.clone()
        };
        let settings = settings(values, &source, &features)?;
        let retention = retention(values)?;
        let made = self.other_tls(values)?;
        self.features = features;
        let changes = next.changes_since(&self.configuration);
        lines.extend(tell_changes(&changes));
        let tls = made.map(|made| {
            lines.extend(made.notes.into_iter().map(|note| (Level::Info, note)));
            if let Some((_, files)) = &mut self.tls {
                *files = made.files;
            }
            made.tls
        });
        if let Some(files) = other_files {
            self.files = files;
            lines.extend(tell_rules(&self.files));
        }
        if let Some(control) = &self.retention {
            control.set(retention);
        }
        self.configuration = next;
        Ok((settings, tls))
    }

    /// TLS, if these options make another one.
    fn other_tls(&self, values: &Values) -> Result<Option<Made>, SessionError> {
        let Some((maker, _)) = &self.tls else { return Ok(None) };
        if !tls::differs(values, self.configuration.options().values()) {
            return Ok(None);
        }
        let made = maker.make(values)?;
        // The first server would wait for it otherwise.
        made.tls.client_configs.load_roots();
        Ok(Some(made))
    }

    fn read_rules(&mut self, found: &mut Found) {
        let values = self.configuration.options().values();
        let read = RuleFiles::read(&values.rules, self.home.as_deref(), Some(&self.files));
        let result = read.map_err(SessionError::from).and_then(|files| {
            let compiled = settings(values, &sources(values, &files), &self.features)?;
            self.files = files;
            Ok(compiled)
        });
        match result {
            Ok(settings) => {
                found.settings = Some(settings);
                found.lines.extend(tell_rules(&self.files));
            }
            Err(error) => {
                // Told once; the next change is another chance.
                let failure =
                    if let SessionError::RuleFiles(failure) = &error { Some(failure) } else { None };
                self.files.look_again(failure);
                let line = format!("rules not reloaded, the old ones stay: {}", told(&error));
                found.lines.push((Level::Warn, line));
            }
        }
    }
}

/// An error and its cause.
fn told(error: &SessionError) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// What became of each option.
fn tell_changes(changes: &[Changed]) -> impl Iterator<Item = (Level, String)> {
    let of = |effect| {
        let names = changes.iter().filter(move |change| change.effect == effect);
        let names: Vec<_> = names.map(|change| format!("`{}`", change.option)).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let lines = [
        of(Effect::Now).map(|names| (Level::Info, format!("options reloaded for new connections: {names}"))),
        of(Effect::ForAll).map(|names| (Level::Info, format!("options reloaded: {names}"))),
        of(Effect::Overridden)
            .map(|names| (Level::Warn, format!("options that stay as the command line says: {names}"))),
        of(Effect::AtNextStart)
            .map(|names| (Level::Warn, format!("options that count from the next start on: {names}"))),
    ];
    lines.into_iter().flatten()
}

/// What rules are in force, and what was left out of lists.
fn tell_rules(files: &RuleFiles) -> Vec<(Level, String)> {
    let warnings = files.warnings().iter().map(|warning| (Level::Warn, warning.clone()));
    std::iter::once((Level::Info, format!("rules: {}", files.summary()))).chain(warnings).collect()
}

/// Says what rules are in force at the start.
pub(crate) fn tell(events: &dyn Events, files: &RuleFiles) {
    for (level, line) in tell_rules(files) {
        events.log(level, None, format_args!("{line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Nobody;
    use flowgate_filter::Case;
    use flowgate_store::Retention;
    use std::fs;

    struct Folder {
        folder: tempfile::TempDir,
        watched: Option<Watched>,
    }

    impl Folder {
        fn new(config: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("config.yaml"), config).unwrap();
            let configuration = Configuration::read(folder.path(), Vec::new()).unwrap();
            let files = RuleFiles::read(&configuration.options().values().rules, None, None).unwrap();
            let features = Features::new(Case::Ignored, None, Arc::new(Nobody));
            Self { folder, watched: Some(Watched::new(configuration, None, files, features, None, None)) }
        }

        fn write(&self, name: &str, text: &str) -> String {
            let path = self.folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        }

        /// A look: whether there are other settings, and what is told.
        fn look(&mut self) -> (bool, String) {
            let (watched, found) = self.watched.take().unwrap().look();
            self.watched = Some(watched);
            let lines: Vec<_> = found.lines.iter().map(|(level, line)| format!("{level:?} {line}")).collect();
            (
                found.settings.is_some(),
                lines.join("\n").replace(&*self.folder.path().to_string_lossy(), "DIR"),
            )
        }

        fn ignores(&self) -> &[String] {
            &self.watched.as_ref().unwrap().configuration.options().values().ignore_hosts
        }
    }

    const NOTHING: (bool, String) = (false, String::new());

    #[test]
    fn a_change_counts_when_it_is_complete() {
        let mut folder = Folder::new("ignore_hosts: [a]\n");
        assert_eq!(folder.look(), NOTHING);
        // As editors and shells write: first there is nothing.
        folder.write("config.yaml", "");
        assert_eq!(folder.look(), NOTHING);
        folder.write("config.yaml", "ignore_hosts: [a, b]\n");
        assert_eq!(folder.look(), NOTHING);
        assert_eq!(folder.ignores(), ["a"]);
        assert_eq!(
            folder.look(),
            (true, "Info options reloaded for new connections: `ignore_hosts`".to_owned())
        );
        assert_eq!(folder.ignores(), ["a", "b"]);
        assert_eq!(folder.look(), NOTHING);
    }

    #[test]
    fn a_store_is_told_what_to_keep_from_now_on() {
        let mut folder = Folder::new("");
        let store = folder.folder.path().join("a.store");
        let (_store, control) = crate::FlowStore::open_with(&store, Retention::default()).unwrap();
        let told = control.clone();
        folder.watched.as_mut().unwrap().retention = Some(control);
        folder.write("config.yaml", "store_retention: '7d; ~e: 30d'\n");
        folder.look();
        assert_eq!(folder.look(), (true, "Info options reloaded: `store_retention`".to_owned()));
        assert_eq!(told.current().text(), "7d; ~e: 30d");
        folder.write("config.yaml", "store_retention: '7d; ~e: 30'\nflow_detail: 0\n");
        folder.look();
        folder.look();
        assert_eq!(told.current().text(), "7d; ~e: 30");
    }

    #[test]
    fn a_mistake_changes_nothing_and_is_told_once() {
        let mut folder = Folder::new("ignore_hosts: [a]\n");
        for (text, told) in [
            (
                "store_retention: 7d; ~e 30d\n",
                "option `store_retention`: `~e 30d` is no limit; limits are a size (500m), an age (30s, 10min, 12h, 7d, 2w) or a number of flows (10000) at column 5",
            ),
            (
                "ignore_hosts: [ok, '(']\nhttp2: false\n",
                "ignore_hosts[1] /(/: missing ), unterminated subpattern at position 0",
            ),
            ("ignore_hosts: [a]\nhttp2: 7\n", "DIR/config.yaml:2:8: option `http2`: "),
            ("ignore_hosts: [a]\nrules: [DIR/none.toml]\n", "cannot read DIR/none.toml: "),
        ] {
            folder.write("config.yaml", &text.replace("DIR", folder.folder.path().to_str().unwrap()));
            assert_eq!(folder.look(), NOTHING);
            let (changed, line) = folder.look();
            assert!(!changed, "{text}");
            assert!(line.starts_with("Error options not reloaded, the old ones stay: "), "{line}");
            assert!(line.contains(told), "{line}");
            assert_eq!(folder.ignores(), ["a"]);
            assert_eq!(folder.look(), NOTHING);
        }
        fs::remove_file(folder.folder.path().join("config.yaml")).unwrap();
        assert_eq!(folder.look(), NOTHING);
        let gone = "Warn options not reloaded, the old ones stay: config file DIR/config.yaml is gone";
        assert_eq!(folder.look(), (false, gone.to_owned()));
        folder.write("config.yaml", "ignore_hosts: [c]\n");
        folder.look();
        assert!(folder.look().0);
    }

    #[test]
    fn features_change_together_with_the_rest_or_not_at_all() {
        let mut folder = Folder::new("anticache: true\n");
        folder.write("config.yaml", "modify_headers: ['/a/b']\nblock_list: ['/~q/403']\n");
        assert_eq!(folder.look(), NOTHING);
        let told = "Info options reloaded for new connections: `modify_headers`, `anticache`, `block_list`";
        assert_eq!(folder.look(), (true, told.to_owned()));
        folder.write("config.yaml", "ignore_hosts: [a]\nblock_list: ['/~q/403', '/~x/403']\n");
        assert_eq!(folder.look(), NOTHING);
        let (changed, line) = folder.look();
        assert!(!changed && folder.ignores().is_empty());
        let told =
            "Error options not reloaded, the old ones stay: block_list[1] at column 2: unknown operator ~x";
        assert!(line.starts_with(told), "{line}");
    }

    #[test]
    fn rule_files_may_be_named_later_and_are_watched_from_then_on() {
        let mut folder = Folder::new("");
        let rules = folder.write("r.toml", "[[rule]]\naction = 'block'\nport = 1\n");
        folder.write("config.yaml", &format!("rules: [{rules}]\nflow_detail: 0\n"));
        assert_eq!(folder.look(), NOTHING);
        let told = "Info options reloaded for new connections: `rules`\n\
                    Warn options that count from the next start on: `flow_detail`\nInfo rules: 1 rule";
        assert_eq!(folder.look(), (true, told.to_owned()));
        folder.write("r.toml", "");
        assert_eq!(folder.look(), NOTHING);
        folder.write("r.toml", "[[rule]]\naction = 'nothing'\n");
        assert_eq!(folder.look(), NOTHING);
        let (changed, line) = folder.look();
        assert!(!changed && line.starts_with("Warn rules not reloaded, the old ones stay: "), "{line}");
        folder.write("r.toml", "# none\n");
        folder.look();
        assert_eq!(folder.look(), (true, "Info rules: 0 rules".to_owned()));
    }

    #[test]
    fn rules_in_the_config_file_change_together_or_not_at_all() {
        let mut folder = Folder::new("rules:\n- action: block\n  domain: ads.test\n");
        assert_eq!(folder.look(), NOTHING);
        folder.write("more.toml", "[[rule]]\naction = 'block'\nport = 1\n");
        let more = folder.folder.path().join("more.toml");
        let good = format!("rules:\n- {}\n- action: pass\n  domain: bank.test\n", more.display());
        folder.write("config.yaml", &good);
        assert_eq!(folder.look(), NOTHING);
        let told = "Info options reloaded for new connections: `rules`\nInfo rules: 2 rules";
        assert_eq!(folder.look(), (true, told.to_owned()));
        for (bad, place) in [
            ("- action: passs\n", "config.yaml:5:11: `passs` is not an action"),
            (
                "- action: pass\n  regex: '('\n",
                "config.yaml:6:10: `regex` (: missing ), unterminated subpattern",
            ),
            ("- action: pass\n  list: none.txt\n", "config.yaml:6:9: cannot read the list DIR/none.txt: "),
        ] {
            folder.write("config.yaml", &format!("{good}{bad}"));
            assert_eq!(folder.look(), NOTHING);
            let (changed, line) = folder.look();
            assert!(!changed && line.contains(&format!("the old ones stay: DIR/{place}")), "{line}");
        }
    }
}
