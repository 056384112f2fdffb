//! The hosts file (hosts(5)): names and their addresses, read again when it changed.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::known_names::plain;
use crate::limits::HOSTS_BYTES_MAX;
use crate::stamp::Stamp;

/// Names in lower case and in ASCII.
type Hosts = HashMap<String, Vec<IpAddr>>;

#[derive(Debug)]
pub(super) struct HostsFile {
    path: PathBuf,
    read: LastRead,
}

/// What it said when it looked like that.
#[derive(Clone, Default)]
struct LastRead(Arc<Mutex<(Option<Stamp>, Arc<Hosts>)>>);

impl std::fmt::Debug for LastRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

impl HostsFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read: LastRead::default() }
    }

    /// What it says of a name.
    pub(super) async fn addresses_of(&self, host: &str) -> Option<Vec<IpAddr>> {
        let (path, read) = (self.path.clone(), self.read.clone());
        // It is a file, and a long one in the hands of people who block advertisements.
        let hosts = tokio::task::spawn_blocking(move || read.hosts(&path)).await.ok()?;
        hosts.get(&plain(host)).cloned()
    }
}

impl LastRead {
    fn hosts(&self, path: &Path) -> Arc<Hosts> {
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Before it is read: what is written meanwhile shows.
        let looks = Stamp::of(path);
        if looks != read.0 || looks.as_ref().is_some_and(Stamp::is_fresh) {
            *read = (looks, Arc::new(parse(&text(path))));
        }
        Arc::clone(&read.1)
    }
}

/// The file's text; none if it is not there.
fn text(path: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HOSTS_BYTES_MAX).read_to_end(&mut bytes));
    if read.is_ok() { String::from_utf8_lossy(&bytes).into_owned() } else { String::new() }
}

fn parse(text: &str) -> Hosts {
    let mut hosts = Hosts::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse) else { continue };
        for name in words {
            let addresses = hosts.entry(plain(name)).or_default();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_what_is_none() {
        let hosts = parse(
            "127.0.0.1 a.test A.test b.test. # c.test\n::1\ta.test\r\n#10.0.0.1 d.test\n\nfe80::1%eth0 e.test\n\
             10.0.0.2\nnowhere f.test\n 10.0.0.3 b\u{fc}cher.test\n0.0.0.0 ads.test",
        );
        let mut all: Vec<_> = hosts.iter().map(|(name, found)| format!("{name} {found:?}")).collect();
        all.sort();
        assert_eq!(
            all,
            [
                "a.test [127.0.0.1, ::1]",
                "ads.test [0.0.0.0]",
                "b.test [127.0.0.1]",
                "xn--bcher-kva.test [10.0.0.3]"
            ]
        );
    }

    #[tokio::test]
    async fn no_more_is_read_than_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        let lines = ["127.0.0.1 a.test\n#", &"x".repeat(HOSTS_BYTES_MAX as usize), "\n127.0.0.1 b.test\n"];
        std::fs::write(&path, lines.concat()).unwrap();
        let hosts = HostsFile::new(path);
        assert!(hosts.addresses_of("a.test").await.is_some());
        assert_eq!(hosts.addresses_of("b.test").await, None);
    }

    #[tokio::test]
    async fn a_change_counts_and_so_does_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        let hosts = HostsFile::new(path.clone());
        assert_eq!(hosts.addresses_of("a.test").await, None);
        // As long as the one before, and within the same tick of the file system's clock.
        for (text, expected) in [("127.0.0.1 a.test", 1), ("127.0.0.2 a.test", 2), ("127.0.0.3 a.test", 3)] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(hosts.addresses_of("A.test.").await, Some(vec![IpAddr::from([127, 0, 0, expected])]));
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(hosts.addresses_of("a.test").await, None);
    }
}
