//! How a message delimits its body after addons had it: as it came, if the body crosses as it came, and otherwise as fits what is
//! sent. Whatever an addon wrote into the fields that say so is of no account.

use flowgate_flow::{Headers, HttpVersion};
use flowgate_wire::http1::Framing;

const FIELDS: [&str; 2] = ["content-length", "transfer-encoding"];

/// How a message delimited its body when it came.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) framing: Framing,
    pub(super) version: HttpVersion,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Which half of an exchange a message is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Half {
    Request,
    Response,
}

impl Received {
    pub(super) fn new(framing: Framing, version: &HttpVersion, headers: &Headers) -> Self {
        Self { framing, version: version.clone(), fields: fields_of(headers) }
    }

    /// A message of our own, which delimits nothing yet.
    pub(super) fn own(version: &HttpVersion) -> Self {
        Self { framing: Framing::None, version: version.clone(), fields: Vec::new() }
    }

    /// The body crosses as it comes.
    pub(super) fn as_received(&self, headers: &mut Headers) -> Framing {
        if fields_of(headers) != self.fields {
            remove_fields(headers);
            for (name, value) in &self.fields {
                headers.push(name, value);
            }
        }
        self.framing
    }

    /// The body is changed as it comes, so that its length is not known.
    pub(super) fn changing(&self, half: Half, headers: &mut Headers) -> Framing {
        match (self.framing, half, &self.version) {
            (Framing::None, ..) | (Framing::Chunked | Framing::UntilClose, _, _) => self.as_received(headers),
            (Framing::Length(_), Half::Request, version) if !version.is_http1() => {
                remove_fields(headers);
                Framing::Chunked
            }
            (Framing::Length(_), _, HttpVersion::Http11) => {
                remove_fields(headers);
                headers.push("Transfer-Encoding", "chunked");
                Framing::Chunked
            }
            // HTTP/1.0 knows no chunks, HTTP/2 needs none.
            (Framing::Length(_), ..) => {
                remove_fields(headers);
                Framing::UntilClose
            }
        }
    }

    /// The body is there, of so many bytes; `trailers` if some follow it. `bodiless` if the message has no body whatever its fields
    /// say (RFC 9110 section 6.4.1).
    pub(super) fn whole(&self, headers: &mut Headers, len: u64, trailers: bool, bodiless: bool) -> Framing {
        if bodiless {
            let _ = self.as_received(headers);
            return Framing::None;
        }
        let framing = match self.framing {
            Framing::None if len == 0 => Framing::None,
            Framing::None => Framing::Length(len),
            Framing::Length(_) => Framing::Length(len),
            open => open,
        };
        if trailers && self.version == HttpVersion::Http11 && framing != Framing::Chunked {
            // Only chunks have room for them (RFC 9112 section 7.1.2).
            remove_fields(headers);
            headers.push("Transfer-Encoding", "chunked");
            return Framing::Chunked;
        }
        let _ = self.as_received(headers);
        if framing != self.framing {
            headers.set("Content-Length", len.to_string());
        }
        framing
    }

    /// The same for a message of our own, of which nobody has said anything yet.
    pub(super) fn whole_own(
        &self,
        headers: &mut Headers,
        len: u64,
        trailers: bool,
        bodiless: bool,
    ) -> Framing {
        remove_fields(headers);
        let framing = self.whole(headers, len, trailers, bodiless);
        if framing == Framing::None && !bodiless {
            headers.set("Content-Length", "0");
        }
        framing
    }
}

fn remove_fields(headers: &mut Headers) {
    headers.retain(|field| !FIELDS.iter().any(|name| field.is(name)));
}

/// The fields that delimit a body, as they are written.
fn fields_of(headers: &Headers) -> Vec<(Vec<u8>, Vec<u8>)> {
    let ours = headers.iter().filter(|field| FIELDS.iter().any(|name| field.is(name)));
    ours.map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    enum Sent {
        AsReceived,
        Changing(Half),
        Whole(u64),
        WithTrailers(u64),
    }

    /// What the fields are when an addon wrote nonsense into them, and the framing.
    fn check(version: HttpVersion, framing: Framing, fields: &[(&str, &str)], sent: Sent, expected: &str) {
        let original: Headers = fields.iter().copied().collect();
        let received = Received::new(framing, &version, &original);
        let mut nonsense = original.clone();
        nonsense.set("Content-Length", "7");
        nonsense.push("Transfer-Encoding", "chunked");
        for mut headers in [original, nonsense] {
            let framing = match sent {
                Sent::AsReceived => received.as_received(&mut headers),
                Sent::Changing(half) => received.changing(half, &mut headers),
                Sent::Whole(len) => received.whole(&mut headers, len, false, false),
                Sent::WithTrailers(len) => received.whole(&mut headers, len, true, false),
            };
            let lines: Vec<_> =
                headers.iter().map(|f| String::from_utf8_lossy(f.line).into_owned()).collect();
            assert_eq!(format!("{framing:?}; {}", lines.join(", ")), expected);
        }
    }

    #[test]
    fn bodies_are_delimited_as_they_are_sent() {
        use Framing::{Chunked, Length, None, UntilClose};
        use Half::{Request, Response};
        use HttpVersion::{Http2, Http10, Http11};
        use Sent::{AsReceived, Changing, Whole, WithTrailers};
        let length = [("Content-Length", "4")];
        let chunked = [("Transfer-Encoding", "chunked")];
        check(Http11, Length(4), &length, AsReceived, "Length(4); Content-Length: 4");
        check(Http11, Chunked, &chunked, AsReceived, "Chunked; Transfer-Encoding: chunked");
        check(Http11, None, &[], AsReceived, "None; ");
        check(Http11, Length(4), &length, Changing(Request), "Chunked; Transfer-Encoding: chunked");
        check(Http11, Length(4), &length, Changing(Response), "Chunked; Transfer-Encoding: chunked");
        check(Http10, Length(4), &length, Changing(Response), "UntilClose; ");
        check(Http2, Length(4), &length, Changing(Request), "Chunked; ");
        check(Http2, Length(4), &length, Changing(Response), "UntilClose; ");
        check(Http11, UntilClose, &[], Changing(Response), "UntilClose; ");
        check(Http11, Length(4), &length, Whole(4), "Length(4); Content-Length: 4");
        check(Http11, Length(4), &length, Whole(5), "Length(5); Content-Length: 5");
        check(Http11, Length(4), &length, Whole(0), "Length(0); Content-Length: 0");
        check(Http11, None, &[], Whole(0), "None; ");
        check(Http11, None, &[], Whole(3), "Length(3); Content-Length: 3");
        check(Http2, None, &[], Whole(3), "Length(3); Content-Length: 3");
        check(Http11, Chunked, &chunked, Whole(3), "Chunked; Transfer-Encoding: chunked");
        check(Http2, Chunked, &[], Whole(3), "Chunked; ");
        check(Http11, Length(4), &length, WithTrailers(4), "Chunked; Transfer-Encoding: chunked");
        check(Http2, Length(4), &length, WithTrailers(4), "Length(4); Content-Length: 4");
    }

    #[test]
    fn what_has_no_body_keeps_its_fields() {
        // The answer to HEAD tells the length of what GET would give.
        let original: Headers = [("Content-Length", "4")].into_iter().collect();
        let received = Received::new(Framing::None, &HttpVersion::Http11, &original);
        let mut headers = original;
        assert_eq!(received.whole(&mut headers, 9, false, true), Framing::None);
        assert_eq!(headers.get("content-length"), Some(&b"4"[..]));
    }

    #[test]
    fn our_own_messages_say_how_long_they_are() {
        for (len, bodiless, framing, length) in [
            (0, false, Framing::None, Some(&b"0"[..])),
            (3, false, Framing::Length(3), Some(b"3")),
            (3, true, Framing::None, None),
        ] {
            let mut headers: Headers = [("content-length", "9"), ("a", "b")].into_iter().collect();
            let received = Received::own(&HttpVersion::Http11);
            assert_eq!(received.whole_own(&mut headers, len, false, bodiless), framing);
            assert_eq!(headers.get("content-length"), length);
        }
    }
}
