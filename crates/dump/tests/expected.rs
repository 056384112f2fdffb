//! The table: what is printed of each case, held against `tests/data/expected.txt`.
//!
//! `FLOWGATE_UPDATE_EXPECTED=1` writes the file anew: read the difference before it is committed.

mod flows;

use std::fmt::Write as _;

use flowgate_dump::Style;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/expected.txt");

#[test]
fn every_case_is_printed_as_expected() {
    let mut actual = String::new();
    for case in flows::cases() {
        for &detail in case.details {
            let same = if case.oracle == flows::Oracle::Same { "" } else { " (differs from mitmdump)" };
            writeln!(actual, "=== {}, detail {detail}{same}", case.name).unwrap();
            actual.push_str(&flows::shown(&case, detail, Style::Plain));
        }
    }
    // In this file line ends are shown, for some lines end in spaces.
    let actual: String = actual
        .lines()
        .map(|line| if line.ends_with(' ') { format!("{line}$\n") } else { format!("{line}\n") })
        .collect();
    if std::env::var_os("FLOWGATE_UPDATE_EXPECTED").is_some() {
        std::fs::write(PATH, &actual).unwrap();
    }
    let expected = std::fs::read_to_string(PATH).unwrap();
    for (at, (expected, actual)) in expected.lines().zip(actual.lines()).enumerate() {
        assert_eq!(actual, expected, "line {} of {PATH}", at + 1);
    }
    assert_eq!(actual.lines().count(), expected.lines().count());
}
