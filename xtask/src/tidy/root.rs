//! The root of the repository holds what stands on this list and nothing else: the outputs of a trial by hand land there and
//! are committed before anybody looks.

use super::{Finding, SourceFile};

/// The files of the root.
const FILES: [&str; 14] = [
    ".editorconfig",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml",
];

pub(super) fn check(file: &SourceFile) -> Option<Finding> {
    let in_root = file.path.components().count() == 1;
    let known = file.path.to_str().is_some_and(|name| FILES.contains(&name));
    (in_root && !known).then(|| {
        let mend = "remove it, or put it on the list in xtask/src/tidy/root.rs";
        file.finding(1, "is no file of the repository's root", mend)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_files_stand_in_the_root() {
        for (path, is_found) in
            [("README.md", false), ("d.out", true), ("docs/d.out", false), ("crates/wire/README.md", false)]
        {
            let file = SourceFile { path: path.into(), text: String::new() };
            assert_eq!(check(&file).is_some(), is_found, "{path}");
        }
    }
}
