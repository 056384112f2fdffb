//! Which requests are the same to `server_replay`.

use aws_lc_rs::digest::{self, SHA256};
use bytes::Bytes;
use flowgate_flow::Request;
use flowgate_options::Values;
use percent_encoding::percent_decode;

/// A hash of what counts.
pub(super) type Key = [u8; 32];

/// What counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct KeyOptions {
    pub(super) ignore_content: bool,
    ignore_host: bool,
    ignore_port: bool,
    ignore_params: Vec<String>,
    ignore_payload_params: Vec<String>,
    use_headers: Vec<String>,
}

impl KeyOptions {
    pub(super) fn new(values: &Values) -> Self {
        Self {
            ignore_content: values.server_replay_ignore_content,
            ignore_host: values.server_replay_ignore_host,
            ignore_port: values.server_replay_ignore_port,
            ignore_params: values.server_replay_ignore_params.clone(),
            ignore_payload_params: values.server_replay_ignore_payload_params.clone(),
            use_headers: values.server_replay_use_headers.clone(),
        }
    }
}

/// What is hashed: each piece with its length, so that no two lists of pieces are the same bytes.
struct Hasher(digest::Context);

impl Hasher {
    fn piece(&mut self, bytes: &[u8]) {
        self.0.update(&bytes.len().to_le_bytes());
        self.0.update(bytes);
    }
}

/// The key of a request; `None` if its body counts and is not there. Reads a body that lies in a file.
pub(super) fn key(request: &Request, options: &KeyOptions) -> Option<Key> {
    let mut hasher = Hasher(digest::Context::new(&SHA256));
    hasher.piece(&request.scheme);
    hasher.piece(&request.method);
    let path = request.path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    hasher.piece(path);
    if !options.ignore_content {
        let body = request.body.prefix(usize::MAX).ok()??;
        match form(request, &body).filter(|_| !options.ignore_payload_params.is_empty()) {
            Some(fields) => {
                for (name, value) in fields {
                    if !is_among(&options.ignore_payload_params, &name) {
                        hasher.piece(&name);
                        hasher.piece(&value);
                    }
                }
            }
            None => hasher.piece(&body),
        }
    }
    // Marks where one part ends: none of them has a piece of this length.
    hasher.0.update(&u64::MAX.to_le_bytes());
    if !options.ignore_host {
        hasher.piece(&request.pretty_host().to_ascii_lowercase());
    }
    if !options.ignore_port {
        hasher.piece(&request.port.to_le_bytes());
    }
    hasher.0.update(&u64::MAX.to_le_bytes());
    for (name, value) in url_encoded(request.query().unwrap_or_default()) {
        if !is_among(&options.ignore_params, &name) {
            hasher.piece(&name);
            hasher.piece(&value);
        }
    }
    for name in &options.use_headers {
        let values: Vec<_> = request.headers.get_all(name).collect();
        // None at all is something else than an empty one.
        hasher.piece(&[u8::from(!values.is_empty())]);
        hasher.piece(&values.join(&b", "[..]));
    }
    hasher.0.finish().as_ref().try_into().ok()
}

fn is_among(names: &[String], name: &[u8]) -> bool {
    names.iter().any(|known| known.as_bytes() == name)
}

/// The fields of a form; `None` if the body is none.
fn form(request: &Request, body: &Bytes) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let content_type = String::from_utf8_lossy(request.headers.get("content-type")?).into_owned();
    let lower = content_type.to_ascii_lowercase();
    if lower.contains("application/x-www-form-urlencoded") {
        return Some(url_encoded(body)).filter(|fields| !fields.is_empty());
    }
    if !lower.starts_with("multipart/form-data") {
        return None;
    }
    let at = lower.find("boundary=")? + "boundary=".len();
    let boundary = content_type.get(at..)?.split(';').next()?.trim().trim_matches('"');
    let delimiter = format!("--{boundary}");
    let fields: Vec<_> = split(body, delimiter.as_bytes()).filter_map(multipart_field).collect();
    Some(fields).filter(|fields| !fields.is_empty())
}

/// The pieces between delimiters.
fn split<'b>(bytes: &'b [u8], delimiter: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
    let mut rest = Some(bytes).filter(|_| !delimiter.is_empty());
    std::iter::from_fn(move || {
        let bytes = rest?;
        let at = bytes.windows(delimiter.len()).position(|window| window == delimiter);
        let (piece, behind) = bytes.split_at(at.unwrap_or(bytes.len()));
        rest = at.and_then(|_| behind.get(delimiter.len()..));
        Some(piece)
    })
}

/// Name and content of a part.
fn multipart_field(part: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let end = part.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, content) = (part.get(..end)?, part.get(end + 4..)?);
    let head = String::from_utf8_lossy(head).into_owned();
    let disposition =
        head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    let (_, name) = disposition.split_once(" name=\"").or_else(|| disposition.split_once(";name=\""))?;
    let name = name.split('"').next()?.as_bytes().to_vec();
    Some((name, content.strip_suffix(b"\r\n").unwrap_or(content).to_vec()))
}

/// Names and values of a query, decoded.
fn url_encoded(query: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    let both = pairs.map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(at);
        (decoded(name), decoded(value.get(1..).unwrap_or_default()))
    });
    both.collect()
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use flowgate_flow::Body;
    use flowgate_options::{Options, Source};

    fn options(set: &[(&str, &str)]) -> KeyOptions {
        let mut options = Options::default();
        for (name, value) in set {
            options.set(Source::Set, &format!("server_replay_{name}"), &[value]).unwrap();
        }
        KeyOptions::new(options.values())
    }

    fn of(line: &str, headers: &[(&str, &str)], body: &str, options: &KeyOptions) -> Key {
        let mut request = testing::request(&testing::flow(line, headers)).clone();
        request.body = Body::Bytes(Bytes::copy_from_slice(body.as_bytes()));
        key(&request, options).unwrap()
    }

    #[test]
    fn what_counts() {
        let none: &[(&str, &str)] = &[];
        for (set, one, other, same) in [
            (none, "GET http://a/x?p=1", "GET http://a/x?p=1", true),
            (none, "GET http://a/x?p=1", "GET http://a/x?p=2", false),
            (none, "GET http://a/x?p=a%20b", "GET http://a/x?p=a+b", true),
            (none, "GET http://a/x?p&q=", "GET http://a/x?p=&q", true),
            (none, "GET http://a/x", "POST http://a/x", false),
            (none, "GET http://a/x", "GET https://a:80/x", false),
            (none, "GET http://a/x", "GET http://A/x", true),
            (none, "GET http://a/x", "GET http://b/x", false),
            (&[("ignore_host", "true")], "GET http://a/x", "GET http://b/x", true),
            (none, "GET http://a/x", "GET http://a:81/x", false),
            (&[("ignore_port", "true")], "GET http://a/x", "GET http://a:81/x", true),
            (&[("ignore_params", "p")], "GET http://a/x?p=1&q=2", "GET http://a/x?q=2&p=3", true),
            (&[("ignore_params", "p")], "GET http://a/x?p=1&q=2", "GET http://a/x?q=3", false),
            (none, "GET http://a/x?ab=c", "GET http://a/x?a=bc", false),
        ] {
            let options = options(set);
            assert_eq!(
                of(one, &[], "", &options) == of(other, &[], "", &options),
                same,
                "{set:?} {one} {other}"
            );
        }
    }

    #[test]
    fn bodies_forms_and_headers() {
        let line = "POST http://a/x";
        let url = [("Content-Type", "application/x-www-form-urlencoded")];
        let multipart = [("Content-Type", "multipart/form-data; boundary=XX")];
        let part = |name: &str, value: &str| {
            format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let parts = |one: &str, two: &str| part("p", one) + &part("q", two) + "--XX--\r\n";
        let plain = options(&[]);
        let ignoring = options(&[("ignore_payload_params", "p")]);
        let content = options(&[("ignore_content", "true")]);
        assert_ne!(of(line, &url, "p=1&q=2", &plain), of(line, &url, "p=3&q=2", &plain));
        assert_eq!(of(line, &url, "p=1&q=2", &ignoring), of(line, &url, "p=3&q=2", &ignoring));
        assert_ne!(of(line, &url, "p=1&q=2", &ignoring), of(line, &url, "p=1&q=3", &ignoring));
        assert_eq!(
            of(line, &multipart, &parts("1", "2"), &ignoring),
            of(line, &multipart, &parts("3", "2"), &ignoring)
        );
        assert_ne!(
            of(line, &multipart, &parts("1", "2"), &ignoring),
            of(line, &multipart, &parts("1", "3"), &ignoring)
        );
        assert_ne!(of(line, &[], "p=1", &ignoring), of(line, &[], "p=2", &ignoring));
        assert_eq!(of(line, &[], "1", &content), of(line, &[], "2", &content));
        let headers = options(&[("use_headers", "X-User")]);
        assert_ne!(of(line, &[("x-user", "1")], "", &headers), of(line, &[("x-user", "2")], "", &headers));
        assert_ne!(of(line, &[("x-user", "")], "", &headers), of(line, &[], "", &headers));
        assert_eq!(of(line, &[("x-user", "1")], "", &plain), of(line, &[("x-user", "2")], "", &plain));
    }

    #[test]
    fn a_body_that_was_not_kept_has_no_key() {
        let mut request = testing::request(&testing::flow("POST http://a/", &[])).clone();
        request.body = Body::Missing;
        assert_eq!(key(&request, &options(&[])), None);
        assert!(key(&request, &options(&[("ignore_content", "true")])).is_some());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(body in "(--XX|\r\n|name=\"|[a-z;=&%+]|Content-Disposition: ){0,20}", at in 0usize..2) {
            let kinds = ["application/x-www-form-urlencoded", "multipart/form-data; boundary=XX"];
            of("POST http://a/", &[("Content-Type", kinds[at])], &body, &options(&[("ignore_payload_params", "p")]));
        }
    }
}
