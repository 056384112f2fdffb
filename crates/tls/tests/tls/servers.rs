//! Connections to servers: whom we trust, what we say when we do not, and what is kept.

use std::fs;
use std::sync::Arc;

use crate::common::{ForeignServer, NO_ALPN, foreign_server, handshake, server_config};
use flowgate_tls::{ClientConfigs, KeyLogWriter, ServerVerification, TlsConfigError, explain_server_failure};
use rcgen::{CertificateParams, KeyPair};
use rustls::{HandshakeKind, ServerConfig};
use tempfile::TempDir;

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// Configurations that trust one more CA file with this text.
fn trusting(text: &str) -> (TempDir, ClientConfigs) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("extra.pem");
    fs::write(&path, text).unwrap();
    let verification = ServerVerification { extra_ca_file: Some(path), ..ServerVerification::default() };
    (dir, ClientConfigs::new(verification).unwrap())
}

fn insecure() -> ClientConfigs {
    ClientConfigs::new(ServerVerification { insecure: true, ..ServerVerification::default() }).unwrap()
}

/// The words for a handshake that must fail.
fn failure(configs: &ClientConfigs, name: &str, server: &Arc<ServerConfig>) -> String {
    let outcome = handshake(configs.config(name, NO_ALPN).unwrap(), name, server.clone());
    explain_server_failure(&outcome.client_error.unwrap(), name).to_string()
}

#[test]
fn the_users_ca_is_trusted_beside_the_systems() {
    let ForeignServer { root_pem, config, .. } = foreign_server("A", params(&["shop.test", "10.0.0.1"]));
    let (_dir, configs) = trusting(&root_pem);
    handshake(configs.config("shop.test", NO_ALPN).unwrap(), "shop.test", config.clone()).unwrap();
    handshake(configs.config("10.0.0.1", NO_ALPN).unwrap(), "10.0.0.1", config).unwrap();
    let system = ClientConfigs::new(ServerVerification::default()).unwrap();
    assert_eq!(configs.load_roots(), system.load_roots() + 1);
}

#[test]
fn a_directory_of_cas_is_read() {
    let ForeignServer { root_pem, config, .. } = foreign_server("A", params(&["shop.test"]));
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("0a1b2c3d.0"), root_pem).unwrap();
    fs::write(dir.path().join("README"), "no certificate").unwrap();
    let extra_ca_dir = Some(dir.path().to_owned());
    let configs = ClientConfigs::new(ServerVerification { extra_ca_dir, ..Default::default() }).unwrap();
    handshake(configs.config("shop.test", NO_ALPN).unwrap(), "shop.test", config).unwrap();
}

#[test]
fn failures_are_explained() {
    let good = foreign_server("A", params(&["shop.test", "www.shop.test"]));
    let (_dir, configs) = trusting(&good.root_pem);
    assert_eq!(
        failure(&configs, "other.test", &good.config),
        "certificate of server `other.test` cannot be trusted: it is not valid for `other.test` (valid for \
         shop.test, www.shop.test)"
    );
    let untrusted = foreign_server("Foreign Root", params(&["shop.test"]));
    assert_eq!(
        failure(&configs, "shop.test", &untrusted.config),
        "certificate of server `shop.test` cannot be trusted: its issuer `Foreign Root` is unknown"
    );
    let mut expired = params(&["shop.test"]);
    expired.not_after = rcgen::date_time_ymd(2024, 5, 1);
    let expired = foreign_server("B", expired);
    let (_dir, configs) = trusting(&expired.root_pem);
    assert_eq!(
        failure(&configs, "shop.test", &expired.config),
        "certificate of server `shop.test` cannot be trusted: it expired on 2024-05-01"
    );
}

#[test]
fn self_signed_servers_are_named_as_such_and_trusted_when_the_user_names_them() {
    for is_ca in [rcgen::IsCa::NoCa, rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)] {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&["shop.test"]);
        params.is_ca = is_ca;
        let certificate = params.self_signed(&key).unwrap();
        let server = server_config(certificate.der().clone(), &key);

        let (_dir, configs) = trusting(&foreign_server("C", CertificateParams::default()).root_pem);
        assert_eq!(
            failure(&configs, "shop.test", &server),
            "certificate of server `shop.test` cannot be trusted: it is self-signed"
        );
        let (_dir, configs) = trusting(&certificate.pem());
        handshake(configs.config("shop.test", NO_ALPN).unwrap(), "shop.test", server.clone()).unwrap();
        assert!(failure(&configs, "other.test", &server).contains("not valid for `other.test`"));
    }
}

#[test]
fn a_named_server_certificate_still_expires() {
    let key = KeyPair::generate().unwrap();
    let mut params = params(&["shop.test"]);
    params.not_after = rcgen::date_time_ymd(2024, 5, 1);
    let certificate = params.self_signed(&key).unwrap();
    let (_dir, configs) = trusting(&certificate.pem());
    let server = server_config(certificate.der().clone(), &key);
    assert!(failure(&configs, "shop.test", &server).ends_with("it expired on 2024-05-01"));
}

#[test]
fn insecure_accepts_everything() {
    let mut expired = params(&["other.test"]);
    expired.not_after = rcgen::date_time_ymd(2024, 5, 1);
    let server = foreign_server("B", expired);
    handshake(insecure().config("shop.test", NO_ALPN).unwrap(), "shop.test", server.config).unwrap();
}

#[test]
fn no_tls_is_explained() {
    let client = rustls::ClientConnection::new(
        insecure().config("shop.test", NO_ALPN).unwrap(),
        rustls_pki_types::ServerName::try_from("shop.test").unwrap(),
    );
    let mut client = client.unwrap();
    client.read_tls(&mut &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]).unwrap();
    let error = client.process_new_packets().unwrap_err();
    assert_eq!(
        explain_server_failure(&error, "shop.test").to_string(),
        "server `shop.test` does not speak TLS: what it sent is no TLS record"
    );
}

#[test]
fn configurations_are_kept_by_their_alpn_list_within_a_bound() {
    let configs = insecure();
    assert!(Arc::ptr_eq(
        &configs.config("shop.test", &["h2", "http/1.1"]).unwrap(),
        &configs.config("shop.test", &["h2", "http/1.1"]).unwrap()
    ));
    let odd = configs.config("shop.test", &["odd"]).unwrap();
    assert_eq!(odd.alpn_protocols, [b"odd"]);
    for n in 0..20 {
        configs.config("shop.test", &[format!("x{n}")]).unwrap();
    }
    assert!(Arc::ptr_eq(&odd, &configs.config("shop.test", &["odd"]).unwrap()), "within the bound");
    for n in 0..flowgate_tls::limits::ALPN_LISTS_MAX {
        configs.config("shop.test", &[format!("y{n}")]).unwrap();
    }
    assert!(!Arc::ptr_eq(&odd, &configs.config("shop.test", &["odd"]).unwrap()), "beyond it the oldest goes");
    let long = "l".repeat(200);
    let list = [&long, &long];
    assert!(
        !Arc::ptr_eq(
            &configs.config("shop.test", &list).unwrap(),
            &configs.config("shop.test", &list).unwrap()
        ),
        "long lists are not kept"
    );
}

#[test]
fn sessions_are_resumed_across_alpn_lists() {
    let server = foreign_server("A", params(&["shop.test"]));
    let (_dir, configs) = trusting(&server.root_pem);
    let kind = |alpn: &[&[u8]]| {
        let (client, _) =
            handshake(configs.config("shop.test", alpn).unwrap(), "shop.test", server.config.clone())
                .unwrap();
        assert!(client.peer_certificates().is_some(), "names can be read from a resumed session as well");
        client.handshake_kind()
    };
    assert_eq!(kind(&[]), Some(HandshakeKind::Full));
    assert_eq!(kind(&[b"http/1.1"]), Some(HandshakeKind::Resumed));
}

#[test]
fn secrets_of_both_sides_go_into_the_key_log() {
    let (dir, authority) = crate::common::authority();
    let path = dir.path().join("keys");
    let key_log = Some(Arc::new(KeyLogWriter::open(&path).unwrap()));
    let verification = ServerVerification { insecure: true, key_log: key_log.clone(), ..Default::default() };
    let configs = ClientConfigs::new(verification).unwrap();
    let options = flowgate_tls::LeavesOptions { key_log, ..Default::default() };
    let leaves = flowgate_tls::Leaves::new(authority, options).unwrap();
    let server = leaves.leaf(&crate::common::named("shop.test")).unwrap().server_config(NO_ALPN);
    handshake(configs.config("shop.test", NO_ALPN).unwrap(), "shop.test", server).unwrap();
    let text = fs::read_to_string(path).unwrap();
    let count = |label| text.lines().filter(|line| line.starts_with(label)).count();
    assert_eq!(count("CLIENT_TRAFFIC_SECRET_0 "), 2, "{text}");
    assert_eq!(count("SERVER_HANDSHAKE_TRAFFIC_SECRET "), 2);
}

#[test]
fn unusable_ca_files_are_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    type Row<'a> = (&'a str, Option<&'a str>, fn(&TlsConfigError) -> bool);
    let rows: [Row<'_>; 4] = [
        ("missing", None, |e| matches!(e, TlsConfigError::Unreadable { .. })),
        ("cut", Some(cut), |e| matches!(e, TlsConfigError::NotPem { .. })),
        ("empty", Some(""), |e| matches!(e, TlsConfigError::NoCertificate { .. })),
        ("garbage", Some(garbage), |e| matches!(e, TlsConfigError::NoCertificate { .. })),
    ];
    for (what, text, expected) in rows {
        let path = dir.path().join(what);
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        let verification =
            ServerVerification { extra_ca_file: Some(path.clone()), ..ServerVerification::default() };
        let error = ClientConfigs::new(verification).unwrap_err();
        assert!(expected(&error), "{what}: {error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()) && error.hint().is_some(), "{what}");
    }
    let extra_ca_dir = Some(dir.path().join("missing"));
    let verification = ServerVerification { extra_ca_dir, ..ServerVerification::default() };
    assert!(matches!(ClientConfigs::new(verification), Err(TlsConfigError::Unreadable { .. })));
}
