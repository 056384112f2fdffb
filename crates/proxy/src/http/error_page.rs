//! What we say to a client in our own name: that a request failed, and why.

use std::time::Duration;

use bytes::Bytes;
use flowgate_flow::{Body, Headers, HttpVersion, Response, Timestamp};
use http::StatusCode;

use crate::clock;

/// A response of our own and its body.
pub(crate) struct OwnResponse {
    pub(crate) head: Response,
    pub(crate) body: Bytes,
}

/// A page that tells a person what failed.
pub(crate) fn error_page(status: u16, message: &str) -> OwnResponse {
    let reason = reason(status);
    let message = escape(message);
    let body = format!(
        "<!doctype html>\n<html>\n<head><meta charset=\"utf-8\"><title>{status} {reason}</title></head>\n\
         <body>\n<h1>{status} {reason}</h1>\n<p>{message}</p>\n<p><small>flowgate {version}</small></p>\n</body>\n</html>\n",
        version = env!("CARGO_PKG_VERSION"),
    );
    own(status, "text/html; charset=utf-8", body.into())
}

/// The answer to a CONNECT that failed: plain text, since programs show it, not browsers.
pub(crate) fn connect_refusal(status: u16, message: &str) -> OwnResponse {
    own(status, "text/plain; charset=utf-8", format!("{message}\n").into())
}

/// The answer to a CONNECT that worked; as mitmproxy words it.
pub(crate) fn connect_established() -> Response {
    Response { reason: Bytes::from_static(b"Connection established"), ..response(200, Headers::new()) }
}

fn own(status: u16, content_type: &str, body: Bytes) -> OwnResponse {
    let mut headers = Headers::new();
    headers.push("Date", imf_fixdate(clock::now()));
    headers.push("Server", concat!("flowgate/", env!("CARGO_PKG_VERSION")));
    headers.push("Connection", "close");
    headers.push("Cache-Control", "no-store");
    headers.push("Content-Type", content_type);
    headers.push("Content-Length", body.len().to_string());
    OwnResponse { head: response(status, headers), body }
}

fn response(status: u16, headers: Headers) -> Response {
    let now = clock::now();
    Response {
        version: HttpVersion::Http11,
        status,
        reason: Bytes::from_static(reason(status).as_bytes()),
        headers,
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: now,
        timestamp_end: Some(now),
    }
}

/// A time of day as HTTP writes it (RFC 9110 section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
fn imf_fixdate(at: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = Duration::try_from_secs_f64(at.0).unwrap_or_default().as_secs();
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let weekday = DAYS.get(usize::try_from(days % 7).unwrap_or_default()).copied().unwrap_or_default();
    // Years that begin in March have their leap day at the end; 719,468 days lie between 1 March of year 0 and 1970.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    let month = MONTHS.get(usize::try_from(month).unwrap_or_default()).copied().unwrap_or_default();
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{weekday}, {day_of_month:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default()
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_http_wants_them() {
        for (seconds, date) in [
            (0.0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777.9, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399.0, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400.0, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_107_542_400.0, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (f64::NAN, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            assert_eq!(imf_fixdate(Timestamp(seconds)), date);
        }
    }

    #[test]
    fn hostile_text_stays_text() {
        let page = error_page(502, "<script>alert('x')</script> & \"more\"");
        let body = String::from_utf8(page.body.to_vec()).unwrap();
        assert!(
            body.contains("<p>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;more&quot;</p>"),
            "{body}"
        );
        assert_eq!(page.head.headers.get("content-length").unwrap(), body.len().to_string().as_bytes());
    }
}
