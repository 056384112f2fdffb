//! One HTTPS GET, followed from being accepted to the saved flow, with the real curl, the real nginx and the real binary.
//!
//! The place to begin when learning the code: each step names the file that does it, so that a breakpoint there stops in
//! this test. It stands alone on purpose; what the other end-to-end tests share is in `e2e/support.rs`.

use std::fs::File;
use std::io::BufReader;

use flowgate_flow::{Flow, FlowKind, HttpVersion};
use flowgate_formats::FlowReader;
use flowgate_testkit::{Curl, Flowgate, Nginx, Signal};

const FLOWGATE: &str = env!("CARGO_BIN_EXE_flowgate");

#[test]
fn one_https_get_from_accept_to_saved_flow() {
    let nginx = Nginx::builder().file("hello.txt", "hello\n").start();
    let (Some(nginx), Some(curl)) = (nginx, Curl::new()) else { return };

    // 1. The command line becomes options (flowgate/cli.rs), the options become a session (session/session.rs): a CA in
    //    the configuration folder, a listener, a proxy. Only when all of it stands is the first line printed.
    let builder = Flowgate::builder(FLOWGATE);
    let flow_file = builder.path("flows");
    let flowgate = builder
        .set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display())
        .args(["-w", flow_file.to_str().unwrap()])
        .start();

    // 2. curl connects (proxy/instance.rs, proxy/client.rs) and sends CONNECT (proxy/explicit.rs). The server is connected
    //    to, the tunnel is granted, and curl's first bytes are a ClientHello: policy says "decrypt" (proxy/tunnel.rs,
    //    policy/decide.rs). TLS is spoken with nginx first, then with curl, under a leaf that was minted with nginx's names
    //    (proxy/decrypt.rs, tls/leaves.rs). Both agreed on HTTP/2, so the request is a stream (proxy/http/serve_h2.rs),
    //    and one exchange with nginx answers it (proxy/http/service.rs, exchange.rs).
    let reply = curl
        .proxy(&flowgate.proxy_url())
        .trust(&flowgate.ca_certificate())
        .fetch(&nginx.https_url("/hello.txt"));
    assert_eq!((reply.exit, reply.status, reply.version.as_str()), (0, 200, "2"), "{reply:?}");
    assert_eq!(reply.text(), "hello\n");
    let seen_by_nginx = nginx.wait_for_access(|entry| entry.target == "/hello.txt");
    assert_eq!((seen_by_nginx.protocol.as_str(), seen_by_nginx.sni.as_str()), ("HTTP/2.0", "localhost"));

    // 3. The flow is told to those who listen (proxy/events.rs): the printer (dump/printer.rs), the flow file's thread
    //    (session/flow_file.rs).
    let response_line = flowgate.wait_for(|line| line.contains(" << ")).text;
    assert_eq!(response_line, "     << HTTP/2.0 200 OK 6b");
    let printed: Vec<String> = flowgate.lines().into_iter().map(|line| line.text).collect();
    assert_eq!(printed[0], format!("HTTP(S) proxy listening at {}.", flowgate.address()));
    let request_line = printed.iter().find(|line| line.contains(": GET ")).unwrap();
    let url = nginx.https_url("/hello.txt");
    assert!(request_line.ends_with(&format!(": GET {url} HTTP/2.0")), "{printed:#?}");

    // 4. SIGTERM: nothing is in flight, what was told is in the file (dump/tool.rs).
    assert_eq!(flowgate.stop(Signal::TERM).code(), Some(0));

    // 5. The file is mitmproxy's format (formats/state.rs), and holds both sides of the story.
    let flows: Vec<Flow> =
        FlowReader::new(BufReader::new(File::open(&flow_file).unwrap())).map(Result::unwrap).collect();
    let [flow] = flows.as_slice() else { panic!("{} flows", flows.len()) };
    let FlowKind::Http(http) = &flow.kind else { panic!("{flow:?}") };
    let (request, response) = (&http.request, http.response.as_ref().unwrap());
    assert_eq!(request.version, HttpVersion::Http2);
    assert_eq!((request.method.as_ref(), request.scheme.as_ref()), (b"GET".as_ref(), b"https".as_ref()));
    assert_eq!((request.host.as_str(), request.port), ("localhost", nginx.https().port()));
    assert_eq!(request.path.as_ref(), b"/hello.txt");
    assert_eq!(response.status, 200);
    assert_eq!(response.headers.get("content-type"), Some(b"text/plain".as_ref()));
    assert_eq!(response.body.prefix(100).unwrap().unwrap(), "hello\n");
    assert!(flow.error.is_none());
    let (client, server) = (&flow.client.connection, &flow.server.connection);
    assert!(client.tls && server.tls);
    assert_eq!((client.sni.as_deref(), server.sni.as_deref()), (Some("localhost"), Some("localhost")));
    assert_eq!((client.alpn.as_deref(), server.alpn.as_deref()), (Some(&b"h2"[..]), Some(&b"h2"[..])));
    assert_eq!(server.peername, Some(nginx.https()));
    assert_eq!(server.certificate_list.len(), 1);

    // 6. Read back (session/read.rs), it prints the same two lines.
    let read_back = Flowgate::run(FLOWGATE, &["dump", "-nr", flow_file.to_str().unwrap()]);
    assert_eq!(read_back.status.code(), Some(0));
    assert_eq!(read_back.stdout, format!("{request_line}\n{response_line}\n"));
}
