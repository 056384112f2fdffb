//! The repository keeps the rules that code can check: `cargo xtask tidy` as a test.

use xtask::tidy;
use xtask::workspace::Workspace;

#[test]
fn the_repository_is_tidy() {
    let findings = tidy::check(&Workspace::load().unwrap()).unwrap();
    let list: String = findings.iter().map(|finding| format!("\n{finding}")).collect();
    assert!(findings.is_empty(), "{list}");
}
