//! A recorded response made to look like one of today: its dates are as far from now as they were from the recording.

use flowgate_flow::{Headers, Timestamp};

use crate::date;

/// Moves the dates of a response that was recorded at one time to another, in seconds since 1970.
pub(super) fn refresh(headers: &mut Headers, recorded: Timestamp, now: i64) {
    // A time stamp is far from what a float of this size cannot tell apart.
    #[expect(clippy::cast_possible_truncation, reason = "times of day in seconds fit")]
    let later = now - recorded.0 as i64;
    let moved = |text: &[u8]| {
        let at = date::parse(std::str::from_utf8(text).ok()?)?;
        Some(date::format(at.saturating_add(later)).into_bytes())
    };
    let fields = headers.iter().map(|field| {
        let is_date = ["date", "expires", "last-modified"].iter().any(|name| field.is(name));
        let value = if is_date {
            moved(field.value).unwrap_or_else(|| field.value.to_vec())
        } else if field.is("set-cookie") {
            cookie(field.value, moved)
        } else {
            field.value.to_vec()
        };
        (field.name.to_vec(), value)
    });
    *headers = fields.collect();
}

/// A `Set-Cookie` value with its expiry moved; one that is no date goes, as in mitmproxy.
fn cookie(value: &[u8], moved: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let parts = value.split(|byte| *byte == b';').enumerate().filter_map(|(index, part)| {
        let is_expiry = index > 0 && part.trim_ascii_start().to_ascii_lowercase().starts_with(b"expires=");
        if !is_expiry {
            return Some(part.to_vec());
        }
        let at = part.iter().position(|byte| *byte == b'=')? + 1;
        Some([part.get(..at)?, &moved(part.get(at..)?)?].concat())
    });
    parts.collect::<Vec<_>>().join(&b';')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_keep_their_distance() {
        // Recorded on 6 November 1994; now is a day later.
        let mut headers: Headers = [
            ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("expires", "-1"),
            ("Last-Modified", "Sat, 05 Nov 1994 08:49:37 GMT"),
            ("Set-Cookie", "a=Expires=1; Path=/; expires=Sun, 06 Nov 1994 09:49:37 GMT; Secure"),
            ("Set-Cookie", "b=2; Expires=never"),
            ("X-Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ]
        .into_iter()
        .collect();
        refresh(&mut headers, Timestamp(784_111_777.25), 784_111_777 + 86_400);
        let lines: Vec<_> =
            headers.iter().map(|field| String::from_utf8_lossy(field.line).into_owned()).collect();
        assert_eq!(
            lines,
            [
                "Date: Mon, 07 Nov 1994 08:49:37 GMT",
                "expires: -1",
                "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
                "Set-Cookie: a=Expires=1; Path=/; expires=Mon, 07 Nov 1994 09:49:37 GMT; Secure",
                "Set-Cookie: b=2",
                "X-Date: Sun, 06 Nov 1994 08:49:37 GMT",
            ]
        );
    }
}
