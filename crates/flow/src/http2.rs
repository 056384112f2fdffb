//! What a peer says of itself in HTTP/2 before any message: clients of a kind say the same. Not what messages say, for which see
//! [`PseudoFields`](crate::PseudoFields).

use std::fmt;
use std::str::FromStr;

/// The beginning of a connection of HTTP/2, as the peer made it (RFC 9113 section 3.4).
///
/// Its text is the notation in which fingerprints of HTTP/2 are written: SETTINGS as `number:value` with semicolons, by how much the window
/// was opened, and priorities as `stream:exclusive:depends_on:weight` with commas; `0` if there are none. So
/// `1:65536;2:0;4:6291456;6:262144|15663105|0` is a browser based on Chromium. A fourth part, the order of the pseudo-header fields, is each
/// request's own.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Http2Beginning {
    /// Its first SETTINGS in order, unknown ones included (RFC 9113 section 6.5.1).
    pub settings: Vec<(u16, u32)>,
    /// By how many bytes it opened the window of the connection before its first message; 0 if it did not.
    pub window_bytes: u32,
    /// The PRIORITY frames before its first message: of which stream, and what they said.
    pub priorities: Vec<(u32, Priority)>,
}

/// What a client wished about the order of its responses (RFC 7540 section 5.3, which RFC 9113 took back).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Priority {
    /// The stream that it depends on; 0 if on none.
    pub depends_on: u32,
    /// Whether it is to be the only one that does.
    pub exclusive: bool,
    /// From 1 to 256.
    pub weight: u16,
}

impl Priority {
    /// As it stands in frames (RFC 9113 section 6.3).
    #[must_use]
    pub const fn from_wire([d0, d1, d2, d3, weight]: [u8; 5]) -> Self {
        let word = u32::from_be_bytes([d0, d1, d2, d3]);
        Self { depends_on: word & 0x7fff_ffff, exclusive: word >> 31 == 1, weight: weight as u16 + 1 }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", u8::from(self.exclusive), self.depends_on, self.weight)
    }
}

impl fmt::Display for Http2Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (number, value)) in self.settings.iter().enumerate() {
            write!(f, "{}{number}:{value}", if at == 0 { "" } else { ";" })?;
        }
        write!(f, "|{}|", self.window_bytes)?;
        for (at, (stream, priority)) in self.priorities.iter().enumerate() {
            write!(f, "{}{stream}:{priority}", if at == 0 { "" } else { "," })?;
        }
        if self.priorities.is_empty() { f.write_str("0") } else { Ok(()) }
    }
}

/// That a text is none of these.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoHttp2Text;

impl FromStr for Priority {
    type Err = NoHttp2Text;

    fn from_str(text: &str) -> Result<Self, NoHttp2Text> {
        let mut parts = text.split(':');
        let (exclusive, depends_on, weight) = (parts.next(), parts.next(), parts.next());
        let exclusive = match exclusive {
            Some("0") => false,
            Some("1") => true,
            _ => return Err(NoHttp2Text),
        };
        let depends_on = number(depends_on.unwrap_or_default())?;
        let weight = number(weight.unwrap_or_default())?;
        let is_one = depends_on <= 0x7fff_ffff && (1..=256).contains(&weight) && parts.next().is_none();
        if is_one { Ok(Self { depends_on, exclusive, weight }) } else { Err(NoHttp2Text) }
    }
}

impl FromStr for Http2Beginning {
    type Err = NoHttp2Text;

    fn from_str(text: &str) -> Result<Self, NoHttp2Text> {
        let mut parts = text.split('|');
        let (Some(settings), Some(window), Some(priorities), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoHttp2Text);
        };
        let pair = |entry: &str| {
            let (name, value) = entry.split_once(':').ok_or(NoHttp2Text)?;
            Ok((number(name)?, number(value)?))
        };
        let of_stream = |entry: &str| {
            let (stream, priority) = entry.split_once(':').ok_or(NoHttp2Text)?;
            Ok((number(stream)?, priority.parse()?))
        };
        Ok(Self {
            settings: settings
                .split(';')
                .filter(|entry| !entry.is_empty())
                .map(pair)
                .collect::<Result<_, _>>()?,
            window_bytes: number(window)?,
            priorities: match priorities {
                "0" => Vec::new(),
                some => some.split(',').map(of_stream).collect::<Result<_, _>>()?,
            },
        })
    }
}

/// A decimal number as we write it: digits only.
fn number<T: FromStr>(text: &str) -> Result<T, NoHttp2Text> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or(NoHttp2Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_read_back() {
        for text in [
            "|0|0",
            "1:65536;2:0;4:6291456;6:262144|15663105|0",
            "1:65536;4:131072;5:16384|12517377|3:0:0:201,5:0:0:101,7:1:3:1",
            "65535:4294967295;65535:0|2147483647|2147483647:1:2147483647:256",
        ] {
            assert_eq!(text.parse::<Http2Beginning>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "|",
            "||",
            "|0|",
            "|0|0|",
            "1|0|0",
            "1:|0|0",
            ":1|0|0",
            "1:+1|0|0",
            "65536:1|0|0",
            "|-1|0",
            "|0|1",
            "|0|1:0:0",
            "|0|1:2:0:1",
            "|0|1:0:0:0",
            "|0|1:0:0:257",
            "|0|1:0:0:1:",
            "|0|1:0:2147483648:1",
        ] {
            assert_eq!(text.parse::<Http2Beginning>(), Err(NoHttp2Text), "{text}");
        }
    }

    #[test]
    fn priorities_of_frames() {
        let priority = Priority::from_wire([0x80, 0, 0, 3, 255]);
        assert_eq!(priority, Priority { depends_on: 3, exclusive: true, weight: 256 });
        assert_eq!(priority.to_string().parse(), Ok(priority));
        assert_eq!(Priority::from_wire([0; 5]), Priority { depends_on: 0, exclusive: false, weight: 1 });
    }
}
