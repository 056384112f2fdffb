//! Lists of names: one name per line, hosts files, and the domain rules of ad blockers, line by line.
//!
//! All three in one file, since lists found in the wild are mixtures:
//!
//! ```text
//! # a comment                      ! another one
//! ads.test                         the name and all below it
//! =ads.test                        the name alone
//! 0.0.0.0 ads.test track.test      a hosts file's line: these names alone
//! ||ads.test^                      an ad blocker's line: the name and all below it
//! ```
//!
//! Nothing is skipped silently: a line that names no host is told with its number. Exceptions (`@@||name^`) and rules
//! about more than a name (`||name^$third-party`, `/path`, `##selector`) are such lines.

use std::net::IpAddr;

/// The longest name, in bytes (RFC 1035 section 2.3.4, without the final dot).
const NAME_BYTES_MAX: usize = 253;

/// How many bad lines are told one by one.
pub const BAD_LINES_TOLD_MAX: usize = 5;

/// A name in a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ListedName<'a> {
    /// The name as it was written, without a final dot.
    pub name: &'a str,
    /// Whether names below it are meant too.
    pub with_subdomains: bool,
}

/// What became of a list's lines.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ListReport {
    /// Names given out, repeated ones counted again.
    pub names: usize,
    /// Lines that name no host.
    pub bad_lines: usize,
    /// The first of them: the number of the line, from 1, and why.
    pub first_bad: Vec<(usize, BadLine)>,
}

/// Why a line names no host.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadLine {
    /// An exception of an ad blocker's list.
    #[error("exceptions (`@@`) are not supported")]
    Exception,
    /// A rule about more than a name.
    #[error("a rule about more than a host name")]
    NotOnlyName,
    /// No name.
    #[error("not a host name")]
    NotName,
    /// Not text.
    #[error("not UTF-8 text")]
    NotText,
}

/// Hands every name in `bytes` to `take`.
pub fn parse_list(bytes: &[u8], mut take: impl FnMut(ListedName<'_>)) -> ListReport {
    let mut report = ListReport::default();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let read = std::str::from_utf8(line).map_err(|_| BadLine::NotText).and_then(|line| {
            read_line(line, &mut |name| {
                report.names += 1;
                take(name);
            })
        });
        if let Err(why) = read {
            report.bad_lines += 1;
            if report.first_bad.len() < BAD_LINES_TOLD_MAX {
                report.first_bad.push((index + 1, why));
            }
        }
    }
    report
}

fn read_line<'a>(line: &'a str, take: &mut impl FnMut(ListedName<'a>)) -> Result<(), BadLine> {
    let line = line.trim();
    if line.starts_with(['!', '[']) || (line.starts_with('#') && !line.starts_with("##")) {
        return Ok(());
    }
    if line.starts_with("@@") {
        return Err(BadLine::Exception);
    }
    if let Some(rest) = line.strip_prefix("||") {
        let name = rest.strip_suffix('^').unwrap_or(rest);
        let name = host_name(name).ok_or(BadLine::NotOnlyName)?;
        take(ListedName { name, with_subdomains: true });
        return Ok(());
    }
    if line.contains("##") || line.contains("#@#") || line.contains("#?#") {
        return Err(BadLine::NotOnlyName);
    }
    let line = line.split_once('#').map_or(line, |(line, _)| line);
    let mut words = line.split_whitespace();
    let Some(first) = words.next() else { return Ok(()) };
    if first.parse::<IpAddr>().is_ok() && line.trim() != first {
        // What a hosts file says of the machine itself is not meant.
        for name in words.filter(|name| !is_own_name(name)) {
            let name = host_name(name).ok_or(BadLine::NotName)?;
            take(ListedName { name, with_subdomains: false });
        }
        return Ok(());
    }
    if words.next().is_some() {
        return Err(BadLine::NotName);
    }
    let exact = first.strip_prefix('=');
    let name = host_name(exact.unwrap_or(first)).ok_or(BadLine::NotName)?;
    take(ListedName { name, with_subdomains: exact.is_none() });
    Ok(())
}

fn is_own_name(name: &str) -> bool {
    const OWN: &[&str] = &[
        "0.0.0.0",
        "broadcasthost",
        "ip6-allhosts",
        "ip6-allnodes",
        "ip6-allrouters",
        "ip6-localhost",
        "ip6-localnet",
        "ip6-loopback",
        "ip6-mcastprefix",
        "local",
        "localhost",
        "localhost.localdomain",
    ];
    OWN.contains(&name)
}

/// `text` as a name: letters (of any script), digits, `-` and `_` between dots.
fn host_name(text: &str) -> Option<&str> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX;
    let label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
    };
    (fits && name.split('.').all(label)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8]) -> (Vec<String>, ListReport) {
        let mut names = Vec::new();
        let report = parse_list(text, |listed| {
            names.push(format!("{}{}", if listed.with_subdomains { "*." } else { "" }, listed.name));
        });
        (names, report)
    }

    #[test]
    fn lines() {
        let table: &[(&str, &[&str], Option<BadLine>)] = &[
            ("ads.test", &["*.ads.test"], None),
            ("  ads.test.  # noise", &["*.ads.test"], None),
            ("=ads.test", &["ads.test"], None),
            ("b\u{fc}cher.test\r", &["*.b\u{fc}cher.test"], None),
            ("192.0.2.1", &["*.192.0.2.1"], None),
            ("0.0.0.0 ads.test track.test # x", &["ads.test", "track.test"], None),
            ("127.0.0.1\tlocalhost", &[], None),
            ("::1 ip6-localhost ip6-loopback", &[], None),
            ("0.0.0.0 0.0.0.0", &[], None),
            ("||ads.test^", &["*.ads.test"], None),
            ("||ads.test", &["*.ads.test"], None),
            ("# c", &[], None),
            ("! c", &[], None),
            ("[Adblock Plus 2.0]", &[], None),
            ("", &[], None),
            ("||ads.test^$third-party", &[], Some(BadLine::NotOnlyName)),
            ("||ads.test/path", &[], Some(BadLine::NotOnlyName)),
            ("@@||ads.test^", &[], Some(BadLine::Exception)),
            ("ads.test##.banner", &[], Some(BadLine::NotOnlyName)),
            ("##.banner", &[], Some(BadLine::NotOnlyName)),
            ("*.ads.test", &[], Some(BadLine::NotName)),
            ("ads..test", &[], Some(BadLine::NotName)),
            ("two words", &[], Some(BadLine::NotName)),
            ("https://ads.test/", &[], Some(BadLine::NotName)),
        ];
        for (line, expected, bad) in table {
            let (names, report) = read(line.as_bytes());
            assert_eq!(names, *expected, "{line}");
            assert_eq!(report.first_bad.first().map(|(_, why)| *why), *bad, "{line}");
        }
    }

    #[test]
    fn bad_lines_are_counted_and_the_first_are_told() {
        let (names, report) = read(b"a.test\n!!\n/x\nb.test\n\xff\n/x\n/x\n/x\n/x\n");
        assert_eq!(names, ["*.a.test", "*.b.test"]);
        assert_eq!((report.names, report.bad_lines, report.first_bad.len()), (2, 6, BAD_LINES_TOLD_MAX));
        assert_eq!(report.first_bad[..2], [(3, BadLine::NotName), (5, BadLine::NotText)]);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let (names, report) = read(&bytes);
            prop_assert_eq!(names.len(), report.names);
        }

        #[test]
        fn what_is_given_out_is_a_name(text in "([|@#!=^ .*a-z0-9ü\n]{0,12}\n){0,5}") {
            parse_list(text.as_bytes(), |listed| {
                assert!(!listed.name.is_empty() && !listed.name.contains(['|', '^', ' ', '#', '*', '\n']));
            });
        }
    }
}
