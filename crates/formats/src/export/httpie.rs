//! A command of HTTPie.

use flowgate_filter::BodyDecoder;
use flowgate_flow::HttpFlow;

use super::curl::{fits_in_a_word, is_redundant, is_token, is_value, url};
use super::limits::ARGUMENT_BYTES_MAX;
use super::shell::{printf, word};
use super::{ExportError, message};

const HTTPIE: &str = "HTTPie";

/// Differs from mitmproxy: the body comes by a pipe, since `<<<` adds a line's end to it.
pub(super) fn command(http: &HttpFlow, decoder: &dyn BodyDecoder) -> Result<String, ExportError> {
    let request = &http.request;
    let (headers, body) = message::decoded("request", &request.headers, &request.body, decoder)?;
    // Anything else it takes for a URL, or for an option.
    if request.method.is_empty() || !request.method.iter().all(u8::is_ascii_alphabetic) {
        return Err(ExportError::inexpressible(HTTPIE, "method", &request.method));
    }
    let mut command = String::from("http");
    let mut add = |part: &[u8]| {
        command.push(' ');
        command.push_str(&word(part));
    };
    add(&request.method);
    let url = url(HTTPIE, request)?;
    if !is_escaped_well(&url) {
        return Err(ExportError::inexpressible(HTTPIE, "URL", &url));
    }
    add(&url);
    for field in headers.iter().filter(|field| !is_redundant(field.name, field.value, request)) {
        if !is_token(field.name)
            || field.name.starts_with(b"-")
            || !is_value(field.value)
            || is_unescaped(field.value)
            || std::str::from_utf8(field.value).is_err()
        {
            return Err(ExportError::inexpressible(
                HTTPIE,
                "header field",
                &[field.name, b": ", field.value].concat(),
            ));
        }
        if field.value.is_empty() {
            add(&[field.name, b";"].concat());
        } else {
            // The blank keeps `=` and `@` from becoming a part of the separator.
            add(&[field.name, b": ", field.value].concat());
        }
    }
    if body.is_empty() {
        return Ok(command);
    }
    if !headers.contains("content-type") {
        add(b"Content-Type:");
    }
    if body.len() <= ARGUMENT_BYTES_MAX && fits_in_a_word(&body) {
        return Ok(format!("printf %s {} | {command}", word(&body)));
    }
    Ok(format!("{} | {command}", printf(&body)))
}

/// Whether every `%` has its two digits; HTTPie escapes what has not, and with it what has.
fn is_escaped_well(url: &[u8]) -> bool {
    url.split(|byte| *byte == b'%')
        .skip(1)
        .all(|part| part.get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

/// Whether HTTPie would take away a backslash.
fn is_unescaped(value: &[u8]) -> bool {
    value.windows(2).any(|pair| matches!(pair, [b'\\', b':' | b'=' | b'@' | b';'])) || value.ends_with(b"\\")
}
