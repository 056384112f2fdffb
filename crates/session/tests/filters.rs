//! Filters over flows, held against what the real mitmproxy 12 says of the same file (`filters/make.py` asked it).
//!
//! Every deliberate difference is a row of [`DIFFERENCES`], with what we say instead; a row that is no difference fails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by it")]

use std::path::Path;

use flowgate_filter::{Case, Filter};
use flowgate_flow::Flow;
use flowgate_session::{Decoding, read_flows};
use serde_json::Value;

/// What we say where it is not what mitmproxy says.
enum Ours {
    /// The error.
    Refused(&'static str),
    /// It is read, and means the same as this filter.
    Means(&'static str),
}
use Ours::{Means, Refused};

/// Expressions that mitmproxy answers otherwise, on purpose. `docs/reference/filters.md` tells them in words.
#[rustfmt::skip]
const DIFFERENCES: &[(&str, Ours)] = &[
    // The name of an operator may also end before a parenthesis, `&`, `|` or a quote.
    ("(~q)", Means("~q")),
    ("~q&~s", Means("~q & ~s")),
    ("~q& ~s", Means("~q & ~s")),
    ("~q|~s", Means("~q | ~s")),
    (r#"~comment"a""#, Means("~comment a")),
    (r#"~u"example""#, Means("~u example")),
    (r#"~t"json""#, Means("~t json")),
    // Expressions may stand beside each other in parentheses, too.
    ("(a b)", Means("a & b")),
    ("(a b) | c", Means("(a & b) | c")),
    ("a (b c)", Means("a & b & c")),
    // A status ends where the word ends; what follows is no pattern of its own.
    ("~c 2.5", Refused("~c needs a status, not 2.5 at column 4; as in ~c 404 or ~c 4xx")),
    ("~c 20x", Refused("~c needs a status, not 20x at column 4; as in ~c 404 or ~c 4xx")),
    ("~c 200b", Refused("~c needs a status, not 200b at column 4; as in ~c 404 or ~c 4xx")),
    // `&`, `|` and `!` are no patterns, unless they are in quotes.
    ("~b & ~q", Refused("& where a pattern is expected at column 4; write & and | once between two expressions; put it in quotes to search for it")),
    ("~b | ~q", Refused("| where a pattern is expected at column 4; write & and | once between two expressions; put it in quotes to search for it")),
    ("& a", Refused("& where a pattern is expected at column 1; write & and | once between two expressions; put it in quotes to search for it")),
    ("| a", Refused("| where a pattern is expected at column 1; write & and | once between two expressions; put it in quotes to search for it")),
    ("a & & b", Refused("& where a pattern is expected at column 5; write & and | once between two expressions; put it in quotes to search for it")),
    ("a && b", Refused("& where a pattern is expected at column 4; write & and | once between two expressions; put it in quotes to search for it")),
    ("a || b", Refused("| where a pattern is expected at column 4; write & and | once between two expressions; put it in quotes to search for it")),
    ("a & | b", Refused("| where a pattern is expected at column 5; write & and | once between two expressions; put it in quotes to search for it")),
    ("&", Refused("& where a pattern is expected at column 1; write & and | once between two expressions; put it in quotes to search for it")),
    ("|", Refused("| where a pattern is expected at column 1; write & and | once between two expressions; put it in quotes to search for it")),
    ("a &", Refused("nothing follows & at column 3; put it in quotes to search for it")),
    ("a |", Refused("nothing follows | at column 3; put it in quotes to search for it")),
    ("a !", Refused("nothing follows ! at column 3; put it in quotes to search for it")),
    ("!", Refused("nothing follows ! at column 1; put it in quotes to search for it")),
    ("!!", Refused("nothing follows ! at column 2; put it in quotes to search for it")),
    // Locales change what a pattern means from machine to machine.
    (r#"~b "(?L)a""#, Refused("regular expression /(?L)a/: bad inline flags at column 8")),
    // In quotes a backslash is dropped before digits and `x`, too: `\\x41` is a character, `\x41` never. By a slip in the
    // library that mitmproxy reads filters with, some of them are characters there: those that end in 2.
    (r#""\x42""#, Means("x42")),
    (r#""\0""#, Means("0")),
    // Operators of our own.
    ("~size >10", Means("~size >= 11")),
    ("~duration >1", Means("~duration >1000ms")),
];

fn flows() -> Vec<Flow> {
    let mut flows = Vec::new();
    read_flows(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/filters/flows.mitm")), |flow| {
        flows.push(flow)
    })
    .unwrap();
    flows
}

/// A `1` for each flow that is meant, a `0` for each other; or the error.
fn ours(expression: &str, flows: &[Flow]) -> Result<String, String> {
    let filter = Filter::parse(expression, Case::Ignored).map_err(|error| error.to_string())?;
    Ok(flows
        .iter()
        .map(|flow| {
            let answer = filter.ask(flow, &Decoding);
            assert!(!answer.gave_up, "{expression}");
            if answer.matched { '1' } else { '0' }
        })
        .collect())
}

#[test]
fn answers_are_those_of_mitmproxy() {
    let flows = flows();
    let table: Value = serde_json::from_str(include_str!("filters/answers.json")).unwrap();
    let rows = table["answers"].as_array().unwrap();
    let (mut wrong, mut different) = (0, 0);
    for row in rows {
        let expression = row[0].as_str().unwrap();
        let theirs = row[1].as_str();
        let ours = ours(expression, &flows);
        let same = theirs == ours.as_deref().ok();
        let on_purpose = DIFFERENCES.iter().find(|(known, _)| *known == expression).map(|(_, ours)| ours);
        different += usize::from(on_purpose.is_some());
        let fits = match (on_purpose, &ours) {
            (None, _) => same,
            (Some(_), _) if same => false,
            (Some(Refused(error)), ours) => ours.as_ref().err().map(String::as_str) == Some(error),
            (Some(Means(other)), ours) => ours.is_ok() && *ours == self::ours(other, &flows),
        };
        if !fits {
            wrong += 1;
            eprintln!("{expression:?}\n    ours   {ours:?}\n    theirs {theirs:?}");
        }
    }
    assert!(rows.len() >= 250 && flows.len() >= 50, "{} expressions, {} flows", rows.len(), flows.len());
    assert_eq!(wrong, 0, "of {} expressions over {} flows", rows.len(), flows.len());
    assert_eq!(different, DIFFERENCES.len(), "each difference is in the table");
    eprintln!("{} expressions over {} flows; {different} differ on purpose", rows.len(), flows.len());
}
