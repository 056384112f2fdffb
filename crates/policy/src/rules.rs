//! The rules in force: the host options, compiled once and immutable.
//!
//! Not where options are parsed or kept. A caller compiles a new value, and only if that succeeds puts it in the place
//! of the old one, so that a bad pattern changes nothing; connections keep the value they were decided with.

use flowgate_options::ConditionKind;

use crate::pattern::{Pattern, PatternError, PatternList};
use crate::rule::{Rule, RuleError, RuleList, RuleListSource};

/// The options that a [`Rules`] is made of, as the user gave them.
#[derive(Clone, Debug, Default)]
pub struct RulesSource {
    /// The ordered rules, asked before the options.
    pub rules: RuleListSource,
    /// `ignore_hosts`: pass through what matches.
    pub ignore_hosts: Vec<String>,
    /// `allow_hosts`: pass through what does not match, unless empty.
    pub allow_hosts: Vec<String>,
    /// `tcp_hosts`: record raw what matches, TLS ended here.
    pub tcp_hosts: Vec<String>,
    /// `udp_hosts`: the same for UDP.
    pub udp_hosts: Vec<String>,
    /// What becomes of a malformed ClientHello that is not passed through.
    pub broken_hello: BrokenHello,
    /// What becomes of a ClientHello that hides another.
    pub ech: Ech,
    /// Explicit requests that `ignore_hosts` and `allow_hosts` would pass through are neither shown nor stored.
    pub hide_requests: bool,
}

/// What becomes of a malformed ClientHello that is not passed through.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum BrokenHello {
    /// The connection is refused, as mitmproxy does.
    #[default]
    Refuse,
    /// It is relayed and recorded as it is.
    RecordRaw,
}

/// What becomes of a ClientHello with an `encrypted_client_hello` extension.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ech {
    /// The outer name is matched as any other, and the reason says that there is another.
    #[default]
    MatchOuterName,
    /// It is passed through. Browsers send the extension with every hello (GREASE), real or not.
    PassThrough,
}

/// The options that hold patterns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HostOption {
    /// `ignore_hosts`.
    IgnoreHosts,
    /// `allow_hosts`.
    AllowHosts,
    /// `tcp_hosts`.
    TcpHosts,
    /// `udp_hosts`.
    UdpHosts,
}

impl std::fmt::Display for HostOption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::IgnoreHosts => "ignore_hosts",
            Self::AllowHosts => "allow_hosts",
            Self::TcpHosts => "tcp_hosts",
            Self::UdpHosts => "udp_hosts",
        })
    }
}

/// Why rules were refused as a whole.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// A pattern of a host option.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A word of a rule.
    #[error(transparent)]
    Rule(#[from] RuleError),
}

/// Compiled rules; the default is none at all.
#[derive(Debug, Default)]
pub struct Rules {
    pub(crate) list: RuleList,
    ignore_hosts: PatternList,
    allow_hosts: PatternList,
    tcp_hosts: PatternList,
    udp_hosts: PatternList,
    pub(crate) broken_hello: BrokenHello,
    pub(crate) ech: Ech,
    pub(crate) hide_requests: bool,
}

impl Rules {
    /// Compiles the options.
    ///
    /// # Errors
    /// The first rule or pattern that cannot be used.
    pub fn compile(source: &RulesSource) -> Result<Self, RulesError> {
        let list = |option, texts: &[String]| {
            PatternList::compile(texts).map_err(|(index, position, fault)| PatternError {
                option,
                index,
                pattern: texts.get(index).cloned().unwrap_or_default(),
                position,
                fault,
            })
        };
        Ok(Self {
            list: source.rules.compile()?,
            ignore_hosts: list(HostOption::IgnoreHosts, &source.ignore_hosts)?,
            allow_hosts: list(HostOption::AllowHosts, &source.allow_hosts)?,
            tcp_hosts: list(HostOption::TcpHosts, &source.tcp_hosts)?,
            udp_hosts: list(HostOption::UdpHosts, &source.udp_hosts)?,
            broken_hello: source.broken_hello,
            ech: source.ech,
            hide_requests: source.hide_requests,
        })
    }

    /// The ordered rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.list.rules
    }

    /// Some rule says by which way connections leave: who connects asks [`egress`](crate::egress()) before.
    #[must_use]
    pub const fn choose_egress(&self) -> bool {
        self.list.has_via
    }

    /// Explicit requests are to be asked about before they are forwarded: a rule, or a host option, may have a say.
    #[must_use]
    pub const fn ask_requests(&self) -> bool {
        !self.list.rules.is_empty() || self.hide_requests
    }

    /// Some rule looks at the fingerprint of ClientHellos ([`Facts::ja4`](crate::Facts::ja4)).
    #[must_use]
    pub fn ask_ja4(&self) -> bool {
        self.list.kinds.contains(&ConditionKind::Ja4)
    }

    /// Some rule looks at the client's program ([`Facts::process`](crate::Facts::process)).
    #[must_use]
    pub fn ask_process(&self) -> bool {
        self.list.kinds.contains(&ConditionKind::Process)
    }

    /// The patterns of an option, in order.
    #[must_use]
    pub fn patterns(&self, option: HostOption) -> &[Pattern] {
        self.list(option).patterns()
    }

    /// Nothing asks for names.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.rules.is_empty()
            && self.ignore_hosts.is_empty()
            && self.allow_hosts.is_empty()
            && self.ech == Ech::MatchOuterName
    }

    pub(crate) const fn list(&self, option: HostOption) -> &PatternList {
        match option {
            HostOption::IgnoreHosts => &self.ignore_hosts,
            HostOption::AllowHosts => &self.allow_hosts,
            HostOption::TcpHosts => &self.tcp_hosts,
            HostOption::UdpHosts => &self.udp_hosts,
        }
    }
}
