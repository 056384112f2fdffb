//! Replacing in bytes that come in pieces: what can be decided goes on at once, what the next piece may change is held back.
//!
//! Only for patterns of which it is known how far they reach ([`Finder::reach`]). At most that many bytes, less one, stay behind.

use std::sync::Arc;

use crate::finder::{Finder, GaveUp};

/// Replaces each match in a sequence of pieces.
#[derive(Debug)]
pub struct StreamReplacer {
    finder: Arc<Finder>,
    reach: usize,
    with: Vec<u8>,
    held: Vec<u8>,
}

impl StreamReplacer {
    /// A replacer; `None` if the pattern reaches further than `reach_max`, or nobody knows how far.
    #[must_use]
    pub fn new(finder: Arc<Finder>, with: Vec<u8>, reach_max: usize) -> Option<Self> {
        let reach = finder.reach().filter(|reach| (1..=reach_max).contains(reach))?;
        // An empty match is found by looking at nothing, and would be found at the end of each piece.
        let is_never_empty = finder.find(b"", 0) == Ok(None);
        is_never_empty.then_some(Self { finder, reach, with, held: Vec::new() })
    }

    /// Takes a piece; gives what can go on.
    ///
    /// # Errors
    /// If a search was given up.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<u8>, GaveUp> {
        self.held.extend_from_slice(piece);
        // What is found at a place is decided by the bytes from there on, `reach` of them.
        let decided = (self.held.len() + 1).saturating_sub(self.reach);
        self.advance(decided)
    }

    /// No more pieces come; gives the rest.
    ///
    /// # Errors
    /// If a search was given up.
    pub fn finish(&mut self) -> Result<Vec<u8>, GaveUp> {
        self.advance(self.held.len())
    }

    /// Replaces matches that begin before `decided`, and gives all up to there.
    fn advance(&mut self, decided: usize) -> Result<Vec<u8>, GaveUp> {
        let (mut out, mut at) = (Vec::new(), 0);
        while at < decided {
            let found = self.finder.find(&self.held, at)?.filter(|found| found.whole().start < decided);
            let Some(found) = found else { break };
            let span = found.whole();
            out.extend_from_slice(self.held.get(at..span.start).unwrap_or_default());
            out.extend_from_slice(&self.with);
            at = span.end;
        }
        if at < decided {
            out.extend_from_slice(self.held.get(at..decided).unwrap_or_default());
            at = decided;
        }
        self.held.drain(..at.min(self.held.len()));
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Flavour;
    use crate::regex::Search;

    const BYTES: Search = Search {
        flavour: Flavour { bytes: true, multi_line: false, dot_all: true },
        ignore_case: false,
        steps_max: 100_000,
    };

    fn replacer(pattern: &str) -> Option<StreamReplacer> {
        StreamReplacer::new(Arc::new(Finder::new(pattern, BYTES).unwrap()), b"<>".to_vec(), 64)
    }

    #[test]
    fn what_is_decided_goes_on() {
        let mut replacer = replacer("abc").unwrap();
        let steps = ["xab", "c", "ab", "dabc", "a"].map(|piece| replacer.push(piece.as_bytes()).unwrap());
        assert_eq!(steps, [&b"x"[..], b"<>", b"", b"abd<>", b""]);
        assert_eq!(replacer.finish().unwrap(), b"a");
    }

    #[test]
    fn patterns_that_look_or_reach_too_far_cannot_stream() {
        for pattern in ["a+", "^a", "a$", "(?=a)b", "a{65}", "", "a?"] {
            assert!(replacer(pattern).is_none(), "{pattern}");
        }
        assert!(replacer("a{64}").is_some());
    }

    proptest::proptest! {
        /// However the bytes are cut, the result is that of the whole.
        #[test]
        fn pieces_do_not_matter(
            pattern in proptest::sample::select(vec!["ab", "a|ab", "ab|a", "a{1,3}b", "[ab]{2}", "aa", "(a|b)b?a"]),
            text in "[abc]{0,24}", cut in proptest::collection::vec(0usize..6, 0..12),
        ) {
            let finder = Finder::new(pattern, BYTES).unwrap();
            let whole = finder.replace(text.as_bytes(), usize::MAX, |_, out| out.extend_from_slice(b"<>")).unwrap();
            let whole = whole.unwrap_or_else(|| text.clone().into_bytes());
            let mut replacer = replacer(pattern).unwrap();
            let (mut rest, mut out) = (text.as_bytes(), Vec::new());
            for length in cut {
                let (piece, behind) = rest.split_at(length.min(rest.len()));
                out.extend(replacer.push(piece).unwrap());
                rest = behind;
            }
            out.extend(replacer.push(rest).unwrap());
            out.extend(replacer.finish().unwrap());
            proptest::prop_assert_eq!(String::from_utf8(out), String::from_utf8(whole));
        }
    }
}
