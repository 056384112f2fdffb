//! What a million names cost: `cargo run --release -p flowgate-policy --example name_set [FILE]`.
//!
//! Makes names as they stand in lists, or takes those of a file; prints how long they take to load and to look up, and
//! the memory they need.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool run by hand")]

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use flowgate_options::parse_list;
use flowgate_policy::{NameSetBuilder, Reach};

const NAMES: usize = 1_000_000;

fn main() {
    let list = std::env::args().nth(1).map_or_else(made_up, |file| std::fs::read(file).unwrap());
    let begun = Instant::now();
    let mut builder = NameSetBuilder::default();
    let report = parse_list(&list, |listed| {
        let reach = if listed.with_subdomains { Reach::WithSubdomains } else { Reach::Exact };
        assert!(builder.insert(listed.name, reach));
    });
    let parsed = begun.elapsed();
    let names = builder.build();
    println!(
        "{} names of {} bytes: read in {parsed:.0?}, with the table {:.0?}",
        names.len(),
        list.len(),
        begun.elapsed()
    );
    println!("{} lines left out", report.bad_lines);
    let bytes = names.memory_bytes();
    println!("memory {:.1} MB, {:.1} bytes a name", bytes as f64 / 1e6, bytes as f64 / names.len() as f64);
    let longest = format!("{}example.com", "a.".repeat(120));
    let mut asked: Vec<String> = Vec::new();
    parse_list(&list, |listed| asked.push(listed.name.to_owned()));
    let step = asked.len() / 5_000 + 1;
    let hits: Vec<String> = asked.into_iter().step_by(step).collect();
    let below = hits.iter().map(|name| format!("www.static.{name}")).collect();
    let misses = hits.iter().map(|name| format!("www.{name}.example")).collect();
    for (what, asked) in [
        ("listed", hits),
        ("below a listed one", below),
        ("not listed", misses),
        ("120 labels", vec![longest]),
    ] {
        println!("{what:20} {:5.0} ns a look-up", nanoseconds(&asked, |name| names.find(name).is_some()));
    }
}

/// `||ads-17.tracker42.example^`.
fn made_up() -> Vec<u8> {
    let mut list = String::new();
    for number in 0..NAMES {
        let tld = ["com", "net", "example", "co.uk"][number % 4];
        let _ = writeln!(list, "||ads-{}.tracker{}.{tld}^", number % 977, number / 7);
    }
    list.into_bytes()
}

/// The mean time of one look-up in the best of some rounds.
fn nanoseconds(asked: &[String], mut find: impl FnMut(&str) -> bool) -> f64 {
    let round = |_| {
        let begun = Instant::now();
        for name in asked {
            black_box(find(black_box(name)));
        }
        begun.elapsed().as_secs_f64() * 1e9 / asked.len() as f64
    };
    (0..20).map(round).fold(f64::INFINITY, f64::min)
}
