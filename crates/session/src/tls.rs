//! From options to TLS on both sides: certificates for clients, configurations towards servers. Blocking.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowgate_options::registry::OPTIONS as ALL_OPTIONS;
use flowgate_options::{Passphrase, Values};
use flowgate_proxy::Tls;
use flowgate_tls::{
    Authority, AuthorityOptions, CertSpec, ClientCerts, ClientConfigs, KeyLogWriter, Leaves, LeavesOptions,
    OwnCerts, Protocol, ProtocolOptions, ServerVerification, Side,
};

use crate::session::{SessionError, path};
use crate::tls_files::TlsFiles;

/// The options that TLS is made of: with another value of one it is made anew, for connections that begin from then on.
pub(crate) const OPTIONS: [&str; 15] = [
    "cert_passphrase",
    "certs",
    "ciphers_client",
    "ciphers_server",
    "client_certs",
    "request_client_cert",
    "ssl_insecure",
    "ssl_verify_upstream_trusted_ca",
    "ssl_verify_upstream_trusted_confdir",
    "tls_ecdh_curve_client",
    "tls_ecdh_curve_server",
    "tls_version_client_max",
    "tls_version_client_min",
    "tls_version_server_max",
    "tls_version_server_min",
];

/// What does not change while the program runs.
#[derive(Clone)]
pub(crate) struct TlsMaker {
    authority: Arc<Authority>,
    key_log: Option<Arc<KeyLogWriter>>,
    home: Option<PathBuf>,
}

impl fmt::Debug for TlsMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsMaker").finish_non_exhaustive()
    }
}

/// TLS as the options say.
pub(crate) struct Made {
    pub(crate) tls: Tls,
    /// What it was made of.
    pub(crate) files: TlsFiles,
    /// What is worth knowing of it, a line each.
    pub(crate) notes: Vec<String>,
}

/// What is read before there has to be a CA: a mistake leaves no new one behind.
struct Parts {
    files: TlsFiles,
    with_clients: Protocol,
    own: OwnCerts,
    client_configs: ClientConfigs,
    notes: Vec<String>,
}

impl TlsMaker {
    /// Reads the CA, or makes one; and TLS as the options say.
    pub(crate) fn new(values: &Values, home: Option<&Path>) -> Result<(Self, Made), SessionError> {
        let confdir = path("confdir", values.confdir.as_str(), home)?;
        let key_log = KeyLogWriter::from_env()?.map(Arc::new);
        let parts = Parts::read(values, home, key_log.clone())?;
        let passphrase = values.cert_passphrase.as_ref().map(Passphrase::as_str);
        let options = AuthorityOptions { passphrase, rsa_bits: values.key_size };
        let authority = Arc::new(Authority::open(&confdir, options)?);
        let maker = Self { authority, key_log, home: home.map(Path::to_owned) };
        let made = maker.put_together(parts, values)?;
        Ok((maker, made))
    }

    pub(crate) const fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// TLS as the options say.
    pub(crate) fn make(&self, values: &Values) -> Result<Made, SessionError> {
        let parts = Parts::read(values, self.home.as_deref(), self.key_log.clone())?;
        self.put_together(parts, values)
    }

    fn put_together(&self, parts: Parts, values: &Values) -> Result<Made, SessionError> {
        let options = LeavesOptions {
            key_log: self.key_log.clone(),
            protocol: parts.with_clients,
            request_client_cert: values.request_client_cert,
            own: parts.own,
            ..LeavesOptions::default()
        };
        let leaves = Leaves::new(Arc::clone(&self.authority), options)?;
        let tls = Tls { leaves, client_configs: parts.client_configs };
        Ok(Made { tls, files: parts.files, notes: parts.notes })
    }
}

impl Parts {
    fn read(
        values: &Values,
        home: Option<&Path>,
        key_log: Option<Arc<KeyLogWriter>>,
    ) -> Result<Self, SessionError> {
        // Before they are read: what is written meanwhile shows.
        let files = TlsFiles::of(values, home)?;
        let passphrase = values.cert_passphrase.as_ref().map(Passphrase::as_str);
        let with_clients = Protocol::new(
            Side::Client,
            ProtocolOptions {
                min: values.tls_version_client_min,
                max: values.tls_version_client_max,
                ciphers: values.ciphers_client.as_deref(),
                curve: values.tls_ecdh_curve_client.as_deref(),
            },
        )?;
        let with_servers = Protocol::new(
            Side::Server,
            ProtocolOptions {
                min: values.tls_version_server_min,
                max: values.tls_version_server_max,
                ciphers: values.ciphers_server.as_deref(),
                curve: values.tls_ecdh_curve_server.as_deref(),
            },
        )?;
        let mut own = Vec::new();
        for (index, text) in values.certs.iter().enumerate() {
            let spec = CertSpec::parse(text, index)?;
            let file = path("certs", spec.path(), home)?;
            own.push((spec, file));
        }
        let own = OwnCerts::read(&own, passphrase)?;
        let client_certs = match &values.client_certs {
            None => ClientCerts::default(),
            Some(text) => ClientCerts::read(&path("client_certs", text, home)?, passphrase)?,
        };
        let notes = [with_clients.notes(), with_servers.notes(), own.notes()].concat();
        let trusted =
            |option, text: &Option<String>| text.as_deref().map(|text| path(option, text, home)).transpose();
        let verification = ServerVerification {
            insecure: values.ssl_insecure,
            extra_ca_file: trusted("ssl_verify_upstream_trusted_ca", &values.ssl_verify_upstream_trusted_ca)?,
            extra_ca_dir: trusted(
                "ssl_verify_upstream_trusted_confdir",
                &values.ssl_verify_upstream_trusted_confdir,
            )?,
            key_log,
        };
        let client_configs = ClientConfigs::with(verification, with_servers, client_certs)?;
        Ok(Self { files, with_clients, own, client_configs, notes })
    }
}

/// Whether TLS made of one is other than TLS made of the other.
pub(crate) fn differs(one: &Values, other: &Values) -> bool {
    let options = ALL_OPTIONS.iter().filter(|option| OPTIONS.contains(&option.name));
    options.into_iter().any(|option| option.value(one) != option.value(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowgate_options::registry::find;

    #[test]
    fn the_options_are_there() {
        assert!(OPTIONS.is_sorted());
        assert!(OPTIONS.iter().all(|name| find(name).is_ok()));
    }
}
