//! What an option can hold: [`Kind`] as data, for messages, editors and pages; [`OptionType`] ties it to a Rust type.
//!
//! Invariant: for each type here, `from_value(to_value(x)) == x`.

use std::fmt;
use std::net::IpAddr;

use crate::error::ValueError;
use crate::mode_spec::ModeSpec;
use crate::rule_text::RuleSource;
use crate::size::Size;
use crate::value::Value;

/// The kind of value an option holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number, both bounds included.
    Int {
        /// Smallest number.
        min: i64,
        /// Largest number.
        max: i64,
    },
    /// A whole number or nothing.
    OptInt {
        /// Smallest number.
        min: i64,
        /// Largest number.
        max: i64,
    },
    /// Text.
    Text,
    /// Text or nothing; empty text counts as nothing.
    OptText,
    /// Any number of texts.
    List,
    /// Any number of rule files, and in the config file of rules.
    Rules,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A number of bytes such as `512k` or `3m`, or nothing.
    OptSize,
}

impl Kind {
    /// The type's name in `--options` and the reference page.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int { .. } => "int",
            Self::OptInt { .. } => "optional int",
            Self::Text => "str",
            Self::OptText => "optional str",
            Self::List | Self::Rules => "sequence of str",
            Self::Choice(_) => "choice",
            Self::OptSize => "optional size",
        }
    }

    /// Whether an option of this kind may be given several times.
    pub const fn is_list(self) -> bool {
        matches!(self, Self::List | Self::Rules)
    }

    /// The words that are allowed, for a choice.
    pub fn choices(self) -> &'static [&'static str] {
        match self {
            Self::Choice(choices) => choices,
            _ => &[],
        }
    }

    /// The same kind with a smaller range; kinds without numbers stay as they are.
    pub(crate) const fn within(self, min: i64, max: i64) -> Self {
        match self {
            Self::Int { .. } => Self::Int { min, max },
            Self::OptInt { .. } => Self::OptInt { min, max },
            other => other,
        }
    }

    /// The error for a value this kind does not take.
    pub(crate) fn refuse(self, found: &Value) -> ValueError {
        ValueError::Expected { expected: self, found: found.to_string() }
    }

    /// Reads what stands on a command line: one entry per time the option was named, `None` where it had no value.
    ///
    /// Text that is no number or no boolean stays text, and is refused where the value is checked. `current` is what
    /// `toggle` turns around.
    pub(crate) fn read_text(self, given: &[Option<String>], current: &Value) -> Result<Value, ValueError> {
        if self.is_list() {
            return Ok(match given {
                // `--set name=` empties a list. Differs from mitmproxy, where it makes a list of one empty text:
                // as an `ignore_hosts` pattern that would silently pass every connection through.
                [Some(only)] if only.is_empty() => Value::List(Vec::new()),
                several => Value::List(several.iter().flatten().cloned().collect()),
            });
        }
        let text = given.first().and_then(Option::as_deref);
        Ok(match (self, text) {
            (Self::Bool, None | Some("" | "true")) => Value::Bool(true),
            (Self::Bool, Some("false")) => Value::Bool(false),
            (Self::Bool, Some("toggle")) => Value::Bool(*current != Value::Bool(true)),
            (Self::OptInt { .. } | Self::OptText | Self::OptSize, None | Some("")) => Value::Null,
            (_, None) => return Err(ValueError::Required),
            (Self::Int { .. }, Some("")) => return Err(ValueError::Required),
            (Self::Int { .. } | Self::OptInt { .. }, Some(text)) => {
                text.parse().map_or_else(|_| Value::Text(text.into()), Value::Int)
            }
            (_, Some(text)) => Value::Text(text.into()),
        })
    }

    /// Whether numbers are in range and words among the choices; types are the business of [`OptionType`].
    pub(crate) fn check_bounds(self, value: &Value) -> Result<(), ValueError> {
        let fits = match (self, value) {
            (Self::Int { min, max } | Self::OptInt { min, max }, Value::Int(number)) => {
                (min..=max).contains(number)
            }
            (Self::Choice(choices), Value::Text(word)) => choices.contains(&word.as_str()),
            _ => true,
        };
        if fits { Ok(()) } else { Err(self.refuse(value)) }
    }
}

impl fmt::Display for Kind {
    /// What is expected, as it stands in a message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Int { min, max } | Self::OptInt { min, max } if *max == i64::MAX => {
                write!(f, "a whole number from {min}")
            }
            Self::Int { min, max } | Self::OptInt { min, max } => {
                write!(f, "a whole number from {min} to {max}")
            }
            Self::Text | Self::OptText => f.write_str("text"),
            Self::List => f.write_str("a list of texts"),
            Self::Rules => f.write_str("a list of rule files or rules"),
            Self::Choice(choices) => write!(f, "one of {}", choices.join(", ")),
            Self::OptSize => f.write_str("a size such as 4096, 512k, 3m or 1g"),
        }
    }
}

/// A Rust type that an option can have.
pub(crate) trait OptionType: Sized {
    /// What values of this type look like to a user.
    const KIND: Kind;
    /// Checks and converts.
    fn from_value(value: &Value) -> Result<Self, ValueError>;
    /// The value as it is shown and saved.
    fn to_value(&self) -> Value;
}

impl OptionType for bool {
    const KIND: Kind = Kind::Bool;

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::Bool(on) => Ok(*on),
            other => Err(Self::KIND.refuse(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::Bool(*self)
    }
}

/// Whole numbers, with and without "nothing".
macro_rules! int_types {
    ($($int:ty => $max:expr),+) => {$(
        impl OptionType for $int {
            const KIND: Kind = Kind::Int { min: 0, max: $max };

            fn from_value(value: &Value) -> Result<Self, ValueError> {
                match value {
                    Value::Int(number) => Self::try_from(*number).map_err(|_| Self::KIND.refuse(value)),
                    other => Err(Self::KIND.refuse(other)),
                }
            }

            fn to_value(&self) -> Value {
                Value::Int(i64::try_from(*self).unwrap_or(i64::MAX))
            }
        }

        impl OptionType for Option<$int> {
            const KIND: Kind = Kind::OptInt { min: 0, max: $max };

            fn from_value(value: &Value) -> Result<Self, ValueError> {
                if *value == Value::Null { Ok(None) } else { <$int>::from_value(value).map(Some) }
            }

            fn to_value(&self) -> Value {
                self.as_ref().map_or(Value::Null, OptionType::to_value)
            }
        }
    )+};
}

int_types!(u8 => u8::MAX as i64, u16 => u16::MAX as i64, u32 => u32::MAX as i64, u64 => i64::MAX);

impl OptionType for String {
    const KIND: Kind = Kind::Text;

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::Text(text) => Ok(text.clone()),
            other => Err(Self::KIND.refuse(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }
}

impl OptionType for Option<String> {
    const KIND: Kind = Kind::OptText;

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::Null => Ok(None),
            Value::Text(text) if text.is_empty() => Ok(None),
            other => String::from_value(other).map(Some),
        }
    }

    fn to_value(&self) -> Value {
        self.clone().map_or(Value::Null, Value::Text)
    }
}

impl OptionType for Option<IpAddr> {
    const KIND: Kind = Kind::OptText;

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        let Some(text) = Option::<String>::from_value(value)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| ValueError::Address { found: text })
    }

    fn to_value(&self) -> Value {
        self.map_or(Value::Null, |address| Value::Text(address.to_string()))
    }
}

impl OptionType for Vec<String> {
    const KIND: Kind = Kind::List;

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::List(entries) if entries.iter().any(String::is_empty) => Err(ValueError::EmptyEntry),
            Value::List(entries) => Ok(entries.clone()),
            other => Err(Self::KIND.refuse(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::List(self.clone())
    }
}

impl OptionType for Vec<RuleSource> {
    const KIND: Kind = Kind::Rules;

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::List(_) => {
                Ok(Vec::<String>::from_value(value)?.into_iter().map(RuleSource::File).collect())
            }
            Value::Rules(entries) if entries.contains(&RuleSource::File(String::new())) => {
                Err(ValueError::EmptyEntry)
            }
            Value::Rules(entries) => Ok(entries.clone()),
            other => Err(Self::KIND.refuse(other)),
        }
    }

    fn to_value(&self) -> Value {
        let path = |entry: &RuleSource| match entry {
            RuleSource::File(path) => Some(path.clone()),
            RuleSource::Inline(_) => None,
        };
        // As on the command line, where it can be written so.
        let paths: Option<Vec<_>> = self.iter().map(path).collect();
        paths.map_or_else(|| Value::Rules(self.clone()), Value::List)
    }
}

impl OptionType for Vec<ModeSpec> {
    const KIND: Kind = Kind::List;

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        let mut modes = Self::new();
        for text in Vec::<String>::from_value(value)? {
            let mode: ModeSpec = text.parse()?;
            mode.check_runs()?;
            modes.push(mode);
        }
        Ok(modes)
    }

    fn to_value(&self) -> Value {
        Value::List(self.iter().map(ToString::to_string).collect())
    }
}

impl OptionType for Option<Size> {
    const KIND: Kind = Kind::OptSize;

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::Null => Ok(None),
            Value::Text(text) if text.is_empty() => Ok(None),
            Value::Text(text) => Size::parse(text).map(Some).ok_or_else(|| Self::KIND.refuse(value)),
            Value::Int(bytes) => match u64::try_from(*bytes) {
                Ok(bytes) => Ok(Some(Size::from_bytes(bytes))),
                Err(_) => Err(Self::KIND.refuse(value)),
            },
            other => Err(Self::KIND.refuse(other)),
        }
    }

    fn to_value(&self) -> Value {
        self.map_or(Value::Null, |size| Value::Text(size.to_string()))
    }
}
