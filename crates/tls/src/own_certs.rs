//! Certificates that the user has for domains (mitmproxy: `certs`), and which of them a client gets.
//!
//! A certificate counts for the domain it was given for, and for the names in it. A domain `*.shop.test` means all names below; in a
//! certificate it means one label, as clients read it. Differs from mitmproxy: what counts is whom the client asks for, and not first
//! the names in the server's certificate, because it is the client who compares.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use crate::identity::Identity;
use crate::names::San;
use crate::option_error::{TlsOptionError, TlsOptionFault};
use crate::{LeafSpec, UpstreamNames};

const OPTION: &str = "certs";

/// An entry of `certs`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertSpec {
    /// For whom; `None` for everybody.
    domain: Option<San>,
    /// As it was written; `~` is not expanded.
    path: String,
}

impl CertSpec {
    /// Reads `[domain=]path`. `entry` is its place in the list, for the error.
    ///
    /// # Errors
    /// If the domain is none, or the path is missing.
    pub fn parse(text: &str, entry: usize) -> Result<Self, TlsOptionError> {
        let (domain, path) = match text.split_once('=') {
            None => (None, text),
            Some(("*", path)) => (None, path),
            Some((domain, path)) => (Some(domain), path),
        };
        let wrong = |fault, column| TlsOptionError {
            entry: Some(entry),
            column: Some(column),
            ..TlsOptionError::of(OPTION, fault)
        };
        if path.is_empty() {
            return Err(wrong(TlsOptionFault::NoPath, text.chars().count() + 1));
        }
        let domain = domain.map(|domain| {
            San::of_certificate(domain)
                .ok_or_else(|| wrong(TlsOptionFault::Domain { domain: domain.to_owned() }, 1))
        });
        Ok(Self { domain: domain.transpose()?, path: path.to_owned() })
    }

    /// The file, as it was written.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// Certificates by the names they are for.
#[derive(Clone, Debug, Default)]
pub struct OwnCerts {
    names: HashMap<San, Named>,
    any: Option<usize>,
    identities: Vec<Arc<Identity>>,
    notes: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Named {
    /// Which identity.
    index: usize,
    /// A wildcard that means names of any depth.
    deep: bool,
}

impl OwnCerts {
    /// Reads the files. A path belongs to the entry at the same place.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn read(specs: &[(CertSpec, PathBuf)], passphrase: Option<&str>) -> Result<Self, TlsOptionError> {
        let mut all = Self::default();
        for (index, (spec, path)) in specs.iter().enumerate() {
            let identity = Identity::read(path, passphrase).map_err(|error| TlsOptionError {
                entry: Some(index),
                ..TlsOptionError::of(OPTION, error)
            })?;
            if identity.is_ca {
                all.notes.push(format!(
                    "certs[{index}]: {} is a certificate authority's, which clients refuse as a server's",
                    path.display()
                ));
            }
            let names = identity.certificate().map(|der| UpstreamNames::from_der(der)).unwrap_or_default();
            for name in names.sans() {
                all.names.insert(name.clone(), Named { index, deep: false });
            }
            match &spec.domain {
                Some(domain) => drop(all.names.insert(domain.clone(), Named { index, deep: true })),
                None => all.any = Some(index),
            }
            all.identities.push(Arc::new(identity));
        }
        Ok(all)
    }

    /// What is worth knowing of them, a line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    pub(crate) fn identities(&self) -> &[Arc<Identity>] {
        &self.identities
    }

    /// Which of the identities is for this client, if one is.
    pub(crate) fn find(&self, spec: &LeafSpec<'_>) -> Option<usize> {
        let asked = spec.server_name.and_then(San::of_host);
        let found = match asked {
            Some(name) => self.named(&name),
            None => {
                let address = spec.address.and_then(San::of_host).and_then(|address| self.named(&address));
                let upstream = spec.upstream.map(UpstreamNames::sans).unwrap_or_default();
                address.or_else(|| upstream.iter().find_map(|name| self.named(name)))
            }
        };
        found.or(self.any)
    }

    fn named(&self, name: &San) -> Option<usize> {
        if let Some(named) = self.names.get(name) {
            return Some(named.index);
        }
        let San::Dns(name) = name else { return None };
        let mut rest = name.strip_prefix("*.").unwrap_or(name);
        let mut depth = 0;
        while let Some((_, parent)) = rest.split_once('.') {
            depth += 1;
            let wildcard = San::Dns(format!("*.{parent}").into());
            if let Some(named) = self.names.get(&wildcard).filter(|named| named.deep || depth == 1) {
                return Some(named.index);
            }
            rest = parent;
        }
        None
    }
}

/// The chain that a client gets of an identity, with what is added behind.
pub(crate) fn extended(
    chain: &[CertificateDer<'static>],
    more: &[impl AsRef<[u8]>],
) -> Vec<CertificateDer<'static>> {
    let more = more.iter().map(|der| CertificateDer::from(der.as_ref().to_vec()));
    chain.iter().cloned().chain(more).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        let shown = |text: &str| match CertSpec::parse(text, 2) {
            Ok(spec) => {
                format!(
                    "{} {}",
                    spec.domain.map_or_else(|| "*".to_owned(), |domain| domain.to_string()),
                    spec.path
                )
            }
            Err(error) => error.to_string(),
        };
        for (text, expected) in [
            ("/a/b.pem", "* /a/b.pem"),
            ("*=b.pem", "* b.pem"),
            ("Shop.Test=b.pem", "shop.test b.pem"),
            ("*.shop.test=b=c.pem", "*.shop.test b=c.pem"),
            ("10.0.0.1=~/b.pem", "10.0.0.1 ~/b.pem"),
            ("shop.test=", "certs[2] at column 11: the path is missing"),
            ("", "certs[2] at column 1: the path is missing"),
            ("a b=c", "certs[2] at column 1: `a b` is no host name, address or `*.` and a host name"),
            ("=c", "certs[2] at column 1: `` is no host name, address or `*.` and a host name"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn the_name_that_is_asked_for_chooses() {
        let named = |text: &str, index, deep| (San::of_certificate(text).unwrap(), Named { index, deep });
        let own = OwnCerts {
            names: [
                named("shop.test", 0, true),
                named("*.shop.test", 1, false),
                named("*.deep.test", 2, true),
                named("10.0.0.1", 3, true),
                named("www.deep.test", 4, false),
            ]
            .into(),
            ..OwnCerts::default()
        };
        let upstream = UpstreamNames::for_test(&["cn.test", "*.shop.test", "shop.test"], None);
        let of = |server_name, address, upstream| own.find(&LeafSpec { server_name, address, upstream });
        for (name, address, names, expected) in [
            (Some("shop.test"), "x.test", None, Some(0)),
            (Some("SHOP.test."), "x.test", None, Some(0)),
            (Some("a.shop.test"), "x.test", None, Some(1)),
            (Some("b.a.shop.test"), "x.test", None, None),
            (Some("a.deep.test"), "x.test", None, Some(2)),
            (Some("b.a.deep.test"), "x.test", None, Some(2)),
            (Some("www.deep.test"), "x.test", None, Some(4)),
            (Some("deep.test"), "x.test", None, None),
            // Whom the client asks for is whom it will look for.
            (Some("x.test"), "shop.test", Some(&upstream), None),
            (None, "10.0.0.1", None, Some(3)),
            (None, "10.0.0.2", Some(&upstream), Some(1)),
            (None, "10.0.0.2", None, None),
        ] {
            assert_eq!(of(name, Some(address), names), expected, "{name:?} {address}");
        }
        let any = OwnCerts { any: Some(7), ..own };
        let spec = LeafSpec { server_name: Some("x.test"), ..LeafSpec::default() };
        assert_eq!(any.find(&spec), Some(7));
    }
}
