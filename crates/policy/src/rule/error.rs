//! Why rules cannot be used.

use crate::network::NetworkFault;
use crate::pattern::Fault;
use flowgate_pattern::OneLine;

/// A rule that cannot be used; its `Display` is one line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{file}:{line}:{column}: `{key}` {}: {fault}", OneLine(.word))]
pub struct RuleError {
    /// The file that the rule stands in.
    pub file: String,
    /// The line of the word, from 1.
    pub line: usize,
    /// Its column, from 1, in characters.
    pub column: usize,
    /// The key.
    pub key: &'static str,
    /// The word as it was written.
    pub word: String,
    /// What is wrong.
    pub fault: RuleFault,
}

/// What is wrong with a word of a rule.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleFault {
    /// A regular expression that cannot be compiled.
    #[error("{fault} at position {position}")]
    Pattern {
        /// At which character, from 0.
        position: usize,
        /// What is wrong there.
        fault: Fault,
    },
    /// No network.
    #[error(transparent)]
    Network(#[from] NetworkFault),
    /// No port and no range of ports.
    #[error("not a port or a range such as 8000-8999")]
    Port,
    /// Nothing, or a name that cannot be one.
    #[error("not a host name{}", if *.wildcard { "; names with wildcards are for `glob`" } else { "" })]
    Name {
        /// It has a `*` in it.
        wildcard: bool,
    },
    /// An empty word: it would match everything.
    #[error("empty")]
    Empty,
    /// No mode.
    #[error("there is no such mode")]
    Mode,
    /// No fingerprint.
    #[error("not a JA4 fingerprint such as t13d1516h2_8daaf6152771_e5627efa2ab1 or t13d*")]
    Ja4,
    /// A list that was not read.
    #[error("the list was not read")]
    List,
}
