//! Reading bytes from their beginning to their end: numbers and pieces, each of which may be missing.

use crate::json::Stop;

/// What is left to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    /// The bytes are all there are: one that is missing is wrong, and not only not at hand.
    complete: bool,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8], complete: bool) -> Self {
        Self { rest: bytes, complete }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Why a byte that should be there is not.
    pub(crate) const fn at_end(&self) -> Stop {
        if self.complete { Stop::Invalid } else { Stop::Full }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.at_end())?;
        self.rest = rest;
        Ok(taken)
    }

    /// As [`Self::take`], for a count that a peer wrote.
    pub(crate) fn take_u64(&mut self, count: u64) -> Result<&'a [u8], Stop> {
        let count = usize::try_from(count).map_err(|_| self.at_end())?;
        self.take(count)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.at_end())?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Stop> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Big-endian, as in network protocols.
    pub(crate) fn u16(&mut self) -> Result<u16, Stop> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Stop> {
        self.array().map(u32::from_be_bytes)
    }
}
