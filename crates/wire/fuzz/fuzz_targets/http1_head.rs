//! Whatever the head parser takes, the encoder writes, and what it writes is taken again the same way; how the bytes
//! arrive does not matter.
#![no_main]

use bytes::{Bytes, BytesMut};
use flowgate_wire::http1::{
    HeadScanner, Scan, encode_request, encode_response, parse_request, parse_response, request_framing,
    response_framing,
};
use libfuzzer_sys::fuzz_target;

fn scan(bytes: &[u8], step: usize) -> Option<Bytes> {
    let mut scanner = HeadScanner::default();
    let mut buf = BytesMut::new();
    for piece in bytes.chunks(step) {
        buf.extend_from_slice(piece);
        match scanner.scan(&mut buf) {
            Ok(Scan::Head(len)) => return Some(buf.split_to(len).freeze()),
            Ok(Scan::NeedMore) => {}
            Err(_) => return None,
        }
    }
    None
}

fuzz_target!(|bytes: &[u8]| {
    let whole = scan(bytes, bytes.len().max(1));
    assert_eq!(whole, scan(bytes, 1));
    let Some(head) = whole else { return };
    if let Ok(request) = parse_request(head.clone()) {
        let _ = request_framing(&request.version, &request.headers);
        let mut out = BytesMut::new();
        encode_request(&request.method, &request.target, &request.version, &request.headers, &mut out)
            .expect("what was taken can be written");
        let again = parse_request(out.freeze()).expect("what was written is taken");
        assert_eq!((request.method, request.target, request.headers), (again.method, again.target, again.headers));
    }
    if let Ok(response) = parse_response(head) {
        let _ = response_framing(&response.version, response.status, &response.headers, b"GET");
        let mut out = BytesMut::new();
        encode_response(&response.version, response.status, &response.reason, &response.headers, &mut out)
            .expect("what was taken can be written");
        let again = parse_response(out.freeze()).expect("what was written is taken");
        assert_eq!((response.status, response.reason, response.headers), (again.status, again.reason, again.headers));
    }
});
