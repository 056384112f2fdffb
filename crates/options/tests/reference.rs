//! The reference page in the repository is the one the registry makes.

use std::{env, fs};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/options.md");

#[test]
fn the_page_is_up_to_date() {
    let page = flowgate_options::reference_markdown();
    if env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    let on_disk = fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        on_disk == page,
        "docs/reference/options.md is old; run UPDATE_REFERENCE=1 cargo test -p flowgate-options --test reference"
    );
}
