//! Names with wildcards: `*` is any run of characters, dots too, `?` is one character. Everything else is itself.
//!
//! Takes time in proportion to pattern times text at worst, and no memory: only the last `*` is ever gone back to.

/// A pattern; what is matched has its letter case.
#[derive(Debug)]
pub(crate) struct Glob(Box<[char]>);

impl Glob {
    /// A pattern for text in lower case.
    pub(crate) fn new(pattern: &str) -> Self {
        Self::with_case(&pattern.to_lowercase())
    }

    /// A pattern for text of any case.
    pub(crate) fn with_case(pattern: &str) -> Self {
        Self(pattern.chars().collect())
    }

    /// Some address may match: nothing in the pattern rules it out.
    pub(crate) fn may_match_address(&self) -> bool {
        self.0.iter().all(|c| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']' | '*' | '?'))
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        let (mut at, mut rest) = (0, text.chars());
        let mut star: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let wanted = self.0.get(at).copied();
            if wanted == Some('*') {
                at += 1;
                star = Some((at, rest.clone()));
                continue;
            }
            let fits = match (wanted, rest.next()) {
                (None, None) => return true,
                (Some('?'), Some(_)) => true,
                (Some(wanted), Some(found)) => wanted == found,
                (Some(_), None) => return false,
                (None, Some(_)) => false,
            };
            if fits {
                at += 1;
                continue;
            }
            // The last star takes one character more.
            let Some((after, from)) = &mut star else { return false };
            from.next();
            (at, rest) = (*after, from.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wildcards() {
        let table = [
            ("*.test", "a.b.test", true),
            ("*.test", ".test", true),
            ("*.test", "test", false),
            ("api-?.Bank.test", "api-7.bank.test", true),
            ("api-?.bank.test", "api-77.bank.test", false),
            ("b?cher.test", "b\u{fc}cher.test", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*", "b", false),
            ("**x", "yyx", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn as_a_regex(pattern in "[ab.*?]{0,8}", text in "[ab.]{0,12}") {
            let spelled = pattern.replace('.', "\\.").replace('*', ".*").replace('?', ".");
            let regex = regex::Regex::new(&format!("^{spelled}$")).unwrap();
            prop_assert_eq!(Glob::new(&pattern).matches(&text), regex.is_match(&text));
        }
    }
}
