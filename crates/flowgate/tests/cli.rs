//! The built program: what it prints where, and how it exits.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Command;

use expect_test::{Expect, expect};
use tempfile::TempDir;

/// Runs the program under the name `name`; shows the exit code, then both streams, paths below the home replaced.
fn run_in(home: &TempDir, name: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowgate"));
    #[cfg(unix)]
    std::os::unix::process::CommandExt::arg0(&mut command, name);
    let output =
        command.args(arguments).env("HOME", home.path()).env("USERPROFILE", home.path()).output().unwrap();
    let shown = format!(
        "exit {}\n--- stdout\n{}--- stderr\n{}",
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    shown.replace(&home.path().display().to_string(), "HOME")
}

fn check(name: &str, arguments: &[&str], expected: Expect) {
    expected.assert_eq(&run_in(&TempDir::new().unwrap(), name, arguments));
}

#[test]
fn errors_go_to_stderr_and_exit_with_1() {
    check(
        "flowgate",
        &["dump", "-p", "abc"],
        expect![[r#"
        exit 1
        --- stdout
        --- stderr
        error: option `listen_port`: expected a whole number from 0 to 65535, found `abc`
    "#]],
    );
    check(
        "flowgate",
        &["dump", "--ignore_hosts", "x"],
        expect![[r#"
        exit 1
        --- stdout
        --- stderr
        error: `--ignore_hosts` is not a flag: flags are written with hyphens
        hint: did you mean `--ignore-hosts`?
    "#]],
    );
    check(
        "flowgate",
        &["dump", "-m", "wireguard"],
        expect![[r#"
            exit 1
            --- stdout
            --- stderr
            error: option `mode`: invalid proxy mode specification: `wireguard`: flowgate does not run this mode yet
            hint: modes that run today: `regular`, `transparent`, `socks5`, `upstream:` with `http`, `https` or `socks5`, and `reverse:` with `http`, `https`, `tcp`, `tls`, `udp`, `quic` or `http3`; each may end in `@[host:]port`
        "#]],
    );
    check(
        "flowgate",
        &["dump", "--http2", "--no-http2"],
        expect![[r#"
            exit 1
            --- stdout
            --- stderr
            error: flags `--http2` and `--no-http2` exclude each other
        "#]],
    );
    check(
        "flowgate",
        &["dump", "~dd example.com"],
        expect![[r#"
        exit 1
        --- stdout
        --- stderr
        error: option `readfile_filter`: unknown operator ~dd at column 1; did you mean ~d?
    "#]],
    );
    let flows = concat!(env!("CARGO_MANIFEST_DIR"), "/../session/tests/filters/flows.mitm");
    check(
        "flowgate",
        &["dump", "-r", flows, "~c", "404", "|", "~udp", "&", "~bs", "secret"],
        expect![[r#"
        exit 0
        --- stdout
        192.168.1.20:51234: GET http://example.com/missing
                         << 404 Not Found 9b
        10.0.0.7:40000 -> udp -> game.test:27015
        10.0.0.7:40000 <- udp <- game.test:27015
        --- stderr
    "#]],
    );
    check(
        "flowgate",
        &["dump", "-r", flows, "--set", "readfile_filter=~tcp", "--set", "dumper_filter=~b banner"],
        expect![[r#"
            exit 0
            --- stdout
            10.0.0.7:40000 <- tcp <- <no address>
            --- stderr
        "#]],
    );
    check(
        "flowgate",
        &[],
        expect![[r#"
        exit 1
        --- stdout
        --- stderr
        error: the terminal interface (`flowgate`, as `mitmproxy`) is not there yet
        hint: use `flowgate dump`
    "#]],
    );
    check(
        "flowgate",
        &["web"],
        expect![[r#"
        exit 1
        --- stdout
        --- stderr
        error: the browser interface (`flowgate web`, as `mitmweb`) is not there yet
        hint: use `flowgate dump`
    "#]],
    );
}

#[cfg(unix)]
#[test]
fn the_name_of_the_program_chooses_the_tool() {
    check(
        "mitmproxy",
        &[],
        expect![[r#"
        exit 1
        --- stdout
        --- stderr
        error: the terminal interface (`flowgate`, as `mitmproxy`) is not there yet
        hint: use `flowgate dump`
    "#]],
    );
    check(
        "/usr/local/bin/mitmweb",
        &[],
        expect![[r#"
        exit 1
        --- stdout
        --- stderr
        error: the browser interface (`flowgate web`, as `mitmweb`) is not there yet
        hint: use `flowgate dump`
    "#]],
    );
    check(
        "mitmdump",
        &["--bogus"],
        expect![[r#"
        exit 1
        --- stdout
        --- stderr
        error: `--bogus` is not a flag
        hint: `--help` lists every flag
    "#]],
    );
}

#[test]
fn version() {
    let shown = run_in(&TempDir::new().unwrap(), "flowgate", &["dump", "--version"]);
    let expected = format!(
        "exit 0\n--- stdout\nFlowgate: {}\nTLS:      rustls with aws-lc-rs\nPlatform: {}-{}\n--- stderr\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
    );
    assert_eq!(shown, expected);
}

#[test]
fn help() {
    check(
        "flowgate",
        &["dump", "--help"],
        expect![[r#"
            exit 0
            --- stdout
            An intercepting proxy for HTTP and TLS

            Usage: flowgate dump [OPTIONS] [FILTER]...

            Arguments:
              [FILTER]...  Filter expression: only flows that match are read, shown and saved

            Options:
                  --version             Print the version and stop
                  --options             Print every option with its default, as a config file, and stop
                  --set <NAME[=VALUE]>  Set an option. Without a value a switch is turned on, a list is emptied and any
                                        other option that may be empty is emptied. Switches take `true`, `false` and
                                        `toggle`. To give a list several entries, repeat the flag.
              -q, --quiet               Print only errors, and no flows
              -v, --verbose             Print every decision, and flows with their headers
              -h, --help                Print help

            Modes and addresses:
              -m, --mode <SPEC>         How traffic reaches flowgate: `mode[@[host:]port]`, where the part after the `@`
                                        takes the place of `listen_host` and `listen_port` for this mode. May be given
                                        several times. `regular` is an explicit HTTP proxy,
                                        `upstream:[http|https|socks5]://host[:port]` the same with every connection to a
                                        server going through that proxy, `socks5` a SOCKS5 proxy, `transparent` takes
                                        what the operating system redirects, and `reverse:SCHEME://HOST:PORT` sends
                                        everything to one server (`http`, `https`, `tcp`, `tls`, or for datagrams `udp`,
                                        `quic` or `http3`).
                  --listen-host <HOST>  The address to listen on for modes that name none. Empty means every address of
                                        this machine.
              -p, --listen-port <PORT>  The port to listen on for modes that name none. Without it each mode has its
                                        own: 1080 for `socks5`, 8080 for the others. 0 lets the operating system choose.
                  --server              Whether to listen at all. Off is useful to read a file without starting a proxy.
              -n, --no-server           The opposite of `--server`.
                  --proxyauth <SPEC>    Ask clients for a name and a password: `USER:PASS` for one, `any` for any,
                                        `@FILE` for those in an htpasswd file (bcrypt, SHA-2 crypt, MD5 crypt and
                                        `{SHA}`; read again when it changes), or
                                        `ldap[s]:SERVER[:PORT]:DN:PASSWORD:SUBTREE[?search_filter_key=NAME]` for those
                                        in a directory, who are searched for below SUBTREE by the attribute NAME (`cn`).
                                        Modes `regular`, `upstream`, `socks5` and `reverse` to http and https can ask.

            Upstream proxies:
                  --upstream-auth <USER:PASS>  The name and password for the proxy of mode `upstream`, or for the server of
                                               mode `reverse:`, divided by the first colon: `user:password`. Sent as Basic
                                               credentials (to a server in the place of the client's), or in SOCKS as RFC 1929
                                               says.

            What is decrypted:
                  --rules <FILE>           A file of ordered rules that say what is decrypted, passed through, recorded
                                           raw, blocked or hidden, and by which way connections leave. They are asked
                                           before `ignore_hosts`, `allow_hosts` and `tcp_hosts`. Read again when it
                                           changes. May be given several times. In the config file the list may hold rules
                                           themselves as well.
                  --ignore-hosts <REGEX>   Pass connections through untouched when a regular expression matches
                                           `host:port`. May be given several times.
                  --allow-hosts <REGEX>    The opposite of `ignore_hosts`: pass everything through untouched that no
                                           regular expression matches. May be given several times.
                  --tcp-hosts <REGEX>      Decrypt, but do not read as HTTP, connections to hosts that a regular expression
                                           matches: the host alone, or `host:port`. May be given several times.
                  --show-ignored-hosts     Show connections that are passed through as flows of raw bytes. What crossed is
                                           kept only where flows are saved or their contents shown.
                  --no-show-ignored-hosts  The opposite of `--show-ignored-hosts`.

            Servers and TLS:
                  --resolve <SPEC>          Connect to these addresses for a name instead of looking it up:
                                            `HOST:PORT:ADDRESS[,ADDRESS]...`, where `*` stands for every name or port.
                                            Requests and the name that TLS asks for stay as they are. Behind an upstream
                                            proxy it is the proxy that looks names up, so that only its own counts. May be
                                            given several times.
              -k, --ssl-insecure            Accept any certificate from servers. Whoever sits between flowgate and the
                                            server can then read along.
                  --no-ssl-insecure         The opposite of `--ssl-insecure`.
                  --certs <SPEC>            Certificates to show to clients in place of those we make: `[domain=]path`,
                                            where the domain may begin with `*.`, and none stands for every domain. The PEM
                                            file holds the key, the certificate and its chain. It also counts for the names
                                            in the certificate. May be given several times; of two for one name the last
                                            counts.
                  --cert-passphrase <PASS>  The passphrase of private keys in the files of `certs`, `client_certs` and the
                                            CA.

            Protocols:
                  --http2      Speak HTTP/2 with clients and servers that do.
                  --no-http2   The opposite of `--http2`.
                  --rawtcp     Relay what is not a known protocol as raw TCP. Off reads everything as HTTP.
                  --no-rawtcp  The opposite of `--rawtcp`.

            Bodies:
                  --store-streamed-bodies     Keep bodies that `stream_large_bodies` would leave out.
                  --no-store-streamed-bodies  The opposite of `--store-streamed-bodies`.

            Rewriting:
              -H, --modify-headers <PATTERN>  Set header fields, or remove them: `[/filter]/name/[@]value`, where the first
                                              character is the separator, whatever it is. An empty value removes; `@path`
                                              reads the value from a file. May be given several times.
              -B, --modify-body <PATTERN>     Find and replace in bodies: `[/filter]/regex/[@]replacement`, where the first
                                              character is the separator. The replacement is literal; `@path` reads it from a
                                              file. May be given several times.
              -M, --map-remote <PATTERN>      Send requests to another address: `[/filter]/url-regex/replacement`, where the
                                              first character is the separator. The replacement may name groups: `\1`. May be
                                              given several times.
                  --map-local <PATTERN>       Answer requests from files: `[/filter]/url-regex/file-or-folder`, where the
                                              first character is the separator. Below a folder, what follows the match names
                                              the file. May be given several times.
                  --anticache                 Take conditions out of requests (`If-Modified-Since`, `If-None-Match`), so that
                                              servers answer in full.
                  --no-anticache              The opposite of `--anticache`.
                  --anticomp                  Ask servers for bodies that are not compressed.
                  --no-anticomp               The opposite of `--anticomp`.
                  --stickycookie <FILTER>     Remember the cookies that servers set, and add them to requests that match this
                                              filter.
                  --stickyauth <FILTER>       Remember the `Authorization` that a client sends to a host, and add it to
                                              requests to that host that have none and match this filter.

            Replay:
              -C, --client-replay <PATH>          Send the requests in this file or store again, one after the other, and end. May
                                                  be given several times. `PATH#ID` is one flow of a file or store: the first
                                                  characters of its id, several with commas between them.
              -S, --server-replay <PATH>          Answer requests from the flows in this file or store: the response that was
                                                  recorded for the same request. May be given several times.
                  --server-replay-extra <CHOICE>  What becomes of requests for which nothing was recorded: they go to the server,
                                                  get no answer, or one with this status. With all but `forward` no server is
                                                  connected to, so that nothing reaches the network.
                  --server-replay-kill-extra      The old way to say `server_replay_extra=kill`.
                  --no-server-replay-kill-extra   The opposite of `--server-replay-kill-extra`.
                  --server-replay-reuse           Answer with the same recording again and again. Off uses each once, in the order
                                                  in which they were recorded.
                  --no-server-replay-reuse        The opposite of `--server-replay-reuse`.
                  --server-replay-refresh         Move the dates in recorded responses, and when their cookies expire, so that
                                                  they are as far from now as they were from the recording.
                  --no-server-replay-refresh      The opposite of `--server-replay-refresh`.

            Reading and saving flows:
              -r, --rfile <PATH>             Read flows from this file, or the store in this folder, at the start; `-` reads
                                             standard input.
              -w, --save-stream-file <PATH>  Save each flow to this file when it is complete. The file is emptied first
                                             unless the path starts with `+`. The codes of strftime in it (`%Y-%m-%d`) are
                                             the local time: when they change what the path says, another file is begun.
                                             Folders that are missing are made.
                  --store <PATH>             Keep each flow in the store in this folder when it is complete. The folder is
                                             made if it is not there; flows that it holds already stay.

            What is shown:
                  --flow-detail <LEVEL>  How much to print of each flow: 0 nothing, 1 a line, 2 with headers, 3 with
                                         bodies cut short, 4 everything.
                  --showhost             Take the host in shown addresses from the `Host` header. Off by default: a
                                         client can write anything there.
                  --no-showhost          The opposite of `--showhost`.
            --- stderr
        "#]],
    );
}

#[test]
fn help_of_the_whole_program() {
    let shown = run_in(&TempDir::new().unwrap(), "flowgate", &["--help"]);
    assert!(shown.starts_with("exit 0\n"), "{shown}");
    assert!(
        shown.contains(
            "Usage: flowgate [dump | check | run | flows | show | diff | export | convert | why | lint] [OPTIONS]"
        ),
        "{shown}"
    );
}

#[test]
fn options_are_a_config_file() {
    let home = TempDir::new().unwrap();
    let shown = run_in(&home, "flowgate", &["dump", "--options"]);
    let file = shown.strip_prefix("exit 0\n--- stdout\n").unwrap().strip_suffix("--- stderr\n").unwrap();
    assert_eq!(file, flowgate_options::defaults_yaml(flowgate_options::registry::Tools::DUMP));
    fs::create_dir(home.path().join(".flowgate")).unwrap();
    fs::write(home.path().join(".flowgate/config.yaml"), file).unwrap();
    let shown = run_in(&home, "flowgate", &["dump", "--flow-detail", "9"]);
    assert!(
        shown.contains("error: option `flow_detail`"),
        "the file was accepted, the flag was not: {shown}"
    );
}

#[test]
fn a_config_file_with_a_mistake() {
    let home = TempDir::new().unwrap();
    fs::create_dir(home.path().join(".flowgate")).unwrap();
    fs::write(home.path().join(".flowgate/config.yaml"), "http2: true\nignore_host: []\n").unwrap();
    expect![[r#"
        exit 1
        --- stdout
        --- stderr
        error: HOME/.flowgate/config.yaml:2:1: `ignore_host` is not an option
        hint: did you mean `ignore_hosts`?
    "#]]
    .assert_eq(&run_in(&home, "flowgate", &["dump"]));
}

#[test]
fn a_config_file_that_is_a_directory() {
    let home = TempDir::new().unwrap();
    fs::create_dir_all(home.path().join(".flowgate/config.yaml")).unwrap();
    let shown = run_in(&home, "flowgate", &["dump"]);
    assert!(
        shown.contains("error: cannot read config file HOME/.flowgate/config.yaml\n  cause: "),
        "{shown}"
    );
}
