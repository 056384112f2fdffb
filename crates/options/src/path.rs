//! Paths in option values: `~` and the directory that must have a name. Nothing here touches a disk.

use std::path::{Path, PathBuf};

use crate::error::ValueError;
use crate::kind::{Kind, OptionType};
use crate::value::Value;

/// A directory, never the empty text: that would silently mean the current directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Directory(String);

impl Directory {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The directory as the user wrote it, `~` not expanded.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl OptionType for Directory {
    const KIND: Kind = Kind::Text;

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::Text(text) if text.is_empty() => Err(ValueError::Required),
            Value::Text(text) => Ok(Self(text.clone())),
            other => Err(Self::KIND.refuse(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::Text(self.0.clone())
    }
}

/// `text` as a path, with a leading `~` or `~/` replaced by `home`; `None` when that is needed and there is no home.
///
/// `~user` is left as it is: which directory that is stands in a database this crate does not read.
pub fn expand_home(text: &str, home: Option<&Path>) -> Option<PathBuf> {
    let Some(rest) = text.strip_prefix('~') else { return Some(PathBuf::from(text)) };
    if rest.is_empty() {
        return home.map(Path::to_path_buf);
    }
    match rest.strip_prefix(['/', std::path::MAIN_SEPARATOR]) {
        Some(below) => home.map(|home| home.join(below.trim_start_matches('/'))),
        None => Some(PathBuf::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home() {
        let home = Some(Path::new("/home/u"));
        let table = [
            ("~", home, Some("/home/u")),
            ("~/x", home, Some("/home/u/x")),
            ("~//x", home, Some("/home/u/x")),
            ("~other/x", home, Some("~other/x")),
            ("a/~/b", home, Some("a/~/b")),
            ("/abs", None, Some("/abs")),
            ("~/x", None, None),
        ];
        for (text, home, expected) in table {
            assert_eq!(expand_home(text, home).as_deref(), expected.map(Path::new), "{text}");
        }
    }
}
