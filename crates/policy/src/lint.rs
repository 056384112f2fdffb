//! Rules and patterns that work, and probably do not do what was meant.
//!
//! Nothing here decides about connections. Each warning says what would happen and what to write instead; what is not
//! warned of may be wrong all the same.

mod rules;

use std::fmt::{self, Display, Formatter};

use crate::candidates::{Candidate, FactKind};
use crate::pattern::Outcome;
use crate::pattern::{Never, PatternList, Searched, Shape, shape};
use crate::rules::{HostOption, Rules, RulesError, RulesSource};
use flowgate_pattern::OneLine;

/// A warning; its `Display` is one line: where, what, and what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    /// Where: `ignore_hosts[0] /bank/`, or `rule mine.toml:3`.
    pub place: String,
    /// What.
    pub lint: Lint,
}

/// What a warning is about.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Lint {
    /// A pattern is found behind the beginning of other names.
    OpenStart,
    /// A pattern is found before the end of other names.
    OpenEnd,
    /// A dot stands for any character.
    LooseDot,
    /// A pattern can never be found.
    Never(Never),
    /// A pattern is found in every name.
    Everything,
    /// What it matches is matched earlier, or by something stronger.
    Shadowed {
        /// By which pattern or rule.
        by: String,
    },
    /// A rule that passes connections through, and sends them another way than the others to the same hosts go.
    OtherWayOut {
        /// The way they take.
        own: String,
        /// The way they would take without the rule, and what says so.
        others: String,
    },
    /// A word that another word of the same rule covers.
    Covered {
        /// The word.
        word: String,
        /// The other.
        by: String,
    },
}

impl Lint {
    /// What to do.
    #[must_use]
    pub const fn suggestion(&self) -> &'static str {
        match self {
            Self::OpenStart => r"begin it with `^`, or with `^(.+\.)?` for subdomains too",
            Self::OpenEnd => "end it with the port, as in `:443$`, or with `:` for every port",
            Self::LooseDot => r"write `\.` for a dot",
            Self::Never(Never::NoPort) => "write `:443$` or `:` in the place of `$`",
            Self::Never(Never::Character(_)) => {
                "write the host and the port alone, as in `^bank\\.test:443$`"
            }
            Self::Never(Never::BeyondEnds) => "put `^` first and `$` last",
            Self::Never(Never::Port) => "ports end at 65535",
            Self::Everything => "leave everything else out, or say which hosts are meant",
            Self::Shadowed { .. } => "leave it out, or put it first",
            Self::OtherWayOut { .. } => "choose the way in a rule with `via` alone that stands above",
            Self::Covered { .. } => "leave it out",
        }
    }
}

impl Display for Lint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenStart => f.write_str("unanchored: names that only end like this match too"),
            Self::OpenEnd => f.write_str("unanchored: names that only begin like this match too"),
            Self::LooseDot => f.write_str("unescaped dot: any character matches in its place"),
            Self::Never(never) => write!(f, "can never match: {never}"),
            Self::Everything => f.write_str("matches everything"),
            Self::Shadowed { by } => write!(f, "has no effect: {by} matches first"),
            Self::OtherWayOut { own, others } => {
                write!(f, "what it passes through leaves {own}, what is decrypted leaves {others}")
            }
            Self::Covered { word, by } => {
                write!(f, "`{}` has no effect: `{}` covers it", OneLine(word), OneLine(by))
            }
        }
    }
}

impl Display for Warning {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.lint, self.lint.suggestion())
    }
}

/// Looks through rules and options, in the order in which they are asked.
///
/// # Errors
/// The first rule or pattern that cannot be used at all.
pub fn lint(source: &RulesSource) -> Result<Vec<Warning>, RulesError> {
    let compiled = Rules::compile(source)?;
    let mut warnings = Vec::new();
    rules::lint(&compiled, &mut warnings);
    let options = [
        (HostOption::IgnoreHosts, &source.ignore_hosts),
        (HostOption::AllowHosts, &source.allow_hosts),
        (HostOption::TcpHosts, &source.tcp_hosts),
        (HostOption::UdpHosts, &source.udp_hosts),
    ];
    // Patterns that come before the one looked at, and keep it from being asked.
    let mut earlier: Vec<Earlier> = Vec::new();
    for (option, texts) in options {
        if option == HostOption::UdpHosts {
            // Another transport than `tcp_hosts`.
            earlier.retain(|earlier| !earlier.place.starts_with("tcp_hosts"));
        }
        let searched = match option {
            HostOption::IgnoreHosts | HostOption::AllowHosts => Searched::HostAndPort,
            HostOption::TcpHosts | HostOption::UdpHosts => Searched::HostToo,
        };
        for (index, text) in texts.iter().enumerate() {
            let place = format!("{option}[{index}] /{}/", OneLine(text));
            let Some(shape) = shape(text, searched) else { continue };
            let by = earlier.iter().find(|earlier| earlier.covers(text, &shape));
            if let Some(by) = by {
                let lint = Lint::Shadowed { by: by.place.clone() };
                warnings.push(Warning { place: place.clone(), lint });
            }
            warn_of(&place, &shape, &mut warnings);
            earlier.push(Earlier::new(place, text, &shape));
        }
        if option == HostOption::AllowHosts {
            // What is allowed is not passed through, and so may be recorded raw.
            earlier.retain(|earlier| !earlier.place.starts_with("allow_hosts"));
        }
    }
    Ok(warnings)
}

pub(super) fn warn_of(place: &str, shape: &Shape, warnings: &mut Vec<Warning>) {
    let found = [
        shape.never.map(Lint::Never),
        shape.everything.then_some(Lint::Everything),
        (shape.open_start && shape.never.is_none()).then_some(Lint::OpenStart),
        (shape.open_end && shape.never.is_none()).then_some(Lint::OpenEnd),
        shape.loose_dot.then_some(Lint::LooseDot),
    ];
    warnings.extend(found.into_iter().flatten().map(|lint| Warning { place: place.to_owned(), lint }));
}

/// A pattern that was looked at.
struct Earlier {
    place: String,
    text: String,
    everything: bool,
    compiled: Option<PatternList>,
}

impl Earlier {
    fn new(place: String, text: &str, shape: &Shape) -> Self {
        let compiled = PatternList::compile(&[text.to_owned()]).ok();
        Self { place, text: text.to_owned(), everything: shape.everything, compiled }
    }

    /// Whatever the later pattern is found in, this one is found in.
    fn covers(&self, text: &str, shape: &Shape) -> bool {
        let found_in = |text: &str| {
            let candidate = [Candidate { fact: FactKind::Destination, text }];
            let asked = self.compiled.as_ref().map(|list| list.ask(candidate.into_iter(), false, &mut None));
            matches!(asked, Some(Outcome::Hit { .. }))
        };
        self.everything || self.text == text || shape.only.as_deref().is_some_and(found_in)
    }
}
