//! Whole flows: written, read back, searched, found by id, while another connection writes.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::io::BufReader;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bytes::Bytes;
use flowgate_filter::{Case, Filter, NoDecoding};
use flowgate_flow::{Body, Flow, FlowId, FlowKind};
use flowgate_formats::{FlowReader, write_flow};
use flowgate_store::limits::{
    COLUMN_BYTES_MAX, COMPRESSED_BODY_BYTES_MAX, INLINE_BODY_BYTES_MAX, SEARCHABLE_BYTES_MAX,
};
use flowgate_store::{Flags, SegmentError, StoreError, StoreReader, StoreWriter};
use proptest::prelude::*;

/// Flows of every kind, as mitmproxy wrote them.
fn samples() -> Vec<Flow> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../session/tests/filters/flows.mitm");
    FlowReader::new(BufReader::new(File::open(path).unwrap())).map(Result::unwrap).collect()
}

fn encoded(flow: &Flow) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_flow(&mut bytes, flow).unwrap();
    bytes
}

/// All flows that a filter means, and their numbers.
fn found(reader: &StoreReader, filter: Option<&Filter>) -> Vec<(i64, Flow)> {
    let mut found = Vec::new();
    let each = |hit: flowgate_store::Hit<'_>| {
        found.push((hit.row.number, hit.flow().unwrap()));
        ControlFlow::<()>::Continue(())
    };
    let (searched, _) = reader.search(filter, 0, &NoDecoding, each).unwrap();
    assert_eq!((searched.unreadable, searched.gave_up), (0, false));
    found
}

fn store_of(directory: &Path, flows: &[Flow]) -> StoreReader {
    let mut writer = StoreWriter::open(directory).unwrap();
    for flow in flows {
        writer.add(flow.clone()).unwrap();
    }
    writer.commit().unwrap();
    StoreReader::open(directory).unwrap()
}

/// An HTTP flow of the samples with another body and id.
fn with_body(number: u128, body: impl Into<Bytes>) -> Flow {
    let is_plain = |flow: &Flow| matches!(&flow.kind, FlowKind::Http(http) if http.response.is_some());
    let mut flow = samples().into_iter().find(is_plain).unwrap();
    flow.id = FlowId::from_random(number);
    if let FlowKind::Http(http) = &mut flow.kind {
        http.response.as_mut().unwrap().body = Body::Bytes(body.into());
    }
    flow
}

#[test]
fn every_flow_comes_back_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let mut flows = samples();
    assert!(flows.len() >= 10);
    // Sizes around each limit, and a state before an edit.
    let sizes = [
        0,
        1,
        INLINE_BODY_BYTES_MAX as usize,
        INLINE_BODY_BYTES_MAX as usize + 1,
        COMPRESSED_BODY_BYTES_MAX,
        COMPRESSED_BODY_BYTES_MAX + 1,
    ];
    for (number, size) in (1 << 100..).zip(sizes) {
        let mut edited = with_body(number, vec![b'a'; size]);
        edited.backup = Some(Box::new(with_body(number, vec![b'b'; size])));
        flows.push(edited);
    }
    let reader = store_of(directory.path(), &flows);
    let back = found(&reader, None);
    assert_eq!(back.len(), flows.len());
    for ((at, (number, back)), flow) in (1..).zip(&back).zip(&flows) {
        assert_eq!((*number, encoded(back)), (at, encoded(flow)), "{}", flow.id);
    }
    assert_eq!(reader.count().unwrap(), flows.len() as u64);
}

#[test]
fn equal_bodies_lie_there_once() {
    let directory = tempfile::tempdir().unwrap();
    // What does not compress.
    let mut random = 1_u32;
    let mut body = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 24) as u8
    };
    let body: Vec<u8> = std::iter::repeat_with(&mut body).take(500_000).collect();
    let flows: Vec<_> = (1..=20).map(|number| with_body(number, body.clone())).collect();
    store_of(directory.path(), &flows);
    let bytes = fs::metadata(directory.path().join("bodies-000000")).unwrap().len();
    assert!((500_000..700_000).contains(&bytes), "{bytes}");
}

#[test]
fn only_the_owner_can_read_it() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("store");
    let mut writer = StoreWriter::open(&directory).unwrap();
    writer.add(samples().remove(0)).unwrap();
    writer.commit().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for file in fs::read_dir(&directory).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn is_read_while_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    let readers = [(); 3].map(|()| StoreReader::open(directory.path()).unwrap());
    for number in 1..=20_u64 {
        writer.add(with_body(number.into(), vec![7; 5000])).unwrap();
        for reader in &readers {
            assert_eq!(reader.count().unwrap(), number - 1, "not before it is committed");
        }
        writer.commit().unwrap();
        for reader in &readers {
            assert_eq!(found(reader, None).len() as u64, number);
        }
    }
    let second = StoreWriter::open(directory.path());
    assert!(matches!(second, Err(StoreError::Bodies(SegmentError::Locked))));
}

#[test]
fn a_search_goes_on_behind_what_was_seen() {
    let directory = tempfile::tempdir().unwrap();
    let reader = store_of(directory.path(), &samples());
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let first = |hit: flowgate_store::Hit<'_>| ControlFlow::Break(hit.row.number);
        let (searched, first) = reader.search(None, after, &NoDecoding, first).unwrap();
        let Some(number) = first else { break };
        assert_eq!(searched.last, number);
        seen.push(number);
        after = number;
    }
    assert_eq!(seen, (1..=samples().len() as i64).collect::<Vec<_>>());
}

#[test]
fn a_flow_of_the_same_id_takes_the_place_of_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let reader =
        store_of(directory.path(), &[with_body(1, "old"), with_body(2, "other"), with_body(1, "new")]);
    let bodies: Vec<_> = found(&reader, None)
        .into_iter()
        .map(|(number, flow)| {
            let FlowKind::Http(http) = flow.kind else { unreachable!() };
            (number, http.response.unwrap().body.prefix(9).unwrap().unwrap())
        })
        .collect();
    assert_eq!(bodies, [(2, Bytes::from("other")), (3, Bytes::from("new"))]);
}

#[test]
fn ids_may_be_cut_short() {
    let directory = tempfile::tempdir().unwrap();
    let mut flows =
        vec![with_body(0xaa11 << 112, ""), with_body(0xaa22 << 112, ""), with_body(0xbb33 << 112, "")];
    flows[2].id = FlowId::Text("not-a-uuid".into());
    let reader = store_of(directory.path(), &flows);
    for (beginning, count) in [
        ("aa11", 1),
        ("AA11", 1),
        ("aa", 2),
        ("a", 2),
        ("aa110000-", 1),
        ("aa11-", 0),
        ("aa110000-0000-4000-8000-000000000000", 1),
        ("aa110000-0000-4000-8000-0000000000001", 0),
        ("not", 1),
        ("not-a-uuid", 1),
        ("not-a-uuid2", 0),
        ("c", 0),
        ("", 3),
    ] {
        assert_eq!(reader.by_id(beginning, 9).unwrap().len(), count, "{beginning}");
    }
    assert_eq!(reader.by_id("a", 1).unwrap().len(), 1);
}

/// As many as several threads search, in bodies of all sizes and among flows of all kinds.
#[test]
fn many_flows_are_searched_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let samples = samples();
    let plain = with_body(0, "");
    let mut flows = Vec::new();
    for number in 0..300_u128 {
        let size = [3, 900, 5000, COMPRESSED_BODY_BYTES_MAX + 5][(number % 4) as usize] as u128;
        let body = (0..=size / 12).map(|at| format!("{number} {at:08}, ")).collect::<String>();
        let needle = if number % 3 == 0 { "NEEDLE." } else { "needless" };
        let mut flow = Flow { id: FlowId::from_random(1 << 100 | number), ..plain.clone() };
        if let FlowKind::Http(http) = &mut flow.kind {
            let body = if number % 4 < 3 || number % 60 == 3 { body + needle } else { needle.to_owned() };
            http.response.as_mut().unwrap().body = Body::Bytes(body.into());
        }
        if number % 5 == 0 {
            flow = Flow { id: flow.id, ..samples[(number as usize / 5) % samples.len()].clone() };
        }
        flows.push(flow);
    }
    let reader = store_of(directory.path(), &flows);
    for text in [
        r"~b needle\.",
        r"~b needle\. & ~m get",
        r#"~b "(need)?le[.]""#,
        "~b nowhere",
        r"!~b needle\.",
        "~b address",
    ] {
        let filter = Filter::parse(text, Case::Ignored).unwrap();
        let expected: Vec<_> = flows
            .iter()
            .filter(|flow| filter.matches(flow, &NoDecoding))
            .map(|flow| flow.id.clone())
            .collect();
        let back = found(&reader, Some(&filter));
        assert!(back.is_sorted_by_key(|(number, _)| *number), "{text}");
        assert_eq!(back.iter().map(|(_, flow)| flow.id.clone()).collect::<Vec<_>>(), expected, "{text}");
        for (number, flow) in back {
            assert_eq!(encoded(&flow), encoded(&flows[number as usize - 1]), "{text}");
        }
    }
    // One who has seen enough need not wait for the rest.
    let filter = Filter::parse(r"~b needle\.", Case::Ignored).unwrap();
    let mut seen = 0;
    let each = |hit: flowgate_store::Hit<'_>| {
        seen += 1;
        if seen == 40 { ControlFlow::Break(hit.row.number) } else { ControlFlow::Continue(()) }
    };
    let (searched, number) = reader.search(Some(&filter), 0, &NoDecoding, each).unwrap();
    assert_eq!((seen, Some(searched.last)), (40, number));
}

#[test]
fn what_is_no_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(StoreReader::open(directory.path()), Err(StoreError::NoStore(_))));
    fs::write(directory.path().join("flows.sqlite"), "no database at all, but long enough to be looked at")
        .unwrap();
    for error in [
        StoreReader::open(directory.path()).err().unwrap(),
        StoreWriter::open(directory.path()).err().unwrap(),
    ] {
        assert!(matches!(error, StoreError::NotAnIndex(_) | StoreError::Index(_)), "{error:?}");
    }
}

/// Parts of filters, with what the index knows and what it does not.
const PARTS: [&str; 48] = [
    "~all",
    "~a",
    "~e",
    "~marked",
    "~http",
    "~websocket",
    "~tcp",
    "~udp",
    "~dns",
    "~q",
    "~s",
    "~replay",
    "~replayq",
    "~replays",
    "~c 200",
    "~c 2xx",
    "~c 404",
    "~c 999999999999",
    "~m GET",
    "~m post",
    "~d example",
    "~d .",
    "~d nothing",
    "~u http",
    "~u dns",
    "path",
    "~t html",
    "~ts text",
    "~tq .",
    "~hq host",
    "~h content",
    "~b a",
    "~bs .",
    "~bq x",
    "~src 127",
    "~dst 22",
    "~meta .",
    "~marker .",
    "~comment .",
    "~reason .",
    "~sni .",
    "~size >5",
    "~sizeq 0",
    "~sizes <=7",
    "~size >=18446744073709551615",
    "~duration >=0",
    "~duration <1",
    "~d ^",
];

#[test]
fn every_part_of_a_filter_is_understood() {
    for part in PARTS {
        Filter::parse(part, Case::Ignored).unwrap_or_else(|error| panic!("{part}: {error}"));
    }
}

fn expression() -> impl Strategy<Value = String> {
    let part = proptest::sample::select(&PARTS[..]).prop_map(str::to_owned);
    part.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|part| format!("!({part})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} & {b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a} | {b})")),
        ]
    })
}

#[test]
fn the_index_answers_as_the_filter_does() {
    answers_as_the_filter_does(false);
}

#[test]
fn the_full_text_index_answers_as_the_filter_does() {
    answers_as_the_filter_does(true);
}

fn answers_as_the_filter_does(index_bodies: bool) {
    let directory = tempfile::tempdir().unwrap();
    let mut flows = samples();
    // A text that is cut in its column has its end searched all the same.
    let mut long = with_body(1 << 90, "");
    long.comment = format!("{}end", "x".repeat(COLUMN_BYTES_MAX));
    flows.push(long);
    // Bytes that are no text, and more than the full-text index takes.
    flows.push(with_body(2 << 90, b"\xff\x00NUL\xe4LATIN \x00abc\x00\"quoted\"".as_slice()));
    flows.push(with_body(3 << 90, vec![b'L'; SEARCHABLE_BYTES_MAX + 1]));
    let mut writer = StoreWriter::open(directory.path()).unwrap();
    // Some flows from before it was asked for.
    let (before, after) = flows.split_at(20);
    before.iter().for_each(|flow| writer.add(flow.clone()).unwrap());
    if index_bodies {
        writer.index_bodies(Box::new(NoDecoding));
    }
    after.iter().for_each(|flow| writer.add(flow.clone()).unwrap());
    drop(writer);
    let reader = StoreReader::open(directory.path()).unwrap();
    let means = |text: &str| {
        let filter = Filter::parse(text, Case::Ignored).unwrap();
        let wanted: Vec<_> = flows
            .iter()
            .filter(|flow| filter.matches(flow, &NoDecoding))
            .map(|flow| flow.id.clone())
            .collect();
        let got: Vec<_> = found(&reader, Some(&filter)).into_iter().map(|(_, flow)| flow.id).collect();
        assert_eq!(got, wanted, "{text}");
        wanted.len()
    };
    assert_eq!(means("~comment end$"), 1);
    assert_eq!(means("!~comment end$"), flows.len() - 1);
    for (text, count) in [
        ("~b nul", 1),
        ("~b latin", 1),
        (r#"~b '"QUOTED"'"#, 1),
        ("~b lll", 1),
        (r"~b '\\x00abc'", 1),
        ("~b abc.quo", 0),
        ("~b nul[^x]lat", 1),
        ("~b nulx?.lat", 1),
        ("~bq latin", 0),
        ("~b nothing-such", 0),
    ] {
        assert_eq!(means(text), count, "{text}");
        assert_eq!(means(&format!("!{text}")), flows.len() - count, "!{text}");
    }
    let all = |hit: flowgate_store::Hit<'_>| {
        assert_eq!(hit.row.flags.has(Flags::CUT), hit.row.comment.len() == COLUMN_BYTES_MAX);
        ControlFlow::<()>::Continue(())
    };
    reader.search(None, 0, &NoDecoding, all).unwrap();
    for part in PARTS {
        means(part);
        means(&format!("!{part}"));
    }
    // More than SQLite takes in one expression.
    means("~c 200 | ~d example & ".repeat(2000).trim_end_matches(" & "));
    means(&format!("{}~a{}", "!(~s & ".repeat(49), ")".repeat(49)));
    proptest!(ProptestConfig::with_cases(100), |(text in expression())| {
        means(&text);
    });
}
