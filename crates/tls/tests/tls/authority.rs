//! The CA's files: made, found again, and refused with a reason.

use std::fs;
use std::path::Path;

use crate::common::{NO_ALPN, client_trusting, handshake, leaves, named, openssl};
use flowgate_tls::{Authority, AuthorityOptions, CaError, CaWarning};
use x509_parser::prelude::{FromDer, X509Certificate};

const RSA: &str = include_str!("data/ca-rsa-pkcs1.pem");
const EC: &str = include_str!("data/ca-ec-sec1.pem");

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// One PEM section of a file's text.
fn section<'a>(text: &'a str, label: &str) -> &'a str {
    let start = text.find(&format!("-----BEGIN {label}")).unwrap();
    let end = text[start..].find("-----END").unwrap() + start;
    let line = text[end..].find('\n').unwrap() + end;
    &text[start..=line]
}

#[test]
fn first_start_makes_a_ca_and_later_ones_use_it() {
    let dir = tempfile::tempdir().unwrap();
    let confdir = dir.path().join("a/b");
    let first = Authority::load_or_create(&confdir).unwrap();
    let second = Authority::load_or_create(&confdir).unwrap();
    assert_eq!(first.certificate(), second.certificate());
    assert_eq!(
        names(&confdir),
        ["flowgate-ca-cert.cer", "flowgate-ca-cert.p12", "flowgate-ca-cert.pem", "flowgate-ca.pem"]
    );
    assert_eq!(first.certificate_file(), confdir.join("flowgate-ca-cert.pem"));
    assert_eq!(fs::read_to_string(first.certificate_file()).unwrap(), first.certificate_pem());
    assert!(first.chain().is_empty() && first.warnings().is_empty() && !first.expired());
}

#[test]
fn a_new_ca_says_what_it_is() {
    let (_dir, authority) = crate::common::authority();
    let (_, certificate) = X509Certificate::from_der(authority.certificate()).unwrap();
    assert_eq!(certificate.subject().to_string(), "CN=flowgate, O=flowgate");
    let basic = certificate.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && basic.value.ca);
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign());
    assert!(!usage.value.digital_signature());
    let validity = certificate.validity();
    let days = (validity.not_after.timestamp() - validity.not_before.timestamp()) / 86_400;
    assert_eq!(days, 3652);
}

#[cfg(unix)]
#[test]
fn the_key_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = tempfile::tempdir().unwrap();
    let confdir = dir.path().join("new");
    Authority::load_or_create(&confdir).unwrap();
    let key = confdir.join("flowgate-ca.pem");
    assert_eq!((mode(&confdir), mode(&key)), (0o700, 0o600));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let authority = Authority::load_or_create(&confdir).unwrap();
    assert!(matches!(authority.warnings(), [CaWarning::KeyExposed { mode: 0o644, .. }]));
}

#[test]
fn only_the_ca_file_holds_the_key() {
    let (dir, authority) = crate::common::authority();
    let text = fs::read_to_string(dir.path().join("flowgate-ca.pem")).unwrap();
    let key: Vec<_> = section(&text, "PRIVATE KEY").lines().skip(1).take(2).collect();
    for name in names(dir.path()).iter().filter(|name| *name != "flowgate-ca.pem") {
        let bytes = fs::read(dir.path().join(name)).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("PRIVATE"), "{name}");
    }
    let debug = format!("{authority:?}");
    assert!(key.iter().all(|line| !debug.contains(line)) && !debug.contains("PRIVATE"), "{debug}");
}

#[test]
fn two_first_starts_at_once_agree_on_one_ca() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let confdir = dir.path().join("new");
        let barrier = std::sync::Barrier::new(8);
        let certificates: Vec<_> = std::thread::scope(|scope| {
            let start = || {
                barrier.wait();
                Authority::load_or_create(&confdir).unwrap().certificate().clone()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(certificates.iter().all(|certificate| *certificate == certificates[0]));
        assert_eq!(names(&confdir).len(), 4, "no temporary file is left");
    }
}

#[test]
fn files_for_clients_are_made_again_when_missing_or_stale() {
    let (dir, authority) = crate::common::authority();
    let file = |name: &str| dir.path().join(name);
    fs::remove_file(file("flowgate-ca-cert.cer")).unwrap();
    fs::remove_file(file("flowgate-ca-cert.p12")).unwrap();
    fs::write(file("flowgate-ca-cert.pem"), "of another CA").unwrap();
    Authority::load_or_create(dir.path()).unwrap();
    assert_eq!(fs::read_to_string(file("flowgate-ca-cert.cer")).unwrap(), authority.certificate_pem());
    assert_eq!(fs::read_to_string(file("flowgate-ca-cert.pem")).unwrap(), authority.certificate_pem());
    assert_eq!(fs::read(file("flowgate-ca-cert.p12")).unwrap(), authority.certificate_pkcs12());
}

#[test]
fn a_file_for_clients_that_cannot_be_written_is_a_warning() {
    let (dir, _) = crate::common::authority();
    let blocked = dir.path().join("flowgate-ca-cert.p12");
    fs::remove_file(&blocked).unwrap();
    fs::create_dir(&blocked).unwrap();
    let authority = Authority::load_or_create(dir.path()).unwrap();
    let [warning] = authority.warnings() else { panic!("{:?}", authority.warnings()) };
    assert!(matches!(warning, CaWarning::CertificateFileNotWritten { path, .. } if *path == blocked));
}

#[test]
fn a_mitmproxy_directory_is_used_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mitmproxy-ca.pem"), RSA).unwrap();
    let authority = std::sync::Arc::new(Authority::load_or_create(dir.path()).unwrap());
    assert_eq!(names(dir.path()), ["mitmproxy-ca.pem"], "nothing is added");
    assert_eq!(authority.certificate_file(), dir.path().join("mitmproxy-ca-cert.pem"));
    let server = leaves(&authority).leaf(&named("shop.test")).unwrap().server_config(&[b"http/1.1"]);
    let client = client_trusting(authority.certificate(), &[]);
    handshake(client, "shop.test", server).unwrap();
}

#[test]
fn our_own_ca_comes_before_mitmproxys() {
    let (dir, authority) = crate::common::authority();
    fs::write(dir.path().join("mitmproxy-ca.pem"), RSA).unwrap();
    let again = Authority::load_or_create(dir.path()).unwrap();
    assert_eq!(again.certificate(), authority.certificate());
}

#[test]
fn keys_of_every_form_sign_leaves_that_clients_accept() {
    let made = |algorithm| {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        key.serialize_pem() + &params.self_signed(&key).unwrap().pem()
    };
    for text in [
        RSA.to_owned(),
        EC.to_owned(),
        made(&rcgen::PKCS_ECDSA_P256_SHA256),
        made(&rcgen::PKCS_ECDSA_P521_SHA512),
        made(&rcgen::PKCS_ED25519),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("flowgate-ca.pem"), &text).unwrap();
        let authority = std::sync::Arc::new(Authority::load_or_create(dir.path()).unwrap());
        let leaf = leaves(&authority).leaf(&named("shop.test")).unwrap();
        let (_, parsed) = X509Certificate::from_der(leaf.certificate()).unwrap();
        let (_, ca) = X509Certificate::from_der(authority.certificate()).unwrap();
        assert_eq!(parsed.issuer().as_raw(), ca.subject().as_raw(), "also with two DC in the name");
        assert_ne!(parsed.public_key().raw, ca.public_key().raw);
        let client = client_trusting(authority.certificate(), &[]);
        handshake(client, "shop.test", leaf.server_config(NO_ALPN)).unwrap();
    }
}

#[test]
fn an_intermediate_ca_is_sent_along_with_its_issuers() {
    let root_key = rcgen::KeyPair::generate().unwrap();
    let ca = |name: &str| {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params
    };
    let root = ca("Root").self_signed(&root_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let intermediate = ca("Middle").signed_by(&key, &rcgen::Issuer::new(ca("Root"), root_key)).unwrap();
    for (text, sent) in [
        (key.serialize_pem() + &intermediate.pem() + &root.pem(), 2),
        (key.serialize_pem() + &intermediate.pem(), 1),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mitmproxy-ca.pem"), text).unwrap();
        let authority = std::sync::Arc::new(Authority::load_or_create(dir.path()).unwrap());
        assert_eq!(authority.chain().len(), sent);
        let leaf = leaves(&authority).leaf(&named("shop.test")).unwrap();
        let client = client_trusting(root.der(), &[]);
        let (client, _) = handshake(client, "shop.test", leaf.server_config(NO_ALPN)).unwrap();
        assert_eq!(client.peer_certificates().unwrap().len(), 1 + sent);
    }
}

#[test]
fn an_expired_ca_loads_and_says_so() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let dir = tempfile::tempdir().unwrap();
    let text = key.serialize_pem() + &params.self_signed(&key).unwrap().pem();
    fs::write(dir.path().join("mitmproxy-ca.pem"), text).unwrap();
    let authority = Authority::load_or_create(dir.path()).unwrap();
    assert!(authority.expired());
    assert!(
        authority.warnings().iter().any(|w| matches!(w, CaWarning::Expired { on, .. } if on == "2021-01-01"))
    );
    let leaves = leaves(&std::sync::Arc::new(authority));
    leaves.leaf(&named("shop.test")).unwrap();
    leaves.leaf(&named("shop.test")).unwrap();
    assert_eq!(leaves.stats().minted, 1);
}

#[test]
fn unusable_files_are_refused_with_their_name_and_kept() {
    let rsa_key = section(RSA, "RSA PRIVATE KEY");
    let rsa_certificate = section(RSA, "CERTIFICATE");
    let ec_certificate = section(EC, "CERTIFICATE");
    let key = rcgen::KeyPair::generate().unwrap();
    let no_ca = {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::ExplicitNoCa;
        key.serialize_pem() + &params.self_signed(&key).unwrap().pem()
    };
    let cut = &RSA[..RSA.len() - 40];
    let garbage_key =
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned() + rsa_certificate;
    let garbage_certificate =
        rsa_key.to_owned() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    type Row<'a> = (&'a str, &'a str, fn(&CaError) -> bool);
    let rows: [Row<'_>; 11] = [
        ("empty", "", |e| matches!(e, CaError::NoKey { .. })),
        ("no PEM", "hello", |e| matches!(e, CaError::NoKey { .. })),
        ("no key", rsa_certificate, |e| matches!(e, CaError::NoKey { .. })),
        ("no certificate", rsa_key, |e| matches!(e, CaError::NoCertificate { .. })),
        ("cut off", cut, |e| matches!(e, CaError::NotPem { .. })),
        ("another's certificate", &(rsa_key.to_owned() + ec_certificate), |e| {
            matches!(e, CaError::KeyMismatch { .. })
        }),
        ("no CA", &no_ca, |e| matches!(e, CaError::NotACa { .. })),
        ("bad key", &garbage_key, |e| matches!(e, CaError::KeyUnsupported { .. })),
        ("bad certificate", &garbage_certificate, |e| matches!(e, CaError::CertificateUnreadable { .. })),
        ("encrypted", include_str!("data/ca-encrypted-traditional.pem"), |e| {
            matches!(e, CaError::KeyEncrypted { .. })
        }),
        ("encrypted PKCS#8", include_str!("data/ca-encrypted-pkcs8.pem"), |e| {
            matches!(e, CaError::KeyEncrypted { .. })
        }),
    ];
    for (what, text, expected) in rows {
        for name in ["flowgate-ca.pem", "mitmproxy-ca.pem"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            let error = Authority::load_or_create(dir.path()).unwrap_err();
            assert!(expected(&error), "{what}: {error:?}");
            assert!(error.to_string().contains(path.to_str().unwrap()), "{what}: {error}");
            assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{what}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "{what}: the file is kept");
        }
    }
}

#[test]
fn a_passphrase_opens_the_key_of_a_ca() {
    let (dir, authority) = crate::common::authority();
    let path = dir.path().join("flowgate-ca.pem");
    let Some(output) = openssl(&["pkcs8", "-topk8", "-passout", "pass:x", "-in", path.to_str().unwrap()])
    else {
        return;
    };
    let locked = String::from_utf8(output.stdout).unwrap() + &authority.certificate_pem();
    fs::write(&path, locked).unwrap();
    let open = |passphrase| Authority::open(dir.path(), AuthorityOptions { passphrase, rsa_bits: None });
    assert_eq!(open(Some("x")).unwrap().certificate(), authority.certificate());
    assert!(matches!(open(Some("y")).unwrap_err(), CaError::PassphraseWrong { .. }));
    assert!(matches!(open(None).unwrap_err(), CaError::KeyEncrypted { .. }));
}

#[test]
fn a_new_ca_has_an_rsa_key_of_the_size_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let open = |rsa_bits| Authority::open(dir.path(), AuthorityOptions { rsa_bits, passphrase: None });
    assert!(matches!(open(Some(2500)).unwrap_err(), CaError::KeySize { bits: 2500 }));
    let authority = open(Some(3072)).unwrap();
    let (_, certificate) = X509Certificate::from_der(authority.certificate()).unwrap();
    let key = certificate.public_key().parsed().unwrap();
    assert_eq!(key.key_size(), 3072);
    // The one that is there stays.
    assert_eq!(open(None).unwrap().certificate(), authority.certificate());
}

#[test]
fn a_config_dir_that_is_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    let error = Authority::load_or_create(&path).unwrap_err();
    assert!(matches!(error, CaError::DirNotCreated { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("there is a file of that name"));
    let error = Authority::load_or_create(&path.join("below")).unwrap_err();
    assert!(matches!(error, CaError::DirNotCreated { .. }), "{error:?}");
}

#[test]
fn a_ca_file_that_cannot_be_read_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("flowgate-ca.pem")).unwrap();
    let error = Authority::load_or_create(dir.path()).unwrap_err();
    assert!(matches!(error, CaError::Unreadable { .. }), "{error:?}");
    assert_eq!(names(dir.path()), ["flowgate-ca.pem"]);
}

#[test]
fn openssl_reads_the_pkcs12_file_and_verifies_leaves() {
    let (dir, authority) = crate::common::authority();
    let file = |name: &str| dir.path().join(name).into_os_string().into_string().unwrap();
    let p12 = file("flowgate-ca-cert.p12");
    let Some(output) = openssl(&["pkcs12", "-in", &p12, "-nokeys", "-passin", "pass:"]) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("friendlyName: flowgate"));
    assert!(text.replace('\n', "").contains(&authority.certificate_pem().replace('\n', "")));

    let leaf = leaves(&authority).leaf(&named("shop.test")).unwrap();
    fs::write(file("leaf.der"), leaf.certificate()).unwrap();
    let (ca, leaf) = (file("flowgate-ca-cert.pem"), file("leaf.der"));
    let arguments = ["verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "shop.test"];
    let output = openssl(&[&arguments[..], &["-CAfile", &ca, &leaf]].concat()).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
