//! How many of something happen at the same time.

use std::num::NonZeroU16;

use crate::error::ValueError;
use crate::kind::{Kind, OptionType};
use crate::value::Value;

/// A number from 1 on, or no limit, which is written as -1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Concurrency(Option<NonZeroU16>);

impl Concurrency {
    /// One after the other.
    pub const ONE: Self = Self(Some(NonZeroU16::MIN));

    /// How many; `None` for no limit.
    pub fn limit(self) -> Option<NonZeroU16> {
        self.0
    }
}

impl OptionType for Concurrency {
    const KIND: Kind = Kind::Int { min: -1, max: u16::MAX as i64 };

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::Int(-1) => Ok(Self(None)),
            Value::Int(0) => Err(ValueError::NoneAtATime),
            Value::Int(number) => match u16::try_from(*number).ok().and_then(NonZeroU16::new) {
                Some(limit) => Ok(Self(Some(limit))),
                None => Err(Self::KIND.refuse(value)),
            },
            other => Err(Self::KIND.refuse(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::Int(self.0.map_or(-1, |limit| limit.get().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (number, limit) in
            [(-1, Some(None)), (0, None), (1, Some(Some(1))), (65_535, Some(Some(65_535))), (-2, None)]
        {
            let read = Concurrency::from_value(&Value::Int(number)).ok();
            assert_eq!(read.map(|read| read.limit().map(NonZeroU16::get)), limit, "{number}");
            assert!(read.is_none_or(|read| read.to_value() == Value::Int(number)), "{number}");
        }
    }
}
