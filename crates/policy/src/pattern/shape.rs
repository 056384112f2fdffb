//! What can be said of a pattern by looking at it: where it is open, and what can never be found.
//!
//! Not an analysis of the language it describes: only shapes that people write by mistake are recognised. What is said
//! holds; what is not said may be so all the same.

use flowgate_pattern::syntax::{self, Branches, Item, Node, Sequence};
use flowgate_pattern::{Flavour, Parsed, parse};

/// What is searched in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Searched {
    /// `host:port`.
    HostAndPort,
    /// `host:port`, and the host alone.
    HostToo,
}

/// What was seen of a pattern.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Shape {
    /// It may be found behind the beginning of a name: `bank\.test` in `notbank.test`.
    pub(crate) open_start: bool,
    /// It may be found before the end of a name: `bank\.test` in `bank.test.evil.example`.
    pub(crate) open_end: bool,
    /// A dot between letters or digits that stands for any character.
    pub(crate) loose_dot: bool,
    /// Why it can never be found.
    pub(crate) never: Option<Never>,
    /// It is found in everything.
    pub(crate) everything: bool,
    /// The only text it is found in, if it is anchored and without wildcards.
    pub(crate) only: Option<String>,
}

/// Why a pattern can never be found.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Never {
    /// `^bank\.test$`, searched in `host:port`.
    #[error("what is searched in ends with `:port`")]
    NoPort,
    /// A character that no host and no port has.
    #[error("no host or port has `{0}` in it")]
    Character(char),
    /// Something before `^`, or behind `$`.
    #[error("nothing comes before the start or behind the end")]
    BeyondEnds,
    /// A port above 65535.
    #[error("there is no such port")]
    Port,
}

/// Looks at a pattern; `None` if it cannot be used at all.
pub(crate) fn shape(pattern: &str, searched: Searched) -> Option<Shape> {
    let Parsed { branches, .. } = parse(pattern, Flavour::default()).ok()?;
    if syntax::guard(&branches).is_some() {
        // It says what a name must not be: nothing of the following would be a mistake.
        return Some(Shape::default());
    }
    let nevers: Vec<_> = branches.iter().map(|branch| never(branch, searched)).collect();
    Some(Shape {
        open_start: branches.iter().any(open_start),
        open_end: branches.iter().any(open_end),
        loose_dot: loose_dot(&branches),
        never: nevers.iter().copied().collect::<Option<Vec<_>>>().and_then(|all| all.first().copied()),
        everything: branches.iter().any(|branch| branch.iter().all(matches_nothing_too)),
        only: match branches.as_slice() {
            [only] => only_text(only),
            _ => None,
        },
    })
}

/// The character that an item stands for, and no other (but for letter case).
fn literal(item: &Item) -> Option<char> {
    if item.repeat.is_none() { syntax::literal(&item.node) } else { None }
}

fn is_word(item: &Item) -> bool {
    literal(item).is_some_and(char::is_alphanumeric)
}

fn optional(item: &Item) -> bool {
    item.repeat.as_ref().is_some_and(|repeat| repeat.min == 0)
}

fn open_start(branch: &Sequence) -> bool {
    match branch.iter().find(|item| !optional(item)) {
        Some(Item { node: Node::Group { inner, .. }, .. }) => inner.iter().any(open_start),
        Some(first) => is_word(first),
        None => false,
    }
}

fn open_end(branch: &Sequence) -> bool {
    match branch.iter().rev().find(|item| !optional(item)) {
        Some(Item { node: Node::Group { inner, .. }, .. }) => {
            let port = |branch: &Sequence| branch.first().and_then(literal) == Some(':');
            inner.iter().any(|branch| !port(branch) && open_end(branch))
        }
        Some(last) if is_word(last) => {
            let digit = |item: &&Item| literal(item).is_some_and(|c| c.is_ascii_digit());
            let before = branch.iter().rev().skip_while(|item| optional(item)).find(|item| !digit(item));
            before.and_then(literal) != Some(':')
        }
        _ => false,
    }
}

fn loose_dot(branches: &Branches) -> bool {
    branches.iter().any(|branch| {
        let here = branch.windows(3).any(|three| match three {
            [before, dot, after] => {
                matches!(dot, Item { node: Node::Dot, repeat: None }) && is_word(before) && is_word(after)
            }
            _ => false,
        });
        here || branch.iter().any(|item| match &item.node {
            Node::Group { inner, .. } => loose_dot(inner),
            _ => false,
        })
    })
}

fn never(branch: &Sequence, searched: Searched) -> Option<Never> {
    let consumes = |item: &Item| matches!(item.node, Node::Text(_) | Node::Dot) && !optional(item);
    let start = branch.iter().rposition(|item| matches!(item.node, Node::Start));
    let end = branch.iter().position(|item| item.node.is_end());
    let before_start = start.and_then(|at| branch.get(..at)).unwrap_or_default();
    let behind_end = end.and_then(|at| branch.get(at..)).unwrap_or_default();
    if before_start.iter().any(consumes) || behind_end.iter().any(consumes) {
        return Some(Never::BeyondEnds);
    }
    let strange = |c: &char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']' | '%'));
    if let Some(strange) = branch.iter().filter_map(literal).find(strange) {
        return Some(Never::Character(strange));
    }
    let last = branch.get(..end?)?;
    let digits =
        last.iter().rev().take_while(|item| literal(item).is_some_and(|c| c.is_ascii_digit())).count();
    let (front, digits) = last.split_at_checked(last.len() - digits)?;
    if digits.is_empty() {
        let ends_in_name = last.last().and_then(literal).is_some();
        return (ends_in_name && searched == Searched::HostAndPort).then_some(Never::NoPort);
    }
    if front.last().and_then(literal) == Some(':') {
        let number: String = digits.iter().filter_map(literal).collect();
        return number.parse::<u16>().is_err().then_some(Never::Port);
    }
    None
}

/// It is found even in nothing: `.*`, `a?`, and anchors beside them would not matter to everything.
fn matches_nothing_too(item: &Item) -> bool {
    let any = matches!(item.node, Node::Dot | Node::Start) || item.node.is_end();
    any && (optional(item) || item.node.is_anchor())
        || (matches!(item.node, Node::Dot) && item.repeat.as_ref().is_some_and(|repeat| repeat.min <= 1))
}

fn only_text(branch: &Sequence) -> Option<String> {
    match branch.as_slice() {
        [Item { node: Node::Start, .. }, middle @ .., Item { node: Node::End | Node::Dollar, .. }] => {
            middle.iter().map(literal).collect()
        }
        _ => None,
    }
}
