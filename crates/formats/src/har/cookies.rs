//! Cookies, queries and forms as lists of names and values. Only for reading: nothing is made of them again.

use percent_encoding::percent_decode;

/// The pairs of a query or a form, percent-decoded, `+` as a space.
pub(super) fn form(text: &[u8]) -> impl Iterator<Item = (String, String)> {
    text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = split(pair, b'=');
        (unescaped(name), unescaped(value))
    })
}

/// The pairs of a Cookie field.
pub(super) fn sent(value: &[u8]) -> impl Iterator<Item = (String, String)> {
    value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = split(pair, b'=');
        (lossy(name), lossy(value))
    })
}

/// A Set-Cookie field.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct SetCookie {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) path: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) same_site: Option<String>,
    pub(super) http_only: bool,
    pub(super) secure: bool,
}

impl SetCookie {
    pub(super) fn parse(field: &[u8]) -> Self {
        let mut pairs = sent(field);
        let (name, value) = pairs.next().unwrap_or_default();
        let mut cookie = Self { name, value, ..Self::default() };
        for (name, value) in pairs {
            match name.to_ascii_lowercase().as_str() {
                "path" => cookie.path = Some(value),
                "domain" => cookie.domain = Some(value),
                "samesite" => cookie.same_site = Some(value),
                "httponly" => cookie.http_only = true,
                "secure" => cookie.secure = true,
                _ => {}
            }
        }
        cookie
    }
}

fn split(pair: &[u8], at: u8) -> (&[u8], &[u8]) {
    let mut parts = pair.splitn(2, |byte| *byte == at);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn unescaped(text: &[u8]) -> String {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs() {
        let pairs = |pairs: &[(&str, &str)]| -> Vec<_> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(
            form(b"a=b+c&d=%C3%A9%4&e&&=f").collect::<Vec<_>>(),
            pairs(&[("a", "b c"), ("d", "é%4"), ("e", ""), ("", "f")])
        );
        assert_eq!(
            sent(b"a=1; b=x=y;; c").collect::<Vec<_>>(),
            pairs(&[("a", "1"), ("b", "x=y"), ("c", "")])
        );
        let cookie =
            SetCookie::parse(b"id=7; Path=/x; Secure; HttpOnly; SameSite=Lax; domain=h; Expires=never");
        assert_eq!((&*cookie.name, &*cookie.value), ("id", "7"));
        assert_eq!((cookie.path.as_deref(), cookie.domain.as_deref()), (Some("/x"), Some("h")));
        assert_eq!((cookie.same_site.as_deref(), cookie.secure, cookie.http_only), (Some("Lax"), true, true));
        assert_eq!(SetCookie::parse(b""), SetCookie::default());
    }
}
