//! Reading the tables: lines of columns divided by ` | `, with a notation for bytes that leaves them readable.

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The group's heading and the row's name.
    pub(crate) name: String,
    /// The other columns, as they stand.
    pub(crate) columns: Vec<String>,
}

/// Reads a table whose rows have so many columns behind their name.
pub(crate) fn rows(text: &str, columns: usize) -> Vec<Row> {
    let mut group = "";
    let mut rows = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            group = heading;
        } else if !line.is_empty() && !line.starts_with('#') {
            let mut parts = line.splitn(columns + 1, " | ");
            let name = format!("{group}: {}", parts.next().unwrap());
            let columns: Vec<_> = parts.map(str::to_owned).collect();
            rows.push(Row { name, columns });
        }
    }
    for row in &rows {
        assert_eq!(row.columns.len(), columns, "{}", row.name);
        assert_eq!(rows.iter().filter(|other| other.name == row.name).count(), 1, "{}", row.name);
    }
    rows
}

/// The bytes that a column stands for: `⏎` is CR LF; `\r`, `\n`, `\t`, `\\`, `\xNN` are bytes; `{N:text}` is the text N times.
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
                    '\\' => out.push(b'\\'),
                    'x' => {
                        out.push(u8::from_str_radix(&rest[..2], 16).unwrap());
                        rest = &rest[2..];
                    }
                    other => panic!("no escape: \\{other}"),
                }
            }
            '{' => {
                let (inside, after) = rest.split_once('}').unwrap();
                let (times, what) = inside.split_once(':').unwrap();
                out.extend(bytes(what).repeat(times.parse().unwrap()));
                rest = after;
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

/// Bytes as a failure shows them.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let short = &bytes[..bytes.len().min(400)];
    format!("\"{}\"{}", short.escape_ascii(), if short.len() < bytes.len() { "..." } else { "" })
}
