//! The CA, leaf minting, and rustls configurations for both sides. No sockets, no runtime.
//!
//! The shell asks three things of this crate: [`Leaves`] for the configuration that faces a client,
//! [`ClientConfigs`] for the one that faces a server, and [`explain_client_failure`] / [`explain_server_failure`] for
//! words when a handshake fails. Handshakes themselves happen elsewhere.
//!
//! Invariants: files are touched only in the config dir and where an option or the key log names one; the CA's key
//! leaves [`Authority`] in no form, and leaves have a key of their own; nothing a peer sends can make a
//! cache or a certificate grow past [`limits`].
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

pub mod limits;

// Certificates: how they are written, whom they name, who signs them.
mod authority;
mod authority_files;
mod ca_error;
mod ca_key;
mod date;
mod der;
mod names;
mod pem;
mod pkcs12;
mod upstream_names;
mod x509;

// Configurations.
mod alpn_cache;
mod protocol;

// What users bring: keys, certificates, lists of cipher suites.
mod ciphers;
mod identity;
mod key_file;
mod option_error;

// The client side: we are the server there.
mod client_verifier;
mod leaf;
mod leaves;
mod own_certs;

// The server side: we are the client there.
mod client_certs;
mod client_configs;
mod server_verifier;

// QUIC, as far as anybody can read it.
mod quic_keys;

// Words and logs.
mod describe;
mod explain;
mod key_log;

pub use authority::{Authority, AuthorityOptions};
pub use ca_error::{CaError, CaWarning};
#[cfg(fuzzing)]
pub use ciphers::fuzz as fuzz_ciphers;
pub use client_certs::ClientCerts;
pub use client_configs::{ClientConfigs, ServerVerification, TlsConfigError};
pub use describe::{openssl_cipher_name, version_name};
pub use explain::{
    ClientHandshake, Explanation, HandshakeFailure, explain_client_failure, explain_server_failure,
};
pub use identity::IdentityError;
pub use key_log::{KeyLogError, KeyLogWriter};
pub use leaf::Leaf;
pub use leaves::{LeafStats, Leaves, LeavesError, LeavesOptions};
pub use names::{LeafSpec, San};
pub use option_error::{TlsOptionError, TlsOptionFault};
pub use own_certs::{CertSpec, OwnCerts};
pub use protocol::{Protocol, ProtocolOptions, Side};
pub use quic_keys::QuicInitialKeys;
pub use server_verifier::ServerCertError;
pub use upstream_names::UpstreamNames;
pub use x509::MintError;
