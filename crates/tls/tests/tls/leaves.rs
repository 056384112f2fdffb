//! What clients see: leaves, their names, resumption, and the cache behind them.

use std::sync::Arc;

use crate::common::{NO_ALPN, authority, client_trusting, foreign_server, handshake, leaves, named};
use flowgate_tls::{
    ClientHandshake, LeafSpec, Leaves, LeavesOptions, MintError, UpstreamNames, explain_client_failure,
};
use rustls::HandshakeKind;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

#[test]
fn clients_that_trust_the_ca_accept_names_and_addresses() {
    let (_dir, authority) = authority();
    let leaves = leaves(&authority);
    let client = client_trusting(authority.certificate(), &[]);
    for name in ["shop.test", "10.0.0.1", "::1", &format!("{}.test", "a".repeat(60))] {
        let server = leaves.leaf(&named(name)).unwrap().server_config(NO_ALPN);
        handshake(client.clone(), name, server).unwrap();
    }
}

#[test]
fn sni_address_and_the_servers_names_are_all_valid() {
    let (_dir, authority) = authority();
    let mut params = rcgen::CertificateParams::new(vec!["*.shop.test".into(), "shop.test".into()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "Shop Inc.");
    let key = rcgen::KeyPair::generate().unwrap();
    let upstream = UpstreamNames::from_der(params.self_signed(&key).unwrap().der());
    let spec =
        LeafSpec { server_name: Some("sni.test"), address: Some("10.0.0.1"), upstream: Some(&upstream) };
    let leaf = leaves(&authority).leaf(&spec).unwrap();
    let (_, parsed) = X509Certificate::from_der(leaf.certificate()).unwrap();
    assert_eq!(parsed.subject().to_string(), "CN=*.shop.test, O=Shop Inc.");
    let client = client_trusting(authority.certificate(), &[]);
    for name in ["www.shop.test", "shop.test", "sni.test", "10.0.0.1"] {
        handshake(client.clone(), name, leaf.server_config(NO_ALPN)).unwrap();
    }
    let outcome = handshake(client, "other.test", leaf.server_config(NO_ALPN));
    assert!(outcome.client_error.is_some());
}

#[test]
fn a_leaf_is_short_lived_and_says_what_it_is_for() {
    let (_dir, authority) = authority();
    let leaf = leaves(&authority).leaf(&named("shop.test")).unwrap();
    let (_, parsed) = X509Certificate::from_der(leaf.certificate()).unwrap();
    let (_, ca) = X509Certificate::from_der(authority.certificate()).unwrap();
    let validity = parsed.validity();
    assert_eq!((validity.not_after.timestamp() - validity.not_before.timestamp()) / 86_400, 199);
    assert!(validity.is_valid());
    let san = parsed.subject_alternative_name().unwrap().unwrap();
    assert!(!san.critical);
    assert!(matches!(san.value.general_names[..], [GeneralName::DNSName("shop.test")]));
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth && !usage.any);
    assert!(!parsed.is_ca());
    assert_ne!(parsed.public_key().raw, ca.public_key().raw, "the leaf has its own key");
    let text = |oid| {
        parsed.extensions().iter().chain(ca.extensions()).find(|e| e.oid == oid).unwrap().value.to_vec()
    };
    let ski = text(x509_parser::oid_registry::OID_X509_EXT_SUBJECT_KEY_IDENTIFIER);
    let aki = text(x509_parser::oid_registry::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER);
    assert!(aki.ends_with(&ski[2..]), "the leaf names the CA's key");
}

#[test]
fn a_name_too_long_for_the_subject_makes_the_san_critical() {
    let (_dir, authority) = authority();
    let leaf = leaves(&authority).leaf(&named(&format!("{}.test", "a".repeat(60)))).unwrap();
    let (_, parsed) = X509Certificate::from_der(leaf.certificate()).unwrap();
    assert_eq!(parsed.subject().to_string(), "");
    assert!(parsed.subject_alternative_name().unwrap().unwrap().critical);
}

#[test]
fn no_valid_name_is_an_error() {
    let (_dir, authority) = authority();
    let leaves = leaves(&authority);
    assert_eq!(leaves.leaf(&LeafSpec::default()).unwrap_err(), MintError::NoName);
    assert_eq!(leaves.leaf(&named("*.test")).unwrap_err(), MintError::NoName);
}

#[test]
fn alpn_is_answered_from_the_list_given() {
    let (_dir, authority) = authority();
    let leaf = leaves(&authority).leaf(&named("shop.test")).unwrap();
    let client = client_trusting(authority.certificate(), &[b"h2", b"http/1.1"]);
    for (alpn, expected) in
        [(&[&b"http/1.1"[..]][..], Some(&b"http/1.1"[..])), (&[b"h2", b"http/1.1"], Some(b"h2")), (&[], None)]
    {
        let (client, server) = handshake(client.clone(), "shop.test", leaf.server_config(alpn)).unwrap();
        assert_eq!((client.alpn_protocol(), server.alpn_protocol()), (expected, expected));
    }
    let outcome = handshake(client, "shop.test", leaf.server_config(&[b"mqtt"]));
    assert_eq!(outcome.server_error, Some(rustls::Error::NoApplicationProtocol));
    let same = Arc::ptr_eq(&leaf.server_config(&[b"h2"]), &leaf.server_config(&["h2"]));
    assert!(same, "a configuration is made once");
}

#[test]
fn clients_resume_with_any_leaf_of_the_same_name() {
    let (_dir, authority) = authority();
    let leaves = leaves(&authority);
    let client = client_trusting(authority.certificate(), &[]);
    let kind = |address| {
        let spec = LeafSpec { server_name: Some("shop.test"), address, upstream: None };
        let server = leaves.leaf(&spec).unwrap().server_config(NO_ALPN);
        handshake(client.clone(), "shop.test", server).unwrap().0.handshake_kind()
    };
    assert_eq!(kind(None), Some(HandshakeKind::Full));
    assert_eq!(kind(None), Some(HandshakeKind::Resumed));
    assert_eq!(kind(Some("10.0.0.1")), Some(HandshakeKind::Resumed));
}

#[test]
fn a_client_that_does_not_trust_the_ca_is_explained() {
    let (_dir, authority) = authority();
    let foreign = foreign_server("A", rcgen::CertificateParams::default());
    let server = leaves(&authority).leaf(&named("shop.test")).unwrap().server_config(NO_ALPN);
    let outcome = handshake(client_trusting(&foreign.root, &[]), "shop.test", server);
    let error = outcome.server_error.unwrap();
    let explanation = explain_client_failure(
        &error,
        &ClientHandshake {
            host: "shop.test",
            port: Some(443),
            after: std::time::Duration::from_millis(3),
            finished: false,
            ca_certificate: authority.certificate_file(),
        },
    );
    assert_eq!(
        explanation.to_string(),
        "client does not trust our certificate for `shop.test`: TLS alert: unknown certificate authority \
         (sent by the client after 3 ms)"
    );
    assert!(explanation.hint.unwrap().contains("flowgate-ca-cert.pem"));
}

#[test]
fn threads_that_ask_for_one_name_get_one_leaf() {
    let (_dir, authority) = authority();
    let leaves = leaves(&authority);
    let barrier = std::sync::Barrier::new(8);
    for round in 0..50 {
        let name = format!("n{round}.test");
        let found: Vec<_> = std::thread::scope(|scope| {
            let ask = || {
                barrier.wait();
                leaves.leaf(&named(&name)).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(found.iter().all(|leaf| Arc::ptr_eq(leaf, &found[0])));
    }
    assert_eq!(leaves.stats().minted, 50);
}

#[test]
fn the_cache_is_bounded_and_keeps_what_is_used() {
    for capacity in [1, 7, 16, 100] {
        let (_dir, authority) = authority();
        let options = LeavesOptions { capacity, ..LeavesOptions::default() };
        let leaves = Leaves::new(authority, options).unwrap();
        for n in 0..500 {
            leaves.leaf(&named(&format!("n{n}.test"))).unwrap();
            if capacity == 100 {
                leaves.leaf(&named("hot.test")).unwrap();
            }
        }
        let stats = leaves.stats();
        assert!(stats.kept <= capacity, "{stats:?}");
        assert_eq!(stats.minted, stats.kept as u64 + stats.evicted);
        if capacity == 100 {
            assert_eq!(stats.minted, 501, "the leaf in use was minted once");
        }
    }
}
