//! The keys of QUIC's Initial packets (RFC 9001 §5.2, RFC 9369 §3.3), for who reads a ClientHello out of them.
//!
//! They protect nothing: whoever sees a client's first packet can derive them. That is what makes its hello readable.

use flowgate_wire::quic::{InitialKeys, Version};
use rustls::Side;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::quic::{self, DirectionalKeys};

/// Takes the protection off the Initial packets of one client.
pub struct QuicInitialKeys(DirectionalKeys);

impl std::fmt::Debug for QuicInitialKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuicInitialKeys").finish_non_exhaustive()
    }
}

impl InitialKeys for QuicInitialKeys {
    fn of_client(version: Version, destination: &[u8]) -> Option<Self> {
        let version = match version {
            Version::V1 => quic::Version::V1,
            Version::V2 => quic::Version::V2,
        };
        // The suite of Initial packets, whatever is agreed later.
        let suite = TLS13_AES_128_GCM_SHA256.tls13()?.quic_suite()?;
        Some(Self(suite.keys(destination, Side::Server, version).remote))
    }

    fn unmask(&self, sample: &[u8], first: &mut u8, packet_number: &mut [u8]) -> bool {
        self.0.header.decrypt_in_place(sample, first, packet_number).is_ok()
    }

    fn open<'a>(&self, packet_number: u64, header: &[u8], payload: &'a mut [u8]) -> Option<&'a [u8]> {
        self.0.packet.decrypt_in_place(packet_number, header, payload).ok()
    }
}
