//! Flow files of all older versions: read as mitmproxy 12 reads them, and written back in version 21.
//!
//! `tests/interop/older_flows.py` made the files: `vN.flows` as mitmproxy wrote version N (or as that is lowered to N),
//! `vN.as21.flows` as mitmproxy 12 converts it.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking; helpers are not seen as tests"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use flowgate_flow::{Flow, FlowKind};
use flowgate_formats::tnetstring::{self, Encoder, Limits, Value};
use flowgate_formats::{FlowReader, FlowWriter};

const VERSIONS: [&str; 29] = [
    "0.11", "0.12", "0.13", "0.14", "0.15", "0.16", "0.17", "0.18", "0.19", "1.0", "2.0", "3.0", "4", "5",
    "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20",
];

#[test]
fn every_version_is_read_as_mitmproxy_reads_it() {
    for version in VERSIONS {
        let flows = read(&fs::read(file(version, "")).unwrap());
        let ours = states(&written(&flows));
        let theirs = states(&fs::read(file(version, ".as21")).unwrap());
        assert!(!theirs.is_empty());
        assert_eq!(ours.len(), theirs.len(), "{version}");
        for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            // Messages whose handshake is not in the file: mitmproxy says 1970, we when their connection began.
            let made_up = theirs.get("request.host") == Some(&Value::Text("unknown".into()));
            for (key, theirs) in theirs.iter().filter(|(key, _)| !(made_up && key.contains("timestamp"))) {
                assert_eq!(ours.get(key), Some(theirs), "version {version}, flow {at}, {key}");
            }
            let keys = |state: &BTreeMap<_, _>| state.keys().cloned().collect::<Vec<String>>();
            assert_eq!(keys(ours), keys(theirs), "version {version}, flow {at}");
        }
    }
}

/// Ids of connections that the file has not are the same for flows of one connection, and each time it is read.
#[test]
fn ids_are_made_of_what_identifies_a_connection() {
    let bytes = fs::read(file("4", "")).unwrap();
    let ids = |flows: &[Flow]| -> Vec<_> {
        flows
            .iter()
            .map(|flow| (flow.client.connection.id.clone(), flow.server.connection.id.clone()))
            .collect()
    };
    let first = ids(&read(&bytes));
    assert_eq!(first, ids(&read(&bytes)));
    // They all come from the same addresses at the same time.
    assert!(first.windows(2).all(|pair| pair[0] == pair[1]), "{first:?}");
    assert_ne!(first[0].0, first[0].1);
}

#[test]
fn a_websocket_of_two_flows_becomes_one() {
    let flows = read(&fs::read(file("10", "")).unwrap());
    let websockets: Vec<_> = flows
        .iter()
        .filter_map(|flow| match &flow.kind {
            FlowKind::Http(http) => http.websocket.as_ref().map(|websocket| (flow, http, websocket)),
            _ => None,
        })
        .collect();
    let [(joined, http, websocket), (_, orphan, _)] = &websockets[..] else { panic!("{}", websockets.len()) };
    assert_eq!(http.response.as_ref().unwrap().status, 101);
    assert!(websocket.messages.iter().any(|message| &*message.content == b"it's me"));
    assert!(joined.metadata.iter().any(|(key, _)| key == "duplicated"));
    assert_eq!(flows.iter().filter(|flow| flow.id == joined.id).count(), 2, "the handshake came before");
    assert_eq!((orphan.request.host.as_str(), orphan.response.is_none()), ("unknown", true));
}

/// Of a backup in an older version, as mitmproxy itself leaves it in files that it converts.
#[test]
fn backups_are_taken_along() {
    for version in ["7", "14", "20"] {
        let flows = read(&fs::read(file(version, "")).unwrap());
        let edited = flows.iter().find(|flow| flow.backup.is_some()).unwrap();
        let (FlowKind::Http(now), FlowKind::Http(before)) =
            (&edited.kind, &edited.backup.as_ref().unwrap().kind)
        else {
            panic!()
        };
        assert_eq!((&*now.request.method, &*before.request.method), (&b"POST"[..], &b"GET"[..]), "{version}");
    }
}

#[test]
fn a_file_of_several_versions_is_read() {
    let mixed: Vec<u8> = VERSIONS.iter().flat_map(|version| fs::read(file(version, "")).unwrap()).collect();
    let apart: usize = VERSIONS.iter().map(|version| read(&fs::read(file(version, "")).unwrap()).len()).sum();
    assert_eq!(read(&mixed).len(), apart);
}

/// Whatever is missing in an old flow is an error with its key or nothing at all, never a panic; the next flow is read.
#[test]
fn what_an_old_flow_lacks_is_told() {
    for version in VERSIONS {
        let bytes = fs::read(file(version, "")).unwrap();
        let frame = tnetstring::read_frame(&mut &bytes[..], &mut 0, &Limits::default()).unwrap().unwrap();
        let whole = tnetstring::parse(&frame.payload, frame.kind, 0, &Limits::default()).unwrap();
        for path in paths(&whole, &[]) {
            for new in [
                None,
                Some(Value::None),
                Some(Value::Int(-1)),
                Some(Value::List(vec![])),
                Some(Value::Map(vec![])),
            ] {
                let mut changed = Vec::new();
                Encoder::new().value(&with(&whole, &path, new)).write_to(&mut changed).unwrap();
                changed.extend_from_slice(&bytes);
                let mut flows = FlowReader::new(&changed[..]);
                let (_, next) = (flows.next().unwrap(), flows.next().unwrap());
                assert!(next.is_ok(), "{version} {path:?}");
            }
        }
    }
}

fn paths(value: &Value<'_>, at: &[usize]) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    if let Value::Map(entries) = value {
        for (n, (_, inner)) in entries.iter().enumerate() {
            let path = [at, &[n]].concat();
            all.extend(paths(inner, &path));
            all.push(path);
        }
    }
    all
}

fn with<'a>(value: &Value<'a>, path: &[usize], new: Option<Value<'a>>) -> Value<'a> {
    let (Value::Map(entries), [at, rest @ ..]) = (value, path) else { return new.unwrap_or(Value::None) };
    let mut entries = entries.clone();
    if rest.is_empty() && new.is_none() {
        entries.remove(*at);
    } else {
        entries[*at].1 = with(&entries[*at].1, rest, new);
    }
    Value::Map(entries)
}

fn file(version: &str, suffix: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/older/v{version}{suffix}.flows"))
}

fn read(bytes: &[u8]) -> Vec<Flow> {
    FlowReader::new(bytes).collect::<Result<_, _>>().unwrap()
}

fn written(flows: &[Flow]) -> Vec<u8> {
    let (mut out, mut writer) = (Vec::new(), FlowWriter::new());
    for flow in flows {
        writer.write_flow(&mut out, flow).unwrap();
    }
    out
}

/// Each flow as `key.key` to value, less what is meant to differ.
fn states(mut bytes: &[u8]) -> Vec<BTreeMap<String, Value<'static>>> {
    let (limits, mut offset) = (Limits::default(), 0);
    let mut states = Vec::new();
    while let Some(frame) = tnetstring::read_frame(&mut bytes, &mut offset, &limits).unwrap() {
        let value = tnetstring::parse(frame.payload.leak(), frame.kind, 0, &limits).unwrap();
        let mut flat = BTreeMap::new();
        flatten("", value, &mut flat);
        states.push(flat);
    }
    states
}

fn flatten(name: &str, value: Value<'static>, into: &mut BTreeMap<String, Value<'static>>) {
    // Random in mitmproxy where a version has none; left in the old version there; a note to users.
    if matches!(name, "client_conn.id" | "server_conn.id" | "metadata.duplicated")
        || name.starts_with("backup")
    {
        return;
    }
    let value = match value {
        Value::Map(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                let Value::Text(key) = key else { panic!("{key:?}") };
                flatten(
                    &if name.is_empty() { key.to_string() } else { format!("{name}.{key}") },
                    value,
                    into,
                );
            }
            return;
        }
        value => normalised(name, value),
    };
    into.insert(name.to_owned(), value);
}

/// Whole floats as whole numbers; IPv6 addresses without flow information and scope that are zero.
fn normalised(name: &str, value: Value<'static>) -> Value<'static> {
    match value {
        Value::Float(number) if number.fract() == 0.0 => Value::Int(number as i64),
        Value::List(mut items) => {
            if (name.ends_with("name")) && items.get(2..) == Some(&[Value::Int(0), Value::Int(0)]) {
                items.truncate(2);
            }
            Value::List(items.into_iter().map(|item| normalised("", item)).collect())
        }
        // A text that mitmproxy leaves where bytes belong.
        Value::Text(text) if name.is_empty() => Value::Bytes(text.into_owned().into_bytes().into()),
        other => other,
    }
}
