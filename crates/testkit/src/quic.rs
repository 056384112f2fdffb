//! The beginning of a QUIC client: a real ClientHello in Initial packets that are protected as they should be.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider};
use rustls::pki_types::ServerName;
use rustls::quic::{ClientConnection, Keys, Version};
use rustls::{ClientConfig, RootCertStore, Side};

/// Every datagram has at least this many bytes (RFC 9000 section 14.1).
const DATAGRAM_BYTES: usize = 1200;
/// What stands around the frames of a packet, at most.
const OVERHEAD_BYTES: usize = 50;

/// A client that is about to ask for a server.
#[derive(Clone, Debug)]
pub struct QuicHello {
    /// Whom it asks for.
    pub name: String,
    /// What it offers by ALPN.
    pub protocols: Vec<Vec<u8>>,
    /// The version of its packets.
    pub version: Version,
    /// The connection ID that it makes up for the server.
    pub destination: Vec<u8>,
}

impl QuicHello {
    /// A client of version 1 that wants HTTP/3 of `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let protocols = vec![b"h3".to_vec()];
        Self { name: name.to_owned(), protocols, version: Version::V1, destination: b"made up!".to_vec() }
    }

    /// Its first flight, with the hello cut into `count` datagrams.
    #[must_use]
    pub fn datagrams(&self, count: usize) -> Vec<Vec<u8>> {
        let message = self.message();
        let keys = initial_keys(&self.destination, Side::Client, self.version);
        let piece = message.len().div_ceil(count);
        let pieces = message.chunks(piece).enumerate();
        pieces.map(|(number, data)| self.packet(&keys, number, &crypto_frame(number * piece, data))).collect()
    }

    /// One datagram with an Initial packet of the server's, under the client's first ID.
    #[must_use]
    pub fn server_datagram(&self, frames: &[u8]) -> Vec<u8> {
        self.packet(&initial_keys(&self.destination, Side::Server, self.version), 0, frames)
    }

    /// The ClientHello.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols.clone_from(&self.protocols);
        let name = ServerName::try_from(self.name.clone()).expect("a server name");
        // One parameter of a few bytes (RFC 9000 section 18).
        let parameters = b"\x04\x01\x05".to_vec();
        let client = ClientConnection::new(Arc::new(config), self.version, name, parameters);
        let mut message = Vec::new();
        client.expect("a QUIC client").write_hs(&mut message);
        message
    }

    fn packet(&self, keys: &Keys, number: usize, frames: &[u8]) -> Vec<u8> {
        let is_second = matches!(self.version, Version::V2);
        let (first, version) = if is_second { (0xd0, 0x6b33_43cf_u32) } else { (0xc0, 1) };
        let number = u8::try_from(number).expect("few packets");
        let mut payload = frames.to_vec();
        payload.resize(payload.len().max(DATAGRAM_BYTES - OVERHEAD_BYTES), 0);
        let destination_len = u8::try_from(self.destination.len()).expect("a short connection ID");
        let mut packet = vec![first];
        packet.extend(version.to_be_bytes());
        packet.push(destination_len);
        packet.extend(&self.destination);
        // No ID of its own, no token.
        packet.extend([0, 0]);
        packet.extend(varint(1 + payload.len() + keys.local.packet.tag_len()));
        let number_at = packet.len();
        packet.push(number);
        let tag =
            keys.local.packet.encrypt_in_place(number.into(), &packet, &mut payload).expect("encrypted");
        packet.extend(payload);
        packet.extend(tag.as_ref());
        let (header, rest) = packet.split_at_mut(number_at);
        let (number, rest) = rest.split_at_mut(1);
        // The sample is taken as if the packet number had four bytes.
        keys.local.header.encrypt_in_place(&rest[3..19], &mut header[0], number).expect("masked");
        packet
    }
}

fn initial_keys(destination: &[u8], side: Side, version: Version) -> Keys {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().and_then(|suite| suite.quic_suite());
    suite.expect("the suite of Initial packets").keys(destination, side, version)
}

/// A frame with a part of the handshake.
fn crypto_frame(offset: usize, data: &[u8]) -> Vec<u8> {
    [&[6][..], &varint(offset), &varint(data.len()), data].concat()
}

/// Two bytes always.
fn varint(value: usize) -> [u8; 2] {
    (u16::try_from(value).expect("a short length") | 0x4000).to_be_bytes()
}
