//! The packets of the RFCs' appendices, and those of another QUIC client, read with real keys.

use flowgate_testkit::QuicHello;
use flowgate_tls::QuicInitialKeys;
use flowgate_wire::quic::{InitialReader, InitialState, Version};
use rustls::quic;

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
    let datagram = QuicHello::new("a.test").server_datagram(&[6, 0, 4, 1, 0, 0, 0]);
    assert_eq!(Reader::default().read(&datagram), InitialState::NotInitial);
}

/// The hello of another client that does not fit one datagram, as those with a key of ML-KEM in them.
#[test]
fn a_hello_of_two_datagrams_in_both_orders() {
    for version in [quic::Version::V1, quic::Version::V2] {
        let protocols = (0..20).map(|number| vec![b'a' + number; 60]).collect();
        let client = QuicHello { version, protocols, ..QuicHello::new("big.test") };
        let datagrams = client.datagrams(2);
        for order in [[0, 1], [1, 0]] {
            let mut reader = Reader::default();
            assert_eq!(reader.read(&datagrams[order[0]]), InitialState::NeedMore);
            let InitialState::Hello(hello) = reader.read(&datagrams[order[1]]) else { panic!("no hello") };
            assert!(hello.len > 1200, "{} bytes", hello.len);
            assert_eq!((hello.sni.as_deref(), hello.alpn.len()), (Some("big.test"), 20));
        }
    }
}
