//! [`Options`]: every value together with where it came from, changed all or nothing.
//!
//! Invariant: a stronger [`Source`] wins whatever the order in which values come. A value that loses is checked all
//! the same, so that a mistake in a config file is told even when a flag hides it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::assignment::Assignment;
use crate::error::OptionError;
use crate::login_spec;
use crate::registry::{OPTIONS, OptionSpec, find};
use crate::table::Values;
use crate::value::Value;

/// Where a value came from, weakest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// `config.yaml` or `config.yml`. Differs from mitmproxy, where these beat `--set`.
    ConfigFile,
    /// `--set` on the command line.
    Set,
    /// Its own flag on the command line.
    Flag,
    /// A user or an addon, while the program runs.
    Command,
}

/// One option that is to get a value.
#[derive(Clone, Debug)]
pub struct Change {
    spec: &'static OptionSpec,
    source: Source,
    wanted: Wanted,
}

#[derive(Clone, Debug)]
enum Wanted {
    Value(Value),
    /// Read only when it is applied, because `toggle` needs the value of then.
    Text(Vec<Option<String>>),
}

impl Change {
    /// `option` gets `value`.
    pub fn value(source: Source, option: &'static OptionSpec, value: Value) -> Self {
        Self { spec: option, source, wanted: Wanted::Value(value) }
    }

    /// An option gets what was written on a command line.
    ///
    /// # Errors
    /// When there is no such option, or it holds one value and was given several.
    pub fn assignment(source: Source, assignment: Assignment) -> Result<Self, OptionError> {
        let spec = find(&assignment.name)?;
        let times = assignment.given.len();
        if times > 1 && !spec.kind.is_list() {
            return Err(OptionError::Repeated { name: spec.name, times });
        }
        Ok(Self { spec, source, wanted: Wanted::Text(assignment.given) })
    }

    /// The option's name.
    pub fn name(&self) -> &'static str {
        self.spec.name
    }

    /// Where the value comes from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// The value, unless it was written on a command line and has to be read first. Those of config files are values.
    pub fn as_value(&self) -> Option<&Value> {
        match &self.wanted {
            Wanted::Value(value) => Some(value),
            Wanted::Text(_) => None,
        }
    }

    fn resolve(&self, values: &Values) -> Result<Value, OptionError> {
        match &self.wanted {
            Wanted::Value(value) => Ok(value.clone()),
            Wanted::Text(given) => {
                let current = self.spec.value(values);
                self.spec.kind.read_text(given, &current).map_err(|problem| self.spec.error(problem))
            }
        }
    }
}

/// The options of one session.
#[derive(Clone, Debug, Default)]
pub struct Options {
    values: Arc<Values>,
    /// Only those that were set.
    sources: BTreeMap<&'static str, Source>,
}

impl Options {
    /// The values as they are now; a clone of the `Arc` is a snapshot that later changes leave alone.
    pub fn values(&self) -> &Arc<Values> {
        &self.values
    }

    /// Where the value of `option` came from.
    pub fn source(&self, option: &OptionSpec) -> Source {
        self.sources.get(option.name).copied().unwrap_or(Source::Default)
    }

    /// The options after `changes`, weaker sources first, or the first error. For callers with checks of their own
    /// (are the regular expressions good?) before they put the result in force.
    ///
    /// # Errors
    /// When a value does not fit its option, or the values do not fit each other.
    pub fn with(&self, mut changes: Vec<Change>) -> Result<Self, OptionError> {
        changes.sort_by_key(Change::source); // stable: of two equals the later one wins
        let mut next = self.clone();
        for change in changes {
            let mut values = Values::clone(&next.values);
            let value = change.resolve(&values)?;
            change.spec.assign(&mut values, &value)?;
            if change.source >= next.source(change.spec) {
                next.values = Arc::new(values);
                next.sources.insert(change.spec.name, change.source);
            }
        }
        check_together(&next.values)?;
        Ok(next)
    }

    /// Applies all of `changes` or none; returns the options whose value is another one now.
    ///
    /// # Errors
    /// As [`Options::with`]; every value is then as it was.
    pub fn update(&mut self, changes: Vec<Change>) -> Result<Vec<&'static OptionSpec>, OptionError> {
        let next = self.with(changes)?;
        let changed =
            OPTIONS.iter().filter(|spec| spec.value(&next.values) != spec.value(&self.values)).collect();
        *self = next;
        Ok(changed)
    }

    /// What `set NAME=VALUE ...` does; no values at all is `set NAME`.
    ///
    /// # Errors
    /// When the option does not exist or a value does not fit; every value is then as it was.
    pub fn set(&mut self, source: Source, name: &str, values: &[&str]) -> Result<(), OptionError> {
        let given = match values {
            [] => vec![None],
            values => values.iter().map(|value| Some((*value).to_owned())).collect(),
        };
        let change = Change::assignment(source, Assignment { name: name.into(), given })?;
        self.update(vec![change]).map(|_| ())
    }

    /// The options whose value is not the default, with that value, in the order of the table.
    pub fn changed_from_default(&self) -> impl Iterator<Item = (&'static OptionSpec, Value)> {
        let defaults = Values::default();
        let pairs = OPTIONS.iter().map(|spec| (spec, spec.value(&self.values)));
        pairs.filter(move |(spec, value)| *value != spec.value(&defaults))
    }
}

/// What no single option can know.
fn check_together(values: &Values) -> Result<(), OptionError> {
    if values.add_upstream_certs_to_client_chain && !values.upstream_cert {
        return Err(OptionError::Needs {
            name: "add_upstream_certs_to_client_chain",
            needed: "upstream_cert",
        });
    }
    let mut seen = BTreeMap::new();
    for mode in &values.mode {
        match mode.listen_address(&values.listen_host, values.listen_port) {
            None | Some((_, 0)) => {}
            Some(address) => {
                if let Some(first) = seen.insert((mode.takes_datagrams(), address), mode) {
                    let (first, second) = (first.to_string(), mode.to_string());
                    return Err(OptionError::SameAddress { first, second });
                }
            }
        }
    }
    if values.proxyauth.is_some()
        && let Some(mode) = values.mode.iter().find(|mode| !login_spec::can_ask(mode))
    {
        return Err(OptionError::CannotAsk { mode: mode.to_string() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::{ConnectionStrategy, Level};
    use proptest::prelude::*;

    /// The value of `name` after one `set`, or the error.
    fn set(name: &str, values: &[&str]) -> String {
        let mut options = Options::default();
        match options.set(Source::Set, name, values) {
            Ok(()) => format!("{:?}", find(name).unwrap().value(options.values())),
            Err(error) => {
                assert_eq!(options.changed_from_default().count(), 0, "a refused value changes nothing");
                format!("error: {error}")
            }
        }
    }

    #[test]
    fn set_semantics() {
        let table: &[(&str, &[&str], &str)] = &[
            // booleans
            ("ssl_insecure", &[], "Bool(true)"),
            ("ssl_insecure", &[""], "Bool(true)"),
            ("ssl_insecure", &["true"], "Bool(true)"),
            ("ssl_insecure", &["toggle"], "Bool(true)"),
            ("http2", &["toggle"], "Bool(false)"),
            ("http2", &["false"], "Bool(false)"),
            ("http2", &["yes"], "error: option `http2`: expected true or false, found `yes`"),
            ("http2", &["True"], "error: option `http2`: expected true or false, found `True`"),
            // numbers
            ("flow_detail", &["3"], "Int(3)"),
            (
                "flow_detail",
                &["9"],
                "error: option `flow_detail`: expected a whole number from 0 to 4, found `9`",
            ),
            (
                "flow_detail",
                &["x"],
                "error: option `flow_detail`: expected a whole number from 0 to 4, found `x`",
            ),
            ("flow_detail", &[""], "error: option `flow_detail`: a value is required"),
            ("flow_detail", &[], "error: option `flow_detail`: a value is required"),
            ("flow_detail", &["1", "2"], "error: option `flow_detail` holds one value but was given 2"),
            (
                "tcp_timeout",
                &["0"],
                "error: option `tcp_timeout`: expected a whole number from 1 to 31536000, found `0`",
            ),
            ("content_view_lines_cutoff", &["9223372036854775807"], "Int(9223372036854775807)"),
            (
                "content_view_lines_cutoff",
                &["-1"],
                "error: option `content_view_lines_cutoff`: expected a whole number from 0, found `-1`",
            ),
            ("listen_port", &["0"], "Int(0)"),
            ("listen_port", &[""], "Null"),
            ("listen_port", &[], "Null"),
            (
                "listen_port",
                &["abc"],
                "error: option `listen_port`: expected a whole number from 0 to 65535, found `abc`",
            ),
            (
                "listen_port",
                &["65536"],
                "error: option `listen_port`: expected a whole number from 0 to 65535, found `65536`",
            ),
            // text
            ("listen_host", &["::1"], r#"Text("::1")"#),
            ("listen_host", &[""], r#"Text("")"#),
            ("listen_host", &[], "error: option `listen_host`: a value is required"),
            ("confdir", &[""], "error: option `confdir`: a value is required"),
            ("rfile", &["-"], r#"Text("-")"#),
            ("rfile", &["123"], r#"Text("123")"#),
            ("save_stream_file", &["+a=b"], r#"Text("+a=b")"#),
            ("rfile", &[""], "Null"),
            ("rfile", &[], "Null"),
            ("connect_addr", &["127.0.0.2"], r#"Text("127.0.0.2")"#),
            (
                "connect_addr",
                &["host"],
                "error: option `connect_addr`: expected an IP address of this machine, found `host`",
            ),
            // choices
            ("connection_strategy", &["lazy"], r#"Text("lazy")"#),
            (
                "connection_strategy",
                &["foo"],
                "error: option `connection_strategy`: expected one of eager, lazy, found `foo`",
            ),
            ("dumper_default_contentview", &["hex dump"], r#"Text("hex dump")"#),
            // sizes
            ("stream_large_bodies", &["3m"], r#"Text("3m")"#),
            ("stream_large_bodies", &["2048"], r#"Text("2k")"#),
            ("stream_large_bodies", &[], "Null"),
            (
                "stream_large_bodies",
                &["3.5m"],
                "error: option `stream_large_bodies`: expected a size such as 4096, 512k, 3m or 1g, found `3.5m`",
            ),
            // lists
            ("ignore_hosts", &["a", "b"], r#"List(["a", "b"])"#),
            ("ignore_hosts", &[], "List([])"),
            ("ignore_hosts", &[""], "List([])"),
            ("ignore_hosts", &["a", ""], "error: option `ignore_hosts`: a list entry is empty"),
            ("mode", &["regular@9000", "regular@9001"], r#"List(["regular@9000", "regular@9001"])"#),
            (
                "mode",
                &["wireguard"],
                "error: option `mode`: invalid proxy mode specification: `wireguard`: flowgate does not run this mode yet",
            ),
            (
                "mode",
                &["regular", "regular@8080"],
                "error: option `mode`: regular and regular@8080 would listen on the same address",
            ),
            (
                "mode",
                &["regular@9000", "reverse:udp://a.test:1@9000"],
                r#"List(["regular@9000", "reverse:udp://a.test:1@9000"])"#,
            ),
            ("mode", &["regular@0", "regular@0"], r#"List(["regular@0", "regular@0"])"#),
            // names
            (
                "intercept_active",
                &[],
                "error: `intercept_active` is an option of mitmproxy that flowgate does not have yet",
            ),
            ("htpt2", &[], "error: `htpt2` is not an option"),
        ];
        for (name, values, expected) in table {
            assert_eq!(set(name, values), *expected, "{name} {values:?}");
        }
    }

    #[test]
    fn values_are_typed() {
        let mut options = Options::default();
        let before = Arc::clone(options.values());
        options.set(Source::Set, "connection_strategy", &["lazy"]).unwrap();
        options.set(Source::Set, "stream_large_bodies", &["1k"]).unwrap();
        assert_eq!(options.values().connection_strategy, ConnectionStrategy::Lazy);
        assert_eq!(options.values().stream_large_bodies.map(|size| size.bytes()), Some(1024));
        assert_eq!(options.values().termlog_verbosity, Level::Info);
        assert_eq!(before.connection_strategy, ConnectionStrategy::Eager, "a snapshot stays");
    }

    #[test]
    fn all_or_nothing() {
        let mut options = Options::default();
        let change = |name, value| Change::value(Source::Command, find(name).unwrap(), value);
        let result =
            options.update(vec![change("http2", Value::Bool(false)), change("flow_detail", Value::Int(7))]);
        assert!(result.is_err());
        assert!(options.values().http2);
        let changed =
            options.update(vec![change("http2", Value::Bool(false)), change("server", Value::Bool(true))]);
        let names: Vec<_> = changed.unwrap().iter().map(|spec| spec.name).collect();
        assert_eq!(names, ["http2"], "`server` was on already");
    }

    #[test]
    fn a_value_that_loses_is_checked() {
        let mut options = Options::default();
        options.set(Source::Flag, "flow_detail", &["2"]).unwrap();
        assert!(options.set(Source::ConfigFile, "flow_detail", &["9"]).is_err());
        options.set(Source::ConfigFile, "flow_detail", &["3"]).unwrap();
        assert_eq!(options.values().flow_detail, 2);
        assert_eq!(options.source(find("flow_detail").unwrap()), Source::Flag);
        options.set(Source::Command, "flow_detail", &["4"]).unwrap();
        assert_eq!(options.values().flow_detail, 4);
    }

    proptest! {
        #[test]
        fn the_strongest_source_wins_in_any_order(
            order in Just([Source::ConfigFile, Source::Set, Source::Flag, Source::Command]).prop_shuffle(),
            kept in 1usize..=4,
        ) {
            let mut options = Options::default();
            let used = &order[..kept];
            for source in used {
                options.set(*source, "tcp_timeout", &[&(*source as u32).to_string()]).unwrap();
            }
            let strongest = used.iter().max().unwrap();
            prop_assert_eq!(options.values().tcp_timeout, *strongest as u32);
            prop_assert_eq!(options.source(find("tcp_timeout").unwrap()), *strongest);
        }

        #[test]
        fn never_panics(at in 0..OPTIONS.len(), values in proptest::collection::vec("\\PC*", 0..3)) {
            let values: Vec<_> = values.iter().map(String::as_str).collect();
            let _ = Options::default().set(Source::Command, OPTIONS[at].name, &values);
        }
    }
}
