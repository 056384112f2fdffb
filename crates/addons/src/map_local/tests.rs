//! Which file a URL means, and that none outside the folder is ever meant.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::testing;

struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    /// `root` with files, links in and out, and a secret beside it.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        for (name, text) in [
            ("root/index.html", "home"),
            ("root/a.txt", "a"),
            ("root/sub/index.html", "sub"),
            ("root/sub/b c.js", "b"),
            ("root/sub/x_y_z", "plain"),
            ("secret", "secret"),
            ("root-beside", "beside"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        symlink("a.txt", root.join("within")).unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink(folder.path(), root.join("up")).unwrap();
        Self { folder }
    }

    fn rules(&self, pattern: &str, place: &str) -> MapLocal {
        let text = format!("|{pattern}|{}", self.folder.path().join(place).display());
        MapLocal::parse(&[text], Case::Ignored, None, Log::silent()).unwrap()
    }

    /// What the file says that a request gets.
    fn get(&self, pattern: &str, place: &str, url: &str) -> String {
        let lookups = self.rules(pattern, place).lookups(&testing::flow(&format!("GET {url}"), &[]));
        match find(&lookups) {
            Found::File(file) => fs::read_to_string(file).unwrap(),
            Found::Nothing(_) => "404".to_owned(),
            Found::NotAsked => "to the server".to_owned(),
        }
    }
}

#[test]
fn which_file() {
    let site = Site::new();
    for (pattern, place, path, expected) in [
        ("example.com", "root", "/a.txt", "a"),
        ("example.com", "root", "/a.txt?query", "a"),
        ("example.com", "root", "/", "home"),
        ("example.com/", "root", "/sub", "sub"),
        ("example.com/", "root", "/sub/", "sub"),
        ("example.com/", "root", "/sub/b%20c.js", "b"),
        ("example.com/", "root", "/sub/x%3Fy%3Az", "plain"),
        ("example.com/", "root", "/none", "404"),
        ("example.com/(.*)\\.json", "root", "/a.txt.json", "a"),
        ("example.com/(x)?", "root", "/a.txt", "home"),
        ("example.com", "root/a.txt", "/whatever", "a"),
        ("example.org", "root", "/a.txt", "to the server"),
        ("example.com", "root", "/within", "a"),
    ] {
        assert_eq!(
            site.get(pattern, place, &format!("http://example.com{path}")),
            expected,
            "{pattern} {path}"
        );
    }
}

#[test]
fn nothing_outside_the_folder() {
    let site = Site::new();
    for path in [
        "/../secret",
        "/sub/../../secret",
        "/%2e%2e/secret",
        "/%2e%2e%2fsecret",
        "/..%2fsecret",
        "/sub/%2e%2e/%2e%2e/secret",
        "/out",
        "/up/secret",
        "/up/root-beside",
        "/a.txt%00.html",
        "/..%5csecret",
        "/%5c%5chost%5cshare",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/../root-beside",
    ] {
        for pattern in ["example.com", "example.com/", "example.com(.*)", "example.com/(.*)"] {
            let got = site.get(pattern, "root", &format!("http://example.com{path}"));
            assert!(["404", "to the server"].contains(&got.as_str()), "{pattern} {path}: {got}");
        }
    }
}

#[test]
fn what_is_no_file_is_not_opened() {
    let site = Site::new();
    // Opening a pipe would wait for a writer.
    let made = std::process::Command::new("mkfifo").arg(site.folder.path().join("root/pipe")).status();
    if made.is_ok_and(|status| status.success()) {
        assert_eq!(site.get("example.com", "root", "http://example.com/pipe"), "404");
    }
}

#[test]
fn mistakes() {
    for (text, told) in [
        (
            "/a",
            "map_local[0]: expected `[/filter]/url-regex/file-or-folder`, where the first character is the separator",
        ),
        ("|(a|x", "map_local[0] at column 2: missing ), unterminated subpattern"),
        (
            "|a|/no/such",
            "map_local[0] at column 4: cannot read /no/such: No such file or directory (os error 2)",
        ),
        ("|a|~/x", "map_local[0] at column 4: there is no home directory for `~`"),
    ] {
        let error = MapLocal::parse(&[text.to_owned()], Case::Ignored, None, Log::silent()).unwrap_err();
        assert_eq!(error.to_string(), told);
    }
}

proptest::proptest! {
    // Each asks the disk several times.
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn every_url_stays_inside(path in "(/|\\.|\\.\\.|%2e|%2f|%5c|a|up|out|sub|%00|\\?){0,8}") {
        static SITE: std::sync::LazyLock<Site> = std::sync::LazyLock::new(Site::new);
        for pattern in ["example.com", "example.com/?(.*)"] {
            let got = SITE.get(pattern, "root", &format!("http://example.com/{path}"));
            proptest::prop_assert!(!["secret", "beside"].contains(&got.as_str()), "{}", path);
        }
    }
}
