//! UDP in mode `reverse:`: what is exempt crosses as if nobody were there, the rest is a flow that is printed, saved and read
//! back, and for QUIC the name in its hello counts.

use std::net::{SocketAddr, UdpSocket};

use flowgate_flow::{Flow, FlowKind, MetadataValue, Transport};
use flowgate_testkit::{Flowgate, FlowgateBuilder, PATIENCE, QuicHello};

use crate::support::{FLOWGATE, flowgate, masked, printed, saved_flows};

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

fn reverse(scheme: &str, server: &UdpSocket) -> FlowgateBuilder {
    flowgate().args(["-v".to_owned(), "--mode".to_owned(), format!("reverse:{scheme}://{}", address(server))])
}

/// Sends a datagram through, and the same back.
fn echo(flowgate: &Flowgate, client: &UdpSocket, server: &UdpSocket, datagram: &[u8]) {
    let mut buffer = [0; 2048];
    client.send_to(datagram, flowgate.address()).unwrap();
    let (len, from) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], datagram);
    server.send_to(datagram, from).unwrap();
    let (len, from) = client.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], from), (datagram, flowgate.address()));
}

fn messages(flow: &Flow) -> Vec<(bool, &[u8])> {
    let FlowKind::Udp(raw) = &flow.kind else { panic!("not a UDP flow: {flow:?}") };
    raw.messages.iter().map(|message| (message.from_client, &message.content[..])).collect()
}

fn reason(flow: &Flow) -> Option<&str> {
    match flow.metadata.iter().find(|(key, _)| key == "flowgate.reason")? {
        (_, MetadataValue::Text(reason)) => Some(reason),
        _ => None,
    }
}

#[test]
fn a_conversation_is_printed_saved_and_read_back() {
    let (server, client) = (socket(), socket());
    let flowgate = reverse("udp", &server).start();
    echo(&flowgate, &client, &server, b"ping");
    echo(&flowgate, &client, &server, b"");
    let flows = saved_flows(&flowgate);
    let shown = masked(&printed(&flowgate), &[(address(&server).to_string(), "SERVER")]);
    for line in [
        "[TIME][CLIENT] client connect\n[TIME][CLIENT] server connect SERVER\n[TIME][CLIENT] record raw: the mode says so\n",
        "CLIENT -> udp -> SERVER\nCLIENT <- udp <- SERVER\n",
        "[TIME][CLIENT] server disconnect SERVER\n[TIME][CLIENT] client disconnect\n",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let [flow] = &flows[..] else { panic!("{flows:?}") };
    assert_eq!(messages(flow), [(true, &b"ping"[..]), (false, b"ping"), (true, b""), (false, b"")]);
    assert_eq!(flow.client.connection.transport, Transport::Udp);
    assert_eq!(flow.client.connection.peername, Some(address(&client)));
    assert_eq!(flow.server.connection.peername, Some(address(&server)));
    assert_eq!(reason(flow), Some("record raw: the mode says so"));
    // The file is read again by the same program.
    let file = flowgate.path("flows").display().to_string();
    let output = Flowgate::run(FLOWGATE, &["dump", "-r", &file, "--flow-detail", "3", "~udp"]);
    assert!(output.stdout.contains(&format!("-> udp -> {}", address(&server))), "{output:?}");
    assert!(output.stdout.contains("ping"), "{output:?}");
}

#[test]
fn the_name_in_a_quic_hello_decides() {
    let ignore = ["--ignore-hosts", r"^pinned\.test:"];
    for (name, flows) in [("pinned.test", 0), ("other.test", 1)] {
        for scheme in ["quic", "http3"] {
            let (server, client) = (socket(), socket());
            let flowgate = reverse(scheme, &server).args(ignore).start();
            let hello = QuicHello::new(name);
            let mut buffer = [0; 2048];
            // Two datagrams, the second first.
            let mut datagrams = hello.datagrams(2);
            datagrams.reverse();
            for datagram in &datagrams {
                client.send_to(datagram, flowgate.address()).unwrap();
            }
            for datagram in &datagrams {
                let len = server.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..len], datagram);
            }
            echo(&flowgate, &client, &server, b"\x40what follows is protected");
            let saved = saved_flows(&flowgate);
            assert_eq!(saved.len(), flows, "{scheme} {name}");
            let shown = printed(&flowgate);
            let Some(flow) = saved.first() else {
                assert!(
                    shown.contains("pass through: ignore_hosts[0] /^pinned\\.test:/ matched pinned.test:"),
                    "{shown}"
                );
                continue;
            };
            assert_eq!(messages(flow).len(), 4);
            assert_eq!(flow.client.connection.sni.as_deref(), Some("other.test"));
            assert!(shown.contains("recorded raw: flowgate does not decrypt QUIC yet"), "{shown}");
            let reason = reason(flow).unwrap();
            assert!(reason.ends_with("recorded raw instead: flowgate does not decrypt QUIC yet"), "{reason}");
        }
    }
}

#[test]
fn tcp_and_udp_share_a_port_and_a_taken_one_is_said() {
    let (server, other) = (socket(), socket());
    let target = address(&server);
    // TCP first: its ports are taken by the hundred while tests run, those of UDP hardly ever.
    let tcp = Flowgate::builder(FLOWGATE).args(["--mode", "regular@127.0.0.1:0"]).start();
    let port = tcp.address().port();
    let udp = format!("reverse:udp://{target}@127.0.0.1:{port}");
    let first = Flowgate::builder(FLOWGATE).args(["--mode", &udp]).start();
    assert_eq!(first.address().port(), port, "UDP is free");
    let output = Flowgate::run(FLOWGATE, &["dump", "--mode", &udp]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        output.stderr.contains(&format!("reverse proxy to udp://{target} failed to listen")),
        "{output:?}"
    );
    assert!(output.stderr.contains("another program listens there already"), "{output:?}");
    echo(&first, &other, &server, b"still served");
}
