//! Bodies made to cost much: each view has to come to an end with them, in what its limits allow.
//!
//! There is no clock here. What is not linear would not end while somebody waits.

use flowgate_contentview::{Carrier, ContentInfo, Limits, View, render};

const BOMB_BYTES: usize = 512 << 10;

fn repeated(unit: &[u8]) -> Vec<u8> {
    unit.iter().copied().cycle().take(BOMB_BYTES / unit.len() * unit.len()).collect()
}

/// Shows a body with the limits of `--flow-detail 3`, with and without more of it to come.
fn check(view: View, body: &[u8]) {
    let limits = Limits {
        decoded_bytes_max: BOMB_BYTES,
        text_bytes_max: 1 << 20,
        lines_max: 512,
        ..Limits::default()
    };
    let info = ContentInfo {
        content_type: Some(b"multipart/form-data; boundary=B"),
        carrier: Carrier::Udp,
        ..ContentInfo::default()
    };
    for total_bytes in [None, Some(body.len() as u64 + 1)] {
        let shown = render(view, &ContentInfo { total_bytes, ..info }, body, &limits);
        assert!(shown.text.len() <= limits.text_bytes_max, "{view}: {} bytes", shown.text.len());
        assert!(shown.text.matches('\n').count() <= limits.lines_max, "{view}");
    }
    // And where only bytes count.
    let shown = render(view, &info, body, &Limits { text_bytes_max: 64 << 10, ..Limits::default() });
    assert!(shown.text.len() <= 64 << 10, "{view}: {} bytes", shown.text.len());
}

#[test]
fn text() {
    for (view, units) in [
        (
            View::XmlHtml,
            &[
                "<a>",
                "</a>",
                "<",
                ">",
                "<!--",
                "<!-->",
                "<![CDATA[",
                "<a b=",
                "\n",
                "<a\n",
                "x\n ",
                "<br>",
                "<==",
                "&",
                "<a></a>",
            ][..],
        ),
        (
            View::Css,
            &["{", "}", "'", "\\'", "\"\\", "/*", "a:", "a{b:c;", ",", "{'", "\n", "a,\n", "//", "'\n"],
        ),
        (
            View::JavaScript,
            &[
                "{", "}", "(", ")", "'", "\\'", "`\\", "`", "/", "/[/", "=/\\/", "//", "/*", "for(", ";",
                "a\n", "\n", "'\n", "}}{",
            ],
        ),
        (View::Json, &["[", "{\"a\":", "\"", "1,", "\\u0041"]),
        (View::GraphQl, &["[", "{\"query\":\"a\"},", "{\"query\":", "\"", "\\", "{"]),
        (View::UrlEncoded, &["&", "a=1&", "=", "%41", "+"]),
        (
            View::MultipartForm,
            &[
                "--B\r\n",
                "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n",
                "\r\n",
                "name=\"",
                "--",
                "-",
            ],
        ),
        (View::SocketIo, &["4", "42\x01", "0"]),
        (View::Raw, &["\n", "\r", "\x1b", "a"]),
    ] {
        for unit in units {
            check(view, &repeated(unit.as_bytes()));
        }
    }
    let million: Vec<String> = (0..300_000).map(|at| format!("{at}=x")).collect();
    check(View::UrlEncoded, million.join("&").as_bytes());
    let batch = format!("[{}]", vec!["{\"query\":\"a\"}"; 300_000].join(","));
    check(View::GraphQl, batch.as_bytes());
    check(View::GraphQl, format!("{{\"query\": \"{}\"}}", "\\n".repeat(BOMB_BYTES / 2)).as_bytes());
}

#[test]
fn bytes() {
    for (view, units) in [
        (
            View::Protobuf,
            &[
                &b"\x08\x01"[..],
                b"\x0b",
                b"\x0b\x0c",
                b"\x0a\x00",
                b"\x0a\x02\x08\x01",
                b"\x0a\x7f",
                b"\x08\xff",
                b"\x0d\0\0\0\0",
            ][..],
        ),
        (View::Grpc, &[b"\0\0\0\0\0", b"\0\0\0\0\x02\x08\x01", b"\x80\0\0\0\x01\n"]),
        (
            View::MsgPack,
            &[
                b"\xc0",
                b"\x90",
                b"\x91",
                b"\x81",
                b"\x81\xa1a",
                b"\xdf\xff\xff\xff\xff\x01\x02",
                b"\xdd\xff\xff\xff\xff",
                b"\xa1\n",
                b"\xd4\x01\x02",
                b"\xc4\x00",
            ],
        ),
        (View::Mqtt, &[b"\xc0\0", b"\x30\x04\0\x02ab", b"\x82\x05\0\x01\0\0\0"]),
        (View::Dns, &[b"\0", b"\xc0\0", b"\xff"]),
        (View::HexDump, &[b"\0", b"a"]),
        (View::HexStream, &[b"\0"]),
    ] {
        for unit in units {
            check(view, &repeated(unit));
        }
    }
    // Lists of a million elements, as their heads say.
    for head in [&b"\xdd\xff\xff\xff\xff"[..], b"\xdf\xff\xff\xff\xff", b"\xdc\xff\xff"] {
        check(View::MsgPack, &[head, &repeated(b"\x01")].concat());
    }
    for start in [
        &b"GIF89a\x01\0\x01\0\0\0\0"[..],
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0\0\x02",
        b"\0\0\x01\0\xff\xff",
        b"RIFF\0\0\0\0WEBPVP8X",
    ] {
        for unit in [
            &b"\x21\xfe\x01a\0"[..],
            b"\0\0\0\x03tEXta\0b\0\0\0\0",
            b"\xff\xfe\0\x03a",
            b"\xff\xd0",
            b"\x01",
            b"\0",
        ] {
            check(View::Image, &[start, &repeated(unit)].concat());
        }
    }
}

/// A message in a message, ten thousand deep.
#[test]
fn nested_messages() {
    let mut message = vec![8, 1];
    for _ in 0..10_000 {
        let mut outer = vec![0x0a];
        let mut len = message.len();
        while len >= 0x80 {
            outer.push(len as u8 | 0x80);
            len >>= 7;
        }
        outer.push(len as u8);
        outer.extend_from_slice(&message);
        message = outer;
    }
    check(View::Protobuf, &message);
    // Many, each of which might hold others.
    let many: Vec<u8> = (0..60_000).flat_map(|_| [0x0a, 6, 0x0a, 4, 0x0a, 2, 8, 1]).collect();
    check(View::Protobuf, &many);
}

/// Many small messages that become large ones.
#[test]
fn compressed_messages() {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![0x0b; 1 << 20]).unwrap();
    let message = encoder.finish().unwrap();
    let mut body = Vec::new();
    for _ in 0..2_000 {
        body.push(1);
        body.extend((message.len() as u32).to_be_bytes());
        body.extend_from_slice(&message);
    }
    check(View::Grpc, &body);
}

/// Names that end in each other, again and again.
#[test]
fn names_in_names() {
    let mut message = vec![0, 1, 0x80, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
    for at in 0..4_000_usize {
        let before = 12 + at.saturating_sub(1) * 16;
        message.extend([3, b'a', b'b', b'c']);
        message.extend((0xc000 | before.min(0x3fff) as u16).to_be_bytes());
        message.extend([0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
    }
    check(View::Dns, &message);
    let own = [&message[..12], &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    check(View::Dns, &own);
}

/// A directory of as many files as one can have.
#[test]
fn archives() {
    let entry = [&b"PK\x01\x02"[..], &[0; 24], &[1, 0], &[0; 16], b"a"].concat();
    let mut archive = entry.repeat(65_535);
    let len = archive.len() as u32;
    archive.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff");
    archive.extend(len.to_le_bytes());
    archive.extend([0; 6]);
    check(View::ZipArchive, &archive);
    check(View::ZipArchive, &repeated(b"PK\x05\x06"));
}
