//! The grammar of Python's `re` (3.11 to 3.13), as far as it says what a text is; what follows one backslash is in `escape`.
//!
//! Not an engine and not a superset: what Python refuses is refused, with its words and its position, so that nobody
//! carries a pattern here that means something else there. Positions count characters, as Python's do.

use std::collections::HashMap;

use super::fault::Fault;
use super::syntax::{Branches, Greed, Item, Node, Repeat, Sequence, spell_char};

/// How deep groups may lie in one another.
pub const GROUP_DEPTH_MAX: usize = 40;

/// What a pattern means where nothing in it says otherwise; the default is Python's for text without flags.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flavour {
    /// The pattern is UTF-8 and searched in bytes: `é` is two bytes, `.` is one, and only ASCII has letters and digits.
    pub bytes: bool,
    /// `^` and `$` hold at every line (`re.MULTILINE`).
    pub multi_line: bool,
    /// `.` is a line feed, too (`re.DOTALL`).
    pub dot_all: bool,
}

/// A pattern that was read.
#[derive(Debug)]
pub struct Parsed {
    /// The tree.
    pub branches: Branches,
    /// It has look-around, references or atomic parts, which a linear engine cannot do.
    pub needs_backtracking: bool,
    /// How many capturing groups it has.
    pub groups: usize,
    /// The numbers of those that have names.
    pub names: HashMap<String, u32>,
}

/// Reads a pattern.
///
/// # Errors
/// What is wrong, and at which character (byte, where the flavour says so), from 0.
pub fn parse(pattern: &str, flavour: Flavour) -> Result<Parsed, (usize, Fault)> {
    let chars = if flavour.bytes {
        // A byte is a character below 256 from here on.
        pattern.bytes().map(char::from).collect()
    } else {
        pattern.chars().collect()
    };
    let mut parser = Parser {
        chars,
        at: 0,
        bytes: flavour.bytes,
        flags: Flags {
            ascii: flavour.bytes,
            multi_line: flavour.multi_line,
            dot_all: flavour.dot_all,
            verbose: false,
        },
        groups: Vec::new(),
        names: HashMap::new(),
        depth: 0,
        needs_backtracking: false,
    };
    let branches = parser.branches()?;
    match parser.peek() {
        None => Ok(Parsed {
            branches,
            needs_backtracking: parser.needs_backtracking,
            groups: parser.groups.len(),
            names: parser.names,
        }),
        Some(_) => Err((parser.at, Fault::UnbalancedParenthesis)),
    }
}

/// The flags that change what is read; letter case is handed on to the engine.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) ascii: bool,
    multi_line: bool,
    dot_all: bool,
    verbose: bool,
}

pub(super) struct Parser {
    chars: Vec<char>,
    pub(super) at: usize,
    pub(super) bytes: bool,
    pub(super) flags: Flags,
    /// Whether each capturing group is closed; group 1 comes first.
    groups: Vec<bool>,
    names: HashMap<String, u32>,
    depth: usize,
    pub(super) needs_backtracking: bool,
}

type Parse<T> = Result<T, (usize, Fault)>;

impl Parser {
    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    pub(super) fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// What was written from `start` up to here.
    pub(super) fn since(&self, start: usize) -> String {
        self.chars.get(start..self.at).unwrap_or_default().iter().collect()
    }

    fn branches(&mut self) -> Parse<Branches> {
        let mut branches = Vec::new();
        loop {
            let first = self.depth == 0 && branches.is_empty();
            branches.push(self.sequence(first)?);
            if !self.eat('|') {
                return Ok(branches);
            }
        }
    }

    /// Reads up to `|`, `)` or the end. Flags for the whole pattern may stand at the start of the `first`.
    fn sequence(&mut self, first: bool) -> Parse<Sequence> {
        let mut items = Sequence::new();
        while let Some(next) = self.peek() {
            let start = self.at;
            if matches!(next, '|' | ')') {
                break;
            }
            self.at += 1;
            let node = match next {
                '*' | '+' | '?' | '{' => match self.repeat(next, start)? {
                    Some(repeat) => {
                        add_repeat(&mut items, repeat).map_err(|fault| (start, fault))?;
                        continue;
                    }
                    None => Node::Text(spell_char('{')),
                },
                '(' => match self.group(start, first && items.is_empty())? {
                    Some(node) => node,
                    None => continue,
                },
                '#' if self.flags.verbose => {
                    while self.next().is_some_and(|skipped| skipped != '\n') {}
                    continue;
                }
                ' ' | '\t'..='\r' if self.flags.verbose => continue,
                '.' if self.flags.dot_all => Node::Text("(?s:.)".to_owned()),
                '.' => Node::Dot,
                '^' if self.flags.multi_line => Node::Boundary("(?m:^)"),
                '^' => Node::Start,
                '$' if self.flags.multi_line => Node::Boundary("(?m:$)"),
                '$' => Node::Dollar,
                '[' => Node::Text(self.class(start)?),
                '\\' => self.escape(start)?,
                literal => Node::Text(spell_char(literal)),
            };
            items.push(Item { node, repeat: None });
        }
        Ok(items)
    }

    /// Reads a quantifier; `None` if a brace is only a brace.
    fn repeat(&mut self, first: char, start: usize) -> Parse<Option<Repeat>> {
        let (min, max) = match first {
            '*' => (0, None),
            '+' => (1, None),
            '?' => (0, Some(1)),
            _ => match self.braces(start)? {
                Some(bounds) => bounds,
                None => return Ok(None),
            },
        };
        let greed = if self.eat('?') {
            Greed::Lazy
        } else if self.eat('+') {
            self.needs_backtracking = true;
            Greed::Possessive
        } else {
            Greed::Greedy
        };
        Ok(Some(Repeat { min, max, greed }))
    }

    /// Reads `2}`, `2,}`, `,3}` or `2,3}`.
    fn braces(&mut self, start: usize) -> Parse<Option<(u32, Option<u32>)>> {
        let inner = self.at;
        if self.peek() == Some('}') {
            return Ok(None);
        }
        let min = self.digits();
        let max = if self.eat(',') { self.digits() } else { min.clone() };
        if !self.eat('}') {
            self.at = inner;
            return Ok(None);
        }
        let number = |digits: &str| digits.parse::<u32>().map_err(|_| (start, Fault::RepeatTooLarge));
        let min = if min.is_empty() { 0 } else { number(&min)? };
        let max = if max.is_empty() { None } else { Some(number(&max)?) };
        if max.is_some_and(|max| max < min) {
            return Err((inner, Fault::MinAboveMax));
        }
        Ok(Some((min, max)))
    }

    fn digits(&mut self) -> String {
        let start = self.at;
        while self.peek().is_some_and(|digit| digit.is_ascii_digit()) {
            self.at += 1;
        }
        self.since(start)
    }

    /// Reads what follows a parenthesis at `start`; `None` for what matches nothing (comments, flags).
    fn group(&mut self, start: usize, flags_allowed: bool) -> Parse<Option<Node>> {
        if !self.eat('?') {
            return self.capture(start, None).map(Some);
        }
        let kind = self.next().ok_or((self.at, Fault::UnexpectedEnd))?;
        match kind {
            ':' => self.inner(start).map(|inner| Some(Node::Group { open: "(?:".to_owned(), inner })),
            '=' => self.look("(?=", false, start),
            '!' => self.look("(?!", true, start),
            '<' => match self.next().ok_or((self.at, Fault::UnexpectedEnd))? {
                '=' => self.look("(?<=", false, start),
                '!' => self.look("(?<!", true, start),
                _ => Err((start + 1, Fault::UnknownExtension { extension: self.since(start + 1) })),
            },
            '>' => {
                self.needs_backtracking = true;
                self.inner(start).map(|inner| Some(Node::Group { open: "(?>".to_owned(), inner }))
            }
            '#' => {
                while self.next().ok_or((start, Fault::UnterminatedComment))? != ')' {}
                Ok(None)
            }
            'P' => self.named(start).map(Some),
            '(' => self.conditional(start).map(Some),
            'a' | 'i' | 'L' | 'm' | 's' | 'u' | 'x' | '-' => {
                self.at -= 1;
                self.flags(start, flags_allowed)
            }
            _ => Err((start + 1, Fault::UnknownExtension { extension: self.since(start + 1) })),
        }
    }

    /// Reads the alternatives of a group and its end.
    fn inner(&mut self, start: usize) -> Parse<Branches> {
        if self.depth == GROUP_DEPTH_MAX {
            return Err((start, Fault::TooDeep));
        }
        self.depth += 1;
        let outer_flags = self.flags;
        let branches = self.branches()?;
        self.flags = outer_flags;
        self.depth -= 1;
        if self.eat(')') { Ok(branches) } else { Err((start, Fault::UnterminatedGroup)) }
    }

    fn look(&mut self, open: &'static str, negative: bool, start: usize) -> Parse<Option<Node>> {
        self.needs_backtracking = true;
        self.inner(start).map(|inner| Some(Node::Look { open, negative, inner }))
    }

    fn capture(&mut self, start: usize, name: Option<(usize, String)>) -> Parse<Node> {
        self.groups.push(false);
        let group = self.groups.len();
        if let Some((at, name)) = name
            && self.names.insert(name.clone(), u32::try_from(group).unwrap_or(u32::MAX)).is_some()
        {
            return Err((at, Fault::NameTwice { name }));
        }
        let inner = self.inner(start)?;
        if let Some(closed) = self.groups.get_mut(group - 1) {
            *closed = true;
        }
        Ok(Node::Group { open: "(".to_owned(), inner })
    }

    /// Reads `<name>...)` or `=name)`.
    fn named(&mut self, start: usize) -> Parse<Node> {
        match self.next().ok_or((self.at, Fault::UnexpectedEnd))? {
            '<' => {
                let at = self.at;
                let name = self.name('>')?;
                self.capture(start, Some((at, name)))
            }
            '=' => {
                let at = self.at;
                let name = self.name(')')?;
                let group = self.names.get(&name).copied().ok_or((at, Fault::UnknownName { name }))?;
                self.reference(group, at)
            }
            _ => Err((start + 1, Fault::UnknownExtension { extension: self.since(start + 1) })),
        }
    }

    fn name(&mut self, closing: char) -> Parse<String> {
        let start = self.at;
        while self.peek().is_some_and(|next| next != closing) {
            self.at += 1;
        }
        let name = self.since(start);
        if !self.eat(closing) {
            return Err((
                start,
                if name.is_empty() { Fault::MissingName } else { Fault::UnterminatedName { closing } },
            ));
        }
        let is_name = name.chars().all(|next| next.is_alphanumeric() || next == '_');
        match name.chars().next() {
            None => Err((start, Fault::MissingName)),
            Some(first) if !first.is_numeric() && is_name => Ok(name),
            Some(_) => Err((start, Fault::BadName { name })),
        }
    }

    /// A reference to a group by its number.
    pub(super) fn reference(&mut self, group: u32, at: usize) -> Parse<Node> {
        self.needs_backtracking = true;
        match usize::try_from(group).ok().and_then(|group| self.groups.get(group.checked_sub(1)?)) {
            Some(true) => Ok(Node::Reference(group)),
            Some(false) => Err((at, Fault::OpenGroup)),
            None => Err((at, Fault::InvalidReference { group })),
        }
    }

    /// Reads `1)yes|no)` or `name)yes|no)`.
    fn conditional(&mut self, start: usize) -> Parse<Node> {
        self.needs_backtracking = true;
        let at = self.at;
        let number = self.digits();
        let group = if number.is_empty() {
            let name = self.name(')')?;
            self.names.get(&name).copied().ok_or((at, Fault::UnknownName { name }))?
        } else if self.eat(')') {
            number.parse().map_err(|_| (at, Fault::RepeatTooLarge))?
        } else {
            return Err((at, Fault::UnterminatedName { closing: ')' }));
        };
        // Python allows a group that only follows; such a condition never holds, and is a mistake.
        self.reference(group, at)?;
        let inner = self.inner(start)?;
        if inner.len() > 2 { Err((at, Fault::TooManyBranches)) } else { Ok(Node::Conditional(group, inner)) }
    }

    /// Reads `i)`, `i:...)`, `-i:...)` or `i-s:...)`.
    fn flags(&mut self, start: usize, allowed: bool) -> Parse<Option<Node>> {
        let mut flags = self.flags;
        let on = self.flag_letters();
        let wrong = |letters: &str| letters.contains('L') || (self.bytes && letters.contains('u'));
        if wrong(&on) || (on.contains('a') && on.contains('u')) {
            return Err((self.at, Fault::BadFlags));
        }
        let mut open = String::from(if on.contains('i') { "(?i" } else { "(?" });
        flags.set(&on, true);
        if self.eat('-') {
            let off = self.flag_letters();
            if off.is_empty() {
                return Err((self.at, Fault::MissingFlag));
            }
            if off.contains(['a', 'L', 'u']) || off.chars().any(|flag| on.contains(flag)) {
                return Err((self.at, Fault::BadFlags));
            }
            if off.contains('i') {
                open.push_str("-i");
            }
            flags.set(&off, false);
            if self.peek() == Some(')') {
                return Err((self.at, Fault::MissingColon));
            }
        }
        match self.peek() {
            Some(')') if !allowed => Err((start, Fault::LateFlags)),
            Some(')') => {
                self.at += 1;
                self.flags = flags;
                Ok(None)
            }
            Some(':') => {
                self.at += 1;
                let outer = std::mem::replace(&mut self.flags, flags);
                let inner = self.inner(start)?;
                self.flags = outer;
                open.push(':');
                Ok(Some(Node::Group { open, inner }))
            }
            Some(letter) if letter.is_alphabetic() => Err((self.at, Fault::UnknownFlag)),
            _ => Err((self.at, Fault::UnterminatedFlags)),
        }
    }

    fn flag_letters(&mut self) -> String {
        let start = self.at;
        while self.peek().is_some_and(|letter| "aiLmsux".contains(letter)) {
            self.at += 1;
        }
        self.since(start)
    }
}

impl Flags {
    fn set(&mut self, letters: &str, value: bool) {
        for letter in letters.chars() {
            match letter {
                'a' => self.ascii = value,
                'u' => self.ascii = !value,
                'm' => self.multi_line = value,
                's' => self.dot_all = value,
                'x' => self.verbose = value,
                _ => {} // `i` is the engine's; all patterns ignore case unless told otherwise
            }
        }
    }
}

/// Repeats the last item.
fn add_repeat(items: &mut Sequence, repeat: Repeat) -> Result<(), Fault> {
    match items.last_mut() {
        Some(item) if item.repeat.is_some() => Err(Fault::MultipleRepeat),
        Some(item) if !item.node.is_anchor() => {
            item.repeat = Some(repeat);
            Ok(())
        }
        _ => Err(Fault::NothingToRepeat),
    }
}
