//! Programs that people point at a proxy: Python, curl with many requests at once, h2load, and Chromium with a page of many
//! parts.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use flowgate_testkit::{Chromium, Flowgate, H2load, Load, Nginx, NginxBuilder, Process, require};
use tempfile::TempDir;

use crate::support::{flowgate, http, saved_flows, text};

/// For programs that take a while to begin.
const PATIENCE: Duration = Duration::from_secs(90);

fn behind(nginx: &Nginx) -> Flowgate {
    flowgate().set("ssl_verify_upstream_trusted_ca", nginx.ca().certificate_path().display()).start()
}

/// Prints the status and body of a URL, fetched with urllib and with http.client, and the way back of a POST.
const PYTHON: &str = r#"
import http.client, ssl, sys, urllib.parse, urllib.request
proxy, root, plain, secure = sys.argv[1:]
context = ssl.create_default_context(cafile=root)
opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({"http": proxy, "https": proxy}), urllib.request.HTTPSHandler(context=context))
for url in (plain, secure):
    with opener.open(url) as reply:
        print(reply.status, reply.read().decode())
address = urllib.parse.urlsplit(proxy)
target = urllib.parse.urlsplit(secure)
connection = http.client.HTTPSConnection(address.hostname, address.port, context=context)
connection.set_tunnel(target.hostname, target.port)
for body in (b"x" * 100_000, iter([b"chunk", b"ed"])):
    connection.request("PUT", "/put/python", body=body, encode_chunked=not isinstance(body, bytes),
        headers={} if isinstance(body, bytes) else {"Transfer-Encoding": "chunked"})
    reply = connection.getresponse()
    print(reply.status, len(reply.read()))
"#;

#[test]
fn python() {
    let nginx = Nginx::builder().file("a.txt", "from nginx").start();
    let (Some(nginx), Some(python)) = (nginx, require("python3")) else { return };
    let flowgate = behind(&nginx);
    let mut command = Process::command(&python);
    command
        .args(["-c", PYTHON, &flowgate.proxy_url()])
        .arg(flowgate.ca_certificate())
        .args([nginx.http_url("/a.txt"), nginx.https_url("/a.txt")]);
    let output = Process::run("python3", command, PATIENCE);
    assert_eq!(output.stdout, "200 from nginx\n200 from nginx\n201 0\n204 0\n", "{}", output.stderr);
    assert_eq!(nginx.stored("python"), b"chunked");
    assert_eq!(saved_flows(&flowgate).len(), 4);
}

/// One connection, a hundred streams: each answer has to reach the request it belongs to.
#[test]
fn curl_with_a_hundred_streams() {
    let builder = (0..100).fold(Nginx::builder(), |builder: NginxBuilder, index| {
        builder.file(&format!("{index}.txt"), format!("file {index}\n").repeat(index + 1))
    });
    let (Some(nginx), Some(curl)) = (builder.start(), require("curl")) else { return };
    let flowgate = behind(&nginx);
    let folder = TempDir::new().unwrap();
    let mut command = Process::command(&curl);
    command
        .args([
            "-q",
            "--silent",
            "--show-error",
            "--fail",
            "--noproxy",
            "",
            "--proxy",
            &flowgate.proxy_url(),
            "--cacert",
        ])
        .arg(flowgate.ca_certificate())
        .args(["--http2", "--parallel", "--parallel-max", "100", "--output"])
        .arg(folder.path().join("#1"))
        .arg(nginx.https_url("/[0-99].txt"));
    let output = Process::run("curl", command, PATIENCE);
    assert!(output.status.success(), "{output:?}");
    for index in 0..100 {
        let body = fs::read_to_string(folder.path().join(index.to_string())).unwrap();
        assert_eq!(body, format!("file {index}\n").repeat(index + 1));
    }
    let log = nginx.access_log();
    assert!(log.iter().all(|entry| entry.protocol == "HTTP/2.0"), "{log:?}");
    assert_eq!(saved_flows(&flowgate).len(), 100);
}

/// h2load knows no proxies; but what comes to us without a host in its target is taken to its `Host`, over TLS to the proxy
/// as well. So it is HTTP/1.1 towards us (ALPN says so), and HTTP/2 towards nginx. Many streams from one client: see
/// [`curl_with_a_hundred_streams`].
#[test]
fn h2load_on_many_connections() {
    let Some(nginx) = Nginx::builder().file("a.txt", "hello\n").start() else { return };
    let flowgate = behind(&nginx);
    let load = H2load {
        http1: true,
        clients: 20,
        requests: 400,
        connect_to: Some(flowgate.address()),
        ..H2load::default()
    };
    let all = Load { total: 400, succeeded: 400, failed: 0 };
    for url in [nginx.http_url("/a.txt"), nginx.https_url("/a.txt")] {
        let Some(load) = load.run(&url) else { return };
        assert_eq!(load, all, "{url}");
    }
    let flows = saved_flows(&flowgate);
    assert_eq!(flows.len(), 800);
    assert!(
        flows.iter().all(|flow| http(flow).response.as_ref().is_some_and(|response| response.status == 200))
    );
}

/// Scripts, style sheets and pictures, each of which counts itself.
fn page() -> (String, Vec<(String, String)>) {
    let mut parts = Vec::new();
    let mut page = "<!doctype html><title>t</title><script>let loaded = 0</script>\n".to_owned();
    for index in 0..16 {
        page += &format!("<script src='/{index}.js'></script>\n");
        parts.push((format!("{index}.js"), format!("loaded++; // {}", "x".repeat(index * 1000))));
        page += &format!("<img src='/{index}.svg' onload='loaded++'>\n");
        parts.push((
            format!("{index}.svg"),
            "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>".into(),
        ));
        page += &format!("<link rel='stylesheet' href='/{index}.css' onload='loaded++'>\n");
        parts.push((format!("{index}.css"), format!("p {{ margin: {index}px }}")));
    }
    page += "<p id='count'></p><script>onload = () => { count.textContent = `${loaded} loaded` }</script>\n";
    (page, parts)
}

#[test]
fn chromium_loads_a_page_of_many_parts() {
    let (page, parts) = page();
    let builder = parts.iter().fold(Nginx::builder().file("page.html", page), |builder, (name, content)| {
        builder.file(name, content.as_str())
    });
    let Some(nginx) = builder.start() else { return };
    let flowgate = behind(&nginx);
    let Some(browser) = Chromium::new(&[&flowgate.ca_certificate()]) else { return };
    let document = browser.proxy(&flowgate.proxy_url()).dump_dom(&nginx.https_url("/page.html"));
    assert!(document.contains(&format!("<p id=\"count\">{} loaded</p>", parts.len())), "{document}");
    let flows = saved_flows(&flowgate);
    let seen: BTreeSet<String> = flows
        .iter()
        .filter(|flow| http(flow).response.as_ref().is_some_and(|response| response.status == 200))
        .map(|flow| text(&http(flow).request.path))
        .collect();
    let missing: Vec<_> = parts.iter().filter(|(name, _)| !seen.contains(&format!("/{name}"))).collect();
    assert!(missing.is_empty() && seen.contains("/page.html"), "no flows for {missing:?}");
}
