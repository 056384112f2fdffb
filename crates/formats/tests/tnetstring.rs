//! Typed netstrings alone: what is read, what is refused and where, and that what is written is read again.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking; helpers are not seen as tests"
)]

use flowgate_formats::tnetstring::{
    Encoder, FrameError, Limits, Problem, SyntaxError, Value, parse, read_frame,
};
use proptest::prelude::*;

const LIMITS: Limits = Limits { item_bytes_max: 999, nesting_max: 3, values_max: 9 };

/// The values of `bytes`, or what is wrong with them.
fn read(mut bytes: &[u8], limits: &Limits) -> Result<Vec<Value<'static>>, SyntaxError> {
    let (mut offset, end) = (0, bytes.len());
    let mut values = Vec::new();
    loop {
        let frame = match read_frame(&mut bytes, &mut offset, limits) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(values),
            Err(FrameError::Syntax(error)) => return Err(error),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(offset as usize, end - bytes.len());
        values.push(parse(frame.payload.leak(), frame.kind, frame.payload_offset, limits)?);
    }
}

fn written(value: &Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new();
    encoder.value(value).write_to(&mut out).unwrap();
    assert!(encoder.is_empty());
    out
}

#[test]
fn reads_and_writes_each_type() {
    let text = |text: &'static str| Value::Text(text.into());
    for (bytes, value) in [
        ("0:,", Value::Bytes(b"".into())),
        ("3:a\0b,", Value::Bytes(b"a\0b".into())),
        ("2:ä;", text("ä")),
        ("1:0#", Value::Int(0)),
        ("20:-9223372036854775808#", Value::Int(i64::MIN)),
        ("19:9223372036854775807#", Value::Int(i64::MAX)),
        ("3:0.5^", Value::Float(0.5)),
        ("11:946681204.2^", Value::Float(946681204.2)),
        ("4:-0.0^", Value::Float(-0.0)),
        ("6:5e-324^", Value::Float(5e-324)),
        ("4:1e22^", Value::Float(1e22)),
        ("4:-inf^", Value::Float(f64::NEG_INFINITY)),
        ("4:true!", Value::Bool(true)),
        ("5:false!", Value::Bool(false)),
        ("0:~", Value::None),
        ("0:]", Value::List(vec![])),
        ("7:1:1#0:~]", Value::List(vec![Value::Int(1), Value::None])),
        ("0:}", Value::Map(vec![])),
        (
            "16:1:a;1:1#1:b,1:2#}",
            Value::Map(vec![(text("a"), Value::Int(1)), (Value::Bytes(b"b".into()), Value::Int(2))]),
        ),
    ] {
        assert_eq!(read(bytes.as_bytes(), &LIMITS), Ok(vec![value.clone()]), "{bytes}");
        assert_eq!(String::from_utf8(written(&value)).unwrap(), bytes);
    }
}

#[test]
fn reads_floats_as_python_writes_them() {
    for (bytes, number) in [("5:1e-07^", 1e-7), ("5:1e+22^", 1e22), ("3:inf^", f64::INFINITY), ("1:7^", 7.0)]
    {
        assert_eq!(read(bytes.as_bytes(), &LIMITS), Ok(vec![Value::Float(number)]));
    }
    let nan = read(&written(&Value::Float(f64::NAN)), &LIMITS).map(|values| format!("{values:?}"));
    assert_eq!(nan, Ok("[Float(NaN)]".to_owned()));
}

#[test]
fn says_what_is_wrong_and_where() {
    use Problem::*;
    for (bytes, offset, problem) in [
        (&b"x"[..], 0, Length),
        (b":", 0, Length),
        (b" 1:a,", 0, Length),
        (b"-1:a,", 0, Length),
        (b"1x:a,", 0, Length),
        (b"1:1#x", 4, Length),
        (b"1", 1, Truncated),
        (b"1:", 2, Truncated),
        (b"3:ab", 4, Truncated),
        (b"2:ab", 4, Truncated),
        (b"999:", 4, Truncated),
        (b"1000:", 0, ItemBytes { length: 1000, limit: 999 }),
        (b"999999999999:", 0, ItemBytes { length: 999_999_999_999, limit: 999 }),
        (b"0000000000001:", 0, LengthDigits),
        (b"1:a?", 3, Type { found: b'?' }),
        (b"4:1:a?]", 5, Type { found: b'?' }),
        (b"1:-#", 2, Int),
        (b"0:#", 2, Int),
        (b"2:1_#", 2, Int),
        (b"2:+1#", 2, Int),
        (b"19:9223372036854775808#", 3, IntRange),
        (b"20:-9223372036854775809#", 3, IntRange),
        (b"1:x^", 2, Float),
        (b"4:True!", 2, Bool),
        (b"1:x~", 2, None),
        (b"1:\xff;", 2, Text),
        (b"3:x:,]", 2, Length),
        (b"1:1]", 2, Length),
        (b"4:9:a,]", 2, BeyondContainer { length: 9, left: 1 }),
        (b"2:0:]", 2, BeyondContainer { length: 0, left: 0 }),
        (b"22:18446744073709551616:,]", 3, LengthDigits),
        (b"4:1:a;}", 6, KeyWithoutValue),
        (b"9:6:3:0:]]]]", 8, Nesting { limit: 3 }),
        (b"27:0:~0:~0:~0:~0:~0:~0:~0:~0:~]", 29, Values { limit: 9 }),
    ] {
        assert_eq!(read(bytes, &LIMITS), Err(SyntaxError { offset, problem }), "{}", bytes.escape_ascii());
    }
    assert!(read(b"6:3:0:]]]", &LIMITS).is_ok());
    assert!(read(b"24:0:~0:~0:~0:~0:~0:~0:~0:~]", &LIMITS).is_ok());
}

#[test]
fn a_value_is_as_small_as_the_limits_say() {
    assert!(size_of::<Value<'_>>() <= 32);
}

fn value() -> impl Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Value::Bytes(bytes.into())),
        ".{0,9}".prop_map(|text| Value::Text(text.into())),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::None),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::vec((inner.clone(), inner), 0..6).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(values in prop::collection::vec(value(), 0..5)) {
        let bytes = values.iter().flat_map(written).collect::<Vec<_>>();
        prop_assert_eq!(read(&bytes, &Limits::default()), Ok(values));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, &LIMITS);
    }

    #[test]
    fn no_likely_bytes_panic(bytes in "[0-9]{0,2}[:,;#^!~\\]}0-3a-z-]{0,40}") {
        let _ = read(bytes.as_bytes(), &LIMITS);
    }
}
