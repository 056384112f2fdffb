//! The reference pages in the repository are the ones the registry makes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{env, fs};

#[test]
fn the_page_is_up_to_date() {
    check("options.md", &flowgate_options::reference_markdown());
}

#[test]
fn the_page_of_mitmproxys_options_is_up_to_date() {
    check("mitmproxy-options.md", &flowgate_options::compatibility_markdown());
}

fn check(name: &str, page: &str) {
    let path = format!("{}/../../docs/reference/{name}", env!("CARGO_MANIFEST_DIR"));
    if env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(&path, page).unwrap();
    }
    let on_disk = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        on_disk == page,
        "docs/reference/{name} is old; run UPDATE_REFERENCE=1 cargo test -p flowgate-options --test reference"
    );
}
