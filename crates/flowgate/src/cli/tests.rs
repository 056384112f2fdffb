//! Command lines as tables: what they change, and from where.

use std::fs;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

/// The options `line` changes, with the source of each, or the error.
fn check_in(home: &TempDir, line: &str, expected: Expect) {
    expected.assert_eq(&match parse(words(line), Some(home.path())) {
        Ok(Invocation { configuration, action: Action::Run, .. }) => configuration
            .options()
            .changed_from_default()
            .map(|(option, value)| {
                format!("{}: {value:?} ({:?})\n", option.name, configuration.options().source(option))
            })
            .collect(),
        Ok(Invocation { action, .. }) => format!("{action:?}\n"),
        Err(error) => {
            let hint = error.hint().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
            format!("error: {error}\n{hint}").replace(&home.path().display().to_string(), "HOME")
        }
    });
}

fn check(line: &str, expected: Expect) {
    check_in(&TempDir::new().unwrap(), line, expected);
}

fn home_with(files: &[(&str, &str)]) -> TempDir {
    let home = TempDir::new().unwrap();
    for (name, text) in files {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    home
}

#[test]
fn flags_of_the_registry() {
    check("flowgate dump", expect![]);
    check(
        "flowgate dump -p 9090 --listen-host 127.0.0.1 -m regular@9000 -m regular@9001",
        expect![[r#"
        mode: List(["regular@9000", "regular@9001"]) (Flag)
        listen_host: Text("127.0.0.1") (Flag)
        listen_port: Int(9090) (Flag)
    "#]],
    );
    check(
        "mitmdump -nkr in.flows -w +out.flows",
        expect![[r#"
        server: Bool(false) (Flag)
        ssl_insecure: Bool(true) (Flag)
        rfile: Text("in.flows") (Flag)
        save_stream_file: Text("+out.flows") (Flag)
    "#]],
    );
    check(
        "mitmdump -w out.flows --flow-detail 3 --showhost",
        expect![[r#"
        save_stream_file: Text("out.flows") (Flag)
        flow_detail: Int(3) (Flag)
        showhost: Bool(true) (Flag)
    "#]],
    );
    check(
        "/usr/bin/mitmdump --no-http2 --no-rawtcp --store-streamed-bodies --show-ignored-hosts",
        expect![[r#"
        show_ignored_hosts: Bool(true) (Flag)
        http2: Bool(false) (Flag)
        rawtcp: Bool(false) (Flag)
        store_streamed_bodies: Bool(true) (Flag)
    "#]],
    );
    check(
        "flowgate dump --ignore-hosts a --allow-hosts b --tcp-hosts c --ignore-hosts d",
        expect![[r#"
        ignore_hosts: List(["a", "d"]) (Flag)
        allow_hosts: List(["b"]) (Flag)
        tcp_hosts: List(["c"]) (Flag)
    "#]],
    );
    check(
        "flowgate dump -p9090 --server -p 9091",
        expect![[r#"
        listen_port: Int(9091) (Flag)
    "#]],
    );
}

#[test]
fn flags_cut_short() {
    check(
        "flowgate dump --ignore a --tcp=b --flow 2",
        expect![[r#"
        ignore_hosts: List(["a"]) (Flag)
        tcp_hosts: List(["b"]) (Flag)
        flow_detail: Int(2) (Flag)
    "#]],
    );
    check(
        "flowgate dump --listen 1",
        expect![[r#"
            error: `--listen` is cut too short
            hint: it could be `--listen-host`, `--listen-port`
        "#]],
    );
}

#[test]
fn switches_exclude_their_other_side() {
    check(
        "flowgate dump --http2 --no-http2",
        expect![[r#"
            error: flags `--http2` and `--no-http2` exclude each other
        "#]],
    );
    check("flowgate dump --http2 --http2", expect![]);
    check(
        "flowgate dump --http2=true",
        expect![[r#"
        error: flag `--http2` takes no value, but was given `true`
    "#]],
    );
    check(
        "flowgate dump -n --server",
        expect![[r#"
            error: flags `--no-server` and `--server` exclude each other
        "#]],
    );
}

#[test]
fn set() {
    check(
        "flowgate dump --set http2=false --set ignore_hosts=a --set ignore_hosts=b --set=tcp_timeout=5",
        expect![[r#"
            ignore_hosts: List(["a", "b"]) (Set)
            http2: Bool(false) (Set)
            tcp_timeout: Int(5) (Set)
        "#]],
    );
    check(
        "flowgate dump --set keepserving --set http2=toggle",
        expect![[r#"
        http2: Bool(false) (Set)
        keepserving: Bool(true) (Set)
    "#]],
    );
    check(
        "flowgate dump --set tcp_timeout=1 --set tcp_timeout=2",
        expect![[r#"
        error: option `tcp_timeout` holds one value but was given 2
    "#]],
    );
    check(
        "flowgate dump --set ignore-hosts=a",
        expect![[r#"
        error: `ignore-hosts` is not an option
        hint: did you mean `ignore_hosts`?
    "#]],
    );
    check(
        "flowgate dump --set intercept_active",
        expect![[r#"
        error: `intercept_active` is an option of mitmproxy that flowgate does not have yet
    "#]],
    );
    check(
        "flowgate dump --set connection_strategy=sometimes",
        expect![[r#"
        error: option `connection_strategy`: expected one of eager, lazy, found `sometimes`
    "#]],
    );
    check(
        "flowgate dump --set",
        expect![[r#"
        error: flag `--set` needs a value
        hint: a value that starts with `-` is written behind a `=`: `--flag=-value`
    "#]],
    );
}

#[test]
fn quiet_and_verbose() {
    check(
        "flowgate dump -q",
        expect![[r#"
        flow_detail: Int(0) (Flag)
        termlog_verbosity: Text("error") (Flag)
    "#]],
    );
    check(
        "flowgate dump -v",
        expect![[r#"
        flow_detail: Int(2) (Flag)
        termlog_verbosity: Text("debug") (Flag)
    "#]],
    );
    check(
        "flowgate dump -q -v",
        expect![[r#"
        flow_detail: Int(2) (Flag)
        termlog_verbosity: Text("debug") (Flag)
    "#]],
    );
    check(
        "flowgate dump -v --flow-detail 4",
        expect![[r#"
        flow_detail: Int(4) (Flag)
        termlog_verbosity: Text("debug") (Flag)
    "#]],
    );
    check(
        "flowgate dump --flow-detail 3 -q",
        expect![[r#"
        flow_detail: Int(3) (Flag)
        termlog_verbosity: Text("error") (Flag)
    "#]],
    );
    check(
        "flowgate dump -v --set flow_detail=3",
        expect![[r#"
        flow_detail: Int(2) (Flag)
        termlog_verbosity: Text("debug") (Flag)
    "#]],
    );
}

#[test]
fn bad_values_of_flags() {
    check(
        "flowgate dump -p abc",
        expect![[r#"
        error: option `listen_port`: expected a whole number from 0 to 65535, found `abc`
    "#]],
    );
    check(
        "flowgate dump -p",
        expect![[r#"
        error: flag `--listen-port` needs a value
        hint: a value that starts with `-` is written behind a `=`: `--flag=-value`
    "#]],
    );
    check(
        "flowgate dump -p -n",
        expect![[r#"
        error: flag `--listen-port` needs a value
        hint: a value that starts with `-` is written behind a `=`: `--flag=-value`
    "#]],
    );
    check(
        "flowgate dump --flow-detail 5",
        expect![[r#"
        error: option `flow_detail`: expected a whole number from 0 to 4, found `5`
    "#]],
    );
    check(
        "flowgate dump -m reverse:foo@99999",
        expect![[r#"
        error: option `mode`: invalid proxy mode specification: `reverse:foo@99999`: `99999` is not a port (0 to 65535)
    "#]],
    );
    check(
        "flowgate dump -m wireguard",
        expect![[r#"
            error: option `mode`: invalid proxy mode specification: `wireguard`: flowgate does not run this mode yet
            hint: modes that run today: `regular`, `transparent`, `socks5`, `upstream:` with `http`, `https` or `socks5`, and `reverse:` with `http`, `https`, `tcp`, `tls`, `udp`, `quic` or `http3`; each may end in `@[host:]port`
        "#]],
    );
    check(
        "flowgate dump -m regular -m regular@8080",
        expect![[r#"
        error: option `mode`: regular and regular@8080 would listen on the same address
        hint: give one of them another port: `--mode regular@9090`
    "#]],
    );
}

#[test]
fn flags_of_mitmproxy() {
    check(
        "flowgate dump -U http://proxy",
        expect![[r#"
            error: `-U` is a flag that mitmproxy removed
            hint: it is `--mode upstream:SPEC` now
        "#]],
    );
    check(
        "flowgate dump -R http://server",
        expect![[r#"
            error: `-R` is a flag that mitmproxy removed
            hint: it is `--mode reverse:SPEC` now
        "#]],
    );
    check(
        "flowgate dump --socks",
        expect![[r#"
            error: `--socks` is a flag that mitmproxy removed
            hint: it is `--mode socks5` now
        "#]],
    );
    check(
        "flowgate dump -b 127.0.0.1",
        expect![[r#"
        error: `-b` is a flag that mitmproxy removed
        hint: it is `--listen-host HOST` now
    "#]],
    );
    check(
        "flowgate dump --insecure",
        expect![[r#"
        error: `--insecure` is a flag that mitmproxy removed
        hint: it is `--ssl-insecure` now
    "#]],
    );
    check(
        "flowgate dump -a file",
        expect![[r#"
        error: `-a` is a flag that mitmproxy removed
        hint: use `-w +PATH`: the `+` appends
    "#]],
    );
    check(
        "flowgate dump -Z 3m",
        expect![[r#"
            error: `-Z` is a flag that mitmproxy removed
            hint: it is `--set body_size_limit=VALUE` now
        "#]],
    );
    check(
        "flowgate dump --cert x.pem",
        expect![[r#"
            error: `--cert` is a flag that mitmproxy removed
            hint: it is `--certs SPEC` now
        "#]],
    );
    check(
        "flowgate dump --replace x",
        expect![[r#"
            error: `--replace` is a flag that mitmproxy removed
            hint: it is `--modify-body PATTERN` or `--modify-headers PATTERN` now
        "#]],
    );
    check(
        "flowgate dump --norefresh",
        expect![[r#"
        error: `--norefresh` is a flag that mitmproxy removed
    "#]],
    );
    check(
        "flowgate dump --no-upstream-cert",
        expect![[r#"
        error: `--no-upstream-cert` is not a flag: `upstream_cert` has none
        hint: use `--set upstream_cert=false`
    "#]],
    );
    check(
        "flowgate dump --confdir x",
        expect![[r#"
        error: `--confdir` is not a flag: `confdir` has none
        hint: use `--set confdir=VALUE`
    "#]],
    );
    check(
        "flowgate dump -s x.py",
        expect![[r#"
        error: `-s` sets `scripts`, an option of mitmproxy that flowgate does not have yet
    "#]],
    );
    check(
        "flowgate dump --script x.py",
        expect![[r#"
        error: `--script` sets `scripts`, an option of mitmproxy that flowgate does not have yet
    "#]],
    );
    check(
        "flowgate dump --intercept-active",
        expect![[r#"
        error: `--intercept-active` sets `intercept_active`, an option of mitmproxy that flowgate does not have yet
    "#]],
    );
    check(
        "flowgate dump --no-intercept-active",
        expect![[r#"
        error: `--no-intercept-active` sets `intercept_active`, an option of mitmproxy that flowgate does not have yet
    "#]],
    );
    check(
        "flowgate dump --commands",
        expect![[r#"
        error: `--commands` is a flag of mitmproxy that flowgate does not have yet
    "#]],
    );
    check(
        "flowgate dump --listen_port 1",
        expect![[r#"
        error: `--listen_port` is not a flag: flags are written with hyphens
        hint: did you mean `--listen-port`?
    "#]],
    );
}

#[test]
fn unknown_flags() {
    check(
        "flowgate dump --bogus",
        expect![[r#"
        error: `--bogus` is not a flag
        hint: `--help` lists every flag
    "#]],
    );
    check(
        "flowgate dump --ingore-hosts x",
        expect![[r#"
        error: `--ingore-hosts` is not a flag
        hint: did you mean `--ignore-hosts REGEX`?
    "#]],
    );
    check(
        "flowgate dump --no-s",
        expect![[r#"
            error: `--no-s` is cut too short
            hint: it could be `--no-server`, `--no-show-ignored-hosts`, `--no-ssl-insecure`, `--no-store-streamed-bodies`, `--no-server-replay-kill-extra`, `--no-server-replay-reuse`, `--no-server-replay-refresh`, `--no-showhost`
        "#]],
    );
    check(
        "flowgate dump --no-listen-port",
        expect![[r#"
        error: `--no-listen-port` is not a flag
        hint: did you mean `--listen-port PORT`?
    "#]],
    );
    check(
        "flowgate dump -x",
        expect![[r#"
        error: `-x` is not a flag
        hint: `--help` lists every flag
    "#]],
    );
    check(
        "flowgate dump -qx",
        expect![[r#"
        error: `-x` is not a flag
        hint: `--help` lists every flag
    "#]],
    );
}

#[test]
fn words_behind_the_flags_are_a_filter() {
    let line = ["flowgate", "dump", "-q", "~d", "example.com", "&", "~s"].map(Into::into);
    let invocation = parse(line, Some(Path::new("/nowhere"))).unwrap();
    let values = invocation.configuration.options().values();
    for filter in [&values.dumper_filter, &values.readfile_filter, &values.save_stream_filter] {
        assert_eq!(filter.as_deref(), Some("~d example.com & ~s"));
    }
}

#[test]
fn tools() {
    check(
        "flowgate",
        expect![[r#"
        error: the terminal interface (`flowgate`, as `mitmproxy`) is not there yet
        hint: use `flowgate dump`
    "#]],
    );
    check(
        "flowgate -p 9090",
        expect![[r#"
        error: the terminal interface (`flowgate`, as `mitmproxy`) is not there yet
        hint: use `flowgate dump`
    "#]],
    );
    check(
        "flowgate web",
        expect![[r#"
        error: the browser interface (`flowgate web`, as `mitmweb`) is not there yet
        hint: use `flowgate dump`
    "#]],
    );
    check(
        "mitmproxy",
        expect![[r#"
        error: the terminal interface (`flowgate`, as `mitmproxy`) is not there yet
        hint: use `flowgate dump`
    "#]],
    );
    check(
        "mitmweb.exe --listen-port 1",
        expect![[r#"
        error: the browser interface (`flowgate web`, as `mitmweb`) is not there yet
        hint: use `flowgate dump`
    "#]],
    );
    check(
        "flowgate dmup",
        expect![[r#"
        error: `dmup` is not a command of flowgate
        hint: use `flowgate dump`
    "#]],
    );
    check(
        "mitmproxy dump",
        expect![[r#"
        error: unexpected argument `dump`
    "#]],
    );
    check(
        "flowgate web --flow-detail 1",
        expect![[r#"
            error: `--flow-detail` is a flag of another tool: dump
        "#]],
    );
    check(
        "flowgate --version",
        expect![[r#"
        Version
    "#]],
    );
    check(
        "mitmweb --options",
        expect![[r#"
        Options
    "#]],
    );
}

#[test]
fn precedence() {
    let home = home_with(&[
        (
            ".flowgate/config.yaml",
            "tcp_timeout: 1\nhttp2: false\nflow_detail: 2\nignore_hosts: [file]\nlisten_port: 1\n",
        ),
        (".flowgate/config.yml", "tcp_timeout: 2\n"),
    ]);
    check_in(
        &home,
        "flowgate dump",
        expect![[r#"
        listen_port: Int(1) (ConfigFile)
        ignore_hosts: List(["file"]) (ConfigFile)
        http2: Bool(false) (ConfigFile)
        tcp_timeout: Int(2) (ConfigFile)
        flow_detail: Int(2) (ConfigFile)
    "#]],
    );
    check_in(
        &home,
        "flowgate dump --set tcp_timeout=3 --set http2=toggle --set ignore_hosts=set",
        expect![[r#"
        listen_port: Int(1) (ConfigFile)
        ignore_hosts: List(["set"]) (Set)
        tcp_timeout: Int(3) (Set)
        flow_detail: Int(2) (ConfigFile)
    "#]],
    );
    check_in(
        &home,
        "flowgate dump -p 3 --set listen_port=2 --flow-detail 1 --ignore-hosts flag",
        expect![[r#"
        listen_port: Int(3) (Flag)
        ignore_hosts: List(["flag"]) (Flag)
        http2: Bool(false) (ConfigFile)
        tcp_timeout: Int(2) (ConfigFile)
    "#]],
    );
    check_in(
        &home,
        "flowgate dump -q",
        expect![[r#"
        listen_port: Int(1) (ConfigFile)
        ignore_hosts: List(["file"]) (ConfigFile)
        http2: Bool(false) (ConfigFile)
        tcp_timeout: Int(2) (ConfigFile)
        flow_detail: Int(0) (Flag)
        termlog_verbosity: Text("error") (Flag)
    "#]],
    );
}

#[test]
fn the_directory_of_the_config_file() {
    let home = home_with(&[("other/config.yaml", "flow_detail: 3\n")]);
    check_in(
        &home,
        "flowgate dump --set confdir=~/other",
        expect![[r#"
        flow_detail: Int(3) (ConfigFile)
        confdir: Text("~/other") (Set)
    "#]],
    );
    check_in(
        &home,
        "flowgate dump --set confdir=~/nowhere",
        expect![[r#"
        confdir: Text("~/nowhere") (Set)
    "#]],
    );
    check_in(
        &home,
        "flowgate dump --set confdir=",
        expect![[r#"
        error: option `confdir`: a value is required
    "#]],
    );
    check_in(
        &home,
        "flowgate dump --set confdir=~/other/config.yaml",
        expect![[r#"
        error: cannot read config file HOME/other/config.yaml/config.yaml
    "#]],
    );
    let error = parse(words("flowgate dump"), None).unwrap_err();
    assert!(matches!(error, CliError::NoHome));
}

#[test]
fn config_files_that_cannot_be_used() {
    let line = "flowgate dump --flow-detail 1";
    check_in(
        &home_with(&[(".flowgate/config.yaml", "flow_detail: 9\n")]),
        line,
        expect![[r#"
        error: HOME/.flowgate/config.yaml:1:14: option `flow_detail`: expected a whole number from 0 to 4, found `9`
    "#]],
    );
    check_in(
        &home_with(&[(".flowgate/config.yml", "http2: true\nhtpt2: true\n")]),
        line,
        expect![[r#"
        error: HOME/.flowgate/config.yml:2:1: `htpt2` is not an option
        hint: did you mean `http2`?
    "#]],
    );
    let long = "#".repeat((1 << 20) + 1);
    check_in(
        &home_with(&[(".flowgate/config.yaml", &long)]),
        line,
        expect![[r#"
        error: config file HOME/.flowgate/config.yaml is longer than 1048576 bytes
    "#]],
    );
    check_in(
        &home_with(&[(".flowgate/config.yaml/file", "")]),
        line,
        expect![[r#"
        error: cannot read config file HOME/.flowgate/config.yaml
    "#]],
    );
    let home = home_with(&[(".flowgate/config.yaml", "")]);
    fs::write(home.path().join(".flowgate/config.yaml"), b"mode: \xff\n").unwrap();
    check_in(
        &home,
        line,
        expect![[r#"
        error: config file HOME/.flowgate/config.yaml is not UTF-8 text
    "#]],
    );
    check_in(
        &home,
        "flowgate dump --version",
        expect![[r#"
        Version
    "#]],
    );
}

proptest! {
    #[test]
    fn never_panics(line in proptest::collection::vec("-{0,2}[a-z]{1,3}|--set|[a-z_]{1,6}=?|--(no-)?(http2|mode|listen-port)(=.{0,3})?|\\PC{0,6}", 0..6)) {
        // Without a home nothing is read from a disk.
        let line = ["flowgate".to_owned(), "dump".to_owned()].into_iter().chain(line);
        prop_assume!(!line.clone().any(|word| word.contains("confdir")));
        if let Err(error) = parse(line.map(OsString::from), None) {
            prop_assert!(!error.to_string().is_empty());
            error.hint();
        }
    }
}
