//! The page itself. Its text is `page.html`; what is different from one flowgate to another is put in here.

use std::net::{IpAddr, SocketAddr};

use super::{CaFiles, qr};

const PAGE: &str = include_str!("page.html");

/// Where the page is found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    host: String,
    /// Our port as another device reaches it, if a client that came by an address others can reach shows it.
    direct: Option<SocketAddr>,
}

impl Place {
    /// `own` is the address of ours that the client is connected to.
    pub(super) fn of(host: &str, own: Option<SocketAddr>) -> Self {
        let is_reachable = |at: &SocketAddr| !at.ip().is_loopback() && !at.ip().is_unspecified();
        Self { host: host.to_owned(), direct: own.filter(is_reachable) }
    }

    /// What a device opens to come here. Our own port needs no setting of the device.
    fn url(&self) -> String {
        match self.direct {
            Some(at) => format!("http://{at}/"),
            None => format!("http://{}/", bracketed(&self.host)),
        }
    }
}

/// A host as it stands in a URL.
fn bracketed(host: &str) -> String {
    match host.parse() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
        _ => host.to_owned(),
    }
}

pub(super) fn html(files: &CaFiles, place: &Place) -> String {
    let url = place.url();
    let sha256: Vec<_> = files.sha256.iter().map(|byte| format!("{byte:02X}")).collect();
    let name = escaped(&files.name);
    PAGE.replace("{QR}", &qr::svg(&url).unwrap_or_default())
        .replace("{URL}", &escaped(&url))
        .replace("{HOST}", &escaped(&place.host))
        .replace("{NAME}", &name)
        .replace("{SHA256}", &sha256.join(":"))
}

/// Text as it stands in HTML.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_others_reach() {
        for (own, expected) in [
            (None, "http://mitm.it/"),
            (Some("127.0.0.1:8080"), "http://mitm.it/"),
            (Some("[::1]:8080"), "http://mitm.it/"),
            (Some("192.168.1.7:8080"), "http://192.168.1.7:8080/"),
            (Some("[fd00::1]:8080"), "http://[fd00::1]:8080/"),
        ] {
            assert_eq!(Place::of("mitm.it", own.map(|own| own.parse().unwrap())).url(), expected);
        }
        assert_eq!(Place::of("::1", None).url(), "http://[::1]/");
    }

    #[test]
    fn everything_is_filled_in_and_nothing_is_markup() {
        let files = CaFiles { name: "a<b".into(), pem: String::new(), p12: Vec::new(), sha256: [0x0f; 32] };
        let html = html(&files, &Place::of("<x>\"&'", None));
        for placeholder in ["{QR}", "{URL}", "{HOST}", "{NAME}", "{SHA256}"] {
            assert!(PAGE.contains(placeholder) && !html.contains(placeholder), "{placeholder}");
        }
        assert!(html.contains("a&lt;b.pem") && html.contains("&lt;x&gt;&quot;&amp;&#39;"));
        assert!(html.contains("0F:0F:") && html.contains("<svg"));
    }

    /// The page must show in a network that has no way out.
    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for reference in ["src=", "<link", "<script", "url(", "@import", "https://"] {
            assert!(!PAGE.contains(reference), "{reference}");
        }
    }
}
