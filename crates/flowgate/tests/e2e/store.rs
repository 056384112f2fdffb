//! A store that `dump` keeps flows in: written while it runs, read meanwhile, there after any end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use flowgate_testkit::{Flowgate, Output, PATIENCE, RawServer, Signal};

use crate::support::{Client, FLOWGATE, flowgate, read_flows, text};

fn server() -> RawServer {
    RawServer::start(|connection| {
        while let Ok(head) = connection.read_until(b"\r\n\r\n") {
            let large = text(&head).starts_with("GET /large ");
            let body = if large { b"0123456789abcdef".repeat(200_000) } else { b"small".to_vec() };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            connection.send([answer.as_bytes(), &body].concat())?;
        }
        Ok(())
    })
}

fn get(flowgate: &Flowgate, server: &RawServer, paths: &[&str]) {
    let mut client = Client::connect(flowgate);
    for path in paths {
        client.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.http_url(path)));
        client.response();
    }
}

fn run(arguments: &[&str]) -> Output {
    Flowgate::run(FLOWGATE, arguments)
}

/// The paths of the flows in a store, once there are so many.
fn wait_for_paths(store: &Path, count: usize) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed = run(&["flows", "--store", store.to_str().unwrap(), "--json"]);
        assert_eq!(listed.status.code(), Some(0), "{listed:?}");
        let paths: Vec<_> = listed
            .stdout
            .lines()
            .filter_map(|line| line.split_once("\"url\":\"http://")?.1.split_once('/')?.1.split_once('"'))
            .map(|(path, _)| path.to_owned())
            .collect();
        if paths.len() >= count {
            return paths;
        }
        assert!(Instant::now() < deadline, "{listed:?}");
    }
}

#[test]
fn flows_are_there_while_it_runs_and_after_it_was_killed() {
    let server = server();
    let builder = Flowgate::builder(FLOWGATE);
    let store = builder.path("store");
    let first = builder.args(["--store", store.to_str().unwrap()]).start();
    get(&first, &server, &["/a", "/large", "/b"]);
    assert_eq!(wait_for_paths(&store, 3), ["a", "large", "b"]);
    // One writer at a time; it says so before it listens.
    let second = run(&["dump", "-n", "--store", store.to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(1));
    let message = second.stderr.replace(store.to_str().unwrap(), "STORE");
    assert_eq!(
        message,
        "error: cannot use the store at STORE\n  cause: the bodies of the store\n  cause: another process writes to this store\n\
         hint: end the other program, or name another folder; any number may read it\n"
    );
    first.process().signal(Signal::KILL);
    assert!(!first.process().wait(PATIENCE).success());
    assert_eq!(wait_for_paths(&store, 3), ["a", "large", "b"]);

    let again = Flowgate::builder(FLOWGATE).args(["--store", store.to_str().unwrap()]).start();
    get(&again, &server, &["/c"]);
    assert_eq!(again.stop(Signal::TERM).code(), Some(0));
    assert_eq!(wait_for_paths(&store, 4), ["a", "large", "b", "c"]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&store), 0o700);
    for file in fs::read_dir(&store).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_store_and_a_file_hold_the_same() {
    let server = server();
    let builder = flowgate();
    let (file, store, copy) = (builder.path("flows"), builder.path("store"), builder.path("copy.flows"));
    let flowgate = builder.args(["--store", store.to_str().unwrap()]).start();
    get(&flowgate, &server, &["/a", "/large", "/a"]);
    assert_eq!(flowgate.stop(Signal::TERM).code(), Some(0));
    assert_eq!(read_flows(&file).len(), 3);
    let converted = run(&["convert", store.to_str().unwrap(), copy.to_str().unwrap()]);
    assert_eq!(converted.status.code(), Some(0), "{converted:?}");
    assert!(fs::read(&file).unwrap() == fs::read(&copy).unwrap());
    // `-r` reads a store as it reads a file.
    let printed = |path: &Path| {
        let output = run(&["dump", "-nr", path.to_str().unwrap(), "--flow-detail", "2"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        output.stdout
    };
    assert_eq!(printed(&store), printed(&file));
}

#[test]
fn a_filter_says_what_is_kept() {
    let server = server();
    let builder = Flowgate::builder(FLOWGATE);
    let store = builder.path("store");
    let flowgate = builder.args(["--store", store.to_str().unwrap(), "~u", "/b"]).start();
    get(&flowgate, &server, &["/a", "/b"]);
    assert_eq!(flowgate.stop(Signal::TERM).code(), Some(0));
    assert_eq!(wait_for_paths(&store, 1), ["b"]);
}

#[test]
fn a_list_is_followed() {
    let server = server();
    let builder = Flowgate::builder(FLOWGATE);
    let store = builder.path("store");
    let flowgate = builder.args(["--store", store.to_str().unwrap()]).start();
    let mut command = flowgate_testkit::Process::command(Path::new(FLOWGATE));
    command.args(["flows", "--follow", "--store", store.to_str().unwrap(), "~u", "/b"]);
    let follower = flowgate_testkit::Process::spawn("flows", command);
    for round in 1..=2 {
        get(&flowgate, &server, &["/a", "/b"]);
        let mut seen = 0;
        follower.wait_for("a flow", PATIENCE, |line| {
            seen += usize::from(line.text.ends_with("/b"));
            (seen == round).then_some(())
        });
    }
    assert!(follower.lines().iter().all(|line| !line.text.ends_with("/a")));
    follower.signal(Signal::TERM);
    assert!(!follower.wait(PATIENCE).success());
}
