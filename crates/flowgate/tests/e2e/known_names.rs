//! Names that are not looked up (`resolve`): in clear text, decrypted and passed through, with what they are called left alone.

use flowgate_testkit::{Curl, Flowgate, RawConnection, RawServer, TestCa};

use crate::support::{FLOWGATE, flowgate, https_server, saved_flows};

#[test]
fn names_lead_where_it_is_said() {
    let Some(curl) = Curl::new() else { return };
    let ca = TestCa::new();
    let server = https_server(&ca, &["shop.test", "bank.test"]);
    let plain = RawServer::start(|connection: &mut RawConnection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    });
    // Nobody listens at the first address: the next is tried.
    let flowgate = flowgate()
        .args(["--resolve", "shop.test:*:127.0.0.7,127.0.0.1", "--resolve", "*:*:127.0.0.1"])
        .args(["--ignore-hosts", "^bank"])
        .set("ssl_verify_upstream_trusted_ca", ca.certificate_path().display())
        .start();
    let curl = curl.proxy(&flowgate.proxy_url());
    let port = server.address().port();
    // Certificates count for the names: they are asked for, and checked, as ever.
    for (host, root) in [("shop.test", flowgate.ca_certificate()), ("bank.test", ca.certificate_path())] {
        let reply = curl.clone().trust(&root).fetch(&format!("https://{host}:{port}/"));
        assert_eq!((reply.exit, reply.text().as_str()), (0, "ok"), "{host}: {}", reply.messages);
    }
    let url = format!("http://other.test:{}/", plain.address().port());
    assert_eq!(curl.fetch(&url).status, 200);
    let head = String::from_utf8(plain.wait_for_end(0).received).unwrap();
    assert!(head.contains(&format!("Host: other.test:{}\r\n", plain.address().port())), "{head}");
    let flows = saved_flows(&flowgate);
    let servers: Vec<_> = flows.iter().map(|flow| flow.server.address.clone().unwrap().host).collect();
    assert_eq!(servers, ["shop.test", "other.test"]);
    assert!(
        flows.iter().all(|flow| flow.server.connection.peername.unwrap().ip().to_string() == "127.0.0.1")
    );
}

#[test]
fn what_a_name_leads_to_is_judged_all_the_same() {
    let Some(curl) = Curl::new() else { return };
    let flowgate =
        flowgate().args(["--resolve", "shop.test:80:127.0.0.1"]).set("block_private_targets", true).start();
    let reply = curl.proxy(&flowgate.proxy_url()).fetch("http://shop.test/");
    assert_eq!(reply.status, 403, "{reply:?}");
}

#[test]
fn a_bad_entry_is_refused_at_the_start() {
    let output = Flowgate::run(FLOWGATE, &["dump", "--resolve", "shop.test:443:nowhere"]);
    let said = output.stderr;
    assert!(said.starts_with("error: option `resolve`: `nowhere` is no IP address"), "{said}");
}
