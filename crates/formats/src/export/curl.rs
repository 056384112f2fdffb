//! A command of curl.

use std::net::IpAddr;

use flowgate_filter::BodyDecoder;
use flowgate_flow::{Flow, HostFrom, HttpFlow, Request};

use super::limits::ARGUMENT_BYTES_MAX;
use super::shell::{printf, word};
use super::{ExportError, ExportOptions, message};

const CURL: &str = "curl";

pub(super) fn command(
    flow: &Flow,
    http: &HttpFlow,
    options: ExportOptions,
    decoder: &dyn BodyDecoder,
) -> Result<String, ExportError> {
    let request = &http.request;
    let (headers, body) = message::decoded("request", &request.headers, &request.body, decoder)?;
    let url = url(CURL, request)?;
    if !is_token(&request.method)
        || request.method.starts_with(b"-")
        || request.method.eq_ignore_ascii_case(b"CONNECT")
    {
        return Err(ExportError::inexpressible(CURL, "method", &request.method));
    }

    let mut command = String::from(CURL);
    let mut add = |words: &[&[u8]]| {
        for part in words {
            command.push(' ');
            command.push_str(&word(part));
        }
    };
    // Brackets and braces are patterns to curl, and dots are taken out of paths.
    if url.iter().any(|byte| b"[]{}".contains(byte)) {
        add(&[b"--globoff"]);
    }
    if url.windows(2).any(|part| part == b"/.") {
        add(&[b"--path-as-is"]);
    }
    if options.preserve_original_ip
        && let Some(ip) = flow.server.connection.peername.map(|address| address.ip())
        && let Some(host) = request.url_host().filter(|host| host.host != ip.to_string())
    {
        let ip = if matches!(ip, IpAddr::V6(_)) { format!("[{ip}]") } else { ip.to_string() };
        add(&[b"--resolve", format!("{host}:{ip}").as_bytes()]);
    }
    for field in headers.iter().filter(|field| !is_redundant(field.name, field.value, request)) {
        if !is_token(field.name) || field.name.starts_with(b"@") || !is_value(field.value) {
            return Err(ExportError::inexpressible(
                CURL,
                "header field",
                &[field.name, b": ", field.value].concat(),
            ));
        }
        // Without a value the colon would take the field away.
        let line = if field.value.is_empty() {
            [field.name, b";"].concat()
        } else {
            [field.name, b": ", field.value].concat()
        };
        add(&[b"-H", &line]);
        if field.is("accept-encoding") {
            add(&[b"--compressed"]);
        }
    }
    if !body.is_empty() && !headers.contains("content-type") {
        add(&[b"-H", b"Content-Type:"]);
    }
    let is_head = &*request.method == b"HEAD";
    if is_head {
        add(&[b"--head"]);
    } else if &*request.method != b"GET" || !body.is_empty() {
        if body.is_empty() && headers.contains("content-length") {
            add(&[b"-H", b"content-length: 0"]);
        }
        add(&[b"-X", &request.method]);
    }
    add(&[&url]);
    if body.is_empty() {
        return Ok(command);
    }
    // Not `-d`: it takes `@` for the beginning of a file's name.
    if body.len() <= ARGUMENT_BYTES_MAX && fits_in_a_word(&body) {
        add(&[b"--data-raw", &body]);
        return Ok(command);
    }
    Ok(format!("{} | {command} --data-binary @-", printf(&body)))
}

/// The URL, if it is one of HTTP; what cannot stand in one is percent-encoded. Its host is one that every program reads alike.
pub(super) fn url(command: &'static str, request: &Request) -> Result<Vec<u8>, ExportError> {
    let origin = origin(request)
        .ok_or_else(|| ExportError::inexpressible(command, "URL", &request.url(HostFrom::Header)))?;
    let mut url = origin.into_bytes();
    // Without a slash it would be more of the host.
    if !matches!(request.path.first(), Some(b'/' | b'*') | None) {
        url.push(b'/');
    }
    let path = if &*request.path == b"*" { b"" } else { &*request.path };
    for byte in path {
        if (0x21..=0x7e).contains(byte) && !matches!(byte, b'#') {
            url.push(*byte);
        } else {
            url.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    Ok(url)
}

/// The beginning of the URL of a request that is one of HTTP and no CONNECT.
fn origin(request: &Request) -> Option<String> {
    let scheme = match &*request.scheme {
        b"http" => "http",
        b"https" => "https",
        _ => return None,
    };
    request.url_host().filter(|_| !request.is_connect()).map(|host| host.origin(scheme))
}

/// What the program says by itself.
pub(super) fn is_redundant(name: &[u8], value: &[u8], request: &Request) -> bool {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    is(b"content-length") || is(b"transfer-encoding") || is(b"host") && says_the_url_too(value, request)
}

fn says_the_url_too(host: &[u8], request: &Request) -> bool {
    let origin = origin(request);
    origin.and_then(|origin| Some(origin.split_once("://")?.1.as_bytes() == host)).unwrap_or_default()
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// No field has these, and no word of a command line.
pub(super) fn is_value(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n'))
}

/// Text without control characters; the others are easier read when they come by a pipe.
pub(super) fn fits_in_a_word(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| !text.chars().any(char::is_control))
}
