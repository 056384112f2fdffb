//! The text of a HAR file as UTF-8: without the byte order mark of editors, and from UTF-16, as PowerShell writes files.
//!
//! No other charset: JSON has none. No byte is taken before it is needed, so that whoever counts them knows where the text is wrong.

use std::io::{self, Read};

/// Hands out a text in UTF-8. UTF-16 is known by its mark.
pub(super) struct Utf8<R> {
    input: R,
    place: Place,
    /// The end of this is a character that was read and not handed out yet.
    character: [u8; 4],
    left: usize,
}

#[derive(Clone, Copy)]
enum Place {
    Beginning,
    Utf8,
    /// In units made of two bytes like this.
    Utf16(fn([u8; 2]) -> u16),
    /// Behind what is no text: a reader that goes on asking gets nothing more, so that the place stays the one of the error.
    Wrong(NotText),
}

/// Bytes that no text has there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotText {
    /// The file begins with a part of a byte order mark.
    #[error("the byte order mark of neither UTF-8 nor UTF-16")]
    Mark,
    /// Half of a pair that stands for one character.
    #[error("not UTF-16")]
    Utf16,
}

impl<R: Read> Utf8<R> {
    pub(super) const fn new(input: R) -> Self {
        Self { input, place: Place::Beginning, character: [0; 4], left: 0 }
    }

    /// Makes the next character ready, unless the input's own bytes are handed out: then it says so.
    fn advance(&mut self) -> io::Result<bool> {
        if let Place::Beginning = self.place {
            self.place = self.begin()?;
        }
        match self.place {
            Place::Wrong(wrong) => Err(wrong.into()),
            _ if self.left > 0 => Ok(false),
            Place::Utf16(unit_of) => self.next_character(unit_of).map(|()| false),
            Place::Beginning | Place::Utf8 => Ok(true),
        }
    }

    /// Takes a byte order mark, and tells by it what comes.
    fn begin(&mut self) -> io::Result<Place> {
        let Some(first) = self.byte()? else { return Ok(Place::Utf8) };
        let (rest, place): (&[u8], Place) = match first {
            0xef => (&[0xbb, 0xbf], Place::Utf8),
            0xff => (&[0xfe], Place::Utf16(u16::from_le_bytes)),
            0xfe => (&[0xff], Place::Utf16(u16::from_be_bytes)),
            byte => {
                self.character = [byte; 4];
                self.left = 1;
                return Ok(Place::Utf8);
            }
        };
        for expected in rest {
            if self.byte()? != Some(*expected) {
                return Err(NotText::Mark.into());
            }
        }
        Ok(place)
    }

    /// Reads a character of UTF-16; none at the end, nor of a single byte before it.
    fn next_character(&mut self, unit_of: fn([u8; 2]) -> u16) -> io::Result<()> {
        let Some(first) = self.unit(unit_of)? else { return Ok(()) };
        let second = if (0xd800..0xdc00).contains(&first) { self.unit(unit_of)? } else { None };
        let mut characters = char::decode_utf16([first].into_iter().chain(second));
        let Some(Ok(character)) = characters.next() else { return Err(NotText::Utf16.into()) };
        let len = character.len_utf8();
        let (_, end) = self.character.split_at_mut(4 - len);
        character.encode_utf8(end);
        self.left = len;
        Ok(())
    }

    fn unit(&mut self, unit_of: fn([u8; 2]) -> u16) -> io::Result<Option<u16>> {
        let Some(first) = self.byte()? else { return Ok(None) };
        Ok(self.byte()?.map(|second| unit_of([first, second])))
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0_u8];
        loop {
            match self.input.read(&mut byte) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(read) => return Ok((read > 0).then_some(byte[0])),
            }
        }
    }
}

impl<R: Read> Read for Utf8<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let outcome = self.advance();
        if let Err(error) = &outcome
            && let Some(wrong) = error.get_ref().and_then(|error| error.downcast_ref())
        {
            self.place = Place::Wrong(*wrong);
        }
        if outcome? {
            return self.input.read(buf);
        }
        let (_, mut left) = self.character.split_at(4 - self.left);
        let n = left.read(buf)?;
        self.left -= n;
        Ok(n)
    }
}

impl From<NotText> for io::Error {
    fn from(error: NotText) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}
