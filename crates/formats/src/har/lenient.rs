//! Types that take what stands there: files of other tools have numbers as text, `null` for anything, lists for maps.
//!
//! Each is bounded, so that a few bytes of file never make much memory.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Values of one list that are kept; what is beyond is passed over.
pub(super) const LIST_VALUES_MAX: usize = 1 << 20;

/// A text; numbers are written out, anything else is no text.
#[derive(Clone, Debug, Default)]
pub(super) struct Text(pub(super) Option<String>);

impl Text {
    pub(super) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

/// A number, also one in quotes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Number(pub(super) Option<f64>);

/// A map of known keys; anything else counts as an empty one.
#[derive(Clone, Debug, Default)]
pub(super) struct Object<T>(pub(super) T);

/// A list; anything else counts as an empty one.
#[derive(Clone, Debug, Default)]
pub(super) struct List<T>(pub(super) Vec<T>);

/// A name and a value: as a map, or as a list of two (Slack).
#[derive(Clone, Debug, Default)]
pub(super) struct Pair {
    pub(super) name: Text,
    pub(super) value: Text,
}

macro_rules! scalars {
    ($($visit:ident($type:ty) = $make:expr;)*) => {
        $(fn $visit<E>(self, value: $type) -> Result<Self::Value, E> {
            Ok($make(value))
        })*
    };
}

macro_rules! passes_over {
    (seq) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
    (map) => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
    (scalars) => {
        scalars! {
            visit_str(&str) = |_| Self::Value::default();
            visit_bool(bool) = |_| Self::Value::default();
            visit_u64(u64) = |_| Self::Value::default();
            visit_i64(i64) = |_| Self::Value::default();
            visit_f64(f64) = |_| Self::Value::default();
        }
        passes_over!(unit);
    };
    (unit) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Of;
        impl<'de> Visitor<'de> for Of {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            scalars! {
                visit_str(&str) = |text: &str| Text(Some(text.to_owned()));
                visit_string(String) = |text| Text(Some(text));
                visit_bool(bool) = |value: bool| Text(Some(value.to_string()));
                visit_u64(u64) = |number: u64| Text(Some(number.to_string()));
                visit_i64(i64) = |number: i64| Text(Some(number.to_string()));
                visit_f64(f64) = |number: f64| Text(Some(number.to_string()));
            }
            passes_over!(unit);
            passes_over!(seq);
            passes_over!(map);
        }
        from.deserialize_any(Of)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Of;
        impl<'de> Visitor<'de> for Of {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            scalars! {
                visit_str(&str) = |text: &str| Number(text.trim().parse().ok().filter(|number: &f64| number.is_finite()));
                visit_bool(bool) = |_| Number(None);
                visit_u64(u64) = |number| Number(Some(number as f64));
                visit_i64(i64) = |number| Number(Some(number as f64));
                visit_f64(f64) = |number: f64| Number(Some(number).filter(|number| number.is_finite()));
            }
            passes_over!(unit);
            passes_over!(seq);
            passes_over!(map);
        }
        from.deserialize_any(Of)
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Of<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Of<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
            passes_over!(scalars);
            passes_over!(seq);
        }
        from.deserialize_any(Of(PhantomData))
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Of<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Of<T> {
            type Value = List<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                    if values.len() == LIST_VALUES_MAX {
                        while seq.next_element::<IgnoredAny>()?.is_some() {}
                    }
                }
                Ok(List(values))
            }
            passes_over!(scalars);
            passes_over!(map);
        }
        from.deserialize_any(Of(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Of;
        impl<'de> Visitor<'de> for Of {
            type Value = Pair;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name and a value")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pair = Pair::default();
                while let Some(Text(key)) = map.next_key()? {
                    match key.as_deref() {
                        Some("name") => pair.name = map.next_value()?,
                        Some("value") => pair.value = map.next_value()?,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(pair)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let name = seq.next_element()?.unwrap_or_default();
                let value = seq.next_element()?.unwrap_or_default();
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Pair { name, value })
            }
            passes_over!(scalars);
        }
        from.deserialize_any(Of)
    }
}
