//! No file names a folder of one person's machine.

use super::{Finding, SourceFile, line_of};

/// Absolute folders that exist on some machine only. Written in two pieces, or this line would be found.
const FOLDERS: [&str; 1] = [concat!("/wo", "rk")];

pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    let found = FOLDERS.into_iter().flat_map(|folder| file.text.match_indices(folder));
    found
        .filter(|(at, folder)| is_whole(&file.text, *at, folder.len()))
        .map(|(at, folder)| {
            let mend = "name it from the root of the repository, or use a temporary folder";
            file.finding(
                line_of(&file.text, at),
                format!("names the folder {folder}, which other machines lack"),
                mend,
            )
        })
        .collect()
}

/// Whether the match is an absolute path of its own, not a part of a longer one or of an address.
fn is_whole(text: &str, at: usize, length: usize) -> bool {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.~/".contains(byte);
    let before = at.checked_sub(1).and_then(|at| text.as_bytes().get(at));
    let after = text.as_bytes().get(at + length);
    !before.is_some_and(part) && !after.is_some_and(|byte| part(byte) && *byte != b'/' && *byte != b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths_are_found_and_others_are_not() {
        for (text, lines) in [
            ("a\nsee ~/notes in @/x", vec![2]),
            ("`@`", vec![1]),
            ("docs@/x", vec![]),
            ("https://a.test@/x", vec![]),
            ("@space", vec![]),
            ("net@-around", vec![]),
        ] {
            let text = text.replace('@', FOLDERS[0]);
            let file = SourceFile { path: "a.md".into(), text };
            assert_eq!(
                check(&file).iter().map(|finding| finding.line).collect::<Vec<_>>(),
                lines,
                "{}",
                file.text
            );
        }
    }
}
