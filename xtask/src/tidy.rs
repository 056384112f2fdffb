//! `cargo xtask tidy`: the rules that code can check, from ARCHITECTURE (what depends on what, what knows what) and
//! CONTRIBUTING (what a file begins with).
//!
//! A rule is a function from the workspace or from one file to findings. Each finding says where, what, and how to mend
//! it. A test runs all of them, so that `cargo test` is enough to learn of a breach.

mod crates;
mod layers;
mod links;
mod mask;
mod places;
mod pure;
mod root;
mod sources;
mod unsafe_code;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::report;
use crate::workspace::Workspace;

/// One breach of a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The file, seen from the root of the repository.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub mend: String,
}

/// A text file of the repository.
#[derive(Clone, Debug)]
struct SourceFile {
    /// Seen from the root of the repository, with `/`.
    path: PathBuf,
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}\n    mend: {}", self.file.display(), self.line, self.what, self.mend)
    }
}

impl SourceFile {
    fn finding(&self, line: usize, what: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { file: self.path.clone(), line, what: what.into(), mend: mend.into() }
    }

    fn has_ending(&self, ending: &str) -> bool {
        self.path.extension().is_some_and(|found| found == ending)
    }
}

/// Checks all rules and prints the findings. Whether there were none.
///
/// # Errors
///
/// When a file cannot be read.
pub fn run(workspace: &Workspace) -> anyhow::Result<bool> {
    let findings = check(workspace)?;
    for finding in &findings {
        report::line(&finding.to_string());
    }
    report::line(&match findings.len() {
        0 => "tidy: nothing to mend".to_owned(),
        count => format!("tidy: {count} to mend"),
    });
    Ok(findings.is_empty())
}

/// Checks all rules.
///
/// # Errors
///
/// When a file cannot be read.
pub fn check(workspace: &Workspace) -> anyhow::Result<Vec<Finding>> {
    let files = read_all(&workspace.root)?;
    let packages = crates::Packages::new(workspace, &files);
    let mut findings = layers::check(&packages);
    findings.extend(crates::check(&packages));
    for file in &files {
        findings.extend(places::check(file));
        findings.extend(root::check(file));
        if file.has_ending("rs") {
            findings.extend(sources::check(file));
            findings.extend(unsafe_code::check_comments(file));
            findings.extend(pure::check_source(file));
        }
        if links::is_checked(file) {
            findings.extend(links::check(file, |path| workspace.root.join(path).exists()));
        }
    }
    findings.extend(pure::check_dependencies(&packages));
    findings.extend(unsafe_code::check_roots(&packages));
    findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    Ok(findings)
}

/// All text files of the repository that people write: no build folders, no corpora, nothing hidden but our own settings.
fn read_all(root: &Path) -> anyhow::Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                if is_written_by_people(&path) {
                    folders.push(path);
                }
            } else if kind.is_file() && entry.file_name() != ".git" {
                let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                // What is no text (pictures, recorded bytes) has no lines to check.
                if let Ok(text) = String::from_utf8(bytes) {
                    files.push(SourceFile { path: path.strip_prefix(root)?.to_path_buf(), text });
                }
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn is_written_by_people(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let hidden = name.starts_with('.') && ![".cargo", ".ci", ".config", ".github"].contains(&&*name);
    let generated = ["target", "corpus", "artifacts", "node_modules", "dist"].contains(&&*name);
    !hidden && !generated && !folder.join("CACHEDIR.TAG").exists()
}

/// The number of the line that holds this byte, from 1.
fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}
