//! Each crate: says in one line what it is, takes the lints of the workspace, and stands in ARCHITECTURE.

use std::path::{Path, PathBuf};

use super::{Finding, SourceFile, line_of};
use crate::workspace::{Package, Workspace};

/// The members with the files their findings point to.
pub(super) struct Packages<'a> {
    workspace: &'a Workspace,
    files: &'a [SourceFile],
}

impl<'a> Packages<'a> {
    pub(super) const fn new(workspace: &'a Workspace, files: &'a [SourceFile]) -> Self {
        Self { workspace, files }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a Package> {
        self.workspace.packages.iter()
    }

    /// A file of the repository by its path from the root or its absolute path.
    pub(super) fn file(&self, path: &Path) -> Option<&'a SourceFile> {
        let path = path.strip_prefix(&self.workspace.root).unwrap_or(path);
        self.files.iter().find(|file| file.path == path)
    }

    /// A finding at the line of a crate's manifest that begins with `word`, or else at its first.
    pub(super) fn finding(&self, package: &Package, word: &str, what: String, mend: String) -> Finding {
        let path = package.manifest.strip_prefix(&self.workspace.root).unwrap_or(&package.manifest);
        let text = self.file(path).map_or("", |file| file.text.as_str());
        let line = text.lines().position(|line| line.starts_with(word)).map_or(1, |index| index + 1);
        Finding { file: PathBuf::from(path), line, what, mend }
    }
}

pub(super) fn check(packages: &Packages<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let architecture = packages.file(Path::new("ARCHITECTURE.md"));
    for package in packages.iter() {
        if package.description.as_deref().is_none_or(|description| description.trim().is_empty()) {
            let mend = "add one line `description = \"...\"` that says what the crate is";
            findings.push(packages.finding(
                package,
                "name",
                format!("{} has no description", package.name),
                mend.into(),
            ));
        }
        let manifest = packages.file(&package.manifest).map_or("", |file| file.text.as_str());
        if !manifest.contains("[lints]\nworkspace = true") {
            let what = format!("{} does not take the lints of the workspace", package.name);
            findings.push(packages.finding(
                package,
                "[lints]",
                what,
                "add `[lints]` with `workspace = true`".into(),
            ));
        }
        if let Some(architecture) = architecture
            && !names(&architecture.text, package)
        {
            let what = format!("the crate {} is not named here", package.name);
            let line = architecture.text.find("## Crates").map_or(1, |at| line_of(&architecture.text, at));
            findings.push(architecture.finding(
                line,
                what,
                format!("add `{}`, in back-ticks, to the list of crates", package.short_name()),
            ));
        }
    }
    findings
}

/// Whether a crate is named in back-ticks, by its package name or its short name.
fn names(text: &str, package: &Package) -> bool {
    [package.name.as_str(), package.short_name()].into_iter().any(|name| text.contains(&format!("`{name}`")))
}
