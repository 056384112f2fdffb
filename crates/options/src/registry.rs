//! The registry: what each option is called, holds, means, and how the command line names it.
//!
//! The rows themselves stand in `table.rs`. Nothing outside this crate may know an option's name that is not looked
//! up here or read as a field of [`Values`].

use std::fmt;

use crate::error::{OptionError, ValueError};
use crate::kind::Kind;
use crate::mitmproxy_names::MITMPROXY_OPTIONS;
use crate::table::Values;
use crate::value::Value;

pub use crate::table::OPTIONS;

/// The tools that have an option.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tools(u8);

impl Tools {
    /// `flowgate` (mitmproxy).
    pub const CONSOLE: Self = Self(1);
    /// `flowgate dump` (mitmdump).
    pub const DUMP: Self = Self(2);
    /// `flowgate web` (mitmweb).
    pub const WEB: Self = Self(4);
    /// All three.
    pub const ALL: Self = Self(7);

    /// Both sets together.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the sets have a tool in common.
    pub const fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl fmt::Display for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(Self::CONSOLE, "console"), (Self::DUMP, "dump"), (Self::WEB, "web")];
        let held: Vec<_> =
            names.into_iter().filter(|(tool, _)| self.overlaps(*tool)).map(|(_, name)| name).collect();
        f.write_str(&held.join(", "))
    }
}

/// How the command line names an option. The long form is the option's name with hyphens; an option without a flag
/// can only be set with `--set` and in the config file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Flag {
    /// The word that stands for the value in help; empty for switches.
    pub metavar: &'static str,
    /// The short form. For a switch it turns the default around ([`OptionSpec::short_sets`]).
    pub short: Option<char>,
}

impl Flag {
    pub(crate) const fn value(metavar: &'static str) -> Self {
        Self { metavar, short: None }
    }

    pub(crate) const fn switch() -> Self {
        Self { metavar: "", short: None }
    }

    pub(crate) const fn short(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }
}

/// One option.
pub struct OptionSpec {
    /// Its name, as mitmproxy spells it.
    pub name: &'static str,
    /// The heading it stands under.
    pub group: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Which tools have it.
    pub tools: Tools,
    /// How the command line names it.
    pub flag: Option<Flag>,
    pub(crate) help_lines: &'static [&'static str],
    pub(crate) read: fn(&Values) -> Value,
    pub(crate) write: fn(&mut Values, &Value) -> Result<(), ValueError>,
}

impl OptionSpec {
    /// What it does, as one paragraph.
    pub fn help(&self) -> String {
        let lines: Vec<_> = self.help_lines.iter().map(|line| line.trim()).collect();
        lines.join(" ")
    }

    /// Its value when nobody sets it.
    pub fn default(&self) -> Value {
        (self.read)(&Values::default())
    }

    /// Its value in `values`.
    pub fn value(&self, values: &Values) -> Value {
        (self.read)(values)
    }

    /// The long form of its flag, without the two hyphens; also what a flag of that name would be when it has none.
    pub fn long(&self) -> String {
        self.name.replace('_', "-")
    }

    /// For a switch with a short form, what the short form sets: the side that is not the default.
    pub fn short_sets(&self) -> Option<bool> {
        self.flag?.short?;
        match self.default() {
            Value::Bool(on) => Some(!on),
            _ => None,
        }
    }

    /// Checks `value` and writes it into `values`, which stay as they are when it does not fit.
    pub(crate) fn assign(&self, values: &mut Values, value: &Value) -> Result<(), OptionError> {
        let result = self.kind.check_bounds(value).and_then(|()| (self.write)(values, value));
        result.map_err(|problem| self.error(problem))
    }

    /// `problem` as this option's error. The kind is the row's: it knows the bounds, which the Rust type does not.
    pub(crate) fn error(&self, problem: ValueError) -> OptionError {
        let problem = match problem {
            ValueError::Expected { found, .. } => ValueError::Expected { expected: self.kind, found },
            other => other,
        };
        OptionError::Value { name: self.name, problem }
    }
}

impl fmt::Debug for OptionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OptionSpec").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The option of that name.
///
/// # Errors
/// [`OptionError::NotYet`] for an option only mitmproxy has, else [`OptionError::Unknown`] with the nearest name.
pub fn find(name: &str) -> Result<&'static OptionSpec, OptionError> {
    if let Some(spec) = OPTIONS.iter().find(|spec| spec.name == name) {
        return Ok(spec);
    }
    if let Some(name) = only_in_mitmproxy().find(|only| *only == name) {
        return Err(OptionError::NotYet { name });
    }
    Err(OptionError::Unknown { name: name.into(), suggestion: nearest(name) })
}

/// The one option starting with `prefix` that mitmproxy has and flowgate does not; `None` when it is none or several.
pub fn later_option_starting(prefix: &str) -> Option<&'static str> {
    if OPTIONS.iter().any(|spec| spec.name == prefix) {
        return None;
    }
    let mut starting = only_in_mitmproxy().filter(|name| name.starts_with(prefix));
    let only = starting.next()?;
    starting.next().is_none().then_some(only)
}

fn only_in_mitmproxy() -> impl Iterator<Item = &'static str> {
    MITMPROXY_OPTIONS.into_iter().filter(|name| OPTIONS.iter().all(|spec| spec.name != *name))
}

/// The option that was probably meant: the only one that starts so, else the nearest within one edit in three.
fn nearest(name: &str) -> Option<&'static str> {
    const NAME_CHARS_MAX: usize = 64;
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return None;
    }
    let name = name.to_lowercase().replace('-', "_");
    let mut starting = OPTIONS.iter().filter(|spec| spec.name.starts_with(&name));
    if let (Some(only), None) = (starting.next(), starting.next()) {
        return Some(only.name);
    }
    let distances = OPTIONS.iter().map(|spec| (strsim::damerau_levenshtein(&name, spec.name), spec.name));
    let (distance, nearest) = distances.min()?;
    (distance <= (name.chars().count() / 3).max(1)).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn names_flags_and_short_forms_are_used_once() {
        let mut seen = HashSet::new();
        for spec in OPTIONS {
            assert!(seen.insert(spec.name.to_owned()), "{} twice", spec.name);
            if let Some(short) = spec.flag.and_then(|flag| flag.short) {
                assert!(seen.insert(format!("-{short}")), "-{short} twice");
            }
        }
    }

    #[test]
    fn every_row_is_complete() {
        for spec in OPTIONS {
            assert!(spec.help().ends_with('.'), "{}: help is a sentence", spec.name);
            if let Some(flag) = spec.flag {
                assert_eq!(flag.metavar.is_empty(), spec.kind == Kind::Bool, "{}", spec.name);
            }
        }
    }

    #[test]
    fn every_default_fits_its_own_row() {
        for spec in OPTIONS {
            let mut values = Values::default();
            spec.assign(&mut values, &spec.default()).unwrap();
            assert_eq!(values, Values::default(), "{}", spec.name);
        }
    }

    #[test]
    fn groups_stand_together() {
        let mut groups: Vec<_> = OPTIONS.iter().map(|spec| spec.group).collect();
        groups.dedup();
        let count = groups.len();
        groups.sort_unstable();
        groups.dedup();
        assert_eq!(groups.len(), count);
    }

    #[test]
    fn suggestions() {
        let table = [
            ("ignore-hosts", Some("ignore_hosts")),
            ("ignore", Some("ignore_hosts")),
            ("ingore_hosts", Some("ignore_hosts")),
            ("http", Some("http2")), // two start so; `http2` is one edit away
            ("HTTP2", Some("http2")),
            ("flow_detial", Some("flow_detail")),
            ("xyzzy", None),
            ("", None),
        ];
        for (name, expected) in table {
            assert_eq!(nearest(name), expected, "{name}");
        }
    }

    #[test]
    fn unknown_and_not_yet() {
        assert!(find("http2").is_ok());
        assert_eq!(find("intercept_active").unwrap_err(), OptionError::NotYet { name: "intercept_active" });
        assert!(matches!(find("nonsense"), Err(OptionError::Unknown { suggestion: None, .. })));
    }

    #[test]
    fn later_options_cut_short() {
        assert_eq!(later_option_starting("script"), Some("scripts"));
        assert_eq!(later_option_starting("interc"), None, "`intercept` and `intercept_active`");
        assert_eq!(later_option_starting("rawtc"), None, "flowgate has it");
    }

    proptest! {
        #[test]
        fn never_panics(name in "\\PC*") {
            let _ = find(&name);
        }
    }
}
