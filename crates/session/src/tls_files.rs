//! The files that TLS is made of: certificates for clients, ours for servers, and whom we trust. When one is replaced, as those who
//! renew certificates do, it counts without any option having changed.
//!
//! Not those in a folder of `client_certs`, which are looked at when their host is met.

use std::path::{Path, PathBuf};

use flowgate_net::Stamp;
use flowgate_options::Values;
use flowgate_tls::CertSpec;

use crate::session::{SessionError, path};
use crate::settling::Settling;

/// The files, and how they looked before they were read.
#[derive(Debug, Default)]
pub(crate) struct TlsFiles {
    looks: Vec<(PathBuf, Option<Stamp>)>,
    settling: Settling,
}

impl TlsFiles {
    /// Those that the options name, as they look now.
    pub(crate) fn of(values: &Values, home: Option<&Path>) -> Result<Self, SessionError> {
        let mut paths = Vec::new();
        for (index, text) in values.certs.iter().enumerate() {
            paths.push(path("certs", CertSpec::parse(text, index)?.path(), home)?);
        }
        for (option, text) in [
            ("client_certs", &values.client_certs),
            ("ssl_verify_upstream_trusted_ca", &values.ssl_verify_upstream_trusted_ca),
            ("ssl_verify_upstream_trusted_confdir", &values.ssl_verify_upstream_trusted_confdir),
        ] {
            paths.extend(text.as_deref().map(|text| path(option, text, home)).transpose()?);
        }
        let looks = paths.into_iter().map(|path| (Stamp::of(&path), path)).map(|(stamp, path)| (path, stamp));
        Ok(Self { looks: looks.collect(), settling: Settling::default() })
    }

    /// Whether files are others than those that were read, and complete: those. Told once.
    pub(crate) fn changed(&mut self) -> Option<String> {
        let now: Vec<_> = self.looks.iter().map(|(path, _)| Stamp::of(path)).collect();
        let differs = self.looks.iter().zip(&now).filter(|((_, read), now)| read != *now);
        let differs: Vec<_> = differs.map(|((path, _), _)| path.display().to_string()).collect();
        if differs.is_empty() || !self.settling.is_settled(now.clone()) {
            return None;
        }
        for ((_, read), now) in self.looks.iter_mut().zip(now) {
            *read = now;
        }
        Some(differs.join(", "))
    }
}
