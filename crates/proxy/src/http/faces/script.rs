//! Frames as the tables write them, and tables.
//!
//! A script is frames divided by ` ; `. A frame is `KIND stream flags: payload`; the stream is 0 if it is left out, and so is the
//! payload. Kinds: DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONT, `xNN` for another type, RAW for bytes
//! that are no frame. Flags: `es` END_STREAM, `eh` END_HEADERS, `pad` PADDED, `prio` PRIORITY, `ack`, `fNN` any others. HEADERS and
//! CONT have END_HEADERS unless they are `open`.
//!
//! In payloads `\r`, `\n`, `\t`, `\\`, `\xNN` are bytes, `{N:text}` is the text N times, `<name: value>` a field without index
//! (`<+name: value>` with one, `<!name: value>` that must have none), `<GET>` and others a message's head, `<u32 N>` a number,
//! `<set N V>` an entry of SETTINGS.

/// One step of a script.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    Bytes(Vec<u8>),
    /// Waits until nothing comes any more.
    Wait,
    /// Ends our direction.
    Close,
}

/// Reads a script; whether the peer begins by itself, without the usual preface and SETTINGS.
pub(crate) fn steps(text: &str) -> (Vec<Step>, bool) {
    let mut steps = Vec::new();
    let mut bare = false;
    for part in text.split(" ; ") {
        match part.trim_start() {
            "bare" => bare = true,
            "wait" => steps.push(Step::Wait),
            "close" => steps.push(Step::Close),
            "" => {}
            other => steps.push(Step::Bytes(frame_of(other))),
        }
    }
    (steps, bare)
}

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field without an entry in any table, not in Huffman code.
pub(crate) fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    literal(0x00, name, value)
}

/// A header block of such fields.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(name.as_bytes(), value.as_bytes())).collect()
}

fn literal(pattern: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = vec![pattern];
    for text in [name, value] {
        let mut rest = text.len();
        if rest < 0x7f {
            out.push(u8::try_from(rest).unwrap());
        } else {
            out.push(0x7f);
            rest -= 0x7f;
            while rest >= 0x80 {
                out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
                rest >>= 7;
            }
            out.push(u8::try_from(rest).unwrap());
        }
        out.extend_from_slice(text);
    }
    out
}

fn frame_of(text: &str) -> Vec<u8> {
    let (head, payload) = text.split_once(':').unwrap_or((text, ""));
    let payload = bytes(payload.strip_prefix(' ').unwrap_or(payload));
    let mut words = head.split_whitespace();
    let kind = words.next().unwrap();
    let (kind, mut flags) = match kind {
        "RAW" => return payload,
        "DATA" => (0, 0),
        "HEADERS" => (1, 4),
        "PRIORITY" => (2, 0),
        "RST" => (3, 0),
        "SETTINGS" => (4, 0),
        "PUSH" => (5, 4),
        "PING" => (6, 0),
        "GOAWAY" => (7, 0),
        "WINDOW" => (8, 0),
        "CONT" => (9, 4),
        other => (u8::from_str_radix(other.strip_prefix('x').expect(text), 16).expect(text), 0),
    };
    let mut stream = 0;
    for word in words {
        match word {
            "es" | "ack" => flags |= 0x1,
            "eh" => flags |= 0x4,
            "open" => flags &= !0x4,
            "pad" => flags |= 0x8,
            "prio" => flags |= 0x20,
            word => match word.strip_prefix('f') {
                Some(hex) => flags |= u8::from_str_radix(hex, 16).expect(text),
                None => stream = word.parse().expect(text),
            },
        }
    }
    frame(kind, flags, stream, &payload)
}

/// The bytes that a payload stands for.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        match next {
            '⏎' => out.extend_from_slice(b"\r\n"),
            '\\' => {
                let code = rest.chars().next().unwrap();
                rest = &rest[1..];
                match code {
                    'r' => out.push(b'\r'),
                    'n' => out.push(b'\n'),
                    't' => out.push(b'\t'),
                    'x' => {
                        out.push(u8::from_str_radix(&rest[..2], 16).unwrap());
                        rest = &rest[2..];
                    }
                    other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
            '{' => {
                let (inside, after) = rest.split_once('}').expect(text);
                let (times, what) = inside.split_once(':').expect(text);
                out.extend(bytes(what).repeat(times.parse().unwrap()));
                rest = after;
            }
            '<' => {
                let (inside, after) = rest.split_once('>').expect(text);
                out.extend(macro_of(inside));
                rest = after;
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

fn macro_of(text: &str) -> Vec<u8> {
    let request = |method, path| {
        block(&[(":method", method), (":scheme", "http"), (":authority", "a"), (":path", path)])
    };
    match text {
        "PREFACE" => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        "GET" | "POST" | "HEAD" | "PUT" | "DELETE" | "PATCH" => request(text, "/r"),
        "OPTIONS" => request(text, "*"),
        "OK" => block(&[(":status", "200")]),
        _ => {
            let words: Vec<&str> = text.split(' ').collect();
            match words[..] {
                ["u32", n] => n.parse::<u32>().unwrap().to_be_bytes().to_vec(),
                ["set", id, value] => {
                    let (id, value) = (id.parse::<u16>().unwrap(), value.parse::<u32>().unwrap());
                    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
                }
                ["status", status] => block(&[(":status", status)]),
                _ => {
                    let (name, value) = text.split_once(": ").unwrap_or_else(|| panic!("<{text}>"));
                    let (pattern, name) = match name.as_bytes()[0] {
                        b'+' => (0x40, &name[1..]),
                        b'!' => (0x10, &name[1..]),
                        _ => (0x00, name),
                    };
                    literal(pattern, &bytes(name), &bytes(value))
                }
            }
        }
    }
}

/// One row of a table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The group's heading and the row's name.
    pub(crate) name: String,
    /// The other columns, as they stand.
    pub(crate) columns: Vec<String>,
}

/// Reads a table: lines of columns divided by ` | `, so many behind the name.
pub(crate) fn rows(text: &str, columns: usize) -> Vec<Row> {
    let mut group = "";
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            group = heading;
        } else if !line.is_empty() && !line.starts_with('#') {
            let mut parts = line.splitn(columns + 1, " | ");
            let name = format!("{group}: {}", parts.next().unwrap().trim_end());
            let columns: Vec<_> = parts.map(|column| column.trim_end_matches(' ').to_owned()).collect();
            assert!(rows.iter().all(|row| row.name != name), "{name} is there twice");
            rows.push(Row { name, columns });
        }
    }
    for row in &rows {
        assert_eq!(row.columns.len(), columns, "{}", row.name);
    }
    rows
}

#[test]
fn scripts_are_read() {
    let (read, bare) = steps("bare ; HEADERS 1 es: <x: y> ; wait ; DATA 3 pad: \\x01{2:a} ; x0b f10");
    let expected = [
        Step::Bytes(frame(1, 5, 1, b"\0\x01x\x01y")),
        Step::Wait,
        Step::Bytes(frame(0, 8, 3, b"\x01aa")),
        Step::Bytes(frame(11, 0x10, 0, b"")),
    ];
    assert_eq!((read.as_slice(), bare), (&expected[..], true));
    assert_eq!(bytes("<set 4 65535><u32 7>"), b"\0\x04\0\0\xff\xff\0\0\0\x07");
    assert_eq!(literal(0, b"", &[b'x'; 300])[..5], [0, 0, 0x7f, 0xad, 0x01]);
}
