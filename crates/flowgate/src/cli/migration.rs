//! What to say of a flag flowgate does not have: mitmproxy's removed flags, its flags for options that come later,
//! flags of options that only `--set` reaches, and misspelt ones. `--ignore` and `--tcp` are not here: cut short as
//! they are, they still name one flag.

use std::fmt;

use flowgate_options::mode_spec::ModeSpec;
use flowgate_options::registry::{OPTIONS, OptionSpec, find, later_option_starting};
use flowgate_options::{Kind, OptionError};

/// What became of a flag that mitmproxy 2 had and later versions do not.
#[derive(Clone, Copy, Debug)]
enum Now {
    /// These options.
    Options(&'static [&'static str]),
    /// A mode.
    Mode(&'static str),
    /// A path for `-w` that starts with `+`.
    Append,
    /// Nothing.
    Gone,
}

/// Flags of mitmproxy 2 that are gone and do not just carry an option's name.
const REMOVED: &[(&[&str], Now)] = &[
    (&["-T", "--transparent"], Now::Mode("transparent")),
    (&["-U"], Now::Mode("upstream:SPEC")),
    (&["-R"], Now::Mode("reverse:SPEC")),
    (&["--socks"], Now::Mode("socks5")),
    (&["-e", "--eventlog", "--norefresh", "--onboarding-port"], Now::Gone),
    (&["--http2-priority", "--no-http2-priority"], Now::Gone),
    (&["--nonanonymous", "--singleuser", "--htpasswd"], Now::Options(&["proxyauth"])),
    (&["-a", "--afile"], Now::Append),
    (&["--wfile"], Now::Options(&["save_stream_file"])),
    (&["-b", "--bind-address"], Now::Options(&["listen_host"])),
    (&["--port"], Now::Options(&["listen_port"])),
    (&["--upstream-bind-address"], Now::Options(&["connect_addr"])),
    (&["-I"], Now::Options(&["ignore_hosts"])),
    (&["--insecure"], Now::Options(&["ssl_insecure"])),
    (&["--cert"], Now::Options(&["certs"])),
    (&["--upstream-trusted-ca"], Now::Options(&["ssl_verify_upstream_trusted_ca"])),
    (&["--upstream-trusted-confdir"], Now::Options(&["ssl_verify_upstream_trusted_confdir"])),
    (&["--ssl-version-client"], Now::Options(&["tls_version_client_min", "tls_version_client_max"])),
    (&["--ssl-version-server"], Now::Options(&["tls_version_server_min", "tls_version_server_max"])),
    (&["-Z"], Now::Options(&["body_size_limit"])),
    (&["--stream"], Now::Options(&["stream_large_bodies"])),
    (&["-t"], Now::Options(&["stickycookie"])),
    (&["-u"], Now::Options(&["stickyauth"])),
    (&["-z"], Now::Options(&["anticomp"])),
    (&["-c"], Now::Options(&["client_replay"])),
    (&["-i"], Now::Options(&["intercept"])),
    (&["-f", "--filter"], Now::Options(&["view_filter"])),
    (&["--replace", "--replacements"], Now::Options(&["modify_body", "modify_headers"])),
    (&["--replace-from-file"], Now::Options(&["modify_body"])),
    (&["--palette"], Now::Options(&["console_palette"])),
    (&["--palette-transparent"], Now::Options(&["console_palette_transparent"])),
    (&["--follow"], Now::Options(&["console_focus_follow"])),
    (&["--no-mouse"], Now::Options(&["console_mouse"])),
    (&["--order"], Now::Options(&["view_order"])),
    (&["--reverse"], Now::Options(&["view_order_reversed"])),
    (&["--no-pop"], Now::Options(&["server_replay_reuse"])),
    (&["--server-replay-use-header"], Now::Options(&["server_replay_use_headers"])),
    (&["--replay-ignore-content"], Now::Options(&["server_replay_ignore_content"])),
    (&["--replay-ignore-payload-param"], Now::Options(&["server_replay_ignore_payload_params"])),
    (&["--replay-ignore-param"], Now::Options(&["server_replay_ignore_params"])),
    (&["--replay-ignore-host"], Now::Options(&["server_replay_ignore_host"])),
];

/// mitmproxy's short flags for options flowgate does not have yet.
const SHORT_LATER: &[(&str, &str)] = &[("-s", "scripts")];

/// A flag flowgate does not have.
#[derive(Debug)]
pub(crate) struct UnknownFlag {
    flag: String,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    /// mitmproxy removed it.
    Removed(Now),
    /// mitmproxy has it, for this option.
    Later { option: &'static str },
    /// mitmproxy has it, for no option.
    CommandsLater,
    /// Written with underscores.
    Underscores,
    /// Cut so short that it could be any of these.
    Ambiguous { flags: Vec<String> },
    /// Only other tools have it.
    OtherTool { option: &'static OptionSpec },
    /// The option has no flag.
    OnlySet { option: &'static OptionSpec, negated: bool },
    /// Nobody has it; perhaps this option was meant.
    Unknown { meant: Option<&'static OptionSpec> },
}

impl UnknownFlag {
    pub(super) fn new(flag: String) -> Self {
        let reason = reason(&flag);
        Self { flag, reason }
    }

    pub(super) fn hint(&self) -> Option<String> {
        match &self.reason {
            Reason::Removed(now) => now.hint(),
            Reason::Later { .. } | Reason::CommandsLater | Reason::OtherTool { .. } => None,
            Reason::Ambiguous { flags } => Some(format!("it could be {}", flags.join(", "))),
            Reason::Underscores => Some(format!("did you mean `{}`?", self.flag.replace('_', "-"))),
            Reason::OnlySet { option, negated: true } => Some(format!("use `--set {}=false`", option.name)),
            Reason::OnlySet { option, negated: false } => Some(format!("use `{}`", how_to_set(option))),
            Reason::Unknown { meant: Some(option) } => {
                Some(format!("did you mean `{}`?", how_to_set(option)))
            }
            Reason::Unknown { meant: None } => Some("`--help` lists every flag".into()),
        }
    }
}

impl fmt::Display for UnknownFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = &self.flag;
        match &self.reason {
            Reason::Removed(_) => write!(f, "`{flag}` is a flag that mitmproxy removed"),
            Reason::Later { option } => {
                write!(f, "`{flag}` sets `{option}`, an option of mitmproxy that flowgate does not have yet")
            }
            Reason::CommandsLater => {
                write!(f, "`{flag}` is a flag of mitmproxy that flowgate does not have yet")
            }
            Reason::Underscores => write!(f, "`{flag}` is not a flag: flags are written with hyphens"),
            Reason::OnlySet { option, .. } => write!(f, "`{flag}` is not a flag: `{}` has none", option.name),
            Reason::Ambiguous { .. } => write!(f, "`{flag}` is cut too short"),
            Reason::OtherTool { option } => write!(f, "`{flag}` is a flag of another tool: {}", option.tools),
            Reason::Unknown { .. } => write!(f, "`{flag}` is not a flag"),
        }
    }
}

impl std::error::Error for UnknownFlag {}

impl Now {
    fn hint(self) -> Option<String> {
        match self {
            Self::Gone => None,
            Self::Append => Some("use `-w +PATH`: the `+` appends".into()),
            Self::Mode(mode) => {
                let runs = mode.parse::<ModeSpec>().is_ok_and(|mode| mode.check_runs().is_ok());
                Some(format!("it is `--mode {mode}` now{}", later(!runs)))
            }
            Self::Options(names) => {
                let mut is_later = false;
                let mut ways = Vec::new();
                for name in names {
                    match find(name) {
                        Ok(option) => ways.push(format!("`{}`", how_to_set(option))),
                        Err(_) => {
                            is_later = true;
                            ways.push(format!("option `{name}`"));
                        }
                    }
                }
                Some(format!("it is {} now{}", ways.join(" or "), later(is_later)))
            }
        }
    }
}

fn later(is_later: bool) -> &'static str {
    if is_later { ", which flowgate does not have yet" } else { "" }
}

/// What to write on a command line to set `option`.
fn how_to_set(option: &OptionSpec) -> String {
    match option.flag {
        Some(flag) if flag.metavar.is_empty() => format!("--{}", option.long()),
        Some(flag) => format!("--{} {}", option.long(), flag.metavar),
        None => format!("--set {}=VALUE", option.name),
    }
}

fn reason(flag: &str) -> Reason {
    if let Some((_, now)) = REMOVED.iter().find(|(flags, _)| flags.contains(&flag)) {
        return Reason::Removed(*now);
    }
    if let Some((_, option)) = SHORT_LATER.iter().find(|(short, _)| *short == flag) {
        return Reason::Later { option };
    }
    let Some(long) = flag.strip_prefix("--") else { return Reason::Unknown { meant: None } };
    if long == "commands" {
        return Reason::CommandsLater;
    }
    let (bare, negated) = long.strip_prefix("no-").map_or((long, false), |bare| (bare, true));
    let name = bare.replace('-', "_");
    match find(&name) {
        Ok(option) if negated && option.kind != Kind::Bool => Reason::Unknown { meant: Some(option) },
        Ok(option) if option.flag.is_none() => Reason::OnlySet { option, negated },
        Ok(_) if long.contains('_') => Reason::Underscores,
        Ok(option) => Reason::OtherTool { option },
        Err(OptionError::NotYet { name }) => Reason::Later { option: name },
        Err(OptionError::Unknown { suggestion, .. }) => {
            let flags = flags_starting(flag);
            match (later_option_starting(&name), suggestion) {
                _ if flags.len() > 1 => Reason::Ambiguous { flags },
                (Some(option), _) => Reason::Later { option },
                (None, meant) => Reason::Unknown { meant: meant.and_then(|name| find(name).ok()) },
            }
        }
        Err(_) => Reason::Unknown { meant: None },
    }
}

/// The flags of options that start with `prefix`.
fn flags_starting(prefix: &str) -> Vec<String> {
    let named = OPTIONS.iter().filter(|option| option.flag.is_some());
    let flags = named.flat_map(|option| {
        let off = (option.kind == Kind::Bool).then(|| format!("--no-{}", option.long()));
        [Some(format!("--{}", option.long())), off]
    });
    flags.flatten().filter(|flag| flag.starts_with(prefix)).map(|flag| format!("`{flag}`")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_removed_flags_became_is_known() {
        for (flags, now) in REMOVED {
            match now {
                Now::Options(names) => {
                    for name in *names {
                        let known = find(name);
                        assert!(
                            matches!(known, Ok(_) | Err(OptionError::NotYet { .. })),
                            "{flags:?}: {name}"
                        );
                    }
                }
                Now::Mode(mode) => assert!(mode.parse::<ModeSpec>().is_ok(), "{flags:?}"),
                Now::Append | Now::Gone => {}
            }
        }
    }

    #[test]
    fn no_flag_that_is_called_removed_or_later_works() {
        let removed = REMOVED.iter().flat_map(|(flags, _)| flags.iter());
        for flag in removed.chain(SHORT_LATER.iter().map(|(flag, _)| flag)) {
            let line = ["flowgate", "dump", flag].map(Into::into);
            let error = crate::cli::parse(line, None).unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{flag}` ")), "{error}");
        }
    }
}
