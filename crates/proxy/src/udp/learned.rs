//! What the first datagrams of a client tell.

use flowgate_policy::{Fact, FirstBytes};
use flowgate_tls::QuicInitialKeys;
use flowgate_wire::client_hello::ClientHello;
use flowgate_wire::fingerprint::{Carrier, ja4};
use flowgate_wire::quic::{InitialReader, InitialState};

/// What is known of a conversation from its datagrams. Nothing is waited for but the rest of a hello.
#[derive(Default)]
pub(super) struct Learned {
    pub(super) first: FirstBytes,
    pub(super) sni: Fact<String>,
    pub(super) hello: Option<ClientHello>,
    /// By what name users know the protocol that would have to be ended.
    pub(super) protocol: Option<&'static str>,
    /// The fingerprint JA4 of the hello, if a rule wants it.
    pub(super) ja4: String,
    wants_ja4: bool,
    quic: InitialReader<QuicInitialKeys>,
}

impl Learned {
    /// Nothing is known yet.
    pub(super) fn new(wants_ja4: bool) -> Self {
        Self { wants_ja4, ..Self::default() }
    }

    /// Takes in the next datagram.
    pub(super) fn learn(&mut self, datagram: &[u8]) {
        let is_first = self.first == FirstBytes::Nothing;
        let is_open = self.first == FirstBytes::Tls && self.sni == Fact::Unknown;
        if !is_first && !is_open {
            return;
        }
        match self.quic.read(datagram) {
            InitialState::NeedMore => self.is_tls("QUIC"),
            InitialState::Hello(hello) => {
                self.is_tls("QUIC");
                self.sni = hello.sni.clone().map_or(Fact::Absent, Fact::Is);
                if self.wants_ja4 {
                    self.ja4 = ja4(&hello, Carrier::Quic);
                }
                self.hello = Some(hello);
            }
            InitialState::Broken(_) => {
                self.first = FirstBytes::BrokenTls;
                self.sni = Fact::Absent;
            }
            InitialState::NotInitial if is_dtls(datagram) => {
                self.is_tls("DTLS");
                self.sni = Fact::Absent;
            }
            InitialState::NotInitial => self.give_up(),
        }
    }

    fn is_tls(&mut self, protocol: &'static str) {
        self.first = FirstBytes::Tls;
        self.protocol = Some(protocol);
    }

    /// The rest of the hello does not come.
    pub(super) fn give_up(&mut self) {
        if self.first == FirstBytes::Nothing {
            self.first = FirstBytes::Other;
        }
        if self.sni == Fact::Unknown {
            self.sni = Fact::Absent;
        }
    }
}

/// A whole record header of DTLS 1.0 or 1.2 with a handshake in it (RFC 6347 §4.1; a hello of 1.3 looks like one of 1.2).
fn is_dtls(datagram: &[u8]) -> bool {
    const HEADER_BYTES: usize = 13;
    datagram.len() >= HEADER_BYTES && matches!(datagram, [22, 0xfe, 0xfd | 0xff, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_datagram_that_is_no_handshake_says_it_all() {
        for datagram in
            [&b""[..], b"p", b"ping", &[0x16, 0xfe, 0xfd], &[0xc0; 12], &[0xc0; 1200], &[0x40; 30]]
        {
            let mut learned = Learned::default();
            learned.learn(datagram);
            assert_eq!((learned.first, learned.sni), (FirstBytes::Other, Fact::Absent), "{datagram:02x?}");
        }
    }

    #[test]
    fn dtls_is_known_by_a_whole_header() {
        let mut learned = Learned::default();
        learned.learn(&[22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((learned.first, learned.protocol), (FirstBytes::Tls, Some("DTLS")));
    }
}
