//! `unsafe` stands only in `net`, each use with the reason why it is sound.

use super::crates::Packages;
use super::mask::code_of;
use super::{Finding, SourceFile, line_of};

/// The one crate that talks to the operating system.
const MAY: &str = "net";

const FORBID: &str = "#![forbid(unsafe_code)]";

/// Every library and program but those of `net` forbids it at its root.
pub(super) fn check_roots(packages: &Packages<'_>) -> Vec<Finding> {
    let others = packages.iter().filter(|package| package.short_name() != MAY);
    let roots = others.flat_map(|package| &package.roots).filter_map(|root| packages.file(root));
    roots
        .filter(|root| !root.text.contains(FORBID))
        .map(|root| {
            root.finding(
                1,
                "the crate does not forbid `unsafe`",
                format!("add `{FORBID}` after the `//!` lines"),
            )
        })
        .collect()
}

/// Every `unsafe` block and implementation has a `SAFETY` comment in its line or directly above it.
pub(super) fn check_comments(file: &SourceFile) -> Vec<Finding> {
    let code = code_of(&file.text);
    let lines: Vec<&str> = file.text.lines().collect();
    let uses = code.match_indices("unsafe").filter(|(at, word)| {
        let after = code.get(at + word.len()..).unwrap_or_default();
        let before = code.get(..*at).and_then(|before| before.chars().next_back()).unwrap_or(' ');
        let begins = !before.is_alphanumeric() && before != '_';
        begins && (after.trim_start().starts_with('{') || after.trim_start().starts_with("impl"))
    });
    uses.map(|(at, _)| line_of(&code, at))
        .filter(|line| !has_reason(&lines, *line))
        .map(|line| {
            let mend = "say above it, in a comment that begins with `// SAFETY:`, why it is sound";
            file.finding(line, "`unsafe` without a reason", mend)
        })
        .collect()
}

/// Looks at the line itself, then up through the comment above it. `line` counts from 1.
fn has_reason(lines: &[&str], line: usize) -> bool {
    let here = lines.get(line - 1).is_some_and(|line| line.contains("// SAFETY:"));
    let above = lines.iter().take(line - 1).rev().take_while(|line| line.trim_start().starts_with("//"));
    here || above.into_iter().any(|line| line.trim_start().starts_with("// SAFETY:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_use_needs_its_reason() {
        for (text, lines) in [
            (
                "fn f() {\n    // SAFETY: the pointer is ours\n    // and lives on.\n    unsafe { g() }\n}",
                vec![],
            ),
            ("fn f() {\n    unsafe { g() }\n}", vec![2]),
            ("// SAFETY: no fields.\n\nunsafe impl Send for A {}", vec![3]),
            ("let x = unsafe { g() }; // SAFETY: checked above", vec![]),
            ("// unsafe { in a comment }\n\"unsafe { in a string }\"; not_unsafe {}", vec![]),
            ("unsafe fn f() {}\nunsafe extern \"C\" {}", vec![]),
        ] {
            let file = SourceFile { path: "a.rs".into(), text: text.to_owned() };
            assert_eq!(
                check_comments(&file).iter().map(|finding| finding.line).collect::<Vec<_>>(),
                lines,
                "{text}"
            );
        }
    }
}
