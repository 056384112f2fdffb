//! Measures what rendering costs: `cargo run --release -p flowgate-dump --example speed`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool run by hand")]

#[path = "../tests/flows/mod.rs"]
mod flows;

use std::hint::black_box;
use std::time::Instant;

use flowgate_dump::{Dumper, Event, LocalTime, Style, TermLog};
use flowgate_options::Level;

fn measure(what: &str, mut each: impl FnMut(&mut String)) {
    let mut out = String::new();
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..TIMES_A_ROUND {
            out.clear();
            each(&mut out);
            black_box(&out);
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES_A_ROUND));
    }
    println!("{what:44} {best:9.0} ns  {} bytes", out.len());
}

fn main() {
    let flow = flows::http(|request, _| {
        request.scheme = "https".into();
        request.port = 443;
        request.path = "/api/v1/items/4711?fields=name,price&page=2".into();
        for n in 0..10 {
            request.headers.push(format!("x-header-{n}"), "a value of ordinary length");
        }
    });
    let json =
        flows::typed("application/json", format!("[{}1]", r#"{"name": "value", "n": 12.5},"#.repeat(200)));
    let big = flows::typed("application/octet-stream", vec![0; 64 << 20]);
    for (style, name) in [(Style::Plain, "plain"), (Style::Ansi, "styled")] {
        for flow_detail in [1, 2, 3] {
            let dumper = Dumper { flow_detail, style, ..Dumper::default() };
            measure(&format!("flow, detail {flow_detail}, {name}"), |out| dumper.flow(&flow, out));
        }
    }
    let dumper = Dumper { flow_detail: 3, ..Dumper::default() };
    measure("flow with 6 KB of JSON, detail 3", |out| dumper.flow(&json, out));
    measure("flow with 64 MiB of binary, detail 3", |out| dumper.flow(&big, out));
    let log = TermLog { verbosity: Level::Info, style: Style::Plain, local_time: LocalTime::system() };
    let event = Event {
        timestamp: flows::now(),
        level: Level::Info,
        client: Some("127.0.0.1:43648".parse().unwrap()),
        message: "server connect localhost:9000 (127.0.0.1:9000)",
    };
    measure("event", |out| log.event(&event, out));
}

const ROUNDS: u32 = 20;
const TIMES_A_ROUND: u32 = 2_000;
