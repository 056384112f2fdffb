//! The Autobahn cases of WebSocket conformance, played by kosoku: a case that a server passes is passed through us as well, in the clear
//! and with TLS on both sides.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use flowgate_testkit::{Process, kosoku_python};
use tempfile::TempDir;

use crate::support::flowgate;

/// For all cases of one run.
const PATIENCE: Duration = Duration::from_secs(300);
/// Cases that measure speed (9), and most of those with compression (12, 13), take minutes; of those some stand for all.
const EXCLUDED: [&str; 3] = ["9.*", "12.*", "13.*"];
const COMPRESSED: [&str; 8] =
    ["12.1.1", "12.1.4", "12.2.3", "12.4.5", "13.1.1", "13.3.3", "13.5.4", "13.7.2"];

/// What became of each case: `OK`, `NON-STRICT`, `INFORMATIONAL`, `FAILED` and others.
fn play(python: &Path, port: u16, arguments: &[&str]) -> BTreeMap<String, String> {
    let folder = TempDir::new().unwrap();
    let mut command = Process::command(&python.with_file_name("kosoku"));
    command.args(["-m", "fuzzingclient", &format!("127.0.0.1:{port}"), "-p", "2", "-o"]);
    command.arg(folder.path()).args(arguments);
    // It ends with 1 when any case failed.
    let output = Process::run("kosoku", command, PATIENCE);
    let report = fs::read_to_string(folder.path().join("index.json"))
        .unwrap_or_else(|err| panic!("kosoku wrote no report ({err}): {output:?}"));
    let (mut results, mut case) = (BTreeMap::new(), String::new());
    for line in report.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('"').and_then(|line| line.strip_suffix("\": {")) {
            case = name.to_owned();
        } else if let Some(behavior) = line.strip_prefix("\"behavior\": \"") {
            results.insert(case.clone(), behavior.trim_end_matches("\",").to_owned());
        }
    }
    results
}

/// All the cases that are played.
fn play_all(python: &Path, port: u16) -> BTreeMap<String, String> {
    let mut results = play(python, port, &EXCLUDED.map(|case| ["-x", case]).concat());
    results.extend(play(python, port, &COMPRESSED.map(|case| ["-i", case]).concat()));
    results
}

#[test]
fn cases_of_conformance_are_passed_through_us_as_without_us() {
    let Some(python) = kosoku_python() else { return };
    let mut command = Process::command(&python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/echo_websockets.py"));
    let server = Process::spawn("echo", command);
    let port: u16 = server.wait_for("its port", PATIENCE, |line| line.text.parse().ok());
    let clear = flowgate().args(["--mode", &format!("reverse:http://127.0.0.1:{port}")]).start();
    // kosoku speaks no TLS: what is between the two flowgates is TLS, to a server for the one and from a client for the other.
    let inner = flowgate().args(["--mode", &format!("reverse:http://127.0.0.1:{port}")]).start();
    let outer = flowgate()
        .args(["--mode", &format!("reverse:https://127.0.0.1:{}", inner.address().port())])
        .set("ssl_verify_upstream_trusted_ca", inner.ca_certificate().display())
        .start();
    let direct = play_all(&python, port);
    assert!(direct.len() >= 247 + COMPRESSED.len(), "{} cases", direct.len());
    for (how, flowgate) in [("in the clear", &clear), ("in TLS", &outer)] {
        let mut through = play_all(&python, flowgate.address().port());
        assert_eq!(through.len(), direct.len(), "{how}");
        let worse = |through: &BTreeMap<String, String>| -> Vec<String> {
            // `NON-STRICT` is a pass: whether an answer comes before what follows it is refused depends on who is faster.
            let passed = |behavior: &str| matches!(behavior, "OK" | "NON-STRICT");
            let failed = |(case, behavior): (&String, &String)| {
                (!passed(behavior) && Some(behavior) != direct.get(case)).then(|| case.clone())
            };
            through.iter().filter_map(failed).collect()
        };
        // Some cases wait for so long and no longer, which says little on a machine that is busy: they get another chance.
        for case in worse(&through) {
            through.extend(play(&python, flowgate.address().port(), &["-i", &case]));
        }
        let worse = worse(&through);
        assert!(
            worse.is_empty(),
            "{how}: {:?}",
            worse.iter().map(|case| (case, &through[case])).collect::<Vec<_>>()
        );
    }
}
