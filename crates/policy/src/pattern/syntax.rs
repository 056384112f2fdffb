//! A pattern as a tree, and how it is spelled for the Rust engines.
//!
//! The tree keeps only what somebody asks about: where groups and look-arounds are. All that matches one character is
//! [`Node::Text`], spelled already so that neither engine can read anything else into it.

use std::fmt::Write;

/// The alternatives between `|`.
pub(super) type Branches = Vec<Sequence>;

/// One thing after the other.
pub(super) type Sequence = Vec<Item>;

/// A node and how often it is repeated.
pub(super) struct Item {
    pub(super) node: Node,
    pub(super) repeat: Option<Repeat>,
}

pub(super) enum Node {
    /// Matches a character: a literal, a class, a dot.
    Text(String),
    /// A dot without `s`.
    Dot,
    /// The start of the text.
    Start,
    /// The end of the text.
    End,
    /// Another zero-width assertion (`\b`, `^` of a line).
    Boundary(&'static str),
    /// A look-around; `open` is how it begins.
    Look { open: &'static str, negative: bool, inner: Branches },
    /// A group, capturing or not; `open` is how it begins.
    Group { open: String, inner: Branches },
    /// What a group has matched before.
    Reference(u32),
    /// `(?(1)yes|no)`; the group's number and the branches.
    Conditional(u32, Branches),
}

pub(super) struct Repeat {
    pub(super) min: u32,
    pub(super) max: Option<u32>,
    pub(super) greed: Greed,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Greed {
    Greedy,
    Lazy,
    Possessive,
}

impl Node {
    /// Matches no character and may not be repeated (`^*`).
    pub(super) const fn is_anchor(&self) -> bool {
        matches!(self, Self::Start | Self::End | Self::Boundary(_))
    }
}

/// Spells alternatives.
pub(super) fn spell(branches: &Branches) -> String {
    let mut out = String::new();
    spell_branches(branches, &mut out);
    out
}

fn spell_branches(branches: &Branches, out: &mut String) {
    for (index, sequence) in branches.iter().enumerate() {
        if index > 0 {
            out.push('|');
        }
        for item in sequence {
            spell_item(item, out);
        }
    }
}

pub(super) fn spell_item(item: &Item, out: &mut String) {
    let Some(repeat) = &item.repeat else { return spell_node(&item.node, out) };
    if matches!(item.node, Node::Look { .. }) {
        return spell_repeated_look(&item.node, repeat, out);
    }
    if repeat.greed == Greed::Possessive {
        out.push_str("(?>");
    }
    spell_node(&item.node, out);
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
fn spell_repeated_look(look: &Node, repeat: &Repeat, out: &mut String) {
    let (before, after) = match (repeat.min, repeat.greed) {
        (1.., _) => ("", ""),
        (0, Greed::Greedy) => ("(?:", "|)"),
        (0, Greed::Lazy) => ("(?:|", ")"),
        (0, Greed::Possessive) => ("(?>", "|)"),
    };
    out.push_str(before);
    spell_node(look, out);
    out.push_str(after);
}

fn spell_node(node: &Node, out: &mut String) {
    match node {
        Node::Text(text) => out.push_str(text),
        Node::Dot => out.push('.'),
        Node::Start => out.push_str("\\A"),
        Node::End => out.push_str("\\z"),
        Node::Boundary(text) => out.push_str(text),
        Node::Look { open, inner, .. } => spell_group(open, inner, out),
        Node::Group { open, inner } => spell_group(open, inner, out),
        Node::Reference(group) => {
            let _ = write!(out, "(?:\\{group})"); // in a group, lest a digit follow
        }
        Node::Conditional(group, inner) => spell_group(&format!("(?({group})"), inner, out),
    }
}

fn spell_group(open: &str, inner: &Branches, out: &mut String) {
    out.push_str(open);
    spell_branches(inner, out);
    out.push(')');
}

/// Spells a literal character so that it is one inside and outside a class.
pub(super) fn spell_char(literal: char) -> String {
    if literal.is_alphanumeric() || literal == '_' {
        literal.to_string()
    } else {
        format!("\\x{{{:X}}}", u32::from(literal))
    }
}

/// The part of a pattern that begins with a negative look-around and says only what a text must not be, if there is
/// one: `^(?!a\.test)(?!b\.test)`, alone or before something else, or `^((?!a\.test).)*$`.
///
/// Wherever the whole pattern matches, the guard matches too. A pattern without a start anchor has none, since its
/// look-around holds at some place of nearly every text; neither has one with alternatives at the top or with
/// references, whose numbers the cut would change.
pub(super) fn guard(branches: &Branches) -> Option<String> {
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
                    let Some(end) = items.next_if(|next| matches!(next.node, Node::End)) else {
                        return false;
                    };
                    spell_item(item, &mut self.spelled);
                    spell_item(end, &mut self.spelled);
                    self.found = true;
                    continue;
                }
                _ => return false,
            }
            spell_item(item, &mut self.spelled);
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
