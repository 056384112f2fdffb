//! SIGINT and SIGTERM: no new connections, what is in flight ends, what was seen is on disk, exit code 0. A second signal
//! ends it at once.

use std::io::{self, BufRead};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::time::Instant;

use flowgate_testkit::{Flowgate, PATIENCE, RawServer, Signal};

use crate::support::{Client, content, flowgate, http, read_flows};

/// A server that sends half of its answer, and the other half when told to.
fn halting_server() -> (RawServer, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let server = RawServer::start(move |connection| {
        connection.read_until(b"\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")?;
        wait.lock().unwrap().recv().map_err(io::Error::other)?;
        connection.send("later")?;
        connection.read_to_end().map(drop)
    });
    (server, go)
}

/// Waits until nobody listens any more.
fn wait_until_closed(flowgate: &Flowgate) {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(flowgate.address()).is_ok() {
        assert!(Instant::now() < deadline, "it still accepts connections");
        std::thread::yield_now();
    }
}

#[test]
fn what_is_in_flight_is_finished_and_saved() {
    for signal in [Signal::TERM, Signal::INT] {
        let (server, go) = halting_server();
        let flowgate = flowgate().start();
        let mut idle = Client::connect(&flowgate);
        let mut used = Client::connect(&flowgate);
        let ready = RawServer::start(|connection| {
            connection.read_until(b"\r\n\r\n")?;
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
            connection.read_to_end().map(drop)
        });
        used.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", ready.http_url("/")));
        used.response();
        let mut silent_tunnel = Client::tunnel(&flowgate, ready.address());
        let mut client = Client::connect(&flowgate);
        client.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url("/")));
        client.read_until("first");

        flowgate.process().signal(signal);
        wait_until_closed(&flowgate);
        // The connections on which nothing happens are closed while the answer is still on its way.
        assert_eq!(
            (idle.read_to_end(), used.read_to_end(), silent_tunnel.read_to_end()),
            (vec![], vec![], vec![])
        );
        drop((idle, used, silent_tunnel));
        assert!(flowgate.process().is_running());
        go.send(()).unwrap();
        assert_eq!(client.read_to_end(), b"later", "and then the connection ends");
        drop(client);
        assert_eq!(flowgate.process().wait(PATIENCE).code(), Some(0));
        let flows = read_flows(&flowgate.path("flows"));
        assert_eq!(flows.len(), 2);
        assert_eq!(content(&http(&flows[1]).response.as_ref().unwrap().body), b"firstlater");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second) in [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::TERM)] {
        let (server, _go) = halting_server();
        let flowgate = flowgate().start();
        let mut client = Client::connect(&flowgate);
        client.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url("/")));
        client.read_until("first");
        flowgate.process().signal(first);
        wait_until_closed(&flowgate);
        flowgate.process().signal(second);
        assert_eq!(flowgate.process().wait(flowgate_dump::SHUTDOWN_GRACE).code(), Some(0));
        assert_eq!(client.read_to_end(), b"", "what was in flight is cut");
    }
}

/// Nobody ends what is in flight, and nobody sends a second signal: the grace period is the end of it.
#[test]
fn the_grace_period_ends() {
    let (server, _go) = halting_server();
    let flowgate = flowgate().start();
    let mut client = Client::connect(&flowgate);
    client.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url("/")));
    client.read_until("first");
    assert_eq!(flowgate.stop(Signal::TERM).code(), Some(0));
    assert_eq!(client.read_to_end(), b"");
}

/// `flowgate dump | head`: who prints for nobody should stop.
#[test]
fn it_ends_when_nobody_reads_what_it_prints() {
    let (reader, writer) = io::pipe().unwrap();
    let mut reader = io::BufReader::new(reader);
    let folder = tempfile::TempDir::new().unwrap();
    let mut command = flowgate_testkit::Process::command(std::path::Path::new(crate::support::FLOWGATE));
    command
        .args(["dump", "-p", "0", "--listen-host", "127.0.0.1", "--set"])
        .arg(format!("confdir={}", folder.path().display()))
        .stdout(writer);
    let process = flowgate_testkit::Process::spawn("flowgate", command);
    let mut banner = String::new();
    reader.read_line(&mut banner).unwrap();
    drop(reader);
    let address = banner.trim_end().trim_end_matches('.').rsplit(' ').next().unwrap();
    // It notices when it has something to say.
    let deadline = Instant::now() + PATIENCE;
    while process.is_running() {
        drop(TcpStream::connect(address));
        assert!(Instant::now() < deadline, "it talks on to nobody");
    }
    assert_eq!(process.wait(PATIENCE).code(), Some(1));
    assert_eq!(
        process.lines().iter().map(|line| line.text.as_str()).collect::<Vec<_>>(),
        ["error: standard output is gone"]
    );
}
