//! Config files as users write them, wrongly and well, and as attackers would.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use expect_test::{Expect, expect};
use flowgate_options::{Options, parse_config};
use proptest::prelude::*;

/// What a config file changes, or its error.
fn check(text: &str, expected: Expect) {
    let result = parse_config(text, "config.yaml").map(|changes| Options::default().with(changes).unwrap());
    expected.assert_eq(&match result {
        Ok(options) => {
            let changed = options.changed_from_default();
            changed.map(|(option, value)| format!("{} = {value:?}\n", option.name)).collect()
        }
        Err(error) => {
            let hint = error.hint().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
            format!("{error}\n{hint}")
        }
    });
}

#[test]
fn good_files() {
    check("", expect![]);
    check("# only a comment\n", expect![]);
    check("---\n", expect![]);
    check(
        "---\nhttp2: false\n...\n",
        expect![[r#"
        http2 = Bool(false)
    "#]],
    );
    check(
        "\u{feff}http2: false\n",
        expect![[r#"
        http2 = Bool(false)
    "#]],
    );
    check(
        "{http2: false, flow_detail: 3}",
        expect![[r#"
        http2 = Bool(false)
        flow_detail = Int(3)
    "#]],
    );
    check(
        "listen_port: 9090\r\nlisten_host: 127.0.0.1\r\nmode:\r\n- regular@9000\r\nignore_hosts:\r\n  - ^example\\.com:443$\r\n  - 'a'\r\n",
        expect![[r#"
            mode = List(["regular@9000"])
            listen_host = Text("127.0.0.1")
            listen_port = Int(9090)
            ignore_hosts = List(["^example\\.com:443$", "a"])
        "#]],
    );
    check(
        "stream_large_bodies: 3m\nrfile: null\nconnect_addr: ~\n",
        expect![[r#"
        stream_large_bodies = Text("3m")
    "#]],
    );
    check(
        "ignore_hosts: &hosts [a]\nallow_hosts: *hosts\n",
        expect![[r#"
        ignore_hosts = List(["a"])
        allow_hosts = List(["a"])
    "#]],
    );
}

#[test]
fn wrong_names() {
    check(
        "http2: true\n  \nignore_host: []\n",
        expect![[r#"
        config.yaml:3:1: `ignore_host` is not an option
        hint: did you mean `ignore_hosts`?
    "#]],
    );
    check(
        "intercept_active: true\n",
        expect![[r#"
        config.yaml:1:1: `intercept_active` is an option of mitmproxy that flowgate does not have yet
    "#]],
    );
    check(
        "1: 2\n",
        expect![[r#"
        config.yaml:1:1: `1` is not an option
        hint: `--options` lists every option
    "#]],
    );
    check(
        "? [a]\n: 2\n",
        expect![[r#"
        config.yaml:1:3: expected string scalar
    "#]],
    );
    check(
        "http2: true\nhttp2: false\n",
        expect![[r#"
        config.yaml:2:1: `http2` stands here a second time
    "#]],
    );
}

#[test]
fn wrong_values() {
    check(
        "http2: yes\n",
        expect![[r#"
            config.yaml:1:8: option `http2`: expected true or false, found the text `yes`
        "#]],
    );
    check(
        "http2: 1\n",
        expect![[r#"
            config.yaml:1:8: option `http2`: expected true or false, found the number `1`
        "#]],
    );
    check(
        "http2:\n",
        expect![[r#"
        config.yaml:1:6: option `http2`: expected true or false, found nothing
    "#]],
    );
    check(
        "listen_port: '8080'\n",
        expect![[r#"
            config.yaml:1:14: option `listen_port`: expected a whole number from 0 to 65535, found the text `8080`
        "#]],
    );
    check(
        "listen_port: 80.5\n",
        expect![[r#"
            config.yaml:1:14: option `listen_port`: expected a whole number from 0 to 65535, found the number `80.5`
        "#]],
    );
    check(
        "listen_port: 99999\n",
        expect![[r#"
        config.yaml:1:14: option `listen_port`: expected a whole number from 0 to 65535, found `99999`
    "#]],
    );
    check(
        "listen_port: 99999999999999999999999\n",
        expect![[r#"
            config.yaml:1:14: option `listen_port`: expected a whole number from 0 to 65535, found the number `100000000000000000000000`
        "#]],
    );
    check(
        "flow_detail: .inf\n",
        expect![[r#"
        config.yaml:1:14: value `.inf` is not a finite number
    "#]],
    );
    check(
        "listen_host: 127\n",
        expect![[r#"
            config.yaml:1:14: option `listen_host`: expected text, found the number `127`
            hint: put the value in quotes to make it text
        "#]],
    );
    check(
        "listen_host: [a]\n",
        expect![[r#"
        config.yaml:1:14: option `listen_host`: expected text, found a list
        hint: put the value in quotes to make it text
    "#]],
    );
    check(
        "listen_host: {a: b}\n",
        expect![[r#"
        config.yaml:1:14: option `listen_host`: expected text, found a mapping
        hint: put the value in quotes to make it text
    "#]],
    );
    check(
        "connection_strategy: often\n",
        expect![[r#"
        config.yaml:1:22: option `connection_strategy`: expected one of eager, lazy, found `often`
    "#]],
    );
    check(
        "ignore_hosts: example.com\n",
        expect![[r#"
            config.yaml:1:15: option `ignore_hosts`: expected a list of texts, found the text `example.com`
            hint: a list has one entry per line, each after `- `; put numbers in quotes
        "#]],
    );
    check(
        "ignore_hosts:\n- a\n- 443\n",
        expect![[r#"
            config.yaml:3:3: option `ignore_hosts`: expected a list of texts, found the number `443`
            hint: a list has one entry per line, each after `- `; put numbers in quotes
        "#]],
    );
    check(
        "ignore_hosts:\n- [a]\n",
        expect![[r#"
        config.yaml:2:3: option `ignore_hosts`: expected a list of texts, found a list
        hint: a list has one entry per line, each after `- `; put numbers in quotes
    "#]],
    );
    check(
        "mode: [regular, wireguard]\n",
        expect![[r#"
            config.yaml:1:7: option `mode`: invalid proxy mode specification: `wireguard`: flowgate does not run this mode yet
            hint: modes that run today: `regular`, `transparent`, `socks5`, `upstream:` with `http`, `https` or `socks5`, and `reverse:` with `http`, `https`, `tcp`, `tls`, `udp`, `quic` or `http3`; each may end in `@[host:]port`
        "#]],
    );
    check(
        "confdir: ''\n",
        expect![[r#"
        config.yaml:1:10: option `confdir`: a value is required
    "#]],
    );
}

#[test]
fn not_a_mapping() {
    check(
        "just text\n",
        expect![[r#"
            config.yaml:1:1: expected options with their values, found the text `just text`
            hint: write one option per line, as in `listen_port: 8080`; `--options` prints a whole file
        "#]],
    );
    check(
        "- http2\n",
        expect![[r#"
        config.yaml:1:1: expected options with their values, found a list
        hint: write one option per line, as in `listen_port: 8080`; `--options` prints a whole file
    "#]],
    );
    check(
        "42\n",
        expect![[r#"
            config.yaml:1:1: expected options with their values, found the number `42`
            hint: write one option per line, as in `listen_port: 8080`; `--options` prints a whole file
        "#]],
    );
}

#[test]
fn not_yaml() {
    check(
        "http2: [\n",
        expect![[r#"
        config.yaml:1:8: unclosed bracket '['
    "#]],
    );
    check(
        "http2: 'a\n",
        expect![[r#"
        config.yaml:1:8: unclosed quote
    "#]],
    );
    check(
        "a: b: c\n",
        expect![[r#"
        config.yaml:1:5: mapping values are not allowed in this context
    "#]],
    );
    check(
        "\thttp2: false\n",
        expect![[r#"
        http2 = Bool(false)
    "#]],
    );
    check(
        "http2: true\n---\nhttp2: false\n",
        expect![[r#"
        config.yaml:3:1: only single YAML document expected but multiple found
    "#]],
    );
    check(
        "http2: *nowhere\n",
        expect![[r#"
        config.yaml:1:8: reference to unknown value
    "#]],
    );
    check(
        "<<: {http2: true}\n",
        expect![[r#"
        config.yaml:1:1: merge key not allowed here
    "#]],
    );
}

#[test]
fn bombs() {
    check(
        &format!("ignore_hosts: {}", "[".repeat(100_000)),
        expect![[r#"
        config.yaml:1:31: recursion limit exceeded
    "#]],
    );
    check(
        &format!("ignore_hosts: {}", "{a: ".repeat(100_000)),
        expect![[r#"
        config.yaml:1:75: too many levels, entries or aliases for a config file
    "#]],
    );
    check(
        &"- ".repeat(100_000),
        expect![[r#"
        config.yaml:1:33: too many levels, entries or aliases for a config file
    "#]],
    );
    check(
        &"? ".repeat(100_000),
        expect![[r#"
        config.yaml:1:33: too many levels, entries or aliases for a config file
    "#]],
    );
    check(
        &format!("ignore_hosts: [{}]", "a,".repeat(100_000)),
        expect![[r#"
        config.yaml:1:40010: too many levels, entries or aliases for a config file
    "#]],
    );
    let laughs: String =
        (1..=12).map(|n| format!("l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); 10].join(","))).collect();
    check(
        &format!("l0: &l0 [a]\n{laughs}"),
        expect![[r#"
            config.yaml:5:30: too many levels, entries or aliases for a config file
        "#]],
    );
    check(
        "ignore_hosts: &a [*a]\n",
        expect![[r#"
        config.yaml:1:19: Recursive reference not allowed here
    "#]],
    );
}

proptest! {
    #[test]
    fn never_panics(text in "\\PC*|([a-z_0-9]{1,8}|[:\\-?&*!|>'\"\\[\\]{},#%@~ \n\t]){0,40}") {
        if let Err(error) = parse_config(&text, "f") {
            prop_assert!(!error.to_string().contains('\n'), "one line: {:?}", error);
        }
    }

    #[test]
    fn never_panics_on_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse_config(&String::from_utf8_lossy(&bytes), "f");
    }
}
