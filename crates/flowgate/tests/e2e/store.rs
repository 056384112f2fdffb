//! A store that `dump` keeps flows in: written while it runs, read meanwhile, there after any end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use flowgate_testkit::{Flowgate, Output, PATIENCE, RawServer, Signal, SmallDisk};

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

/// The paths of the flows in a store.
fn paths(store: &Path) -> Vec<String> {
    let listed = run(&["flows", "--store", store.to_str().unwrap(), "--json"]);
    assert_eq!(listed.status.code(), Some(0), "{listed:?}");
    let path = |line: &str| {
        let (path, _) = line.split_once("\"url\":\"http://")?.1.split_once('/')?.1.split_once('"')?;
        Some(path.to_owned())
    };
    listed.stdout.lines().filter_map(path).collect()
}

/// The same, once there are so many.
fn wait_for_paths(store: &Path, count: usize) -> Vec<String> {
    wait_for_so_many(count, || paths(store))
}

fn wait_for_so_many(count: usize, mut paths: impl FnMut() -> Vec<String>) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let paths = paths();
        if paths.len() >= count {
            return paths;
        }
        assert!(Instant::now() < deadline, "{paths:?}");
    }
}

/// What would be found if a process ended now, which goes on.
fn paths_as_of_now(flowgate: &Flowgate, store: &Path) -> Vec<String> {
    let copy = tempfile::tempdir().unwrap();
    flowgate.process().signal(Signal::STOP);
    for file in fs::read_dir(store).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    flowgate.process().signal(Signal::CONT);
    paths(copy.path())
}

/// It said `File exists`.
#[test]
fn a_file_is_no_place_for_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "flows").unwrap();
    let tried = run(&["dump", "-n", "--store", path.to_str().unwrap()]);
    assert_eq!(tried.status.code(), Some(1));
    assert_eq!(
        tried.stderr.replace(path.to_str().unwrap(), "FILE"),
        "error: cannot use the store at FILE\n  cause: FILE is a file, and a store is a folder\n\
         hint: name another place, or save to the file with `-w` instead\n"
    );
    assert_eq!(fs::read(&path).unwrap(), b"flows");
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

    // Nobody looks at these before it is killed: whoever does then finds them in the files, be they in the index or not.
    let again = Flowgate::builder(FLOWGATE).args(["--store", store.to_str().unwrap()]).start();
    get(&again, &server, &["/c", "/d"]);
    wait_for_so_many(5, || paths_as_of_now(&again, &store));
    again.process().signal(Signal::KILL);
    assert!(!again.process().wait(PATIENCE).success());
    assert_eq!(wait_for_paths(&store, 5), ["a", "large", "b", "c", "d"]);

    let last = Flowgate::builder(FLOWGATE).args(["--store", store.to_str().unwrap()]).start();
    get(&last, &server, &["/e"]);
    assert_eq!(last.stop(Signal::TERM).code(), Some(0));
    assert_eq!(wait_for_paths(&store, 6), ["a", "large", "b", "c", "d", "e"]);
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

#[test]
fn a_full_disk_stops_the_recording_and_nothing_else() {
    let Some(disk) = SmallDisk::new(256 * 1024) else { return };
    let server = server();
    let store = disk.path().join("store");
    let flowgate = Flowgate::builder(FLOWGATE).args(["--store", store.to_str().unwrap()]).start();
    get(&flowgate, &server, &["/before"]);
    assert_eq!(wait_for_paths(&store, 1), ["before"]);
    let filler = disk.fill();
    // Traffic goes on, long after there is no room even in pages that are there already.
    let lost: Vec<_> = (0..300).map(|n| format!("/full/{n}?{}", "x".repeat(2000))).collect();
    get(&flowgate, &server, &lost.iter().map(String::as_str).collect::<Vec<_>>());
    const PAUSED: &str = "cannot save flows in the store at the moment, traffic goes on: ";
    const RESUMED: &str = "saving flows in the store works again; ";
    flowgate.wait_for(|line| line.contains(PAUSED));
    // What was there can be looked at. Whether the index has room for all that was saved is another matter, and said.
    let listed = run(&["flows", "--store", store.to_str().unwrap(), "--json"]);
    assert!(listed.stdout.lines().next().unwrap().contains("/before\""), "{listed:?}");
    assert!(listed.status.success() || listed.stderr.contains("hint: "), "{listed:?}");
    fs::remove_file(filler).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut resumed = 0;
    while !flowgate.lines().iter().any(|line| line.text.contains(RESUMED)) {
        assert!(Instant::now() < deadline, "{:#?}", flowgate.lines());
        resumed += 1;
        get(&flowgate, &server, &[&format!("/resumed/{resumed}")]);
    }
    get(&flowgate, &server, &["/after"]);
    assert_eq!(flowgate.stop(Signal::TERM).code(), Some(0));
    let notices = |part: &str| flowgate.lines().iter().filter(|line| line.text.contains(part)).count();
    assert_eq!((notices(PAUSED), notices(RESUMED)), (1, 1), "{:#?}", flowgate.lines());
    let paths = wait_for_paths(&store, 2);
    assert_eq!(
        (paths.first().map(String::as_str), paths.last().map(String::as_str)),
        (Some("before"), Some("after"))
    );
    // All that it shows can be read.
    let printed = run(&["dump", "-nr", store.to_str().unwrap(), "--flow-detail", "3"]);
    assert_eq!((printed.status.code(), printed.stderr.as_str()), (Some(0), ""), "{printed:?}");
    assert_eq!(printed.stdout.matches(" GET http://").count(), paths.len());
    // A flow that ended while there was no room is either there as a whole or not at all.
    assert!(paths.len() < lost.len(), "{}", paths.len());
}

#[test]
fn what_is_kept_can_be_said_while_it_runs() {
    let server = server();
    let builder = Flowgate::builder(FLOWGATE).confdir_file("config.yaml", "store_retention: '2'\n");
    let store = builder.path("store");
    let flowgate = builder.args(["--store", store.to_str().unwrap()]).start();
    let wait_for = |wanted: &[&str]| {
        let deadline = Instant::now() + PATIENCE;
        while wait_for_paths(&store, 0) != wanted {
            assert!(Instant::now() < deadline, "{:?}", wait_for_paths(&store, 0));
        }
    };
    get(&flowgate, &server, &["/a", "/b", "/c"]);
    wait_for(&["b", "c"]);
    fs::write(flowgate.confdir().join("config.yaml"), "store_retention: '~u /c: 0'\n").unwrap();
    flowgate.wait_for(|line| line.contains("options reloaded: `store_retention`"));
    wait_for(&["b"]);
    assert_eq!(flowgate.stop(Signal::TERM).code(), Some(0));
    let refused =
        run(&["dump", "-n", "--store", store.to_str().unwrap(), "--set", "store_retention=7d; ~e 30d"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        refused.stderr,
        "error: option `store_retention`: `~e 30d` is no limit; limits are a size (500m), an age (30s, 10min, 12h, 7d, 2w) or a number of \
         flows (10000) at column 5\n"
    );
}
