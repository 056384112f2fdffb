//! Rule files and the lists they name: read, kept as they were, and seen to change.
//!
//! Not the meaning of rules (`flowgate-policy`) and not their grammar (`flowgate-options`). Blocking: called at the
//! start, and off the runtime's threads afterwards. Lists that have not changed are not read again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::Utf8Error;
use std::sync::Arc;

use flowgate_options::{
    ConditionKind, ListReport, RuleFileError, RuleSource, RuleText, Word, expand_home, parse_list,
    parse_rules,
};
use flowgate_policy::{NameSet, NameSetBuilder, Reach, RuleListSource};
use thiserror::Error;

use flowgate_net::Stamp;

/// A rule file is some kilobytes; names belong into lists.
pub const RULE_FILE_BYTES_MAX: u64 = 4 << 20;
/// Ten million names or so.
pub const LIST_FILE_BYTES_MAX: u64 = 256 << 20;

/// Why rule files cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RuleFilesError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A list cannot be read.
    #[error("{file}:{line}:{column}: cannot read the list {}", path.display())]
    ReadList {
        /// The rule file that names it.
        file: String,
        /// The line there, from 1.
        line: usize,
        /// The column there, from 1.
        column: usize,
        /// The list.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of absurd size.
    #[error("{} is longer than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// As many as are read.
        limit: u64,
    },
    /// A rule file that is not text.
    #[error("{} is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where.
        source: Utf8Error,
    },
    /// `~` in a path, and no home directory.
    #[error("there is no home directory for `{path}`")]
    NoHome {
        /// What was written.
        path: String,
    },
    /// A mistake in a rule file.
    #[error(transparent)]
    Syntax(#[from] RuleFileError),
}

impl RuleFilesError {
    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Syntax(error) => error.hint(),
            Self::TooLong { .. } => Some("put names into a file of their own and use `list`".to_owned()),
            Self::ReadList { .. } => {
                Some("the path of a list begins at the folder of the rule file".to_owned())
            }
            _ => None,
        }
    }
}

/// Rule files, as they were read.
#[derive(Debug, Default)]
pub struct RuleFiles {
    source: RuleListSource,
    /// Every file that matters, and how it looked when that was last noted.
    files: BTreeMap<PathBuf, Option<Stamp>>,
    /// The lists, and how each looked when it was read.
    lists: BTreeMap<PathBuf, (Option<Stamp>, Arc<NameSet>)>,
    /// What was left out of lists, for the event log.
    warnings: Vec<String>,
}

impl RuleFiles {
    /// Reads rule files, and the lists that they and the rules between them name. What is in `before` and has not changed is
    /// taken from there.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn read(
        sources: &[RuleSource],
        home: Option<&Path>,
        before: Option<&Self>,
    ) -> Result<Self, RuleFilesError> {
        let mut files = Self::default();
        for source in sources {
            let shown = match source {
                RuleSource::File(shown) => shown,
                RuleSource::Inline(rule) => {
                    files.add(vec![(**rule).clone()], Path::new(&rule.file), home, before)?;
                    continue;
                }
            };
            let path =
                expand_home(shown, home).ok_or_else(|| RuleFilesError::NoHome { path: shown.clone() })?;
            files.files.insert(path.clone(), Stamp::of(&path));
            let bytes = read_bounded(&path, RULE_FILE_BYTES_MAX)
                .map_err(|source| RuleFilesError::Read { path: path.clone(), source })?
                .ok_or_else(|| RuleFilesError::TooLong { path: path.clone(), limit: RULE_FILE_BYTES_MAX })?;
            let text = String::from_utf8(bytes).map_err(|error| RuleFilesError::NotText {
                path: path.clone(),
                source: error.utf8_error(),
            })?;
            files.add(parse_rules(&text, shown)?, &path, home, before)?;
        }
        Ok(files)
    }

    /// Adds the rules of a file.
    fn add(
        &mut self,
        rules: Vec<RuleText>,
        file: &Path,
        home: Option<&Path>,
        before: Option<&Self>,
    ) -> Result<(), RuleFilesError> {
        let folder = file.parent().unwrap_or_else(|| Path::new(""));
        for (rule, word) in rules.iter().flat_map(lists_of) {
            self.add_list(rule, word, folder, home, before)?;
        }
        self.source.rules.extend(rules);
        Ok(())
    }

    fn add_list(
        &mut self,
        rule: &RuleText,
        word: &Word,
        folder: &Path,
        home: Option<&Path>,
        before: Option<&Self>,
    ) -> Result<(), RuleFilesError> {
        let path = expand_home(&word.text, home)
            .ok_or_else(|| RuleFilesError::NoHome { path: word.text.clone() })?;
        let path = folder.join(path);
        let stamp = Stamp::of(&path);
        let unchanged = before.and_then(|before| before.lists.get(&path));
        let unchanged = unchanged.filter(|(read, _)| stamp.is_some() && *read == stamp);
        let list = match self.lists.get(&path).or(unchanged) {
            Some((_, list)) => Arc::clone(list),
            None => {
                let (list, report) = read_list(&path, rule, word)?;
                self.warn_of(&path, &report);
                Arc::new(list)
            }
        };
        self.files.insert(path.clone(), stamp.clone());
        self.lists.insert(path, (stamp, Arc::clone(&list)));
        self.source.lists.insert((rule.file.clone(), word.text.clone()), list);
        Ok(())
    }

    fn warn_of(&mut self, path: &Path, report: &ListReport) {
        let path = path.display();
        self.warnings
            .extend(report.first_bad.iter().map(|(line, why)| format!("{path}:{line}: {why}; left out")));
        let more = report.bad_lines - report.first_bad.len();
        if more > 0 {
            self.warnings.push(format!("{path}: {more} more lines left out"));
        }
    }

    /// The rules, for [`flowgate_policy::Rules::compile`].
    #[must_use]
    pub const fn source(&self) -> &RuleListSource {
        &self.source
    }

    /// What was left out of lists, a line each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// `3 rules, 120000 names in 1 list (2.9 MB)`.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let rules = count(self.source.rules.len(), "rule");
        if self.lists.is_empty() {
            return rules;
        }
        let names = self.lists.values().map(|(_, list)| list.len()).sum();
        let bytes: usize = self.lists.values().map(|(_, list)| list.memory_bytes()).sum();
        let (names, lists) = (count(names, "name"), count(self.lists.len(), "list"));
        format!("{rules}, {names} in {lists} ({:.1} MB)", bytes as f64 / 1e6)
    }

    /// Whether a file looks different from when it was read.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.files.iter().any(|(path, stamp)| Stamp::of(path) != *stamp)
    }

    /// How the files look now.
    pub(crate) fn looks(&self) -> Vec<Option<Stamp>> {
        self.files.keys().map(|path| Stamp::of(path)).collect()
    }

    /// Takes note of how the files look now, so that only a further change counts as one.
    pub(crate) fn look_again(&mut self, failure: Option<&RuleFilesError>) {
        if let Some(RuleFilesError::ReadList { path, .. }) = failure {
            // A list that is named anew may come later than the rule that names it.
            self.files.insert(path.clone(), None);
        }
        for (path, stamp) in &mut self.files {
            *stamp = Stamp::of(path);
        }
    }
}

fn lists_of(rule: &RuleText) -> impl Iterator<Item = (&RuleText, &Word)> {
    let lists = rule.conditions.iter().filter(|condition| condition.kind == ConditionKind::List);
    lists.flat_map(|condition| &condition.words).map(move |word| (rule, word))
}

fn read_list(path: &Path, rule: &RuleText, word: &Word) -> Result<(NameSet, ListReport), RuleFilesError> {
    let bytes = read_bounded(path, LIST_FILE_BYTES_MAX)
        .map_err(|source| RuleFilesError::ReadList {
            file: rule.file.clone(),
            line: word.line,
            column: word.column,
            path: path.to_owned(),
            source,
        })?
        .ok_or_else(|| RuleFilesError::TooLong { path: path.to_owned(), limit: LIST_FILE_BYTES_MAX })?;
    let mut names = NameSetBuilder::default();
    let report = parse_list(&bytes, |listed| {
        // The bounds of a list and of a name leave room for all of them.
        let _ = names
            .insert(listed.name, if listed.with_subdomains { Reach::WithSubdomains } else { Reach::Exact });
    });
    Ok((names.build(), report))
}

/// The file's bytes; `None` if there are too many.
///
/// # Errors
/// What the medium says.
pub fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    Ok((read as u64 <= bytes_max).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowgate_options::parse_config;
    use std::fs;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, name: &str, text: &str) -> String {
            let path = self.0.path().join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        }
    }

    const fn file(path: String) -> RuleSource {
        RuleSource::File(path)
    }

    const RULES: &str = "[[rule]]\naction = 'block'\nlist = ['ads.txt', 'more.txt']\n";

    #[test]
    fn lists_are_read_beside_the_rule_file_and_bad_lines_are_told() {
        let folder = Folder::new();
        folder.write("ads.txt", "ads.test\n");
        folder.write("more.txt", &format!("0.0.0.0 track.test\n{}", "/x\n".repeat(7)));
        let files = RuleFiles::read(&[file(folder.write("r.toml", RULES))], None, None).unwrap();
        assert!(files.summary().starts_with("1 rule, 2 names in 2 lists ("), "{}", files.summary());
        assert_eq!(files.warnings().len(), 6);
        assert!(files.warnings()[0].ends_with("more.txt:2: not a host name; left out"));
        assert!(files.warnings()[5].ends_with("more.txt: 2 more lines left out"));
        assert!(!files.changed());
    }

    #[test]
    fn a_change_is_seen_and_only_what_changed_is_read_again() {
        let folder = Folder::new();
        folder.write("ads.txt", "ads.test\n");
        folder.write("more.txt", "more.test\n");
        let paths = [file(folder.write("r.toml", RULES))];
        let mut before = RuleFiles::read(&paths, None, None).unwrap();
        folder.write("more.txt", "more.test\nanother.test\n");
        assert!(before.changed());
        let after = RuleFiles::read(&paths, None, Some(&before)).unwrap();
        let same = |word: &str| {
            let RuleSource::File(path) = &paths[0] else { unreachable!("a file") };
            let key = (path.clone(), word.to_owned());
            Arc::ptr_eq(&before.source.lists[&key], &after.source.lists[&key])
        };
        assert!(same("ads.txt") && !same("more.txt"));
        fs::remove_file(folder.0.path().join("ads.txt")).unwrap();
        assert!(after.changed());
        assert!(RuleFiles::read(&paths, None, Some(&after)).is_err());
        before.look_again(None);
        assert!(!before.changed());
        // What was looked at is not taken for what was read.
        folder.write("ads.txt", "ads.test\n");
        let again = RuleFiles::read(&paths, None, Some(&before)).unwrap();
        assert!(again.summary().contains("3 names"), "{}", again.summary());
    }

    #[test]
    fn a_list_that_comes_late_is_seen() {
        let folder = Folder::new();
        let paths = [file(folder.write("r.toml", ""))];
        let mut files = RuleFiles::read(&paths, None, None).unwrap();
        folder.write("r.toml", RULES);
        let error = RuleFiles::read(&paths, None, Some(&files)).unwrap_err();
        files.look_again(Some(&error));
        assert!(!files.changed());
        folder.write("ads.txt", "");
        assert!(files.changed());
    }

    #[test]
    fn a_rule_of_the_config_file_finds_its_list_beside_it() {
        let folder = Folder::new();
        folder.write("ads.txt", "ads.test\n");
        let config = folder.write("config.yaml", "");
        let change = parse_config("rules:\n- action: block\n  list: ads.txt\n", &config).unwrap();
        let options = flowgate_options::Options::default().with(change).unwrap();
        let files = RuleFiles::read(&options.values().rules, None, None).unwrap();
        assert!(files.summary().starts_with("1 rule, 1 name in 1 list ("), "{}", files.summary());
        folder.write("ads.txt", "ads.test\nmore.test\n");
        assert!(files.changed());
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        let folder = Folder::new();
        let error = RuleFiles::read(&[file(folder.write("r.toml", RULES))], None, None).unwrap_err();
        assert!(error.to_string().contains("r.toml:3:9: cannot read the list "), "{error}");
        let error = RuleFiles::read(&[file("/nowhere/r.toml".to_owned())], None, None).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nowhere/r.toml");
        let error = RuleFiles::read(&[file(folder.write("bad.toml", "[[rule]]\n"))], None, None).unwrap_err();
        assert!(
            error.to_string().ends_with("bad.toml:1:1: the rule has neither `action` nor `via`"),
            "{error}"
        );
    }
}
