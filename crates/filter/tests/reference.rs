//! The reference page of filters is what the table of operators says.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use flowgate_filter::reference_markdown;

#[test]
fn the_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/filters.md");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(path, reference_markdown()).unwrap();
    }
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        page,
        reference_markdown(),
        "UPDATE_REFERENCE=1 cargo test -p flowgate-filter --test reference"
    );
}
