//! The nine bytes before each frame, and the frames that consist of little more (RFC 9113 sections 4.1 and 6).

use bytes::{BufMut, BytesMut};

/// The length of a frame's header.
pub(super) const HEADER_BYTES: usize = 9;
/// The longest payload that is received: SETTINGS_MAX_FRAME_SIZE is left at its default.
pub(super) const PAYLOAD_BYTES_MAX: usize = 16_384;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY: u8 = 0x20;

/// The types of frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// One that is to be ignored (section 5.5).
    Unknown,
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FrameHeader {
    pub(super) len: usize,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    /// 0 for the connection.
    pub(super) stream: u32,
}

impl FrameHeader {
    /// Reads a header; `None` if it is not there whole.
    pub(super) fn read(input: &[u8]) -> Option<Self> {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *input.first_chunk::<HEADER_BYTES>()?;
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::Headers,
            2 => Kind::Priority,
            3 => Kind::RstStream,
            4 => Kind::Settings,
            5 => Kind::PushPromise,
            6 => Kind::Ping,
            7 => Kind::GoAway,
            8 => Kind::WindowUpdate,
            9 => Kind::Continuation,
            _ => Kind::Unknown,
        };
        let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff;
        Some(Self { len, kind, flags, stream })
    }

    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends a frame's header. `len` is below 2^24: no peer's SETTINGS_MAX_FRAME_SIZE is followed beyond our own.
pub(super) fn put_header(out: &mut BytesMut, len: usize, kind: u8, flags: u8, stream: u32) {
    let [_, l0, l1, l2] = u32::try_from(len).unwrap_or_default().to_be_bytes();
    let [s0, s1, s2, s3] = stream.to_be_bytes();
    out.put_slice(&[l0, l1, l2, kind, flags, s0, s1, s2, s3]);
}

pub(super) fn put_rst_stream(out: &mut BytesMut, stream: u32, code: u32) {
    put_header(out, 4, 3, 0, stream);
    out.put_u32(code);
}

pub(super) fn put_settings(out: &mut BytesMut, settings: &[(u16, u32)]) {
    put_header(out, settings.len() * 6, 4, 0, 0);
    for (id, value) in settings {
        out.put_u16(*id);
        out.put_u32(*value);
    }
}

pub(super) fn put_settings_ack(out: &mut BytesMut) {
    put_header(out, 0, 4, ACK, 0);
}

pub(super) fn put_ping(out: &mut BytesMut, flags: u8, payload: [u8; 8]) {
    put_header(out, 8, 6, flags, 0);
    out.put_slice(&payload);
}

pub(super) fn put_go_away(out: &mut BytesMut, last_stream: u32, code: u32) {
    put_header(out, 8, 7, 0, 0);
    out.put_u32(last_stream);
    out.put_u32(code);
}

pub(super) fn put_window_update(out: &mut BytesMut, stream: u32, increment: u32) {
    put_header(out, 4, 8, 0, stream);
    out.put_u32(increment);
}

/// Appends a header block as HEADERS and as many CONTINUATION frames as it takes.
pub(super) fn put_header_block(
    out: &mut BytesMut,
    stream: u32,
    block: &[u8],
    end_stream: bool,
    payload_max: usize,
) {
    out.reserve(block.len() + HEADER_BYTES);
    let mut flags = if end_stream { END_STREAM } else { 0 };
    let mut kind = 1;
    let mut rest = block;
    loop {
        let (part, behind) = rest.split_at(rest.len().min(payload_max));
        if behind.is_empty() {
            flags |= END_HEADERS;
        }
        put_header(out, part.len(), kind, flags, stream);
        out.put_slice(part);
        if behind.is_empty() {
            return;
        }
        (rest, kind, flags) = (behind, 9, 0);
    }
}

/// A payload without its padding (sections 6.1 and 6.2); `None` if the padding is as long as the payload or longer.
pub(super) fn without_padding(header: FrameHeader, payload: &[u8]) -> Option<&[u8]> {
    if !header.has(PADDED) {
        return Some(payload);
    }
    let (pad_len, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(usize::from(*pad_len))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back_and_the_reserved_bit_is_ignored() {
        let mut out = BytesMut::new();
        put_header(&mut out, 0x01_02_03, 9, 0xff, 0x7fff_fffe);
        let expected =
            FrameHeader { len: 0x01_02_03, kind: Kind::Continuation, flags: 0xff, stream: 0x7fff_fffe };
        assert_eq!(FrameHeader::read(&out), Some(expected));
        out[5] |= 0x80;
        assert_eq!(FrameHeader::read(&out), Some(expected));
        assert_eq!(FrameHeader::read(&out[..8]), None);
    }

    #[test]
    fn long_blocks_are_continued() {
        let mut out = BytesMut::new();
        put_header_block(&mut out, 1, b"abcdefg", true, 3);
        let all = [
            &[0, 0, 3, 1, 1, 0, 0, 0, 1][..],
            b"abc",
            &[0, 0, 3, 9, 0, 0, 0, 0, 1],
            b"def",
            &[0, 0, 1, 9, 4, 0, 0, 0, 1],
            b"g",
        ];
        assert_eq!(out, all.concat());
        let mut out = BytesMut::new();
        put_header_block(&mut out, 3, b"", false, 3);
        assert_eq!(&out[..], &[0, 0, 0, 1, 4, 0, 0, 0, 3]);
    }

    #[test]
    fn padding_is_shorter_than_its_payload() {
        let header = FrameHeader { len: 0, kind: Kind::Data, flags: PADDED, stream: 1 };
        assert_eq!(without_padding(header, b"\x02abc"), Some(&b"a"[..]));
        assert_eq!(without_padding(header, b"\x03abc"), Some(&b""[..]));
        assert_eq!(without_padding(header, b"\x04abc"), None);
        assert_eq!(without_padding(header, b""), None);
        assert_eq!(without_padding(FrameHeader { flags: 0, ..header }, b"\x04abc"), Some(&b"\x04abc"[..]));
    }
}
