//! The file that flows are saved to while the program runs (option `save_stream_file`, `-w`): its name may hold the codes of
//! strftime, and another file is begun whenever what they say changes.
//!
//! What a flow file is, is told in `flow_file`. Times are local.

use std::io;
use std::path::{Path, PathBuf};

use flowgate_flow::Flow;
use jiff::Zoned;
use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};

use crate::flow_file::{Emptying, FlowFile, FlowFileError};
use crate::saver::Sink;

/// A flow file whose name may change with the time.
#[derive(Debug)]
pub struct StreamFile {
    name: Name,
    append: bool,
    path: PathBuf,
    /// The second for which `path` was made.
    second: i64,
    /// `None` after the next file could not be opened; then every flow tries again.
    file: Option<FlowFile>,
}

impl StreamFile {
    /// Opens the file for now. `spec` is the value of the option, its `~` expanded: a path, behind a `+` if flows are to be
    /// appended. Folders that are missing are made.
    ///
    /// # Errors
    /// If it cannot be opened for writing.
    pub fn open(spec: &Path) -> Result<Self, FlowFileError> {
        Self::open_at(spec, &Zoned::now())
    }

    fn open_at(spec: &Path, now: &Zoned) -> Result<Self, FlowFileError> {
        let (append, path) = appended(spec);
        let name = Name::new(path);
        let path = name.at(now);
        let file = open(&path, append)?;
        Ok(Self { name, append, path, second: now.timestamp().as_second(), file: Some(file) })
    }

    /// Where flows are written to at this moment.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes of half a flow stand at the end of the file. They go when a flow is written.
    #[must_use]
    pub fn half_flow_bytes(&self) -> u64 {
        self.file.as_ref().map_or(0, FlowFile::half_flow_bytes)
    }

    /// What empties the first file, when all else has started.
    ///
    /// # Errors
    /// What the system says.
    pub fn emptying(&self) -> io::Result<Emptying> {
        self.file.as_ref().map_or_else(|| Ok(Emptying::default()), FlowFile::emptying)
    }

    fn take_at(&mut self, flow: Flow, now: &Zoned) -> io::Result<()> {
        let second = now.timestamp().as_second();
        if self.name.varies && (second != self.second || self.file.is_none()) {
            let path = self.name.at(now);
            if path != self.path || self.file.is_none() {
                // Flows of this moment belong into no other file.
                self.file = None;
                let file = open(&path, self.append).map_err(FlowFileError::into_io)?;
                // Nothing is left to start that could fail.
                file.emptying()?.empty()?;
                (self.file, self.path) = (Some(file), path);
            }
            self.second = second;
        }
        self.file.as_mut().map_or(Ok(()), |file| file.take(flow))
    }
}

impl Sink for StreamFile {
    const WHAT: &'static str = "flows";

    type Error = io::Error;

    type Item = Flow;

    fn take(&mut self, flow: Flow) -> io::Result<()> {
        if self.name.varies {
            self.take_at(flow, &Zoned::now())
        } else {
            self.file.as_mut().map_or(Ok(()), |file| file.take(flow))
        }
    }
}

/// Whether flows are appended, and to which path.
fn appended(spec: &Path) -> (bool, &Path) {
    let text = spec.to_str().and_then(|text| text.strip_prefix('+'));
    text.map_or((false, spec), |text| (true, Path::new(text)))
}

fn open(path: &Path, append: bool) -> Result<FlowFile, FlowFileError> {
    match (FlowFile::open(path, append), path.parent()) {
        (Err(FlowFileError::Open { source, .. }), Some(folder))
            if source.kind() == io::ErrorKind::NotFound =>
        {
            std::fs::create_dir_all(folder)
                .map_err(|source| FlowFileError::Open { path: path.to_owned(), source })?;
            FlowFile::open(path, append)
        }
        (opened, _) => opened,
    }
}

/// A path with codes of strftime in it, as Python (and so mitmproxy) knows them in the C locale.
#[derive(Debug)]
struct Name {
    pattern: PathBuf,
    varies: bool,
}

impl Name {
    fn new(path: &Path) -> Self {
        Self { varies: path.to_str().is_some_and(|text| text.contains('%')), pattern: path.to_owned() }
    }

    fn at(&self, now: &Zoned) -> PathBuf {
        let Some(text) = self.pattern.to_str().filter(|_| self.varies) else { return self.pattern.clone() };
        let text = with_pythons_codes(text);
        // What is no code stays as it is.
        let lenient = Config::new().custom(PosixCustom::default()).lenient(true);
        let named = BrokenDownTime::from(now).to_string_with_config(&lenient, &text);
        named.map_or_else(|_| self.pattern.clone(), PathBuf::from)
    }
}

/// A pattern in which no code means what it means to the formatter alone.
fn with_pythons_codes(pattern: &str) -> String {
    let mut text = String::new();
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        text.push(c);
        if c != '%' {
            continue;
        }
        match characters.next() {
            // Python writes all six digits of the microseconds.
            Some('f') => text.push_str("6f"),
            // It has none of these.
            Some(c @ ('N' | 'Q' | 'q' | '.')) => text.extend(['%', c]),
            Some(c) => text.push(c),
            None => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::flow;

    fn at(time: &str) -> Zoned {
        time.parse().unwrap()
    }

    /// How many flows each file of a folder holds.
    fn counted(folder: &Path) -> Vec<(String, usize)> {
        let mut found: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                let mut flows = 0;
                crate::read_flows(&path, |_| flows += 1).unwrap();
                (name, flows)
            })
            .collect();
        found.sort();
        found
    }

    /// Expected names are what CPython 3.13 says on Linux.
    #[test]
    fn names_are_as_python_makes_them() {
        let now = at("2026-03-04T05:06:07.089[Europe/Berlin]");
        for (pattern, name) in [
            ("plain", "plain"),
            ("%Y-%m-%d/%H%M%S.flows", "2026-03-04/050607.flows"),
            ("%a %A %b %B %d %e %j", "Wed Wednesday Mar March 04  4 063"),
            ("%y %I %p %Z %z %U %W %V %G %u %w", "26 05 AM CET +0100 09 09 10 2026 3 3"),
            ("%F %T %R %D", "2026-03-04 05:06:07 05:06 03/04/26"),
            ("%c|%x|%X", "Wed Mar  4 05:06:07 2026|03/04/26|05:06:07"),
            ("%f", "089000"),
            ("100%%", "100%"),
            ("100%", "100%"),
            ("a%~b", "a%~b"),
            ("%%f 100%%", "%f 100%"),
            // Once `%Q` was a folder and a file, the time zone's name.
            ("%N %Q %q %.3f", "%N %Q %q %.3f"),
        ] {
            assert_eq!(Name::new(Path::new(pattern)).at(&now), Path::new(name), "{pattern}");
        }
    }

    #[test]
    fn another_file_is_begun_when_the_name_changes() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("a/b");
        let spec = inside.join("%H%M");
        let mut file = StreamFile::open_at(&spec, &at("2026-01-01T10:00:00[UTC]")).unwrap();
        for time in ["10:00:00", "10:00:00", "10:00:59", "10:01:00", "10:02:00", "10:02:30"] {
            file.take_at(flow(), &at(&format!("2026-01-01T{time}[UTC]"))).unwrap();
        }
        assert_eq!(counted(&inside), [("1000".into(), 3), ("1001".into(), 1), ("1002".into(), 2)]);
        // A name that comes again is begun anew, or with a plus is gone on with.
        for (plus, count) in [("", 1), ("+", 2)] {
            let spec = PathBuf::from(format!("{plus}{}", spec.display()));
            let mut file = StreamFile::open_at(&spec, &at("2026-01-02T09:00:00[UTC]")).unwrap();
            file.take_at(flow(), &at("2026-01-02T10:01:00[UTC]")).unwrap();
            assert_eq!(counted(&inside)[2], ("1001".into(), count), "{plus:?}");
        }
    }

    /// As in mitmproxy. Once only for names with codes; the others wanted theirs to be there.
    #[test]
    fn folders_are_made_whatever_the_name() {
        let folder = tempfile::tempdir().unwrap();
        for spec in ["a/b/flows", "+c/flows"] {
            let (plus, path) = spec.strip_prefix('+').map_or(("", spec), |path| ("+", path));
            let spec = format!("{plus}{}", folder.path().join(path).display());
            let mut file = StreamFile::open(Path::new(&spec)).unwrap();
            file.take(flow()).unwrap();
        }
        assert_eq!(counted(&folder.path().join("a/b")), [("flows".into(), 1)]);
        assert_eq!(counted(&folder.path().join("c")), [("flows".into(), 1)]);
    }

    /// A program that was killed while it wrote left half a flow, and what was appended behind it nobody could read.
    #[test]
    fn half_a_flow_goes_when_one_is_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows");
        let spec = PathBuf::from(format!("+{}", path.display()));
        let mut file = StreamFile::open(&spec).unwrap();
        file.take(flow()).unwrap();
        let one = fs::read(&path).unwrap();
        for half in [1, 3, one.len() / 2, one.len() - 1] {
            fs::write(&path, [&one, &one[..half]].concat()).unwrap();
            let mut file = StreamFile::open(&spec).unwrap();
            assert_eq!(file.half_flow_bytes(), half as u64);
            assert_eq!(
                fs::metadata(&path).unwrap().len(),
                (one.len() + half) as u64,
                "opening changes nothing"
            );
            file.take(flow()).unwrap();
            file.take(flow()).unwrap();
            assert_eq!(file.half_flow_bytes(), 0);
            assert_eq!(counted(folder.path()), [("flows".into(), 3)]);
        }
    }

    /// Flows were appended to anything, and found by nobody.
    #[test]
    fn what_is_no_flow_file_is_not_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let spec = PathBuf::from(format!("+{}", path.display()));
        for (content, offset) in
            [("{\"log\":{}}", 0), ("12:30 lunch, then work", 15), ("3", 1), ("2:x", 3), ("0:~1:x,hello", 7)]
        {
            fs::write(&path, content).unwrap();
            match StreamFile::open(&spec) {
                Err(FlowFileError::NoFlowFile { source, .. }) => {
                    assert_eq!(source.offset, offset, "{content}")
                }
                other => panic!("{content}: {other:?}"),
            }
            assert_eq!(fs::read(&path).unwrap(), content.as_bytes());
            // Without a plus it is emptied, as was asked for.
            assert!(StreamFile::open(&path).is_ok());
        }
        fs::write(&path, "").unwrap();
        assert!(StreamFile::open(&spec).is_ok());
    }

    #[test]
    fn a_file_that_cannot_be_begun_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut file =
            StreamFile::open_at(&folder.path().join("%M/f"), &at("2026-01-01T10:00:00[UTC]")).unwrap();
        fs::write(folder.path().join("01"), "no folder").unwrap();
        let next = at("2026-01-01T10:01:00[UTC]");
        assert!(file.take_at(flow(), &next).is_err());
        fs::remove_file(folder.path().join("01")).unwrap();
        file.take_at(flow(), &next).unwrap();
        assert_eq!(counted(&folder.path().join("01")), [("f".into(), 1)]);
        assert_eq!(counted(&folder.path().join("00")), [("f".into(), 0)]);
    }
}
