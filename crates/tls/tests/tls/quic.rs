//! The packets of the RFCs' appendices, and those of another QUIC client, read with real keys.

use std::sync::Arc;

use flowgate_tls::QuicInitialKeys;
use flowgate_wire::quic::{InitialReader, InitialState, Version};
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, Side, quic};

type Reader = InitialReader<QuicInitialKeys>;

/// RFC 9001 appendix A.2.
const V1: &[u8] = include_bytes!("data/quic_v1_client_initial.bin");
/// RFC 9369 appendix A.2: the same hello in version 2.
const V2: &[u8] = include_bytes!("data/quic_v2_client_initial.bin");

#[test]
fn the_client_initials_of_the_rfcs() {
    for (datagram, version) in [(V1, Version::V1), (V2, Version::V2)] {
        let mut reader = Reader::default();
        let InitialState::Hello(hello) = reader.read(datagram) else { panic!("no hello in {version:?}") };
        assert_eq!(hello.sni.as_deref(), Some("example.com"));
        assert_eq!(hello.alpn, ["alpn"]);
        assert!(hello.extensions.contains(&0x39), "transport parameters: {:?}", hello.extensions);
        assert_eq!(reader.version(), Some(version));
    }
}

#[test]
fn a_byte_that_was_changed_is_noticed() {
    // The version's own bytes, the first byte's masked part, the ID, the packet number, the payload, the tag.
    for at in [0, 4, 7, 19, 600, 1199] {
        let mut datagram = V1.to_vec();
        datagram[at] ^= 1;
        assert_eq!(Reader::default().read(&datagram), InitialState::NotInitial, "byte {at}");
    }
}

#[test]
fn a_server_packet_is_not_taken_for_a_client_packet() {
    let keys = initial_keys(quic::Version::V1, Side::Server);
    let datagram = protect(&keys, 1, 0, &crypto(0, b"\x01\0\0\0"));
    assert_eq!(Reader::default().read(&datagram), InitialState::NotInitial);
}

/// The hello of another client that does not fit one datagram, as those with a key of ML-KEM in them.
#[test]
fn a_hello_of_two_datagrams_in_both_orders() {
    let hello = rustls_hello("big.test");
    assert!(hello.len() > 1200, "{} bytes", hello.len());
    for (version, number) in [(quic::Version::V1, 1), (quic::Version::V2, 0x6b33_43cf)] {
        let keys = initial_keys(version, Side::Client);
        let (front, back) = hello.split_at(700);
        let first = protect(&keys, number, 0, &crypto(0, front));
        let second = protect(&keys, number, 1, &crypto(700, back));
        for order in [[&first, &second], [&second, &first]] {
            let mut reader = Reader::default();
            assert_eq!(reader.read(order[0]), InitialState::NeedMore);
            let InitialState::Hello(hello) = reader.read(order[1]) else { panic!("no hello") };
            assert_eq!((hello.sni.as_deref(), hello.alpn.len()), (Some("big.test"), 20));
        }
    }
}

const DESTINATION: &[u8] = b"\x01\x02\x03\x04\x05\x06\x07\x08";

fn rustls_hello(name: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    // Protocols enough for the size of such a key.
    config.alpn_protocols = (0..20).map(|number| vec![b'a' + number; 60]).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client =
        quic::ClientConnection::new(Arc::new(config), quic::Version::V1, name, b"\x04\x01\x05".to_vec())
            .unwrap();
    let mut hello = Vec::new();
    client.write_hs(&mut hello);
    hello
}

fn initial_keys(version: quic::Version, side: Side) -> quic::Keys {
    TLS13_AES_128_GCM_SHA256.tls13().unwrap().quic_suite().unwrap().keys(DESTINATION, side, version)
}

fn varint(value: usize) -> [u8; 2] {
    (u16::try_from(value).unwrap() | 0x4000).to_be_bytes()
}

fn crypto(offset: usize, data: &[u8]) -> Vec<u8> {
    [&[6][..], &varint(offset), &varint(data.len()), data].concat()
}

/// A datagram with one Initial packet around frames.
fn protect(keys: &quic::Keys, version: u32, number: u8, frames: &[u8]) -> Vec<u8> {
    let first = if version == 1 { 0xc0 } else { 0xd0 };
    let mut frames = frames.to_vec();
    frames.resize(frames.len().max(1150), 0);
    let length = varint(1 + frames.len() + 16);
    let id = [&[u8::try_from(DESTINATION.len()).unwrap()][..], DESTINATION].concat();
    let mut packet = [&[first][..], &version.to_be_bytes(), &id, &[0, 0], &length].concat();
    let number_at = packet.len();
    packet.push(number);
    let tag = keys.local.packet.encrypt_in_place(number.into(), &packet, &mut frames).unwrap();
    packet.extend([&frames, tag.as_ref()].concat());
    let (header, rest) = packet.split_at_mut(number_at);
    let (number, rest) = rest.split_at_mut(1);
    keys.local.header.encrypt_in_place(&rest[3..19], &mut header[0], number).unwrap();
    packet
}
