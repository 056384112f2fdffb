//! Both ways with the real mitmproxy 12 (or 11).
//!
//! `FLOWGATE_MITMPROXY_PYTHON` is the path of a Python that can import it; without that the test says that it was skipped,
//! and fails if `CI` is set. What mitmproxy does is in `interop/mitmproxy_flows.py`.
#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests fail by panicking; helpers are not seen as tests"
)]

mod samples;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flowgate_flow::Flow;
use flowgate_formats::{FlowReader, FlowWriter};
use samples::{assert_same, flows};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn both_ways() {
    let Some(python) = Python::find() else { return };
    ours_is_the_same_to_mitmproxy(&python);
    if python.run(&["version"]).starts_with("11.") {
        // It does not load what 12 does: DNS messages without a time, newer modes.
        return;
    }
    ours_comes_back_from_mitmproxy(&python);
    modes_load_in_mitmproxy(&python);
}

fn ours_is_the_same_to_mitmproxy(python: &Python) {
    let (theirs, ours) = (python.file("theirs.flows"), python.file("ours.flows"));
    let certificate = Path::new(ROOT).join("tests/data/cert.pem");
    python.run(&["write", path(&theirs), path(&certificate)]);

    let flows = read(&theirs);
    // mitmproxy 11 makes one flow less than 12.
    assert!(matches!(flows.len(), 16 | 17), "{}", flows.len());
    write(&ours, &flows);
    let (theirs, ours) = (python.run(&["dump", path(&theirs)]), python.run(&["dump", path(&ours)]));
    for (ours, theirs) in ours.lines().zip(theirs.lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.lines().count(), flows.len());
}

fn ours_comes_back_from_mitmproxy(python: &Python) {
    let [ours, once, twice] = ["sent.flows", "once.flows", "twice.flows"].map(|name| python.file(name));
    write(&ours, &flows());
    // Twice, because mitmproxy turns the order of metadata round each time.
    python.run(&["rewrite", path(&ours), path(&once)]);
    python.run(&["rewrite", path(&once), path(&twice)]);
    assert_same(&read(&twice), &flows());
}

/// A mode is written as it is if and only if mitmproxy loads it; else one flow would make the whole file unreadable.
fn modes_load_in_mitmproxy(python: &Python) {
    let modes = [
        "regular",
        "REGULAR",
        "regular:",
        "regular:x",
        "regular@",
        "regular@0",
        "regular@65536",
        "@80",
        "",
        "regular@1:2:3",
        "transparent",
        "socks5@0.0.0.0:1",
        "dns@53",
        "osproxy",
        "wireguard:x.conf",
        "tun:x",
        "upstream:h",
        "upstream:http://h/",
        "upstream:https://h:1",
        "upstream:socks5://h:1",
        "upstream:http://u:p@h:80",
        "upstream:tcp://h:1",
        "reverse:h:99999",
        "reverse:tls://h",
        "reverse:tls://h:1",
        "reverse:quic://h",
        "reverse:http://[::1]:80",
        "reverse:http://ex ample",
        "reverse:ftp://h:1",
        "reverse:",
        "reverse:http://h:80@99",
        "reverse:http://h.@::1:99",
        "local",
        "local:a,b",
        "local:!a",
        "local:,",
        "local:!",
        "warp",
    ];
    let (file, out) = (python.file("modes.flows"), python.file("modes-out.flows"));
    let mut flows: Vec<_> = modes.iter().map(|_| flows().remove(2)).collect();
    for (flow, mode) in flows.iter_mut().zip(modes) {
        std::sync::Arc::make_mut(&mut flow.client).mode = mode.into();
    }
    write(&file, &flows);
    python.run(&["rewrite", path(&file), path(&out)]);
    let back: Vec<_> = read(&out).iter().map(|flow| flow.client.mode.clone()).collect();
    assert_eq!(back, modes);

    let loading = python.run(&[&["modes"][..], &modes].concat());
    for (mode, loads) in modes.iter().zip(loading.lines()) {
        let bytes = written(&flows[modes.iter().position(|other| other == mode).unwrap()..][..1]);
        let as_it_is = !bytes.windows(20).any(|part| part == b"flowgate.client.mode");
        assert_eq!(as_it_is, loads == "True", "{mode}");
    }
    assert_eq!(loading.lines().count(), modes.len());
}

/// A Python with mitmproxy, and a directory for the files that go to and fro.
struct Python {
    program: PathBuf,
    directory: PathBuf,
}

impl Python {
    fn find() -> Option<Self> {
        let Some(program) = std::env::var_os("FLOWGATE_MITMPROXY_PYTHON") else {
            let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
            assert!(!in_ci, "FLOWGATE_MITMPROXY_PYTHON must be set in CI");
            eprintln!("skipped: FLOWGATE_MITMPROXY_PYTHON is not set (a Python with mitmproxy 12)");
            return None;
        };
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop");
        fs::create_dir_all(&directory).unwrap();
        Some(Self { program: program.into(), directory })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn run(&self, args: &[&str]) -> String {
        let script = Path::new(ROOT).join("tests/interop/mitmproxy_flows.py");
        let output = Command::new(&self.program).arg(script).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn read(path: &Path) -> Vec<Flow> {
    FlowReader::new(&*fs::read(path).unwrap()).collect::<Result<_, _>>().unwrap()
}

fn write(path: &Path, flows: &[Flow]) {
    fs::write(path, written(flows)).unwrap();
}

fn written(flows: &[Flow]) -> Vec<u8> {
    let (mut out, mut writer) = (Vec::new(), FlowWriter::new());
    for flow in flows {
        writer.write_flow(&mut out, flow).unwrap();
    }
    out
}
