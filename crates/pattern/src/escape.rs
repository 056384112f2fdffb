//! What follows a backslash, and what stands between brackets.

use super::fault::Fault;
use super::parse::Parser;
use super::syntax::{Node, spell_char};

/// One member of a class, or what an escape stands for.
enum Member {
    Char(char),
    /// `\d` and its like, spelled for the engines.
    Set(&'static str),
}

impl Parser {
    /// Reads what follows a backslash at `start`, outside a class.
    pub(super) fn escape(&mut self, start: usize) -> Result<Node, (usize, Fault)> {
        let Some(next) = self.peek() else { return Err((start, Fault::EscapeAtEnd)) };
        let node = match next {
            'A' => Node::Start,
            'Z' => Node::End,
            'b' => Node::Boundary("\\b"),
            'B' => Node::Boundary("\\B"),
            '1'..='9' => return self.reference_or_octal(start),
            _ => {
                return Ok(Node::Text(match self.member(start)? {
                    Member::Char(literal) => spell_char(literal),
                    Member::Set(set) => set.to_owned(),
                }));
            }
        };
        self.at += 1;
        Ok(node)
    }

    /// Reads `\1`, `\12`, or `\123`, which is a character in octal.
    fn reference_or_octal(&mut self, start: usize) -> Result<Node, (usize, Fault)> {
        let digit = |parser: &Self, ahead: usize| parser.peek_at(ahead).and_then(|next| next.to_digit(10));
        let first = digit(self, 0).unwrap_or_default();
        let Some(second) = digit(self, 1) else {
            self.at += 1;
            return self.number(first, start);
        };
        if let (0..=3, 0..=7, Some(third @ 0..=7)) = (first, second, digit(self, 2)) {
            self.at += 3;
            return char::from_u32(first * 64 + second * 8 + third)
                .map(|literal| Node::Text(spell_char(literal)))
                .ok_or((start, Fault::EscapeAtEnd));
        }
        if let (4..=7, 0..=7, Some(0..=7)) = (first, second, digit(self, 2)) {
            self.at += 3;
            return Err((start, Fault::OctalTooLarge { escape: self.since(start) }));
        }
        self.at += 2;
        self.number(first * 10 + second, start)
    }

    /// A reference by number. Python points at the number if there is no such group, else at the backslash.
    fn number(&mut self, group: u32, start: usize) -> Result<Node, (usize, Fault)> {
        self.reference(group, start + 1).map_err(|(at, fault)| match fault {
            Fault::OpenGroup => (start, fault),
            _ => (at, fault),
        })
    }

    /// Reads a class that begins with the bracket at `start`, and spells it.
    pub(super) fn class(&mut self, start: usize) -> Result<String, (usize, Fault)> {
        let mut out = String::from(if self.eat('^') { "[^" } else { "[" });
        let unterminated = (start, Fault::UnterminatedClass);
        let mut first = true;
        loop {
            let member_at = self.at;
            let next = self.next().ok_or_else(|| unterminated.clone())?;
            if next == ']' && !first {
                out.push(']');
                return Ok(out);
            }
            first = false;
            let low = self.class_member(next, member_at)?;
            let is_range = self.peek() == Some('-') && self.peek_at(1) != Some(']');
            if !is_range {
                low.spell(&mut out);
                continue;
            }
            self.at += 1;
            let high_at = self.at;
            let next = self.next().ok_or_else(|| unterminated.clone())?;
            match (low, self.class_member(next, high_at)?) {
                (Member::Char(low), Member::Char(high)) if low <= high => {
                    out.push_str(&spell_char(low));
                    out.push('-');
                    out.push_str(&spell_char(high));
                }
                _ => return Err((member_at, Fault::BadRange { range: self.since(member_at) })),
            }
        }
    }

    fn class_member(&mut self, next: char, start: usize) -> Result<Member, (usize, Fault)> {
        if next != '\\' {
            return Ok(Member::Char(next));
        }
        match self.peek() {
            Some('b') => {
                self.at += 1;
                Ok(Member::Char('\u{8}'))
            }
            Some('1'..='7') => self.octal(start, 3),
            _ => self.member(start),
        }
    }

    /// Reads an escape that is a character or a set of them.
    fn member(&mut self, start: usize) -> Result<Member, (usize, Fault)> {
        let next = self.next().ok_or((start, Fault::EscapeAtEnd))?;
        let ascii = self.flags.ascii;
        let either = |for_ascii, for_all| Ok(Member::Set(if ascii { for_ascii } else { for_all }));
        match next {
            'd' => either("[0-9]", "\\d"),
            'D' => either("[^0-9]", "\\D"),
            's' => either("[ \\t-\\r]", "\\s"),
            'S' => either("[^ \\t-\\r]", "\\S"),
            'w' => either("[0-9A-Za-z_]", "\\w"),
            'W' => either("[^0-9A-Za-z_]", "\\W"),
            'a' => Ok(Member::Char('\u{7}')),
            'f' => Ok(Member::Char('\u{c}')),
            'n' => Ok(Member::Char('\n')),
            'r' => Ok(Member::Char('\r')),
            't' => Ok(Member::Char('\t')),
            'v' => Ok(Member::Char('\u{b}')),
            'x' => self.hex(start, 2),
            'u' if !self.bytes => self.hex(start, 4),
            'U' if !self.bytes => self.hex(start, 8),
            'N' if !self.bytes => Err((start, Fault::CharacterName)),
            '0' => {
                self.at -= 1;
                self.octal(start, 3)
            }
            other if other.is_ascii_alphanumeric() => {
                Err((start, Fault::BadEscape { escape: self.since(start) }))
            }
            literal => Ok(Member::Char(literal)),
        }
    }

    fn hex(&mut self, start: usize, digits: usize) -> Result<Member, (usize, Fault)> {
        let mut value = 0;
        for _ in 0..digits {
            let Some(digit) = self.peek().and_then(|next| next.to_digit(16)) else {
                return Err((start, Fault::IncompleteEscape { escape: self.since(start) }));
            };
            value = (value << 4) | digit;
            self.at += 1;
        }
        char::from_u32(value)
            .map(Member::Char)
            .ok_or_else(|| (start, Fault::BadEscape { escape: self.since(start) }))
    }

    fn octal(&mut self, start: usize, digits: usize) -> Result<Member, (usize, Fault)> {
        let mut value = 0;
        for _ in 0..digits {
            let Some(digit) = self.peek().and_then(|next| next.to_digit(8)) else { break };
            value = value * 8 + digit;
            self.at += 1;
        }
        match u8::try_from(value) {
            Ok(byte) => Ok(Member::Char(char::from(byte))),
            Err(_) => Err((start, Fault::OctalTooLarge { escape: self.since(start) })),
        }
    }
}

impl Member {
    fn spell(&self, out: &mut String) {
        match self {
            Self::Char(literal) => out.push_str(&spell_char(*literal)),
            Self::Set(set) => out.push_str(set),
        }
    }
}
