//! What each view makes of a body, and that none of them lets a control character or too much text through.

use flowgate_contentview::{ContentInfo, Limits, View, render};
use proptest::prelude::*;

fn typed(content_type: &'static str) -> ContentInfo<'static> {
    ContentInfo { content_type: Some(content_type.as_bytes()), ..ContentInfo::default() }
}

fn text(view: View, bytes: &[u8]) -> String {
    render(view, &ContentInfo::default(), bytes, &Limits::default()).text
}

#[test]
fn auto_takes_the_view_that_fits() {
    let query = ContentInfo { query: Some(b"a=1"), ..ContentInfo::default() };
    for (info, bytes, view) in [
        (ContentInfo::default(), &b""[..], "raw"),
        (query, b"", "query"),
        (query, b"x", "raw"),
        (ContentInfo { query: Some(b"&&"), ..query }, b"", "raw"),
        (typed("application/json"), b"{}", "json"),
        (typed("Application/JSON; charset=utf-8"), b"[1]", "json"),
        (typed("application/problem+json"), b"1", "json"),
        (typed("application/json-rpc"), b"1", "json"),
        (typed("text/json"), b"1", "raw"),
        (typed("application/json"), b"", "raw"),
        (typed("application/json"), b"{", "raw"),
        (typed("application/x-www-form-urlencoded"), b"a", "url-encoded"),
        (typed("application/x-www-form-urlencoded"), b"", "raw"),
        (typed("text/plain"), b"\0\x01\x02abc", "hex dump"),
        (typed("text/plain"), "Привет, мир".as_bytes(), "raw"),
        (typed("text/plain"), &"日本".repeat(99).as_bytes()[..100], "hex dump"),
        (typed("text/plain"), "日本".repeat(99).as_bytes(), "raw"),
        (typed("text/plain"), b"\xff\xfe\xfd", "hex dump"),
        (typed("text/plain"), b"abc\0abc\0", "raw"),
    ] {
        let shown = render(View::Auto, &info, bytes, &Limits::default());
        assert_eq!(shown.view_name, view, "{info:?} {bytes:?}");
    }
}

#[test]
fn raw() {
    for (bytes, shown) in [
        (&b""[..], ""),
        (b"a\tb\r\nc\x1b[31md\n", "a\tb\nc.[31md\n"),
        ("ä\u{85}\u{2028}b".as_bytes(), "ä.\nb"),
        (b"a\xffb\xe2\x82", "a\\xffb\\xe2\\x82"),
    ] {
        assert_eq!(text(View::Raw, bytes), shown);
    }
}

#[test]
fn hex_dump() {
    for (bytes, shown) in [
        (&b""[..], ""),
        (b"a", "0000:   61                                                   a"),
        (
            b"\x00\x01\x7f\x80 !0123456789abcdef",
            "0000:   00 01 7f 80  20 21 30 31  32 33 34 35  36 37 38 39   .... !0123456789\n\
             0010:   61 62 63 64  65 66                                   abcdef",
        ),
    ] {
        assert_eq!(text(View::HexDump, bytes), shown);
    }
    let wide = [
        (65_535 + 16, "0000: "),
        (65_536 + 16, "000000: "),
        (1 << 32, "00000000: "),
        (1 << 33, "0000000000000000: "),
    ];
    for (total_bytes, start) in wide {
        let info = ContentInfo { total_bytes: Some(total_bytes), ..ContentInfo::default() };
        let shown = render(View::HexDump, &info, b"abc", &Limits::default());
        assert!(shown.text.starts_with(start), "{}", shown.text);
        assert!(shown.cut);
    }
}

#[test]
fn json() {
    for (bytes, shown) in [
        ("{}", "{}"),
        (" [ ] ", "[]"),
        ("\u{feff}1", "1"),
        (
            r#"{"b":1,"a":[true,null,-1.50e+3,"x"],"e":{},"b":{"c":[]}}"#,
            "{\n    \"b\": 1,\n    \"a\": [\n        true,\n        null,\n        -1.50e+3,\n        \"x\"\n    ],\n    \
          \"e\": {},\n    \"b\": {\n        \"c\": []\n    }\n}",
        ),
        (r#""\u00e4\/\ud83d\ude00\n\u000a\u001b\u0022\\""#, "\"ä/😀\\n\\n\\u001b\\\"\\\\\""),
        (r#""\ud800x\udc00\ud800\u0041""#, r#""\ud800x\udc00\ud800A""#),
        ("\"\u{7f}\u{85}ä\"", "\"..ä\""),
        ("[NaN,Infinity,-Infinity]", "[\n    NaN,\n    Infinity,\n    -Infinity\n]"),
    ] {
        let rendered = render(View::Json, &ContentInfo::default(), bytes.as_bytes(), &Limits::default());
        assert_eq!(
            (rendered.text.as_str(), rendered.view_name, rendered.cut),
            (shown, "json", false),
            "{bytes}"
        );
    }
}

#[test]
fn what_is_not_json_is_raw() {
    let deep = "[".repeat(1_001) + &"]".repeat(1_001);
    for bytes in [
        "",
        " ",
        "{",
        "[1,]",
        "{1:2}",
        "{\"a\"}",
        "{\"a\":1,}",
        "01",
        "1.",
        ".5",
        "1e",
        "+1",
        "--1",
        "tru",
        "nul\u{c9}",
        "1 2",
        "[1}",
        "\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"a\nb\"",
        "'a'",
        "[1 2]",
        &deep,
    ] {
        let rendered = render(View::Json, &ContentInfo::default(), bytes.as_bytes(), &Limits::default());
        assert_eq!((rendered.view_name, rendered.failed_view), ("raw", Some(View::Json)), "{bytes}");
        assert_eq!(rendered.text, bytes);
    }
}

#[test]
fn the_beginning_of_json_is_json() {
    let whole = r#"{"a": [1, "ä\u00e9", true], "b": null}"#;
    let info = ContentInfo { total_bytes: Some(whole.len() as u64), ..ContentInfo::default() };
    for len in 1..whole.len() {
        let rendered = render(View::Json, &info, &whole.as_bytes()[..len], &Limits::default());
        assert_eq!((rendered.view_name, rendered.cut), ("json", true), "{}", &rendered.text);
    }
}

#[test]
fn forms_and_queries() {
    for (bytes, form, query) in [
        ("", "", ""),
        ("a=1&b=2", "a: '1'\nb: '2'\n", "a: '1'\nb: '2'\n"),
        ("a=&b&=c&&", "a: ''\nb: ''\n'': c\n", "a: ''\nb: ''\n'': c\n"),
        ("a=1&b=2&a=3&a=", "a:\n- '1'\n- '3'\n- ''\nb: '2'\n", "a:\n- '1'\n- '3'\n- ''\nb: '2'\n"),
        ("a+b=c%20%64%", "a b: c d%\n", "a b: c d%\n"),
        ("%C3%A4=%FF%00%1b%0A", "\\xc3\\xa4: \\xff\\x00\\x1b\\n\n", "ä: \"\\\\xff\\0\\e\\n\"\n"),
    ] {
        assert_eq!(text(View::UrlEncoded, bytes.as_bytes()), form, "{bytes}");
        let info = ContentInfo { query: Some(bytes.as_bytes()), ..ContentInfo::default() };
        assert_eq!(render(View::Query, &info, b"", &Limits::default()).text, query, "{bytes}");
    }
    let limits = Limits { fields_max: 2, ..Limits::default() };
    let rendered = render(View::UrlEncoded, &ContentInfo::default(), b"a&b&c", &limits);
    assert_eq!((rendered.text.as_str(), rendered.cut), ("a: ''\nb: ''\n", true));
}

#[test]
fn names_are_found_again() {
    for view in View::ALL {
        assert_eq!(view.name().to_uppercase().parse(), Ok(view));
    }
    let error = "frob".parse::<View>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "no such contentview; there are auto, dns, graphql, grpc, hex dump, hex stream, image, javascript, json, mqtt, msgpack, \
         multipart form, protobuf, query, raw, socket.io, url-encoded, viewcss, xml/html, zip archive"
    );
}

/// What the text of a view may hold.
fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control())
}

proptest! {
    #[test]
    fn every_view_is_bounded_and_harmless(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..400),
            "[\\[\\]{}\",:0-9a\\\\u \n\r\x1b\u{85}\u{2028}ä&=%+-]{0,200}".prop_map(String::into_bytes),
        ],
        query in prop::option::of("[a&=%+-9:#'\n\u{85} ]{0,60}"),
        total in prop::option::of(0..1_000_u64),
        lines_max in 0..20_usize,
        text_bytes_max in 0..400_usize,
        content_type in prop::sample::select(vec!["application/json", "application/x-www-form-urlencoded", "text/plain"]),
    ) {
        let limits = Limits { lines_max, text_bytes_max, json_depth_max: 9, ..Limits::default() };
        let info = ContentInfo {
            content_type: Some(content_type.as_bytes()),
            query: query.as_ref().map(String::as_bytes),
            total_bytes: total,
            ..ContentInfo::default()
        };
        for view in View::ALL {
            let bounded = render(view, &info, &bytes, &limits);
            prop_assert!(is_harmless(&bounded.text), "{:?}", bounded);
            prop_assert!(bounded.text.len() <= text_bytes_max);
            prop_assert!(bounded.text.matches('\n').count() <= lines_max);
            let whole = render(view, &info, &bytes, &Limits::default());
            if bounded.view_name == whole.view_name {
                prop_assert!(whole.text.starts_with(&bounded.text));
                prop_assert!(bounded.cut || bounded.text == whole.text);
            }
        }
    }
}
