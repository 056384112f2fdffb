//! A writer killed at 200 random points loses nothing that it said was written, and the next one goes on.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use flowgate_store::{BodyReader, BodyRef, BodyWriter};

/// Names the directory to the process that is to be killed.
const DIRECTORY: &str = "FLOWGATE_STORE_KILL_TEST";

/// In the process to be killed: writes until then. As a test of its own it does nothing.
#[test]
fn writes_until_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let mut writer = BodyWriter::open(Path::new(&directory)).unwrap();
    let mut out = std::io::stdout().lock();
    writeln!(out).unwrap();
    for n in 0..100_000_u64 {
        let body = format!("{}-{n}-", std::process::id()).repeat(1 + n as usize % 40);
        let at = writer.append(body.as_bytes()).unwrap();
        let hash = at.hash.map(|byte| format!("{byte:02x}")).concat();
        writeln!(out, "at {} {} {} {hash}", at.segment, at.offset, at.len).unwrap();
    }
}

fn parse(line: &str) -> Option<BodyRef> {
    let mut words = line.strip_prefix("at ")?.split(' ');
    let (segment, offset) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (len, hex) = (words.next()?.parse().ok()?, words.next()?);
    let mut hash = [0; 32];
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(BodyRef { segment, offset, len, hash })
}

#[test]
fn two_hundred_kills_lose_nothing() {
    let mut random = 0x9e37_79b9_u32;
    let mut checked = 0;
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..10 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let lines = 1 + (random >> 16) as usize % 300;
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "writes_until_killed", "--nocapture"])
                .env(DIRECTORY, directory.path())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut places: Vec<_> =
                output.by_ref().filter_map(|line| parse(&line.unwrap())).take(lines).collect();
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(places.len(), lines);
            // What it said before it died counts, too; the last line may be cut off within its hash.
            places.extend(output.map_while(Result::ok).filter_map(|line| parse(&line)));
            for at in &places {
                BodyReader::new(directory.path()).verify(at).unwrap();
            }
            checked += places.len();
        }
    }
    assert!(checked >= 200);
}
