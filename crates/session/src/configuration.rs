//! The options of a run, and where they come from: config files and a command line, put together again when a file changes.
//!
//! Not the grammar of config files (`flowgate-options`), and not what a value does. Blocking.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::Utf8Error;

use flowgate_options::registry::{OPTIONS, OptionSpec};
use flowgate_options::{Change, ConfigError, OptionError, Options, Source, Value, parse_config};
use thiserror::Error;

use crate::settings::{RETENTION, counts_at_once};
use flowgate_net::Stamp;

/// The config files in the configuration folder; what the last one says wins.
const NAMES: [&str; 2] = ["config.yaml", "config.yml"];
/// A config file is some kilobytes; what is longer is something else.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why options could not be put together.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// A name or a value of an option on the command line, or values that do not fit each other.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A mistake in a config file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A config file that is there and cannot be read.
    #[error("cannot read config file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A config file that is not text.
    #[error("config file {} is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where.
        #[source]
        source: Utf8Error,
    },
    /// A config file of absurd size.
    #[error("config file {} is longer than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// As many as are read.
        limit: u64,
    },
    /// A config file that was there when the program started.
    #[error("config file {} is gone", path.display())]
    Gone {
        /// The file.
        path: PathBuf,
    },
}

impl ConfigurationError {
    /// The next step for the user, when there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Option(error) => error.hint(),
            Self::Config(error) => error.hint(),
            Self::Gone { .. } => {
                Some("an empty file, or a restart, gives every option its default".to_owned())
            }
            Self::Unreadable { .. } | Self::NotText { .. } | Self::TooLong { .. } => None,
        }
    }
}

/// The options of a run.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    options: Options,
    folder: PathBuf,
    command_line: Vec<Change>,
    /// What the files say.
    said: BTreeMap<&'static str, Value>,
    /// How each of [`NAMES`] looked before it was read.
    stamps: Vec<Option<Stamp>>,
}

/// An option that a config file says otherwise about than before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Changed {
    pub(crate) option: &'static str,
    pub(crate) effect: Effect,
}

/// What becomes of the new value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// It counts for what begins from now on.
    Now,
    /// It counts for what is there, too.
    ForAll,
    /// The command line says something else, which wins.
    Overridden,
    /// It is looked at when the program starts.
    AtNextStart,
}

impl Configuration {
    /// Reads the config files in a folder and puts what a command line says above them. A file that is not there says
    /// nothing.
    ///
    /// # Errors
    /// The first mistake; then nothing of it counts.
    pub fn read(folder: &Path, command_line: Vec<Change>) -> Result<Self, ConfigurationError> {
        let stamps = looks(folder);
        let mut changes = Vec::new();
        for name in NAMES {
            changes.extend(read_file(&folder.join(name))?);
        }
        let said = changes.iter().filter_map(|change| Some((change.name(), change.as_value()?.clone())));
        let said = said.collect();
        changes.extend(command_line.iter().cloned());
        let options = Options::default().with(changes)?;
        Ok(Self { options, folder: folder.to_owned(), command_line, said, stamps })
    }

    /// The options.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// How the files look now.
    pub(crate) fn looks(&self) -> Vec<Option<Stamp>> {
        looks(&self.folder)
    }

    /// Whether a file looks different from when it was read.
    pub(crate) fn has_changed(&self) -> bool {
        self.looks() != self.stamps
    }

    /// Takes note of how the files look now, so that only a further change counts as one.
    pub(crate) fn note(&mut self) {
        self.stamps = self.looks();
    }

    /// The same from the files as they are now.
    ///
    /// # Errors
    /// As [`Self::read`], and if a file is gone: that it says nothing any more is more likely a slip than a wish.
    pub(crate) fn read_again(&self) -> Result<Self, ConfigurationError> {
        let again = Self::read(&self.folder, self.command_line.clone())?;
        for ((name, before), now) in NAMES.iter().zip(&self.stamps).zip(&again.stamps) {
            if before.is_some() && now.is_none() {
                return Err(ConfigurationError::Gone { path: self.folder.join(name) });
            }
        }
        Ok(again)
    }

    /// What the files say otherwise than `before`, in the order of the table of options.
    pub(crate) fn changes_since(&self, before: &Self) -> Vec<Changed> {
        let differs = |spec: &&OptionSpec| before.said.get(spec.name) != self.said.get(spec.name);
        let changed = OPTIONS.iter().filter(differs).map(|spec| Changed {
            option: spec.name,
            effect: if self.options.source(spec) > Source::ConfigFile {
                Effect::Overridden
            } else if spec.name == RETENTION {
                Effect::ForAll
            } else if counts_at_once(spec.name) {
                Effect::Now
            } else {
                Effect::AtNextStart
            },
        });
        changed.collect()
    }
}

fn looks(folder: &Path) -> Vec<Option<Stamp>> {
    NAMES.iter().map(|name| Stamp::of(&folder.join(name))).collect()
}

/// What a file says. One that is not there says nothing.
fn read_file(path: &Path) -> Result<Vec<Change>, ConfigurationError> {
    let bytes = match read_bounded(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(ConfigurationError::Unreadable { path: path.to_owned(), source }),
    };
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(ConfigurationError::TooLong { path: path.to_owned(), limit: FILE_BYTES_MAX });
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| ConfigurationError::NotText { path: path.to_owned(), source: error.utf8_error() })?;
    Ok(parse_config(&text, &path.display().to_string())?)
}

/// The file's bytes, one more than allowed at most.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowgate_options::registry::find;
    use std::fs;

    fn change(source: Source, name: &str, value: Value) -> Change {
        Change::value(source, find(name).unwrap(), value)
    }

    #[test]
    fn each_change_of_a_file_has_an_effect_or_a_reason_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        fs::write(&file, "http2: false\nflow_detail: 2\nrawtcp: false\n").unwrap();
        let flags = vec![change(Source::Flag, "rawtcp", Value::Bool(false))];
        let before = Configuration::read(folder.path(), flags).unwrap();
        assert!(!before.has_changed());
        fs::write(&file, "ignore_hosts: [a]\nflow_detail: 3\nrawtcp: true\n").unwrap();
        assert!(before.has_changed());
        let after = before.read_again().unwrap();
        assert!(!after.has_changed());
        let values = after.options().values();
        assert_eq!((values.http2, values.rawtcp, values.flow_detail), (true, false, 3));
        let changed = |option, effect| Changed { option, effect };
        assert_eq!(
            after.changes_since(&before),
            [
                changed("ignore_hosts", Effect::Now),
                changed("http2", Effect::Now),
                changed("rawtcp", Effect::Overridden),
                changed("flow_detail", Effect::AtNextStart),
            ]
        );
    }

    #[test]
    fn a_file_that_is_gone_takes_nothing_back() {
        let folder = tempfile::tempdir().unwrap();
        let none = Configuration::read(folder.path(), Vec::new()).unwrap();
        let file = folder.path().join("config.yml");
        fs::write(&file, "ignore_hosts: [a]\n").unwrap();
        let some = none.read_again().unwrap();
        assert_eq!(some.options().values().ignore_hosts, ["a"]);
        fs::remove_file(&file).unwrap();
        let error = some.read_again().unwrap_err();
        assert!(matches!(&error, ConfigurationError::Gone { path } if *path == file), "{error}");
    }
}
