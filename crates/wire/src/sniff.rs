//! What the first bytes of a connection are, told as early as it is certain and not a byte earlier.
//!
//! Not a parser: [`Sniff::Tls`] and [`Sniff::Http1`] say who should read on and refuse what is wrong, visibly.
//! Invariant: an answer other than `NeedMore` for some bytes is the answer for every continuation of them. In
//! particular one or two bytes never decide what a third could change.
//!
//! Both functions look at bounded bytes only ([`LINE_BYTES_MAX`], [`HEAD_BYTES_MAX`]), which bounds the work of asking
//! again after every byte; [`HostReader`] does not even look twice.

use crate::http1::token_len;

/// The longest request line that is waited for, in bytes; beyond it, how the line began decides.
pub const LINE_BYTES_MAX: usize = 8 * 1024;

/// The longest method that is waited for, in bytes. The longest registered one has 17.
pub const METHOD_BYTES_MAX: usize = 32;

/// The most empty lines in front of a request line (RFC 9112 §2.2 asks for tolerance of at least one).
pub const BLANK_LINES_MAX: usize = 4;

/// The most bytes of a request head in which a Host field is looked for: 64 KiB.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What HTTP/2 with prior knowledge begins with (RFC 9113 §3.4).
pub const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Methods so well known that a broken rest of the line is still a broken HTTP request.
const KNOWN_METHODS: [&[u8]; 9] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];

/// What a connection starts with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sniff {
    /// Nothing certain yet.
    NeedMore,
    /// A TLS handshake record with the beginning of a handshake message.
    Tls,
    /// An HTTP/1 request, or what can only be meant as one.
    Http1,
    /// The preface of HTTP/2 with prior knowledge.
    Http2Preface,
    /// None of these.
    Other,
}

/// Says what `bytes`, all that the client has sent so far, are.
#[must_use]
pub fn sniff(bytes: &[u8]) -> Sniff {
    if bytes.first() == Some(&0x16) {
        tls(bytes)
    } else if bytes.starts_with(HTTP2_PREFACE) {
        Sniff::Http2Preface
    } else if HTTP2_PREFACE.starts_with(bytes) {
        Sniff::NeedMore
    } else {
        http1(bytes)
    }
}

/// `16 03 00..03`, a length, and a handshake type.
fn tls(bytes: &[u8]) -> Sniff {
    match bytes {
        [_, major, ..] if *major != 3 => Sniff::Other,
        [_, _, minor, ..] if *minor > 3 => Sniff::Other,
        // An empty record is refused by the ClientHello parser; here the next record's type follows.
        [_, _, _, 0, 0, next, ..] => {
            if *next == 0x16 {
                Sniff::Tls
            } else {
                Sniff::Other
            }
        }
        [_, _, _, _, _, kind, ..] => {
            if is_handshake_type(*kind) {
                Sniff::Tls
            } else {
                Sniff::Other
            }
        }
        _ => Sniff::NeedMore,
    }
}

/// The types in IANA's TLS HandshakeType registry that were ever assigned.
const fn is_handshake_type(byte: u8) -> bool {
    matches!(byte, 0..=6 | 8..=17 | 20..=26 | 67 | 254)
}

fn http1(bytes: &[u8]) -> Sniff {
    let mut line = bytes;
    for _ in 0..BLANK_LINES_MAX {
        line = line.strip_prefix(b"\r\n").or_else(|| line.strip_prefix(b"\n")).unwrap_or(line);
    }
    if line.is_empty() || line == b"\r" {
        return Sniff::NeedMore;
    }
    if line.starts_with(b"SSH-") {
        return Sniff::Other; // a token as long as it likes, but an identification string (RFC 4253 §4.2)
    }
    let method_len = token_len(line.get(..=METHOD_BYTES_MAX).unwrap_or(line));
    let Some((method, rest)) = line.split_at_checked(method_len) else { return Sniff::Other };
    match rest.split_first() {
        _ if method_len > METHOD_BYTES_MAX => Sniff::Other,
        None => Sniff::NeedMore,
        Some((b' ', rest)) if method_len > 0 => {
            if KNOWN_METHODS.contains(&method) {
                after_known_method(rest, method == b"CONNECT")
            } else {
                after_token(rest)
            }
        }
        Some(_) => Sniff::Other,
    }
}

/// The rest of a line that began with any token: a target, one space, and `HTTP/`.
fn after_token(rest: &[u8]) -> Sniff {
    const VERSION: &[u8] = b"HTTP/";
    let window = rest.get(..LINE_BYTES_MAX).unwrap_or(rest);
    let target_len = window.iter().take_while(|byte| byte.is_ascii_graphic()).count();
    let Some((target, rest)) = window.split_at_checked(target_len) else { return Sniff::Other };
    if !could_be_target(target) && !window.is_empty() {
        return Sniff::Other;
    }
    match rest.split_first() {
        None if window.len() == LINE_BYTES_MAX => Sniff::Other,
        None => Sniff::NeedMore,
        Some((b' ', version)) if version.starts_with(VERSION) => Sniff::Http1,
        Some((b' ', version)) if VERSION.starts_with(version) && window.len() < LINE_BYTES_MAX => {
            Sniff::NeedMore
        }
        Some(_) => Sniff::Other,
    }
}

/// `target`, or its beginning, is an origin form, `*`, or an absolute form.
fn could_be_target(target: &[u8]) -> bool {
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    match target.split_first() {
        Some((b'/' | b'*', _)) => true,
        Some((first, rest)) if first.is_ascii_alphabetic() => {
            rest.iter().find(|byte| !is_scheme(byte)).is_none_or(|byte| *byte == b':')
        }
        _ => false,
    }
}

/// The rest of a line that began with one of [`KNOWN_METHODS`]: `HTTP/` anywhere in it, or an end without a version.
fn after_known_method(rest: &[u8], connect: bool) -> Sniff {
    let window = rest.get(..LINE_BYTES_MAX).unwrap_or(rest);
    let line_len = window.iter().take_while(|byte| !byte.is_ascii_control()).count();
    let Some((line, end)) = window.split_at_checked(line_len) else { return Sniff::Other };
    if line.windows(6).any(|bytes| bytes == b" HTTP/") {
        return Sniff::Http1;
    }
    let ended = match end {
        [] => window.len() == LINE_BYTES_MAX,
        [b'\r'] if window.len() < LINE_BYTES_MAX => false,
        [b'\n', ..] | [b'\r', b'\n', ..] => true,
        _ => return Sniff::Other,
    };
    match ended {
        false => Sniff::NeedMore,
        true if is_request_without_version(line, connect) => Sniff::Http1,
        true => Sniff::Other,
    }
}

/// What follows a known method on a line without `HTTP/` is still meant for HTTP: `GET /`, but not `GET key` (Redis)
/// nor `OPTIONS rtsp://a.test RTSP/1.0`.
fn is_request_without_version(line: &[u8], connect: bool) -> bool {
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let Some(target) = words.next() else { return false };
    let other_protocol = words.next_back().is_some_and(|word| {
        let name = word.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
        name > 0 && word.get(name) == Some(&b'/') && word.get(name + 1).is_some_and(u8::is_ascii_digit)
    });
    let is_target = matches!(target.first(), Some(b'/' | b'*'))
        || target.windows(3).any(|bytes| bytes == b"://")
        || (connect && target.contains(&b':'));
    is_target && !other_protocol
}

/// Whether a clear-text request names a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HostState<'a> {
    /// Neither a Host field nor the end of the head is there.
    NeedMore,
    /// The head ends, or is longer than [`HEAD_BYTES_MAX`], without a Host field, or the first one is empty.
    Absent,
    /// The value of the first Host field, without the white space around it.
    Host(&'a [u8]),
}

/// Looks for the Host field of the request head that `head` begins with. What follows the head is not looked at.
#[must_use]
pub fn host_header(head: &[u8]) -> HostState<'_> {
    HostReader::default().read(head)
}

/// Looks for the Host field of a head that arrives in pieces, at each byte once.
#[derive(Clone, Debug, Default)]
pub struct HostReader {
    /// Where the first line starts that is not done with.
    line_at: usize,
    /// Up to where no line end was found behind that.
    searched: usize,
    /// The request line is behind us.
    in_fields: bool,
}

impl HostReader {
    /// Goes on with `head`: everything received since the first byte, not only what is new.
    pub fn read<'a>(&mut self, head: &'a [u8]) -> HostState<'a> {
        let window = head.get(..HEAD_BYTES_MAX).unwrap_or(head);
        while let Some(length) =
            window.get(self.searched..).and_then(|rest| rest.iter().position(|b| *b == b'\n'))
        {
            let end = self.searched + length;
            let line = window.get(self.line_at..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if self.in_fields {
                // A line that starts with white space goes on with the field before it and is no field (obs-fold).
                if line.is_empty() {
                    return HostState::Absent;
                }
                match host_value(line) {
                    Some([]) => return HostState::Absent,
                    Some(value) => return HostState::Host(value),
                    None => {}
                }
            } else if !line.is_empty() {
                if !line.windows(6).any(|bytes| bytes == b" HTTP/") {
                    return HostState::Absent; // HTTP/0.9 has no fields
                }
                self.in_fields = true;
            }
            self.line_at = end + 1;
            self.searched = self.line_at;
        }
        self.searched = window.len();
        if head.len() >= HEAD_BYTES_MAX { HostState::Absent } else { HostState::NeedMore }
    }
}

/// The value, if `line` is a Host field.
fn host_value(line: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"host:";
    let (name, mut value) = line.split_at_checked(NAME.len())?;
    if !name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    while let Some((b' ' | b'\t', rest)) = value.split_first() {
        value = rest;
    }
    while let Some((b' ' | b'\t', rest)) = value.split_last() {
        value = rest;
    }
    Some(value)
}
