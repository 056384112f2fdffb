//! What can be wrong with a pattern, in the words of Python's `re`, which people find when they search for them.

use crate::one_line::OneLine;

/// What is wrong with a pattern.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// `*a`, `a|+`, `^*`.
    #[error("nothing to repeat")]
    NothingToRepeat,
    /// `a**`.
    #[error("multiple repeat")]
    MultipleRepeat,
    /// `a{2,1}`.
    #[error("min repeat greater than max repeat")]
    MinAboveMax,
    /// `a{99999999999}`.
    #[error("the repetition number is too large")]
    RepeatTooLarge,
    /// `(a`.
    #[error("missing ), unterminated subpattern")]
    UnterminatedGroup,
    /// `(?#a`.
    #[error("missing ), unterminated comment")]
    UnterminatedComment,
    /// `a)`.
    #[error("unbalanced parenthesis")]
    UnbalancedParenthesis,
    /// More than 40 groups in one another.
    #[error("groups nested too deeply")]
    TooDeep,
    /// `[a`.
    #[error("unterminated character set")]
    UnterminatedClass,
    /// `[z-a]`, `[a-\d]`.
    #[error("bad character range {}", OneLine(.range))]
    BadRange {
        /// The range as it was written.
        range: String,
    },
    /// A backslash at the end.
    #[error("bad escape (end of pattern)")]
    EscapeAtEnd,
    /// `\q`.
    #[error("bad escape {}", OneLine(.escape))]
    BadEscape {
        /// The escape as it was written.
        escape: String,
    },
    /// `\x1`.
    #[error("incomplete escape {}", OneLine(.escape))]
    IncompleteEscape {
        /// The escape as it was written.
        escape: String,
    },
    /// `\400`.
    #[error("octal escape value {} outside of range 0-0o377", OneLine(.escape))]
    OctalTooLarge {
        /// The escape as it was written.
        escape: String,
    },
    /// `\N{DIGIT ONE}`, which only Python knows.
    #[error("character names are not supported")]
    CharacterName,
    /// `(?`.
    #[error("unexpected end of pattern")]
    UnexpectedEnd,
    /// `(?z)`.
    #[error("unknown extension {}", OneLine(.extension))]
    UnknownExtension {
        /// What follows the parenthesis.
        extension: String,
    },
    /// `(?P<n`.
    #[error("missing {closing}, unterminated name")]
    UnterminatedName {
        /// The character that would end it.
        closing: char,
    },
    /// `(?P<>a)`.
    #[error("missing group name")]
    MissingName,
    /// `(?P<1>a)`.
    #[error("bad character in group name '{}'", OneLine(.name))]
    BadName {
        /// The name.
        name: String,
    },
    /// Two groups with one name.
    #[error("redefinition of group name '{}'", OneLine(.name))]
    NameTwice {
        /// The name.
        name: String,
    },
    /// `(?P=n)` without a group of that name before it.
    #[error("unknown group name '{}'", OneLine(.name))]
    UnknownName {
        /// The name.
        name: String,
    },
    /// `\1` without a group before it.
    #[error("invalid group reference {group}")]
    InvalidReference {
        /// The group's number.
        group: u32,
    },
    /// `(a\1)`.
    #[error("cannot refer to an open group")]
    OpenGroup,
    /// `(?(1)a|b|c)`.
    #[error("conditional backref with more than two branches")]
    TooManyBranches,
    /// `a(?i)`.
    #[error("global flags not at the start of the expression")]
    LateFlags,
    /// `(?i`.
    #[error("missing -, : or )")]
    UnterminatedFlags,
    /// `(?i-`.
    #[error("missing flag")]
    MissingFlag,
    /// `(?-i)`.
    #[error("missing :")]
    MissingColon,
    /// A letter that is no flag.
    #[error("unknown flag")]
    UnknownFlag,
    /// `(?L)`, `(?au)`, `(?i-i:a)`, `(?-a:a)`.
    #[error("bad inline flags")]
    BadFlags,
    /// `(?<=a*)b`.
    #[error("look-behind requires fixed-width pattern")]
    VariableLookBehind,
    /// The compiled pattern would be too big, or holds a combination the engine does not know.
    #[error("the pattern is too large or too complex")]
    TooComplex,
}
