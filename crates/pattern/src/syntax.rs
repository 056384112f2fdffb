//! A pattern as a tree, and how it is spelled for the Rust engines.
//!
//! The tree keeps only what somebody asks about: where groups and look-arounds are. All that matches one character is
//! [`Node::Text`], spelled already so that neither engine can read anything else into it.

use std::fmt::Write;

/// The alternatives between `|`.
pub type Branches = Vec<Sequence>;

/// One thing after the other.
pub type Sequence = Vec<Item>;

/// A node and how often it is repeated.
#[derive(Debug)]
pub struct Item {
    /// What stands there.
    pub node: Node,
    /// How often; once if nothing is said.
    pub repeat: Option<Repeat>,
}

/// One thing in a pattern.
#[derive(Debug)]
pub enum Node {
    /// Matches a character: a literal, a class, a dot.
    Text(String),
    /// A dot without `s`.
    Dot,
    /// The start of the text.
    Start,
    /// The end of the text (`\Z`).
    End,
    /// The end of the text, or before a line feed that ends it (`$` without `m`).
    Dollar,
    /// Another zero-width assertion (`\b`, `^` of a line).
    Boundary(&'static str),
    /// A look-around.
    Look {
        /// How it begins.
        open: &'static str,
        /// It holds where the inner part is not found.
        negative: bool,
        /// What is looked for.
        inner: Branches,
    },
    /// A group, capturing or not.
    Group {
        /// How it begins.
        open: String,
        /// What is in it.
        inner: Branches,
    },
    /// What a group has matched before.
    Reference(u32),
    /// `(?(1)yes|no)`; the group's number and the branches.
    Conditional(u32, Branches),
}

/// A quantifier.
#[derive(Debug)]
pub struct Repeat {
    /// At least so often.
    pub min: u32,
    /// At most so often.
    pub max: Option<u32>,
    /// In which order it tries.
    pub greed: Greed,
}

/// In which order a quantifier tries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Greed {
    /// As much as possible first (`*`).
    Greedy,
    /// As little as possible first (`*?`).
    Lazy,
    /// As much as possible, and never less (`*+`).
    Possessive,
}

/// What `$` becomes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DollarAs {
    /// The end only: for texts without line feeds, or searched a second time without the last one.
    End,
    /// As in Python; only the backtracking engine can do it.
    BeforeLastLineFeedToo,
}

impl Node {
    /// Matches no character and may not be repeated (`^*`).
    #[must_use]
    pub const fn is_anchor(&self) -> bool {
        matches!(self, Self::Start | Self::End | Self::Dollar | Self::Boundary(_))
    }

    /// `$` or `\Z`, which are the same in a text without line feeds.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::End | Self::Dollar)
    }
}

/// Spells alternatives.
#[must_use]
pub fn spell(branches: &Branches, dollar: DollarAs) -> String {
    let mut out = String::new();
    spell_branches(branches, dollar, &mut out);
    out
}

fn spell_branches(branches: &Branches, dollar: DollarAs, out: &mut String) {
    for (index, sequence) in branches.iter().enumerate() {
        if index > 0 {
            out.push('|');
        }
        for item in sequence {
            spell_item(item, dollar, out);
        }
    }
}

fn spell_item(item: &Item, dollar: DollarAs, out: &mut String) {
    let Some(repeat) = &item.repeat else { return spell_node(&item.node, dollar, out) };
    if matches!(item.node, Node::Look { .. }) {
        return spell_repeated_look(&item.node, repeat, dollar, out);
    }
    if repeat.greed == Greed::Possessive {
        out.push_str("(?>");
    }
    spell_node(&item.node, dollar, out);
    let _ = match (repeat.min, repeat.max) {
        (0, None) => write!(out, "*"),
        (1, None) => write!(out, "+"),
        (0, Some(1)) => write!(out, "?"),
        (min, None) => write!(out, "{{{min},}}"),
        (min, Some(max)) => write!(out, "{{{min},{max}}}"),
    };
    match repeat.greed {
        Greed::Greedy => {}
        Greed::Lazy => out.push('?'),
        Greed::Possessive => out.push(')'),
    }
}

/// A look-around may be repeated in Python, though not here: once is as good as often, and never is an alternative.
fn spell_repeated_look(look: &Node, repeat: &Repeat, dollar: DollarAs, out: &mut String) {
    let (before, after) = match (repeat.min, repeat.greed) {
        (1.., _) => ("", ""),
        (0, Greed::Greedy) => ("(?:", "|)"),
        (0, Greed::Lazy) => ("(?:|", ")"),
        (0, Greed::Possessive) => ("(?>", "|)"),
    };
    out.push_str(before);
    spell_node(look, dollar, out);
    out.push_str(after);
}

fn spell_node(node: &Node, dollar: DollarAs, out: &mut String) {
    match node {
        Node::Text(text) => out.push_str(text),
        Node::Dot => out.push('.'),
        Node::Start => out.push_str("\\A"),
        Node::End => out.push_str("\\z"),
        Node::Dollar => out.push_str(match dollar {
            DollarAs::End => "\\z",
            DollarAs::BeforeLastLineFeedToo => "(?=\\n?\\z)",
        }),
        Node::Boundary(text) => out.push_str(text),
        Node::Look { open, inner, .. } => spell_group(open, inner, dollar, out),
        Node::Group { open, inner } => spell_group(open, inner, dollar, out),
        Node::Reference(group) => {
            let _ = write!(out, "(?:\\{group})"); // in a group, lest a digit follow
        }
        Node::Conditional(group, inner) => spell_group(&format!("(?({group})"), inner, dollar, out),
    }
}

fn spell_group(open: &str, inner: &Branches, dollar: DollarAs, out: &mut String) {
    out.push_str(open);
    spell_branches(inner, dollar, out);
    out.push(')');
}

/// Spells a literal character so that it is one inside and outside a class, and a byte where bytes are searched.
pub(crate) fn spell_char(literal: char) -> String {
    match u32::from(literal) {
        _ if literal.is_ascii_alphanumeric() || literal == '_' => literal.to_string(),
        code @ ..=0xff => format!("\\x{code:02X}"),
        _ if literal.is_alphanumeric() => literal.to_string(),
        code => format!("\\x{{{code:X}}}"),
    }
}

/// The only character that a node stands for, but for letter case.
#[must_use]
pub fn literal(node: &Node) -> Option<char> {
    let Node::Text(text) = node else { return None };
    let mut chars = text.chars();
    if let (Some(only), None) = (chars.next(), chars.next()) {
        return Some(only);
    }
    let code = text.strip_prefix("\\x")?;
    let code = code.strip_prefix('{').and_then(|code| code.strip_suffix('}')).unwrap_or(code);
    char::from_u32(u32::from_str_radix(code, 16).ok()?)
}

/// Where a pattern has `$`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Dollars {
    /// There is one.
    pub any: bool,
    /// Something may follow one, or there is a `\Z` beside it. Where not, a text that ends with a line feed can be
    /// searched twice, with and without it, and `$` be the end only.
    pub needs_backtracking: bool,
}

/// Looks for `$`.
#[must_use]
pub fn dollars(branches: &Branches) -> Dollars {
    let mut dollars = Dollars::default();
    let mut has_end = false;
    look_for_dollars(branches, true, &mut dollars, &mut has_end);
    dollars.needs_backtracking |= dollars.any && has_end;
    dollars
}

fn look_for_dollars(branches: &Branches, last: bool, dollars: &mut Dollars, has_end: &mut bool) {
    for sequence in branches {
        for (at, item) in sequence.iter().enumerate() {
            let last = last && item.repeat.is_none() && at + 1 == sequence.len();
            match &item.node {
                Node::Dollar => {
                    dollars.any = true;
                    dollars.needs_backtracking |= !last;
                }
                Node::End => *has_end = true,
                Node::Group { inner, .. } | Node::Look { inner, .. } | Node::Conditional(_, inner) => {
                    look_for_dollars(inner, last, dollars, has_end);
                }
                _ => {}
            }
        }
    }
}

/// The part of a pattern that begins with a negative look-around and says only what a text must not be, if there is
/// one: `^(?!a\.test)(?!b\.test)`, alone or before something else, or `^((?!a\.test).)*$`.
///
/// Wherever the whole pattern matches, the guard matches too. A pattern without a start anchor has none, since its
/// look-around holds at some place of nearly every text; neither has one with alternatives at the top or with
/// references, whose numbers the cut would change.
#[must_use]
pub fn guard(branches: &Branches) -> Option<String> {
    let mut guard = Guard { spelled: String::new(), anchored: false, found: false };
    guard.take(branches);
    (guard.found && !has_reference(branches)).then_some(guard.spelled)
}

struct Guard {
    spelled: String,
    anchored: bool,
    found: bool,
}

impl Guard {
    /// Takes what it can from the front; says whether that was all.
    fn take(&mut self, branches: &Branches) -> bool {
        let [sequence] = branches.as_slice() else { return false };
        let mut items = sequence.iter().peekable();
        while let Some(item) = items.next() {
            match (&item.node, &item.repeat) {
                (Node::Start, None) => self.anchored = true,
                (Node::Look { negative: true, .. }, None) if self.anchored => self.found = true,
                (Node::Group { open, inner }, None) => {
                    let before = self.spelled.len();
                    self.spelled.push_str(open);
                    let all = inner.len() == 1 && self.take(inner);
                    if inner.len() == 1 {
                        self.spelled.push(')');
                    } else {
                        self.spelled.truncate(before);
                    }
                    if !all {
                        return false;
                    }
                    continue;
                }
                (Node::Group { inner, .. }, Some(_)) if self.anchored && is_tempered(inner) => {
                    let Some(end) = items.next_if(|next| next.node.is_end()) else {
                        return false;
                    };
                    spell_item(item, DollarAs::End, &mut self.spelled);
                    spell_item(end, DollarAs::End, &mut self.spelled);
                    self.found = true;
                    continue;
                }
                _ => return false,
            }
            spell_item(item, DollarAs::End, &mut self.spelled);
        }
        true
    }
}

/// `(?!a).`: any character where something does not begin.
fn is_tempered(branches: &Branches) -> bool {
    let [sequence] = branches.as_slice() else { return false };
    let Some((last, looks)) = sequence.split_last() else { return false };
    let is_look =
        |item: &Item| matches!(item.node, Node::Look { negative: true, .. }) && item.repeat.is_none();
    matches!(last.node, Node::Dot) && last.repeat.is_none() && !looks.is_empty() && looks.iter().all(is_look)
}

fn has_reference(branches: &Branches) -> bool {
    branches.iter().flatten().any(|item| match &item.node {
        Node::Reference(_) | Node::Conditional(..) => true,
        Node::Look { inner, .. } | Node::Group { inner, .. } => has_reference(inner),
        _ => false,
    })
}
