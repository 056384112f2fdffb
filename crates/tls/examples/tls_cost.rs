//! Prints what the TLS parts of a start and of a connection cost. Run with `--release`; figures are wall time per
//! call.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for developers, who read its output")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use flowgate_tls::{
    Authority, ClientConfigs, LeafSpec, Leaves, LeavesOptions, ServerVerification, UpstreamNames,
};

fn main() {
    let dir = tempfile::tempdir().unwrap();
    once("CA: make", || Authority::load_or_create(dir.path()).unwrap());
    let authority = Arc::new(once("CA: load", || Authority::load_or_create(dir.path()).unwrap()));
    let options = LeavesOptions::default;
    let leaves = once("Leaves::new", || Leaves::new(authority.clone(), options()).unwrap());
    let configs = once("ClientConfigs::new", || ClientConfigs::new(ServerVerification::default()).unwrap());
    let count = once("system roots", || configs.load_roots());
    println!("{:<44}{count:>9}", "system roots found");

    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<_> = (0..20).map(|n| format!("name{n}.shop.test")).collect();
    let der = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap().der().to_vec();
    let upstream = UpstreamNames::from_der(&der);
    let with_upstream = LeafSpec { upstream: Some(&upstream), ..named("shop.test") };

    repeat("mint, P-256 CA", 5_000, |n| {
        leaves.leaf(&named(&format!("n{n}.test"))).unwrap();
    });
    repeat("hit, SNI = address", 1_000_000, |_| {
        black_box(leaves.leaf(&named("shop.test")).unwrap());
    });
    repeat("hit, 20 names of the server", 500_000, |_| {
        black_box(leaves.leaf(&with_upstream).unwrap());
    });
    let leaf = leaves.leaf(&named("shop.test")).unwrap();
    repeat("Leaf::server_config, hit", 1_000_000, |_| {
        black_box(leaf.server_config(&["http/1.1"]));
    });
    repeat("ClientConfigs::config, usual list", 1_000_000, |_| {
        black_box(configs.config("shop.test", &["h2", "http/1.1"]).unwrap());
    });
    repeat("ClientConfigs::config, other list", 1_000_000, |_| {
        black_box(configs.config("shop.test", &["http/1.0"]).unwrap());
    });
    repeat("UpstreamNames::from_der, 20 names", 20_000, |_| {
        black_box(UpstreamNames::from_der(&der));
    });

    let rsa = tempfile::tempdir().unwrap();
    let text = include_str!("../tests/tls/data/ca-rsa-pkcs1.pem");
    std::fs::write(rsa.path().join("mitmproxy-ca.pem"), text).unwrap();
    let authority = Arc::new(once("RSA CA: load", || Authority::load_or_create(rsa.path()).unwrap()));
    let leaves = Leaves::new(authority, options()).unwrap();
    repeat("mint, RSA-2048 CA", 500, |n| {
        leaves.leaf(&named(&format!("n{n}.test"))).unwrap();
    });
}

fn named(name: &str) -> LeafSpec<'_> {
    LeafSpec { server_name: Some(name), address: Some(name), upstream: None }
}

fn once<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let made = run();
    println!("{what:<44}{:>9.1} µs", start.elapsed().as_secs_f64() * 1e6);
    made
}

fn repeat(what: &str, times: u32, mut run: impl FnMut(u32)) {
    let start = Instant::now();
    (0..times).for_each(&mut run);
    println!("{what:<44}{:>9.0} ns", start.elapsed().as_secs_f64() * 1e9 / f64::from(times));
}
