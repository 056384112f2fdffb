//! Rules as they were written, each word with its place: what rule files and `config.yaml` are read into.
//!
//! Structure only. What a word means (a network, a pattern) is read by `flowgate-policy`, which names the word's place when it
//! means nothing.

use std::fmt;

use crate::egress_spec::EgressSpec;

/// An entry of the option `rules`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RuleSource {
    /// The path of a rule file.
    File(String),
    /// A rule that stands in the config file itself.
    Inline(Box<RuleText>),
}

/// A rule as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuleText {
    /// The file, as the user named it.
    pub file: String,
    /// The line of its `[[rule]]`, from 1.
    pub line: usize,
    /// What becomes of connections that it matches; `None` leaves that to the rules and options below.
    pub action: Option<RuleAction>,
    /// The way out that they take; one of this and [`Self::action`] there is.
    pub via: Option<EgressSpec>,
    /// What must hold, in the order in which it is checked; all of it must.
    pub conditions: Vec<ConditionText>,
}

/// One condition: it holds if one of the words does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConditionText {
    /// What is looked at, and how.
    pub kind: ConditionKind,
    /// The alternatives.
    pub words: Vec<Word>,
}

/// A value and its place in the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Word {
    /// The value.
    pub text: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $help:literal])+ $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $name { $($(#[doc = $help])+ $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// How it is written in a rule file.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            pub(crate) fn of(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words! {
    /// What becomes of a connection that a rule matches.
    RuleAction {
        /// Its TLS is ended here, or its HTTP read.
        Decrypt = "decrypt",
        /// It is passed through untouched.
        Pass = "pass",
        /// Its bytes are recorded and not read as HTTP; its TLS is ended first.
        Record = "record",
        /// It is refused.
        Block = "block",
        /// As `decrypt`, but neither shown nor stored.
        Hide = "hide",
    }
}

words! {
    /// What a condition looks at, and how.
    ConditionKind {
        /// The exact name.
        Name = "name",
        /// The name, or one below it.
        Domain = "domain",
        /// The name, with `*` and `?`.
        Glob = "glob",
        /// A regular expression, searched in `host:port`.
        Regex = "regex",
        /// Names from a file.
        List = "list",
        /// The network that the server's address is in.
        Cidr = "cidr",
        /// The port.
        Port = "port",
        /// The mode by which the client came.
        Mode = "mode",
        /// The network that the client's address is in.
        Client = "client",
        /// A protocol that the client offers by ALPN.
        Alpn = "alpn",
        /// The fingerprint of the client's ClientHello, with `*` and `?`.
        Ja4 = "ja4",
        /// The program of this machine that is the client, with `*` and `?`.
        Process = "process",
    }
}
