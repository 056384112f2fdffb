//! What was found to be right, by a keyed digest: nobody who reads the memory of this program finds a password there.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand;
use tokio::time::Instant;

use crate::limits::VERIFIED_KEPT_MAX;

/// A digest of a name and its password, with a key that this run has made up.
pub(crate) type Tag = [u8; 32];

/// Makes digests.
pub(crate) struct Tagger(hmac::Key);

impl Tagger {
    pub(crate) fn new() -> Self {
        let mut secret = [0; 32];
        // A system without random numbers gives a key of zeros: digests are then no secret, which they need not be to be compared.
        let _ = rand::fill(&mut secret);
        Self(hmac::Key::new(HMAC_SHA256, &secret))
    }

    pub(crate) fn tag(&self, name: &str, password: &[u8]) -> Tag {
        let mut context = hmac::Context::with_key(&self.0);
        // Its length first: where the name ends is a part of what is said.
        context.update(&(name.len() as u64).to_be_bytes());
        context.update(name.as_bytes());
        context.update(password);
        let mut tag = Tag::default();
        for (to, from) in tag.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        tag
    }
}

/// What was right.
#[derive(Default)]
pub(crate) struct Verified(Mutex<HashMap<Tag, Option<Instant>>>);

impl Verified {
    /// Whether this was right, and that still counts.
    pub(crate) fn has(&self, tag: &Tag) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(tag).is_some_and(|until| until.is_none_or(|until| Instant::now() < until))
    }

    /// This was right, and counts until then.
    pub(crate) fn add(&self, tag: Tag, until: Option<Instant>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= VERIFIED_KEPT_MAX {
            known.clear();
        }
        known.insert(tag, until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_do_not_run_together() {
        let tagger = Tagger::new();
        assert_eq!(tagger.tag("a", b"bc"), tagger.tag("a", b"bc"));
        assert_ne!(tagger.tag("a", b"bc"), tagger.tag("ab", b"c"));
        assert_ne!(tagger.tag("a", b"bc"), Tagger::new().tag("a", b"bc"));
    }

    #[test]
    fn so_many_and_no_more() {
        let (tagger, verified) = (Tagger::new(), Verified::default());
        for index in 0..VERIFIED_KEPT_MAX {
            verified.add(tagger.tag(&index.to_string(), b""), None);
        }
        assert!(verified.has(&tagger.tag("0", b"")));
        verified.add(tagger.tag("one more", b""), None);
        assert!(!verified.has(&tagger.tag("0", b"")) && verified.has(&tagger.tag("one more", b"")));
    }
}
