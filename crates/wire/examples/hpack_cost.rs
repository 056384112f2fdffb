//! What a header block costs to write and to read, to be counted by callgrind:
//!
//! ```text
//! cargo build --release -p flowgate-wire --example hpack_cost
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/hpack_cost write 1000
//! ```
//!
//! The difference between two counts of rounds, divided by the rounds between them, is the cost of one round: the request
//! of a browser and the response to it, on a connection whose tables have seen the like before, with another path and
//! date in each.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool run by hand")]

use std::env;
use std::hint::black_box;

use flowgate_wire::hpack::{Decoder, Encoder, FieldRef};

const REQUEST: [(&str, &str); 17] = [
    (":method", "GET"),
    (":authority", "www.example.com"),
    (":scheme", "https"),
    (":path", "/assets/app-7f3a.js?v=20260101"),
    ("sec-ch-ua-platform", "\"Linux\""),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    ),
    ("sec-ch-ua", "\"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\""),
    ("sec-ch-ua-mobile", "?0"),
    ("accept", "*/*"),
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-dest", "script"),
    ("referer", "https://www.example.com/articles/2026/01/01/"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-US,en;q=0.9"),
    ("cookie", "session=0123456789abcdef0123456789abcdef; theme=dark; consent=1"),
    ("priority", "u=1, i"),
];

const RESPONSE: [(&str, &str); 13] = [
    (":status", "200"),
    ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ("content-type", "application/javascript; charset=utf-8"),
    ("content-length", "48213"),
    ("server", "nginx"),
    ("last-modified", "Wed, 31 Dec 2025 10:00:00 GMT"),
    ("etag", "\"69556a20-bc55\""),
    ("cache-control", "public, max-age=31536000, immutable"),
    ("content-encoding", "gzip"),
    ("vary", "accept-encoding"),
    ("strict-transport-security", "max-age=63072000; includeSubDomains; preload"),
    ("x-content-type-options", "nosniff"),
    ("accept-ranges", "bytes"),
];

fn write(encoder: &mut Encoder, fields: &[(&str, &str)], changing: (&str, &str), out: &mut Vec<u8>) {
    let fields = fields.iter().map(|(name, value)| {
        let value = if *name == changing.0 { changing.1 } else { value };
        FieldRef { name: name.as_bytes(), value: value.as_bytes(), sensitive: false }
    });
    out.clear();
    encoder.encode(fields, out);
}

fn main() {
    let mut arguments = env::args().skip(1);
    let reads = arguments.next().unwrap() == "read";
    let rounds: u32 = arguments.next().unwrap().parse().unwrap();
    let (mut up, mut down) = (Encoder::new(), Encoder::new());
    let (mut up_reader, mut down_reader) = (Decoder::new(4096), Decoder::new(4096));
    let mut block = Vec::new();
    for round in 0..rounds {
        let path = format!("/assets/app-{round:04x}.js?v=20260101");
        let date = format!("Thu, 01 Jan 2026 00:{:02}:{:02} GMT", round / 600 % 60, round / 10 % 60);
        write(&mut up, &REQUEST, (":path", &path), &mut block);
        if reads {
            black_box(up_reader.decode(&block, 65536).unwrap());
        }
        write(&mut down, &RESPONSE, ("date", &date), &mut block);
        if reads {
            black_box(down_reader.decode(&block, 65536).unwrap());
        }
        black_box(&block);
    }
}
