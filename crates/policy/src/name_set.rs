//! Very many names, each meant exactly or with all names below it, in little memory.
//!
//! One blob holds the names, one after the other, and a hashed table says where each begins: about ten bytes for a name
//! beside its letters. A look-up walks the name from its end, so that every parent is hashed on the way: one pass,
//! however many labels. The hash is a polynomial over a prime field at a point drawn at random (Carter and Wegman 1979),
//! so nobody who writes a list can make its names collide.
//!
//! Names are kept in their ASCII spelling, in lower case; letter case and a final dot of what is looked up are the
//! caller's business.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use flowgate_flow::punycode;

/// The longest name that is kept, in bytes.
const NAME_BYTES_MAX: usize = 1024;
/// All names together; the table counts in 32 bits.
const BLOB_BYTES_MAX: usize = 1 << 31;

/// How far a name reaches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// The name alone.
    Exact,
    /// The name and all names below it.
    WithSubdomains,
}

/// Names, looked up all at once. Made by [`NameSetBuilder`].
#[derive(Debug, Default)]
pub struct NameSet {
    /// For each name its header (length, and whether it was listed exactly, with subdomains, or both), then its bytes.
    blob: Box<[u8]>,
    /// Offsets into the blob, from 1; 0 is a free place. Linear probing.
    table: Box<[u32]>,
    /// A byte of each name's hash, so that nearly no look-up reads the blob in vain.
    tags: Box<[u8]>,
    point: u64,
    len: usize,
    has_subdomains: bool,
    has_addresses: bool,
}

/// Collects the names of a [`NameSet`].
#[derive(Debug, Default)]
pub struct NameSetBuilder {
    blob: Vec<u8>,
    has_subdomains: bool,
    has_addresses: bool,
}

const EXACT: u16 = 1 << 14;
const SUBDOMAINS: u16 = 1 << 15;
const LENGTH: u16 = EXACT - 1;
const HEADER_BYTES: usize = 2;

impl NameSetBuilder {
    /// Adds a name; letter case, a final dot and the spelling of other scripts do not count. Says whether there was
    /// room: nothing has more than 2 GiB of names.
    pub fn insert(&mut self, name: &str, reach: Reach) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        let ascii = if name.is_ascii() { None } else { punycode::to_ascii(&name.to_lowercase()) };
        let name = ascii.as_deref().unwrap_or(name);
        if name.is_empty()
            || name.len() > NAME_BYTES_MAX
            || self.blob.len() + HEADER_BYTES + name.len() > BLOB_BYTES_MAX
        {
            return false;
        }
        let kind = match reach {
            Reach::Exact => EXACT,
            Reach::WithSubdomains => SUBDOMAINS,
        };
        self.has_subdomains |= reach == Reach::WithSubdomains;
        let may_be_address = name.contains(':') || name.ends_with(|last: char| last.is_ascii_digit());
        self.has_addresses |= may_be_address && name.parse::<IpAddr>().is_ok();
        // The length was checked.
        let header = u16::try_from(name.len()).unwrap_or(0) | kind;
        self.blob.extend_from_slice(&header.to_le_bytes());
        let start = self.blob.len();
        self.blob.extend_from_slice(name.as_bytes());
        if let Some(added) = self.blob.get_mut(start..) {
            added.make_ascii_lowercase();
        }
        true
    }

    /// The set of all names added.
    #[must_use]
    pub fn build(mut self) -> NameSet {
        let point = RandomState::new().build_hasher().finish() % PRIME;
        let mut starts = Vec::new();
        let mut at = 0;
        while let Some((header, name)) = entry(&self.blob, at) {
            starts.push((u32::try_from(at).unwrap_or(0), hash(name, point)));
            at += HEADER_BYTES + usize::from(header & LENGTH);
        }
        let places = starts.len() + starts.len() / 2 + 1;
        let mut table = vec![0_u32; places].into_boxed_slice();
        let mut tags = vec![0_u8; places].into_boxed_slice();
        let mut len = 0;
        for (start, hash) in starts {
            let Some((header, name)) = entry(&self.blob, start as usize) else { continue };
            let mut place = place_of(hash, places);
            let known = loop {
                match table.get(place) {
                    Some(0) | None => break None,
                    Some(offset) => {
                        let other = *offset as usize - 1;
                        if entry(&self.blob, other).is_some_and(|(_, text)| text == name) {
                            break Some(other);
                        }
                    }
                }
                place = if place + 1 == places { 0 } else { place + 1 };
            };
            if let Some(other) = known {
                // Listed twice: the first keeps what both said; the second's letters stay unused.
                if let (Some(byte), [_, kind]) = (self.blob.get_mut(other + 1), header.to_le_bytes()) {
                    *byte |= kind & ((EXACT | SUBDOMAINS) >> 8) as u8;
                }
                continue;
            }
            if let (Some(slot), Some(tag)) = (table.get_mut(place), tags.get_mut(place)) {
                (*slot, *tag) = (start + 1, tag_of(hash));
                len += 1;
            }
        }
        NameSet {
            blob: self.blob.into_boxed_slice(),
            table,
            tags,
            point,
            len,
            has_subdomains: self.has_subdomains,
            has_addresses: self.has_addresses,
        }
    }
}

impl NameSet {
    /// How many different names there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there are addresses among the names.
    #[must_use]
    pub const fn has_addresses(&self) -> bool {
        self.has_addresses
    }

    /// The memory that the names take, in bytes.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        self.blob.len() + self.table.len() * size_of::<u32>() + self.tags.len()
    }

    /// Looks up a name in lower case without a final dot. Gives the longest entry that it falls under: itself, or a
    /// parent that was listed with its subdomains.
    #[must_use]
    pub fn find<'n>(&self, name: &'n str) -> Option<&'n str> {
        if self.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        let mut found = None;
        let mut hash = 0;
        for (at, byte) in name.bytes().enumerate().rev() {
            if byte == b'.' && self.has_subdomains {
                let parent = name.get(at + 1..).unwrap_or_default();
                if !parent.is_empty() && self.holds(parent, hash, SUBDOMAINS) {
                    found = Some(parent);
                }
            }
            hash = step(hash, byte, self.point);
        }
        if self.holds(name, hash, EXACT | SUBDOMAINS) { Some(name) } else { found }
    }

    fn holds(&self, name: &str, hash: u64, kinds: u16) -> bool {
        let mut place = place_of(hash, self.table.len());
        let tag = tag_of(hash);
        while let (Some(offset @ 1..), Some(other)) = (self.table.get(place).copied(), self.tags.get(place)) {
            if *other == tag
                && let Some((header, text)) = entry(&self.blob, offset as usize - 1)
                && text == name.as_bytes()
            {
                return header & kinds != 0;
            }
            place = if place + 1 == self.table.len() { 0 } else { place + 1 };
        }
        false
    }
}

fn entry(blob: &[u8], at: usize) -> Option<(u16, &[u8])> {
    let (header, rest) = blob.get(at..)?.split_first_chunk::<HEADER_BYTES>()?;
    let header = u16::from_le_bytes(*header);
    Some((header, rest.get(..usize::from(header & LENGTH))?))
}

/// 2^61 - 1.
const PRIME: u64 = (1 << 61) - 1;

/// The name's hash: its bytes, from the last to the first, as the coefficients of a polynomial.
fn hash(name: &[u8], point: u64) -> u64 {
    name.iter().rev().fold(0, |hash, byte| step(hash, *byte, point))
}

fn step(hash: u64, byte: u8, point: u64) -> u64 {
    let product = u128::from(hash) * u128::from(point) + u128::from(byte) + 1;
    let folded = (product as u64 & PRIME) + (product >> 61) as u64;
    if folded >= PRIME { folded - PRIME } else { folded }
}

fn place_of(hash: u64, places: usize) -> usize {
    ((u128::from(hash) * places as u128) >> 61) as usize
}

/// Low bits: the high ones say the place.
fn tag_of(hash: u64) -> u8 {
    hash as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn set(names: &[&str]) -> NameSet {
        let mut builder = NameSetBuilder::default();
        for name in names {
            match name.strip_prefix('=') {
                Some(name) => assert!(builder.insert(name, Reach::Exact)),
                None => assert!(builder.insert(name, Reach::WithSubdomains)),
            }
        }
        builder.build()
    }

    #[test]
    fn names_and_what_is_below_them() {
        let names = set(&[
            "bank.test",
            "=exact.test",
            "Upper.TEST.",
            "b\u{fc}cher.test",
            "a.b.test",
            "b.test",
            "=two.test",
            "two.test",
        ]);
        let table = [
            ("bank.test", Some("bank.test")),
            ("api.bank.test", Some("bank.test")),
            ("x.y.bank.test", Some("bank.test")),
            ("abank.test", None),
            ("test", None),
            ("exact.test", Some("exact.test")),
            ("a.exact.test", None),
            ("upper.test", Some("upper.test")),
            ("www.xn--bcher-kva.test", Some("xn--bcher-kva.test")),
            ("x.a.b.test", Some("a.b.test")),
            ("x.b.test", Some("b.test")),
            ("x.two.test", Some("two.test")),
            ("two.test", Some("two.test")),
            (".bank.test", Some("bank.test")),
            ("", None),
            (".", None),
            ("bank.test.", None),
        ];
        for (name, expected) in table {
            assert_eq!(names.find(name), expected, "{name}");
        }
        assert_eq!(names.len(), 7, "one was listed twice");
        assert_eq!(set(&[]).find("a"), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(!NameSetBuilder::default().insert("", Reach::Exact));
        assert!(!NameSetBuilder::default().insert(".", Reach::Exact));
        assert!(!NameSetBuilder::default().insert(&"a".repeat(1025), Reach::Exact));
    }

    proptest! {
        /// The same answers as the obvious way.
        #[test]
        fn as_a_plain_set(
            listed in prop::collection::vec(("[ab]{1,2}(\\.[ab]{1,2}){0,3}", any::<bool>()), 0..40),
            asked in prop::collection::vec("[ab]{1,2}(\\.[ab]{1,2}){0,4}", 1..20),
        ) {
            let mut builder = NameSetBuilder::default();
            let (mut exact, mut below) = (HashSet::new(), HashSet::new());
            for (name, subdomains) in &listed {
                let reach = if *subdomains { Reach::WithSubdomains } else { Reach::Exact };
                builder.insert(name, reach);
                if *subdomains { &mut below } else { &mut exact }.insert(name.as_str());
            }
            let names = builder.build();
            for name in &asked {
                let parents = name.match_indices('.').map(|(at, _)| &name[at + 1..]);
                let expected = if exact.contains(name.as_str()) {
                    Some(name.as_str())
                } else {
                    std::iter::once(name.as_str()).chain(parents).find(|parent| below.contains(parent))
                };
                prop_assert_eq!(names.find(name), expected);
            }
        }

        #[test]
        fn any_text(listed: Vec<String>, asked: String) {
            let mut builder = NameSetBuilder::default();
            listed.iter().for_each(|name| { builder.insert(name, Reach::WithSubdomains); });
            let _ = builder.build().find(&asked);
        }
    }
}
