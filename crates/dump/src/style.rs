//! Colours: whether there are any, and the SGR sequences (ECMA-48 section 8.3.117) that make them.

use std::ffi::OsStr;

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Style {
    /// Text alone, for files, pipes and programs.
    #[default]
    Plain,
    /// With SGR sequences, for terminals.
    Ansi,
}

impl Style {
    /// Colours if standard output is a terminal that has them and `NO_COLOR` (no-color.org) is unset or empty.
    #[must_use]
    pub fn detect(is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> Self {
        let wanted = no_color.is_none_or(OsStr::is_empty);
        // No TERM at all is usual on Windows, whose terminals do have colours.
        let able = term.is_none_or(|term| term != "dumb");
        if is_terminal && wanted && able { Self::Ansi } else { Self::Plain }
    }

    /// Adds what `write` adds, in this look.
    pub(crate) fn paint(self, out: &mut String, look: Look, write: impl FnOnce(&mut String)) {
        if self == Self::Plain {
            return write(out);
        }
        if let Some(colour) = look.colour {
            out.push_str(match colour {
                Colour::Red => "\x1b[31m",
                Colour::Green => "\x1b[32m",
                Colour::Yellow => "\x1b[33m",
                Colour::Blue => "\x1b[34m",
                Colour::Magenta => "\x1b[35m",
                Colour::Cyan => "\x1b[36m",
                Colour::BrightBlue => "\x1b[94m",
            });
        }
        if look.bold {
            out.push_str("\x1b[1m");
        }
        if look.dim {
            out.push_str("\x1b[2m");
        }
        if let Some(blink) = look.blink {
            out.push_str(if blink { "\x1b[5m" } else { "\x1b[25m" });
        }
        write(out);
        out.push_str("\x1b[0m");
    }
}

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Look {
    pub(crate) colour: Option<Colour>,
    pub(crate) bold: bool,
    pub(crate) dim: bool,
    /// On, or said to be off.
    pub(crate) blink: Option<bool>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Colour {
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
    BrightBlue,
}

impl Look {
    pub(crate) const BOLD: Self = Self { colour: None, bold: true, dim: false, blink: None };
    pub(crate) const DIM: Self = Self { colour: None, bold: false, dim: true, blink: None };
    pub(crate) const ERROR: Self = Self::RED.bold();
    pub(crate) const RED: Self = Self::of(Colour::Red);

    pub(crate) const fn of(colour: Colour) -> Self {
        Self { colour: Some(colour), bold: false, dim: false, blink: None }
    }

    pub(crate) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(crate) const fn dim(self) -> Self {
        Self { dim: true, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_where_they_are_wanted() {
        for (is_terminal, no_color, term, style) in [
            (true, None, Some("xterm-256color"), Style::Ansi),
            (true, None, None, Style::Ansi),
            (true, Some(""), Some("xterm"), Style::Ansi),
            (true, Some("1"), Some("xterm"), Style::Plain),
            (true, None, Some("dumb"), Style::Plain),
            (false, None, Some("xterm"), Style::Plain),
        ] {
            assert_eq!(Style::detect(is_terminal, no_color.map(OsStr::new), term.map(OsStr::new)), style);
        }
    }
}
