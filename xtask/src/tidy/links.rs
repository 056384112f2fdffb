//! Links from our documents to files lead somewhere.
//!
//! Only links inside the repository are followed; those to other hosts would need the network.

use std::path::{Component, Path, PathBuf};

use super::{Finding, SourceFile};

/// The documents at the root and everything in `docs`.
pub(super) fn is_checked(file: &SourceFile) -> bool {
    let at_root = file.path.components().count() == 1;
    file.has_ending("md") && (at_root || file.path.starts_with("docs"))
}

/// `exists` is asked with paths from the root of the repository.
pub(super) fn check(file: &SourceFile, exists: impl Fn(&Path) -> bool) -> Vec<Finding> {
    let folder = file.path.parent().unwrap_or_else(|| Path::new(""));
    let dead = |target: &str| {
        let path = target.split(['#', '?']).next().unwrap_or_default();
        !path.is_empty() && resolve(folder, path).is_none_or(|path| !exists(&path))
    };
    let mut findings = Vec::new();
    let mut in_fence = false;
    for (index, line) in file.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        } else if !in_fence {
            let targets = targets(line).into_iter().filter(|target| is_file(target) && dead(target));
            findings.extend(targets.map(|target| {
                let mend =
                    "mend the path (it is seen from the folder of this document), or take the link out";
                file.finding(index + 1, format!("the link to `{target}` leads nowhere"), mend)
            }));
        }
    }
    findings
}

/// The targets of `[text](target)` and `[name]: target` in one line, code spans left out.
fn targets(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let mut targets = Vec::new();
    if let Some((name, target)) = prose.split_once("]: ")
        && name.starts_with('[')
    {
        targets.push(target.trim());
    }
    for (at, opening) in prose.match_indices("](") {
        let rest = prose.get(at + opening.len()..).unwrap_or_default();
        let target = rest.split(')').next().unwrap_or_default();
        // A title may follow the target.
        targets.push(target.split_whitespace().next().unwrap_or_default());
    }
    targets.into_iter().map(|target| target.trim_matches(['<', '>']).to_owned()).collect()
}

fn is_file(target: &str) -> bool {
    !target.contains("://") && !target.starts_with("mailto:")
}

/// Seen from the root of the repository; `None` when it leads out of it.
fn resolve(folder: &Path, target: &str) -> Option<PathBuf> {
    let mut path = folder.to_path_buf();
    for component in Path::new(target).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            _ => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_are_found_with_their_line() {
        let text = "[a](there.md) [b](gone.md)\n```\n[c](gone.md)\n```\n`[d](gone.md)` [e](https://a.test/x)\n\
            [f]: ../gone.md\n[g](#here) ![h](there.md#x \"title\") [i](../../out.md)\n[j](/absolute.md)\n";
        let file = SourceFile { path: "docs/guide.md".into(), text: text.to_owned() };
        let findings = check(&file, |path| path == Path::new("docs/there.md"));
        let found: Vec<(usize, &str)> =
            findings.iter().map(|finding| (finding.line, finding.what.as_str())).collect();
        assert_eq!(
            found,
            [
                (1, "the link to `gone.md` leads nowhere"),
                (6, "the link to `../gone.md` leads nowhere"),
                (7, "the link to `../../out.md` leads nowhere"),
                (8, "the link to `/absolute.md` leads nowhere"),
            ]
        );
    }

    #[test]
    fn only_our_documents_are_read() {
        for (path, expected) in
            [("README.md", true), ("docs/a/b.md", true), ("crates/x/notes.md", false), ("a.rs", false)]
        {
            let file = SourceFile { path: path.into(), text: String::new() };
            assert_eq!(is_checked(&file), expected, "{path}");
        }
    }
}
