//! Files of checks: what is refused and where, and what each assertion says of flows.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use expect_test::{Expect, expect};
use flowgate_check::limits::{GROUPS_MAX, VIOLATIONS_KEPT_MAX};
use flowgate_check::{Checks, Outcome, Report, Tally, human, junit, sarif};
use flowgate_filter::{Case, NoDecoding};
use flowgate_flow::{
    Address, Body, ClientConnection, Connection, Flow, FlowError, FlowId, FlowKind, Headers, HttpFlow,
    HttpVersion, PseudoFields, RawFlow, Request, Response, ServerConnection, Timestamp,
};
use proptest::prelude::*;

fn schema(path: &str) -> io::Result<String> {
    match path {
        "user.json" => {
            Ok(r#"{"type":"object","required":["id"],"properties":{"id":{"type":"integer"}}}"#.into())
        }
        "broken.json" => Ok("{".into()),
        "wrong.json" => Ok(r#"{"type":"thing"}"#.into()),
        "far.json" => Ok(r#"{"$ref":"https://schemas.test/a.json"}"#.into()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn parse(text: &str) -> Result<Checks, String> {
    Checks::parse(text, "checks.toml", Case::Ignored, &schema).map_err(|error| {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        if let Some(hint) = error.hint() {
            text += &format!("\nhint: {hint}");
        }
        text
    })
}

fn connections(number: u128, host: &str) -> (ClientConnection, ServerConnection) {
    let mut connection = Connection::new(FlowId::from_random(number));
    connection.peername = Some(SocketAddr::from(([127, 0, 0, 1], 50_000 + number as u16 % 10_000)));
    let client = ClientConnection {
        connection: connection.clone(),
        leaf: None,
        fingerprints: None,
        mode: "regular".into(),
    };
    let address = Some(Address { host: host.into(), port: 443 });
    (client, ServerConnection { connection, address, timestamp_tcp_setup: None, via: None })
}

/// `GET https://host/path` and what came back, in so many seconds.
fn http(number: u128, host: &str, path: &str, status: Option<u16>, seconds: f64, body: &str) -> Flow {
    let (client, server) = connections(number, host);
    let request = Request {
        version: HttpVersion::Http11,
        method: Bytes::from_static(b"GET"),
        scheme: Bytes::from_static(b"https"),
        host: host.into(),
        port: 443,
        authority: Bytes::new(),
        path: Bytes::copy_from_slice(path.as_bytes()),
        pseudo: PseudoFields::default(),
        headers: Headers::default(),
        body: Body::EMPTY,
        trailers: None,
        timestamp_start: Timestamp(100.0),
        timestamp_end: Some(Timestamp(100.0)),
    };
    let response = status.map(|status| Response {
        version: HttpVersion::Http11,
        status,
        reason: Bytes::new(),
        headers: Headers::default(),
        body: Body::Bytes(Bytes::copy_from_slice(body.as_bytes())),
        trailers: None,
        timestamp_start: Timestamp(100.0),
        timestamp_end: Some(Timestamp(100.0 + seconds)),
    });
    let kind = FlowKind::Http(Box::new(HttpFlow { request, response, websocket: None }));
    Flow::new(FlowId::from_random(number), client.into(), server.into(), kind, Timestamp(100.0))
}

fn with_field(mut flow: Flow, name: &str, value: &str) -> Flow {
    if let FlowKind::Http(http) = &mut flow.kind {
        http.request.headers.push(name, value);
    }
    flow
}

fn flows() -> Vec<Flow> {
    let failed = {
        let mut flow = http(5, "down.test", "/", None, 0.0, "");
        flow.error = Some(FlowError {
            message: "connection refused".into(),
            timestamp: Timestamp(101.0),
            side: None,
            phase: None,
        });
        flow
    };
    let raw = {
        let (client, server) = connections(6, "raw.test");
        let kind = FlowKind::Tcp(RawFlow::default());
        Flow::new(FlowId::from_random(6), client.into(), server.into(), kind, Timestamp(100.0))
    };
    vec![
        with_field(
            http(1, "api.test", "/users/1", Some(200), 0.1, r#"{"id":1}"#),
            "Authorization",
            "secret-1",
        ),
        http(2, "api.test", "/users/1?again", Some(200), 0.2, r#"{"id":"secret-2"}"#),
        with_field(http(3, "cdn.api.test", "/a.js", Some(304), 0.3, ""), "authorization", "secret-3"),
        http(4, "evil.test", "/\u{1b}[2J", Some(500), 2.0, "not json"),
        failed,
        raw,
    ]
}

fn judge_flows(text: &str, flows: impl IntoIterator<Item = Flow>) -> Report {
    let checks = parse(text).unwrap();
    let mut tally = Tally::new(Arc::new(checks));
    for (number, flow) in (1..).zip(flows) {
        tally.flow(number, &flow, &NoDecoding);
    }
    tally.report(Duration::from_millis(1500))
}

#[track_caller]
fn check(assertion: &str, expected: Expect) {
    let report = judge_flows(&format!("[[check]]\nname = \"it\"\n{assertion}\n"), flows());
    expected.assert_eq(&human(&report));
}

#[test]
fn counts() {
    check(
        "at_least = 6",
        expect![[r#"
        ok    it  (6 flows)
        1 of 1 checks hold
    "#]],
    );
    check(
        "filter = \"~d api.test\"\nexactly = 2",
        expect![[r#"
        FAIL  it  (3 flows): 1 violation
                00000000  GET https://cdn.api.test/a.js: 3 flows, exactly 2 asked
        0 of 1 checks hold, 1 failed
    "#]],
    );
    check(
        "filter = \"~d nowhere\"\nat_least = 1",
        expect![[r#"
        FAIL  it  (0 flows): 1 violation
                0 flows, at least 1 asked
        0 of 1 checks hold, 1 failed
    "#]],
    );
    check(
        "filter = \"~d nowhere\"\nat_most = 1",
        expect![[r#"
        ok    it  (0 flows)
        1 of 1 checks hold
    "#]],
    );
    check(
        "at_most = 1\nper = \"endpoint\"",
        expect![[r#"
        FAIL  it  (6 flows): 1 violation
                00000000  GET https://api.test/users/1?again: GET https://api.test/users/1: 2 flows, at most 1 asked
        0 of 1 checks hold, 1 failed
    "#]],
    );
    check(
        "at_most = 1\nper = \"url\"",
        expect![[r#"
        ok    it  (6 flows)
        1 of 1 checks hold
    "#]],
    );
    check(
        "at_least = 2\nper = \"host\"",
        expect![[r#"
        FAIL  it  (6 flows): 4 violations
                cdn.api.test: 1 flow, at least 2 asked
                down.test: 1 flow, at least 2 asked
                evil.test: 1 flow, at least 2 asked
                raw.test: 1 flow, at least 2 asked
        0 of 1 checks hold, 1 failed
    "#]],
    );
    check(
        "at_most = 5\nper = \"client\"",
        expect![[r#"
        FAIL  it  (6 flows): 1 violation
                00000000  tcp raw.test:443: 127.0.0.1: 6 flows, at most 5 asked
        0 of 1 checks hold, 1 failed
    "#]],
    );
}

#[test]
fn filters() {
    check(
        "forbid = \"~e\"",
        expect![[r#"
        FAIL  it  (6 flows): 1 violation
                00000000  GET https://down.test/: is ~e
        0 of 1 checks hold, 1 failed
    "#]],
    );
    check(
        "filter = \"~http & !~e\"\nrequire = \"~c 2xx | ~c 304\"",
        expect![[r#"
        FAIL  it  (4 flows): 1 violation
                00000000  GET https://evil.test/.[2J: is not ~c 2xx | ~c 304
        0 of 1 checks hold, 1 failed
    "#]],
    );
    check(
        "forbid = \"~d nowhere\"",
        expect![[r#"
        ok    it  (6 flows)
        1 of 1 checks hold
    "#]],
    );
}

#[test]
fn hosts() {
    check(
        "only_hosts = [\".api.test\", \"*.test\"]",
        expect![[r#"
        ok    it  (6 flows)
        1 of 1 checks hold
    "#]],
    );
    check(
        "only_hosts = [\"api.test\", \"down.test\"]",
        expect![[r#"
        FAIL  it  (6 flows): 3 violations
                00000000  GET https://cdn.api.test/a.js: goes to cdn.api.test
                00000000  GET https://evil.test/.[2J: goes to evil.test
                00000000  tcp raw.test:443: goes to raw.test
        0 of 1 checks hold, 1 failed
    "#]],
    );
    check(
        "header_only_to = { header = \"Authorization\", hosts = [\"api.test\"] }\nhelp = \"rotate it\"",
        expect![[r#"
            FAIL  it  (6 flows): 1 violation
                    00000000  GET https://cdn.api.test/a.js: Authorization goes to cdn.api.test
                  help: rotate it
            0 of 1 checks hold, 1 failed
        "#]],
    );
    check(
        "header_only_to = { header = [\"Authorization\", \"Cookie\"], hosts = [\".api.test\"] }",
        expect![[r#"
            ok    it  (6 flows)
            1 of 1 checks hold
        "#]],
    );
}

#[test]
fn a_host_is_where_it_goes_not_what_it_says() {
    let text = "[[check]]\nname = \"it\"\nonly_hosts = [\"api.test\"]";
    let liar = with_field(http(1, "evil.test", "/", Some(200), 0.0, ""), "Host", "api.test");
    assert!(!judge_flows(text, [liar]).good());
    // An address says nothing of names; the name in TLS, whose certificate we checked, does.
    let mut by_address = http(1, "192.0.2.1", "/", Some(200), 0.0, "");
    assert!(!judge_flows(text, [by_address.clone()]).good());
    let mut client = ClientConnection::clone(&by_address.client);
    client.connection.sni = Some("api.test".into());
    by_address.client = client.into();
    assert!(judge_flows(text, [by_address]).good());
}

#[test]
fn statuses_durations_and_schemas() {
    check(
        "filter = \"~http\"\nstatus = [\"2xx\", 304, \"400-499\"]",
        expect![[r#"
        FAIL  it  (5 flows): 2 violations
                00000000  GET https://evil.test/.[2J: status 500
                00000000  GET https://down.test/: no response
        0 of 1 checks hold, 1 failed
    "#]],
    );
    check(
        "duration = { max = \"1s\", p50 = \"150ms\", p99 = \"1h\" }",
        expect![[r#"
        FAIL  it  (6 flows): 2 violations
                p50 is 300ms, at most 150ms asked
                00000000  GET https://evil.test/.[2J: 2s, at most 1s asked
        0 of 1 checks hold, 1 failed
    "#]],
    );
    check(
        "duration = { max = \"2s\", p50 = \"200ms\" }",
        expect![[r#"
        FAIL  it  (6 flows): 1 violation
                p50 is 300ms, at most 200ms asked
        0 of 1 checks hold, 1 failed
    "#]],
    );
    check(
        "schema = \"user.json\"",
        expect![[r#"
        FAIL  it  (6 flows): 5 violations
                00000000  GET https://api.test/users/1?again: response body: at /id: value is not of type "integer"
                00000000  GET https://cdn.api.test/a.js: response body: not JSON: EOF while parsing a value at line 1 column 0
                00000000  GET https://evil.test/.[2J: response body: not JSON: expected ident at line 1 column 2
                00000000  GET https://down.test/: no response
                00000000  tcp raw.test:443: not HTTP
        0 of 1 checks hold, 1 failed
    "#]],
    );
    check(
        "filter = \"~u users/1$\"\nrequest_schema = \"user.json\"",
        expect![[r#"
        FAIL  it  (1 flow): 1 violation
                00000000  GET https://api.test/users/1: request body: not JSON: EOF while parsing a value at line 1 column 0
        0 of 1 checks hold, 1 failed
    "#]],
    );
}

#[test]
fn severity() {
    check(
        "severity = \"warning\"\nforbid = \"~e\"",
        expect![[r#"
        warn  it  (6 flows): 1 violation
                00000000  GET https://down.test/: is ~e
        0 of 1 checks hold, 1 gave a warning
    "#]],
    );
    let text = "[[check]]\nname = \"it\"\nforbid = \"~e\"\nseverity = ";
    assert!(judge_flows(&format!("{text}\"warning\""), flows()).good());
    assert!(!judge_flows(&format!("{text}\"error\""), flows()).good());
}

const SEVERAL: &str = r#"
[[check]]
name = "only <ours>"
only_hosts = [".api.test", "raw.test", "down.test"]
help = "Ask before you call somebody else."

[[check]]
name = "fast"
severity = "warning"
duration = { max = "1s" }

[[check]]
name = "users"
filter = "~u /users/"
at_most = 2
per = "endpoint"
"#;

#[test]
fn reports_for_machines() {
    let report = judge_flows(SEVERAL, flows());
    expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites tests="3" failures="1" errors="0" time="1.500">
        <testsuite name="checks.toml" tests="3" failures="1" errors="0" skipped="0" time="1.500">
        <testcase name="only &lt;ours&gt;" classname="checks.toml" file="checks.toml" line="2" time="0">
        <failure message="1 violation">00000000-0000-4000-8000-000000000004  GET https://evil.test/.[2J: goes to evil.test
        help: Ask before you call somebody else.
        </failure>
        </testcase>
        <testcase name="fast" classname="checks.toml" file="checks.toml" line="7" time="0">
        <system-out>00000000-0000-4000-8000-000000000004  GET https://evil.test/.[2J: 2s, at most 1s asked
        </system-out>
        </testcase>
        <testcase name="users" classname="checks.toml" file="checks.toml" line="12" time="0"/>
        </testsuite>
        </testsuites>
    "#]].assert_eq(&junit(&report));
    expect![[r#"
        {
          "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
          "runs": [
            {
              "invocations": [
                {
                  "executionSuccessful": true,
                  "toolExecutionNotifications": []
                }
              ],
              "results": [
                {
                  "level": "error",
                  "locations": [
                    {
                      "logicalLocations": [
                        {
                          "fullyQualifiedName": "00000000-0000-4000-8000-000000000004",
                          "name": "GET https://evil.test/.[2J"
                        }
                      ],
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "checks.toml"
                        },
                        "region": {
                          "startLine": 2
                        }
                      }
                    }
                  ],
                  "message": {
                    "text": "GET https://evil.test/.[2J: goes to evil.test"
                  },
                  "partialFingerprints": {
                    "flowgate/v1": "only <ours> GET https://evil.test/.[2J: goes to evil.test"
                  },
                  "ruleId": "only <ours>",
                  "ruleIndex": 0
                },
                {
                  "level": "warning",
                  "locations": [
                    {
                      "logicalLocations": [
                        {
                          "fullyQualifiedName": "00000000-0000-4000-8000-000000000004",
                          "name": "GET https://evil.test/.[2J"
                        }
                      ],
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "checks.toml"
                        },
                        "region": {
                          "startLine": 7
                        }
                      }
                    }
                  ],
                  "message": {
                    "text": "GET https://evil.test/.[2J: 2s, at most 1s asked"
                  },
                  "partialFingerprints": {
                    "flowgate/v1": "fast GET https://evil.test/.[2J: 2s, at most 1s asked"
                  },
                  "ruleId": "fast",
                  "ruleIndex": 1
                }
              ],
              "tool": {
                "driver": {
                  "name": "flowgate",
                  "rules": [
                    {
                      "defaultConfiguration": {
                        "level": "error"
                      },
                      "help": {
                        "text": "Ask before you call somebody else."
                      },
                      "id": "only <ours>",
                      "shortDescription": {
                        "text": "only <ours>"
                      }
                    },
                    {
                      "defaultConfiguration": {
                        "level": "warning"
                      },
                      "id": "fast",
                      "shortDescription": {
                        "text": "fast"
                      }
                    },
                    {
                      "defaultConfiguration": {
                        "level": "error"
                      },
                      "id": "users",
                      "shortDescription": {
                        "text": "users"
                      }
                    }
                  ],
                  "semanticVersion": "1.2.3"
                }
              }
            }
          ],
          "version": "2.1.0"
        }
    "#]]
    .assert_eq(&sarif(&report, "1.2.3"));
    // No secret stands in any of them.
    let all = format!("{}{}{}", human(&report), junit(&report), sarif(&report, ""));
    assert!(!all.contains("secret"), "{all}");
}

#[test]
fn what_is_too_much() {
    let many = (0..GROUPS_MAX as u128 + 1)
        .map(|number| http(number, "a.test", &format!("/{number}"), None, 0.0, ""));
    let report = judge_flows("[[check]]\nname = \"it\"\nat_most = 1\nper = \"url\"", many);
    assert_eq!(
        report.checks[0].outcome,
        Outcome::Undecided(format!("more than {GROUPS_MAX} groups to count"))
    );
    assert!(!report.decided() && !report.good());
    expect![[r#"
        ????  it  (100001 flows): more than 100000 groups to count
        0 of 1 checks hold, 1 without a verdict
    "#]]
    .assert_eq(&human(&report));
    let many = (0..VIOLATIONS_KEPT_MAX as u128 + 1).map(|number| http(number, "a.test", "/", None, 0.0, ""));
    let report = judge_flows("[[check]]\nname = \"it\"\nforbid = \"~all\"", many);
    let Outcome::Violated { count, violations } = &report.checks[0].outcome else { panic!("{report:?}") };
    assert_eq!((*count, violations.len()), (VIOLATIONS_KEPT_MAX as u64 + 1, VIOLATIONS_KEPT_MAX));
}

#[test]
fn filters_in_common_are_asked_once() {
    let text = "[[check]]\nname = \"a\"\nfilter = \"~http\"\nat_most = 9\nstatus = 200\n\
                [[check]]\nname = \"b\"\nfilter = \"~http\"\nduration = { max = \"1s\" }\n\
                [[check]]\nname = \"c\"\nforbid = \"~e\"\n";
    let checks = parse(text).unwrap();
    let filters: Vec<_> =
        checks.searches().iter().map(|search| search.filter().map(ToString::to_string)).collect();
    assert_eq!(filters, [Some("~http".to_owned()), None, Some("(~e)".to_owned())]);
    assert!(!checks.searches().iter().any(flowgate_check::Search::needs_flow));
}

#[track_caller]
fn refused(text: &str, expected: Expect) {
    expected.assert_eq(&parse(text).unwrap_err());
}

#[test]
fn mistakes_are_told_with_their_place() {
    let it = |rest: &str| format!("[[check]]\nname = \"it\"\n{rest}");
    refused(
        "",
        expect![[r#"
        checks.toml:1:1: there is no `[[check]]`
        hint: begin with `[[check]]`, `name = "..."` and `forbid = "~e"`"#]],
    );
    refused("[[check]\n", expect!["checks.toml:1:9: unclosed array table, expected `]`"]);
    refused("[[checks]]\n", expect!["checks.toml:1:3: unknown field `checks`, expected `check`"]);
    refused("[[check]]\nforbid = \"~e\"", expect!["checks.toml:1:1: the check has no `name`"]);
    refused(
        &it("").repeat(2),
        expect![[r#"
        checks.toml:1:1: the check `it` asserts nothing
        hint: add one of at_least, at_most, exactly, require, forbid, only_hosts, header_only_to, status, duration, schema, request_schema"#]],
    );
    refused(&it("forbid = \"~e\"\n").repeat(2), expect!["checks.toml:5:8: there are two checks called `it`"]);
    refused(
        &it("forbidden = \"~e\""),
        expect![
            "checks.toml:3:1: unknown field `forbidden`, expected one of `name`, `help`, `severity`, `filter`, `at_least`, `at_most`, `exactly`, `per`, `require`, `forbid`, `only_hosts`, `header_only_to`, `status`, `duration`, `schema`, `request_schema`"
        ],
    );
    refused(
        &it("forbid = \"~dd a\""),
        expect!["checks.toml:3:10: `forbid`: unknown operator ~dd at column 1; did you mean ~d?"],
    );
    refused(
        &it("filter = \"(~e\"\nat_most = 1"),
        expect![
            "checks.toml:3:10: `filter`: missing ), the parenthesis at column 1; put a pattern with parentheses in quotes"
        ],
    );
    refused(&it("at_most = -1"), expect!["checks.toml:3:11: invalid value: integer `-1`, expected u64"]);
    refused(
        &it("at_most = 1\nexactly = 1"),
        expect!["checks.toml:4:11: `exactly` stands beside `at_least` or `at_most`"],
    );
    refused(
        &it("per = \"host\"\nforbid = \"~e\""),
        expect![[r#"
        checks.toml:3:7: `per` says in which groups flows are counted, and nothing is counted
        hint: say how often: `at_most = 3`"#]],
    );
    refused(
        &it("at_most = 1\nper = \"server\""),
        expect![
            "checks.toml:4:7: unknown variant `server`, expected one of `host`, `url`, `endpoint`, `client`"
        ],
    );
    refused(&it("only_hosts = []"), expect!["checks.toml:3:14: `only_hosts` is empty"]);
    refused(
        &it("only_hosts = [\"a.test\", \"https://b.test/\"]"),
        expect![
            "checks.toml:3:25: `https://b.test/`: not a host: `example.com`, `.example.com` (with all names below it), `*.example.com`, `192.0.2.0/24`"
        ],
    );
    refused(
        &it("only_hosts = [\"10.0.0.1/8\"]"),
        expect![
            "checks.toml:3:15: `10.0.0.1/8`: address bits are set behind the first 8; the network is 10.0.0.0/8"
        ],
    );
    refused(
        &it("header_only_to = { header = \"A b\", hosts = [\"a.test\"] }"),
        expect!["checks.toml:3:29: `A b` is not the name of a header field"],
    );
    refused(
        &it("header_only_to = { hosts = [\"a.test\"] }"),
        expect!["checks.toml:3:18: missing field `header`"],
    );
    refused(
        &it("status = \"ok\""),
        expect![[r#"
        checks.toml:3:10: `ok` is not a status
        hint: `204`, `"2xx"`, `"400-499"`"#]],
    );
    refused(
        &it("status = 2000"),
        expect![[r#"
        checks.toml:3:10: `2000` is not a status
        hint: `204`, `"2xx"`, `"400-499"`"#]],
    );
    refused(
        &it("duration = { max = \"fast\" }"),
        expect![[r#"
        checks.toml:3:20: `fast` is not a duration
        hint: `250ms`, `1.5s`, `2m`"#]],
    );
    refused(
        &it("duration = { median = \"1s\" }"),
        expect![[r#"
        checks.toml:3:14: `median` is not a bound of durations
        hint: `max`, or a percentile: `p50`, `p95`, `p99.9`"#]],
    );
    refused(
        &it("schema = \"none.json\""),
        expect!["checks.toml:3:10: cannot use the schema none.json: cannot read it: entity not found"],
    );
    refused(
        &it("schema = \"broken.json\""),
        expect![
            "checks.toml:3:10: cannot use the schema broken.json: it is not JSON: EOF while parsing an object at line 1 column 1"
        ],
    );
    refused(
        &it("schema = \"wrong.json\""),
        expect![[
            r#"checks.toml:3:10: cannot use the schema wrong.json: it is not a schema: "thing" is not valid under any of the schemas listed in the 'anyOf' keyword"#
        ]],
    );
    refused(
        &it("schema = \"far.json\""),
        expect![
            "checks.toml:3:10: cannot use the schema far.json: it is not a schema: Resource 'https://schemas.test/a.json' is not present in a registry and retrieving it failed: `resolve-http` feature or a custom resolver is required to resolve external schemas via HTTP"
        ],
    );
    refused(
        &it("severity = \"fatal\"\nforbid = \"~e\""),
        expect!["checks.toml:3:12: unknown variant `fatal`, expected `error` or `warning`"],
    );
}

proptest! {
    #[test]
    fn any_text(text: String) {
        let _ = parse(&text);
    }

    /// Broken in any place, it is refused or read, and never a panic.
    #[test]
    fn damaged_text(at in 0..SEVERAL.len(), with: char) {
        if SEVERAL.is_char_boundary(at) {
            let mut text = SEVERAL.to_owned();
            text.replace_range(at..=at, &with.to_string());
            if let Ok(checks) = parse(&text) {
                let mut tally = Tally::new(Arc::new(checks));
                flows().iter().for_each(|flow| tally.flow(1, flow, &NoDecoding));
                let report = tally.report(Duration::ZERO);
                let _ = (human(&report), junit(&report), sarif(&report, ""));
            }
        }
    }
}

/// The page of checks: each of its files is one, and it tells of every key.
#[test]
fn the_page_is_true() {
    let page = include_str!("../../../docs/reference/checks.md");
    let files: Vec<_> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!files.is_empty());
    for file in files {
        let schema = |_: &str| Ok("{}".to_owned());
        Checks::parse(file, "checks.md", Case::Ignored, &schema).unwrap();
    }
    let error = parse("[[check]]\nwhat = 1").unwrap_err();
    let (_, keys) = error.split_once("expected one of ").unwrap();
    for key in keys.split(", ") {
        assert!(page.contains(&format!("{} ", key.trim_end_matches('`'))) || page.contains(key), "{key}");
    }
}
