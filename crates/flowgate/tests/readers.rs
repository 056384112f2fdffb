//! `flowgate flows`, `show`, `diff` and `convert`, as the built program answers them, on a file and on a store.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use expect_test::{Expect, expect};
use tempfile::TempDir;

/// Flows of every kind, as mitmproxy wrote them.
const FLOWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../formats/tests/data/mitmproxy-12.2.3-v21.flows");

/// Runs the program; shows the exit code, then what it printed.
fn run(home: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_flowgate"))
        .args(arguments)
        .current_dir(home)
        .env("HOME", home)
        .env_remove("MITMPROXY_CASE_SENSITIVE_FILTERS")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let shown = format!("exit {}\n{out}{err}", output.status.code().unwrap());
    // The text of a test has no blanks at the end of a line.
    shown.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A folder with the file `a.flows`, and the same flows in the store `a.store`.
fn home() -> TempDir {
    let home = TempDir::new().unwrap();
    fs::copy(FLOWS, home.path().join("a.flows")).unwrap();
    let converted = run(home.path(), &["convert", "a.flows", "a.store"]);
    assert!(converted.starts_with("exit 0\n"), "{converted}");
    home
}

/// The file and the store answer alike.
#[track_caller]
fn check(arguments: &[&str], expected: Expect) {
    let home = home();
    let of = |source: &[&str]| {
        run(home.path(), &[&arguments[..1], source, &arguments[1..]].concat())
            .replace("a.flows", "SOURCE")
            .replace("a.store", "SOURCE")
    };
    let answer = of(&["-r", "a.flows"]);
    expected.assert_eq(&answer);
    assert_eq!(of(&["--store", "a.store"]), answer);
    assert_eq!(of(&["-r", "a.store"]), answer);
}

#[test]
fn a_table() {
    check(
        &["flows"],
        expect![[r#"
        exit 0
        ID        METHOD   STATUS    SIZE    TIME  URL
        00000000  GET         200     14b    3.0s  http://address:22/path
        00000001  GET           -      7b    7.0s  http://address:22/path << error
        00000002  GET+ws        -     36b    5.0s  http://address:22/path
        00000003  tcp           -     12b   300ms  address:22
        00000004  tcp           -     12b   300ms  address:22 << error
        00000005  udp           -     12b   300ms  address:22
        00000006  udp           -     12b   300ms  address:22 << error
        00000007  dns           -      8b    1.0s  dns.google
        00000008  dns           -      0b       -  address:22
        00000009  dns           -      0b    7.0s  dns.google << error
        0000000a  GET         200    5.0k     0ms  https://example.com/path
        0000000b  POST        599       -    3.0s  http://address:22/path
        0000000c  GET         200     14b    3.0s  http://address:22/path
        0000000d  GET+ws      101    4.9k    5.0s  http://example.com/ws
        0000000e  GET+ws      101      0b    3.0s  http://example.com/ws
        0000000f  tcp           -    190b    2.7s  address:22
        00000010  dns           -     19b       -  dns.google
    "#]],
    );
}

#[test]
fn a_filtered_table() {
    check(
        &["flows", "~c", "200", "&", "~b", "."],
        expect![[r#"
        exit 0
        ID        METHOD   STATUS    SIZE    TIME  URL
        00000000  GET         200     14b    3.0s  http://address:22/path
        0000000a  GET         200    5.0k     0ms  https://example.com/path
        0000000c  GET         200     14b    3.0s  http://address:22/path
    "#]],
    );
}

#[test]
fn json() {
    check(
        &["flows", "--json", "~websocket"],
        expect![[r#"
        exit 0
        {"client":"127.0.0.1:22","comment":null,"created":946681202.5,"duration":5.0,"error":null,"host":"address","host_header":"address","id":"00000002-0000-4000-8000-000000000000","kind":"websocket","marked":null,"method":"GET","number":3,"reason":null,"replay":null,"request_bytes":29,"request_type":null,"response_bytes":null,"response_type":null,"server":"address:22","sni":"address","status":null,"url":"http://address:22/path"}
        {"client":"127.0.0.1:22","comment":null,"created":946681213.5,"duration":5.0,"error":null,"host":"example.com","host_header":"example.com","id":"0000000d-0000-4000-8000-000000000000","kind":"websocket","marked":null,"method":"GET","number":14,"reason":null,"replay":null,"request_bytes":22,"request_type":null,"response_bytes":5007,"response_type":null,"server":"address:22","sni":"address","status":101,"url":"http://example.com/ws"}
        {"client":"127.0.0.1:22","comment":null,"created":946681214.5,"duration":3.0,"error":null,"host":"example.com","host_header":"example.com","id":"0000000e-0000-4000-8000-000000000000","kind":"websocket","marked":null,"method":"GET","number":15,"reason":null,"replay":null,"request_bytes":0,"request_type":null,"response_bytes":0,"response_type":null,"server":"address:22","sni":"address","status":101,"url":"http://example.com/ws"}
    "#]],
    );
}

#[test]
fn a_filter_with_a_mistake() {
    check(
        &["flows", "~uu x"],
        expect![[r#"
        exit 1
        error: unknown operator ~uu at column 1; did you mean ~u?
    "#]],
    );
}

#[test]
fn one_flow() {
    let home = home();
    let listed = run(home.path(), &["flows", "-r", "a.flows", "--json", "~websocket"]);
    let id = listed.split_once("\"id\":\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    check(
        &["show", &id],
        expect![[r#"
        exit 0
        flow     00000002-0000-4000-8000-000000000000
        client   127.0.0.1:22 (regular) TLSv1.2 cipher http/1.1 address
        server   address:22 (192.168.0.1:22) TLSv1.2 address

        127.0.0.1:22 -> WebSocket binary message -> address:22/path

            hello binary

        127.0.0.1:22 -> WebSocket text message -> address:22/path

            hello text

        127.0.0.1:22 <- WebSocket text message <- address:22/path

            it's me

        WebSocket connection closed by server: 1000 Close Reason
    "#]],
    );
}

#[test]
fn no_flow_or_several() {
    check(
        &["show", "zz"],
        expect![[r#"
        exit 1
        error: no flow has an id that begins with `zz`
        hint: `flowgate flows` lists the flows with their ids
    "#]],
    );
    check(
        &["show", ""],
        expect![[r#"
        exit 1
        error: several flows have an id that begins with ``: 00000000-0000-4000-8000-000000000000, 00000001-0000-4000-8000-000000000000, 00000002-0000-4000-8000-000000000000, 00000003-0000-4000-8000-000000000000, ...
        hint: write more of the id
    "#]],
    );
}

#[test]
fn what_differs() {
    let home = home();
    let listed = run(home.path(), &["flows", "-r", "a.flows", "--json", "~http & ~s"]);
    let ids: Vec<_> = listed.split("\"id\":\"").skip(1).map(|rest| rest.split_once('"').unwrap().0).collect();
    check(
        &["diff", ids[0], ids[3]],
        expect![[r#"
            exit 1
            --- 00000000-0000-4000-8000-000000000000
            +++ 0000000c-0000-4000-8000-000000000000
            @@ -1,10 +1,10 @@
            -127.0.0.1:22: GET http://address:22/path
            +: GET http://address:22/path
                 header: qvalue
                 content-length: 7
 
                 content
 
            - << 200 OK 7b
            +[replay] << 200 OK 7b
                 header-response: svalue
                 content-length: 7
 
        "#]],
    );
    check(&["diff", ids[0], ids[0]], expect![["exit 0\n"]]);
    check(
        &["diff", ids[0], "nope"],
        expect![[r#"
        exit 2
        error: no flow has an id that begins with `nope`
        hint: `flowgate flows` lists the flows with their ids
    "#]],
    );
    // A command line that cannot be used once ended with 1, as a difference does.
    check(
        &["diff", ids[0]],
        expect![[r#"
        exit 2
        error: `flowgate diff` needs the ids of two flows
        hint: as in `flowgate diff -r FILE 3fa94c1e 07bd`
    "#]],
    );
}

#[test]
fn conversion_loses_nothing() {
    let home = home();
    let run = |arguments: &[&str]| run(home.path(), arguments);
    expect![[r#"
        exit 0
        17 flows written to b.flows
    "#]]
    .assert_eq(&run(&["convert", "a.store", "b.flows"]));
    // Both are as we write them.
    run(&["convert", "a.flows", "c.flows"]);
    let bytes = |name: &str| fs::read(home.path().join(name)).unwrap();
    assert!(bytes("b.flows") == bytes("c.flows"));
    // A store is added to, a file is not written over.
    expect![[r#"
        exit 0
        3 flows written to a.store
    "#]]
    .assert_eq(&run(&["convert", "a.flows", "a.store", "~tcp"]));
    expect![[r#"
        exit 1
        error: cannot write flows to b.flows
          cause: there is a file of this name already
        hint: name another file, or let it be replaced with `--overwrite`
    "#]]
    .assert_eq(&run(&["convert", "a.store", "b.flows"]));
    expect![[r#"
        exit 1
        error: a.store would be read and written at once
    "#]]
    .assert_eq(&run(&["convert", "a.store", "a.store"]));
    expect![[r#"
        exit 1
        error: cannot tell from the name b.txt what to write
        hint: the name ends in `.flows`, `.flow`, `.mitm`, `.dump`, `.mitmdump`, `.har`, `.zhar`, `.pcapng`, or for a store in `.store` or `/`
    "#]].assert_eq(&run(&["convert", "a.store", "b.txt"]));
    expect![[r#"
        exit 1
        error: cannot read flows from none.flows
          cause: No such file or directory (os error 2)
        hint: flows are read from a flow file, a HAR file, or the folder of a store
    "#]]
    .assert_eq(&run(&["convert", "none.flows", "c.flows"]));
    expect![[r#"
        exit 1
        error: `flowgate convert` needs to know from where and to where
        hint: as in `flowgate convert old.flows new.store`
    "#]]
    .assert_eq(&run(&["convert", "a.flows"]));
}

#[test]
fn a_damaged_file_gives_what_is_readable() {
    let home = home();
    let bytes = fs::read(home.path().join("a.flows")).unwrap();
    fs::write(home.path().join("cut.flows"), &bytes[..bytes.len() - 5]).unwrap();
    let answer = run(home.path(), &["convert", "cut.flows", "cut.store"]);
    expect![[r#"
        exit 1
        16 flows written to cut.store
        error: cannot read flows from cut.flows
          cause: flow file corrupted at byte 42345 after 16 flows
          cause: expected the rest of an item, found the end of the file
    "#]]
    .assert_eq(&answer);
}

#[test]
fn sources_that_are_none() {
    let home = home();
    let run = |arguments: &[&str]| run(home.path(), arguments);
    expect![[r#"
        exit 1
        error: nothing says which flows are meant
        hint: name a store with `--store FOLDER`, or a flow file with `-r FILE`
    "#]]
    .assert_eq(&run(&["flows"]));
    expect![[r#"
        exit 1
        error: cannot read flows from none
          cause: No such file or directory (os error 2)
        hint: flows are read from a flow file, a HAR file, or the folder of a store
    "#]]
    .assert_eq(&run(&["flows", "-r", "none"]));
    expect![[r#"
        exit 1
        error: cannot read flows from .
          cause: there is no store at .
        hint: a store is the folder that `--store` named
    "#]]
    .assert_eq(&run(&["flows", "-r", "."]));
    expect![[r#"
        exit 1
        error: only a store can be followed, and a.flows is a file
        hint: `flowgate dump --store FOLDER` keeps flows in a store
    "#]]
    .assert_eq(&run(&["flows", "-r", "a.flows", "--follow"]));
    expect![[r#"
        exit 1
        error: `flowgate show` needs the id of a flow
        hint: as in `flowgate show -r FILE 3fa94c1e`
    "#]]
    .assert_eq(&run(&["show", "-r", "a.flows"]));
}
