//! `onboarding`: the page that hands out the CA's certificate and says how each system is told to trust it.
//!
//! It stands at a host that exists only here (`onboarding_host`), and on our own port for whoever asks that as a web server's. What is
//! handed out are certificates; the CA's key is nowhere near.

mod page;
mod qr;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flowgate_flow::{Body, Headers};
use flowgate_proxy::{Addon, HookFuture, LiveFlow};

/// The CA's certificate as clients install it.
#[derive(Clone, Debug)]
pub struct CaFiles {
    /// What the files are called, without an ending: `flowgate-ca-cert`.
    pub name: String,
    /// The certificate as PEM text.
    pub pem: String,
    /// The certificate as PKCS#12, without a key.
    pub p12: Vec<u8>,
    /// The certificate's SHA-256.
    pub sha256: [u8; 32],
}

/// The addon.
#[derive(Debug)]
pub(crate) struct Onboarding {
    host: String,
    /// Set before anybody can ask.
    files: Arc<OnceLock<CaFiles>>,
}

/// What a path stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Resource {
    Page,
    Pem,
    P12,
    Cer,
}

impl Resource {
    fn at(path: &[u8]) -> Option<Self> {
        let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
        Some(match path {
            b"/" | b"" => Self::Page,
            b"/cert/pem" => Self::Pem,
            b"/cert/p12" => Self::P12,
            b"/cert/cer" => Self::Cer,
            _ => return None,
        })
    }
}

impl Onboarding {
    pub(crate) fn new(host: &str, files: Arc<OnceLock<CaFiles>>) -> Self {
        Self { host: host.to_owned(), files }
    }

    fn answer(&self, flow: &mut LiveFlow) {
        let method = flow.request().method.clone();
        let found = Resource::at(&flow.request().path).zip(self.files.get());
        let (status, mut headers, body) = match (method.as_ref(), found) {
            (b"GET" | b"HEAD", Some((resource, files))) => {
                let own = flow.client().connection.sockname;
                let (headers, body) = give(resource, files, &page::Place::of(&self.host, own));
                (200, headers, body)
            }
            (b"GET" | b"HEAD", None) => {
                (404, plain(), Bytes::from_static(b"There is nothing at this address.\n"))
            }
            _ => {
                let mut headers = plain();
                headers.push("Allow", "GET, HEAD");
                (405, headers, Bytes::from_static(b"Only GET and HEAD are answered here.\n"))
            }
        };
        headers.push("Content-Length", body.len().to_string());
        headers.push("Cache-Control", "no-store");
        headers.push("X-Content-Type-Options", "nosniff");
        headers.push("Server", crate::SERVER);
        crate::answer(flow, LiveFlow::response_of(status, headers, Body::Bytes(body)));
    }
}

/// A resource's fields and body.
fn give(resource: Resource, files: &CaFiles, place: &page::Place) -> (Headers, Bytes) {
    let file = |media_type: &str, ending: &str, body: Bytes| {
        let disposition = format!("attachment; filename={}.{ending}", files.name);
        let fields = [("Content-Type", media_type), ("Content-Disposition", &*disposition)];
        (fields.into_iter().collect(), body)
    };
    match resource {
        Resource::Pem => file("application/x-x509-ca-cert", "pem", files.pem.clone().into()),
        Resource::Cer => file("application/x-x509-ca-cert", "cer", files.pem.clone().into()),
        Resource::P12 => file("application/x-pkcs12", "p12", files.p12.clone().into()),
        Resource::Page => {
            let fields = [
                ("Content-Type", "text/html; charset=utf-8"),
                // Nothing is loaded from anywhere.
                ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
            ];
            (fields.into_iter().collect(), page::html(files, place).into())
        }
    }
}

fn plain() -> Headers {
    [("Content-Type", "text/plain; charset=utf-8")].into_iter().collect()
}

impl Addon for Onboarding {
    fn name(&self) -> &str {
        "onboarding"
    }

    fn own_host(&self) -> Option<&str> {
        Some(&self.host)
    }

    fn requestheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        if flow.is_for(&self.host) {
            self.answer(flow);
        }
        HookFuture::DONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> CaFiles {
        CaFiles { name: "x-ca-cert".into(), pem: "PEM".into(), p12: vec![1, 2], sha256: [0xab; 32] }
    }

    #[test]
    fn paths() {
        for (path, expected) in [
            ("/", Some(Resource::Page)),
            ("/?from=phone", Some(Resource::Page)),
            ("/cert/pem", Some(Resource::Pem)),
            ("/cert/p12?", Some(Resource::P12)),
            ("/cert/cer", Some(Resource::Cer)),
            ("/cert/", None),
            ("/cert/key", None),
            ("/cert/../flowgate-ca.pem", None),
            ("*", None),
        ] {
            assert_eq!(Resource::at(path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn files_have_types_and_names_as_mitmproxys() {
        let place = page::Place::of("mitm.it", None);
        let shown = |resource| {
            let (headers, body) = give(resource, &files(), &place);
            let value = |name| String::from_utf8_lossy(headers.get(name).unwrap()).into_owned();
            (value("content-type"), value("content-disposition"), body.len())
        };
        let pem = "application/x-x509-ca-cert".to_owned();
        assert_eq!(shown(Resource::Pem), (pem.clone(), "attachment; filename=x-ca-cert.pem".into(), 3));
        assert_eq!(shown(Resource::Cer), (pem, "attachment; filename=x-ca-cert.cer".into(), 3));
        let p12 = "application/x-pkcs12".to_owned();
        assert_eq!(shown(Resource::P12), (p12, "attachment; filename=x-ca-cert.p12".into(), 2));
    }
}
