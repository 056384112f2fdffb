//! Whatever pattern, replacement and text: matches follow each other, and a text in pieces comes to what the whole comes to.
//!
//! The input is pattern, replacement and text, divided by NUL; the length of the pattern says where the text is cut.
#![no_main]

use std::sync::Arc;

use flowgate_pattern::{Finder, Flavour, Search, StreamReplacer, Template, unescape};
use libfuzzer_sys::fuzz_target;

const TEXT_BYTES_MAX: usize = 512;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(3, |byte| *byte == 0);
    let mut next = || parts.next().unwrap_or_default();
    let (Ok(pattern), Ok(with)) = (std::str::from_utf8(next()), std::str::from_utf8(next())) else { return };
    let text = next();
    let text = &text[..text.len().min(TEXT_BYTES_MAX)];
    let _ = unescape(with);
    for bytes in [true, false] {
        let flavour = Flavour { bytes, multi_line: false, dot_all: bytes };
        let Ok(finder) = Finder::new(pattern, Search { flavour, ignore_case: false, steps_max: 10_000 }) else {
            continue;
        };
        if let Ok(template) = Template::parse(with, &finder) {
            let mut end = 0;
            let _ = finder.replace(text, usize::MAX, |spans, out| {
                assert!(spans.whole().start >= end && spans.whole().end <= text.len());
                end = spans.whole().end;
                template.expand(spans, text, out);
            });
        }
        let literal = |out: &mut Vec<u8>| out.extend_from_slice(with.as_bytes());
        let whole = finder.replace(text, usize::MAX, |_, out| literal(out));
        let finder = Arc::new(finder);
        if let (Some(mut pieces), Ok(whole)) = (StreamReplacer::new(finder, with.into(), 64), whole) {
            let (first, second) = text.split_at(pattern.len().min(text.len()));
            let mut out = pieces.push(first).unwrap();
            out.extend(pieces.push(second).unwrap());
            out.extend(pieces.finish().unwrap());
            assert_eq!(out, whole.unwrap_or_else(|| text.to_vec()));
        }
    }
});
