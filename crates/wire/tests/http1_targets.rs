//! Request targets: the four forms, and what is none of them.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use bytes::Bytes;
use flowgate_flow::Address;
use flowgate_wire::http1::{Target, TargetError, parse_authority, parse_target};
use proptest::prelude::*;

fn target(method: &str, text: &str) -> Result<Target, TargetError> {
    parse_target(method.as_bytes(), &Bytes::copy_from_slice(text.as_bytes()))
}

fn absolute(scheme: &'static str, authority: &str, host: &str, port: u16, path: &str) -> Target {
    let address = Address { host: host.into(), port };
    Target::Absolute {
        scheme,
        authority: Bytes::from(authority.to_owned()),
        address,
        path: Bytes::from(path.to_owned()),
    }
}

#[test]
fn the_four_forms() {
    assert_eq!(target("GET", "/a?b"), Ok(Target::Origin));
    assert_eq!(target("OPTIONS", "*"), Ok(Target::Asterisk));
    assert_eq!(target("GET", "http://a.test/x?y"), Ok(absolute("http", "a.test", "a.test", 80, "/x?y")));
    assert_eq!(
        target("GET", "HTTPS://a.test:8443"),
        Ok(absolute("https", "a.test:8443", "a.test", 8443, "/"))
    );
    assert_eq!(target("GET", "http://[::1]:8080?q"), Ok(absolute("http", "[::1]:8080", "::1", 8080, "/?q")));
    assert_eq!(target("OPTIONS", "http://a.test"), Ok(absolute("http", "a.test", "a.test", 80, "*")));
    let authority = |host: &str, port| Ok(Target::Authority(Address { host: host.into(), port }));
    assert_eq!(target("CONNECT", "a.test:443"), authority("a.test", 443));
    assert_eq!(target("CONNECT", "[2001:db8::1]:1"), authority("2001:db8::1", 1));
}

#[test]
fn what_is_none_of_them() {
    use TargetError as E;
    for (method, text, want) in [
        ("GET", "*", E::Form),
        ("GET", "a.test:443", E::Form),
        ("GET", "ftp://a/", E::Scheme),
        ("GET", "http:///x", E::Host),
        ("GET", "http://a b/", E::Host),
        ("GET", "http://u:p@a/", E::UserInfo),
        ("GET", "http://a:0/", E::Port),
        ("GET", "http://a:65536/", E::Port),
        ("GET", "http://a:+80/", E::Port),
        ("GET", "http://[::1/", E::Host),
        ("GET", "http://[a.test]/", E::Host),
        ("GET", "http://[::1]x/", E::Port),
        ("CONNECT", "a.test", E::Port),
        ("CONNECT", "/x", E::Port),
        ("CONNECT", "http://a.test:443", E::Port),
        ("CONNECT", ":443", E::Host),
    ] {
        assert_eq!(target(method, text), Err(want), "{method} {text}");
    }
}

proptest! {
    #[test]
    fn addresses_come_back(host in "[a-z0-9._-]{1,30}", port in 1u16..) {
        let address = Address { host, port };
        prop_assert_eq!(parse_authority(address.to_string().as_bytes(), None), Ok(address));
    }

    #[test]
    fn no_bytes_panic(method in prop::sample::select(&["GET", "CONNECT", "OPTIONS"][..]), text in "[\\[\\]:/@?#*a-z0-9.]{0,30}|.{0,30}") {
        let _ = target(method, &text);
    }
}
