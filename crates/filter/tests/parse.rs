//! Reading filters: errors with their columns, limits, and that nothing panics.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use flowgate_filter::limits::{DEPTH_MAX, FILTER_BYTES_MAX};
use flowgate_filter::{Case, Expr, Filter, FilterFault, Test};
use proptest::prelude::*;

fn error(text: &str) -> String {
    Filter::parse(text, Case::Ignored).unwrap_err().to_string()
}

#[test]
fn errors_point_and_suggest() {
    for (text, message) in [
        ("", "empty filter"),
        ("a ~uu b", "unknown operator ~uu at column 3; did you mean ~u?"),
        ("ä ~ALL", "unknown operator ~ALL at column 3; did you mean ~all?"),
        ("~webscoket", "unknown operator ~webscoket at column 1; did you mean ~websocket?"),
        ("~xyzzy", "unknown operator ~xyzzy at column 1"),
        ("a ~b", "~b needs a regex at column 3; put a pattern with spaces, parentheses or a tilde in quotes"),
        ("~size 10x", "~size needs a size, not 10x at column 7; as in ~size >10k"),
        ("~duration >", "~duration needs a time at column 1; as in ~duration >2.5s"),
        ("a 'b", "unterminated quote at column 3; a quote ends on its line; \\\" is a quote within quotes"),
        ("~u é[", "regular expression /é[/: unterminated character set at column 5"),
        ("~b é[", "regular expression /é[/: unterminated character set at column 5"),
        ("()", "nothing between the parentheses at column 1"),
    ] {
        assert_eq!(error(text), message, "{text}");
    }
}

#[test]
fn says_whether_bodies_have_to_be_kept() {
    for (text, wanted) in [
        ("~d example & ~c 404", false),
        ("~h x | ~hq y | ~t json | ~duration >1s | ~u z", false),
        ("~b x", true),
        ("~bq x", true),
        ("~d a & !(~c 200 | ~bs x)", true),
        ("~size >10k", true),
    ] {
        assert_eq!(Filter::parse(text, Case::Ignored).unwrap().reads_bodies(), wanted, "{text}");
    }
}

#[test]
fn limits_hold() {
    for depth in [DEPTH_MAX, DEPTH_MAX + 1] {
        let nested = format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
        assert_eq!(Filter::parse(&nested, Case::Ignored).is_ok(), depth == DEPTH_MAX);
        let negated = format!("{}a", "!".repeat(depth));
        assert_eq!(Filter::parse(&negated, Case::Ignored).is_ok(), depth == DEPTH_MAX);
    }
    assert!(
        Filter::parse(&" ".repeat(FILTER_BYTES_MAX - 4).replacen(' ', "~all ", 1), Case::Ignored).is_ok()
    );
    let long = Filter::parse(&"a".repeat(FILTER_BYTES_MAX + 1), Case::Ignored).unwrap_err();
    assert_eq!(long.fault, FilterFault::TooLong);
}

#[test]
fn case_counts_where_it_is_asked_for() {
    for (case, ignored) in [(Case::Ignored, true), (Case::Sensitive, false)] {
        let filter = Filter::parse("A", case).unwrap();
        let Expr::Test { test: Test::Found(_, regex), .. } = filter.expr() else { panic!("one pattern") };
        assert_eq!(regex.how().ignore_case, ignored);
    }
}

proptest! {
    #[test]
    fn nothing_panics(text in "[ab~qcuszie!&|()'\"\\\\ \t\n>10kxé\\[]{0,40}|\\PC{0,20}") {
        match Filter::parse(&text, Case::Ignored) {
            Ok(filter) => prop_assert_eq!(filter.text(), text),
            Err(error) => {
                prop_assert!(error.column <= text.chars().count() + 1);
                prop_assert!(!error.to_string().contains(char::is_control));
            }
        }
    }
}
